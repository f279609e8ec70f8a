/* Streams of bytes between AF_UNIX sockets. */
#include <linux/un.h>

#include "fs/vfs.h"
#include "net/unix/unix.h"

/* A packet and its header fit in 32 KiB, which the page allocator gives without waste. */
#define CHUNK_MAX (32768u - sizeof(struct packet))

static bool peer_reads(const struct unix_sock *u)
{
    return u->peer && !u->peer->dead && !(u->peer->shut & UNIX_SHUT_RD);
}

/* One packet of at most `len` bytes; the bytes taken. */
static int64_t send_chunk(struct unix_sock *u, struct iov_iter *from, size_t len, struct scm *scm, int64_t deadline)
{
    int err = unix_wait_for_room(u, deadline);

    if (err)
        return err;
    struct packet *packet = packet_new(u, len, scm);
    if (!packet)
        return -ENOBUFS;
    ssize_t copied = copy_from_iter(from, packet->data, len);
    if (copied < (ssize_t)len) {
        packet_free(packet);
        return -EFAULT;
    }
    /* While it waited for room, the other end may have gone. */
    if (!peer_reads(u)) {
        packet_free(packet);
        return -EPIPE;
    }
    packet_queue(u->peer, packet);
    return copied;
}

int64_t unix_stream_send(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock);
    struct scm scm = {0};
    int64_t done = 0;

    if (msg->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int64_t err = scm_from_message(msg, &scm);
    if (err)
        return err;
    if (msg->name.len) {
        err = u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
        goto out;
    }
    err = -ENOTCONN;
    if (!u->peer)
        goto out;
    err = -EPIPE;
    if (u->shut & UNIX_SHUT_WR)
        goto out;
    scm_add_creds(&scm, u, u->peer);
    err = 0;
    while (msg->iter.count > 0) {
        err = -EPIPE;
        if (!peer_reads(u) && !sock->error)
            break;
        /* Not all of the buffer in one piece, so that the reader can begin while more is written. */
        size_t len = MIN(MIN(msg->iter.count, CHUNK_MAX), (size_t)sock->sndbuf / 2);
        err = send_chunk(u, &msg->iter, len, &scm, deadline);
        if (err < 0)
            break;
        done += err;
    }
out:
    scm_files_free(scm.files);
    return done > 0 ? done : err < 0 ? err : 0;
}

/* What one call has read so far. */
struct reading {
    struct scm scm;
    bool has_scm; /* its credentials are of the first packet */
    size_t done;
};

/* Bytes of different writers are not given as one to who asks who they are. */
static bool same_writer(const struct reading *r, const struct packet *packet, bool passcred)
{
    const struct scm *a = &r->scm, *b = &packet->scm;

    if (!r->has_scm || !passcred)
        return true;
    return a->has_creds == b->has_creds && a->creds.pid == b->creds.pid && a->creds.uid == b->creds.uid &&
           a->creds.gid == b->creds.gid;
}

/* From one packet, `skip` bytes into what is unread; the bytes copied. */
static int64_t read_packet(struct unix_sock *u, struct socket_message *msg, struct packet *packet, size_t skip,
                           struct reading *r)
{
    bool peek = msg->flags & MSG_PEEK;
    size_t len = MIN(packet->len - packet->taken - skip, msg->iter.count);
    struct scm_files *files = packet->scm.files;

    if (files && peek) {
        files = scm_files_copy(files);
        if (!files)
            return -ENOMEM;
    }
    ssize_t copied = copy_to_iter(&msg->iter, packet->data + packet->taken + skip, len);
    if (copied < 0) {
        if (peek)
            scm_files_free(files);
        return copied;
    }
    if (!r->has_scm) {
        r->scm.has_creds = packet->scm.has_creds;
        r->scm.creds = packet->scm.creds;
        r->has_scm = true;
        if (packet->from->name.len)
            msg->name = packet->from->name;
    }
    r->scm.files = files;
    r->done += (size_t)copied;
    if (peek)
        return copied;
    if (files)
        unix_landed(files);
    packet->scm.files = NULL; /* now the reader's */
    packet->taken += (size_t)copied;
    if (packet->taken == packet->len) {
        u->queue_len--;
        packet_free(packet);
    }
    return copied;
}

/* All that is there, as far as one call may take it: 1 if the call is at its end. */
static int64_t read_queue(struct unix_sock *u, struct socket_message *msg, size_t skip, struct reading *r)
{
    struct packet *packet, *next;

    list_for_each_safe(packet, next, &u->queue, link) {
        size_t there = packet->len - packet->taken;
        if (skip >= there && there > 0) {
            skip -= there;
            continue;
        }
        if (!same_writer(r, packet, u->sock.passcred))
            return 1;
        int64_t copied = read_packet(u, msg, packet, skip, r);
        if (copied < 0)
            return copied;
        skip = 0;
        if (r->scm.files || msg->iter.count == 0)
            return 1; /* descriptors belong to what was read last */
    }
    return 0;
}

int64_t unix_stream_recv(struct socket *sock, struct socket_message *msg, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock);
    struct reading r = {0};
    bool peek = msg->flags & MSG_PEEK;
    size_t skip = peek && sock->peek_off > 0 ? (size_t)sock->peek_off : 0;
    size_t least = msg->flags & MSG_WAITALL ? msg->iter.count : MIN((size_t)sock->rcvlowat, msg->iter.count);
    int64_t err = 0;

    if (u->state != UNIX_CONNECTED)
        return -EINVAL;
    if (msg->flags & MSG_OOB)
        return -EOPNOTSUPP;
    for (;;) {
        /* Looking begins anew each time: nothing was taken. */
        err = peek && r.done ? 1 : read_queue(u, msg, skip, &r);
        if (err || r.done >= MAX(least, 1u))
            break;
        const struct list *before = u->queue.prev;
        if (sock->error && list_empty(&u->queue)) {
            err = r.done ? 0 : socket_take_error(sock);
            break;
        }
        if (u->shut & UNIX_SHUT_RD || msg->iter.count == 0)
            break;
        err = socket_wait(sock, u->queue.prev != before || sock->error || u->shut & UNIX_SHUT_RD, deadline);
        if (err)
            break;
    }
    if (r.done > 0 || (err >= 0 && r.has_scm)) {
        if (peek && sock->peek_off >= 0)
            sock->peek_off += (int)r.done;
        else if (!peek && sock->peek_off > 0)
            sock->peek_off = (int)MAX(0, sock->peek_off - (int)r.done);
        err = scm_to_message(u, msg, &r.scm);
    }
    scm_files_free(r.scm.files);
    if (err < 0 && r.done == 0)
        return err;
    return (int64_t)r.done;
}
