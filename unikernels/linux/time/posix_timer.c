#include "time/posix_timer.h"

#include <asm/siginfo.h>

#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/cpu_clock.h"
#include "time/itimer.h"

#define CPU_TIMER_STEP_NS 1000000

static int64_t cpu_now(const struct posix_timer *t)
{
    const struct task *task = t->cpu_tid ? task_find(t->cpu_tid) : NULL;

    if (t->cpu_tid) return task && task->process == t->process ? task_cpu_ns(task) : 0;
    return process_cpu_ns(t->process);
}

/*
 * There is one processor, so no clock of processor time is faster than the wall's:
 * what is missing until the deadline must pass there too. Then it is looked at again.
 */
static void wait_for_cpu_time(struct posix_timer *t)
{
    timer_arm(&t->timer, deadline_after(MAX(t->cpu_deadline_ns - cpu_now(t), CPU_TIMER_STEP_NS)));
}

void posix_timer_arm(struct posix_timer *t, int64_t value_ns, bool absolute)
{
    if (!t->on_cpu_time) {
        timer_arm(&t->timer, clock_deadline(t->clock, value_ns, absolute));
        return;
    }
    if (absolute)
        t->cpu_deadline_ns = value_ns;
    else if (__builtin_add_overflow(cpu_now(t), value_ns, &t->cpu_deadline_ns))
        t->cpu_deadline_ns = INT64_MAX;
    wait_for_cpu_time(t);
}

/* Arms it for its next beat; returns how many were missed. */
static int next_beat(struct posix_timer *t)
{
    int64_t *deadline = t->on_cpu_time ? &t->cpu_deadline_ns : &t->timer.deadline_ns;
    int64_t late = (t->on_cpu_time ? cpu_now(t) : clock_monotonic()) - *deadline;

    if (!t->interval_ns) return 0;
    int64_t missed = late > 0 ? late / t->interval_ns : 0;
    int64_t next = *deadline + (missed + 1) * t->interval_ns;
    if (t->on_cpu_time) {
        t->cpu_deadline_ns = next;
        wait_for_cpu_time(t);
    } else {
        timer_arm(&t->timer, next);
    }
    return (int)MIN(missed, INT32_MAX);
}

static void fired(struct timer *timer)
{
    struct posix_timer *t = container_of(timer, struct posix_timer, timer);
    struct process *p = t->process;

    if (t->on_cpu_time && cpu_now(t) < t->cpu_deadline_ns) {
        wait_for_cpu_time(t);
        return;
    }
    int missed = next_beat(t);
    if (t->notify == SIGEV_NONE) return;
    struct task *only = t->notify & SIGEV_THREAD_ID ? task_find(t->tid) : NULL;
    if (only && only->process != p) only = NULL;
    /* A timer has one signal: while that waits to be delivered, the rest is overrun. */
    struct siginfo64 *waiting = signal_find_timer(only ? &only->pending : &p->pending, t->sig, t->id);
    if (waiting) {
        if (__builtin_add_overflow(t->overrun, missed + 1, &t->overrun)) t->overrun = INT32_MAX;
        waiting->timer.overrun = t->overrun;
        return;
    }
    t->overrun = missed;
    struct siginfo64 info = {.si_signo = t->sig, .si_code = SI_TIMER,
                             .timer = {.timerid = t->id, .overrun = t->overrun, .value = t->value}};
    signal_send_info(p, only, &info);
}

struct posix_timer *posix_timer_new(void)
{
    struct posix_timer *t = kzalloc(sizeof *t);

    if (!t) return NULL;
    t->process = current->process;
    t->id = current->process->next_timer_id++;
    timer_init(&t->timer, fired);
    list_add_tail(&current->process->posix_timers, &t->link);
    return t;
}

struct posix_timer *posix_timer_find(int id)
{
    struct posix_timer *t;

    list_for_each(t, &current->process->posix_timers, link)
        if (t->id == id) return t;
    return NULL;
}

int64_t posix_timer_left(const struct posix_timer *t)
{
    if (!timer_armed(&t->timer)) return 0;
    return MAX(t->on_cpu_time ? t->cpu_deadline_ns - cpu_now(t) : t->timer.deadline_ns - clock_monotonic(), 1);
}

void posix_timer_delete(struct posix_timer *t)
{
    timer_cancel(&t->timer);
    list_del(&t->link);
    kfree(t);
}

void posix_timers_delete(struct process *p)
{
    while (!list_empty(&p->posix_timers))
        posix_timer_delete(list_first(&p->posix_timers, struct posix_timer, link));
}
