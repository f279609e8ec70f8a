#include "time/timer_impl.h"

#include "task/wait.h"
#include "time/clock.h"

/* By deadline. A new timer mostly belongs near the end, so it is placed from there. */
static struct list armed = {&armed, &armed};

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
    list_init(&t->link);
    t->fire = fire;
}

bool timer_armed(const struct timer *t)
{
    return t->link.next && !list_empty(&t->link);
}

void timer_arm(struct timer *t, int64_t deadline_ns)
{
    struct list *after;

    list_del(&t->link);
    t->deadline_ns = deadline_ns;
    for (after = armed.prev; after != &armed; after = after->prev)
        if (list_entry(after, struct timer, link)->deadline_ns <= deadline_ns) break;
    list_add(after, &t->link);
}

void timer_cancel(struct timer *t)
{
    if (t->link.next) list_del(&t->link);
}

int64_t timers_next(void)
{
    return list_empty(&armed) ? WAIT_FOREVER : list_first(&armed, struct timer, link)->deadline_ns;
}

void timers_run(void)
{
    if (list_empty(&armed)) return;
    int64_t now = clock_monotonic();
    while (!list_empty(&armed)) {
        struct timer *t = list_first(&armed, struct timer, link);
        if (t->deadline_ns > now) return;
        list_del(&t->link);
        t->fire(t);
    }
}

int64_t timer_deadline_realtime(int64_t realtime_ns)
{
    return deadline_after(MAX(realtime_ns - clock_realtime(), 0));
}
