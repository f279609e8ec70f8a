/* The descriptors that are events: eventfd(2), timerfd(2), signalfd(2). */
#ifndef LINUX_FS_EVENTFD_H
#define LINUX_FS_EVENTFD_H

#include "fs/vfs.h"
#include "task/signal.h"

int eventfd_new(uint64_t count, bool semaphore, int flags, struct file **made);

/* clock: CLOCK_*, checked by the caller. */
int timerfd_new(int clock, int flags, struct file **made);
/* Nanoseconds; value 0 disarms. old_* may not be NULL. EINVAL if file is no timerfd. */
int timerfd_set(struct file *file, int64_t value_ns, int64_t interval_ns, bool absolute, int64_t *old_value_ns,
                int64_t *old_interval_ns);
int timerfd_get(struct file *file, int64_t *value_ns, int64_t *interval_ns);

int signalfd_new(sigset64 mask, int flags, struct file **made);
int signalfd_set(struct file *file, sigset64 mask); /* EINVAL if file is no signalfd */

#endif
