#ifndef LINUX_NET_INET_LINK_FLAGS_H
#define LINUX_NET_INET_LINK_FLAGS_H

#include "lib/types.h"

struct net_device;

/* IFF_* of a device: they never change. */
uint32_t link_flags(const struct net_device *device);

#endif
