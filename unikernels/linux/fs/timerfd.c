#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time.h>

#include "fs/eventfd.h"
#include "fs/seq_file.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/timer.h"

struct timerfd {
    struct timer timer;
    int clock;
    uint64_t ticks; /* expirations not yet read */
    bool expired;   /* once; an interval's later ones are counted when it is read, not before: no idle wake-ups */
    int64_t deadline_ns, interval_ns; /* CLOCK_MONOTONIC; deadline 0: disarmed */
    struct wait_queue wait;
};

static void timerfd_fire(struct timer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);

    t->expired = true;
    t->ticks++;
    wake_up_events(&t->wait, EPOLLIN);
}

/* Counts the expirations of an interval since the timer fired, and arms it for the next one. */
static void catch_up(struct timerfd *t)
{
    if (!t->expired || t->interval_ns == 0)
        return;
    int64_t now = clock_monotonic();
    int64_t missed = now > t->deadline_ns ? (now - t->deadline_ns) / t->interval_ns : 0;
    t->ticks += (uint64_t)missed;
    t->deadline_ns += (missed + 1) * t->interval_ns;
    t->expired = false;
    timer_arm(&t->timer, t->deadline_ns);
}

static int64_t timerfd_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct timerfd *t = kiocb->file->f_private;

    if (to->count < sizeof(uint64_t))
        return -EINVAL;
    if (t->ticks == 0) {
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&t->wait, t->ticks > 0);
        if (err)
            return err;
    }
    catch_up(t);
    uint64_t ticks = t->ticks;
    t->ticks = 0;
    t->expired = false;
    ssize_t copied = copy_to_iter(to, &ticks, sizeof(ticks));
    return copied < (ssize_t)sizeof(ticks) ? -EFAULT : copied;
}

static uint32_t timerfd_poll(struct file *file, struct poll_table *table)
{
    struct timerfd *t = file->f_private;

    poll_wait(table, &t->wait);
    return t->ticks > 0 ? EPOLLIN | EPOLLRDNORM : 0;
}

static void timerfd_release(struct file *file)
{
    struct timerfd *t = file->f_private;

    timer_cancel(&t->timer);
    kfree(t);
}

static void timerfd_show_fdinfo(struct file *file, struct seq_file *seq)
{
    const struct timerfd *t = file->f_private;

    seq_printf(seq, "clockid: %d\nticks: %llu\nsettime flags: 00\n", t->clock, (unsigned long long)t->ticks);
}

static const struct file_operations timerfd_operations = {
    .release = timerfd_release,
    .read = timerfd_read,
    .poll = timerfd_poll,
    .llseek = noop_llseek,
    .show_fdinfo = timerfd_show_fdinfo,
};

int timerfd_new(int clock, int flags, struct file **made)
{
    struct timerfd *t = kzalloc(sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->clock = clock;
    timer_init(&t->timer, timerfd_fire);
    wait_queue_init(&t->wait);
    int err = anon_file("anon_inode:[timerfd]", NULL, &timerfd_operations, t, O_RDWR | (flags & O_NONBLOCK), made);
    if (err)
        kfree(t);
    return err;
}

int timerfd_get(struct file *file, int64_t *value_ns, int64_t *interval_ns)
{
    if (file->f_op != &timerfd_operations)
        return -EINVAL;
    struct timerfd *t = file->f_private;
    uint64_t unread = t->ticks;
    catch_up(t);
    /* What an interval counted since is for the reader, as before. */
    if (t->ticks != unread)
        wake_up_events(&t->wait, EPOLLIN);
    *interval_ns = t->interval_ns;
    *value_ns = 0;
    if (t->deadline_ns > 0 && timer_armed(&t->timer))
        *value_ns = MAX(t->deadline_ns - clock_monotonic(), 1);
    return 0;
}

int timerfd_set(struct file *file, int64_t value_ns, int64_t interval_ns, bool absolute, int64_t *old_value_ns,
                int64_t *old_interval_ns)
{
    int err = timerfd_get(file, old_value_ns, old_interval_ns);

    if (err)
        return err;
    struct timerfd *t = file->f_private;
    timer_cancel(&t->timer);
    t->ticks = 0;
    t->expired = false;
    t->interval_ns = interval_ns;
    t->deadline_ns = 0;
    if (value_ns == 0)
        return 0;
    if (!absolute)
        t->deadline_ns = deadline_after(value_ns);
    else if (t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM)
        t->deadline_ns = timer_deadline_realtime(value_ns);
    else
        t->deadline_ns = value_ns;
    timer_arm(&t->timer, t->deadline_ns);
    return 0;
}
