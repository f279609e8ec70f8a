/*
 * Clocks, read through the host's vDSO (no host call). CLOCK_MONOTONIC has the
 * boot info's offset added, so that it runs on over a snapshot.
 */
#ifndef LINUX_TIME_CLOCK_H
#define LINUX_TIME_CLOCK_H

#include <linux/time_types.h>

#include "lib/error.h"
#include "lib/types.h"

int64_t clock_monotonic(void); /* nanoseconds */
int64_t clock_realtime(void);  /* nanoseconds since the epoch */
struct __kernel_timespec clock_now(void); /* CLOCK_REALTIME, for inode times */

/* Nanoseconds, cut at INT64_MAX; -EINVAL if negative or tv_nsec is out of range. */
int timespec_to_ns(const struct __kernel_timespec *ts, int64_t *ns);
struct __kernel_timespec ns_to_timespec(int64_t ns);

/*
 * Absolute CLOCK_MONOTONIC deadline for a relative time-out that the program
 * passes: a timespec at addr (WAIT_FOREVER if addr is 0). 0, -EFAULT, -EINVAL.
 */
int deadline_from_user_timespec(uaddr_t addr, int64_t *deadline_ns);
/* Deadline for now + ns, cut at WAIT_FOREVER. */
int64_t deadline_after(int64_t ns);

#endif
