/* Sockets: arguments in, results out. What a socket does is net/'s. */
#include <asm/signal.h>
#include <asm/socket.h>
#include <linux/fcntl.h>
#include <linux/uio.h>

#include "fs/fdtable.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/socket.h"
#include "syscall/table.h"
#include "task/task.h"
#include "time/clock.h"

#define CONTROL_MAX 20480u /* net.core.optmem_max */

/* ---- descriptors ---- */

/* The socket of a descriptor and its file, which is held until file_put(): 0, -EBADF, -ENOTSOCK. */
static int socket_get(long fd, struct file **file, struct socket **sock)
{
    *file = fget((int)fd);
    if (!*file)
        return -EBADF;
    *sock = socket_of(*file);
    if (*sock)
        return 0;
    file_put(*file);
    return -ENOTSOCK;
}

/* A new socket's file, or the socket is gone. */
static int file_of_new(struct socket *sock, int flags, struct file **file)
{
    int err = socket_file(sock, flags, file);

    if (err)
        sock->ops->release(sock);
    return err;
}

static int install(struct file *file, int flags)
{
    int fd = fd_install(file, 0, flags & SOCK_CLOEXEC);

    if (fd < 0)
        file_put(file);
    return fd;
}

static int check_type(long type)
{
    return type & ~(long)(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK) ? -EINVAL : 0;
}

long sys_socket(long family, long type, long protocol)
{
    struct socket *sock;
    struct file *file;
    int err = check_type((int)type);

    if (!err)
        err = socket_create((int)family, (int)type & SOCK_TYPE_MASK, (int)protocol, &sock);
    if (!err)
        err = file_of_new(sock, (int)type, &file);
    return err ? err : install(file, (int)type);
}

static int make_pair(int family, int type, int protocol, struct file *files[2])
{
    struct socket *a, *b;
    int err = socket_create(family, type & SOCK_TYPE_MASK, protocol, &a);

    if (err)
        return err;
    err = socket_create(family, type & SOCK_TYPE_MASK, protocol, &b);
    if (err)
        goto no_b;
    err = a->ops->pair ? a->ops->pair(a, b) : -EOPNOTSUPP;
    if (err)
        goto no_file;
    err = socket_file(a, type, &files[0]);
    if (err)
        goto no_file;
    err = file_of_new(b, type, &files[1]);
    if (err)
        file_put(files[0]); /* and a with it */
    return err;
no_file:
    b->ops->release(b);
no_b:
    a->ops->release(a);
    return err;
}

long sys_socketpair(long family, long type, long protocol, long to)
{
    struct file *files[2];
    int fds[2], err = check_type((int)type);

    if (!err)
        err = make_pair((int)family, (int)type, (int)protocol, files);
    if (err)
        return err;
    fds[0] = install(files[0], (int)type);
    if (fds[0] < 0) {
        file_put(files[1]);
        return fds[0];
    }
    fds[1] = install(files[1], (int)type);
    if (fds[1] < 0) {
        fd_close(fds[0]);
        return fds[1];
    }
    if (!copy_to_user((uaddr_t)to, fds, sizeof(fds)))
        return 0;
    fd_close(fds[0]);
    fd_close(fds[1]);
    return -EFAULT;
}

/* ---- addresses ---- */

static int address_in(struct socket_address *addr, uaddr_t from, long len)
{
    *addr = (struct socket_address){0};
    if ((int)len < 0 || (size_t)(int)len > sizeof(addr->storage))
        return -EINVAL;
    addr->len = (uint32_t)len;
    return copy_from_user(&addr->storage, from, addr->len);
}

/* As much as there is room for, and how long it is whole. */
static int address_out(const struct socket_address *addr, uaddr_t to, uaddr_t len)
{
    uint32_t room;

    if (get_user_u32(&room, len))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    if (copy_to_user(to, &addr->storage, MIN(MIN(room, addr->len), sizeof(addr->storage))))
        return -EFAULT;
    return put_user_u32(len, addr->len);
}

long sys_bind(long fd, long addr_from, long len)
{
    struct socket_address addr;
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    err = address_in(&addr, (uaddr_t)addr_from, len);
    if (!err)
        err = sock->ops->bind ? sock->ops->bind(sock, &addr) : -EOPNOTSUPP;
    file_put(file);
    return err;
}

long sys_connect(long fd, long addr_from, long len)
{
    struct socket_address addr;
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    err = address_in(&addr, (uaddr_t)addr_from, len);
    if (!err)
        err = sock->ops->connect ? sock->ops->connect(sock, &addr, socket_send_deadline(sock, 0)) : -EOPNOTSUPP;
    file_put(file);
    return err;
}

long sys_listen(long fd, long backlog)
{
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    backlog = MIN((uint32_t)backlog, SOMAXCONN);
    err = sock->ops->listen ? sock->ops->listen(sock, (int)backlog) : -EOPNOTSUPP;
    file_put(file);
    return err;
}

static int accept_one(struct socket *sock, int flags, uaddr_t addr_to, uaddr_t addr_len)
{
    struct socket_address addr = {0};
    struct socket *made;
    struct file *file;

    /* Without a descriptor for it, the connection stays where it is. */
    int err = fd_check_room();
    if (!err)
        err = sock->ops->accept ? sock->ops->accept(sock, socket_recv_deadline(sock, 0), &made) : -EOPNOTSUPP;
    if (!err)
        err = file_of_new(made, flags, &file);
    if (err)
        return err;
    if (addr_to) {
        err = made->ops->getname(made, true, &addr);
        if (err)
            err = -ECONNABORTED;
        else
            err = address_out(&addr, addr_to, addr_len);
        if (err) {
            file_put(file);
            return err;
        }
    }
    return install(file, flags);
}

long sys_accept4(long fd, long addr, long addr_len, long flags)
{
    struct socket *sock;
    struct file *file;

    if (flags & ~(long)(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    int err = socket_get(fd, &file, &sock);
    if (err)
        return err;
    err = accept_one(sock, (int)flags, (uaddr_t)addr, (uaddr_t)addr_len);
    file_put(file);
    return err;
}

long sys_accept(long fd, long addr, long addr_len)
{
    return sys_accept4(fd, addr, addr_len, 0);
}

static long name_out(long fd, uaddr_t to, uaddr_t len, bool peer)
{
    struct socket_address addr = {0};
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    err = sock->ops->getname ? sock->ops->getname(sock, peer, &addr) : -EOPNOTSUPP;
    if (!err)
        err = address_out(&addr, to, len);
    file_put(file);
    return err;
}

long sys_getsockname(long fd, long addr, long len)
{
    return name_out(fd, (uaddr_t)addr, (uaddr_t)len, false);
}

long sys_getpeername(long fd, long addr, long len)
{
    return name_out(fd, (uaddr_t)addr, (uaddr_t)len, true);
}

/* ---- data ---- */

static int64_t send(struct socket *sock, struct socket_message *msg)
{
    if (!sock->ops->sendmsg)
        return -EOPNOTSUPP;
    int64_t done = sock->ops->sendmsg(sock, msg, socket_send_deadline(sock, msg->flags));
    /* send(2): the signal is for streams. */
    if (done == -EPIPE && sock->type == SOCK_STREAM && !(msg->flags & MSG_NOSIGNAL))
        signal_send_task(current, SIGPIPE);
    return done;
}

static int64_t receive(struct socket *sock, struct socket_message *msg)
{
    if (!sock->ops->recvmsg)
        return -EOPNOTSUPP;
    return sock->ops->recvmsg(sock, msg, socket_recv_deadline(sock, msg->flags));
}

long sys_sendto(long fd, long buf, long len, long flags, long addr, long addr_len)
{
    struct socket_message msg = {.flags = (uint32_t)flags};
    struct socket *sock;
    struct file *file;
    long done = socket_get(fd, &file, &sock);

    if (done)
        return done;
    iov_iter_user(&msg.iter, (uaddr_t)buf, MIN((size_t)len, MAX_RW_COUNT));
    if (addr)
        done = address_in(&msg.name, (uaddr_t)addr, addr_len);
    if (!done)
        done = send(sock, &msg);
    file_put(file);
    return done;
}

long sys_recvfrom(long fd, long buf, long len, long flags, long addr, long addr_len)
{
    struct socket_message msg = {.flags = (uint32_t)flags};
    struct socket *sock;
    struct file *file;
    long done = socket_get(fd, &file, &sock);

    if (done)
        return done;
    iov_iter_user(&msg.iter, (uaddr_t)buf, MIN((size_t)len, MAX_RW_COUNT));
    done = receive(sock, &msg);
    if (done >= 0 && addr) {
        int err = address_out(&msg.name, (uaddr_t)addr, (uaddr_t)addr_len);
        if (err)
            done = err;
    }
    file_put(file);
    return done;
}

/* The ABI's struct user_msghdr; the last word is struct mmsghdr's. */
struct user_message {
    uaddr_t name;
    int32_t name_len;
    uint32_t pad;
    uaddr_t iov;
    uint64_t iov_len;
    uaddr_t control;
    uint64_t control_len;
    uint32_t flags, pad2;
};
#define MMSG_SIZE 64u
#define MMSG_LEN_AT 56u

/* What is read in of a message's header: its pieces. */
static int message_in(struct user_message *user, uaddr_t from, struct socket_message *msg, struct user_iovec **iov)
{
    if (copy_from_user(user, from, sizeof(*user)))
        return -EFAULT;
    if (user->name && user->name_len < 0)
        return -EINVAL;
    if (user->iov_len > UIO_MAXIOV)
        return -EMSGSIZE;
    *iov = iov_from_user(user->iov, user->iov_len);
    if (IS_ERR(*iov))
        return (int)PTR_ERR(*iov);
    iov_iter_vec(&msg->iter, *iov, user->iov_len);
    return 0;
}

static int control_in(const struct user_message *user, struct socket_message *msg)
{
    if (!user->control || user->control_len == 0)
        return 0;
    if (user->control_len > CONTROL_MAX)
        return -ENOBUFS;
    uint8_t *control = kmalloc(user->control_len);
    if (!control)
        return -ENOMEM;
    msg->control = control;
    msg->control_len = user->control_len;
    return copy_from_user(control, user->control, user->control_len);
}

static int64_t send_message(struct socket *sock, uaddr_t from, uint32_t flags)
{
    struct socket_message msg = {.flags = flags};
    struct user_message user;
    struct user_iovec *iov = NULL;
    int64_t done = message_in(&user, from, &msg, &iov);

    if (done)
        return done;
    if (user.name && user.name_len)
        done = address_in(&msg.name, user.name, MIN(user.name_len, (int)sizeof(msg.name.storage)));
    if (!done)
        done = control_in(&user, &msg);
    if (!done)
        done = send(sock, &msg);
    kfree((void *)msg.control);
    kfree(iov);
    return done;
}

static int64_t receive_message(struct socket *sock, uaddr_t to, uint32_t flags)
{
    struct socket_message msg = {.flags = flags, .out_flags = flags & MSG_CMSG_CLOEXEC};
    struct user_message user;
    struct user_iovec *iov = NULL;
    int64_t done = message_in(&user, to, &msg, &iov);

    if (done)
        return done;
    msg.control_to = user.control;
    msg.control_room = user.control ? user.control_len : 0;
    done = receive(sock, &msg);
    kfree(iov);
    if (done < 0)
        return done;
    if (user.name) {
        int err = address_out(&msg.name, user.name, to + offsetof(struct user_message, name_len));
        if (err)
            return err;
    }
    if (put_user_u32(to + offsetof(struct user_message, flags), msg.out_flags) ||
        put_user_u64(to + offsetof(struct user_message, control_len), msg.control_to - user.control))
        return -EFAULT;
    return done;
}

long sys_sendmsg(long fd, long message, long flags)
{
    struct socket *sock;
    struct file *file;
    long done = socket_get(fd, &file, &sock);

    if (done)
        return done;
    done = send_message(sock, (uaddr_t)message, (uint32_t)flags);
    file_put(file);
    return done;
}

long sys_recvmsg(long fd, long message, long flags)
{
    struct socket *sock;
    struct file *file;
    long done = socket_get(fd, &file, &sock);

    if (done)
        return done;
    done = receive_message(sock, (uaddr_t)message, (uint32_t)flags);
    file_put(file);
    return done;
}

long sys_sendmmsg(long fd, long vec, long count, long flags)
{
    struct socket *sock;
    struct file *file;
    long sent = 0, done = socket_get(fd, &file, &sock);

    if (done)
        return done;
    for (uint32_t n = 0; n < MIN((uint32_t)count, UIO_MAXIOV); n++) {
        uaddr_t at = (uaddr_t)vec + n * MMSG_SIZE;
        done = send_message(sock, at, (uint32_t)flags);
        if (done >= 0 && put_user_u32(at + MMSG_LEN_AT, (uint32_t)done))
            done = -EFAULT;
        if (done < 0)
            break;
        sent++;
        if (signal_pending())
            break;
    }
    file_put(file);
    return sent ? sent : done;
}

/* The time that recvmmsg may take, and what is left of it: NULL is none. */
static int timeout_in(uaddr_t from, int64_t *until)
{
    int64_t time[2]; /* struct timespec */

    if (!from)
        return 0;
    if (copy_from_user(time, from, sizeof(time)))
        return -EFAULT;
    if (time[0] < 0 || time[1] < 0 || time[1] >= NSEC_PER_SEC)
        return -EINVAL;
    *until = time[0] >= INT64_MAX / NSEC_PER_SEC - 1 ? WAIT_FOREVER : deadline_after(time[0] * NSEC_PER_SEC + time[1]);
    return 0;
}

static int timeout_out(uaddr_t to, int64_t until)
{
    int64_t left = until == WAIT_FOREVER ? 0 : MAX(until - clock_monotonic(), 0);
    int64_t time[2] = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};

    return to && until != WAIT_FOREVER ? copy_to_user(to, time, sizeof(time)) : 0;
}

/* The timeout is looked at after each message, as recvmmsg(2) says under BUGS. */
long sys_recvmmsg(long fd, long vec, long count, long flags_arg, long timeout)
{
    uint32_t flags = (uint32_t)flags_arg;
    int64_t until = WAIT_FOREVER;
    struct socket *sock;
    struct file *file;
    long got = 0, done = timeout_in((uaddr_t)timeout, &until);

    if (!done)
        done = socket_get(fd, &file, &sock);
    if (done)
        return done;
    done = socket_take_error(sock);
    for (uint32_t n = 0; !done && n < MIN((uint32_t)count, UIO_MAXIOV); n++) {
        uaddr_t at = (uaddr_t)vec + n * MMSG_SIZE;
        long len = receive_message(sock, at, flags & ~MSG_WAITFORONE);
        if (len >= 0 && put_user_u32(at + MMSG_LEN_AT, (uint32_t)len))
            len = -EFAULT;
        if (len < 0) {
            done = len;
            break;
        }
        got++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (until != WAIT_FOREVER && clock_monotonic() >= until)
            break;
        if (signal_pending())
            break;
    }
    /* What went wrong behind the first message is for the next call to tell. */
    if (got && done < 0 && done != -EAGAIN && done != -ERESTARTSYS && done != -EINTR)
        sock->error = (int)-done;
    file_put(file);
    if (got == 0)
        return done;
    return timeout_out((uaddr_t)timeout, until) ? -EFAULT : got;
}

/* ---- the rest ---- */

long sys_shutdown(long fd, long how)
{
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    if ((int)how < SHUT_RD || (int)how > SHUT_RDWR)
        err = -EINVAL;
    else
        err = sock->ops->shutdown ? sock->ops->shutdown(sock, (int)how) : -EOPNOTSUPP;
    file_put(file);
    return err;
}

long sys_getsockopt(long fd, long level, long name, long value, long len)
{
    struct socket *sock;
    struct file *file;
    int err = socket_get(fd, &file, &sock);

    if (err)
        return err;
    if ((int)level == SOL_SOCKET)
        err = socket_getsockopt(sock, (int)name, (uaddr_t)value, (uaddr_t)len);
    else
        err = sock->ops->getsockopt ? sock->ops->getsockopt(sock, (int)level, (int)name, (uaddr_t)value, (uaddr_t)len)
                                    : -EOPNOTSUPP;
    file_put(file);
    return err;
}

long sys_setsockopt(long fd, long level, long name, long value, long len)
{
    struct socket *sock;
    struct file *file;

    if ((int)len < 0)
        return -EINVAL;
    int err = socket_get(fd, &file, &sock);
    if (err)
        return err;
    if ((int)level == SOL_SOCKET)
        err = socket_setsockopt(sock, (int)name, (uaddr_t)value, (uint32_t)len);
    else
        err = sock->ops->setsockopt ? sock->ops->setsockopt(sock, (int)level, (int)name, (uaddr_t)value, (uint32_t)len)
                                    : -EOPNOTSUPP;
    file_put(file);
    return err;
}
