/* Taps, plain or with virtio-net headers: what the modules net and vnet have in common. All end
 * through fail(), with (what) in front of the message. */
#ifndef RUNNC_TAP_H
#define RUNNC_TAP_H

#include "tender.h"

#include <linux/if.h>

/* Opens the tap of this name, or takes "@FD", for reading and writing and non-blocking. */
int tap_open(const char *source, bool vnet, const char *what);

/*
 * Checks that a descriptor carries frames in the form that the guest expects,
 * and turns on the offloads of one that has virtio-net headers. Returns false
 * for a socket, which is good for testing; true with the interface in *tap for
 * a tap.
 */
bool tap_check(int fd, bool vnet, const char *source, const char *what, struct ifreq *tap);

/* The filter rules: one frame a call, in and out. */
void tap_allow(struct tender *tender, const char *why, int fd);

#endif
