/*
 * AF_NETLINK, NETLINK_ROUTE: what getifaddrs(3), `ip addr` and `ip route` ask for.
 * Answers are made when a request is sent, and wait to be read. What would change
 * the network is EPERM, as in a container without CAP_NET_ADMIN.
 */
#include <asm/socket.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/inet/inet.h"
#include "net/inet/linux_if.h"
#include "net/inet/link_flags.h"
#include "net/lwip/device.h"
#include "task/task.h"

#define SOL_NETLINK 270
#define REQUEST_MAX 8192u
#define PART_BYTES 8192u /* of a dump, in one message: what programs have room for */
#define PARTS_MAX 256

/* One datagram of answers. */
struct part {
    struct list link;
    uint32_t len;
    uint8_t data[PART_BYTES];
};

struct netlink_sock {
    struct socket base;
    struct list parts;
    uint32_t count, pid, groups;
    bool connected;
};

/* What an answer is written into. */
struct answer {
    struct netlink_sock *sock;
    const struct nlmsghdr *request;
    struct part *part;
    struct nlmsghdr *open; /* the message being written */
    bool failed;
};

static struct netlink_sock *netlink_of(struct socket *sock)
{
    return container_of(sock, struct netlink_sock, base);
}

/* ---- writing messages ---- */

static bool part_new(struct answer *answer)
{
    struct part *part = answer->sock->count < PARTS_MAX ? kmalloc(sizeof(*part)) : NULL;

    if (!part) {
        answer->failed = true;
        return false;
    }
    part->len = 0;
    list_add_tail(&answer->sock->parts, &part->link);
    answer->sock->count++;
    answer->part = part;
    return true;
}

/* A message's head and its fixed part. All that follow go behind it, until the next message. */
static void message(struct answer *answer, uint16_t type, uint16_t flags, const void *fixed, uint32_t len)
{
    const uint32_t most = 1024; /* no message of ours is longer */

    answer->open = NULL;
    if ((!answer->part || answer->part->len + most > PART_BYTES) && !part_new(answer)) return;
    answer->open = (struct nlmsghdr *)(answer->part->data + answer->part->len);
    *answer->open = (struct nlmsghdr){
        .nlmsg_len = NLMSG_LENGTH(len),
        .nlmsg_type = type,
        .nlmsg_flags = flags,
        .nlmsg_seq = answer->request->nlmsg_seq,
        .nlmsg_pid = answer->sock->pid,
    };
    memset(NLMSG_DATA(answer->open), 0, NLMSG_ALIGN(len));
    memcpy(NLMSG_DATA(answer->open), fixed, len);
    answer->part->len += NLMSG_ALIGN(answer->open->nlmsg_len);
}

static void attribute(struct answer *answer, uint16_t type, const void *data, uint32_t len)
{
    if (!answer->open) return;
    struct rtattr *at = (struct rtattr *)(answer->part->data + answer->part->len);
    *at = (struct rtattr){.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type};
    memset(RTA_DATA(at), 0, RTA_ALIGN(len));
    memcpy(RTA_DATA(at), data, len);
    answer->open->nlmsg_len = NLMSG_ALIGN(answer->open->nlmsg_len) + at->rta_len;
    answer->part->len += RTA_ALIGN(at->rta_len);
}

static void attribute_u32(struct answer *answer, uint16_t type, uint32_t value)
{
    attribute(answer, type, &value, sizeof(value));
}

static void attribute_text(struct answer *answer, uint16_t type, const char *text)
{
    attribute(answer, type, text, (uint32_t)strlen(text) + 1);
}

static void attribute_ip(struct answer *answer, uint16_t type, const ip_addr_t *ip)
{
    if (IP_IS_V6(ip))
        attribute(answer, type, ip_2_ip6(ip)->addr, 16);
    else
        attribute(answer, type, &ip_2_ip4(ip)->addr, 4);
}

static uint8_t family_of(const ip_addr_t *ip)
{
    return IP_IS_V6(ip) ? AF_INET6 : AF_INET;
}

static void error_message(struct answer *answer, int error)
{
    struct nlmsgerr body = {.error = error, .msg = *answer->request};

    message(answer, NLMSG_ERROR, 0, &body, sizeof(body));
}

/* ---- what there is ---- */

static void put_link(struct answer *answer, const struct net_device *device, uint16_t flags)
{
    static const uint8_t nobody[6], everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct ifinfomsg info = {
        .ifi_type = device->loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER,
        .ifi_index = (int)device->ifindex,
        .ifi_flags = link_flags(device),
    };
    const uint8_t up = 6, unknown = 0, mode = 0, carrier = 1;
    struct rtnl_link_stats64 stats = {
        .rx_packets = device->stats.rx_packets, .rx_bytes = device->stats.rx_bytes, .rx_dropped = device->stats.rx_dropped,
        .tx_packets = device->stats.tx_packets, .tx_bytes = device->stats.tx_bytes, .tx_dropped = device->stats.tx_dropped,
    };

    message(answer, RTM_NEWLINK, flags, &info, sizeof(info));
    attribute_text(answer, IFLA_IFNAME, device->name);
    attribute_u32(answer, IFLA_TXQLEN, 1000);
    attribute(answer, IFLA_OPERSTATE, device->loopback ? &unknown : &up, 1);
    attribute(answer, IFLA_LINKMODE, &mode, 1);
    attribute_u32(answer, IFLA_MTU, device->mtu);
    attribute_u32(answer, IFLA_GROUP, 0);
    attribute(answer, IFLA_CARRIER, &carrier, 1);
    attribute_text(answer, IFLA_QDISC, device->loopback ? "noqueue" : "fq_codel");
    attribute(answer, IFLA_ADDRESS, device->mac, 6);
    attribute(answer, IFLA_BROADCAST, device->loopback ? nobody : everybody, 6);
    attribute(answer, IFLA_STATS64, &stats, sizeof(stats));
}

/* By index or name: 0, -ENODEV. */
static int get_link(struct answer *answer, const void *body, uint32_t len)
{
    const struct ifinfomsg *info = body;
    const struct net_device *device = NULL;

    if (len < sizeof(*info)) return -EINVAL;
    if (info->ifi_index > 0) {
        device = net_device_by_index((uint32_t)info->ifi_index);
    } else {
        int left = (int)(len - NLMSG_ALIGN(sizeof(*info)));
        const struct rtattr *at = (const void *)((const char *)body + NLMSG_ALIGN(sizeof(*info)));
        for (; len > NLMSG_ALIGN(sizeof(*info)) && RTA_OK(at, left); at = RTA_NEXT(at, left)) {
            char name[IFNAMSIZ] = {0};
            if (at->rta_type != IFLA_IFNAME) continue;
            memcpy(name, RTA_DATA(at), MIN(RTA_PAYLOAD(at), sizeof(name) - 1));
            device = net_device_by_name(name);
        }
    }
    if (!device) return -ENODEV;
    put_link(answer, device, 0);
    return 0;
}

static void dump_links(struct answer *answer)
{
    const struct net_device *device;

    list_for_each(device, &net_devices, link) put_link(answer, device, NLM_F_MULTI);
}

static void dump_addresses(struct answer *answer, uint8_t family)
{
    const struct ifa_cacheinfo forever = {UINT32_MAX, UINT32_MAX, 0, 0};
    const struct net_address *address;

    list_for_each(address, &net_addresses, link) {
        struct ifaddrmsg info = {
            .ifa_family = family_of(&address->address),
            .ifa_prefixlen = address->prefix_len,
            .ifa_flags = (uint8_t)address->flags,
            .ifa_scope = address->scope,
            .ifa_index = address->device->ifindex,
        };
        if (family && family != info.ifa_family) continue;
        message(answer, RTM_NEWADDR, NLM_F_MULTI, &info, sizeof(info));
        attribute_ip(answer, IFA_ADDRESS, &address->peer);
        if (info.ifa_family == AF_INET) {
            attribute_ip(answer, IFA_LOCAL, &address->address);
            if (address->broadcast) attribute_u32(answer, IFA_BROADCAST, address->broadcast);
            attribute_text(answer, IFA_LABEL, address->device->name);
        }
        attribute_u32(answer, IFA_FLAGS, address->flags);
        attribute(answer, IFA_CACHEINFO, &forever, sizeof(forever));
    }
}

static void put_route(struct answer *answer, const struct net_route *route, uint16_t flags)
{
    struct rtmsg info = {
        .rtm_family = family_of(&route->dst),
        .rtm_dst_len = route->dst_len,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = route->protocol,
        .rtm_scope = route->scope,
        .rtm_type = RTN_UNICAST,
    };

    message(answer, RTM_NEWROUTE, flags, &info, sizeof(info));
    attribute_u32(answer, RTA_TABLE, RT_TABLE_MAIN);
    if (route->dst_len) attribute_ip(answer, RTA_DST, &route->dst);
    if (route->has_gateway && IP_GET_TYPE(&route->gateway) == IP_GET_TYPE(&route->dst))
        attribute_ip(answer, RTA_GATEWAY, &route->gateway);
    if (route->has_prefsrc) attribute_ip(answer, RTA_PREFSRC, &route->prefsrc);
    if (route->metric) attribute_u32(answer, RTA_PRIORITY, route->metric);
    attribute_u32(answer, RTA_OIF, route->device->ifindex);
}

static void dump_routes(struct answer *answer, uint8_t family)
{
    const struct net_route *route;

    list_for_each(route, &net_routes, link)
        if (!family || family == family_of(&route->dst)) put_route(answer, route, NLM_F_MULTI);
}

/* `ip route get`. */
static int get_route(struct answer *answer, const void *body, uint32_t len)
{
    const struct rtmsg *asked = body;
    ip_addr_t to, from;

    if (len < sizeof(*asked)) return -EINVAL;
    to = asked->rtm_family == AF_INET6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
    uint32_t bytes = IP_IS_V6(&to) ? 16 : 4;
    int left = (int)(len - NLMSG_ALIGN(sizeof(*asked)));
    const struct rtattr *at = (const void *)((const char *)body + NLMSG_ALIGN(sizeof(*asked)));
    for (; left > 0 && RTA_OK(at, left); at = RTA_NEXT(at, left))
        if (at->rta_type == RTA_DST && RTA_PAYLOAD(at) >= bytes)
            memcpy(bytes == 16 ? (void *)ip_2_ip6(&to)->addr : (void *)&ip_2_ip4(&to)->addr, RTA_DATA(at), bytes);
    if (!net_source_address(&to, &from)) return -ENETUNREACH;
    const struct net_route *route = net_is_local(&to) ? NULL : net_route_find(NULL, &to);
    struct rtmsg info = {
        .rtm_family = family_of(&to),
        .rtm_dst_len = (uint8_t)(bytes * 8),
        .rtm_table = route ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
        .rtm_type = route ? RTN_UNICAST : RTN_LOCAL,
        .rtm_flags = RTM_F_CLONED,
    };
    message(answer, RTM_NEWROUTE, 0, &info, sizeof(info));
    attribute_u32(answer, RTA_TABLE, info.rtm_table);
    attribute_ip(answer, RTA_DST, &to);
    attribute_u32(answer, RTA_OIF, route ? route->device->ifindex : LOOPBACK_IFINDEX);
    attribute_ip(answer, RTA_PREFSRC, &from);
    if (route && route->has_gateway && IP_GET_TYPE(&route->gateway) == IP_GET_TYPE(&to))
        attribute_ip(answer, RTA_GATEWAY, &route->gateway);
    return 0;
}

static void dump_neighbours(struct answer *answer)
{
    const struct net_neighbour *neighbour;

    list_for_each(neighbour, &net_neighbours, link) {
        struct ndmsg info = {
            .ndm_family = family_of(&neighbour->address),
            .ndm_ifindex = (int)neighbour->device->ifindex,
            .ndm_state = NUD_PERMANENT,
            .ndm_type = RTN_UNICAST,
        };
        message(answer, RTM_NEWNEIGH, NLM_F_MULTI, &info, sizeof(info));
        attribute_ip(answer, NDA_DST, &neighbour->address);
        attribute(answer, NDA_LLADDR, neighbour->mac, 6);
    }
}

static int answer_dump(struct answer *answer, uint16_t type, uint8_t family)
{
    switch (type) {
    case RTM_GETLINK: dump_links(answer); break;
    case RTM_GETADDR: dump_addresses(answer, family); break;
    case RTM_GETROUTE: dump_routes(answer, family); break;
    case RTM_GETNEIGH: dump_neighbours(answer); break;
    case RTM_GETRULE:
    case RTM_GETQDISC:
    case RTM_GETTCLASS:
    case RTM_GETTFILTER:
    case RTM_GETADDRLABEL:
    case RTM_GETNETCONF: break; /* none */
    default: return -EOPNOTSUPP;
    }
    const int32_t status = 0;
    message(answer, NLMSG_DONE, NLM_F_MULTI, &status, sizeof(status));
    return 0;
}

/* One request: its answers, or an error to be reported. */
static int answer_one(struct answer *answer)
{
    const struct nlmsghdr *request = answer->request;
    const void *body = NLMSG_DATA(request);
    uint32_t len = request->nlmsg_len - NLMSG_HDRLEN;
    uint8_t family = len > 0 ? *(const uint8_t *)body : 0;

    if (answer->sock->base.protocol != NETLINK_ROUTE) return -EOPNOTSUPP;
    if (request->nlmsg_type < RTM_BASE) return 0;
    if ((request->nlmsg_type - RTM_BASE) % 4 != 2) return -EPERM; /* new, delete, set */
    if ((request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) return answer_dump(answer, request->nlmsg_type, family);
    if (request->nlmsg_type == RTM_GETLINK) return get_link(answer, body, len);
    if (request->nlmsg_type == RTM_GETROUTE) return get_route(answer, body, len);
    return -EOPNOTSUPP;
}

static void answer_all(struct netlink_sock *sock, const uint8_t *data, size_t len)
{
    struct answer answer = {.sock = sock};

    while (len >= NLMSG_HDRLEN) {
        answer.request = (const void *)data;
        uint32_t one = answer.request->nlmsg_len;
        if (one < NLMSG_HDRLEN || one > len) return;
        if (answer.request->nlmsg_flags & NLM_F_REQUEST) {
            answer.part = NULL; /* an answer to each begins a datagram of its own */
            int err = answer_one(&answer);
            const bool dumped = !err && (answer.request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
            if (err || (answer.request->nlmsg_flags & NLM_F_ACK && !dumped)) {
                answer.part = NULL;
                error_message(&answer, err);
            }
        }
        if (answer.failed) sock->base.error = ENOBUFS;
        size_t step = MIN((size_t)NLMSG_ALIGN(one), len);
        data += step;
        len -= step;
    }
    socket_wake(&sock->base, EPOLLIN | EPOLLRDNORM);
}

/* ---- the socket ---- */

static int netlink_bind(struct socket *base, const struct socket_address *addr)
{
    static uint32_t next_pid = 0x40000000u;
    struct netlink_sock *sock = netlink_of(base);
    const struct sockaddr_nl *nl = (const void *)&addr->storage;

    if (addr->len && (addr->len < sizeof(*nl) || nl->nl_family != AF_NETLINK)) return -EINVAL;
    sock->groups = addr->len ? nl->nl_groups : 0;
    if (addr->len && nl->nl_pid)
        sock->pid = nl->nl_pid;
    else if (!sock->pid)
        sock->pid = sock->groups ? next_pid++ : (uint32_t)current->process->pid;
    return 0;
}

static int netlink_connect(struct socket *base, const struct socket_address *addr, int64_t deadline)
{
    (void)deadline;
    netlink_of(base)->connected = addr->len >= sizeof(uint16_t) && addr->storage.ss_family == AF_NETLINK;
    return 0;
}

static int netlink_getname(struct socket *base, bool peer, struct socket_address *addr)
{
    struct sockaddr_nl *nl = (void *)&addr->storage;

    addr->len = sizeof(*nl);
    nl->nl_family = AF_NETLINK;
    nl->nl_pid = peer ? 0 : netlink_of(base)->pid;
    nl->nl_groups = peer ? 0 : netlink_of(base)->groups;
    return 0;
}

static int64_t netlink_sendmsg(struct socket *base, struct socket_message *msg, int64_t deadline)
{
    struct netlink_sock *sock = netlink_of(base);
    const size_t len = msg->iter.count;
    (void)deadline;

    if (len > REQUEST_MAX) return -EMSGSIZE;
    if (!sock->pid) netlink_bind(base, &(struct socket_address){0});
    uint8_t *data = kmalloc(REQUEST_MAX);
    if (!data) return -ENOBUFS;
    int64_t result = (int64_t)len;
    if (len > 0 && copy_from_iter(&msg->iter, data, len) < (ssize_t)len)
        result = -EFAULT;
    else
        answer_all(sock, data, len);
    kfree(data);
    return result;
}

static int64_t netlink_recvmsg(struct socket *base, struct socket_message *msg, int64_t deadline)
{
    struct netlink_sock *sock = netlink_of(base);

    if (base->error) return socket_take_error(base);
    int err = socket_wait(base, !list_empty(&sock->parts), deadline);
    if (err) return err;
    struct part *part = list_first(&sock->parts, struct part, link);
    size_t n = MIN((size_t)part->len, msg->iter.count);
    if (n > 0 && copy_to_iter(&msg->iter, part->data, n) < (ssize_t)n) return -EFAULT;
    if (n < part->len) msg->out_flags |= MSG_TRUNC;
    netlink_getname(base, true, &msg->name);
    int64_t done = msg->flags & MSG_TRUNC ? part->len : (int64_t)n;
    if (!(msg->flags & MSG_PEEK)) {
        list_del(&part->link);
        sock->count--;
        kfree(part);
    }
    return done;
}

static int netlink_setsockopt(struct socket *base, int level, int name, uaddr_t value, uint32_t len)
{
    int number;
    (void)base;
    (void)name;

    return level == SOL_NETLINK ? sockopt_get_int(value, len, &number) : -ENOPROTOOPT;
}

static uint32_t netlink_poll(struct socket *base)
{
    return EPOLLOUT | EPOLLWRNORM | (list_empty(&netlink_of(base)->parts) ? 0 : EPOLLIN | EPOLLRDNORM) |
           (base->error ? EPOLLERR : 0);
}

static void netlink_release(struct socket *base)
{
    struct netlink_sock *sock = netlink_of(base);

    while (!list_empty(&sock->parts)) {
        struct part *part = list_first(&sock->parts, struct part, link);
        list_del(&part->link);
        kfree(part);
    }
    kfree(sock);
}

static const struct socket_ops netlink_ops = {
    .bind = netlink_bind,
    .connect = netlink_connect,
    .getname = netlink_getname,
    .sendmsg = netlink_sendmsg,
    .recvmsg = netlink_recvmsg,
    .setsockopt = netlink_setsockopt,
    .poll = netlink_poll,
    .release = netlink_release,
};

static int netlink_create(int type, int protocol, struct socket **made)
{
    if (type != SOCK_RAW && type != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    if (protocol < 0 || protocol >= MAX_LINKS) return -EPROTONOSUPPORT;
    /* Others have nothing to tell here, and programs take that for a kernel without them. */
    if (protocol != NETLINK_ROUTE && protocol != NETLINK_KOBJECT_UEVENT && protocol != NETLINK_GENERIC) return -EPROTONOSUPPORT;
    struct netlink_sock *sock = kzalloc(sizeof(*sock));
    if (!sock) return -ENOMEM;
    socket_init(&sock->base, &netlink_ops, AF_NETLINK, type, protocol);
    list_init(&sock->parts);
    *made = &sock->base;
    return 0;
}

const struct socket_family netlink_family = {.family = AF_NETLINK, .create = netlink_create};
