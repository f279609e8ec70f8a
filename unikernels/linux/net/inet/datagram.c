#include "net/inet/datagram.h"

#include <linux/eventpoll.h>

#include "lib/string.h"
#include "lwip/ip.h"
#include "net/lwip/device.h"
#include "net/lwip/pool.h"
#include "time/clock.h"

#define OVERHEAD 768u /* that Linux counts for each, about */

void datagram_queue_init(struct datagram_queue *queue)
{
    list_init(&queue->list);
}

static void drop_first(struct datagram_queue *queue)
{
    struct datagram *datagram = list_first(&queue->list, struct datagram, link);

    list_del(&datagram->link);
    queue->bytes -= datagram->len + OVERHEAD;
    net_pool_free(datagram);
}

void datagram_queue_purge(struct datagram_queue *queue)
{
    while (!list_empty(&queue->list)) drop_first(queue);
}

struct datagram *datagram_new(size_t len)
{
    struct datagram *datagram = net_pool_alloc(sizeof(*datagram) + len);

    if (!datagram) return NULL;
    memset(datagram, 0, sizeof(*datagram));
    list_init(&datagram->link);
    datagram->len = (uint32_t)len;
    datagram->info.time_ns = clock_realtime();
    return datagram;
}

struct datagram *datagram_of_packet(struct pbuf *p, uint32_t skip, uint16_t from_port)
{
    struct datagram *datagram = datagram_new(p->tot_len - skip);
    const struct net_device *device = ip_current_input_netif()->state;

    if (!datagram) return NULL;
    pbuf_copy_partial(p, datagram->data, (uint16_t)datagram->len, (uint16_t)skip);
    datagram->from = *ip_current_src_addr();
    datagram->from_port = from_port;
    datagram->info.local = *ip_current_dest_addr();
    datagram->info.ifindex = device->ifindex;
    if (ip_current_is_v6()) {
        datagram->info.ttl = IP6H_HOPLIM(ip6_current_header());
        datagram->info.tos = IP6H_TC(ip6_current_header());
    } else {
        datagram->info.ttl = IPH_TTL(ip4_current_header());
        datagram->info.tos = IPH_TOS(ip4_current_header());
    }
    return datagram;
}

void datagram_deliver(struct inet_sock *inet, struct datagram_queue *queue, struct datagram *datagram)
{
    if (queue->bytes + datagram->len + OVERHEAD > (size_t)inet->base.rcvbuf && queue->bytes > 0) {
        net_pool_free(datagram);
        return;
    }
    queue->bytes += datagram->len + OVERHEAD;
    list_add_tail(&queue->list, &datagram->link);
    socket_wake(&inet->base, EPOLLIN | EPOLLRDNORM);
}

uint32_t datagram_next_len(const struct datagram_queue *queue)
{
    return list_empty(&queue->list) ? 0 : list_first(&queue->list, struct datagram, link)->len;
}

int64_t datagram_recv(struct inet_sock *inet, struct datagram_queue *queue, struct socket_message *msg, int64_t deadline)
{
    struct socket *sock = &inet->base;

    if (msg->flags & MSG_ERRQUEUE) return -EAGAIN;
    if (sock->error) return socket_take_error(sock);
    int err = socket_wait(sock, !list_empty(&queue->list) || sock->error || queue->shut, deadline);
    if (err) return err;
    if (sock->error) return socket_take_error(sock);
    if (list_empty(&queue->list)) return 0;

    struct datagram *datagram = list_first(&queue->list, struct datagram, link);
    size_t n = MIN((size_t)datagram->len, msg->iter.count);
    ssize_t copied = n ? copy_to_iter(&msg->iter, datagram->data, n) : 0;
    if (copied < (ssize_t)n) {
        drop_first(queue);
        return -EFAULT;
    }
    if (n < datagram->len) msg->out_flags |= MSG_TRUNC;
    int64_t done = msg->flags & MSG_TRUNC ? datagram->len : (int64_t)n;
    inet_address_out(inet, &datagram->from, datagram->from_port, &msg->name);
    err = inet_put_control(inet, msg, &datagram->info);
    if (!(msg->flags & MSG_PEEK)) drop_first(queue);
    return err ? err : done;
}

/* ---- sending ---- */

static void this_machine_for_any(ip_addr_t *ip)
{
    if (!ip_addr_isany(ip)) return;
    if (IP_IS_V6(ip))
        *ip = (ip_addr_t)IPADDR6_INIT_HOST(0, 0, 0, 1);
    else
        *ip = (ip_addr_t)IPADDR4_INIT_BYTES(127, 0, 0, 1);
}

static const struct net_device *first_tap(void)
{
    const struct net_device *device;

    list_for_each(device, &net_devices, link)
        if (!device->loopback) return device;
    return NULL;
}

/* The device and source address of a packet that leaves this machine. */
static int route_link(const struct inet_sock *inet, const struct inet_send_info *info, struct datagram_route *route)
{
    const struct net_route *found = net_route_find(&route->from, &route->to);
    uint32_t ifindex = info->ifindex;

    if (!ifindex && route->multicast) ifindex = inet->multicast_ifindex;
    route->device = ifindex ? net_device_by_index(ifindex) : found ? found->device : NULL;
    if (!route->device && (route->multicast || route->broadcast)) route->device = first_tap();
    if (!route->device || route->device->loopback) return -ENETUNREACH;
    if (!ip_addr_isany(&route->from)) return 0;
    ip_addr_t source;
    if (found && net_source_address(&route->to, &source)) {
        route->from = source;
        return 0;
    }
    const struct net_address *address;
    list_for_each(address, &net_addresses, link)
        if (address->device == route->device && IP_GET_TYPE(&address->address) == IP_GET_TYPE(&route->to)) {
            route->from = address->address;
            return 0;
        }
    return -ENETUNREACH;
}

int datagram_route(struct inet_sock *inet, const struct socket_message *msg, struct datagram_route *route)
{
    struct inet_send_info info;
    int err = inet_get_control(inet, msg, &info);

    if (err) return err;
    *route = (struct datagram_route){.to = inet->remote, .to_port = inet->remote_port};
    if (msg->name.len > 0) {
        err = inet_address_in(inet, &msg->name, &route->to, &route->to_port);
        if (err) return err;
    } else if (!inet->remote_port) {
        return -EDESTADDRREQ;
    }
    this_machine_for_any(&route->to);
    const bool v6 = IP_IS_V6(&route->to);
    route->from = info.has_source ? info.source : inet->local;
    if (IP_IS_V6(&route->from) != v6) {
        if (!ip_addr_isany(&route->from)) return -ENETUNREACH;
        route->from = v6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
    }
    if (info.has_source && !net_may_bind(&info.source)) return -EINVAL;
    route->broadcast = net_is_broadcast(&route->to);
    route->multicast = ip_addr_ismulticast(&route->to);
    if (route->broadcast && !inet->base.broadcast) return -EACCES;
    int ttl = info.ttl >= 0 ? info.ttl : route->multicast ? (v6 ? inet->multicast_hops : inet->multicast_ttl) : v6 ? inet->hop_limit : inet->ttl;
    route->ttl = (uint8_t)(ttl >= 0 ? ttl : IP_TTL_DEFAULT);
    route->tos = (uint8_t)(info.tos >= 0 ? info.tos : v6 ? inet->tclass : inet->tos);
    route->local = net_is_local(&route->to);
    if (!route->local) return route_link(inet, &info, route);
    if (ip_addr_isany(&route->from)) route->from = route->to;
    return 0;
}

int datagram_output(const struct datagram_route *route, struct pbuf *p, uint8_t protocol)
{
    struct netif *netif = (struct netif *)&route->device->netif;
    err_t err;

    net_enter();
    if (IP_IS_V6(&route->to)) {
        ip6_addr_t to = *ip_2_ip6(&route->to);
        if (ip6_addr_lacks_zone(&to, IP6_UNKNOWN)) ip6_addr_assign_zone(&to, IP6_UNKNOWN, netif);
        err = ip6_output_if(p, ip_2_ip6(&route->from), &to, route->ttl, route->tos, protocol, netif);
    } else {
        err = ip4_output_if(p, ip_2_ip4(&route->from), ip_2_ip4(&route->to), route->ttl, route->tos, protocol, netif);
    }
    net_leave();
    switch (err) {
    case ERR_OK: return 0;
    case ERR_RTE: return -EHOSTUNREACH;
    case ERR_MEM: return -ENOBUFS;
    default: return -EINVAL;
    }
}

int datagram_connect(struct inet_sock *inet, const struct socket_address *addr, bool needs_port)
{
    ip_addr_t to = *IP_ADDR_ANY, source;
    uint16_t port = 0;

    if (addr->len < sizeof(uint16_t)) return -EINVAL;
    if (addr->storage.ss_family == AF_UNSPEC) {
        inet->remote_port = 0;
        inet->remote = inet->base.family == AF_INET6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
        if (!inet->local_given) inet->local = inet->remote;
        if (!inet->port_given && needs_port) {
            port_release(inet);
            inet->local_port = 0;
        }
        return 0;
    }
    int err = inet_address_in(inet, addr, &to, &port);
    if (err) return err;
    this_machine_for_any(&to);
    if (net_is_broadcast(&to) && !inet->base.broadcast) return -EACCES;
    if (inet->local_given && IP_GET_TYPE(&inet->local) != IP_GET_TYPE(&to)) return -ENETUNREACH;
    if (!inet->local_given) {
        if (!net_source_address(&to, &source)) return -ENETUNREACH;
        inet->local = source;
    }
    if (needs_port && !inet->local_port) {
        err = port_take(inet, 0);
        if (err) return -EAGAIN;
    }
    inet->remote = to;
    inet->remote_port = needs_port ? port : 1; /* a raw socket has no ports, but knows that it is connected */
    return 0;
}
