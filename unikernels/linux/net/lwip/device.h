/*
 * Network devices: lo, and one for each tap that the runtime gave. Addresses,
 * routes and neighbours are those of the boot config; nothing changes them.
 *
 * Everything below net/lwip/ and net/inet/ runs to its end without waiting, so
 * nothing here needs a lock. lwIP is entered through net_enter() and left
 * through net_leave(), which sends what was put together meanwhile.
 */
#ifndef LINUX_NET_LWIP_DEVICE_H
#define LINUX_NET_LWIP_DEVICE_H

#include "boot/host.h"
#include "lib/list.h"
#include "lib/types.h"
#include "lwip/netif.h"
#include "time/timer.h"

#define LOOPBACK_IFINDEX 1u
#define LOOPBACK_MTU 65536u

struct net_device {
    struct list link; /* in net_devices, lo first */
    char name[16];
    uint32_t ifindex, mtu; /* bytes, without the Ethernet header */
    uint8_t mac[6];
    bool loopback;
    /* Of a tap. */
    int fd;
    struct netif netif;
    struct host_source source;
    struct wait_entry readable;
    struct timer again; /* more frames than fit one batch */
    struct {
        uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_dropped;
    } stats;
};

struct net_address {
    struct list link; /* in net_addresses */
    struct net_device *device;
    uint8_t prefix_len, scope;
    uint32_t flags;     /* IFA_F_* */
    ip_addr_t address, peer; /* peer: the other end of a point-to-point link, else as address */
    uint32_t broadcast; /* network order, 0: none */
};

struct net_route {
    struct list link; /* in net_routes: longest prefix first, then by metric */
    struct net_device *device;
    uint8_t dst_len, scope, protocol;
    bool has_gateway, has_prefsrc;
    uint32_t metric, mtu;
    ip_addr_t dst, gateway, prefsrc; /* dst has the family also of a default route */
};

struct net_neighbour {
    struct list link; /* in net_neighbours */
    struct net_device *device;
    uint8_t mac[6];
    ip_addr_t address;
};

extern struct list net_devices, net_addresses, net_routes, net_neighbours;

/* At boot: the devices of the boot config. One line and exit if it is bad. */
void net_init(void);
struct net_device *net_device_by_index(uint32_t ifindex);
struct net_device *net_device_by_name(const char *name);

/* An address that packets to need not leave for: 127.0.0.0/8, ::1 and our own. */
bool net_is_local(const ip_addr_t *address);
/* Ours, or of lo: what bind(2) takes. */
bool net_may_bind(const ip_addr_t *address);
bool net_is_broadcast(const ip_addr_t *address);
/* NULL: unreachable. src may be NULL or any. */
const struct net_route *net_route_find(const ip_addr_t *src, const ip_addr_t *dst);
/* What a packet to dst says it comes from; false: unreachable. */
bool net_source_address(const ip_addr_t *dst, ip_addr_t *src);

/* Around every call of lwIP's. They nest. */
void net_enter(void);
void net_leave(void);
bool net_entered(void);

/* tap.c */
void tap_open(struct net_device *device, uint32_t index);
/* Sends what is being put together. */
void tap_flush(void);

/* timers.c: lwIP's clocks, which stand still while nothing needs them. */
void net_timers_init(void);
void net_timers_catch_up(void);
/* When lwIP was entered, ns of the monotonic clock. */
int64_t net_now(void);
void net_timers_arm(void);
/* Neighbours are being asked for, or fragments wait: the clock of one second goes on for a while. */
void net_timers_slow(uint32_t seconds);

#endif
