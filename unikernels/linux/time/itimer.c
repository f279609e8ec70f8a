/*
 * setitimer(2). ITIMER_REAL is a kernel timer; the two that count processor time
 * are looked at on the scheduler's ticks, so they are as fine as those. So is
 * RLIMIT_CPU.
 */
#include "time/itimer.h"

#include <linux/signal.h>

#include "lib/error.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/itimer_impl.h"

static void real_fired(struct timer *timer)
{
    struct itimers *it = container_of(timer, struct itimers, real);

    if (it->real_interval_ns) {
        /* Beats that were missed are not made up for: SIGALRM does not queue. */
        int64_t missed = (clock_monotonic() - timer->deadline_ns) / it->real_interval_ns;
        timer_arm(timer, timer->deadline_ns + (missed + 1) * it->real_interval_ns);
    }
    signal_send_process(it->process, SIGALRM);
}

struct itimers *itimers_of(struct process *p)
{
    if (!p->itimers) {
        p->itimers = kzalloc(sizeof *p->itimers);
        if (!p->itimers) return NULL;
        p->itimers->process = p;
        timer_init(&p->itimers->real, real_fired);
    }
    return p->itimers;
}

/* At the soft limit SIGXCPU, and again each second, as Linux: by moving the limit on. At the hard one the end. */
static void check_cpu_limit(struct process *p)
{
    struct rlimit64 *limit = &p->rlimits[RLIMIT_CPU];

    if (likely(limit->rlim_cur == RLIM64_INFINITY && limit->rlim_max == RLIM64_INFINITY)) return;
    uint64_t seconds = (uint64_t)process_cpu_ns(p) / NSEC_PER_SEC;
    if (seconds >= limit->rlim_max) {
        signal_send_process(p, SIGKILL);
    } else if (seconds >= limit->rlim_cur) {
        limit->rlim_cur++;
        signal_send_process(p, SIGXCPU);
    }
}

void itimers_tick(struct process *p)
{
    static const int signals[CPU_ITIMERS] = {SIGVTALRM, SIGPROF};
    struct itimers *it = p->itimers;

    check_cpu_limit(p);
    if (!it) return;
    for (int i = 0; i < CPU_ITIMERS; i++) {
        struct cpu_itimer *c = &it->cpu[i];
        if (!c->deadline_ns || process_cpu_ns(p) < c->deadline_ns) continue;
        c->deadline_ns = c->interval_ns ? c->deadline_ns + c->interval_ns : 0;
        signal_send_process(p, signals[i]);
    }
}

void itimers_exit(struct process *p)
{
    posix_timers_delete(p);
    if (!p->itimers) return;
    timer_cancel(&p->itimers->real);
    kfree(p->itimers);
    p->itimers = NULL;
}
