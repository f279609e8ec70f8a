#include "net/inet/inet.h"

#include <linux/in.h>
#include <linux/in6.h>

#include "lib/print.h"
#include "lib/string.h"
#include "lwip/netif.h"
#include "net/inet/resolver.h"
#include "net/lwip/device.h"

struct list inet_tcp_sockets = {&inet_tcp_sockets, &inet_tcp_sockets};
struct list inet_udp_sockets = {&inet_udp_sockets, &inet_udp_sockets};
struct list inet_raw_sockets = {&inet_raw_sockets, &inet_raw_sockets};

void inet_init_sock(struct inet_sock *inet, const struct socket_ops *ops, int family, int type, int protocol,
                    struct list *all)
{
    socket_init(&inet->base, ops, family, type, protocol);
    inet->local = inet->remote = family == AF_INET6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
    inet->ttl = inet->hop_limit = -1;
    inet->multicast_ttl = inet->multicast_hops = 1;
    inet->multicast_loop = true;
    inet->mtu_discover = inet->mtu_discover6 = 1; /* IP_PMTUDISC_WANT */
    list_init(&inet->port_link);
    list_add_tail(all, &inet->all);
}

void inet_forget(struct inet_sock *inet)
{
    port_release(inet);
    list_del(&inet->all);
}

/* ---- addresses ---- */

static bool is_mapped(const struct in6_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return !memcmp(a, prefix, sizeof(prefix));
}

static int address6_in(const struct inet_sock *inet, const struct sockaddr_in6 *in, ip_addr_t *ip)
{
    if (is_mapped(&in->sin6_addr)) {
        if (inet->v6only) return -ENETUNREACH;
        *ip = *IP4_ADDR_ANY;
        memcpy(&ip_2_ip4(ip)->addr, in->sin6_addr.s6_addr + 12, 4);
        return 0;
    }
    *ip = *IP6_ADDR_ANY;
    memcpy(ip_2_ip6(ip)->addr, &in->sin6_addr, 16);
    if (ip6_addr_islinklocal(ip_2_ip6(ip)) || ip6_addr_ismulticast_linklocal(ip_2_ip6(ip))) {
        struct net_device *device = net_device_by_index(in->sin6_scope_id);
        if (device && !device->loopback)
            ip6_addr_set_zone(ip_2_ip6(ip), netif_get_index(&device->netif));
        else if (ip6_addr_islinklocal(ip_2_ip6(ip)))
            return -EINVAL;
    }
    return 0;
}

int inet_address_in(const struct inet_sock *inet, const struct socket_address *addr, ip_addr_t *ip, uint16_t *port)
{
    const struct sockaddr_in *in = (const void *)&addr->storage;
    const struct sockaddr_in6 *in6 = (const void *)&addr->storage;

    if (inet->base.family == AF_INET6) {
        if (addr->len < 24) return -EINVAL;
        if (in6->sin6_family != AF_INET6) return -EAFNOSUPPORT;
        *port = lwip_ntohs(in6->sin6_port);
        return address6_in(inet, in6, ip);
    }
    if (addr->len < sizeof(*in)) return -EINVAL;
    if (in->sin_family != AF_INET && in->sin_family != AF_UNSPEC) return -EAFNOSUPPORT;
    *ip = *IP4_ADDR_ANY;
    ip_2_ip4(ip)->addr = in->sin_addr.s_addr;
    *port = lwip_ntohs(in->sin_port);
    return 0;
}

static void address6_out(const ip_addr_t *ip, uint16_t port, struct socket_address *addr)
{
    struct sockaddr_in6 *out = (void *)&addr->storage;

    addr->len = sizeof(*out);
    out->sin6_family = AF_INET6;
    out->sin6_port = lwip_htons(port);
    if (IP_IS_V6(ip)) {
        memcpy(&out->sin6_addr, ip_2_ip6(ip)->addr, 16);
        struct netif *netif = ip6_addr_has_zone(ip_2_ip6(ip)) ? netif_get_by_index(ip6_addr_zone(ip_2_ip6(ip))) : NULL;
        if (netif) out->sin6_scope_id = ((struct net_device *)netif->state)->ifindex;
    } else if (!ip_addr_isany(ip)) {
        out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
        memcpy(out->sin6_addr.s6_addr + 12, &ip_2_ip4(ip)->addr, 4);
    }
}

void inet_address_out(const struct inet_sock *inet, const ip_addr_t *ip, uint16_t port, struct socket_address *addr)
{
    struct sockaddr_in *out = (void *)&addr->storage;

    memset(addr, 0, sizeof(*addr));
    if (inet->base.family == AF_INET6) {
        address6_out(ip, port, addr);
        return;
    }
    addr->len = sizeof(*out);
    out->sin_family = AF_INET;
    out->sin_port = lwip_htons(port);
    if (IP_IS_V4(ip)) out->sin_addr.s_addr = ip_2_ip4(ip)->addr;
}

int inet_getname(struct socket *sock, bool peer, struct socket_address *addr)
{
    struct inet_sock *inet = inet_of(sock);

    if (peer && !inet->remote_port) return -ENOTCONN;
    if (peer)
        inet_address_out(inet, &inet->remote, inet->remote_port, addr);
    else
        inet_address_out(inet, &inet->local, inet->local_port, addr);
    return 0;
}

int inet_bind(struct socket *sock, const struct socket_address *addr)
{
    struct inet_sock *inet = inet_of(sock);
    ip_addr_t ip;
    uint16_t port;
    int err = inet_address_in(inet, addr, &ip, &port);

    if (err) return err == -ENETUNREACH ? -EINVAL : err;
    if (inet->local_port || !list_empty(&inet->port_link)) return -EINVAL;
    if (((const struct sockaddr_in *)(const void *)&addr->storage)->sin_family == AF_UNSPEC && !ip_addr_isany(&ip))
        return -EAFNOSUPPORT;
    if (sock->type == SOCK_STREAM && (ip_addr_ismulticast(&ip) || net_is_broadcast(&ip))) return -EADDRNOTAVAIL;
    if (!net_may_bind(&ip) && !inet->freebind && !inet->transparent) return -EADDRNOTAVAIL;
    ip_addr_t before = inet->local;
    inet->local = ip;
    err = port_take(inet, port);
    if (err) {
        inet->local = before;
        return err;
    }
    inet->local_given = !ip_addr_isany(&ip);
    inet->port_given = port != 0;
    return 0;
}

bool inet_takes(const struct inet_sock *inet, const ip_addr_t *local)
{
    if (ip_addr_isany(&inet->local)) {
        if (inet->base.family == AF_INET) return IP_IS_V4(local);
        return IP_IS_V6(local) ? IP_IS_V6(&inet->local) : !inet->v6only;
    }
    return IP_GET_TYPE(&inet->local) == IP_GET_TYPE(local) && ip_addr_cmp(&inet->local, local);
}

int inet_match(const struct inet_sock *inet, const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
               uint16_t remote_port)
{
    int score = 1;

    if (inet->local_port != local_port || !inet_takes(inet, local)) return 0;
    if (!ip_addr_isany(&inet->local)) score += 4;
    if (IP_IS_V4(local) == (inet->base.family == AF_INET)) score += 2;
    if (inet->remote_port) {
        if (inet->remote_port != remote_port || !ip_addr_cmp(&inet->remote, remote)) return 0;
        score += 8;
    }
    return score;
}

/* ---- families ---- */

static int create(int family, int type, int protocol, struct socket **made)
{
    const int icmp = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;

    switch (type) {
    case SOCK_STREAM:
        return protocol == 0 || protocol == IPPROTO_TCP ? tcp_create(family, made) : -EPROTONOSUPPORT;
    case SOCK_DGRAM:
        if (protocol == icmp) return raw_create(family, type, protocol, made);
        return protocol == 0 || protocol == IPPROTO_UDP ? udp_create(family, made) : -EPROTONOSUPPORT;
    case SOCK_RAW:
        return protocol > 0 && protocol < 256 ? raw_create(family, type, protocol, made) : -EPROTONOSUPPORT;
    default:
        return -ESOCKTNOSUPPORT;
    }
}

static int create4(int type, int protocol, struct socket **made)
{
    return create(AF_INET, type, protocol, made);
}

static int create6(int type, int protocol, struct socket **made)
{
    return create(AF_INET6, type, protocol, made);
}

const struct socket_family inet_family = {.family = AF_INET, .create = create4};
const struct socket_family inet6_family = {.family = AF_INET6, .create = create6};

void inet_init(void)
{
    net_init();
    inet_settings_read();
    resolver_init();
    if (!udp_listen_to_link() || !icmp_listen_to_link(IPPROTO_ICMP) || !icmp_listen_to_link(IPPROTO_ICMPV6))
        fatal(126, "no memory for the network");
}
