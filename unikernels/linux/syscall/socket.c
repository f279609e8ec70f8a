/* Sockets: pairs alone. There is no network, so no address family that socket(2) could open. */
#include <asm/socket.h>
#include <linux/fcntl.h>

#include "fs/fdtable.h"
#include "fs/socketpair.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/msg_flags.h"
#include "syscall/table.h"
#include "task/task.h"

#define SOCK_FLAGS (O_CLOEXEC | O_NONBLOCK)
#define BUFFER_SIZE_SHOWN 212992u

long sys_socket(long family, long type, long protocol)
{
    (void)family;
    (void)type;
    (void)protocol;
    return -EAFNOSUPPORT;
}

static int install_pair(struct file *pair[2], bool cloexec, int fds[2])
{
    fds[0] = fd_install(pair[0], 0, cloexec);
    if (fds[0] < 0) {
        file_put(pair[0]);
        file_put(pair[1]);
        return fds[0];
    }
    fds[1] = fd_install(pair[1], 0, cloexec);
    if (fds[1] < 0) {
        file_put(pair[1]);
        fd_close(fds[0]);
        return fds[1];
    }
    return 0;
}

long sys_socketpair(long family, long type, long protocol, long to)
{
    struct file *pair[2];
    int fds[2];

    if (family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (type & ~(long)(SOCK_TYPE_MASK | SOCK_FLAGS))
        return -EINVAL;
    if ((type & SOCK_TYPE_MASK) != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    int err = socketpair_new((int)type, pair);
    if (!err)
        err = install_pair(pair, type & O_CLOEXEC, fds);
    if (!err && copy_to_user((uaddr_t)to, fds, sizeof(fds))) {
        fd_close(fds[0]);
        fd_close(fds[1]);
        err = -EFAULT;
    }
    return err;
}

/* The socket of a descriptor: ERR_PTR(-EBADF, -ENOTSOCK). */
static struct file *socket_get(long fd)
{
    struct file *file = fget((int)fd);

    if (!file)
        return ERR_PTR(-EBADF);
    if (is_socketpair(file))
        return file;
    file_put(file);
    return ERR_PTR(-ENOTSOCK);
}

long sys_recvfrom(long fd, long buf, long len, long flags, long addr, long addr_len)
{
    struct iov_iter to;
    struct file *file = socket_get(fd);

    if (IS_ERR(file))
        return PTR_ERR(file);
    iov_iter_user(&to, (uaddr_t)buf, MIN((size_t)len, MAX_RW_COUNT));
    long done = socketpair_recv(file, &to, (int)flags);
    if (done >= 0 && addr && addr_len && put_user_u32((uaddr_t)addr_len, 0))
        done = -EFAULT;
    file_put(file);
    return done;
}

long sys_sendto(long fd, long buf, long len, long flags, long addr, long addr_len)
{
    struct iov_iter from;
    struct file *file = socket_get(fd);

    (void)addr_len;
    if (IS_ERR(file))
        return PTR_ERR(file);
    iov_iter_user(&from, (uaddr_t)buf, MIN((size_t)len, MAX_RW_COUNT));
    long done = addr ? -EISCONN : socketpair_send(file, &from, (int)flags);
    file_put(file);
    return done;
}

/* The ABI's struct user_msghdr. */
struct message {
    uaddr_t name;
    int32_t name_len, pad;
    uaddr_t iov;
    uint64_t iov_len;
    uaddr_t control;
    uint64_t control_len;
    uint32_t flags, pad2;
};

static long transfer_message(long fd, long addr, long flags, bool send)
{
    struct message message;
    struct iov_iter it;

    if (copy_from_user(&message, (uaddr_t)addr, sizeof(message)))
        return -EFAULT;
    struct file *file = socket_get(fd);
    if (IS_ERR(file))
        return PTR_ERR(file);
    struct user_iovec *iov = iov_from_user(message.iov, message.iov_len);
    long done = IS_ERR(iov) ? PTR_ERR(iov) : 0;
    if (!done && send && message.control_len > 0)
        done = -EINVAL; /* descriptors and credentials are not passed yet */
    if (!done) {
        iov_iter_vec(&it, iov, message.iov_len);
        done = send ? socketpair_send(file, &it, (int)flags) : socketpair_recv(file, &it, (int)flags);
    }
    if (!IS_ERR(iov))
        kfree(iov);
    file_put(file);
    if (done >= 0 && !send) {
        message.name_len = 0;
        message.control_len = 0;
        message.flags = 0;
        if (copy_to_user((uaddr_t)addr, &message, sizeof(message)))
            return -EFAULT;
    }
    return done;
}

long sys_sendmsg(long fd, long message, long flags)
{
    return transfer_message(fd, message, flags, true);
}

long sys_recvmsg(long fd, long message, long flags)
{
    return transfer_message(fd, message, flags, false);
}

long sys_shutdown(long fd, long how)
{
    struct file *file = socket_get(fd);

    if (IS_ERR(file))
        return PTR_ERR(file);
    long err = how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : socketpair_shutdown(file, how != SHUT_WR, how != SHUT_RD);
    file_put(file);
    return err;
}

/* Both ends are without a name: an address that is its family alone. */
static long unnamed(long fd, long addr, long addr_len)
{
    uint16_t family = AF_UNIX;
    uint32_t room;
    struct file *file = socket_get(fd);

    if (IS_ERR(file))
        return PTR_ERR(file);
    file_put(file);
    if (get_user_u32(&room, (uaddr_t)addr_len))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    if (copy_to_user((uaddr_t)addr, &family, MIN(room, sizeof(family))))
        return -EFAULT;
    return put_user_u32((uaddr_t)addr_len, sizeof(family));
}

long sys_getsockname(long fd, long addr, long addr_len)
{
    return unnamed(fd, addr, addr_len);
}

long sys_getpeername(long fd, long addr, long addr_len)
{
    return unnamed(fd, addr, addr_len);
}

long sys_getsockopt(long fd, long level, long name, long value, long value_len)
{
    struct {
        uint32_t pid, uid, gid;
    } peer = {(uint32_t)current->process->pid, current->cred->euid, current->cred->egid};
    uint32_t number = 0, room, size = sizeof(number);
    struct file *file = socket_get(fd);

    if (IS_ERR(file))
        return PTR_ERR(file);
    file_put(file);
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case SO_TYPE:
        number = SOCK_STREAM;
        break;
    case SO_DOMAIN:
        number = AF_UNIX;
        break;
    case SO_SNDBUF:
    case SO_RCVBUF:
        number = BUFFER_SIZE_SHOWN;
        break;
    case SO_PROTOCOL:
    case SO_ERROR:
    case SO_ACCEPTCONN:
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
    case SO_PASSCRED:
        break;
    case SO_PEERCRED:
        size = sizeof(peer);
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (get_user_u32(&room, (uaddr_t)value_len))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    size = MIN(size, room);
    if (copy_to_user((uaddr_t)value, name == SO_PEERCRED ? (const void *)&peer : &number, size))
        return -EFAULT;
    return put_user_u32((uaddr_t)value_len, size);
}

/* Sizes of buffers and the like: none of it changes what a pair does. */
long sys_setsockopt(long fd, long level, long name, long value, long value_len)
{
    struct file *file = socket_get(fd);

    (void)name;
    (void)value;
    if (IS_ERR(file))
        return PTR_ERR(file);
    file_put(file);
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    return (int)value_len < (int)sizeof(int) ? -EINVAL : 0;
}

/* A pair is connected and has no name: what makes or takes connections is refused. */
static long refuse(long fd, long err)
{
    struct file *file = socket_get(fd);

    if (IS_ERR(file))
        return PTR_ERR(file);
    file_put(file);
    return err;
}

long sys_bind(long fd, long addr, long len)
{
    (void)addr;
    (void)len;
    return refuse(fd, -EINVAL);
}

long sys_connect(long fd, long addr, long len)
{
    (void)addr;
    (void)len;
    return refuse(fd, -EISCONN);
}

long sys_listen(long fd, long backlog)
{
    (void)backlog;
    return refuse(fd, -EINVAL);
}

long sys_accept(long fd, long addr, long len)
{
    (void)addr;
    (void)len;
    return refuse(fd, -EINVAL);
}

long sys_accept4(long fd, long addr, long len, long flags)
{
    (void)flags;
    return sys_accept(fd, addr, len);
}
