/*
 * linux-vdso.so.1 as programs see it. Clocks are read by calling the host's vDSO,
 * which lies elsewhere after a snapshot is resumed: the kernel refills the data.
 * Clocks that only our kernel knows (processor time) become system calls. Coarse
 * and raw clocks are the plain ones, as in the kernel: whichever way a program
 * reads a clock, it never goes backwards.
 */
#include "time/vdso/vdso.h"

#include <asm/unistd.h>
#include <linux/time.h>
#include <linux/time_types.h>

#define NSEC_PER_SEC 1000000000ll
#define EXPORT __attribute__((visibility("protected"))) /* no detour through a table within the page */

struct timezone_ {
    int minuteswest, dsttime;
};
struct timeval_ {
    int64_t tv_sec, tv_usec;
};

/* In the image, at a place that the kernel finds by its name. */
EXPORT const volatile struct vdso_data __vdso_runnc_data = {0, 0};

EXPORT int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts);
EXPORT int __vdso_gettimeofday(struct timeval_ *tv, struct timezone_ *tz);
EXPORT int64_t __vdso_time(int64_t *t);
EXPORT int __vdso_clock_getres(int clock, struct __kernel_timespec *res);
EXPORT int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static long syscall2(long nr, long a, long b)
{
    long r;

    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return r;
}

int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts)
{
    const uint32_t realtime = 1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE;
    const uint32_t monotonic = 1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_MONOTONIC_COARSE |
                               1u << CLOCK_BOOTTIME;
    uint64_t host = __vdso_runnc_data.host_clock_gettime;
    int64_t offset = __vdso_runnc_data.monotonic_offset_ns;

    if (!host || (unsigned)clock > 31 || !((realtime | monotonic) >> clock & 1))
        return (int)syscall2(__NR_clock_gettime, clock, (long)ts);
    int shifted = (int)(monotonic >> clock & 1);
    int r = ((int (*)(int, struct __kernel_timespec *))host)(shifted ? CLOCK_MONOTONIC : CLOCK_REALTIME, ts);
    if (r || !offset || !shifted) return r;
    int64_t ns = ts->tv_nsec + offset % NSEC_PER_SEC;
    int64_t carry = ns >= NSEC_PER_SEC ? 1 : ns < 0 ? -1 : 0;
    ts->tv_sec += offset / NSEC_PER_SEC + carry;
    ts->tv_nsec = ns - carry * NSEC_PER_SEC;
    return 0;
}

int __vdso_gettimeofday(struct timeval_ *tv, struct timezone_ *tz)
{
    struct __kernel_timespec ts;

    if (tv) {
        int r = __vdso_clock_gettime(CLOCK_REALTIME, &ts);
        if (r) return r;
        tv->tv_sec = ts.tv_sec;
        tv->tv_usec = ts.tv_nsec / 1000;
    }
    if (tz) tz->minuteswest = tz->dsttime = 0;
    return 0;
}

int64_t __vdso_time(int64_t *t)
{
    struct __kernel_timespec ts;

    if (__vdso_clock_gettime(CLOCK_REALTIME_COARSE, &ts)) return -1;
    if (t) *t = ts.tv_sec;
    return ts.tv_sec;
}

int __vdso_clock_getres(int clock, struct __kernel_timespec *res)
{
    return (int)syscall2(__NR_clock_getres, clock, (long)res);
}

int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
    (void)unused;
    if (cpu) *cpu = 0;
    if (node) *node = 0;
    return 0;
}
