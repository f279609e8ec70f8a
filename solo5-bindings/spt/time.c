/* Clocks, and the one call that waits. */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

#define NSEC_PER_SEC 1000000000ull

static solo5_time_t clock(int which)
{
    struct sys_timespec ts;

    if (sys_clock_gettime(which, &ts) != 0)
        spt_panic("clock_gettime failed\n");
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

solo5_time_t solo5_clock_monotonic(void)
{
    return clock(SYS_CLOCK_MONOTONIC);
}

solo5_time_t solo5_clock_wall(void)
{
    return clock(SYS_CLOCK_REALTIME);
}

/*
 * epoll counts in milliseconds, deadlines are in nanoseconds: so the deadline is
 * set on the tender's timerfd, which is in the epoll set and runs on the same
 * clock as solo5_clock_monotonic().
 */
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready_set)
{
    struct sys_epoll_event events[SOLO5_MFT_MAX_ENTRIES + 1]; /* every device and the timer */
    solo5_handle_set_t ready = 0;
    const struct sys_itimerspec it = {
        .it_value = {
            .tv_sec = (int64_t)(deadline / NSEC_PER_SEC),
            /* All zero would disarm the timer and wait for ever. */
            .tv_nsec = (int64_t)(deadline % NSEC_PER_SEC) | 1,
        },
    };
    long n;

    if (sys_timerfd_settime(spt_boot->timerfd, SYS_TFD_TIMER_ABSTIME, &it) != 0)
        spt_panic("timerfd_settime failed\n");
    do {
        n = sys_epoll_pwait(spt_boot->epollfd, events, SOLO5_MFT_MAX_ENTRIES + 1, -1);
    } while (n == -SYS_EINTR);
    if (n < 0)
        spt_panic("epoll_pwait failed\n");
    for (long i = 0; i < n; i++)
        if (events[i].data < SOLO5_MFT_MAX_ENTRIES)
            ready |= 1ull << events[i].data;
    if (ready_set != NULL)
        *ready_set = ready;
}
