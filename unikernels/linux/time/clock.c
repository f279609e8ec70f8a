#include "time/clock.h"

#include <linux/time.h>

#include "boot/host_wait.h"
#include "entry/entry.h"
#include "mm/uaccess.h"
#include "task/wait.h"
#include "time/vdso_setup.h"

static struct {
    int (*vdso_clock_gettime)(int clock, struct __kernel_timespec *ts);
    int64_t monotonic_offset;
} clock;

void clock_init(void)
{
    const struct runnc_boot_info *info = host_boot_info();

    clock.monotonic_offset = info->epoch_offset_ns;
    clock.vdso_clock_gettime =
        (int (*)(int, struct __kernel_timespec *))host_vdso_symbol(info->vdso, "__vdso_clock_gettime");
}

static int64_t read_host(int id)
{
    struct __kernel_timespec ts = {0};

    if (!clock.vdso_clock_gettime) return host_clock(id);
    /* Where the vDSO cannot read the clock it falls back to a system call: entry/event.c makes it. */
    host_vdso_active = true;
    int err = clock.vdso_clock_gettime(id, &ts);
    host_vdso_active = false;
    return err ? host_clock(id) : ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_monotonic(void)
{
    return read_host(CLOCK_MONOTONIC) + clock.monotonic_offset;
}

int64_t clock_realtime(void)
{
    return read_host(CLOCK_REALTIME);
}

struct __kernel_timespec clock_now(void)
{
    return ns_to_timespec(clock_realtime());
}

int timespec_to_ns(const struct __kernel_timespec *ts, int64_t *ns)
{
    if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= NSEC_PER_SEC) return -EINVAL;
    if (__builtin_mul_overflow(ts->tv_sec, NSEC_PER_SEC, ns) || __builtin_add_overflow(*ns, ts->tv_nsec, ns))
        *ns = INT64_MAX;
    return 0;
}

struct __kernel_timespec ns_to_timespec(int64_t ns)
{
    struct __kernel_timespec ts = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += NSEC_PER_SEC;
    }
    return ts;
}

int64_t deadline_after(int64_t ns)
{
    int64_t deadline;

    return __builtin_add_overflow(clock_monotonic(), ns, &deadline) ? WAIT_FOREVER : deadline;
}

int deadline_from_user_timespec(uaddr_t addr, int64_t *deadline_ns)
{
    struct __kernel_timespec ts;
    int64_t ns;

    *deadline_ns = WAIT_FOREVER;
    if (!addr) return 0;
    int err = copy_from_user(&ts, addr, sizeof ts);
    if (!err) err = timespec_to_ns(&ts, &ns);
    if (!err) *deadline_ns = deadline_after(ns);
    return err;
}
