/*
 * The scheduler: round robin over runnable tasks, on one host thread. Preempted
 * by the host's virtual timer, which ticks only while the guest burns processor
 * time; an idle guest sleeps in the host until a timer, a descriptor or a signal.
 */
#ifndef LINUX_TASK_SCHED_H
#define LINUX_TASK_SCHED_H

#include "lib/types.h"

struct task;

void sched_init(void);
/* Lets another task run. The running one comes back later if it is TASK_RUNNING, else once it is woken. */
void schedule(void);
/* Makes a sleeping task runnable; nothing for others. */
void task_wake(struct task *t);
/* A new task joins the run queue. */
void sched_start(struct task *t);
/* It runs at once; the running task is back when its turn comes. */
void sched_start_now(struct task *t);
/* The running task is over (TASK_DEAD, off all lists): its memory is freed once another one runs. */
void sched_exit(void) NORETURN;
/* Others are runnable. */
bool sched_contended(void);
/* The slice is over: timers, host descriptors, then the next in turn. */
void sched_tick(void);
/* Runs the first task; never comes back. */
void sched_run_first(struct task *t) NORETURN;

/* Vector state (XSAVE area). */
size_t xstate_size(void);
static inline size_t xstate_pages(void)
{
    return PAGE_UP(xstate_size()) / PAGE_SIZE;
}
uint64_t xstate_mask(void); /* XCR0 */
void xstate_save(void *area);
/* Loads checked state. */
void xstate_load(const void *area);
/* Loads what a program gave: false if the processor refuses it. */
bool xstate_load_checked(const void *area);
/* The state a new program starts with. */
void xstate_init(void *area);

uint64_t fsbase_read(void);
void fsbase_write(uint64_t base);
uint64_t gsbase_read(void);
/* False: the processor cannot be told, and has 0. */
bool gsbase_write(uint64_t base);

#endif
