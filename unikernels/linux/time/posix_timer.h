/* timer_create(2) and its family. */
#ifndef LINUX_TIME_POSIX_TIMER_H
#define LINUX_TIME_POSIX_TIMER_H

#include <linux/time_types.h>

#include "task/signal.h"
#include "time/timer.h"

struct posix_timer {
    struct list link; /* in process->posix_timers */
    struct process *process;
    int id, clock;
    int notify, sig, tid; /* SIGEV_* */
    uint64_t value;
    struct timer timer;
    int64_t interval_ns;
    bool on_cpu_time;
    int cpu_tid;             /* whose processor time; 0: the process's */
    int64_t cpu_deadline_ns; /* on that clock, while armed */
    int overrun;
};

struct posix_timer *posix_timer_find(int id); /* of the running process */
/* Starts it with a value of its clock. */
void posix_timer_arm(struct posix_timer *t, int64_t value_ns, bool absolute);
/* Armed until: ns from now, 0 if it is not. */
int64_t posix_timer_left(const struct posix_timer *t);
struct posix_timer *posix_timer_new(void); /* NULL: ENOMEM; linked to the running process */
void posix_timer_delete(struct posix_timer *t);

#endif
