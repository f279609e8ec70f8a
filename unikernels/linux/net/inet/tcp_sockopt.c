/* Options of IPPROTO_TCP. */
#include <linux/in.h>
#include <linux/tcp.h>

#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "mm/uaccess.h"
#include "net/inet/tcp.h"
#include "net/lwip/device.h"

/* The states that struct tcp_info and /proc/net/tcp show (include/net/tcp_states.h of Linux). */
static const uint8_t linux_state[] = {
    [CLOSED] = 7, [LISTEN] = 10, [SYN_SENT] = 2, [SYN_RCVD] = 3, [ESTABLISHED] = 1, [FIN_WAIT_1] = 4,
    [FIN_WAIT_2] = 5, [CLOSE_WAIT] = 8, [CLOSING] = 11, [LAST_ACK] = 9, [TIME_WAIT] = 6,
};

uint8_t tcp_linux_state(const struct tcp_sock *tcp)
{
    if (tcp->state == TCP_SOCK_LISTEN) return linux_state[LISTEN];
    if (tcp->state == TCP_SOCK_CLOSED) return linux_state[CLOSED];
    if (tcp->conn) return linux_state[tcp->conn->pcb ? tcp->conn->pcb->state : CLOSED];
    if (tcp->state == TCP_SOCK_CONNECTING) return linux_state[SYN_SENT];
    if (tcp->eof && tcp->tx_shut) return linux_state[TIME_WAIT];
    return linux_state[tcp->eof ? CLOSE_WAIT : tcp->tx_shut ? FIN_WAIT_2 : ESTABLISHED];
}

void tcp_options_to_conn(struct tcp_sock *tcp)
{
    struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    if (!pcb) return;
    if (tcp->inet.base.keepalive)
        ip_set_option(pcb, SOF_KEEPALIVE);
    else
        ip_reset_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = (u32_t)tcp->keep_idle * 1000u;
    pcb->keep_intvl = (u32_t)tcp->keep_interval * 1000u;
    pcb->keep_cnt = (u32_t)tcp->keep_count;
    pcb->tos = IP_IS_V6(&pcb->remote_ip) ? tcp->inet.tclass : tcp->inet.tos;
    int ttl = IP_IS_V6(&pcb->remote_ip) ? tcp->inet.hop_limit : tcp->inet.ttl;
    if (ttl > 0) pcb->ttl = (u8_t)ttl;
    net_enter(); /* keepalive may have become due */
    net_leave();
}

/* What was held back goes now. */
static void push(struct tcp_sock *tcp)
{
    if (!tcp->conn || !tcp->conn->pcb || tcp->state != TCP_SOCK_CONNECTED) return;
    net_enter();
    tcp_output(tcp->conn->pcb);
    net_leave();
}

struct range {
    int name, least, most;
    size_t offset;
};
#define NUMBER(n, field, low, high) {n, low, high, offsetof(struct tcp_sock, field)}
static const struct range numbers[] = {
    NUMBER(TCP_KEEPIDLE, keep_idle, 1, 32767),
    NUMBER(TCP_KEEPINTVL, keep_interval, 1, 32767),
    NUMBER(TCP_KEEPCNT, keep_count, 1, 127),
    NUMBER(TCP_SYNCNT, syn_count, 1, 127),
    NUMBER(TCP_LINGER2, linger2, INT32_MIN, INT32_MAX),
    NUMBER(TCP_DEFER_ACCEPT, defer_accept, INT32_MIN, INT32_MAX),
    NUMBER(TCP_WINDOW_CLAMP, window_clamp, 0, INT32_MAX),
    NUMBER(TCP_USER_TIMEOUT, user_timeout, 0, INT32_MAX),
    NUMBER(TCP_NOTSENT_LOWAT, notsent_lowat, INT32_MIN, INT32_MAX),
    NUMBER(TCP_MAXSEG, maxseg, 88, 32767),
};

static int *number_of(struct tcp_sock *tcp, const struct range *range)
{
    return (int *)((char *)tcp + range->offset);
}

int tcp_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len)
{
    struct tcp_sock *tcp = tcp_of(sock);
    int number;

    if (level != IPPROTO_TCP) return inet_setsockopt(sock, level, name, value, len);
    if (name == TCP_CONGESTION) {
        char algorithm[17] = {0};
        if (len < 1) return -EINVAL;
        if (copy_from_user(algorithm, value, MIN(len, 16u))) return -EFAULT;
        return strcmp(algorithm, "reno") && strcmp(algorithm, "cubic") ? -ENOENT : 0;
    }
    int err = sockopt_get_int(value, len, &number);
    if (err) return err;
    switch (name) {
    case TCP_NODELAY:
        tcp->nodelay = number != 0;
        if (tcp->nodelay) push(tcp);
        return 0;
    case TCP_CORK:
        tcp->cork = number != 0;
        if (!tcp->cork) push(tcp);
        return 0;
    case TCP_QUICKACK:
        tcp->quickack = number != 0;
        return 0;
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT: /* accepted; the handshake is made all the same */
        return 0;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (numbers[i].name != name) continue;
        if (number < numbers[i].least || number > numbers[i].most) return -EINVAL;
        *number_of(tcp, &numbers[i]) = name == TCP_DEFER_ACCEPT ? MAX(number, 0) : number;
        tcp_options_to_conn(tcp);
        return 0;
    }
    return -ENOPROTOOPT;
}

static int put_info(struct tcp_sock *tcp, uaddr_t value, uaddr_t len)
{
    struct tcp_info info = {.tcpi_state = tcp_linux_state(tcp)};
    const struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    info.tcpi_rto = 200000;
    info.tcpi_ato = 40000;
    info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = tcp->local ? 32741 : 536;
    info.tcpi_pmtu = tcp->local ? 65535 : 1500;
    info.tcpi_snd_cwnd = 10;
    info.tcpi_snd_ssthresh = 0x7fffffff;
    info.tcpi_rcv_space = TCP_WND;
    if (tcp->state == TCP_SOCK_LISTEN) {
        info.tcpi_unacked = tcp->ready;
        info.tcpi_sacked = (uint32_t)tcp->backlog;
    }
    if (pcb) {
        uint32_t mss = MAX(tcp->conn->wire_mss, 1u);
        info.tcpi_options = TCPI_OPT_SACK | (pcb->flags & TF_WND_SCALE ? TCPI_OPT_WSCALE : 0);
        info.tcpi_snd_wscale = pcb->snd_scale;
        info.tcpi_rcv_wscale = pcb->rcv_scale;
        info.tcpi_snd_mss = info.tcpi_advmss = info.tcpi_rcv_mss = mss;
        info.tcpi_rto = (uint32_t)pcb->rto * TCP_SLOW_INTERVAL * 1000u;
        info.tcpi_unacked = (pcb->snd_nxt - pcb->lastack + mss - 1) / mss;
        info.tcpi_snd_cwnd = pcb->cwnd / mss;
        info.tcpi_snd_ssthresh = pcb->ssthresh / mss;
        info.tcpi_rtt = (uint32_t)(pcb->sa >> 3) * TCP_SLOW_INTERVAL * 1000u;
        info.tcpi_retransmits = pcb->nrtx;
    }
    return sockopt_put(value, len, &info, sizeof(info));
}

int tcp_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len)
{
    struct tcp_sock *tcp = tcp_of(sock);
    const struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    if (level != IPPROTO_TCP) return inet_getsockopt(sock, level, name, value, len);
    switch (name) {
    case TCP_NODELAY:
        return sockopt_put_int(value, len, tcp->nodelay);
    case TCP_CORK:
        return sockopt_put_int(value, len, tcp->cork);
    case TCP_QUICKACK:
        return sockopt_put_int(value, len, 1);
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
        return sockopt_put_int(value, len, 0);
    case TCP_CONGESTION:
        return sockopt_put(value, len, "reno\0\0\0\0\0\0\0\0\0\0\0", 16);
    case TCP_INFO:
        return put_info(tcp, value, len);
    case TCP_MAXSEG:
        return sockopt_put_int(value, len, pcb ? (int)tcp->conn->wire_mss : tcp->local ? 32741 : tcp->maxseg ? tcp->maxseg : 536);
    case TCP_LINGER2:
        return sockopt_put_int(value, len, tcp->linger2 ? tcp->linger2 : 60);
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (numbers[i].name == name) return sockopt_put_int(value, len, *number_of(tcp, &numbers[i]));
    return -ENOPROTOOPT;
}
