/*
 * A tap as lwIP's link: frames with a struct virtio_net_hdr in front.
 *
 * Receiving: the tap hands out TCP segments joined to frames of up to 64 KiB,
 * and frames of this machine whose checksums were never made. 32 of them a
 * wake-up, then the programs have their turn. Long ones stay in the buffer that
 * they were read into until the program has read them; others are copied out.
 *
 * Sending: lwIP makes one frame of each segment. Those that follow each other in
 * one connection are joined here to one frame that the tap cuts again, and
 * superseded acknowledgements are replaced; it is sent once something else
 * comes, it is full, or lwIP is left.
 */
#include <linux/eventpoll.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#include "lib/string.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/ip.h"
#include "lwip/prot/tcp.h"
#include "net/lwip/conn.h"
#include "net/lwip/device.h"
#include "net/lwip/packet_tap.h"
#include "net/lwip/pool.h"
#include "netif/ethernet.h"
#include "time/clock.h"

#define VNET_BYTES 10u
#define FRAMES_AT_ONCE 32
#define BYTES_AT_ONCE (256u << 10) /* the program is to find them in the processor's cache */
#define IP_MAX 65535u
#define PIECE_BYTES 16296u /* with lwIP's head it fills an object of the pool */
#define TX_ROOM 64u        /* for the vnet header, in front of the frame */

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_BYTES, "the tender sets this size");

#define RX_BYTES (VNET_BYTES + ETH_HLEN + IP_MAX)
#define RX_KEPT_MIN 8192u /* a frame this long is not copied */
#define RX_SPARE 64u

/* A frame as it was read; lwIP's once it is long. */
struct rx_buffer {
    struct pbuf_custom pbuf; /* first */
    uint8_t data[RX_BYTES];
};

static struct {
    struct rx_buffer *spare[RX_SPARE];
    uint32_t count;
} rx_buffers;

static uint8_t tx_buffer[TX_ROOM + ETH_HLEN + IP_MAX + 1] __attribute__((aligned(64)));

/* What is being put together: one frame of one connection. */
static struct {
    struct net_device *device; /* NULL: nothing */
    uint32_t len;              /* with the Ethernet header */
    uint32_t l3_len, header_len; /* header_len: Ethernet, IP and TCP */
    uint32_t next_seq, mss;
    bool ipv6, closed; /* closed: nothing may be appended */
} joined;

static uint8_t *const frame = tx_buffer + TX_ROOM;

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* ---- sending ---- */

static void send_frame(struct net_device *device, uint32_t len, const struct virtio_net_hdr *vnet)
{
    memcpy(frame - VNET_BYTES, vnet, VNET_BYTES);
    if (packet_taps) packet_tap_frame(device, frame, len, true);
    if (host_write(device->fd, frame - VNET_BYTES, len + VNET_BYTES) < 0) {
        device->stats.tx_dropped++;
        return;
    }
    device->stats.tx_packets++;
    device->stats.tx_bytes += len;
}

/* The sum over the pseudo header, which the tap continues over the segment. */
static uint32_t pseudo_sum(const uint8_t *addresses, uint32_t address_bytes, uint32_t segment_len)
{
    uint32_t sum = IPPROTO_TCP_NUMBER + segment_len;

    for (uint32_t i = 0; i < address_bytes; i += 2) sum += get16(addresses + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

void tap_flush(void)
{
    struct net_device *device = joined.device;
    uint8_t *l3 = frame + ETH_HLEN, *tcp = l3 + joined.l3_len;
    uint32_t l3_total = joined.len - ETH_HLEN, segment = l3_total - joined.l3_len;
    struct virtio_net_hdr vnet = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = (uint16_t)(ETH_HLEN + joined.l3_len),
        .csum_offset = 16,
    };

    if (!device) return;
    joined.device = NULL;
    if (joined.ipv6) {
        put16(l3 + 4, segment);
        put16(tcp + 16, pseudo_sum(l3 + 8, 32, segment));
    } else {
        put16(l3 + 2, l3_total);
        put16(l3 + 10, 0);
        uint16_t sum = (uint16_t)~net_checksum(l3, (int)joined.l3_len);
        memcpy(l3 + 10, &sum, sizeof(sum));
        put16(tcp + 16, pseudo_sum(l3 + 12, 8, segment));
    }
    if (joined.len - joined.header_len > joined.mss) {
        vnet.gso_type = joined.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        vnet.gso_size = (uint16_t)joined.mss;
        vnet.hdr_len = (uint16_t)joined.header_len;
    }
    send_frame(device, joined.len, &vnet);
}

/* Where the TCP header is, if the frame is an unfragmented TCP segment with all headers in its first piece. */
static bool is_tcp(const struct pbuf *p, bool *ipv6, uint32_t *l3_len)
{
    const uint8_t *h = p->payload;

    if (p->len < ETH_HLEN + 20 + 20) return false;
    if (get16(h + 12) == ETH_P_IP) {
        *ipv6 = false;
        *l3_len = (h[14] & 15u) * 4;
        if (h[23] != IPPROTO_TCP_NUMBER || (get16(h + 20) & 0x3fff)) return false;
    } else {
        *ipv6 = true;
        *l3_len = 40;
        if (get16(h + 12) != ETH_P_IPV6 || p->len < ETH_HLEN + 40 + 20 || h[20] != IPPROTO_TCP_NUMBER) return false;
    }
    return p->len >= ETH_HLEN + *l3_len + (h[ETH_HLEN + *l3_len + 12] >> 4) * 4u;
}

static bool same_flow(const struct net_device *device, const uint8_t *h, bool ipv6, uint32_t l3_len, uint32_t header_len)
{
    uint32_t addresses = ipv6 ? 8 : 12, bytes = l3_len - addresses + 4; /* and the ports behind them */

    return joined.device == device && joined.ipv6 == ipv6 && joined.l3_len == l3_len &&
           joined.header_len == header_len &&
           !memcmp(frame + ETH_HLEN + addresses, h + ETH_HLEN + addresses, bytes);
}

/* The newer acknowledgement, window and options stand for both. */
static void take_acknowledgement(uint8_t *tcp, const uint8_t *newer, uint32_t tcp_len)
{
    memcpy(tcp + 8, newer + 8, 4);
    memcpy(tcp + 14, newer + 14, 2);
    memcpy(tcp + 20, newer + 20, tcp_len - 20);
}

/* As lwIP has it: alone, behind what aligns it. Whoever gets it has asked for it. */
static bool has_sack(const uint8_t *tcp, uint32_t tcp_len)
{
    return tcp_len >= 32 && tcp[20] == 1 && tcp[21] == 1 && tcp[22] == 5;
}

/* Joins a segment to the frame in hand; false: it needs one of its own. */
static bool join(struct pbuf *p, const uint8_t *tcp, uint32_t header_len)
{
    uint8_t *had = frame + ETH_HLEN + joined.l3_len;
    uint32_t payload = p->tot_len - header_len, had_payload = joined.len - joined.header_len;
    uint32_t tcp_len = header_len - ETH_HLEN - joined.l3_len;
    int32_t newer = (int32_t)(get32(tcp + 8) - get32(had + 8));

    if (tcp[13] & ~(TCP_ACK | TCP_PSH | TCP_FIN) || get32(tcp + 4) != joined.next_seq || newer < 0) return false;
    if (payload > 0) {
        if (joined.closed || had_payload == 0 || joined.len + payload > ETH_HLEN + IP_MAX) return false;
        pbuf_copy_partial(p, frame + joined.len, (uint16_t)payload, (uint16_t)header_len);
        joined.len += payload;
        joined.next_seq += payload;
        had[13] |= tcp[13];
        take_acknowledgement(had, tcp, tcp_len);
        joined.closed = payload % joined.mss || tcp[13] & TCP_FIN;
        return true;
    }
    /* An acknowledgement alone: never a duplicate, which means something, unless it reports what came besides: Linux counts that. */
    if (tcp[13] & TCP_FIN) return false;
    if (tcp_len > 20) {
        if (had_payload > 0 || !has_sack(tcp, tcp_len) || !has_sack(had, tcp_len)) return false;
        take_acknowledgement(had, tcp, tcp_len);
        return true;
    }
    if (had_payload == 0 && newer == 0 && !memcmp(had + 14, tcp + 14, 2)) return false;
    take_acknowledgement(had, tcp, tcp_len);
    return true;
}

static void send_segment(struct net_device *device, struct pbuf *p, bool ipv6, uint32_t l3_len)
{
    const uint8_t *h = p->payload, *tcp = h + ETH_HLEN + l3_len;
    uint32_t header_len = ETH_HLEN + l3_len + (tcp[12] >> 4) * 4u, payload = p->tot_len - header_len;
    const bool alone = tcp[13] & (TCP_SYN | TCP_RST);

    if (!alone && same_flow(device, h, ipv6, l3_len, header_len) && join(p, tcp, header_len)) return;
    tap_flush();
    uint32_t mss = conn_sending_mss();
    joined.device = device;
    joined.ipv6 = ipv6;
    joined.l3_len = l3_len;
    joined.header_len = header_len;
    joined.len = p->tot_len;
    joined.next_seq = get32(tcp + 4) + payload;
    joined.mss = mss ? mss : 536;
    joined.closed = payload % joined.mss || tcp[13] & TCP_FIN;
    pbuf_copy_partial(p, frame, p->tot_len, 0);
    if (alone) tap_flush();
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
    static const struct virtio_net_hdr plain;
    struct net_device *device = netif->state;
    uint32_t l3_len;
    bool ipv6;

    if (is_tcp(p, &ipv6, &l3_len)) {
        send_segment(device, p, ipv6, l3_len);
        return ERR_OK;
    }
    tap_flush();
    pbuf_copy_partial(p, frame, p->tot_len, 0);
    if (get16(frame + 12) != ETH_P_IP) net_timers_slow(8); /* neighbours are asked for, or watched */
    send_frame(device, p->tot_len, &plain);
    return ERR_OK;
}

void tap_send_raw(struct net_device *device, const void *data, uint32_t len)
{
    static const struct virtio_net_hdr plain;

    tap_flush();
    memcpy(frame, data, len);
    send_frame(device, len, &plain);
}

/* ---- receiving ---- */

static struct rx_buffer *rx_buffer_get(void)
{
    return rx_buffers.count > 0 ? rx_buffers.spare[--rx_buffers.count] : net_pool_alloc(sizeof(struct rx_buffer));
}

static void rx_buffer_put(struct pbuf *p)
{
    if (rx_buffers.count < RX_SPARE)
        rx_buffers.spare[rx_buffers.count++] = (struct rx_buffer *)p;
    else
        net_pool_free(p);
}

/* Long segments of TCP only: what becomes of them is known, and there is none that lwIP would want to prepend to. */
static bool is_worth_keeping(const uint8_t *h, uint32_t len)
{
    return len >= RX_KEPT_MIN && !net_pool_tight() &&
           (get16(h + 12) == ETH_P_IP ? h[23] : h[ETH_HLEN + 6]) == IPPROTO_TCP_NUMBER;
}

static struct pbuf *copy_frame(const uint8_t *data, uint32_t len)
{
    struct pbuf *all = NULL;

    do {
        uint16_t n = (uint16_t)MIN(len, PIECE_BYTES);
        struct pbuf *piece = pbuf_alloc(PBUF_RAW, n, PBUF_RAM);
        if (!piece) {
            if (all) pbuf_free(all);
            return NULL;
        }
        memcpy(piece->payload, data, n);
        if (all)
            pbuf_cat(all, piece);
        else
            all = piece;
        data += n;
        len -= n;
    } while (len > 0);
    return all;
}

/* lwIP checks what nobody has checked: frames of this machine carry no sum yet, others were looked at. */
static void expect_checksums(struct netif *netif, const struct virtio_net_hdr *vnet)
{
    const uint16_t checked = NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP;

    if (vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
        netif->chksum_flags &= (uint16_t)~checked;
    else
        netif->chksum_flags |= checked;
}

/* False: the buffer has become lwIP's. */
static bool receive_frame(struct net_device *device, struct rx_buffer *buffer, uint32_t len)
{
    struct netif *netif = &device->netif;
    uint8_t *h = buffer->data + VNET_BYTES;
    struct virtio_net_hdr vnet;

    memcpy(&vnet, buffer->data, sizeof(vnet));

    device->stats.rx_packets++;
    device->stats.rx_bytes += len;
    if (len < ETH_HLEN) return true;
    if (packet_taps) packet_tap_frame(device, h, len, false);
    const bool multicast = h[0] & 1;
    if (!multicast && memcmp(h, device->mac, ETH_ALEN)) return true;

    uint16_t protocol = get16(h + 12);
    const bool ip = protocol == ETH_P_IP || protocol == ETH_P_IPV6;
    if (!ip && protocol != ETH_P_ARP) return true;
    uint32_t skip = ip ? ETH_HLEN : 0;
    if (len - skip > IP_MAX || len == skip) return true;
    const bool keep = ip && is_worth_keeping(h, len);
    struct pbuf *p = keep ? pbuf_alloced_custom(PBUF_RAW, (uint16_t)(len - skip), PBUF_REF, &buffer->pbuf, h + skip,
                                                (uint16_t)(len - skip))
                          : copy_frame(h + skip, len - skip);
    if (!p) {
        device->stats.rx_dropped++;
        return true;
    }
    if (!ip) {
        if (netif->input(p, netif) != ERR_OK) pbuf_free(p);
        return true;
    }
    p->if_idx = netif_get_index(netif);
    if (multicast) p->flags |= h[0] == 0xff ? PBUF_FLAG_LLBCAST : PBUF_FLAG_LLMCAST;
    expect_checksums(netif, &vnet);
    if (protocol == ETH_P_IP) {
        if (len >= ETH_HLEN + 8 && get16(h + ETH_HLEN + 6) & 0x3fff) net_timers_slow(20);
        ip4_input(p, netif);
    } else {
        if (len >= ETH_HLEN + 7 && h[ETH_HLEN + 6] == 44) net_timers_slow(65);
        ip6_input(p, netif);
    }
    return !keep;
}

static void receive_batch(struct net_device *device)
{
    struct rx_buffer *buffer = NULL;

    net_enter();
    size_t bytes = 0;
    for (int i = 0; i < FRAMES_AT_ONCE && bytes < BYTES_AT_ONCE; i++) {
        if (!buffer) buffer = rx_buffer_get();
        if (!buffer) break; /* it is looked at again in a moment */
        buffer->pbuf.custom_free_function = rx_buffer_put;
        ssize_t n = host_read(device->fd, buffer->data, RX_BYTES);
        if (n < (ssize_t)VNET_BYTES) {
            device->source.ready &= ~(uint32_t)EPOLLIN;
            break;
        }
        bytes += (size_t)n;
        if (!receive_frame(device, buffer, (uint32_t)n - VNET_BYTES)) buffer = NULL;
    }
    if (buffer) rx_buffer_put(&buffer->pbuf.pbuf);
    net_leave();
    /* The set is edge-triggered: nobody will say again that there is more. Not at once, for the programs to run. */
    if (device->source.ready & EPOLLIN) timer_arm(&device->again, clock_monotonic() + 1);
}

static void again(struct timer *timer)
{
    receive_batch(container_of(timer, struct net_device, again));
}

static void readable(struct wait_entry *entry, uint32_t events)
{
    struct net_device *device = container_of(entry, struct net_device, readable);

    if (!(events & EPOLLIN) || timer_armed(&device->again)) return;
    if (net_entered()) /* a line for the operator waits for room, in the middle of something */
        timer_arm(&device->again, 0);
    else
        receive_batch(device);
}

static err_t netif_setup(struct netif *netif)
{
    struct net_device *device = netif->state;

    netif->name[0] = 'e';
    netif->name[1] = 't';
    netif->mtu = (uint16_t)device->mtu;
    netif->hwaddr_len = ETH_ALEN;
    memcpy(netif->hwaddr, device->mac, ETH_ALEN);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = link_output;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_TCP);
    return ERR_OK;
}

void tap_open(struct net_device *device, uint32_t index)
{
    device->fd = host_boot_info()->vnet_fd[index];
    netif_add_noaddr(&device->netif, device, netif_setup, ethernet_input);
    netif_set_up(&device->netif);
    timer_init(&device->again, again);
    host_source_register(&device->source, RUNNC_EPOLL_VNET + index);
    device->readable.wake = readable;
    wait_add(&device->source.queue, &device->readable);
    /* What came before we looked has no edge. */
    timer_arm(&device->again, 0);
}
