/* Connections between AF_UNIX sockets. */
#include <linux/eventpoll.h>

#include "fs/vfs.h"
#include "net/unix/unix.h"

int unix_listen(struct socket *sock, int backlog)
{
    struct unix_sock *u = unix_sock(sock);

    if (!u->name.len || u->state == UNIX_CONNECTED)
        return -EINVAL;
    bool more = (unsigned)backlog > u->queue_max;
    u->queue_max = (unsigned)backlog;
    u->state = UNIX_LISTENING;
    sock->listening = true;
    /* Who connects sees who listened. */
    u->cred = ucred_of_current();
    u->has_peer_cred = true;
    u->peer_cred = u->cred;
    if (more)
        socket_wake(sock, ~0u);
    return 0;
}

static bool refuses(const struct unix_sock *listener)
{
    return listener->dead || listener->state != UNIX_LISTENING || listener->shut & UNIX_SHUT_RD;
}

/* A listener with room in its backlog, with a reference. */
static int find_listener(struct unix_sock *u, const struct socket_address *addr, int64_t deadline,
                         struct unix_sock **found)
{
    for (;;) {
        struct unix_sock *listener = unix_find(addr, u->sock.type);
        if (IS_ERR(listener))
            return (int)PTR_ERR(listener);
        *found = listener;
        int err = refuses(listener) ? -ECONNREFUSED : 0;
        if (!err && !unix_queue_full(listener))
            return 0;
        if (!err)
            err = socket_wait(&listener->sock, refuses(listener) || !unix_queue_full(listener), deadline);
        unix_put(listener);
        if (err)
            return err;
        /* It may have gone meanwhile, and another have its name. */
    }
}

static void connect_to(struct unix_sock *u, struct unix_sock *peer)
{
    unix_set_peer(u, peer);
    u->state = UNIX_CONNECTED;
    u->has_peer_cred = true;
}

int unix_stream_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock), *listener = NULL;

    if (sock->passcred && !u->name.len) {
        int bound = unix_autobind(u);
        if (bound)
            return bound;
    }
    int err = find_listener(u, addr, deadline, &listener);
    if (err)
        return err;
    struct unix_sock *embryo = NULL;
    struct packet *packet = NULL;
    err = u->state == UNIX_CONNECTED ? -EISCONN : u->state == UNIX_LISTENING ? -EINVAL : 0;
    if (err)
        goto out;
    err = -ENOMEM;
    embryo = unix_new(sock->type);
    packet = embryo ? packet_new(u, 0, NULL) : NULL;
    if (!packet) {
        unix_put(embryo);
        goto out;
    }
    embryo->name = listener->name;
    connect_to(embryo, u);
    embryo->peer_cred = ucred_of_current();
    connect_to(u, embryo);
    u->peer_cred = listener->cred;
    packet->embryo = embryo;
    packet_queue(listener, packet);
    socket_wake(sock, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
    err = 0;
out:
    unix_put(listener);
    return err;
}

/* The default destination is another one: what the old one sent is not for us any more. */
static void change_destination(struct unix_sock *u, struct unix_sock *to)
{
    struct unix_sock *old = u->peer;

    if (old && old != to) {
        bool had = !list_empty(&u->queue);
        unix_purge(u);
        if (had && !old->dead && old->peer == u) {
            old->sock.error = ECONNRESET;
            socket_wake(&old->sock, ~0u);
        }
    }
    unix_set_peer(u, to);
    u->state = to ? UNIX_CONNECTED : UNIX_UNCONNECTED;
    socket_wake(&u->sock, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}

int unix_dgram_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline)
{
    struct unix_sock *u = unix_sock(sock);

    (void)deadline;
    if (addr->len < sizeof(addr->storage.ss_family))
        return -EINVAL;
    if (addr->storage.ss_family == AF_UNSPEC) {
        change_destination(u, NULL);
        return 0;
    }
    if (sock->passcred && !u->name.len) {
        int err = unix_autobind(u);
        if (err)
            return err;
    }
    struct unix_sock *to = unix_find(addr, sock->type);
    if (IS_ERR(to))
        return (int)PTR_ERR(to);
    int err = unix_may_send(u, to) ? 0 : -EPERM;
    if (!err)
        change_destination(u, to);
    unix_put(to);
    return err;
}

int unix_accept(struct socket *sock, int64_t deadline, struct socket **made)
{
    struct unix_sock *u = unix_sock(sock);

    if (u->state != UNIX_LISTENING)
        return -EINVAL;
    int err = socket_wait(sock, !list_empty(&u->queue) || u->shut & UNIX_SHUT_RD, deadline);
    if (err)
        return err;
    if (list_empty(&u->queue))
        return -EINVAL; /* shut down */
    struct packet *packet = list_first(&u->queue, struct packet, link);
    *made = &packet->embryo->sock; /* and its reference */
    u->queue_len--;
    packet_free(packet);
    socket_wake(sock, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND); /* for those who wait for room in the backlog */
    return 0;
}

int unix_pair(struct socket *one, struct socket *two)
{
    struct unix_sock *a = unix_sock(one), *b = unix_sock(two);

    connect_to(a, b);
    connect_to(b, a);
    a->peer_cred = b->peer_cred = ucred_of_current();
    return 0;
}
