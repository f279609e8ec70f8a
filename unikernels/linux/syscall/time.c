#include <asm/siginfo.h>
#include <linux/capability.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/timex.h>

#include "lib/error.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/signal_deliver.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/cpu_clock.h"
#include "time/itimer_impl.h"
#include "time/posix_timer.h"

#define COARSE_RES_NS 4000000
#define CLOCK_TICK_NS 10000000
#define CPU_SLEEP_STEP_NS 1000000

struct timeval64 {
    int64_t tv_sec, tv_usec;
};
struct itimerval64 {
    struct timeval64 interval, value;
};

static int put_timespec(uaddr_t to, int64_t ns)
{
    struct __kernel_timespec ts = ns_to_timespec(ns);

    return copy_to_user(to, &ts, sizeof ts);
}

long sys_clock_gettime(long clock, long ts)
{
    int64_t ns;
    int err = clock_read((int)clock, &ns);

    return err ? err : put_timespec((uaddr_t)ts, ns);
}

/* The clock is the host's. */
long sys_clock_settime(long clock, long ts)
{
    struct __kernel_timespec t;

    if (clock != CLOCK_REALTIME) return -EINVAL;
    return copy_from_user(&t, (uaddr_t)ts, sizeof t) ? -EFAULT : -EPERM;
}

long sys_clock_getres(long clock, long ts)
{
    int64_t ns;
    int err = clock_read((int)clock, &ns);

    if (err) return err;
    bool coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
    return ts ? put_timespec((uaddr_t)ts, coarse ? COARSE_RES_NS : 1) : 0;
}

static long restart_sleep(struct restart_block *b);

static long sleep_until(int64_t deadline, uaddr_t rem, bool absolute)
{
    int err = 0;

    while (!err) err = wait_sleep(deadline);
    if (err == -ETIMEDOUT) return 0;
    if (absolute) return -ERESTARTNOHAND;
    if (rem && put_timespec(rem, MAX(deadline - clock_monotonic(), 0))) return -EFAULT;
    current->restart = (struct restart_block){.restart = restart_sleep, .deadline_ns = deadline, .arg = rem};
    return -ERESTART_RESTARTBLOCK;
}

static long restart_sleep(struct restart_block *b)
{
    return sleep_until(b->deadline_ns, b->arg, false);
}

/* As with timers on processor time (time/posix_timer.c), the wall's clock tells when to look again. */
static long sleep_on_cpu_time(int clock, int64_t ns, bool absolute, uaddr_t rem)
{
    int64_t now, until;

    clock_read(clock, &now);
    if (absolute) until = ns;
    else if (__builtin_add_overflow(now, ns, &until)) until = INT64_MAX;
    for (; !clock_read(clock, &now) && now < until;) {
        int err = wait_sleep(deadline_after(MAX(until - now, CPU_SLEEP_STEP_NS)));
        if (!err || err == -ETIMEDOUT) continue;
        if (absolute) return -ERESTARTNOHAND;
        return rem && put_timespec(rem, until - now) ? -EFAULT : -EINTR;
    }
    return 0;
}

long sys_clock_nanosleep(long clock, long flags, long request, long rem)
{
    struct __kernel_timespec ts;
    int64_t ns, now;

    if (clock == CLOCK_THREAD_CPUTIME_ID) return -EINVAL;
    int err = clock_read((int)clock, &now);
    if (err) return err;
    int tid;
    bool on_cpu_time = clock_is_cpu((int)clock, &tid);
    if (on_cpu_time && tid == current->tid) return -EINVAL; /* it would not end */
    if (!on_cpu_time && !clock_is_wall((int)clock)) return -EOPNOTSUPP;
    if (copy_from_user(&ts, (uaddr_t)request, sizeof ts)) return -EFAULT;
    err = timespec_to_ns(&ts, &ns);
    if (err) return err;
    bool absolute = flags & TIMER_ABSTIME;
    if (on_cpu_time) return sleep_on_cpu_time((int)clock, ns, absolute, (uaddr_t)rem);
    return sleep_until(clock_deadline((int)clock, ns, absolute), (uaddr_t)rem, absolute);
}

long sys_nanosleep(long request, long rem)
{
    return sys_clock_nanosleep(CLOCK_MONOTONIC, 0, request, rem);
}

static long read_timex(uaddr_t addr)
{
    struct timex t;
    int64_t now = clock_realtime();

    if (copy_from_user(&t, addr, sizeof t)) return -EFAULT;
    if (t.modes) return -EPERM;
    t = (struct timex){.status = STA_UNSYNC, .tick = 10000, .precision = 1, .tolerance = 32768000,
                       .time = {.tv_sec = now / NSEC_PER_SEC, .tv_usec = now % NSEC_PER_SEC / 1000}};
    return copy_to_user(addr, &t, sizeof t) ? -EFAULT : TIME_ERROR;
}

long sys_adjtimex(long timex)
{
    return read_timex((uaddr_t)timex);
}

long sys_clock_adjtime(long clock, long timex)
{
    return clock == CLOCK_REALTIME ? read_timex((uaddr_t)timex) : -EINVAL;
}

long sys_gettimeofday(long tv, long tz)
{
    int64_t ns = clock_realtime();
    struct timeval64 t = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 1000};
    const uint64_t utc = 0;

    if (tv && copy_to_user((uaddr_t)tv, &t, sizeof t)) return -EFAULT;
    if (tz && copy_to_user((uaddr_t)tz, &utc, sizeof utc)) return -EFAULT;
    return 0;
}

long sys_settimeofday(long tv, long tz)
{
    (void)tv, (void)tz;
    return -EPERM;
}

long sys_time(long t)
{
    int64_t s = clock_realtime() / NSEC_PER_SEC;

    if (t && put_user_u64((uaddr_t)t, (uint64_t)s)) return -EFAULT;
    return s;
}

long sys_times(long buf)
{
    const struct process *p = current->process;
    int64_t t[4] = {process_cpu_ns(p) / CLOCK_TICK_NS, 0, p->children_cpu_ns / CLOCK_TICK_NS, 0};

    if (buf && copy_to_user((uaddr_t)buf, t, sizeof t)) return -EFAULT;
    return clock_monotonic() / CLOCK_TICK_NS;
}

/* ---- interval timers ---- */

static struct timeval64 to_timeval(int64_t ns)
{
    int64_t us = (ns + 999) / 1000;

    return (struct timeval64){us / 1000000, us % 1000000};
}

static int from_timeval(const struct timeval64 *tv, int64_t *ns)
{
    struct __kernel_timespec ts = {tv->tv_sec, tv->tv_usec * 1000};

    if (tv->tv_usec < 0 || tv->tv_usec >= 1000000) return -EINVAL;
    return timespec_to_ns(&ts, ns);
}

static void read_itimer(int which, struct itimerval64 *v)
{
    struct itimers *it = current->process->itimers;
    int64_t left = 0, interval = 0;

    if (it && which == ITIMER_REAL) {
        if (timer_armed(&it->real)) left = MAX(it->real.deadline_ns - clock_monotonic(), 1000);
        interval = it->real_interval_ns;
    } else if (it) {
        const struct cpu_itimer *c = &it->cpu[which - 1];
        if (c->deadline_ns) left = MAX(c->deadline_ns - process_cpu_ns(current->process), 1000);
        interval = c->interval_ns;
    }
    *v = (struct itimerval64){to_timeval(interval), to_timeval(left)};
}

static int write_itimer(int which, int64_t value, int64_t interval)
{
    struct itimers *it = itimers_of(current->process);

    if (!it) return -ENOMEM;
    if (which == ITIMER_REAL) {
        timer_cancel(&it->real);
        it->real_interval_ns = value ? interval : 0;
        if (value) timer_arm(&it->real, deadline_after(value));
    } else {
        struct cpu_itimer *c = &it->cpu[which - 1];
        c->deadline_ns = value ? process_cpu_ns(current->process) + value : 0;
        c->interval_ns = interval;
    }
    return 0;
}

long sys_getitimer(long which, long value)
{
    struct itimerval64 v;

    if ((unsigned long)which > ITIMER_PROF) return -EINVAL;
    read_itimer((int)which, &v);
    return copy_to_user((uaddr_t)value, &v, sizeof v);
}

long sys_setitimer(long which, long new, long old)
{
    struct itimerval64 v = {0}, before;
    int64_t value, interval;

    if (new && copy_from_user(&v, (uaddr_t)new, sizeof v)) return -EFAULT;
    if ((unsigned long)which > ITIMER_PROF) return -EINVAL;
    int err = from_timeval(&v.value, &value);
    if (!err) err = from_timeval(&v.interval, &interval);
    if (err) return err;
    read_itimer((int)which, &before);
    err = write_itimer((int)which, value, interval);
    if (err) return err;
    return old ? copy_to_user((uaddr_t)old, &before, sizeof before) : 0;
}

long sys_alarm(long seconds)
{
    struct itimerval64 before;

    read_itimer(ITIMER_REAL, &before);
    int err = write_itimer(ITIMER_REAL, (int64_t)(uint32_t)seconds * NSEC_PER_SEC, 0);
    if (err) return err;
    /* Rounded, but never to 0 while it runs. */
    int64_t s = before.value.tv_sec + (before.value.tv_usec >= 500000);
    return !s && before.value.tv_usec ? 1 : s;
}

/* ---- POSIX timers ---- */

struct sigevent64 {
    uint64_t value;
    int32_t sig, notify, tid;
    int32_t pad[11];
};
_Static_assert(sizeof(struct sigevent64) == 64, "struct sigevent of the ABI");

long sys_timer_create(long clock, long event, long id)
{
    struct sigevent64 ev = {.sig = SIGALRM, .notify = SIGEV_SIGNAL};
    int64_t now;
    int err = clock_read((int)clock, &now);

    if (err) return err;
    int cpu_tid;
    bool on_cpu_time = clock_is_cpu((int)clock, &cpu_tid);
    if (!on_cpu_time && !clock_is_wall((int)clock)) return -EOPNOTSUPP;
    if (event) {
        if (copy_from_user(&ev, (uaddr_t)event, sizeof ev)) return -EFAULT;
        int kind = ev.notify & ~SIGEV_THREAD_ID;
        if (kind != SIGEV_NONE && kind != SIGEV_SIGNAL && kind != SIGEV_THREAD) return -EINVAL;
        if (kind != SIGEV_NONE && (ev.sig < 1 || ev.sig > SIG_COUNT)) return -EINVAL;
        if (ev.notify & SIGEV_THREAD_ID) {
            struct task *t = task_find(ev.tid);
            if (!t || t->process != current->process) return -EINVAL;
        }
    }
    struct posix_timer *t = posix_timer_new();
    if (!t) return -EAGAIN;
    t->clock = (int)clock;
    t->on_cpu_time = on_cpu_time;
    t->cpu_tid = cpu_tid;
    t->notify = ev.notify;
    t->sig = ev.sig;
    t->tid = ev.tid;
    t->value = event ? ev.value : (uint64_t)t->id;
    err = put_user_u32((uaddr_t)id, (uint32_t)t->id);
    if (err) posix_timer_delete(t);
    return err;
}

static struct __kernel_itimerspec timer_state(const struct posix_timer *t)
{
    return (struct __kernel_itimerspec){ns_to_timespec(t->interval_ns), ns_to_timespec(posix_timer_left(t))};
}

long sys_timer_settime(long id, long flags, long new, long old)
{
    struct posix_timer *t = posix_timer_find((int)id);
    struct __kernel_itimerspec spec, before;
    int64_t value, interval;

    if (!new) return -EINVAL;
    if (copy_from_user(&spec, (uaddr_t)new, sizeof spec)) return -EFAULT;
    int err = timespec_to_ns(&spec.it_value, &value);
    if (!err) err = timespec_to_ns(&spec.it_interval, &interval);
    if (err || !t) return -EINVAL;
    before = timer_state(t);
    timer_cancel(&t->timer);
    t->interval_ns = value ? interval : 0;
    t->overrun = 0;
    if (value) posix_timer_arm(t, value, flags & TIMER_ABSTIME);
    return old ? copy_to_user((uaddr_t)old, &before, sizeof before) : 0;
}

long sys_timer_gettime(long id, long value)
{
    struct posix_timer *t = posix_timer_find((int)id);

    if (!t) return -EINVAL;
    struct __kernel_itimerspec now = timer_state(t);
    return copy_to_user((uaddr_t)value, &now, sizeof now);
}

long sys_timer_getoverrun(long id)
{
    struct posix_timer *t = posix_timer_find((int)id);

    return t ? t->overrun : -EINVAL;
}

long sys_timer_delete(long id)
{
    struct posix_timer *t = posix_timer_find((int)id);

    if (!t) return -EINVAL;
    posix_timer_delete(t);
    return 0;
}
