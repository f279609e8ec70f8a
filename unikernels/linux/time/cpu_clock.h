/* Clocks that measure processor time, and clock ids in general. */
#ifndef LINUX_TIME_CPU_CLOCK_H
#define LINUX_TIME_CPU_CLOCK_H

#include "lib/types.h"

/* Any clock that clock_gettime(2) knows, dynamic per-process ones included: 0 or -EINVAL. */
int clock_read(int clock, int64_t *ns);
/* One that can be slept on and timed with: CLOCK_REALTIME, MONOTONIC, BOOTTIME, TAI and the alarm clocks. */
bool clock_is_wall(int clock);
bool clock_is_realtime(int clock);
/* One of the running process's processor time: *tid is 0 for all of it, else its thread. */
bool clock_is_cpu(int clock, int *tid);
/* Deadline (CLOCK_MONOTONIC ns) of a time of one of those clocks. */
int64_t clock_deadline(int clock, int64_t ns, bool absolute);

#endif
