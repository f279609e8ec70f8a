/* Host calls that only boot, the scheduler, the clocks and mm use. */
#ifndef LINUX_BOOT_HOST_WAIT_H
#define LINUX_BOOT_HOST_WAIT_H

#include "boot/host.h"

void host_init(const struct runnc_boot_info *info);

/*
 * Waits for host descriptors, a host signal or the time-out (nanoseconds;
 * WAIT_FOREVER), and wakes up the queues of what came. False: the time is over.
 */
bool host_wait(int64_t timeout_ns);
/* Somebody sleeps on a host descriptor. */
bool host_has_sources(void);

/* The slow way to a clock (CLOCK_REALTIME, CLOCK_MONOTONIC): nanoseconds. */
int64_t host_clock(int clock);
void host_set_fsbase(uint64_t base);
bool host_has_memctl(void);
/* memctl: takes the rootfs image's pages out of our page table; they come back when they are touched. */
void host_discard_image(void);

#endif
