/* Waiting: the epoll set, and the timer with which ABI 2 guests wait for a deadline. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

int watch(struct tender *tender, int fd, uint32_t events, uint64_t data)
{
    /* A guest with epoll_pwait2 has no epoll_ctl: unread input would wake it for ever. */
    const uint32_t edge = is_granted(tender, RUNNC_EXTRA_STDIO) ? EPOLLET : 0;
    struct epoll_event event = {.events = events | edge, .data.u64 = data};

    return epoll_ctl(tender->boot.epollfd, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

static void setup(struct tender *tender)
{
    struct filter *filter = &tender->filter;
    const int epollfd = epoll_create1(EPOLL_CLOEXEC);
    const struct scmp_arg_cmp set = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)epollfd);
    /* No signal mask: a guest could block the host's signals with it. */
    const struct scmp_arg_cmp no_mask = SCMP_A4(SCMP_CMP_EQ, 0);
    int timerfd;

    if (epollfd < 0)
        fail_errno("cannot create the epoll set");
    tender->boot.epollfd = epollfd;
    if (is_granted(tender, RUNNC_EXTRA_STDIO)) {
        filter_allow(filter, "wait", epoll_pwait2, set, no_mask);
        return;
    }

    timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timerfd < 0 || (errno = watch(tender, timerfd, EPOLLIN, SPT_EPOLL_TIMER)) != 0)
        fail_errno("cannot create the timer");
    tender->boot.timerfd = timerfd;
    filter_allow(filter, "wait", epoll_pwait, set, no_mask);
    filter_allow(filter, "deadline", timerfd_settime, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)timerfd),
                 SCMP_A1(SCMP_CMP_EQ, TFD_TIMER_ABSTIME), SCMP_A3(SCMP_CMP_EQ, 0));
}

const struct module module_yield = {.name = "yield", .setup = setup};
