/* UDP: over lwIP's IP, or from socket to socket of this machine. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/sockios.h>

#include "lib/string.h"
#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/raw.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/inet/datagram.h"
#include "net/inet/resolver.h"
#include "net/lwip/device.h"
#include "net/lwip/pool.h"

#define UDP_HEADER 8u
#define UDP_MAX 65507u /* bytes of data in one over IPv4; IPv6 takes 20 more */
#define UDP_CORK 1
#define UDP_LEVEL 17

struct udp_header {
    uint16_t from, to, len, sum;
};

struct udp_sock {
    struct inet_sock inet;
    struct datagram_queue rx;
    bool tx_shut;
};

static const struct socket_ops udp_ops;

static struct udp_sock *udp_of(struct socket *sock)
{
    return container_of(sock, struct udp_sock, inet.base);
}

static void deliver(struct inet_sock *inet, struct datagram *datagram)
{
    datagram_deliver(inet, &udp_of(&inet->base)->rx, datagram);
}

/* ---- from the link ---- */

/* To each socket of a group or broadcast address; the packet is gone then. */
static void deliver_to_all(struct pbuf *p, uint32_t skip, uint16_t to_port, uint16_t from_port)
{
    struct inet_sock *inet = NULL;

    while ((inet = port_next(PORTS_UDP, to_port, inet))) {
        const bool v6 = ip_current_is_v6();
        if (!ip_addr_isany(&inet->local) && !ip_addr_cmp(&inet->local, ip_current_dest_addr())) continue;
        if (inet->base.family == AF_INET ? v6 : !v6 && inet->v6only) continue;
        if (inet->remote_port && (inet->remote_port != from_port || !ip_addr_cmp(&inet->remote, ip_current_src_addr()))) continue;
        struct datagram *datagram = datagram_of_packet(p, skip, from_port);
        if (datagram) deliver(inet, datagram);
    }
}

static void input(struct pbuf *p)
{
    uint32_t ip_len = ip_current_header_tot_len();
    struct udp_header header;

    if (pbuf_copy_partial(p, &header, UDP_HEADER, (uint16_t)ip_len) != UDP_HEADER) return;
    uint32_t len = lwip_ntohs(header.len);
    if (len < UDP_HEADER || len > p->tot_len - ip_len) return;
    pbuf_realloc(p, (uint16_t)(ip_len + len));
    IF__NETIF_CHECKSUM_ENABLED(ip_current_input_netif(), NETIF_CHECKSUM_CHECK_UDP)
    {
        if (header.sum) {
            pbuf_remove_header(p, ip_len);
            uint16_t sum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, ip_current_src_addr(), ip_current_dest_addr());
            pbuf_add_header_force(p, ip_len);
            if (sum) return;
        }
    }
    uint16_t from_port = lwip_ntohs(header.from), to_port = lwip_ntohs(header.to);
    const ip_addr_t *to = ip_current_dest_addr();
    if (ip_addr_ismulticast(to) || net_is_broadcast(to)) {
        deliver_to_all(p, ip_len + UDP_HEADER, to_port, from_port);
        return;
    }
    struct inet_sock *inet = port_find(PORTS_UDP, false, to, to_port, ip_current_src_addr(), from_port);
    if (!inet) {
        icmp_port_unreach(ip_current_is_v6(), p);
        return;
    }
    struct datagram *datagram = datagram_of_packet(p, ip_len + UDP_HEADER, from_port);
    if (datagram) deliver(inet, datagram);
}

static u8_t on_packet(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from)
{
    (void)arg;
    (void)pcb;
    (void)from;
    input(p);
    pbuf_free(p);
    return 1;
}

bool udp_listen_to_link(void)
{
    static struct raw_pcb *pcb;

    if (pcb) return true;
    pcb = raw_new_ip_type(IPADDR_TYPE_ANY, IP_PROTO_UDP);
    if (pcb) raw_recv(pcb, on_packet, NULL);
    return pcb;
}

/* ---- sending ---- */

static int64_t send_local(struct udp_sock *udp, const struct datagram_route *route, struct iov_iter *from)
{
    const size_t len = from->count;
    struct datagram *datagram = datagram_new(len);

    if (!datagram) return -ENOBUFS;
    if (len > 0 && copy_from_iter(from, datagram->data, len) < (ssize_t)len) {
        net_pool_free(datagram);
        return -EFAULT;
    }
    datagram->from = route->from;
    datagram->from_port = udp->inet.local_port;
    datagram->info.local = route->to;
    datagram->info.ifindex = LOOPBACK_IFINDEX;
    datagram->info.ttl = route->ttl;
    datagram->info.tos = route->tos;
    struct inet_sock *to = port_find(PORTS_UDP, false, &route->to, route->to_port, &route->from, udp->inet.local_port);
    if (to) {
        deliver(to, datagram);
        return (int64_t)len;
    }
    net_pool_free(datagram);
    if (udp->inet.remote_port || udp->inet.recv_err || udp->inet.recv_err6) {
        udp->inet.base.error = ECONNREFUSED;
        socket_wake(&udp->inet.base, EPOLLERR | EPOLLIN | EPOLLOUT);
    }
    return (int64_t)len;
}

void udp_deliver_local(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port, const void *data,
                       size_t len)
{
    struct inet_sock *inet = port_find(PORTS_UDP, false, to, to_port, from, from_port);
    struct datagram *datagram = inet ? datagram_new(len) : NULL;

    if (!datagram) return;
    memcpy(datagram->data, data, len);
    datagram->from = *from;
    datagram->from_port = from_port;
    datagram->info.local = *to;
    datagram->info.ifindex = LOOPBACK_IFINDEX;
    datagram->info.ttl = IP_TTL_DEFAULT;
    deliver(inet, datagram);
}

static int64_t send_resolver(struct udp_sock *udp, const struct datagram_route *route, struct iov_iter *from)
{
    const size_t len = from->count;
    void *data = net_pool_alloc(MAX(len, 1u));

    if (!data) return -ENOBUFS;
    ssize_t n = copy_from_iter(from, data, len);
    if (n == (ssize_t)len) resolver_send(&route->from, udp->inet.local_port, data, len);
    net_pool_free(data);
    return n == (ssize_t)len ? n : -EFAULT;
}

static int64_t send_link(struct udp_sock *udp, const struct datagram_route *route, struct iov_iter *from)
{
    const size_t len = from->count;
    struct pbuf *p = pbuf_alloc(PBUF_IP, (uint16_t)(len + UDP_HEADER), PBUF_RAM);
    struct udp_header header = {
        .from = lwip_htons(udp->inet.local_port),
        .to = lwip_htons(route->to_port),
        .len = lwip_htons((uint16_t)(len + UDP_HEADER)),
    };
    int64_t result = -EFAULT;

    if (!p) return -ENOBUFS;
    if (len > 0 && copy_from_iter(from, (char *)p->payload + UDP_HEADER, len) < (ssize_t)len) goto out;
    memcpy(p->payload, &header, UDP_HEADER);
    header.sum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, &route->from, &route->to);
    if (!header.sum) header.sum = 0xffff;
    memcpy(p->payload, &header, UDP_HEADER);
    int err = datagram_output(route, p, IP_PROTO_UDP);
    result = err ? err : (int64_t)len;
out:
    pbuf_free(p);
    return result;
}

static int64_t udp_sendmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct udp_sock *udp = udp_of(sock);
    struct datagram_route route;
    (void)deadline;

    if (msg->flags & MSG_OOB) return -EOPNOTSUPP;
    if (sock->error) return socket_take_error(sock);
    if (udp->tx_shut) return -EPIPE;
    if (msg->iter.count > 0xffff) return -EMSGSIZE;
    int err = datagram_route(&udp->inet, msg, &route);
    if (err) return err;
    if (!route.to_port) return -EINVAL;
    if (msg->iter.count > UDP_MAX + (IP_IS_V6(&route.to) ? 20u : 0u)) return -EMSGSIZE;
    if (!udp->inet.local_port) {
        err = port_take(&udp->inet, 0);
        if (err) return -EAGAIN;
    }
    if (route.local && resolver_is(&route.to, route.to_port)) return send_resolver(udp, &route, &msg->iter);
    return route.local ? send_local(udp, &route, &msg->iter) : send_link(udp, &route, &msg->iter);
}

static int64_t udp_recvmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct udp_sock *udp = udp_of(sock);

    return datagram_recv(&udp->inet, &udp->rx, msg, deadline);
}

void udp_icmp_error(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port, int error)
{
    struct inet_sock *inet = port_find(PORTS_UDP, false, from, from_port, to, to_port);

    if (!inet || (!inet->remote_port && !inet->recv_err && !inet->recv_err6)) return;
    inet->base.error = error;
    socket_wake(&inet->base, EPOLLERR | EPOLLIN | EPOLLOUT);
}

/* ---- the rest ---- */

static int udp_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline)
{
    (void)deadline;
    return datagram_connect(inet_of(sock), addr, true);
}

static int udp_shutdown(struct socket *sock, int how)
{
    struct udp_sock *udp = udp_of(sock);

    if (!udp->inet.remote_port) return -ENOTCONN;
    if (how != SHUT_WR) udp->rx.shut = true;
    if (how != SHUT_RD) udp->tx_shut = true;
    socket_wake(sock, ~0u);
    return 0;
}

static uint32_t udp_poll(struct socket *sock)
{
    const struct udp_sock *udp = udp_of(sock);
    uint32_t events = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

    if (sock->error) events |= EPOLLERR;
    if (!list_empty(&udp->rx.list) || udp->rx.shut) events |= EPOLLIN | EPOLLRDNORM;
    if (udp->rx.shut) events |= EPOLLRDHUP;
    if (udp->rx.shut && udp->tx_shut) events |= EPOLLHUP;
    return events;
}

static int64_t udp_ioctl(struct socket *sock, uint32_t cmd, uint64_t arg)
{
    switch (cmd) {
    case FIONREAD: return put_user_u32(arg, datagram_next_len(&udp_of(sock)->rx));
    case SIOCOUTQ: return put_user_u32(arg, 0);
    default: return -ENOTTY;
    }
}

static int udp_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len)
{
    int number;

    if (level != UDP_LEVEL) return inet_setsockopt(sock, level, name, value, len);
    if (name != UDP_CORK) return -ENOPROTOOPT; /* UDP_SEGMENT and UDP_GRO: programs send one by one then */
    return sockopt_get_int(value, len, &number);
}

static int udp_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len)
{
    if (level != UDP_LEVEL) return inet_getsockopt(sock, level, name, value, len);
    return name == UDP_CORK ? sockopt_put_int(value, len, 0) : -ENOPROTOOPT;
}

static void udp_release(struct socket *sock)
{
    struct udp_sock *udp = udp_of(sock);

    datagram_queue_purge(&udp->rx);
    inet_forget(&udp->inet);
    kfree(udp);
}

static const struct socket_ops udp_ops = {
    .bind = inet_bind,
    .connect = udp_connect,
    .getname = inet_getname,
    .sendmsg = udp_sendmsg,
    .recvmsg = udp_recvmsg,
    .shutdown = udp_shutdown,
    .setsockopt = udp_setsockopt,
    .getsockopt = udp_getsockopt,
    .poll = udp_poll,
    .ioctl = udp_ioctl,
    .release = udp_release,
};

int udp_create(int family, struct socket **made)
{
    struct udp_sock *udp = kzalloc(sizeof(*udp));

    if (!udp) return -ENOMEM;
    inet_init_sock(&udp->inet, &udp_ops, family, SOCK_DGRAM, IPPROTO_UDP, &inet_udp_sockets);
    datagram_queue_init(&udp->rx);
    *made = &udp->inet.base;
    return 0;
}
