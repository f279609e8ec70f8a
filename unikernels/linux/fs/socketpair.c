#include "fs/socketpair.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "lib/print.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "mm/uaccess.h"
#include "syscall/msg_flags.h"
#include "task/task.h"

#define RING_PAGES 32u /* 128 KiB for each direction */
#define RING_SIZE (RING_PAGES * PAGE_SIZE)

/* One end: what it has received and not read. */
struct end {
    struct end *peer; /* NULL once that is closed */
    char *ring;       /* NULL until something came */
    size_t head, len;
    bool no_read, no_write; /* shutdown(2) */
    struct wait_queue wait;
};

static struct end *end_of(const struct file *file)
{
    return file->f_private;
}

static bool finished(const struct end *e)
{
    return !e->peer || e->peer->no_write || e->no_read;
}

int64_t socketpair_recv(struct file *file, struct iov_iter *to, int flags)
{
    struct end *e = end_of(file);
    bool nonblock = file->f_flags & O_NONBLOCK || flags & MSG_DONTWAIT;
    int64_t done = 0;

    while (to->count > 0) {
        if (e->len == 0) {
            if (done > 0 && !(flags & MSG_WAITALL))
                break;
            if (finished(e))
                break;
            if (nonblock)
                return done ? done : -EAGAIN;
            int err = wait_event(&e->wait, e->len > 0 || finished(e));
            if (err)
                return done ? done : err;
            continue;
        }
        size_t part = MIN(MIN(e->len, to->count), RING_SIZE - e->head);
        ssize_t copied = copy_to_iter(to, e->ring + e->head, part);
        if (copied <= 0)
            return done ? done : copied;
        done += copied;
        if (flags & MSG_PEEK)
            break; /* one piece is enough to look at */
        e->head = (e->head + (size_t)copied) % RING_SIZE;
        e->len -= (size_t)copied;
        if (e->peer)
            wake_up_events(&e->peer->wait, EPOLLOUT | EPOLLWRNORM);
    }
    return done;
}

static int64_t send_piece(struct end *to, struct iov_iter *from)
{
    if (!to->ring) {
        to->ring = page_alloc(RING_PAGES);
        if (!to->ring)
            return -ENOBUFS;
    }
    size_t tail = (to->head + to->len) % RING_SIZE;
    size_t part = MIN(MIN(RING_SIZE - to->len, from->count), RING_SIZE - tail);
    ssize_t copied = copy_from_iter(from, to->ring + tail, part);
    if (copied > 0) {
        to->len += (size_t)copied;
        wake_up_events(&to->wait, EPOLLIN | EPOLLRDNORM);
    }
    return copied;
}

static bool may_send(const struct end *e)
{
    return e->peer && !e->no_write && !e->peer->no_read;
}

int64_t socketpair_send(struct file *file, struct iov_iter *from, int flags)
{
    struct end *e = end_of(file);
    bool nonblock = file->f_flags & O_NONBLOCK || flags & MSG_DONTWAIT;
    int64_t done = 0;

    while (from->count > 0 || done == 0) {
        if (!may_send(e)) {
            if (done > 0)
                return done;
            if (!(flags & MSG_NOSIGNAL))
                signal_send_task(current, SIGPIPE);
            return -EPIPE;
        }
        if (from->count == 0)
            break;
        if (e->peer->len == RING_SIZE) {
            if (nonblock)
                return done ? done : -EAGAIN;
            int err = wait_event(&e->wait, !may_send(e) || e->peer->len < RING_SIZE);
            if (err)
                return done ? done : err;
            continue;
        }
        int64_t put = send_piece(e->peer, from);
        if (put <= 0)
            return done ? done : put;
        done += put;
    }
    return done;
}

int socketpair_shutdown(struct file *file, bool read, bool write)
{
    struct end *e = end_of(file);

    e->no_read |= read;
    e->no_write |= write;
    wake_up(&e->wait);
    if (e->peer)
        wake_up(&e->peer->wait);
    return 0;
}

static int64_t socket_read(struct kiocb *kiocb, struct iov_iter *to)
{
    return socketpair_recv(kiocb->file, to, kiocb->nonblock ? MSG_DONTWAIT : 0);
}

static int64_t socket_write(struct kiocb *kiocb, struct iov_iter *from)
{
    return socketpair_send(kiocb->file, from, kiocb->nonblock ? MSG_DONTWAIT : 0);
}

static uint32_t socket_poll(struct file *file, struct poll_table *table)
{
    struct end *e = end_of(file);
    uint32_t events = 0;

    poll_wait(table, &e->wait);
    if (e->len > 0 || finished(e))
        events |= EPOLLIN | EPOLLRDNORM;
    if (finished(e))
        events |= EPOLLRDHUP;
    if (!e->peer || (finished(e) && e->no_write))
        events |= EPOLLHUP;
    if (!e->peer || e->peer->len < RING_SIZE)
        events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    return events;
}

static int64_t socket_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    return cmd == FIONREAD ? put_user_u32(arg, (uint32_t)end_of(file)->len) : -ENOTTY;
}

static void end_free(struct end *e)
{
    if (e && e->ring)
        page_free(e->ring, RING_PAGES);
    kfree(e);
}

static void socket_release(struct file *file)
{
    struct end *e = end_of(file);

    if (e->peer) {
        e->peer->peer = NULL;
        wake_up(&e->peer->wait);
    }
    end_free(e);
}

static const struct file_operations socketpair_operations = {
    .release = socket_release,
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
};

bool is_socketpair(const struct file *file)
{
    return file->f_op == &socketpair_operations;
}

static void socket_evict(struct inode *inode)
{
    kfree(inode);
}

static const struct inode_operations socket_inode_operations = {.evict = socket_evict};
static struct super_block socket_sb = {.s_type = "sockfs", .s_dev = 12, .s_flags = SB_NOCACHE};

static int make_end(struct end *e, int flags, struct file **made)
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
    return anon_file(name, inode, &socketpair_operations, e, O_RDWR | (flags & O_NONBLOCK), made);
}

int socketpair_new(int flags, struct file *pair[2])
{
    struct end *a = kzalloc(sizeof(*a)), *b = kzalloc(sizeof(*b));
    int err = -ENOMEM;

    if (!a || !b)
        goto fail;
    wait_queue_init(&a->wait);
    wait_queue_init(&b->wait);
    err = make_end(a, flags, &pair[0]);
    if (err)
        goto fail;
    err = make_end(b, flags, &pair[1]);
    if (err) {
        file_put(pair[0]); /* and a with it */
        kfree(b);
        return err;
    }
    a->peer = b;
    b->peer = a;
    return 0;
fail:
    kfree(a);
    kfree(b);
    return err;
}
