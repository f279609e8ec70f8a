/* Messages between AF_UNIX sockets: datagrams and sequenced packets. */
#include <linux/eventpoll.h>

#include "fs/vfs.h"
#include "net/unix/unix.h"

bool unix_may_send(const struct unix_sock *u, const struct unix_sock *to)
{
    return !to->peer || to->peer == u;
}

/* Who gets the message, with a reference. */
static int destination(struct unix_sock *u, const struct socket_message *msg, struct unix_sock **to)
{
    if (msg->name.len) {
        struct unix_sock *found = unix_find(&msg->name, u->sock.type);
        if (IS_ERR(found))
            return (int)PTR_ERR(found);
        *to = found;
        return 0;
    }
    if (!u->peer)
        return -ENOTCONN;
    *to = unix_get(u->peer);
    return 0;
}

/* The receiver of datagrams has gone: the sender has no default destination any more. */
static int lost(struct unix_sock *u, const struct unix_sock *to)
{
    if (u->peer == to && u->sock.type == SOCK_DGRAM) {
        unix_set_peer(u, NULL);
        u->state = UNIX_UNCONNECTED;
        unix_purge(u);
    }
    return u->sock.type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
}

/* Two that are connected to each other are bounded by the sender's buffer alone. */
static bool queue_is_full(const struct unix_sock *u, const struct unix_sock *to)
{
    return to != u && to->peer != u && unix_queue_full(to);
}

static int wait_for_queue(struct unix_sock *u, struct unix_sock *to, int64_t deadline)
{
    for (;;) {
        if (to->dead)
            return lost(u, to);
        if (!unix_may_send(u, to))
            return -EPERM;
        if (to->shut & UNIX_SHUT_RD)
            return -EPIPE;
        if (!queue_is_full(u, to))
            return 0;
        int err = socket_wait(&to->sock, to->dead || to->shut & UNIX_SHUT_RD || !queue_is_full(u, to), deadline);
        if (err)
            return err;
    }
}

int64_t unix_dgram_send(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock), *to = NULL;
    struct packet *packet = NULL;
    struct scm scm = {0};
    size_t len = msg->iter.count;

    if (msg->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int64_t err = scm_from_message(msg, &scm);
    if (err)
        return err;
    err = destination(u, msg, &to);
    if (err)
        goto out;
    if (sock->passcred && !u->name.len)
        err = unix_autobind(u);
    if (!err && len > (size_t)sock->sndbuf - 32)
        err = -EMSGSIZE;
    if (!err)
        err = unix_wait_for_room(u, deadline);
    if (err)
        goto out;
    scm_add_creds(&scm, u, to);
    packet = packet_new(u, len, &scm);
    err = -ENOBUFS;
    if (!packet)
        goto out;
    err = -EFAULT;
    if (len > 0 && copy_from_iter(&msg->iter, packet->data, len) < (ssize_t)len)
        goto out;
    err = wait_for_queue(u, to, deadline);
    if (err)
        goto out;
    packet_queue(to, packet);
    packet = NULL;
    err = (int64_t)len;
out:
    if (packet)
        packet_free(packet);
    scm_files_free(scm.files);
    unix_put(to);
    return err;
}

/* Those that wait for room in this socket's queue: who sends without a connection, and connected ones that poll. */
static void tell_senders(struct unix_sock *u)
{
    struct unix_sock *sender;

    socket_wake(&u->sock, EPOLLOUT);
    list_for_each(sender, &u->senders, peer_link)
        socket_wake(&sender->sock, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}

/* The first packet that is not wholly before what was looked at already (SO_PEEK_OFF). */
static struct packet *first_packet(struct unix_sock *u, size_t *skip)
{
    struct packet *packet;

    list_for_each(packet, &u->queue, link) {
        if (*skip < packet->len || *skip == 0)
            return packet;
        *skip -= packet->len;
    }
    return NULL;
}

int64_t unix_dgram_recv(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock);
    bool peek = msg->flags & MSG_PEEK;
    struct packet *packet = NULL;
    size_t skip = 0;

    if (msg->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int64_t err = socket_wait(sock,
                              (skip = peek && sock->peek_off > 0 ? (size_t)sock->peek_off : 0,
                               (packet = first_packet(u, &skip)) || sock->error || u->shut & UNIX_SHUT_RD),
                              deadline);
    if (!packet && sock->error)
        return socket_take_error(sock);
    if (!packet) {
        bool ended = u->shut & UNIX_SHUT_RD;
        return ended && (deadline != DONT_WAIT || sock->type == SOCK_SEQPACKET) ? 0 : err ? err : -EAGAIN;
    }
    size_t whole = packet->len - skip, len = MIN(whole, msg->iter.count);
    struct scm scm = packet->scm;
    if (peek && scm.files) {
        scm.files = scm_files_copy(scm.files);
        if (!scm.files)
            return -ENOMEM;
    }
    if (len < whole)
        msg->out_flags |= MSG_TRUNC;
    if (packet->from->name.len)
        msg->name = packet->from->name;
    /* A message that cannot be copied is lost, as on Linux; one that is looked at stays. */
    err = len > 0 && copy_to_iter(&msg->iter, packet->data + skip, len) < (ssize_t)len ? -EFAULT : 0;
    if (!peek) {
        bool was_full = unix_queue_full(u);
        if (scm.files)
            unix_landed(scm.files);
        packet->scm.files = NULL;
        u->queue_len--;
        packet_free(packet);
        if (was_full)
            tell_senders(u);
        if (sock->peek_off > 0)
            sock->peek_off = (int)MAX(0, sock->peek_off - (int)len);
    } else if (sock->peek_off >= 0) {
        sock->peek_off += (int)len;
    }
    if (!err)
        err = scm_to_message(u, msg, &scm);
    scm_files_free(scm.files);
    if (err)
        return err;
    return (int64_t)(msg->flags & MSG_TRUNC ? whole : len);
}

int64_t unix_seqpacket_send(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    if (unix_sock(sock)->state != UNIX_CONNECTED)
        return -ENOTCONN;
    msg->name.len = 0; /* where it goes is known */
    return unix_dgram_send(sock, msg, deadline);
}

int64_t unix_seqpacket_recv(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    return unix_sock(sock)->state == UNIX_CONNECTED ? unix_dgram_recv(sock, msg, deadline) : -ENOTCONN;
}
