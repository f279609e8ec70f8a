/* What a scenario needs of the C library: its headers and the kernel's do not go together. */
#ifndef STAGE_H
#define STAGE_H

#include <stddef.h>
#include <stdint.h>

#define TASKS 12u

/* One scenario; comes back if all was right. */
void scenario(uint64_t seed);

/* Says so and ends the process. */
void wrong(const char *what) __attribute__((noreturn));
void *memory(size_t n);
void memory_free(void *p);

/* Task number i begins with this when it runs first. */
void stage_task(unsigned i, void (*live)(void));
/* Runs it until it leaves. */
void stage_run(unsigned i);
void stage_leave(unsigned i);

#endif
