/*
 * Kernel timers: a function called from the scheduler once a deadline has
 * passed. It runs in no task's context, must not sleep, and may arm itself
 * again. Deadlines are CLOCK_MONOTONIC nanoseconds; for CLOCK_REALTIME convert
 * by timer_deadline_realtime (the host's clock steps are not followed).
 */
#ifndef LINUX_TIME_TIMER_H
#define LINUX_TIME_TIMER_H

#include "lib/list.h"
#include "lib/types.h"

struct timer {
    struct list link;
    int64_t deadline_ns;
    void (*fire)(struct timer *);
};

void timer_init(struct timer *t, void (*fire)(struct timer *));
/* Moves it if it is armed already. */
void timer_arm(struct timer *t, int64_t deadline_ns);
void timer_cancel(struct timer *t); /* harmless if not armed */
bool timer_armed(const struct timer *t);
int64_t timer_deadline_realtime(int64_t realtime_ns);

#endif
