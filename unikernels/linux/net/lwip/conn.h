/*
 * What each TCP connection has beside lwIP's control block: its place in the
 * table that segments are looked up in, the real segment size of the link, and
 * where loss recovery stands. Lives as long as the control block, and as the
 * socket if there is one.
 */
#ifndef LINUX_NET_LWIP_CONN_H
#define LINUX_NET_LWIP_CONN_H

#include "lib/list.h"
#include "lib/types.h"
#include "lwip/ip_addr.h"
#include "time/timer.h"

struct tcp_pcb;
struct tcp_pcb_listen;
struct tcp_sock;

struct tcp_conn {
    struct tcp_conn *hash_next;
    uint32_t hash;
    bool hashed;
    struct tcp_pcb *pcb;       /* NULL: it is over */
    struct tcp_sock *sock;     /* NULL: not accepted yet, or closed already */
    struct tcp_sock *listener; /* while half-open */
    struct list half_open;     /* in the listener's list */
    uint32_t wire_mss;         /* bytes of data in a frame */
    bool recovering;           /* losses up to `recover` are known and accounted for */
    uint32_t recover;
    uint8_t round;             /* which of two, of what is sent again */
    uint32_t round_end;        /* what is first sent after the round before */
    int64_t rtt_ns;            /* smoothed (RFC 6298); 0: not known yet */
    bool timing;               /* what is sent at rtt_seq, since rtt_from_ns */
    uint32_t rtt_seq;
    int64_t rtt_from_ns;
    struct timer probe;        /* the end of what was sent may be lost: RFC 8985, section 7 */
    bool probed;               /* since something was acknowledged */
    int64_t quiet_since_ns;    /* neither data sent nor an acknowledgement received */
};

#define IPPROTO_TCP_NUMBER 6u

/* Before the first connection: false: no memory. */
bool conn_table_init(void);
/* A new one for pcb; NULL: no memory. */
struct tcp_conn *conn_new(struct tcp_pcb *pcb);
/* Makes it findable, once both ends are known. */
void conn_hash(struct tcp_conn *conn);
struct tcp_conn *conn_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port);
struct tcp_conn *conn_of(const struct tcp_pcb *pcb);
/* Both sides agree: from now on segments inside are as large as they may be. */
void conn_established(struct tcp_conn *conn);

/* Bytes of data in a frame of the segment that lwIP is sending; 0: not known (a reset). */
uint32_t conn_sending_mss(void);

/* ---- what net/inet/tcp_listen.c decides ---- */

/* The listener for a SYN; NULL: there is none, and the peer gets a reset. */
struct tcp_sock *tcp_listener_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port);
/* A SYN came for it. False: the SYN is lost. */
bool tcp_listener_syn(struct tcp_sock *listener, struct tcp_conn *conn);
/* The handshake is over. False: the connection is reset. */
bool tcp_listener_established(struct tcp_sock *listener, struct tcp_conn *conn);
/* The control block is gone: with a socket (which frees conn) or half-open. */
void tcp_conn_gone(struct tcp_conn *conn);

#endif
