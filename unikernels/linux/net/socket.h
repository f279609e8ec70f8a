/*
 * Sockets: what all address families share.
 *
 *   syscall/socket.c   decodes arguments, copies addresses and messages
 *   net/socket.c       the socket as an open file; making one; waiting
 *   net/sockopt.c      the options of SOL_SOCKET
 *   net/cmsg.c         control messages, in and out
 *   net/family.c       the table of address families
 *   net/unix/, …       one folder per family: its socket_ops
 *
 * A family puts struct socket into a structure of its own (container_of), makes
 * it in socket_family.create and frees it after socket_ops.release. The socket
 * belongs to one open file; a call holds that file, so a socket cannot be
 * released while a call on it sleeps.
 *
 * Waiting: every change of readiness wakes socket->wait, with the EPOLL* bits of
 * what happened. A call that may wait is given a deadline (DONT_WAIT, a time of
 * CLOCK_MONOTONIC or WAIT_FOREVER), made from O_NONBLOCK, MSG_DONTWAIT and
 * SO_RCVTIMEO or SO_SNDTIMEO, and sleeps by socket_wait() alone.
 *
 * Functions return 0 or a count, or a negative errno.
 */
#ifndef LINUX_NET_SOCKET_H
#define LINUX_NET_SOCKET_H

#include <linux/socket.h>

#include "fs/uio.h"
#include "lib/list.h"
#include "lib/types.h"
#include "net/constants.h"
#include "task/task.h"

struct file;
struct inode;
struct socket;

/* An address as it was given or is to be given. len 0: none. Bytes behind len are zero. */
struct socket_address {
    uint32_t len;
    struct __kernel_sockaddr_storage storage;
};

/* ---- messages ---- */

/*
 * One message on its way in or out. Sending: flags, name and the control
 * messages are the caller's. Receiving: flags are MSG_* of the call; name,
 * out_flags and control are filled in.
 */
struct socket_message {
    struct iov_iter iter;
    struct socket_address name;
    uint32_t flags;     /* MSG_*; MSG_DONTWAIT is in the deadline already */
    uint32_t out_flags; /* MSG_TRUNC, MSG_CTRUNC, MSG_EOR */
    /* Sending: a copy in kernel memory, whole headers, walked by cmsg_next(). */
    const uint8_t *control;
    size_t control_len;
    /* Receiving: where cmsg_put() goes on in the program's buffer, and the room left there. */
    uaddr_t control_to;
    size_t control_room;
};

/* A control message in kernel memory. */
struct cmsg {
    int level, type;
    const uint8_t *data;
    size_t len; /* of data */
};

/* Moves *at (0 at first) to the next one: 1, 0 at the end, -EINVAL if a length is wrong. */
int cmsg_next(const struct socket_message *msg, size_t *at, struct cmsg *cmsg);
/*
 * Adds one for the receiver. What does not fit whole is cut and MSG_CTRUNC set, as put_cmsg() of
 * Linux; a receiver without any room gets MSG_CTRUNC alone. -EFAULT.
 */
int cmsg_put(struct socket_message *msg, int level, int type, const void *data, size_t len);

/* ---- sockets ---- */

/*
 * What a family can do with its sockets. A NULL entry is EOPNOTSUPP, but for
 * those that say otherwise.
 */
struct socket_ops {
    int (*bind)(struct socket *sock, const struct socket_address *addr);
    int (*connect)(struct socket *sock, const struct socket_address *addr, int64_t deadline);
    int (*listen)(struct socket *sock, int backlog);
    /* A socket that is connected, without a file yet, made as by create. */
    int (*accept)(struct socket *sock, int64_t deadline, struct socket **made);
    int (*pair)(struct socket *a, struct socket *b);
    int (*getname)(struct socket *sock, bool peer, struct socket_address *addr);
    /* Bytes taken; never sends SIGPIPE itself: -EPIPE, and the caller does unless MSG_NOSIGNAL. */
    int64_t (*sendmsg)(struct socket *sock, struct socket_message *msg, int64_t deadline);
    int64_t (*recvmsg)(struct socket *sock, struct socket_message *msg, int64_t deadline);
    int (*shutdown)(struct socket *sock, int how); /* SHUT_* */
    /*
     * Options of other levels than SOL_SOCKET; NULL: ENOPROTOOPT. They copy from and to the
     * program themselves: see sockopt_get_int() and sockopt_put().
     */
    int (*setsockopt)(struct socket *sock, int level, int name, uaddr_t value, uint32_t len);
    int (*getsockopt)(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len);
    /* An option of SOL_SOCKET (SO_*) has a new value in *sock. NULL: the family does not mind. */
    void (*option_changed)(struct socket *sock, int name);
    /* For SO_PEERCRED: pid, uid, gid as the peer had them. NULL: pid 0, uid and gid -1. */
    void (*peercred)(struct socket *sock, uint32_t ids[3]);
    /* Readiness now, EPOLL* bits. The caller has waited on sock->wait. Never NULL. */
    uint32_t (*poll)(struct socket *sock);
    int64_t (*ioctl)(struct socket *sock, uint32_t cmd, uint64_t arg); /* NULL: ENOTTY */
    /* The last descriptor is closed: ends it and frees the structure, now or once nobody needs it. Never NULL. */
    void (*release)(struct socket *sock);
};

struct socket {
    const struct socket_ops *ops;
    struct file *file; /* no reference; NULL until it has one */
    int family, type, protocol;
    struct wait_queue wait;
    bool listening; /* SO_ACCEPTCONN */
    int error;      /* positive errno for SO_ERROR and the next call; see socket_take_error() */

    /* Options of SOL_SOCKET. */
    int sndbuf, rcvbuf; /* bytes, as getsockopt shows them: twice what was asked for */
    int64_t sndtimeo_ns, rcvtimeo_ns; /* 0: none */
    int rcvlowat, priority, mark, linger_seconds;
    bool linger;
    bool reuseaddr, reuseport, keepalive, broadcast, oobinline, dontroute, debug;
    bool passcred, passsec;
    bool timestamp, timestamp_ns;
    int peek_off; /* -1: off */
};

/* Fills in what create of a family has in common: the defaults of all options. */
void socket_init(struct socket *sock, const struct socket_ops *ops, int family, int type, int protocol);

/* The open file of a new socket, which belongs to it from then on. On failure the socket stays the caller's. */
int socket_file(struct socket *sock, int flags, struct file **made);
/* The socket of an open file; NULL: it is none. */
struct socket *socket_of(const struct file *file);
/* The inode number that /proc/PID/fd and /proc/net show; 0 without a file. */
uint64_t socket_ino(const struct socket *sock);

/* What sockets of all families can be asked about interfaces (SIOCGIF*): net/inet/ioctl.c. ENOTTY. */
int64_t socket_device_ioctl(uint32_t cmd, uint64_t arg);

/* What SO_ERROR has to say, as a negative errno or 0; it is said once. */
int socket_take_error(struct socket *sock);

/* ---- waiting ---- */

#define DONT_WAIT 0ll

/* For sends (and connect) and receives (and accept) of this socket, given MSG_* flags. */
int64_t socket_send_deadline(const struct socket *sock, uint32_t flags);
int64_t socket_recv_deadline(const struct socket *sock, uint32_t flags);
/* What a wait's end means to the caller: -EAGAIN when time is over, -EINTR where a timeout forbids restarting. */
int socket_wait_result(int64_t deadline, int err);

/* Sleeps on the socket until condition holds: 0, -EAGAIN, -EINTR or -ERESTARTSYS. */
#define socket_wait(sock, condition, deadline)                                                              \
    ({                                                                                                      \
        int64_t until_ = (deadline);                                                                        \
        (condition) ? 0                                                                                     \
        : until_ == DONT_WAIT                                                                               \
            ? -EAGAIN                                                                                       \
            : socket_wait_result(until_, wait_event_deadline(&(sock)->wait, condition, until_));            \
    })

static inline void socket_wake(struct socket *sock, uint32_t events)
{
    wake_up_events(&sock->wait, events);
}

/* ---- options ---- */

int socket_setsockopt(struct socket *sock, int name, uaddr_t value, uint32_t len);
int socket_getsockopt(struct socket *sock, int name, uaddr_t value, uaddr_t len);
/* For options that are an int: -EINVAL if len is too small, -EFAULT. */
int sockopt_get_int(uaddr_t value, uint32_t len, int *number);
/* Gives as much of data as the program has room for, and its length: -EINVAL, -EFAULT. */
int sockopt_put(uaddr_t value, uaddr_t len, const void *data, uint32_t size);
int sockopt_put_int(uaddr_t value, uaddr_t len, int number);

/* ---- families ---- */

struct socket_family {
    int family; /* AF_* */
    /* EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM, ENOMEM. */
    int (*create)(int type, int protocol, struct socket **made);
};

/* A family's entry in the table of family.c. */
extern const struct socket_family unix_family; /* net/unix/ */
extern const struct socket_family inet_family, inet6_family, netlink_family, packet_family; /* net/inet/ */

/* By the table: -EAFNOSUPPORT, -EINVAL for a type that does not exist. */
int socket_create(int family, int type, int protocol, struct socket **made);

#endif
