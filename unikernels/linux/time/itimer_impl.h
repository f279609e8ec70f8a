#ifndef LINUX_TIME_ITIMER_IMPL_H
#define LINUX_TIME_ITIMER_IMPL_H

#include "time/timer.h"

struct process;

#define CPU_ITIMERS 2 /* ITIMER_VIRTUAL, ITIMER_PROF: their signals differ, their clock does not */

struct cpu_itimer {
    int64_t deadline_ns; /* of processor time; 0: off */
    int64_t interval_ns;
};

struct itimers {
    struct process *process;
    struct timer real;
    int64_t real_interval_ns;
    struct cpu_itimer cpu[CPU_ITIMERS];
};

/* Made when first used; NULL: ENOMEM. */
struct itimers *itimers_of(struct process *p);
/* On the scheduler's ticks. */
void itimers_tick(struct process *p);

#endif
