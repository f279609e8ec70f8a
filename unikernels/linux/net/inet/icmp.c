/*
 * Raw sockets, echo sockets (SOCK_DGRAM of ICMP, what an unprivileged ping uses),
 * and what ICMP tells of packets that did not arrive.
 *
 * lwIP answers echo requests from the link. To an address of this machine, the
 * answer is made here.
 */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "lib/string.h"
#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/prot/icmp6.h"
#include "lwip/raw.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/inet/datagram.h"
#include "net/lwip/device.h"
#include "net/lwip/pool.h"
#include "task/cred.h"
#include "task/task.h"

#define ICMP_HEADER 8u
#define ICMP_FILTER 1
#define IP_HEADER 20u

struct raw_sock {
    struct inet_sock inet;
    struct datagram_queue rx;
    struct raw_pcb *pcb; /* lwIP's for this protocol, shared by all: see listen_to_link() */
    bool echo;           /* an echo socket; local_port is the identifier */
    uint32_t filter;     /* ICMP_FILTER: types that are not wanted */
    uint32_t filter6[8]; /* ICMPV6_FILTER */
};

static struct raw_sock *raw_of(struct socket *sock)
{
    return container_of(sock, struct raw_sock, inet.base);
}

static int icmp_of(int family)
{
    return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* ---- receiving ---- */

static bool wants(const struct raw_sock *raw, const ip_addr_t *to, const ip_addr_t *from, int protocol,
                  const uint8_t icmp[ICMP_HEADER])
{
    const struct inet_sock *inet = &raw->inet;
    const bool v6 = IP_IS_V6(to), is_icmp = protocol == icmp_of(v6 ? AF_INET6 : AF_INET);

    if (inet->base.protocol != protocol || (inet->base.family == AF_INET6) != v6) return false;
    if (!ip_addr_isany(&inet->local) && !ip_addr_cmp(&inet->local, to) && !ip_addr_ismulticast(to)) return false;
    if (inet->remote_port && !ip_addr_cmp(&inet->remote, from)) return false;
    if (raw->echo) {
        const uint8_t reply = v6 ? ICMP6_TYPE_EREP : ICMP_ER;
        return is_icmp && icmp[0] == reply && (icmp[4] << 8 | icmp[5]) == inet->local_port;
    }
    if (!is_icmp) return true;
    return v6 ? !(raw->filter6[icmp[0] / 32] >> icmp[0] % 32 & 1) : !(icmp[0] < 32 && raw->filter >> icmp[0] & 1);
}

/* p begins with the IP header. A raw IPv4 socket sees it, others what is behind. */
static void deliver_packet(struct pbuf *p, int protocol)
{
    uint32_t ip_len = ip_current_header_tot_len();
    uint8_t icmp[ICMP_HEADER] = {0};
    struct inet_sock *inet;

    pbuf_copy_partial(p, icmp, sizeof(icmp), (uint16_t)ip_len);
    list_for_each(inet, &inet_raw_sockets, all) {
        struct raw_sock *raw = raw_of(&inet->base);
        if (!wants(raw, ip_current_dest_addr(), ip_current_src_addr(), protocol, icmp)) continue;
        const bool whole = inet->base.family == AF_INET && !raw->echo;
        struct datagram *datagram = datagram_of_packet(p, whole ? 0 : ip_len, 0);
        if (datagram) datagram_deliver(inet, &raw->rx, datagram);
    }
}

static int error4(uint8_t type, uint8_t code)
{
    static const uint8_t by_code[] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE,
                                      EOPNOTSUPP, ENETUNREACH, EHOSTDOWN, ENONET, ENETUNREACH,
                                      EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};

    if (type == ICMP_TE) return EHOSTUNREACH;
    return code < ARRAY_SIZE(by_code) ? by_code[code] : EHOSTUNREACH;
}

static int error6(uint8_t type, uint8_t code)
{
    if (type == ICMP6_TYPE_TE) return EHOSTUNREACH;
    if (type == ICMP6_TYPE_PTB) return EMSGSIZE;
    if (type == ICMP6_TYPE_PP) return EPROTO;
    return code == 4 ? ECONNREFUSED : code == 1 || code == 5 || code == 6 ? EACCES : code == 0 ? ENETUNREACH : EHOSTUNREACH;
}

/* The beginning of the packet that this is about: whose was it? */
static void blame(const uint8_t *inner, uint32_t len, bool v6, int error, uint32_t mtu)
{
    uint32_t header = v6 ? 40 : (inner[0] & 15u) * 4;
    ip_addr_t from, to;

    if (len < header + 8 || (!v6 && header < IP_HEADER)) return;
    from = to = v6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
    memcpy(v6 ? (void *)ip_2_ip6(&from)->addr : (void *)&ip_2_ip4(&from)->addr, inner + (v6 ? 8 : 12), v6 ? 16 : 4);
    memcpy(v6 ? (void *)ip_2_ip6(&to)->addr : (void *)&ip_2_ip4(&to)->addr, inner + (v6 ? 24 : 16), v6 ? 16 : 4);
    if (v6 && ip6_addr_lacks_zone(ip_2_ip6(&from), IP6_UNKNOWN)) ip6_addr_assign_zone(ip_2_ip6(&from), IP6_UNKNOWN, ip_current_input_netif());
    if (v6 && ip6_addr_lacks_zone(ip_2_ip6(&to), IP6_UNKNOWN)) ip6_addr_assign_zone(ip_2_ip6(&to), IP6_UNKNOWN, ip_current_input_netif());
    const uint8_t protocol = inner[v6 ? 6 : 9], *ports = inner + header;
    uint16_t from_port = (uint16_t)(ports[0] << 8 | ports[1]), to_port = (uint16_t)(ports[2] << 8 | ports[3]);
    if (protocol == IPPROTO_TCP)
        tcp_icmp_error(&from, from_port, &to, to_port,
                       (uint32_t)ports[4] << 24 | (uint32_t)ports[5] << 16 | (uint32_t)ports[6] << 8 | ports[7], error, mtu);
    else if (protocol == IPPROTO_UDP && !mtu)
        udp_icmp_error(&from, from_port, &to, to_port, error);
}

static void read_error(struct pbuf *p, bool v6)
{
    uint8_t packet[ICMP_HEADER + 60 + 8];
    uint32_t n = pbuf_copy_partial(p, packet, sizeof(packet), ip_current_header_tot_len());
    uint32_t mtu = 0;

    if (n < ICMP_HEADER + IP_HEADER) return;
    if (v6) {
        if (packet[0] < ICMP6_TYPE_DUR || packet[0] > ICMP6_TYPE_PP) return;
        if (packet[0] == ICMP6_TYPE_PTB) mtu = (uint32_t)packet[6] << 8 | packet[7];
        blame(packet + ICMP_HEADER, n - ICMP_HEADER, true, error6(packet[0], packet[1]), mtu);
        return;
    }
    if (packet[0] != ICMP_DUR && packet[0] != ICMP_TE) return;
    if (packet[0] == ICMP_DUR && packet[1] == 4) mtu = MAX((uint32_t)packet[6] << 8 | packet[7], 576u);
    blame(packet + ICMP_HEADER, n - ICMP_HEADER, false, error4(packet[0], packet[1]), mtu);
}

/* arg: the protocol. lwIP goes on with the packet, unless nobody but us knows the protocol. */
static u8_t on_packet(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from)
{
    const int protocol = (int)(uintptr_t)arg;
    const bool v6 = ip_current_is_v6();
    (void)pcb;
    (void)from;

    deliver_packet(p, protocol);
    if (protocol == IPPROTO_ICMP && !v6) read_error(p, false);
    if (protocol == IPPROTO_ICMPV6 && v6) read_error(p, true);
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) return 0;
    pbuf_free(p);
    return 1;
}

bool icmp_listen_to_link(int protocol)
{
    static uint8_t known[256];

    if (known[protocol]) return true;
    struct raw_pcb *pcb = raw_new_ip_type(IPADDR_TYPE_ANY, (u8_t)protocol);
    if (!pcb) return false;
    raw_recv(pcb, on_packet, (void *)(uintptr_t)protocol);
    known[protocol] = 1;
    return true;
}

/* ---- sending ---- */

static uint16_t icmp_sum(const uint8_t *data, size_t len)
{
    return (uint16_t)~net_checksum(data, (int)len);
}

/* Puts the header in that a raw IPv4 socket shows, in front of the ICMP message. */
static void put_ip_header(uint8_t *to, size_t len, const ip_addr_t *from, const ip_addr_t *dst, uint8_t protocol)
{
    struct ip_hdr header = {0};

    IPH_VHL_SET(&header, 4, 5);
    IPH_LEN_SET(&header, lwip_htons((uint16_t)len));
    IPH_TTL_SET(&header, IP_TTL_DEFAULT);
    IPH_PROTO_SET(&header, protocol);
    header.src.addr = ip_2_ip4(from)->addr;
    header.dest.addr = ip_2_ip4(dst)->addr;
    IPH_CHKSUM_SET(&header, icmp_sum((const uint8_t *)&header, IP_HEADER));
    memcpy(to, &header, IP_HEADER);
}

/* To the sockets of this machine. message is ICMP's, or of whatever protocol. */
static void deliver_local(const struct datagram_route *route, int protocol, const uint8_t *message, size_t len)
{
    uint8_t icmp[ICMP_HEADER] = {0};
    struct inet_sock *inet;

    memcpy(icmp, message, MIN(len, sizeof(icmp)));
    list_for_each(inet, &inet_raw_sockets, all) {
        struct raw_sock *raw = raw_of(&inet->base);
        if (!wants(raw, &route->to, &route->from, protocol, icmp)) continue;
        size_t skip = inet->base.family == AF_INET && !raw->echo ? IP_HEADER : 0;
        struct datagram *datagram = datagram_new(len + skip);
        if (!datagram) return;
        if (skip) put_ip_header(datagram->data, len + skip, &route->from, &route->to, (uint8_t)protocol);
        memcpy(datagram->data + skip, message, len);
        datagram->from = route->from;
        datagram->info.local = route->to;
        datagram->info.ifindex = LOOPBACK_IFINDEX;
        datagram->info.ttl = IP_TTL_DEFAULT;
        datagram_deliver(inet, &raw->rx, datagram);
    }
}

static int64_t send_local(const struct datagram_route *route, int protocol, uint8_t *message, size_t len)
{
    const bool v6 = IP_IS_V6(&route->to);
    const uint8_t request = v6 ? ICMP6_TYPE_EREQ : ICMP_ECHO, reply = v6 ? ICMP6_TYPE_EREP : ICMP_ER;

    deliver_local(route, protocol, message, len);
    if (protocol == icmp_of(v6 ? AF_INET6 : AF_INET) && len >= ICMP_HEADER && message[0] == request) {
        struct datagram_route back = *route;
        back.from = route->to;
        back.to = route->from;
        message[0] = reply;
        message[2] = message[3] = 0;
        if (!v6) {
            uint16_t sum = icmp_sum(message, len);
            memcpy(message + 2, &sum, sizeof(sum));
        }
        deliver_local(&back, protocol, message, len);
    }
    return (int64_t)len;
}

/* What the kernel fills in: the identifier of an echo socket, and sums. */
static void complete(const struct raw_sock *raw, const struct datagram_route *route, struct pbuf *p)
{
    const bool v6 = IP_IS_V6(&route->to);
    uint8_t *message = p->payload;
    uint16_t sum;

    if (raw->echo) {
        message[4] = (uint8_t)(raw->inet.local_port >> 8);
        message[5] = (uint8_t)raw->inet.local_port;
    }
    if (raw->inet.base.protocol == IPPROTO_ICMPV6 && v6 && p->len >= ICMP_HEADER) {
        message[2] = message[3] = 0;
        sum = ip_chksum_pseudo(p, IPPROTO_ICMPV6, p->tot_len, &route->from, &route->to);
        memcpy(message + 2, &sum, sizeof(sum));
    } else if (raw->echo) {
        message[2] = message[3] = 0;
        sum = icmp_sum(message, p->len);
        memcpy(message + 2, &sum, sizeof(sum));
    }
}

static int64_t raw_sock_sendmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct raw_sock *raw = raw_of(sock);
    struct datagram_route route;
    const size_t len = msg->iter.count;
    (void)deadline;

    if (len > 0xffff - IP_HEADER) return -EMSGSIZE;
    if (raw->inet.header_included) return -EOPNOTSUPP;
    int err = datagram_route(&raw->inet, msg, &route);
    if (err) return err;
    if (raw->echo && len < ICMP_HEADER) return -EINVAL;
    if (raw->echo && !raw->inet.local_port) {
        err = port_take(&raw->inet, 0);
        if (err) return err;
    }
    struct pbuf *p = pbuf_alloc(PBUF_IP, (uint16_t)len, PBUF_RAM);
    if (!p) return -ENOBUFS;
    int64_t result = (int64_t)len;
    if (len > 0 && copy_from_iter(&msg->iter, p->payload, len) < (ssize_t)len) {
        result = -EFAULT;
        goto out;
    }
    if (raw->echo && *(uint8_t *)p->payload != (IP_IS_V6(&route.to) ? ICMP6_TYPE_EREQ : ICMP_ECHO)) {
        result = -EINVAL;
        goto out;
    }
    complete(raw, &route, p);
    if (route.local) {
        result = send_local(&route, sock->protocol, p->payload, len);
    } else {
        err = datagram_output(&route, p, (uint8_t)sock->protocol);
        if (err) result = err;
    }
out:
    pbuf_free(p);
    return result;
}

static int64_t raw_sock_recvmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct raw_sock *raw = raw_of(sock);

    return datagram_recv(&raw->inet, &raw->rx, msg, deadline);
}

/* ---- the rest ---- */

static int raw_sock_bind(struct socket *sock, const struct socket_address *addr)
{
    struct raw_sock *raw = raw_of(sock);
    ip_addr_t ip;
    uint16_t port;

    if (raw->echo) return inet_bind(sock, addr);
    int err = inet_address_in(&raw->inet, addr, &ip, &port);
    if (err) return err;
    if (!net_may_bind(&ip)) return -EADDRNOTAVAIL;
    raw->inet.local = ip;
    raw->inet.local_given = !ip_addr_isany(&ip);
    return 0;
}

static int raw_sock_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline)
{
    (void)deadline;
    return datagram_connect(inet_of(sock), addr, false);
}

static int raw_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len)
{
    struct raw_sock *raw = raw_of(sock);

    if (level == 255 && name == ICMP_FILTER && sock->protocol == IPPROTO_ICMP)
        return copy_from_user(&raw->filter, value, MIN(len, sizeof(raw->filter)));
    if (level == IPPROTO_ICMPV6 && name == 1)
        return copy_from_user(raw->filter6, value, MIN(len, sizeof(raw->filter6)));
    if (level == IPPROTO_RAW || (level == 41 && name == 7)) return 0; /* IPV6_CHECKSUM: made anyway for ICMP */
    return inet_setsockopt(sock, level, name, value, len);
}

static int raw_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len)
{
    const struct raw_sock *raw = raw_of(sock);

    if (level == 255 && name == ICMP_FILTER) return sockopt_put(value, len, &raw->filter, sizeof(raw->filter));
    return inet_getsockopt(sock, level, name, value, len);
}

static uint32_t raw_poll(struct socket *sock)
{
    const struct raw_sock *raw = raw_of(sock);

    return EPOLLOUT | EPOLLWRNORM | (list_empty(&raw->rx.list) ? 0 : EPOLLIN | EPOLLRDNORM) | (sock->error ? EPOLLERR : 0);
}

static int64_t raw_ioctl(struct socket *sock, uint32_t cmd, uint64_t arg)
{
    return cmd == FIONREAD ? put_user_u32(arg, datagram_next_len(&raw_of(sock)->rx)) : -ENOTTY;
}

static void raw_release(struct socket *sock)
{
    struct raw_sock *raw = raw_of(sock);

    datagram_queue_purge(&raw->rx);
    inet_forget(&raw->inet);
    kfree(raw);
}

static const struct socket_ops raw_ops = {
    .bind = raw_sock_bind,
    .connect = raw_sock_connect,
    .getname = inet_getname,
    .sendmsg = raw_sock_sendmsg,
    .recvmsg = raw_sock_recvmsg,
    .setsockopt = raw_setsockopt,
    .getsockopt = raw_getsockopt,
    .poll = raw_poll,
    .ioctl = raw_ioctl,
    .release = raw_release,
};

static bool may_ping(const struct cred *cred)
{
    const uint32_t first = inet_settings.first_ping_group, last = inet_settings.last_ping_group;

    if (cred->egid >= first && cred->egid <= last) return true;
    for (uint32_t i = 0; i < cred->ngroups; i++)
        if (cred->groups[i] >= first && cred->groups[i] <= last) return true;
    return false;
}

int raw_create(int family, int type, int protocol, struct socket **made)
{
    if (type == SOCK_RAW && !cred_capable(current->cred, CAP_NET_RAW)) return -EPERM;
    if (type == SOCK_DGRAM && !may_ping(current->cred)) return -EACCES;
    struct raw_sock *raw = icmp_listen_to_link(protocol) ? kzalloc(sizeof(*raw)) : NULL;
    if (!raw) return -ENOMEM;
    inet_init_sock(&raw->inet, &raw_ops, family, type, protocol, &inet_raw_sockets);
    datagram_queue_init(&raw->rx);
    raw->echo = type == SOCK_DGRAM;
    *made = &raw->inet.base;
    return 0;
}
