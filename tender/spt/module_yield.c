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
    struct epoll_event event = {.events = events, .data.u64 = data};

    return epoll_ctl(tender->boot.epollfd, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

static void setup(struct tender *tender)
{
    struct filter *filter = &tender->filter;
    const int epollfd = epoll_create1(EPOLL_CLOEXEC);
    const int timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (epollfd < 0 || timerfd < 0)
        fail_errno("cannot create the epoll set and its timer");
    tender->boot.epollfd = epollfd;
    tender->boot.timerfd = timerfd;
    if (watch(tender, timerfd, EPOLLIN, SPT_EPOLL_TIMER) != 0)
        fail_errno("cannot watch the timer");

    /* No signal mask: a guest has no signals to mask, and could block the host's. */
    filter_allow(filter, "wait", epoll_pwait, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)epollfd),
                 SCMP_A4(SCMP_CMP_EQ, 0));
    filter_allow(filter, "deadline", timerfd_settime, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)timerfd),
                 SCMP_A1(SCMP_CMP_EQ, TFD_TIMER_ABSTIME), SCMP_A3(SCMP_CMP_EQ, 0));
}

const struct module module_yield = {.name = "yield", .setup = setup};
