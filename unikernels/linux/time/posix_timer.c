#include "time/posix_timer.h"

#include <asm/siginfo.h>

#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/itimer.h"

static void fired(struct timer *timer)
{
    struct posix_timer *t = container_of(timer, struct posix_timer, timer);
    struct process *p = t->process;

    t->overrun = 0;
    if (t->interval_ns) {
        int64_t late = clock_monotonic() - timer->deadline_ns;
        int64_t missed = late > 0 ? late / t->interval_ns : 0;
        t->overrun = (int)MIN(missed, INT32_MAX);
        timer_arm(timer, timer->deadline_ns + (missed + 1) * t->interval_ns);
    }
    if (t->notify == SIGEV_NONE) return;
    struct task *only = t->notify & SIGEV_THREAD_ID ? task_find(t->tid) : NULL;
    if (only && only->process != p) only = NULL;
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
    return MAX(t->timer.deadline_ns - clock_monotonic(), 1);
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
