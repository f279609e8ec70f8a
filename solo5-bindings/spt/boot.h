/*
 * What the parts of the bindings know of each other, and the boot info of spt
 * ABI 2 (Solo5 0.12, include/spt_abi.h).
 */
#ifndef SOLO5_SPT_BOOT_H
#define SOLO5_SPT_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "solo5_notes.h"

/* The tender passes a pointer to this to _start(). */
struct spt_boot_info {
    uint64_t mem_size;   /* bytes: guest memory ends there, the stack starts there */
    uint64_t kernel_end; /* what the tender thinks; the linker's _end is ours */
    const char *cmdline;
    const struct solo5_mft *mft;
    int32_t epollfd;
    int32_t timerfd;
};

/* data.u64 of the timer in the epoll set; the others are manifest indices. */
#define SPT_EPOLL_TIMER 0xfffffffeu

/* Valid from the first line of _start() on; never changes. */
extern const struct spt_boot_info *spt_boot;

/* Writes all of (buf) to the console; what the host refuses is lost. */
void spt_puts(const char *buf, size_t size);

/* Prints a string that ends with a newline, and aborts. */
_Noreturn void spt_panic(const char *message);

/* The manifest entry of (handle) if it is of (type), else NULL. */
const struct solo5_mft_entry *spt_device(uint64_t handle, uint32_t type);

/*
 * Finds (name) of (type), once: NULL if there is none or it was taken before.
 * (handle) receives its index.
 */
const struct solo5_mft_entry *spt_acquire(const char *name, uint32_t type, uint64_t *handle);

#endif
