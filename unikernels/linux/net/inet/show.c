#include "net/inet/show.h"

#include <linux/in.h>

#include "fs/seq_file.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lwip/etharp.h"
#include "net/inet/tcp.h"
#include "net/lwip/device.h"

#define ROUTE_UP 1 /* RTF_UP, RTF_GATEWAY */
#define ROUTE_GATEWAY 2

/* ---- sockets ---- */

/* Words as they are in memory, which is how Linux prints them; IPv4 as a mapped address where IPv6 is shown. */
static void put_end(struct seq_file *seq, int family, const ip_addr_t *ip, uint16_t port)
{
    if (family == AF_INET) {
        seq_printf(seq, " %08X:%04X", IP_IS_V4(ip) ? ip_2_ip4(ip)->addr : 0, port);
        return;
    }
    uint32_t words[4] = {0};
    if (IP_IS_V6(ip)) {
        memcpy(words, ip_2_ip6(ip)->addr, sizeof(words));
    } else if (!ip_addr_isany(ip)) {
        words[2] = 0xffff0000u;
        words[3] = ip_2_ip4(ip)->addr;
    }
    seq_printf(seq, " %08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3], port);
}

static void show_sockets(struct seq_file *seq, struct list *all, int family, bool tcp)
{
    struct inet_sock *inet;
    unsigned i = 0;

    seq_printf(seq, "  sl  local_address %sremote_address%s st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s\n",
               family == AF_INET6 ? "                        " : "", family == AF_INET6 ? "                        " : "",
               tcp ? "" : " ref pointer drops");
    list_for_each(inet, all, all) {
        if (inet->base.family != family || (tcp && !inet->local_port)) continue;
        const struct file *file = inet->base.file;
        uint32_t uid = file ? file->f_inode->i_uid : 0;
        uint8_t state = tcp ? tcp_linux_state(tcp_of(&inet->base)) : 7;
        uint32_t unread = tcp ? (uint32_t)tcp_of(&inet->base)->rx_len : 0;
        seq_printf(seq, tcp ? "%4u:" : "%5u:", i++);
        put_end(seq, family, &inet->local, inet->local_port);
        put_end(seq, family, &inet->remote, inet->remote_port);
        seq_printf(seq, " %02X %08X:%08X 00:00000000 00000000 %5u        0 %llu %s\n", state, 0u, unread, uid,
                   (unsigned long long)socket_ino(&inet->base), tcp ? "1 0000000000000000 100 0 0 10 0" : "2 0000000000000000 0");
    }
}

int show_tcp(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_tcp_sockets, AF_INET, true);
    return 0;
}

int show_tcp6(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_tcp_sockets, AF_INET6, true);
    return 0;
}

int show_udp(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_udp_sockets, AF_INET, false);
    return 0;
}

int show_udp6(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_udp_sockets, AF_INET6, false);
    return 0;
}

int show_raw(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_raw_sockets, AF_INET, false);
    return 0;
}

int show_raw6(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    show_sockets(seq, &inet_raw_sockets, AF_INET6, false);
    return 0;
}

/* ---- devices, addresses, routes ---- */

int show_dev(struct seq_file *seq, uint64_t arg)
{
    const struct net_device *device;
    (void)arg;

    seq_puts(seq, "Inter-|   Receive                                                |  Transmit\n"
                  " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls "
                  "carrier compressed\n");
    list_for_each(device, &net_devices, link)
        seq_printf(seq, "%6s: %7llu %7llu    0 %4llu    0     0          0         0 %8llu %7llu    0 %4llu    0     0       0          0\n",
                   device->name, (unsigned long long)device->stats.rx_bytes, (unsigned long long)device->stats.rx_packets,
                   (unsigned long long)device->stats.rx_dropped, (unsigned long long)device->stats.tx_bytes,
                   (unsigned long long)device->stats.tx_packets, (unsigned long long)device->stats.tx_dropped);
    return 0;
}

static void put_ip6(struct seq_file *seq, const ip_addr_t *ip)
{
    const uint8_t *bytes = (const uint8_t *)ip_2_ip6(ip)->addr;

    for (int i = 0; i < 16; i++) seq_printf(seq, "%02x", bytes[i]);
}

int show_if_inet6(struct seq_file *seq, uint64_t arg)
{
    const struct net_address *address;
    (void)arg;

    list_for_each(address, &net_addresses, link) {
        if (IP_IS_V4(&address->address)) continue;
        uint32_t scope = address->device->loopback ? 0x10 : ip6_addr_islinklocal(ip_2_ip6(&address->address)) ? 0x20 : 0;
        put_ip6(seq, &address->address);
        seq_printf(seq, " %02x %02x %02x %02x %8s\n", address->device->ifindex, address->prefix_len, scope,
                   address->flags & 0xff, address->device->name);
    }
    return 0;
}

int show_route(struct seq_file *seq, uint64_t arg)
{
    const struct net_route *route;
    (void)arg;

    seq_printf(seq, "%-127s\n", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    list_for_each(route, &net_routes, link) {
        if (IP_IS_V6(&route->dst)) continue;
        const bool gateway = route->has_gateway && IP_IS_V4(&route->gateway);
        uint32_t mask = route->dst_len ? lwip_htonl(~0u << (32 - route->dst_len)) : 0;
        seq_printf(seq, "%s\t%08X\t%08X\t%04X\t0\t0\t%u\t%08X\t0\t0\t0\n", route->device->name, ip_2_ip4(&route->dst)->addr,
                   gateway ? ip_2_ip4(&route->gateway)->addr : 0, ROUTE_UP | (gateway ? ROUTE_GATEWAY : 0), route->metric, mask);
    }
    return 0;
}

int show_ipv6_route(struct seq_file *seq, uint64_t arg)
{
    const struct net_route *route;
    (void)arg;

    list_for_each(route, &net_routes, link) {
        if (IP_IS_V4(&route->dst)) continue;
        put_ip6(seq, &route->dst);
        seq_printf(seq, " %02x ", route->dst_len);
        put_ip6(seq, IP6_ADDR_ANY);
        seq_puts(seq, " 00 ");
        put_ip6(seq, route->has_gateway ? &route->gateway : IP6_ADDR_ANY);
        seq_printf(seq, " %08x %08x %08x %08x %8s\n", route->metric, 1, 0, ROUTE_UP | (route->has_gateway ? ROUTE_GATEWAY : 0),
                   route->device->name);
    }
    return 0;
}

int show_arp(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    seq_puts(seq, "IP address       HW type     Flags       HW address            Mask     Device\n");
    for (size_t i = 0; i < ARP_TABLE_SIZE; i++) {
        struct eth_addr *mac;
        struct netif *netif;
        ip4_addr_t *ip;
        if (!etharp_get_entry(i, &ip, &netif, &mac)) continue;
        const uint8_t *a = (const uint8_t *)&ip->addr, *m = mac->addr;
        char text[16];
        snprintf(text, sizeof(text), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
        seq_printf(seq, "%-16s 0x1         0x2         %02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", text, m[0], m[1], m[2],
                   m[3], m[4], m[5], ((const struct net_device *)netif->state)->name);
    }
    return 0;
}
