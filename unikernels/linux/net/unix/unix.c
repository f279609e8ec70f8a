/* AF_UNIX sockets: life and death, packets, readiness. See unix.h. */
#include "net/unix/unix.h"

#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/sockios.h>
#include <linux/un.h>

#include "fs/seq_file.h"
#include "fs/vfs.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "task/task.h"

/* What Linux's own structures take of a socket's buffer for each packet, so that buffers hold about as much. */
#define PACKET_OVERHEAD 576u

static struct list all_sockets = {&all_sockets, &all_sockets};

struct unix_sock *unix_get(struct unix_sock *u)
{
    u->refs++;
    return u;
}

void unix_put(struct unix_sock *u)
{
    if (!u || --u->refs > 0)
        return;
    list_del(&u->all_link);
    kfree(u);
}

void unix_set_peer(struct unix_sock *u, struct unix_sock *peer)
{
    struct unix_sock *old = u->peer;

    list_del(&u->peer_link);
    u->peer = peer ? unix_get(peer) : NULL;
    if (peer)
        list_add_tail(&peer->senders, &u->peer_link);
    unix_put(old);
}

struct ucred ucred_of_current(void)
{
    return (struct ucred){
        .pid = (uint32_t)current->process->pid, .uid = current->cred->euid, .gid = current->cred->egid};
}

/* ---- packets ---- */

struct packet *packet_new(struct unix_sock *from, size_t len, struct scm *scm)
{
    struct packet *packet = kmalloc(sizeof(*packet) + len);

    if (!packet)
        return NULL;
    *packet = (struct packet){.from = unix_get(from), .len = len, .truesize = len + PACKET_OVERHEAD};
    from->charged += packet->truesize;
    list_init(&packet->link);
    if (scm) {
        packet->scm = *scm;
        scm->files = NULL;
    }
    if (packet->scm.files)
        unix_inflight(packet->scm.files);
    return packet;
}

void packet_queue(struct unix_sock *to, struct packet *packet)
{
    list_add_tail(&to->queue, &packet->link);
    to->queue_len++;
    socket_wake(&to->sock, EPOLLIN | EPOLLRDNORM);
}

void packet_free(struct packet *packet)
{
    struct unix_sock *from = packet->from;

    list_del(&packet->link);
    from->charged -= packet->truesize;
    socket_wake(&from->sock, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
    if (packet->scm.files) {
        unix_landed(packet->scm.files);
        scm_files_free(packet->scm.files);
    }
    kfree(packet);
    unix_put(from);
}

bool unix_queue_full(const struct unix_sock *u)
{
    return u->queue_len > u->queue_max;
}

void unix_purge(struct unix_sock *u)
{
    while (!list_empty(&u->queue)) {
        struct packet *packet = list_first(&u->queue, struct packet, link);
        struct unix_sock *embryo = packet->embryo;
        u->queue_len--;
        packet_free(packet);
        if (embryo) {
            unix_kill(embryo, true);
            unix_put(embryo);
        }
    }
}

static bool may_write(const struct unix_sock *u)
{
    return u->charged < (size_t)u->sock.sndbuf;
}

int unix_wait_for_room(struct unix_sock *u, int64_t deadline)
{
    int err = socket_wait(&u->sock, u->sock.error || u->shut & UNIX_SHUT_WR || may_write(u), deadline);

    if (u->sock.error)
        return socket_take_error(&u->sock);
    return u->shut & UNIX_SHUT_WR ? -EPIPE : err;
}

/* ---- life ---- */

static const struct socket_ops stream_ops, dgram_ops, seqpacket_ops;

struct unix_sock *unix_new(int type)
{
    struct unix_sock *u = kzalloc(sizeof(*u));

    if (!u)
        return NULL;
    const struct socket_ops *ops = type == SOCK_STREAM ? &stream_ops : type == SOCK_DGRAM ? &dgram_ops : &seqpacket_ops;
    socket_init(&u->sock, ops, AF_UNIX, type, 0);
    u->refs = 1;
    u->queue_max = UNIX_QUEUE_MAX;
    list_init(&u->bound_link);
    list_init(&u->peer_link);
    list_init(&u->senders);
    list_init(&u->queue);
    list_init(&u->inflight_link);
    list_init(&u->gc_link);
    list_add_tail(&all_sockets, &u->all_link);
    return u;
}

static int unix_create(int type, int protocol, struct socket **made)
{
    if (protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    /* socket(2), BSD: a raw one is a datagram socket. */
    if (type == SOCK_RAW)
        type = SOCK_DGRAM;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    struct unix_sock *u = unix_new(type);
    if (!u)
        return -ENOMEM;
    *made = &u->sock;
    return 0;
}

const struct socket_family unix_family = {.family = AF_UNIX, .create = unix_create};

void unix_kill(struct unix_sock *u, bool never_accepted)
{
    struct unix_sock *peer = u->peer;

    u->dead = true;
    u->shut = UNIX_SHUT_BOTH;
    unix_unbind(u);
    if (peer && u->sock.type != SOCK_DGRAM) {
        peer->shut = UNIX_SHUT_BOTH;
        if (!list_empty(&u->queue) || never_accepted)
            peer->sock.error = ECONNRESET;
        socket_wake(&peer->sock, ~0u);
    }
    unix_set_peer(u, NULL);
    /* Datagram sockets that send here find it dead at their next try; who waits for room learns it now. */
    struct unix_sock *sender;
    list_for_each(sender, &u->senders, peer_link)
        socket_wake(&sender->sock, EPOLLOUT);
    socket_wake(&u->sock, ~0u);
    unix_purge(u);
}

static void unix_release(struct socket *sock)
{
    struct unix_sock *u = unix_sock(sock);

    unix_kill(u, false);
    unix_put(u);
    unix_collect();
}

/* Of a pair or connection, the other end's half, too. */
static int unix_shutdown(struct socket *sock, int how)
{
    struct unix_sock *u = unix_sock(sock);
    uint32_t mine = (uint32_t)how + 1, theirs = 0; /* SHUT_RD, SHUT_WR, SHUT_RDWR are 0, 1, 2 */

    if (mine & UNIX_SHUT_RD)
        theirs |= UNIX_SHUT_WR;
    if (mine & UNIX_SHUT_WR)
        theirs |= UNIX_SHUT_RD;
    u->shut |= mine;
    socket_wake(&u->sock, ~0u);
    if (u->peer && sock->type != SOCK_DGRAM) {
        u->peer->shut |= theirs;
        socket_wake(&u->peer->sock, ~0u);
    }
    return 0;
}

/* ---- readiness ---- */

static uint32_t unix_poll(struct socket *sock)
{
    const struct unix_sock *u = unix_sock(sock);
    bool connecting = sock->type != SOCK_DGRAM;
    uint32_t events = 0;

    if (sock->error)
        events |= EPOLLERR;
    if (u->shut == UNIX_SHUT_BOTH || (connecting && u->state == UNIX_UNCONNECTED))
        events |= EPOLLHUP;
    if (u->shut & UNIX_SHUT_RD)
        events |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
    if (!list_empty(&u->queue))
        events |= EPOLLIN | EPOLLRDNORM;
    bool peer_full = !connecting && u->peer && u->peer->peer != u && unix_queue_full(u->peer) && !u->peer->dead;
    if (u->state != UNIX_LISTENING && u->charged * 4 <= (size_t)sock->sndbuf && !peer_full)
        events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    return events;
}

static size_t readable(const struct unix_sock *u)
{
    const struct packet *packet;
    size_t bytes = 0;

    list_for_each(packet, &u->queue, link) {
        bytes += packet->len - packet->taken;
        if (u->sock.type == SOCK_DGRAM)
            break;
    }
    return bytes;
}

static int64_t unix_ioctl(struct socket *sock, uint32_t cmd, uint64_t arg)
{
    const struct unix_sock *u = unix_sock(sock);

    switch (cmd) {
    case FIONREAD: /* SIOCINQ */
        return u->state == UNIX_LISTENING ? -EINVAL : put_user_u32(arg, (uint32_t)readable(u));
    case TIOCOUTQ: /* SIOCOUTQ */
        return put_user_u32(arg, (uint32_t)u->charged);
    default:
        return -ENOTTY;
    }
}

static void unix_peercred(struct socket *sock, uint32_t ids[3])
{
    const struct unix_sock *u = unix_sock(sock);

    if (!u->has_peer_cred)
        return;
    ids[0] = u->peer_cred.pid;
    ids[1] = u->peer_cred.uid;
    ids[2] = u->peer_cred.gid;
}

static void unix_option_changed(struct socket *sock, int name)
{
    (void)name;
    socket_wake(sock, EPOLLOUT | EPOLLWRNORM); /* a larger buffer has room */
}

static const struct socket_ops stream_ops = {
    .bind = unix_bind,
    .connect = unix_stream_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .pair = unix_pair,
    .getname = unix_getname,
    .sendmsg = unix_stream_send,
    .recvmsg = unix_stream_recv,
    .shutdown = unix_shutdown,
    .option_changed = unix_option_changed,
    .peercred = unix_peercred,
    .poll = unix_poll,
    .ioctl = unix_ioctl,
    .release = unix_release,
};
static const struct socket_ops dgram_ops = {
    .bind = unix_bind,
    .connect = unix_dgram_connect,
    .pair = unix_pair,
    .getname = unix_getname,
    .sendmsg = unix_dgram_send,
    .recvmsg = unix_dgram_recv,
    .shutdown = unix_shutdown,
    .option_changed = unix_option_changed,
    .peercred = unix_peercred,
    .poll = unix_poll,
    .ioctl = unix_ioctl,
    .release = unix_release,
};
static const struct socket_ops seqpacket_ops = {
    .bind = unix_bind,
    .connect = unix_stream_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .pair = unix_pair,
    .getname = unix_getname,
    .sendmsg = unix_seqpacket_send,
    .recvmsg = unix_seqpacket_recv,
    .shutdown = unix_shutdown,
    .option_changed = unix_option_changed,
    .peercred = unix_peercred,
    .poll = unix_poll,
    .ioctl = unix_ioctl,
    .release = unix_release,
};

/* ---- /proc/net/unix ---- */

#define SHOWN_LISTENING 0x10000u
#define SHOWN_UNCONNECTED 1u /* enum socket_state of Linux */
#define SHOWN_CONNECTING 2u
#define SHOWN_CONNECTED 3u

void unix_show_all(struct seq_file *seq)
{
    const struct unix_sock *u;

    seq_puts(seq, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    list_for_each(u, &all_sockets, all_link) {
        if (u->dead)
            continue;
        bool connected = u->state == UNIX_CONNECTED;
        uint32_t state = !connected ? SHOWN_UNCONNECTED : u->sock.file ? SHOWN_CONNECTED : SHOWN_CONNECTING;
        seq_printf(seq, "0000000000000000: %08X %08X %08X %04X %02X %5lu", u->refs, 0u,
                   u->state == UNIX_LISTENING ? SHOWN_LISTENING : 0, (uint32_t)u->sock.type, state,
                   (unsigned long)socket_ino(&u->sock));
        if (u->name.len > offsetof(struct sockaddr_un, sun_path)) {
            const struct sockaddr_un *name = (const struct sockaddr_un *)&u->name.storage;
            uint32_t len = u->name.len - (uint32_t)offsetof(struct sockaddr_un, sun_path);
            seq_puts(seq, " ");
            for (uint32_t i = 0; i < len; i++) {
                char c = name->sun_path[i];
                /* The NUL at a path's end is part of the length, not of the name. */
                if (i + 1 == len && name->sun_path[0])
                    break;
                seq_write(seq, c ? &c : "@", 1);
            }
        }
        seq_puts(seq, "\n");
    }
}
