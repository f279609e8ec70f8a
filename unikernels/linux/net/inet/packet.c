/* AF_PACKET: frames as they are, for arping, tcpdump and the like. Takes CAP_NET_RAW. */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/inet/inet.h"
#include "net/inet/linux_if.h"
#include "net/lwip/device.h"
#include "net/lwip/packet_tap.h"
#include "net/lwip/pool.h"
#include "task/cred.h"
#include "task/task.h"

#define SOL_PACKET_LEVEL 263
#define FRAME_MAX (ETH_HLEN + 65535u)

struct packet {
    struct list link;
    struct sockaddr_ll from;
    uint32_t len;
    uint8_t data[];
};

struct packet_sock {
    struct socket base;
    struct list all, queue;
    size_t bytes;
    uint32_t ifindex;  /* 0: all */
    uint16_t protocol; /* network order; 0: nothing */
};

uint32_t packet_taps;
static struct list sockets = {&sockets, &sockets};

static struct packet_sock *packet_of(struct socket *sock)
{
    return container_of(sock, struct packet_sock, base);
}

static void fill_address(struct sockaddr_ll *ll, const struct net_device *device, uint16_t protocol)
{
    ll->sll_family = AF_PACKET;
    ll->sll_protocol = protocol;
    ll->sll_ifindex = (int)device->ifindex;
    ll->sll_hatype = device->loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
    ll->sll_halen = ETH_ALEN;
}

void packet_tap_frame(struct net_device *device, const uint8_t *frame, uint32_t len, bool outgoing)
{
    struct packet_sock *sock;
    uint16_t protocol;

    if (len < ETH_HLEN) return;
    memcpy(&protocol, frame + 12, sizeof(protocol));
    list_for_each(sock, &sockets, all) {
        const bool everything = sock->protocol == lwip_htons(ETH_P_ALL);
        if ((!everything && (sock->protocol != protocol || outgoing)) || !sock->protocol) continue;
        if (sock->ifindex && sock->ifindex != device->ifindex) continue;
        uint32_t skip = sock->base.type == SOCK_DGRAM ? ETH_HLEN : 0;
        if (sock->bytes + len > (size_t)sock->base.rcvbuf) continue;
        struct packet *packet = net_pool_alloc(sizeof(*packet) + len - skip);
        if (!packet) continue;
        *packet = (struct packet){.len = len - skip};
        fill_address(&packet->from, device, protocol);
        packet->from.sll_pkttype = outgoing              ? PACKET_OUTGOING
                                   : frame[0] == 0xff    ? PACKET_BROADCAST
                                   : frame[0] & 1        ? PACKET_MULTICAST
                                   : memcmp(frame, device->mac, ETH_ALEN) ? PACKET_OTHERHOST : PACKET_HOST;
        memcpy(packet->from.sll_addr, frame + ETH_ALEN, ETH_ALEN);
        memcpy(packet->data, frame + skip, len - skip);
        list_add_tail(&sock->queue, &packet->link);
        sock->bytes += packet->len;
        socket_wake(&sock->base, EPOLLIN | EPOLLRDNORM);
    }
}

static int packet_bind(struct socket *base, const struct socket_address *addr)
{
    struct packet_sock *sock = packet_of(base);
    const struct sockaddr_ll *ll = (const void *)&addr->storage;

    if (addr->len < sizeof(*ll) || ll->sll_family != AF_PACKET) return -EINVAL;
    if (ll->sll_ifindex && !net_device_by_index((uint32_t)ll->sll_ifindex)) return -ENODEV;
    sock->ifindex = (uint32_t)ll->sll_ifindex;
    if (ll->sll_protocol) sock->protocol = ll->sll_protocol;
    return 0;
}

static int packet_getname(struct socket *base, bool peer, struct socket_address *addr)
{
    const struct packet_sock *sock = packet_of(base);
    const struct net_device *device = net_device_by_index(sock->ifindex);
    struct sockaddr_ll *ll = (void *)&addr->storage;

    if (peer) return -EOPNOTSUPP;
    addr->len = sizeof(*ll);
    ll->sll_family = AF_PACKET;
    ll->sll_protocol = sock->protocol;
    if (!device) return 0;
    fill_address(ll, device, sock->protocol);
    memcpy(ll->sll_addr, device->mac, ETH_ALEN);
    return 0;
}

static int64_t packet_sendmsg(struct socket *base, struct socket_message *msg, int64_t deadline)
{
    struct packet_sock *sock = packet_of(base);
    const struct sockaddr_ll *to = msg->name.len >= 12 ? (const void *)&msg->name.storage : NULL;
    struct net_device *device = net_device_by_index(to ? (uint32_t)to->sll_ifindex : sock->ifindex);
    const size_t head = base->type == SOCK_DGRAM ? ETH_HLEN : 0, len = msg->iter.count;
    (void)deadline;

    if (!device || device->loopback) return -ENXIO;
    if (len + head > device->mtu + ETH_HLEN) return -EMSGSIZE;
    if (head && !to) return -EDESTADDRREQ;
    if (len + head < ETH_HLEN) return -EINVAL;
    uint8_t *frame = net_pool_alloc(len + head);
    if (!frame) return -ENOBUFS;
    int64_t result = (int64_t)len;
    if (len > 0 && copy_from_iter(&msg->iter, frame + head, len) < (ssize_t)len) {
        result = -EFAULT;
    } else {
        if (head) {
            memcpy(frame, to->sll_addr, ETH_ALEN);
            memcpy(frame + ETH_ALEN, device->mac, ETH_ALEN);
            memcpy(frame + 12, &to->sll_protocol, 2);
        }
        net_enter();
        tap_send_raw(device, frame, (uint32_t)(len + head));
        net_leave();
    }
    net_pool_free(frame);
    return result;
}

static void drop_first(struct packet_sock *sock)
{
    struct packet *packet = list_first(&sock->queue, struct packet, link);

    list_del(&packet->link);
    sock->bytes -= packet->len;
    net_pool_free(packet);
}

static int64_t packet_recvmsg(struct socket *base, struct socket_message *msg, int64_t deadline)
{
    struct packet_sock *sock = packet_of(base);
    int err = socket_wait(base, !list_empty(&sock->queue), deadline);

    if (err) return err;
    struct packet *packet = list_first(&sock->queue, struct packet, link);
    size_t n = MIN((size_t)packet->len, msg->iter.count);
    if (n > 0 && copy_to_iter(&msg->iter, packet->data, n) < (ssize_t)n) return -EFAULT;
    if (n < packet->len) msg->out_flags |= MSG_TRUNC;
    msg->name.len = sizeof(packet->from);
    memcpy(&msg->name.storage, &packet->from, sizeof(packet->from));
    int64_t done = msg->flags & MSG_TRUNC ? packet->len : (int64_t)n;
    if (!(msg->flags & MSG_PEEK)) drop_first(sock);
    return done;
}

static int packet_setsockopt(struct socket *base, int level, int name, uaddr_t value, uint32_t len)
{
    (void)base;
    (void)value;
    (void)len;
    if (level != SOL_PACKET_LEVEL) return -ENOPROTOOPT;
    return name == PACKET_ADD_MEMBERSHIP || name == PACKET_DROP_MEMBERSHIP || name == PACKET_AUXDATA ? 0 : -ENOPROTOOPT;
}

static uint32_t packet_poll(struct socket *base)
{
    return EPOLLOUT | EPOLLWRNORM | (list_empty(&packet_of(base)->queue) ? 0 : EPOLLIN | EPOLLRDNORM);
}

static void packet_release(struct socket *base)
{
    struct packet_sock *sock = packet_of(base);

    while (!list_empty(&sock->queue)) drop_first(sock);
    list_del(&sock->all);
    packet_taps--;
    kfree(sock);
}

static const struct socket_ops packet_ops = {
    .bind = packet_bind,
    .getname = packet_getname,
    .sendmsg = packet_sendmsg,
    .recvmsg = packet_recvmsg,
    .setsockopt = packet_setsockopt,
    .poll = packet_poll,
    .release = packet_release,
};

static int packet_create(int type, int protocol, struct socket **made)
{
    if (!cred_capable(current->cred, CAP_NET_RAW)) return -EPERM;
    if (type != SOCK_RAW && type != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    struct packet_sock *sock = kzalloc(sizeof(*sock));
    if (!sock) return -ENOMEM;
    socket_init(&sock->base, &packet_ops, AF_PACKET, type, protocol);
    list_init(&sock->queue);
    sock->protocol = (uint16_t)protocol;
    list_add_tail(&sockets, &sock->all);
    packet_taps++;
    *made = &sock->base;
    return 0;
}

const struct socket_family packet_family = {.family = AF_PACKET, .create = packet_create};
