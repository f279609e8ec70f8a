/*
 * The host calls of spt ABI 2. Each passes its arguments through and returns
 * what the kernel does: a result, or a negative errno.
 */
#ifndef SOLO5_SPT_SYS_H
#define SOLO5_SPT_SYS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYS_read = 0,
    SYS_write = 1,
    SYS_pread64 = 17,
    SYS_pwrite64 = 18,
    SYS_arch_prctl = 158,
    SYS_clock_gettime = 228,
    SYS_exit_group = 231,
    SYS_epoll_pwait = 281,
    SYS_timerfd_settime = 286,
};

enum {
    SYS_STDOUT = 1,
    SYS_EINTR = 4,
    SYS_EAGAIN = 11,
    SYS_CLOCK_REALTIME = 0,
    SYS_CLOCK_MONOTONIC = 1,
    SYS_TFD_TIMER_ABSTIME = 1,
    SYS_ARCH_SET_FS = 0x1002,
};

struct sys_timespec {
    int64_t tv_sec;
    int64_t tv_nsec;
};

struct sys_itimerspec {
    struct sys_timespec it_interval;
    struct sys_timespec it_value;
};

struct sys_epoll_event {
    uint32_t events;
    uint64_t data;
} __attribute__((packed));

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}

static inline long sys_read(int fd, void *buf, size_t size)
{
    return sys4(SYS_read, fd, (long)buf, (long)size, 0);
}

static inline long sys_write(int fd, const void *buf, size_t size)
{
    return sys4(SYS_write, fd, (long)buf, (long)size, 0);
}

static inline long sys_pread64(int fd, void *buf, size_t size, uint64_t offset)
{
    return sys4(SYS_pread64, fd, (long)buf, (long)size, (long)offset);
}

static inline long sys_pwrite64(int fd, const void *buf, size_t size, uint64_t offset)
{
    return sys4(SYS_pwrite64, fd, (long)buf, (long)size, (long)offset);
}

static inline long sys_clock_gettime(int clock, struct sys_timespec *ts)
{
    return sys4(SYS_clock_gettime, clock, (long)ts, 0, 0);
}

static inline long sys_timerfd_settime(int fd, int flags, const struct sys_itimerspec *it)
{
    return sys4(SYS_timerfd_settime, fd, flags, (long)it, 0);
}

static inline long sys_epoll_pwait(int epfd, struct sys_epoll_event *events, int max, int timeout_ms)
{
    return sys6(SYS_epoll_pwait, epfd, (long)events, max, timeout_ms, 0, 0);
}

static inline long sys_set_fs(uint64_t base)
{
    return sys4(SYS_arch_prctl, SYS_ARCH_SET_FS, (long)base, 0, 0);
}

static inline _Noreturn void sys_exit_group(int status)
{
    for (;;)
        sys4(SYS_exit_group, status, 0, 0, 0);
}

#endif
