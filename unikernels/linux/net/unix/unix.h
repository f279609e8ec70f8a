/*
 * AF_UNIX: sockets between the guest's own processes. For the files of net/unix/
 * and /proc/net/unix.
 *
 * Every socket has a queue of packets received: of bytes for a stream, of
 * messages for datagrams and sequenced packets, of new connections for one that
 * listens. A packet is charged to its sender until it is consumed, and holds it:
 * so sockets are counted (`refs`), and may outlive their open file (`dead`).
 *
 * unix.c     life and death, readiness, names of the operations
 * address.c  names: in folders (by inode), and abstract ones
 * connect.c  listen, connect, accept, pairs
 * stream.c, packet.c  the data
 * scm.c      descriptors and credentials in messages
 * gc.c       descriptors that only unreachable sockets hold
 */
#ifndef LINUX_NET_UNIX_UNIX_H
#define LINUX_NET_UNIX_UNIX_H

#include "net/socket.h"

struct dentry;
struct file;
struct seq_file;

#define UNIX_QUEUE_MAX 10u /* net.unix.max_dgram_qlen: messages that may wait for a socket not connected back */

enum unix_state { UNIX_UNCONNECTED, UNIX_LISTENING, UNIX_CONNECTED };

#define UNIX_SHUT_RD 1u
#define UNIX_SHUT_WR 2u
#define UNIX_SHUT_BOTH 3u

struct ucred {
    uint32_t pid, uid, gid;
};

/* Open files on their way in a message. */
struct scm_files {
    struct list deferred; /* scm.c */
    uint32_t count;
    struct file *file[];
};
#define SCM_MAX_FD 253u

/* What a message carries beside its bytes. */
struct scm {
    bool has_creds;
    struct ucred creds;
    struct scm_files *files; /* NULL: none */
};

struct packet {
    struct list link;
    struct unix_sock *from;   /* a reference; charged with truesize */
    struct unix_sock *embryo; /* a new connection: its end that waits to be accepted, a reference */
    size_t truesize;
    size_t len, taken; /* bytes of data, and of those already read (streams) */
    struct scm scm;
    uint8_t data[];
};

struct unix_sock {
    struct socket sock;
    uint32_t refs;
    struct list all_link;
    enum unix_state state;
    bool dead; /* the file is closed */
    uint32_t shut; /* UNIX_SHUT_* of this end */

    struct socket_address name; /* len 0: unbound */
    struct dentry *path;        /* of a name in a folder */
    struct list bound_link;     /* address.c */

    struct unix_sock *peer; /* a reference; of datagrams: the default destination */
    struct list peer_link;  /* in peer->senders */
    struct list senders;    /* whose peer this one is */

    struct list queue; /* struct packet */
    size_t queue_len;
    size_t queue_max; /* the backlog, if it listens */
    size_t charged;   /* bytes of its packets that others have not read */

    struct ucred cred, peer_cred; /* of who listened or connected */
    bool has_peer_cred;

    struct list inflight_link; /* gc.c */
    size_t inflight;           /* messages that hold its file */
    struct list gc_link;
    size_t outside;
    bool garbage;
};

static inline struct unix_sock *unix_sock(struct socket *sock)
{
    return container_of(sock, struct unix_sock, sock);
}

/* unix.c */
struct unix_sock *unix_new(int type);
struct unix_sock *unix_get(struct unix_sock *u);
void unix_put(struct unix_sock *u); /* NULL is fine */
void unix_set_peer(struct unix_sock *u, struct unix_sock *peer); /* NULL: none */
/* The end of a socket whose file is closed, or that never had one. */
void unix_kill(struct unix_sock *u, bool never_accepted);
bool unix_queue_full(const struct unix_sock *u);
void unix_purge(struct unix_sock *u);
struct ucred ucred_of_current(void);
void unix_show_all(struct seq_file *seq);

/* Charged to `from`, of len bytes still to be filled in, with what scm has. -ENOMEM; scm stays the caller's then. */
struct packet *packet_new(struct unix_sock *from, size_t len, struct scm *scm);
void packet_queue(struct unix_sock *to, struct packet *packet);
/* Off its queue, if it is on one, and gone. */
void packet_free(struct packet *packet);
/* Waits until u may send `size` more: 0, -EPIPE, u's error, or as socket_wait. */
int unix_wait_for_room(struct unix_sock *u, int64_t deadline);

/* address.c */
int unix_bind(struct socket *sock, const struct socket_address *addr);
int unix_autobind(struct unix_sock *u);
int unix_getname(struct socket *sock, bool peer, struct socket_address *addr);
/* Who has that name: ERR_PTR(-EINVAL, -ECONNREFUSED, -EPROTOTYPE, what the path's walk says). With a reference. */
struct unix_sock *unix_find(const struct socket_address *addr, int type);
void unix_unbind(struct unix_sock *u);

/* connect.c */
int unix_listen(struct socket *sock, int backlog);
int unix_stream_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline);
int unix_dgram_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline);
int unix_accept(struct socket *sock, int64_t deadline, struct socket **made);
int unix_pair(struct socket *a, struct socket *b);

/* stream.c, packet.c */
int64_t unix_stream_send(struct socket *sock, struct socket_message *msg, int64_t deadline);
int64_t unix_stream_recv(struct socket *sock, struct socket_message *msg, int64_t deadline);
int64_t unix_dgram_send(struct socket *sock, struct socket_message *msg, int64_t deadline);
int64_t unix_dgram_recv(struct socket *sock, struct socket_message *msg, int64_t deadline);
int64_t unix_seqpacket_send(struct socket *sock, struct socket_message *msg, int64_t deadline);
int64_t unix_seqpacket_recv(struct socket *sock, struct socket_message *msg, int64_t deadline);
/* Sender and receiver are each other's only peer, or the receiver takes from anyone. */
bool unix_may_send(const struct unix_sock *u, const struct unix_sock *to);

/* scm.c */
/* From the sender's control messages: -EINVAL, -EBADF, -EPERM, -ETOOMANYREFS, -ENOMEM. */
int scm_from_message(const struct socket_message *msg, struct scm *scm);
/* Credentials, if one of the two asks for them and the message brought none. */
void scm_add_creds(struct scm *scm, const struct unix_sock *from, const struct unix_sock *to);
/* To the receiver; takes scm->files. */
int scm_to_message(struct unix_sock *u, struct socket_message *msg, struct scm *scm);
/* A second reference to all files, for MSG_PEEK. NULL: no memory. */
struct scm_files *scm_files_copy(const struct scm_files *files);
void scm_files_free(struct scm_files *files); /* NULL is fine */

/* gc.c */
/* The files begin and end their journey. */
void unix_inflight(const struct scm_files *files);
void unix_landed(const struct scm_files *files);
/* More are on their way than the user may have. */
bool unix_too_many_inflight(void);
/* Frees sockets that only their own messages hold. */
void unix_collect(void);

#endif
