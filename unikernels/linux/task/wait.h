/*
 * Sleeping until something happens.
 *
 * A wait queue is a list of entries, each with the function to call when the
 * queue is woken. Guest threads are scheduled only where the kernel calls
 * schedule(), so between a check and the sleep nothing can slip in: no locks.
 *
 * Poll: a file's poll operation calls poll_wait for each queue that may change
 * its readiness, then returns its readiness (EPOLLIN and the like). With a NULL
 * table poll_wait does nothing.
 */
#ifndef LINUX_TASK_WAIT_H
#define LINUX_TASK_WAIT_H

#include "lib/error.h"
#include "lib/list.h"
#include "lib/types.h"
#include "time/clock.h"

struct task;

struct wait_queue {
    struct list entries;
};

struct wait_entry {
    struct list link;
    /* events: EPOLL* bits of what happened, ~0u if unsaid. May remove this entry only. */
    void (*wake)(struct wait_entry *entry, uint32_t events);
    struct task *task; /* for wait_wake_task */
};

static inline void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->entries);
}

void wait_add(struct wait_queue *q, struct wait_entry *entry);
/* Harmless if it is on no queue. */
void wait_remove(struct wait_entry *entry);
/* Makes entry->task runnable: the wake of an entry that a task sleeps on. */
void wait_wake_task(struct wait_entry *entry, uint32_t events);

/* Wakes everyone on the queue. A queue that goes away must be empty. */
void wake_up_events(struct wait_queue *q, uint32_t events);
static inline void wake_up(struct wait_queue *q)
{
    wake_up_events(q, ~0u);
}

/* "No deadline" for the waits below. Deadlines are in CLOCK_MONOTONIC nanoseconds (clock_monotonic()). */
#define WAIT_FOREVER INT64_MAX

/*
 * Gives the processor away until woken, until the deadline or until a signal is
 * pending. Returns 0, -ETIMEDOUT or -ERESTARTSYS. The caller has put an entry on
 * some queue and checks its condition again: wake-ups may be spurious.
 */
int wait_sleep(int64_t deadline_ns);

/*
 * Sleeps until condition holds: 0, -ETIMEDOUT or -ERESTARTSYS (turn it into
 * -EINTR where signal(7) says the call is never restarted).
 */
#define wait_event_deadline(queue, condition, deadline_ns)                               \
    ({                                                                                   \
        int wait_result_ = 0;                                                            \
        if (!(condition)) {                                                              \
            struct wait_entry wait_entry_ = {.wake = wait_wake_task, .task = current};   \
            wait_add((queue), &wait_entry_);                                             \
            while (!(condition) && !wait_result_) wait_result_ = wait_sleep(deadline_ns); \
            if (wait_result_ && (condition)) wait_result_ = 0;                           \
            wait_remove(&wait_entry_);                                                   \
        }                                                                                \
        wait_result_;                                                                    \
    })
#define wait_event(queue, condition) wait_event_deadline(queue, condition, WAIT_FOREVER)

/*
 * May the current task sleep? Not at boot, when there is no other task, nor in a
 * page fault, nor while a process's memory is being changed: [atomic_begin, atomic_end).
 * Where it may not, the whole guest waits in place (boot/host_wait.h).
 */
bool may_sleep(void);
void atomic_begin(void);
void atomic_end(void);

/* Gives the processor away until woken: for waits that signals do not end, like those for a disk. */
void sleep_uninterruptible(void);
#define wait_uninterruptible(queue, condition)                                           \
    ({                                                                                   \
        if (!(condition)) {                                                              \
            struct wait_entry wait_entry_ = {.wake = wait_wake_task, .task = current};   \
            wait_add((queue), &wait_entry_);                                             \
            while (!(condition)) sleep_uninterruptible();                                \
            wait_remove(&wait_entry_);                                                   \
        }                                                                                \
    })

struct poll_table {
    void (*queue)(struct poll_table *table, struct wait_queue *q);
};

static inline void poll_wait(struct poll_table *table, struct wait_queue *q)
{
    if (table) table->queue(table, q);
}

#endif
