#include "net/inet/tcp.h"

#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/sockios.h>

#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/lwip/device.h"
#include "net/lwip/hooks.h"
#include "net/lwip/pool.h"
#include "task/task.h"

#define BOUNCE_BYTES 65536u
#define DIRECT_MIN 2048u /* bytes; less is copied twice, which is cheaper than a look at its pages */
#define LOCAL_PIECE 16296u   /* of a pbuf between two sockets of this machine */
#define LOCAL_WINDOW (256u << 10) /* bytes that wait at the other end, at most */

static const struct socket_ops tcp_ops;

struct tcp_sock *tcp_sock_new(int family)
{
    struct tcp_sock *tcp = kzalloc(sizeof(*tcp));

    if (!tcp) return NULL;
    inet_init_sock(&tcp->inet, &tcp_ops, family, SOCK_STREAM, IPPROTO_TCP, &inet_tcp_sockets);
    tcp->inet.base.sndbuf = 2626560;
    tcp->inet.base.rcvbuf = 131072;
    list_init(&tcp->ready_list);
    list_init(&tcp->half_open_list);
    list_init(&tcp->callers);
    list_init(&tcp->queue_link);
    tcp->keep_idle = 7200;
    tcp->keep_interval = 75;
    tcp->keep_count = 9;
    tcp->syn_count = 6;
    return tcp;
}

int tcp_create(int family, struct socket **made)
{
    struct tcp_sock *tcp = conn_table_init() ? tcp_sock_new(family) : NULL;

    if (!tcp) return -ENOMEM;
    *made = &tcp->inet.base;
    return 0;
}

/* ---- what waits to be read ---- */

static void rx_append(struct tcp_sock *tcp, struct pbuf *p)
{
    for (struct pbuf *next; p; p = next) {
        next = p->next;
        p->next = NULL;
        p->tot_len = p->len;
        if (p->len == 0) {
            pbuf_free(p);
            continue;
        }
        if (tcp->rx_last)
            tcp->rx_last->next = p;
        else
            tcp->rx = p;
        tcp->rx_last = p;
        tcp->rx_len += p->len;
    }
}

static void rx_drop_first(struct tcp_sock *tcp)
{
    struct pbuf *p = tcp->rx;

    tcp->rx = p->next;
    if (!tcp->rx) tcp->rx_last = NULL;
    tcp->rx_offset = 0;
    p->next = NULL;
    pbuf_free(p);
}

static void rx_purge(struct tcp_sock *tcp)
{
    while (tcp->rx) rx_drop_first(tcp);
    tcp->rx_len = 0;
}

/* Copies out what there is, or drops it (MSG_TRUNC). Bytes; -EFAULT if none could be copied. */
static ssize_t rx_copy(struct tcp_sock *tcp, struct iov_iter *to, bool peek, bool discard)
{
    struct pbuf *p = tcp->rx;
    uint32_t offset = tcp->rx_offset;
    size_t done = 0;

    while (p && to->count > 0) {
        size_t n = MIN((size_t)p->len - offset, to->count);
        if (discard) {
            iov_iter_advance(to, n);
        } else {
            ssize_t copied = copy_to_iter(to, (const char *)p->payload + offset, n);
            if (copied <= 0) return done ? (ssize_t)done : -EFAULT;
            n = (size_t)copied;
        }
        done += n;
        offset += (uint32_t)n;
        if (!peek) {
            tcp->rx_offset = offset;
            tcp->rx_len -= n;
        }
        if (offset < p->len) break;
        p = p->next;
        offset = 0;
        if (!peek) rx_drop_first(tcp);
    }
    return (ssize_t)done;
}

/* Room for more: the peer may be told. */
static void rx_consumed(struct tcp_sock *tcp, size_t n)
{
    if (tcp->peer) {
        socket_wake(&tcp->peer->inet.base, EPOLLOUT | EPOLLWRNORM);
        return;
    }
    if (!tcp->conn || !tcp->conn->pcb) return;
    net_enter();
    for (size_t part; n > 0; n -= part) {
        part = MIN(n, 0xffffu);
        tcp_recved(tcp->conn->pcb, (u16_t)part);
    }
    net_leave();
}

/* ---- lwIP tells ---- */

void tcp_dead(struct tcp_sock *tcp, int error)
{
    if (error) tcp->inet.base.error = error;
    tcp->state = TCP_SOCK_CLOSED;
    tcp->was_reset = true;
    tcp->eof = true;
    socket_wake(&tcp->inet.base, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static err_t on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tcp_conn *conn = arg;
    struct tcp_sock *tcp = conn->sock;
    (void)err;

    if (!tcp) { /* closed: lwIP resets what still brings data */
        if (p) {
            tcp_recved(pcb, p->tot_len);
            pbuf_free(p);
        }
        return ERR_OK;
    }
    if (!p) {
        tcp->eof = true;
        socket_wake(&tcp->inet.base, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | (tcp->tx_shut ? EPOLLHUP : 0));
        return ERR_OK;
    }
    /* A joined frame counts as one segment, whose acknowledgement would be delayed. */
    if (p->tot_len > 2 * conn->wire_mss) tcp_set_flags(pcb, TF_ACK_NOW);
    rx_append(tcp, p);
    if (tcp->listener) tcp_listener_data(tcp);
    socket_wake(&tcp->inet.base, EPOLLIN | EPOLLRDNORM);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct tcp_sock *tcp = ((struct tcp_conn *)arg)->sock;
    (void)len;

    if (tcp && (pcb->snd_buf >= TCP_SND_BUF / 3 || !pcb->unacked))
        socket_wake(&tcp->inet.base, EPOLLOUT | EPOLLWRNORM);
    return ERR_OK;
}

/* The control block is being freed, before or after tcp_conn_gone(). */
static void on_error(void *arg, err_t err)
{
    struct tcp_conn *conn = arg;
    struct tcp_sock *tcp = conn->sock;
    int error = 0;

    if (!tcp) return;
    if (err == ERR_RST)
        error = tcp->state == TCP_SOCK_CONNECTING ? ECONNREFUSED : tcp->eof ? EPIPE : ECONNRESET;
    else if (err != ERR_CLSD)
        error = ETIMEDOUT;
    if (err == ERR_CLSD) return; /* both directions ended in order: there is nothing to tell */
    tcp_dead(tcp, error);
}

void tcp_conn_gone(struct tcp_conn *conn)
{
    if (conn->listener) {
        conn->listener->half_open--;
        conn->listener = NULL;
    }
}

void tcp_attach(struct tcp_sock *tcp, struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;

    conn->sock = tcp;
    tcp->conn = conn;
    tcp_recv(pcb, on_receive);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb); /* Nagle's rule is kept in send_now(), by the link's segment size */
    tcp_options_to_conn(tcp);
}

/* The socket goes; the control block may have things left to send. */
static void detach(struct tcp_sock *tcp)
{
    struct tcp_conn *conn = tcp->conn;

    if (!conn) return;
    tcp->conn = NULL;
    conn->sock = NULL;
    if (!conn->pcb) {
        net_pool_free(conn);
        return;
    }
    tcp_err(conn->pcb, NULL);
    tcp_sent(conn->pcb, NULL);
}

void tcp_abort_conn(struct tcp_sock *tcp)
{
    struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    net_enter();
    detach(tcp);
    if (pcb) tcp_abort(pcb);
    net_leave();
}

/* ---- sending ---- */

size_t tcp_send_space(const struct tcp_sock *tcp)
{
    if (tcp->local) return tcp->peer && tcp->peer->rx_len < LOCAL_WINDOW ? LOCAL_WINDOW - tcp->peer->rx_len : 0;
    if (!tcp->conn || !tcp->conn->pcb || tcp->conn->pcb->snd_queuelen >= TCP_SND_QUEUELEN - 64) return 0;
    return tcp->conn->pcb->snd_buf;
}

/* Nagle's rule (RFC 896), and TCP_CORK: a small segment waits for company. */
static bool send_now(const struct tcp_sock *tcp, bool more)
{
    const struct tcp_pcb *pcb = tcp->conn->pcb;
    size_t unsent = 0;

    for (const struct tcp_seg *seg = pcb->unsent; seg && unsent < tcp->conn->wire_mss; seg = seg->next) unsent += seg->len;
    if (unsent >= tcp->conn->wire_mss) return true;
    if (tcp->cork || more) return false;
    return tcp->nodelay || !pcb->unacked;
}

/* tcp_write() copies from a program's memory, which readable() has looked at; a fault would be a mistake of ours. */
static bool from_program;

void *net_tcp_copy(void *to, const void *from, size_t n)
{
    if (!from_program) return memcpy(to, from, n);
    if (copy_from_user(to, (uaddr_t)from, n)) panic("a program's memory went away while it was sent");
    return to;
}

/* Bytes that can be read there, of n. */
static size_t readable(uaddr_t at, size_t n)
{
    const uaddr_t end = at + n;
    uint32_t value;

    for (uaddr_t page = at & ~(PAGE_SIZE - 1); page < end; page += PAGE_SIZE)
        if (get_user_u32(&value, page)) return page > at ? page - at : 0;
    return n;
}

static int64_t write_out(struct tcp_sock *tcp, const void *data, size_t n, bool rest, bool more)
{
    net_enter();
    err_t err = tcp_write(tcp->conn->pcb, data, (u16_t)n, TCP_WRITE_FLAG_COPY | (rest ? TCP_WRITE_FLAG_MORE : 0));
    if (err == ERR_OK && (rest || send_now(tcp, more))) tcp_output(tcp->conn->pcb);
    net_leave();
    return err == ERR_OK ? (int64_t)n : -ENOBUFS;
}

static int64_t send_link(struct tcp_sock *tcp, struct iov_iter *from, size_t room, bool more)
{
    static uint8_t bounce[BOUNCE_BYTES];
    const uint32_t mss = tcp->conn->pcb->mss;
    const size_t most = MIN(room, 65535u / mss * mss);
    size_t piece;
    const uaddr_t at = iov_iter_piece(from, &piece);

    if (!from->kernel && piece >= DIRECT_MIN) {
        size_t n = readable(at, MIN(piece, most));
        if (n == 0) return -EFAULT;
        from_program = true;
        int64_t result = write_out(tcp, (const void *)at, n, from->count > n, more);
        from_program = false;
        if (result > 0) iov_iter_advance(from, n);
        return result;
    }
    ssize_t n = copy_from_iter(from, bounce, MIN(from->count, most));
    return n <= 0 ? n : write_out(tcp, bounce, (size_t)n, from->count > 0, more);
}

static int64_t send_local(struct tcp_sock *tcp, struct iov_iter *from, size_t room)
{
    struct tcp_sock *peer = tcp->peer;
    size_t want = MIN(MIN(room, from->count), LOCAL_PIECE);
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)want, PBUF_RAM);

    if (!p) return -ENOBUFS;
    ssize_t n = copy_from_iter(from, p->payload, want);
    if (n <= 0) {
        pbuf_free(p);
        return n;
    }
    if ((size_t)n < want) pbuf_realloc(p, (u16_t)n);
    rx_append(peer, p);
    if (peer->listener) tcp_listener_data(peer);
    socket_wake(&peer->inet.base, EPOLLIN | EPOLLRDNORM);
    return n;
}

/* ---- the kernel's end of a connection of this machine ---- */

void tcp_local_join(struct tcp_sock *caller, struct tcp_sock *other)
{
    other->inet.local = caller->inet.remote;
    other->inet.local_port = caller->inet.remote_port;
    other->inet.remote = caller->inet.local;
    other->inet.remote_port = caller->inet.local_port;
    other->local = caller->local = true;
    other->state = caller->state = TCP_SOCK_CONNECTED;
    other->peer = caller;
    caller->peer = other;
}

size_t tcp_local_pull(struct tcp_sock *tcp, void *data, size_t len)
{
    size_t done = 0;

    while (tcp->rx && done < len) {
        size_t n = MIN((size_t)tcp->rx->len - tcp->rx_offset, len - done);
        memcpy((char *)data + done, (const char *)tcp->rx->payload + tcp->rx_offset, n);
        done += n;
        tcp->rx_offset += (uint32_t)n;
        tcp->rx_len -= n;
        if (tcp->rx_offset == tcp->rx->len) rx_drop_first(tcp);
    }
    if (done > 0) rx_consumed(tcp, done);
    return done;
}

void tcp_local_push(struct tcp_sock *tcp, const void *data, size_t len)
{
    struct tcp_sock *peer = tcp->peer;

    if (!peer) return;
    for (size_t done = 0, n; done < len; done += n) {
        n = MIN(len - done, LOCAL_PIECE);
        struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);
        if (!p) break;
        memcpy(p->payload, (const char *)data + done, n);
        rx_append(peer, p);
    }
    socket_wake(&peer->inet.base, EPOLLIN | EPOLLRDNORM);
}

size_t tcp_local_unread(const struct tcp_sock *tcp)
{
    return tcp->peer ? tcp->peer->rx_len : 0;
}

bool tcp_local_ended(const struct tcp_sock *tcp)
{
    return tcp->eof || !tcp->peer;
}

/* What a send meets: 0, or the error to report. */
static int send_state(struct tcp_sock *tcp)
{
    if (tcp->inet.base.error) return socket_take_error(&tcp->inet.base);
    if (tcp->tx_shut || tcp->was_reset || tcp->state == TCP_SOCK_LISTEN) return -EPIPE;
    if (tcp->state == TCP_SOCK_CLOSED) return -EPIPE;
    return 0;
}

/* The other end, of this machine, is gone: it answers with a reset. */
static bool local_reset(struct tcp_sock *tcp)
{
    if (!tcp->local || tcp->peer || tcp->state != TCP_SOCK_CONNECTED) return false;
    tcp_dead(tcp, tcp->eof ? EPIPE : ECONNRESET);
    return true;
}

static int64_t tcp_sendmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct tcp_sock *tcp = tcp_of(sock);
    const size_t total = msg->iter.count;
    int64_t done = 0;

    if (msg->flags & MSG_FASTOPEN) return -EOPNOTSUPP;
    int err = socket_wait(sock, tcp->state != TCP_SOCK_CONNECTING || sock->error, deadline);
    if (err) return err;
    if (total == 0) return send_state(tcp);
    while (msg->iter.count > 0) {
        err = send_state(tcp);
        if (err) return done ? done : err;
        if (local_reset(tcp)) return (int64_t)total;
        size_t room = tcp_send_space(tcp);
        if (room == 0) {
            err = socket_wait(sock, tcp_send_space(tcp) > 0 || sock->error || tcp->was_reset || tcp->tx_shut ||
                                        (tcp->local && !tcp->peer), deadline);
            if (err) return done ? done : err;
            continue;
        }
        int64_t n = tcp->local ? send_local(tcp, &msg->iter, room)
                               : send_link(tcp, &msg->iter, room, msg->flags & MSG_MORE);
        if (n <= 0) return done ? done : n;
        done += n;
    }
    return done;
}

/* ---- receiving ---- */

/* Nothing more will come, or something is to be told before. */
static bool ended(const struct tcp_sock *tcp)
{
    return tcp->eof || tcp->rx_shut || tcp->inet.base.error;
}

/* Looks without taking: once there is as much as was asked for, or as there will be. */
static int64_t peek(struct tcp_sock *tcp, struct socket_message *msg, size_t target, int64_t deadline)
{
    struct socket *sock = &tcp->inet.base;
    const bool discard = msg->flags & MSG_TRUNC;

    int err = socket_wait(sock, tcp->rx_len >= target || ended(tcp), tcp->rx_len > 0 && target == 1 ? DONT_WAIT : deadline);
    if (tcp->rx_len > 0) return rx_copy(tcp, &msg->iter, true, discard);
    if (sock->error) return socket_take_error(sock);
    return ended(tcp) ? 0 : err;
}

static int64_t tcp_recvmsg(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct tcp_sock *tcp = tcp_of(sock);
    int64_t done = 0;

    if (msg->flags & MSG_ERRQUEUE) return -EAGAIN;
    if (msg->flags & MSG_OOB) return -EINVAL;
    if (tcp->state == TCP_SOCK_LISTEN || (tcp->state == TCP_SOCK_CLOSED && !ended(tcp))) return -ENOTCONN;
    size_t target = MAX(msg->flags & MSG_WAITALL ? msg->iter.count : MIN((size_t)sock->rcvlowat, msg->iter.count), 1u);
    if (msg->flags & MSG_PEEK) return peek(tcp, msg, target, deadline);
    do {
        if (tcp->rx_len > 0) {
            ssize_t n = rx_copy(tcp, &msg->iter, false, msg->flags & MSG_TRUNC);
            if (n < 0) return done ? done : n;
            done += n;
            rx_consumed(tcp, (size_t)n);
            if (n == 0) break;
            continue;
        }
        if (done >= (int64_t)target || (done > 0 && ended(tcp))) break;
        if (sock->error) return socket_take_error(sock);
        if (ended(tcp)) break;
        int err = socket_wait(sock, tcp->rx_len > 0 || ended(tcp), deadline);
        if (err) return done ? done : err;
    } while (msg->iter.count > 0);
    return done;
}

/* ---- the rest of a connection's life ---- */

static void shutdown_send(struct tcp_sock *tcp)
{
    if (tcp->tx_shut) return;
    tcp->tx_shut = true;
    if (tcp->local) {
        if (!tcp->peer) return;
        tcp->peer->eof = true;
        socket_wake(&tcp->peer->inet.base, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | (tcp->peer->tx_shut ? EPOLLHUP : 0));
        return;
    }
    if (!tcp->conn || !tcp->conn->pcb) return;
    net_enter();
    tcp_shutdown(tcp->conn->pcb, 0, 1);
    if (tcp->conn->pcb) tcp_output(tcp->conn->pcb);
    net_leave();
}

static int tcp_sock_shutdown(struct socket *sock, int how)
{
    struct tcp_sock *tcp = tcp_of(sock);

    if (tcp->state == TCP_SOCK_LISTEN) {
        if (how == SHUT_WR) return 0;
        tcp_listener_close(tcp);
        socket_wake(sock, EPOLLIN | EPOLLHUP);
        return 0;
    }
    if (tcp->state == TCP_SOCK_CONNECTING) {
        if (tcp->conn) tcp_abort_conn(tcp);
        list_del(&tcp->queue_link);
        tcp->listener = NULL;
        tcp_dead(tcp, ECONNRESET);
        return 0;
    }
    if (tcp->state != TCP_SOCK_CONNECTED) return -ENOTCONN;
    if (how != SHUT_WR) tcp->rx_shut = true;
    if (how != SHUT_RD) shutdown_send(tcp);
    socket_wake(sock, ~0u);
    return 0;
}

static uint32_t tcp_poll_events(struct socket *sock)
{
    const struct tcp_sock *tcp = tcp_of(sock);
    uint32_t events = sock->error ? EPOLLERR : 0;
    const bool rx_end = tcp->eof || tcp->rx_shut;

    if (tcp->state == TCP_SOCK_LISTEN) return events | (list_empty(&tcp->ready_list) || !tcp->ready ? 0 : EPOLLIN | EPOLLRDNORM);
    if (tcp->state == TCP_SOCK_CONNECTING) return events;
    if (tcp->state == TCP_SOCK_CLOSED)
        return events | EPOLLOUT | EPOLLWRNORM | EPOLLHUP |
               (tcp->was_reset || tcp->rx_len ? EPOLLIN | EPOLLRDNORM | EPOLLRDHUP : 0);
    if (tcp->rx_len >= (size_t)sock->rcvlowat || rx_end) events |= EPOLLIN | EPOLLRDNORM;
    if (rx_end) events |= EPOLLRDHUP;
    if (tcp->tx_shut && rx_end) events |= EPOLLHUP;
    size_t limit = tcp->local ? LOCAL_WINDOW : TCP_SND_BUF;
    if (tcp->tx_shut || tcp_send_space(tcp) >= limit / 3 || (tcp->local && !tcp->peer)) events |= EPOLLOUT | EPOLLWRNORM;
    return events;
}

static int64_t tcp_ioctl(struct socket *sock, uint32_t cmd, uint64_t arg)
{
    const struct tcp_sock *tcp = tcp_of(sock);
    const struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    switch (cmd) {
    case FIONREAD:
        return tcp->state == TCP_SOCK_LISTEN ? -EINVAL : put_user_u32(arg, (uint32_t)tcp->rx_len);
    case SIOCOUTQ:
        return put_user_u32(arg, tcp->local ? (tcp->peer ? (uint32_t)tcp->peer->rx_len : 0) : pcb ? TCP_SND_BUF - pcb->snd_buf : 0);
    case SIOCOUTQNSD:
        return put_user_u32(arg, pcb ? pcb->snd_lbb - pcb->snd_nxt : 0);
    default:
        return -ENOTTY;
    }
}

static void close_local(struct tcp_sock *tcp, bool abort)
{
    struct tcp_sock *peer = tcp->peer;

    if (!peer) return;
    tcp->peer = NULL;
    peer->peer = NULL;
    if (abort) {
        rx_purge(peer);
        tcp_dead(peer, peer->eof ? EPIPE : ECONNRESET);
        return;
    }
    peer->eof = true;
    socket_wake(&peer->inet.base, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLOUT | (peer->tx_shut ? EPOLLHUP : 0));
}

static void close_link(struct tcp_sock *tcp, bool abort)
{
    struct tcp_pcb *pcb = tcp->conn ? tcp->conn->pcb : NULL;

    net_enter();
    detach(tcp);
    if (pcb && abort)
        tcp_abort(pcb);
    else if (pcb)
        tcp_close(pcb); /* it ends by itself, also if there is no memory just now */
    net_leave();
}

/* close(2) waits until all is acknowledged, or for l_linger seconds. */
static void linger(struct tcp_sock *tcp)
{
    if (!tcp->conn || !tcp->conn->pcb || tcp->state != TCP_SOCK_CONNECTED) return;
    shutdown_send(tcp);
    wait_event_deadline(&tcp->inet.base.wait,
                        !tcp->conn->pcb || (!tcp->conn->pcb->unacked && !tcp->conn->pcb->unsent) || tcp->was_reset,
                        deadline_after(tcp->inet.base.linger_seconds * NSEC_PER_SEC));
}

void tcp_sock_free(struct tcp_sock *tcp)
{
    const struct socket *sock = &tcp->inet.base;
    const bool abort = sock->linger && sock->linger_seconds == 0;

    if (sock->linger && sock->linger_seconds > 0) linger(tcp);
    if (tcp->state == TCP_SOCK_LISTEN) tcp_listener_close(tcp);
    list_del(&tcp->queue_link);
    if (tcp->local)
        close_local(tcp, abort || tcp->rx_len > 0);
    else
        close_link(tcp, abort);
    rx_purge(tcp);
    tcp_port_uncount(tcp);
    inet_forget(&tcp->inet);
    kfree(tcp);
}

static void tcp_release(struct socket *sock)
{
    tcp_sock_free(tcp_of(sock));
}

static void option_changed(struct socket *sock, int name)
{
    (void)name;
    tcp_options_to_conn(tcp_of(sock));
}

static const struct socket_ops tcp_ops = {
    .bind = inet_bind,
    .connect = tcp_sock_connect,
    .listen = tcp_sock_listen,
    .accept = tcp_sock_accept,
    .getname = inet_getname,
    .sendmsg = tcp_sendmsg,
    .recvmsg = tcp_recvmsg,
    .shutdown = tcp_sock_shutdown,
    .setsockopt = tcp_setsockopt,
    .getsockopt = tcp_getsockopt,
    .option_changed = option_changed,
    .poll = tcp_poll_events,
    .ioctl = tcp_ioctl,
    .release = tcp_release,
};
