/* What packet sockets see: every frame of a device, both ways. */
#ifndef LINUX_NET_LWIP_PACKET_TAP_H
#define LINUX_NET_LWIP_PACKET_TAP_H

#include "lib/types.h"

struct net_device;

extern uint32_t packet_taps; /* sockets that are open */
void packet_tap_frame(struct net_device *device, const uint8_t *frame, uint32_t len, bool outgoing);
/* A whole frame, as a packet socket gives it; at most MTU and Ethernet header. */
void tap_send_raw(struct net_device *device, const void *data, uint32_t len);

#endif
