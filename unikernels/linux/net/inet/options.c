/* Options of SOL_IP and SOL_IPV6, control messages, and ioctl on sockets. */
#include "net/inet/options.h"

#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/time_types.h>

#include "lib/string.h"
#include "mm/uaccess.h"
#include "net/lwip/device.h"

#define SOL_IP_LEVEL 0
#define SOL_IPV6_LEVEL 41
#define SOL_RAW_LEVEL 255
#define SOL_UDP_LEVEL 17

/* As in the C library; <linux/ipv6.h> has it with much else. */
struct in6_pktinfo {
    struct in6_addr ipi6_addr;
    int ipi6_ifindex;
};

static bool *flag4(struct inet_sock *inet, int name)
{
    switch (name) {
    case IP_PKTINFO: return &inet->pktinfo;
    case IP_RECVTTL: return &inet->recv_ttl;
    case IP_RECVTOS: return &inet->recv_tos;
    case IP_RECVERR: return &inet->recv_err;
    case IP_HDRINCL: return inet->base.type == SOCK_RAW ? &inet->header_included : NULL;
    case IP_FREEBIND: return &inet->freebind;
    case IP_MULTICAST_LOOP: return &inet->multicast_loop;
    default: return NULL;
    }
}

static bool *flag6(struct inet_sock *inet, int name)
{
    switch (name) {
    case IPV6_RECVPKTINFO: return &inet->recv_pktinfo6;
    case IPV6_RECVHOPLIMIT: return &inet->recv_hoplimit6;
    case IPV6_RECVTCLASS: return &inet->recv_tclass6;
    case IPV6_RECVERR: return &inet->recv_err6;
    case IPV6_MULTICAST_LOOP: return &inet->multicast_loop;
    case IPV6_FREEBIND: return &inet->freebind;
    default: return NULL;
    }
}

/* Groups are joined by looking at no more than the packet: a bridge hands out multicast anyway. */
static int membership(const struct inet_sock *inet, uaddr_t value, uint32_t len, bool ipv6)
{
    struct ip_mreq group;
    (void)inet;

    if (len < sizeof(group)) return -EINVAL;
    if (copy_from_user(&group, value, sizeof(group))) return -EFAULT;
    const uint8_t first = *(const uint8_t *)&group;
    return (ipv6 ? first == 0xff : first >> 4 == 14) ? 0 : -EINVAL;
}

/* One byte is enough for most options of IP. */
static int get_number(uaddr_t value, uint32_t len, int *number)
{
    uint8_t byte;

    if (len >= sizeof(int)) return sockopt_get_int(value, len, number);
    if (len < 1) return -EINVAL;
    if (copy_from_user(&byte, value, 1)) return -EFAULT;
    *number = byte;
    return 0;
}

static int set4(struct inet_sock *inet, int name, uaddr_t value, uint32_t len)
{
    bool *flag = flag4(inet, name);
    int number;

    if (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP) return membership(inet, value, len, false);
    if (name == IP_MULTICAST_IF) return len < 4 ? -EINVAL : 0;
    if (name == IP_OPTIONS) return len == 0 ? 0 : -EPERM;
    int err = get_number(value, len, &number);
    if (err) return err;
    if (flag) {
        *flag = number != 0;
        return 0;
    }
    switch (name) {
    case IP_TOS:
        inet->tos = (uint8_t)number;
        return 0;
    case IP_TTL:
        if (number != -1 && (number < 1 || number > 255)) return -EINVAL;
        inet->ttl = number;
        return 0;
    case IP_MULTICAST_TTL:
        if (number < -1 || number > 255) return -EINVAL;
        inet->multicast_ttl = number == -1 ? 1 : number;
        return 0;
    case IP_MTU_DISCOVER:
        if (number < IP_PMTUDISC_DONT || number > IP_PMTUDISC_OMIT) return -EINVAL;
        inet->mtu_discover = number;
        return 0;
    case IP_MULTICAST_ALL:
        return 0;
    case IP_BIND_ADDRESS_NO_PORT:
    case IP_RECVORIGDSTADDR:
    case IP_CHECKSUM:
    case IP_RETOPTS:
    case IP_RECVOPTS:
    case IP_LOCAL_PORT_RANGE:
        return 0;
    case IP_TRANSPARENT:
        return -EPERM;
    default:
        return -ENOPROTOOPT;
    }
}

static int set6(struct inet_sock *inet, int name, uaddr_t value, uint32_t len)
{
    bool *flag = flag6(inet, name);
    int number;

    if (name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP) return membership(inet, value, len, true);
    int err = sockopt_get_int(value, len, &number);
    if (err) return err;
    if (flag) {
        *flag = number != 0;
        return 0;
    }
    switch (name) {
    case IPV6_V6ONLY:
        if (inet->local_port) return -EINVAL;
        inet->v6only = number != 0;
        return 0;
    case IPV6_UNICAST_HOPS:
        if (number < -1 || number > 255) return -EINVAL;
        inet->hop_limit = number;
        return 0;
    case IPV6_MULTICAST_HOPS:
        if (number < -1 || number > 255) return -EINVAL;
        inet->multicast_hops = number == -1 ? 1 : number;
        return 0;
    case IPV6_MULTICAST_IF:
        if (number && !net_device_by_index((uint32_t)number)) return -ENODEV;
        inet->multicast_ifindex = (uint32_t)number;
        return 0;
    case IPV6_TCLASS:
        if (number < -1 || number > 255) return -EINVAL;
        inet->tclass = (uint8_t)MAX(number, 0);
        return 0;
    case IPV6_MTU_DISCOVER:
        if (number < IPV6_PMTUDISC_DONT || number > IPV6_PMTUDISC_OMIT) return -EINVAL;
        inet->mtu_discover6 = number;
        return 0;
    case IPV6_MULTICAST_ALL:
    case IPV6_AUTOFLOWLABEL:
    case IPV6_DONTFRAG:
    case IPV6_RECVPATHMTU:
    case IPV6_ADDR_PREFERENCES:
    case IPV6_CHECKSUM:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int inet_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len)
{
    struct inet_sock *inet = inet_of(sock);

    if (level == SOL_IP_LEVEL) return set4(inet, name, value, len);
    if (level == SOL_IPV6_LEVEL) return sock->family == AF_INET6 ? set6(inet, name, value, len) : -ENOPROTOOPT;
    return -ENOPROTOOPT;
}

static int get4(struct inet_sock *inet, int name, int *number)
{
    switch (name) {
    case IP_TOS: *number = inet->tos; return 0;
    case IP_TTL: *number = inet->ttl < 0 ? IP_TTL_DEFAULT : inet->ttl; return 0;
    case IP_MULTICAST_TTL: *number = inet->multicast_ttl; return 0;
    case IP_MTU_DISCOVER: *number = inet->mtu_discover; return 0;
    case IP_MULTICAST_ALL: *number = 1; return 0;
    case IP_BIND_ADDRESS_NO_PORT:
    case IP_TRANSPARENT:
    case IP_RECVORIGDSTADDR: *number = 0; return 0;
    default: return -ENOPROTOOPT;
    }
}

static int get6(struct inet_sock *inet, int name, int *number)
{
    switch (name) {
    case IPV6_V6ONLY: *number = inet->v6only; return 0;
    case IPV6_UNICAST_HOPS: *number = inet->hop_limit < 0 ? IP_TTL_DEFAULT : inet->hop_limit; return 0;
    case IPV6_MULTICAST_HOPS: *number = inet->multicast_hops; return 0;
    case IPV6_MULTICAST_IF: *number = (int)inet->multicast_ifindex; return 0;
    case IPV6_TCLASS: *number = inet->tclass; return 0;
    case IPV6_MTU_DISCOVER: *number = inet->mtu_discover6; return 0;
    case IPV6_MULTICAST_ALL: *number = 1; return 0;
    case IPV6_AUTOFLOWLABEL:
    case IPV6_DONTFRAG: *number = 0; return 0;
    default: return -ENOPROTOOPT;
    }
}

static int get_mtu(const struct inet_sock *inet, int *number)
{
    const struct net_route *route = net_route_find(NULL, &inet->remote);

    if (!inet->remote_port) return -ENOTCONN;
    *number = net_is_local(&inet->remote) || !route ? (int)LOOPBACK_MTU : (int)route->device->mtu;
    return 0;
}

int inet_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len)
{
    struct inet_sock *inet = inet_of(sock);
    int number = 0, err = -ENOPROTOOPT;
    const bool *flag = NULL;

    if (level == SOL_IP_LEVEL) {
        flag = flag4(inet, name);
        if (name == IP_OPTIONS) return put_user_u32(len, 0);
        err = flag ? 0 : name == IP_MTU ? get_mtu(inet, &number) : get4(inet, name, &number);
    } else if (level == SOL_IPV6_LEVEL && sock->family == AF_INET6) {
        flag = flag6(inet, name);
        err = flag ? 0 : name == IPV6_MTU ? get_mtu(inet, &number) : get6(inet, name, &number);
    }
    if (err) return err;
    return sockopt_put_int(value, len, flag ? *flag : number);
}

/* ---- control messages ---- */

static int put_timestamp(const struct socket *sock, struct socket_message *msg, int64_t ns)
{
    const int64_t seconds = ns / NSEC_PER_SEC, rest = ns % NSEC_PER_SEC;
    int64_t micro[2] = {seconds, rest / 1000}, nano[2] = {seconds, rest};

    if (sock->timestamp_ns) return cmsg_put(msg, SOL_SOCKET, SO_TIMESTAMPNS_OLD, nano, sizeof(nano));
    return sock->timestamp ? cmsg_put(msg, SOL_SOCKET, SO_TIMESTAMP_OLD, micro, sizeof(micro)) : 0;
}

static int put_control4(const struct inet_sock *inet, struct socket_message *msg, const struct inet_packet_info *info)
{
    int err = 0, ttl = info->ttl;

    if (inet->pktinfo) {
        struct in_pktinfo pktinfo = {.ipi_ifindex = (int)info->ifindex};
        pktinfo.ipi_addr.s_addr = pktinfo.ipi_spec_dst.s_addr = ip_2_ip4(&info->local)->addr;
        err = cmsg_put(msg, SOL_IP_LEVEL, IP_PKTINFO, &pktinfo, sizeof(pktinfo));
    }
    if (!err && inet->recv_ttl) err = cmsg_put(msg, SOL_IP_LEVEL, IP_TTL, &ttl, sizeof(ttl));
    if (!err && inet->recv_tos) err = cmsg_put(msg, SOL_IP_LEVEL, IP_TOS, &info->tos, 1);
    return err;
}

static int put_control6(const struct inet_sock *inet, struct socket_message *msg, const struct inet_packet_info *info)
{
    int err = 0, hops = info->ttl, tclass = info->tos;

    if (inet->recv_pktinfo6) {
        struct in6_pktinfo pktinfo = {.ipi6_ifindex = (int)info->ifindex};
        if (IP_IS_V6(&info->local)) {
            memcpy(&pktinfo.ipi6_addr, ip_2_ip6(&info->local)->addr, 16);
        } else {
            pktinfo.ipi6_addr.s6_addr[10] = pktinfo.ipi6_addr.s6_addr[11] = 0xff;
            memcpy(pktinfo.ipi6_addr.s6_addr + 12, &ip_2_ip4(&info->local)->addr, 4);
        }
        err = cmsg_put(msg, SOL_IPV6_LEVEL, IPV6_PKTINFO, &pktinfo, sizeof(pktinfo));
    }
    if (IP_IS_V4(&info->local)) return err;
    if (!err && inet->recv_hoplimit6) err = cmsg_put(msg, SOL_IPV6_LEVEL, IPV6_HOPLIMIT, &hops, sizeof(hops));
    if (!err && inet->recv_tclass6) err = cmsg_put(msg, SOL_IPV6_LEVEL, IPV6_TCLASS, &tclass, sizeof(tclass));
    return err;
}

int inet_put_control(const struct inet_sock *inet, struct socket_message *msg, const struct inet_packet_info *info)
{
    int err = put_timestamp(&inet->base, msg, info->time_ns);

    if (!err && IP_IS_V4(&info->local)) err = put_control4(inet, msg, info);
    if (!err && inet->base.family == AF_INET6) err = put_control6(inet, msg, info);
    return err;
}

static int take_control(const struct inet_sock *inet, const struct cmsg *cmsg, struct inet_send_info *info)
{
    struct in_pktinfo pktinfo;
    struct in6_pktinfo pktinfo6;
    int number = 0;

    if (cmsg->len >= sizeof(number)) memcpy(&number, cmsg->data, sizeof(number));
    if (cmsg->level == SOL_SOCKET) return 0;
    if (cmsg->level == SOL_IP_LEVEL && cmsg->type == IP_PKTINFO) {
        if (cmsg->len != sizeof(pktinfo)) return -EINVAL;
        memcpy(&pktinfo, cmsg->data, sizeof(pktinfo));
        info->ifindex = (uint32_t)pktinfo.ipi_ifindex;
        info->has_source = pktinfo.ipi_spec_dst.s_addr != 0;
        info->source = *IP4_ADDR_ANY;
        ip_2_ip4(&info->source)->addr = pktinfo.ipi_spec_dst.s_addr;
        return 0;
    }
    if (cmsg->level == SOL_IPV6_LEVEL && cmsg->type == IPV6_PKTINFO) {
        if (cmsg->len < sizeof(pktinfo6)) return -EINVAL;
        memcpy(&pktinfo6, cmsg->data, sizeof(pktinfo6));
        struct socket_address addr = {.len = sizeof(struct sockaddr_in6)};
        struct sockaddr_in6 *in6 = (void *)&addr.storage;
        uint16_t port;
        in6->sin6_family = AF_INET6;
        in6->sin6_addr = pktinfo6.ipi6_addr;
        info->ifindex = in6->sin6_scope_id = (uint32_t)pktinfo6.ipi6_ifindex;
        int err = inet_address_in(inet, &addr, &info->source, &port);
        info->has_source = !err && !ip_addr_isany(&info->source);
        return err;
    }
    if ((cmsg->level == SOL_IP_LEVEL && cmsg->type == IP_TTL) || (cmsg->level == SOL_IPV6_LEVEL && cmsg->type == IPV6_HOPLIMIT))
        info->ttl = number;
    else if ((cmsg->level == SOL_IP_LEVEL && cmsg->type == IP_TOS) || (cmsg->level == SOL_IPV6_LEVEL && cmsg->type == IPV6_TCLASS))
        info->tos = cmsg->len == 1 ? cmsg->data[0] : number;
    else if (cmsg->level != SOL_UDP_LEVEL)
        return -EINVAL;
    return 0;
}

int inet_get_control(const struct inet_sock *inet, const struct socket_message *msg, struct inet_send_info *info)
{
    struct cmsg cmsg;
    size_t at = 0;
    int more;

    *info = (struct inet_send_info){.ttl = -1, .tos = -1};
    while ((more = cmsg_next(msg, &at, &cmsg)) > 0) {
        int err = take_control(inet, &cmsg, info);
        if (err) return err;
    }
    return more;
}
