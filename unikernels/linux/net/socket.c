/* The socket as an open file, and what waiting on one means. */
#include "net/socket.h"

#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "fs/vfs.h"
#include "lib/print.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define BUFFER_DEFAULT 212992 /* net.core.wmem_default, rmem_default */

void socket_init(struct socket *sock, const struct socket_ops *ops, int family, int type, int protocol)
{
    sock->ops = ops;
    sock->family = family;
    sock->type = type;
    sock->protocol = protocol;
    sock->sndbuf = sock->rcvbuf = BUFFER_DEFAULT;
    sock->rcvlowat = 1;
    sock->peek_off = -1;
    wait_queue_init(&sock->wait);
}

int socket_take_error(struct socket *sock)
{
    int err = -sock->error;

    sock->error = 0;
    return err;
}

/* ---- waiting ---- */

static int64_t deadline(const struct socket *sock, uint32_t flags, int64_t timeo_ns)
{
    if (flags & MSG_DONTWAIT || (sock->file && sock->file->f_flags & O_NONBLOCK))
        return DONT_WAIT;
    return timeo_ns ? deadline_after(timeo_ns) : WAIT_FOREVER;
}

int64_t socket_send_deadline(const struct socket *sock, uint32_t flags)
{
    return deadline(sock, flags, sock->sndtimeo_ns);
}

int64_t socket_recv_deadline(const struct socket *sock, uint32_t flags)
{
    return deadline(sock, flags, sock->rcvtimeo_ns);
}

int socket_wait_result(int64_t until, int err)
{
    if (err == -ETIMEDOUT)
        return -EAGAIN;
    /* signal(7): a socket with a timeout is never waited for again by itself, or the time would begin anew. */
    return err == -ERESTARTSYS && until != WAIT_FOREVER ? -EINTR : err;
}

/* ---- the file ---- */

static int64_t socket_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct socket *sock = kiocb->file->f_private;
    struct socket_message msg = {.iter = *to, .flags = kiocb->nonblock ? MSG_DONTWAIT : 0};

    if (!sock->ops->recvmsg)
        return -EOPNOTSUPP;
    if (to->count == 0)
        return 0; /* as Linux: not even an error is looked for */
    int64_t done = sock->ops->recvmsg(sock, &msg, socket_recv_deadline(sock, msg.flags));
    *to = msg.iter;
    return done;
}

static int64_t socket_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct socket *sock = kiocb->file->f_private;
    struct socket_message msg = {.iter = *from, .flags = kiocb->nonblock ? MSG_DONTWAIT : 0};

    if (!sock->ops->sendmsg)
        return -EOPNOTSUPP;
    if (sock->type == SOCK_SEQPACKET)
        msg.flags |= MSG_EOR;
    int64_t done = sock->ops->sendmsg(sock, &msg, socket_send_deadline(sock, msg.flags));
    *from = msg.iter;
    if (done == -EPIPE && sock->type == SOCK_STREAM)
        signal_send_task(current, SIGPIPE);
    return done;
}

static uint32_t socket_poll(struct file *file, struct poll_table *table)
{
    struct socket *sock = file->f_private;

    poll_wait(table, &sock->wait);
    return sock->ops->poll(sock);
}

static int64_t socket_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    struct socket *sock = file->f_private;

    int64_t done = sock->ops->ioctl ? sock->ops->ioctl(sock, cmd, arg) : -ENOTTY;

    return done == -ENOTTY ? socket_device_ioctl(cmd, arg) : done;
}

static void socket_release(struct file *file)
{
    struct socket *sock = file->f_private;

    sock->file = NULL;
    sock->ops->release(sock);
}

static const struct file_operations socket_operations = {
    .release = socket_release,
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
};

struct socket *socket_of(const struct file *file)
{
    return file->f_op == &socket_operations ? file->f_private : NULL;
}

uint64_t socket_ino(const struct socket *sock)
{
    return sock->file ? sock->file->f_inode->i_ino : 0;
}

static void socket_evict(struct inode *inode)
{
    kfree(inode);
}

/* fchmod and fchown of a socket change what fstat tells, and nothing else. */
static int socket_setattr(struct inode *inode, const struct iattr *attr)
{
    inode_apply(inode, attr);
    return 0;
}

static const struct inode_operations socket_inode_operations = {.evict = socket_evict, .setattr = socket_setattr};
static struct super_block socket_sb = {.s_type = "sockfs", .s_magic = SOCKFS_MAGIC, .s_dev = 12, .s_flags = SB_NOCACHE};

int socket_file(struct socket *sock, int flags, struct file **made)
{
    static uint64_t next_ino = 5000;
    struct inode *inode = kzalloc(sizeof(*inode));
    char name[32];

    if (!inode)
        return -ENOMEM;
    inode_init(inode, &socket_sb, S_IFSOCK | 0777);
    inode->i_op = &socket_inode_operations;
    inode->i_ino = next_ino++;
    inode->i_uid = current->cred->fsuid;
    inode->i_gid = current->cred->fsgid;
    snprintf(name, sizeof(name), "socket:[%llu]", (unsigned long long)inode->i_ino);
    int err = anon_file(name, inode, &socket_operations, sock, O_RDWR | (flags & O_NONBLOCK), made);
    if (!err)
        sock->file = *made;
    return err;
}
