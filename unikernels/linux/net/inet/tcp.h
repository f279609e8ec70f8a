/*
 * Stream sockets.
 *
 *   tcp.c          bytes in and out, readiness, the end
 *   tcp_connect.c  connecting, over the link or to this machine
 *   tcp_listen.c   listening and accepting, half-open connections
 *   tcp_sockopt.c  options of IPPROTO_TCP
 *
 * A connection is carried by lwIP (conn), or its other end is a socket of this
 * kernel too (peer). What is received waits in a queue of packet buffers either way.
 */
#ifndef LINUX_NET_INET_TCP_H
#define LINUX_NET_INET_TCP_H

#include "lwip/pbuf.h"
#include "net/inet/inet.h"
#include "net/lwip/conn.h"

enum tcp_sock_state {
    TCP_SOCK_CLOSED,     /* never connected, refused, or reset */
    TCP_SOCK_LISTEN,
    TCP_SOCK_CONNECTING,
    TCP_SOCK_CONNECTED,  /* also with one or both directions ended */
};

struct tcp_sock {
    struct inet_sock inet;
    enum tcp_sock_state state;
    struct tcp_conn *conn;
    struct tcp_sock *peer;
    bool local;        /* the other end is, or was, here: conn is never used */
    bool eof;          /* the other end will send no more */
    bool rx_shut, tx_shut;
    bool was_reset;    /* so the next send is EPIPE */
    bool first;        /* connect(2) has not told yet how it went */

    struct pbuf *rx, *rx_last; /* through pbuf->next; tot_len means nothing here */
    uint32_t rx_offset;        /* read of the first one */
    size_t rx_len;             /* bytes that wait */

    uint16_t *counted; /* where tcp_port_accepted() counts it */

    /* A listener's. */
    int backlog;
    uint32_t queued, ready, half_open; /* in ready_list; of those, for accept(2); in half_open_list */
    struct list ready_list;    /* connections that nobody has accepted, by queue_link */
    struct list half_open_list; /* struct tcp_conn */
    struct list callers;       /* sockets of this machine that wait for room, by queue_link */
    struct list queue_link;    /* of a connection or caller */
    struct tcp_sock *listener; /* in whose list queue_link is */

    /* Options. */
    bool nodelay, cork, quickack;
    int keep_idle, keep_interval, keep_count; /* seconds, seconds, probes */
    int syn_count, defer_accept, user_timeout, maxseg, linger2, window_clamp, notsent_lowat;
};

static inline struct tcp_sock *tcp_of(struct socket *sock)
{
    return container_of(sock, struct tcp_sock, inet.base);
}

struct tcp_sock *tcp_sock_new(int family);
/* Frees one that has neither file nor place in a queue: resets what is still connected. */
void tcp_sock_free(struct tcp_sock *tcp);

/* The connection has ended by itself: error (positive errno, 0: none) is reported once. */
void tcp_dead(struct tcp_sock *tcp, int error);
/* From now on conn's segments come here. */
void tcp_attach(struct tcp_sock *tcp, struct tcp_conn *conn);
/* Ends the pcb with a reset. */
void tcp_abort_conn(struct tcp_sock *tcp);
void tcp_options_to_conn(struct tcp_sock *tcp);

/* As struct tcp_info and /proc/net/tcp have it. */
uint8_t tcp_linux_state(const struct tcp_sock *tcp);

size_t tcp_send_space(const struct tcp_sock *tcp);

/* Sockets made by accept(2) keep one out that would bind this port; reuseaddr: its SO_REUSEADDR. */
bool tcp_port_accepted(uint16_t port, bool reuseaddr);
void tcp_port_uncount(struct tcp_sock *tcp);

int tcp_sock_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline);
int tcp_sock_listen(struct socket *sock, int backlog);
int tcp_sock_accept(struct socket *sock, int64_t deadline, struct socket **made);
int tcp_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len);
int tcp_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len);

/* A caller's connection is made, if there is room: true, or the caller waits in the listener's list. */
bool tcp_local_connect(struct tcp_sock *caller, struct tcp_sock *listener);
/* caller's connection is made, to one that no program has: `other` is the kernel's, and answers by what follows. */
void tcp_local_join(struct tcp_sock *caller, struct tcp_sock *other);
/* Bytes, as many as there are and fit. */
size_t tcp_local_pull(struct tcp_sock *tcp, void *data, size_t len);
/* To the program, as far as there is memory. */
void tcp_local_push(struct tcp_sock *tcp, const void *data, size_t len);
/* Bytes that the program has not read. */
size_t tcp_local_unread(const struct tcp_sock *tcp);
/* The program will send no more. */
bool tcp_local_ended(const struct tcp_sock *tcp);
void tcp_listener_close(struct tcp_sock *listener);
/* Data came for a connection that nobody has accepted: with TCP_DEFER_ACCEPT, it can be now. */
void tcp_listener_data(struct tcp_sock *tcp);

#endif
