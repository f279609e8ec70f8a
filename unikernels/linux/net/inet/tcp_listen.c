/*
 * Listening: connections that are being made (half-open) and those that wait
 * for accept(2).
 *
 * A flood of SYNs cannot keep others out: beyond HALF_OPEN_MAX the oldest
 * half-open connection gives way to a new one. Whoever answers within the time
 * that the flood needs for so many gets through.
 */
#include <linux/eventpoll.h>

#include "lwip/priv/tcp_priv.h"
#include "net/inet/tcp.h"
#include "net/lwip/device.h"
#include "net/lwip/pool.h"

#define HALF_OPEN_MAX 1024u

/* ---- ports of accepted connections ---- */

/* By whether they allow others (SO_REUSEADDR); more than fit are not counted. */
static uint16_t accepted[2][65536];

bool tcp_port_accepted(uint16_t port, bool reuseaddr)
{
    return accepted[0][port] > 0 || (!reuseaddr && accepted[1][port] > 0);
}

static void count(struct tcp_sock *tcp)
{
    uint16_t *number = &accepted[tcp->inet.base.reuseaddr][tcp->inet.local_port];

    if (*number == UINT16_MAX) return;
    ++*number;
    tcp->counted = number;
}

void tcp_port_uncount(struct tcp_sock *tcp)
{
    if (tcp->counted) --*tcp->counted;
    tcp->counted = NULL;
}

/* ---- the listener ---- */

int tcp_sock_listen(struct socket *sock, int backlog)
{
    struct tcp_sock *tcp = tcp_of(sock);
    int err;

    if (tcp->state != TCP_SOCK_CLOSED && tcp->state != TCP_SOCK_LISTEN) return -EINVAL;
    tcp->backlog = backlog;
    if (tcp->state == TCP_SOCK_LISTEN) return 0;
    err = tcp->inet.local_port ? port_may_listen(&tcp->inet) : port_take(&tcp->inet, 0);
    if (err) return err;
    tcp->state = TCP_SOCK_LISTEN;
    sock->listening = true;
    return 0;
}

struct tcp_sock *tcp_listener_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                                   uint16_t remote_port)
{
    struct inet_sock *inet = port_find(PORTS_TCP, true, local, local_port, remote, remote_port);

    return inet ? tcp_of(&inet->base) : NULL;
}

/* As Linux: one more than the backlog. */
static bool is_full(const struct tcp_sock *listener)
{
    return listener->queued > (uint32_t)listener->backlog;
}

static void inherit(struct tcp_sock *tcp, const struct tcp_sock *listener)
{
    const struct socket *from = &listener->inet.base;
    struct socket *to = &tcp->inet.base;

    to->sndbuf = from->sndbuf;
    to->rcvbuf = from->rcvbuf;
    to->sndtimeo_ns = from->sndtimeo_ns;
    to->rcvtimeo_ns = from->rcvtimeo_ns;
    to->rcvlowat = from->rcvlowat;
    to->priority = from->priority;
    to->mark = from->mark;
    to->linger = from->linger;
    to->linger_seconds = from->linger_seconds;
    to->reuseaddr = from->reuseaddr;
    to->reuseport = from->reuseport;
    to->keepalive = from->keepalive;
    to->oobinline = from->oobinline;
    tcp->inet.v6only = listener->inet.v6only;
    tcp->inet.tos = listener->inet.tos;
    tcp->inet.tclass = listener->inet.tclass;
    tcp->inet.ttl = listener->inet.ttl;
    tcp->nodelay = listener->nodelay;
    tcp->cork = listener->cork;
    tcp->keep_idle = listener->keep_idle;
    tcp->keep_interval = listener->keep_interval;
    tcp->keep_count = listener->keep_count;
    tcp->user_timeout = listener->user_timeout;
}

/* The socket that accept(2) will give: connected, in the listener's list. */
static struct tcp_sock *new_connection(struct tcp_sock *listener, const ip_addr_t *local, uint16_t local_port,
                                       const ip_addr_t *remote, uint16_t remote_port)
{
    struct tcp_sock *tcp = tcp_sock_new(listener->inet.base.family);

    if (!tcp) return NULL;
    inherit(tcp, listener);
    tcp->inet.local = *local;
    tcp->inet.remote = *remote;
    tcp->inet.local_port = local_port;
    tcp->inet.remote_port = remote_port;
    tcp->state = TCP_SOCK_CONNECTED;
    tcp->listener = listener;
    count(tcp);
    list_add_tail(&listener->ready_list, &tcp->queue_link);
    listener->queued++;
    return tcp;
}

static void became_ready(struct tcp_sock *listener)
{
    listener->ready++;
    socket_wake(&listener->inet.base, EPOLLIN | EPOLLRDNORM);
}

/* ---- over the link ---- */

bool tcp_listener_syn(struct tcp_sock *listener, struct tcp_conn *conn)
{
    if (is_full(listener) || net_pool_tight()) return false;
    if (listener->half_open >= HALF_OPEN_MAX) {
        struct tcp_conn *oldest = list_first(&listener->half_open_list, struct tcp_conn, half_open);
        tcp_abandon(oldest->pcb, 0);
    }
    conn->listener = listener;
    list_add_tail(&listener->half_open_list, &conn->half_open);
    listener->half_open++;
    return true;
}

bool tcp_listener_established(struct tcp_sock *listener, struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;

    listener->half_open--;
    struct tcp_sock *tcp = new_connection(listener, &pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
    if (!tcp) return false;
    tcp_attach(tcp, conn);
    if (listener->defer_accept == 0)
        became_ready(listener);
    else
        tcp->first = true; /* not counted in `ready` until it has sent something */
    return true;
}

void tcp_listener_data(struct tcp_sock *tcp)
{
    if (!tcp->first) return;
    tcp->first = false;
    became_ready(tcp->listener);
}

/* ---- from this machine ---- */

bool tcp_local_connect(struct tcp_sock *caller, struct tcp_sock *listener)
{
    struct tcp_sock *tcp = is_full(listener) ? NULL
                                             : new_connection(listener, &caller->inet.remote, caller->inet.remote_port,
                                                              &caller->inet.local, caller->inet.local_port);

    if (!tcp) {
        caller->listener = listener;
        list_add_tail(&listener->callers, &caller->queue_link);
        return false;
    }
    tcp->local = true;
    tcp->peer = caller;
    caller->peer = tcp;
    became_ready(listener);
    return true;
}

static void next_caller(struct tcp_sock *listener)
{
    if (list_empty(&listener->callers)) return;
    struct tcp_sock *caller = list_first(&listener->callers, struct tcp_sock, queue_link);
    list_del(&caller->queue_link);
    caller->listener = NULL;
    if (!tcp_local_connect(caller, listener)) return;
    caller->state = TCP_SOCK_CONNECTED;
    socket_wake(&caller->inet.base, EPOLLOUT | EPOLLWRNORM);
}

/* ---- accept ---- */

static struct tcp_sock *first_ready(struct tcp_sock *listener)
{
    struct tcp_sock *tcp;

    list_for_each(tcp, &listener->ready_list, queue_link)
        if (!tcp->first) return tcp;
    return NULL;
}

int tcp_sock_accept(struct socket *sock, int64_t deadline, struct socket **made)
{
    struct tcp_sock *listener = tcp_of(sock);

    if (listener->state != TCP_SOCK_LISTEN) return -EINVAL;
    int err = socket_wait(sock, listener->ready > 0 || listener->state != TCP_SOCK_LISTEN, deadline);
    if (err) return err;
    if (listener->state != TCP_SOCK_LISTEN) return -EINVAL;
    struct tcp_sock *tcp = first_ready(listener);
    list_del(&tcp->queue_link);
    tcp->listener = NULL;
    listener->ready--;
    listener->queued--;
    next_caller(listener);
    *made = &tcp->inet.base;
    return 0;
}

void tcp_listener_close(struct tcp_sock *listener)
{
    listener->state = TCP_SOCK_CLOSED;
    listener->inet.base.listening = false;
    net_enter();
    while (!list_empty(&listener->half_open_list)) {
        struct tcp_conn *conn = list_first(&listener->half_open_list, struct tcp_conn, half_open);
        tcp_abort(conn->pcb);
    }
    while (!list_empty(&listener->ready_list)) {
        struct tcp_sock *tcp = list_first(&listener->ready_list, struct tcp_sock, queue_link);
        tcp->inet.base.linger = true; /* Linux resets what nobody accepted */
        tcp->inet.base.linger_seconds = 0;
        tcp->listener = NULL;
        tcp_sock_free(tcp);
    }
    net_leave();
    listener->ready = listener->queued = 0;
    while (!list_empty(&listener->callers)) {
        struct tcp_sock *caller = list_first(&listener->callers, struct tcp_sock, queue_link);
        list_del(&caller->queue_link);
        caller->listener = NULL;
        tcp_dead(caller, ECONNREFUSED);
    }
}
