/*
 * lwIP looks for a segment's connection in a list; with thousands of them that is
 * most of a request's cost. Here it is a table, keyed by a secret. Listeners are
 * not lwIP's at all: it sees one, which stands for whichever was found.
 */
#include "net/lwip/conn.h"

#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"
#include "mm/page.h"
#include "net/lwip/device.h"
#include "net/lwip/hooks.h"
#include "net/lwip/pool.h"
#include "net/lwip/siphash.h"
#include "time/clock.h"

#define BUCKETS 8192u
#define BUCKET_PAGES (BUCKETS * sizeof(void *) / PAGE_SIZE)
#define EXT_ARG 0
#define PROBE_MIN_NS (4 * NSEC_PER_MSEC) /* as Linux with its usual clock */

static struct {
    struct tcp_conn **buckets;
    struct tcp_pcb_listen listener; /* lwIP's view of any listener */
    struct tcp_sock *found;         /* whom it stands for just now */
    uint32_t sending_mss;
} conns;

static uint64_t hash_ends(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
    uint64_t words[5] = {(uint64_t)local_port << 16 | remote_port};

    if (IP_IS_V6(local)) {
        memcpy(&words[1], ip_2_ip6(local)->addr, 16);
        memcpy(&words[3], ip_2_ip6(remote)->addr, 16);
        return net_siphash(words, 5);
    }
    words[1] = (uint64_t)ip_2_ip4(local)->addr << 32 | ip_2_ip4(remote)->addr;
    return net_siphash(words, 2);
}

uint32_t net_tcp_isn(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
    uint64_t secret = hash_ends(local, local_port, remote, remote_port);

    return (uint32_t)(secret >> 32) + (uint32_t)(clock_monotonic() >> 6); /* a step every 64 ns, as Linux */
}

/* ---- the table ---- */

struct tcp_conn *conn_of(const struct tcp_pcb *pcb)
{
    return tcp_ext_arg_get(pcb, EXT_ARG);
}

static void unhash(struct tcp_conn *conn)
{
    if (!conn->hashed) return;
    struct tcp_conn **at = &conns.buckets[conn->hash % BUCKETS];
    while (*at != conn) at = &(*at)->hash_next;
    *at = conn->hash_next;
    conn->hashed = false;
}

static void destroyed(u8_t id, void *data)
{
    struct tcp_conn *conn = data;
    (void)id;

    if (!conn) return;
    unhash(conn);
    timer_cancel(&conn->probe);
    conn->pcb = NULL;
    list_del(&conn->half_open);
    if (conn->sock || conn->listener)
        tcp_conn_gone(conn);
    if (!conn->sock) net_pool_free(conn);
}

static void probe_due(struct timer *timer);
static err_t passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb);
static const struct tcp_ext_arg_callbacks callbacks = {.destroy = destroyed, .passive_open = passive_open};

struct tcp_conn *conn_new(struct tcp_pcb *pcb)
{
    struct tcp_conn *conn = net_pool_calloc(1, sizeof(*conn));

    if (!conn) return NULL;
    conn->pcb = pcb;
    list_init(&conn->half_open);
    timer_init(&conn->probe, probe_due);
    tcp_ext_arg_set(pcb, EXT_ARG, conn);
    tcp_ext_arg_set_callbacks(pcb, EXT_ARG, &callbacks);
    tcp_arg(pcb, conn);
    return conn;
}

void conn_hash(struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;

    conn->hash = (uint32_t)hash_ends(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
    struct tcp_conn **bucket = &conns.buckets[conn->hash % BUCKETS];
    conn->hash_next = *bucket;
    *bucket = conn;
    conn->hashed = true;
}

struct tcp_conn *conn_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
    if (!conns.buckets) return NULL;
    uint32_t hash = (uint32_t)hash_ends(local, local_port, remote, remote_port);
    struct tcp_conn *conn = conns.buckets[hash % BUCKETS];
    for (; conn; conn = conn->hash_next)
        if (conn->hash == hash && conn->pcb->local_port == local_port && conn->pcb->remote_port == remote_port &&
            ip_addr_cmp(&conn->pcb->local_ip, local) && ip_addr_cmp(&conn->pcb->remote_ip, remote))
            return conn;
    return NULL;
}

/* ---- segments that come ---- */

/* A new connection between the ends of one that is only being remembered: RFC 6191, RFC 1122 4.2.2.13. */
static bool reopens(const struct tcp_pcb *pcb, const struct tcp_hdr *header)
{
    return pcb->state == TIME_WAIT && (TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
           TCP_SEQ_GT(header->seqno, pcb->rcv_nxt);
}

void net_tcp_demux(const struct tcp_hdr *header, struct tcp_pcb **pcb, struct tcp_pcb_listen **listener)
{
    const ip_addr_t *local = ip_current_dest_addr(), *remote = ip_current_src_addr();
    struct tcp_conn *conn = conn_find(local, header->dest, remote, header->src);

    if (conn && reopens(conn->pcb, header)) {
        struct tcp_pcb *old = conn->pcb;
        tcp_pcb_remove(&tcp_tw_pcbs, old);
        tcp_free(old);
        conn = NULL;
    }
    if (conn) {
        *pcb = conn->pcb;
        return;
    }
    conns.found = tcp_listener_find(local, header->dest, remote, header->src);
    if (!conns.found) return;
    conns.listener.local_port = header->dest;
    *listener = &conns.listener;
}

static err_t passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
    (void)id;
    (void)listener;
    struct tcp_conn *conn = conn_new(pcb);
    if (!conn) return ERR_MEM;
    conn_hash(conn);
    conn->wire_mss = pcb->mss;
    return tcp_listener_syn(conns.found, conn) ? ERR_OK : ERR_ABRT;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct tcp_conn *conn = pcb ? conn_of(pcb) : NULL;
    (void)arg;

    if (err != ERR_OK || !conn || !conn->listener) return ERR_VAL;
    struct tcp_sock *listener = conn->listener;
    list_del(&conn->half_open);
    conn->listener = NULL;
    conn_established(conn);
    return tcp_listener_established(listener, conn) ? ERR_OK : ERR_VAL;
}

void conn_established(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t mss = pcb->mss;

    conn->wire_mss = mss;
    pcb->mss = (u16_t)(MAX(TCP_MSS / mss, 1u) * mss);
    pcb->cwnd = LWIP_TCP_CALC_INITIAL_CWND(mss);
    pcb->ssthresh = TCP_SND_BUF;
}

/* ---- segments that go ---- */

static void probe_later(struct tcp_conn *conn)
{
    conn->quiet_since_ns = net_now();
    if (!timer_armed(&conn->probe)) timer_arm(&conn->probe, conn->quiet_since_ns + MAX(2 * conn->rtt_ns, PROBE_MIN_NS));
}

static void data_goes(struct tcp_conn *conn, uint32_t seq)
{
    if (!conn->timing && seq == conn->pcb->snd_nxt) {
        conn->timing = true;
        conn->rtt_seq = seq;
        conn->rtt_from_ns = net_now();
    }
    probe_later(conn);
}

u32_t *net_tcp_options(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb, u32_t *options)
{
    struct tcp_conn *conn = pcb ? conn_of(pcb) : NULL;

    conns.sending_mss = conn ? conn->wire_mss : 0;
    if (conn && pcb->state >= ESTABLISHED && p->tot_len > TCPH_HDRLEN_BYTES(header))
        data_goes(conn, lwip_ntohl(header->seqno));
    return options;
}

uint32_t conn_sending_mss(void)
{
    return conns.sending_mss;
}

/* ---- loss recovery by selective acknowledgement (RFC 2018, RFC 6675 in spirit) ---- */

/* In tcp_seg.flags, beside lwIP's. */
#define SEG_SACKED 0x20u /* the peer has it */
#define SEG_RESENT 0x40u /* since recovery began */
#define SEG_ROUND 0x80u  /* the round of recovery in which it was */

static uint32_t seg_start(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

static uint32_t seg_end(const struct tcp_seg *seg)
{
    return seg_start(seg) + seg->len;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mark_sacked(struct tcp_pcb *pcb, uint32_t from, uint32_t to)
{
    for (struct tcp_seg *seg = pcb->unacked; seg && TCP_SEQ_LT(seg_start(seg), to); seg = seg->next)
        if (TCP_SEQ_GEQ(seg_start(seg), from) && TCP_SEQ_LEQ(seg_end(seg), to)) seg->flags |= SEG_SACKED;
}

/* What the peer has beyond what it acknowledges in order. */
static uint32_t sacked_bytes(const struct tcp_pcb *pcb)
{
    uint32_t bytes = 0;

    for (const struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next)
        if (seg->flags & SEG_SACKED) bytes += seg->len;
    return bytes;
}

/* Marks what the options say has arrived; the highest sequence number among it, ack if there is none. */
static uint32_t read_sack(struct tcp_pcb *pcb, uint32_t ack, const uint8_t *options, uint32_t len)
{
    uint32_t highest = ack;

    for (uint32_t i = 0; i < len && options[i] != LWIP_TCP_OPT_EOL;) {
        if (options[i] == LWIP_TCP_OPT_NOP) {
            i++;
            continue;
        }
        if (i + 1 >= len || options[i + 1] < 2 || i + options[i + 1] > len) break;
        if (options[i] == 5)
            for (uint32_t block = i + 2; block + 8 <= i + options[i + 1]; block += 8) {
                uint32_t from = get32(options + block), to = get32(options + block + 4);
                if (TCP_SEQ_LEQ(to, ack) || TCP_SEQ_GT(to, pcb->snd_nxt) || TCP_SEQ_GEQ(from, to)) continue;
                mark_sacked(pcb, from, to);
                if (TCP_SEQ_GT(to, highest)) highest = to;
            }
        i += options[i + 1];
    }
    return highest;
}

static void recovery_begins(struct tcp_conn *conn, uint32_t ack)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t flight = pcb->snd_nxt - ack, window = MIN(pcb->cwnd, pcb->snd_wnd);

    conn->recovering = true;
    conn->recover = conn->round_end = pcb->snd_nxt;
    conn->round = 0;
    for (struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next) seg->flags &= (u8_t)~SEG_RESENT;
    pcb->ssthresh = MAX(window / 10 * 7, 2u * pcb->mss); /* as CUBIC, RFC 8312 */
    /* lwIP counts what is in flight from the last acknowledgement: room to send the holes again. */
    pcb->cwnd = MAX(pcb->ssthresh, flight);
}

/*
 * What was sent again may be lost again, and nothing would tell but the clock. So recovery goes by rounds: once the
 * peer has what was first sent after a round, that round's segments have arrived or never will (as RACK, RFC 8985,
 * with sequence numbers for times).
 */
static void next_round(struct tcp_conn *conn, uint32_t highest)
{
    struct tcp_pcb *pcb = conn->pcb;

    if (TCP_SEQ_LT(highest, conn->round_end + 3 * conn->wire_mss)) return;
    for (struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next)
        if ((seg->flags & SEG_ROUND) != conn->round) seg->flags &= (u8_t)~SEG_RESENT;
    conn->round ^= SEG_ROUND;
    conn->round_end = pcb->snd_nxt;
}

static void insert_sorted(struct tcp_seg **list, struct tcp_seg *seg)
{
    while (*list && TCP_SEQ_LT(seg_start(*list), seg_start(seg))) list = &(*list)->next;
    seg->next = *list;
    *list = seg;
}

/* The holes below `highest` go to the front of what is to be sent. */
static bool resend_holes(struct tcp_conn *conn, uint32_t ack, uint32_t highest)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t window = MIN(pcb->cwnd, pcb->snd_wnd);
    struct tcp_seg **at = &pcb->unacked;
    bool any = false;

    while (*at && TCP_SEQ_LT(seg_end(*at), highest) && seg_end(*at) - pcb->lastack <= window) {
        struct tcp_seg *seg = *at;
        if (TCP_SEQ_LEQ(seg_end(seg), ack) || seg->flags & (SEG_SACKED | SEG_RESENT)) {
            at = &seg->next;
            continue;
        }
        *at = seg->next;
        seg->flags = (u8_t)((seg->flags & ~SEG_ROUND) | SEG_RESENT | conn->round);
        insert_sorted(&pcb->unsent, seg);
        any = true;
    }
    return any;
}

/*
 * tcp_write() appends to the last segment that is unsent, which must be the end of
 * the stream: what could not be sent again goes back.
 */
static void take_back(struct tcp_pcb *pcb)
{
    while (pcb->unsent && TCP_SEQ_LT(seg_start(pcb->unsent), pcb->snd_nxt) && pcb->unsent->flags & SEG_RESENT) {
        struct tcp_seg *seg = pcb->unsent;
        pcb->unsent = seg->next;
        seg->flags &= (u8_t)~SEG_RESENT;
        insert_sorted(&pcb->unacked, seg);
    }
    /* The window may have shrunk meanwhile, and lwIP taken nothing to be under way: it asks for the window then. */
    if (pcb->unacked) pcb->persist_backoff = 0;
    if (!pcb->unsent) pcb->unsent_oversize = 0;
}

static void send_again(struct tcp_conn *conn)
{
    conn->timing = false; /* which of the two an answer would be to is not known (Karn's rule) */
    conn->pcb->rttest = 0;
    tcp_output(conn->pcb);
    take_back(conn->pcb);
}

/* ---- the end of what was sent: RFC 8985, section 7 ---- */

/*
 * Losses are found by what arrives after them, and nothing comes after the last segment, nor after its acknowledgement.
 * So after two round trips without any sign of the peer one segment is sent that it will answer.
 */
static void probe(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    struct tcp_seg **at = &pcb->unacked;
    const bool has_holes = conn->recovering || sacked_bytes(pcb) > 0;

    conn->probed = true;
    if (!has_holes && pcb->unsent && seg_end(pcb->unsent) - pcb->lastack <= pcb->snd_wnd) {
        pcb->cwnd = MAX(pcb->cwnd, seg_end(pcb->unsent) - pcb->lastack);
        tcp_output(pcb);
        return;
    }
    /* The first hole, or else the last segment. */
    while ((*at)->next && (!has_holes || (*at)->flags & SEG_SACKED)) at = &(*at)->next;
    struct tcp_seg *seg = *at;
    *at = seg->next;
    seg->flags = (u8_t)((seg->flags & ~SEG_ROUND) | SEG_RESENT | conn->round);
    insert_sorted(&pcb->unsent, seg);
    pcb->cwnd = MAX(pcb->cwnd, seg_end(seg) - pcb->lastack);
    send_again(conn);
}

static void probe_due(struct timer *timer)
{
    struct tcp_conn *conn = container_of(timer, struct tcp_conn, probe);
    const struct tcp_pcb *pcb = conn->pcb;

    if (!pcb->unacked || pcb->state < ESTABLISHED || pcb->flags & TF_RTO || conn->probed) return;
    /* One segment's acknowledgement may be held back for as long as the retransmission timer. */
    if (pcb->snd_nxt - pcb->lastack <= conn->wire_mss) return;
    net_enter();
    const int64_t due = conn->quiet_since_ns + MAX(2 * conn->rtt_ns, PROBE_MIN_NS);
    if (due > net_now())
        timer_arm(timer, due);
    else
        probe(conn);
    net_leave();
}

/* An acknowledgement, also of nothing new. */
static void heard(struct tcp_conn *conn, uint32_t ack)
{
    if (conn->pcb->flags & TF_RTO) conn->timing = false;
    if (conn->timing && TCP_SEQ_GT(ack, conn->rtt_seq)) {
        const int64_t rtt_ns = MAX(net_now() - conn->rtt_from_ns, 1);
        conn->rtt_ns += conn->rtt_ns ? (rtt_ns - conn->rtt_ns) / 8 : rtt_ns;
        conn->timing = false;
    }
    if (TCP_SEQ_GT(ack, conn->pcb->lastack)) conn->probed = false;
    if (TCP_SEQ_LT(ack, conn->pcb->snd_nxt)) probe_later(conn);
}

signed char net_tcp_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, uint16_t optlen, uint16_t opt1len,
                            uint8_t *opt2, struct pbuf *p)
{
    struct tcp_conn *conn = conn_of(pcb);
    uint32_t ack = header->ackno;
    (void)opt1len;
    (void)p;

    if (!conn || pcb->state < ESTABLISHED || !(TCPH_FLAGS(header) & TCP_ACK) || !pcb->unacked ||
        TCP_SEQ_GT(ack, pcb->snd_nxt) || TCP_SEQ_LT(ack, pcb->lastack))
        return ERR_OK;
    heard(conn, ack);
    if (conn->recovering && (TCP_SEQ_GEQ(ack, conn->recover) || pcb->flags & TF_RTO)) conn->recovering = false;
    if (optlen < 10 || opt2 || pcb->flags & TF_RTO) return ERR_OK;
    uint32_t highest = read_sack(pcb, ack, (const uint8_t *)(header + 1), optlen);
    if (highest - ack < 3 * conn->wire_mss) return ERR_OK;
    if (!conn->recovering) recovery_begins(conn, ack);
    next_round(conn, highest);
    /* What has arrived makes room for new data, by which the next losses are found. */
    pcb->cwnd = MAX(pcb->cwnd, pcb->ssthresh + sacked_bytes(pcb));
    /* lwIP shall not begin a recovery of its own, nor inflate the window for each duplicate. */
    tcp_set_flags(pcb, TF_INFR);
    pcb->dupacks = 0;
    if (resend_holes(conn, ack, highest)) send_again(conn);
    return ERR_OK;
}

/* ---- */

bool conn_table_init(void)
{
    if (conns.buckets) return true;
    conns.buckets = page_alloc_zeroed(BUCKET_PAGES);
    if (!conns.buckets) return false;
    conns.listener.state = LISTEN;
    conns.listener.prio = TCP_PRIO_NORMAL;
    conns.listener.accept = accepted;
    conns.listener.ext_args[EXT_ARG].callbacks = &callbacks;
    return true;
}
