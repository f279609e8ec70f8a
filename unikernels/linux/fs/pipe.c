/*
 * Pipes and fifos: a ring of bytes between those who write and those who read.
 *
 * Writes of at most PIPE_BUF bytes are whole or not at all; larger ones may be
 * mixed with others' wherever they have to wait (pipe(7)).
 */
#include "fs/pipe.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "fs/seq_file.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define DEFAULT_SIZE 65536u
#define SIZE_MAX_USER (1u << 20) /* fs.pipe-max-size: more takes CAP_SYS_RESOURCE */
#define SIZE_MAX_ANY (PAGE_ALLOC_MAX * PAGE_SIZE)

struct pipe {
    char *buf; /* NULL until something is written */
    size_t size, head, len;
    size_t reserved; /* see pipe.h */
    uint32_t files, readers, writers;
    uint32_t readers_ever, writers_ever; /* for the opens of a fifo that wait for each other */
    struct wait_queue read_wait, write_wait;
};

static struct pipe *pipe_alloc(void)
{
    struct pipe *pipe = kzalloc(sizeof(*pipe));

    if (!pipe)
        return NULL;
    pipe->size = DEFAULT_SIZE;
    wait_queue_init(&pipe->read_wait);
    wait_queue_init(&pipe->write_wait);
    return pipe;
}

static struct pipe *pipe_of(const struct file *file)
{
    return file->f_inode->i_pipe;
}

static size_t space(const struct pipe *pipe)
{
    return pipe->size - pipe->len - pipe->reserved;
}

static bool has_ring(struct pipe *pipe)
{
    if (!pipe->buf)
        pipe->buf = page_alloc(pipe->size >> PAGE_SHIFT);
    return pipe->buf;
}

/* Copies `n` bytes between the ring at `at` (counted from its start) and memory. */
static ssize_t ring_copy(struct pipe *pipe, size_t at, size_t n, struct iov_iter *it, bool out)
{
    size_t done = 0;

    while (done < n) {
        size_t offset = (at + done) % pipe->size;
        size_t part = MIN(n - done, pipe->size - offset);
        ssize_t copied = out ? copy_to_iter(it, pipe->buf + offset, part) : copy_from_iter(it, pipe->buf + offset, part);
        if (copied <= 0)
            return done ? (ssize_t)done : copied;
        done += (size_t)copied;
        if ((size_t)copied < part)
            break;
    }
    return (ssize_t)done;
}

static int64_t pipe_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct pipe *pipe = pipe_of(kiocb->file);

    if (to->count == 0)
        return 0;
    while (pipe->len == 0) {
        if (pipe->writers == 0)
            return 0;
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&pipe->read_wait, pipe->len > 0 || pipe->writers == 0);
        if (err)
            return err;
    }
    ssize_t done = ring_copy(pipe, pipe->head, MIN(pipe->len, to->count), to, true);
    if (done <= 0)
        return done;
    pipe->head = (pipe->head + (size_t)done) % pipe->size;
    pipe->len -= (size_t)done;
    wake_up_events(&pipe->write_wait, EPOLLOUT | EPOLLWRNORM);
    return done;
}

static int broken(void)
{
    signal_send_task(current, SIGPIPE);
    return -EPIPE;
}

static int64_t pipe_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct pipe *pipe = pipe_of(kiocb->file);
    size_t atomic = from->count <= PIPE_BUF ? from->count : 1;
    int64_t done = 0;

    while (from->count > 0) {
        if (pipe->readers == 0)
            return done ? done : broken();
        if (!has_ring(pipe))
            return -ENOMEM;
        if (space(pipe) < atomic) {
            if (kiocb->nonblock)
                return done ? done : -EAGAIN;
            int err = wait_event(&pipe->write_wait, space(pipe) >= atomic || pipe->readers == 0);
            if (err)
                return done ? done : err;
            continue;
        }
        ssize_t put = ring_copy(pipe, pipe->head + pipe->len, MIN(space(pipe), from->count), from, false);
        if (put <= 0)
            return done ? done : put;
        pipe->len += (size_t)put;
        done += put;
        wake_up_events(&pipe->read_wait, EPOLLIN | EPOLLRDNORM);
    }
    return done;
}

static uint32_t pipe_poll(struct file *file, struct poll_table *table)
{
    struct pipe *pipe = pipe_of(file);
    uint32_t events = 0;

    poll_wait(table, &pipe->read_wait);
    poll_wait(table, &pipe->write_wait);
    if (file->f_read) {
        if (pipe->len > 0)
            events |= EPOLLIN | EPOLLRDNORM;
        /* A reader that came before any writer waits for one and has lost none. */
        if (pipe->writers == 0 && pipe->writers_ever > 0)
            events |= EPOLLHUP;
    }
    if (file->f_write) {
        if (space(pipe) >= PIPE_BUF)
            events |= EPOLLOUT | EPOLLWRNORM;
        if (pipe->readers == 0)
            events |= EPOLLERR;
    }
    return events;
}

static int64_t pipe_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    if (cmd == FIONREAD)
        return put_user_u32(arg, (uint32_t)pipe_of(file)->len);
    return -ENOTTY;
}

static void pipe_release(struct file *file)
{
    struct pipe *pipe = pipe_of(file);

    pipe->readers -= file->f_read;
    pipe->writers -= file->f_write;
    if (--pipe->files == 0) {
        file->f_inode->i_pipe = NULL;
        if (pipe->buf)
            page_free(pipe->buf, pipe->size >> PAGE_SHIFT);
        kfree(pipe);
        return;
    }
    if (file->f_write && pipe->writers == 0)
        wake_up_events(&pipe->read_wait, EPOLLIN | EPOLLHUP);
    if (file->f_read && pipe->readers == 0)
        wake_up_events(&pipe->write_wait, EPOLLOUT | EPOLLERR);
}

static void attach(struct pipe *pipe, const struct file *file)
{
    pipe->files++;
    pipe->readers += file->f_read;
    pipe->readers_ever += file->f_read;
    pipe->writers += file->f_write;
    pipe->writers_ever += file->f_write;
    if (file->f_read)
        wake_up(&pipe->write_wait);
    if (file->f_write)
        wake_up(&pipe->read_wait);
}

/* fifo(7): each side waits for the other, unless it is both or O_NONBLOCK. */
static struct super_block pipe_sb = {.s_type = "pipefs", .s_magic = PIPEFS_MAGIC, .s_dev = 14, .s_flags = SB_NOCACHE};

static int fifo_open(struct inode *inode, struct file *file)
{
    if (!inode->i_pipe)
        inode->i_pipe = pipe_alloc();
    struct pipe *pipe = inode->i_pipe;
    if (!pipe)
        return -ENOMEM;
    /* A pipe opened again through /proc/PID/fd waits for nobody: its other end has been there. */
    bool named = inode->i_sb != &pipe_sb, nonblock = file->f_flags & O_NONBLOCK || !named;
    int err = 0;
    if (named && nonblock && file->f_write && !file->f_read && pipe->readers == 0)
        err = -ENXIO;
    if (!err)
        attach(pipe, file);
    if (!err && !nonblock && file->f_read && !file->f_write && pipe->writers == 0) {
        uint32_t before = pipe->writers_ever;
        err = wait_event(&pipe->read_wait, pipe->writers_ever != before);
    } else if (!err && !nonblock && file->f_write && !file->f_read && pipe->readers == 0) {
        uint32_t before = pipe->readers_ever;
        err = wait_event(&pipe->write_wait, pipe->readers_ever != before);
    } else if (err && pipe->files == 0) {
        inode->i_pipe = NULL;
        kfree(pipe);
        return err;
    }
    if (err && err != -ENXIO)
        pipe_release(file);
    return err;
}

const struct file_operations fifo_operations = {
    .open = fifo_open,
    .release = pipe_release,
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
};

static void pipe_evict(struct inode *inode)
{
    kfree(inode);
}

static const struct inode_operations pipe_inode_operations = {.evict = pipe_evict};

int pipe_new(int flags, struct file **reader, struct file **writer)
{
    static uint64_t next_ino = 1000;
    char name[32];
    int err = -ENOMEM;

    struct pipe *pipe = pipe_alloc();
    struct inode *inode = kzalloc(sizeof(*inode));
    if (!pipe || !inode) {
        kfree(inode);
        goto fail;
    }
    inode_init(inode, &pipe_sb, S_IFIFO | 0600);
    inode->i_op = &pipe_inode_operations;
    inode->i_ino = next_ino++;
    inode->i_uid = current->cred->fsuid;
    inode->i_gid = current->cred->fsgid;
    snprintf(name, sizeof(name), "pipe:[%llu]", (unsigned long long)inode->i_ino);
    err = anon_file(name, inode, &fifo_operations, NULL, O_RDONLY | (flags & O_NONBLOCK), reader);
    if (err)
        goto fail;
    inode->i_pipe = pipe;
    attach(pipe, *reader);
    /* One inode and one name: both ends are the same pipe in /proc. */
    err = anon_file(name, iget(inode), &fifo_operations, NULL, O_WRONLY | (flags & O_NONBLOCK), writer);
    if (err) {
        file_put(*reader); /* and the pipe with it */
        return err;
    }
    attach(pipe, *writer);
    return 0;
fail:
    kfree(pipe);
    return err;
}

int pipe_size(struct file *file)
{
    return file->f_op == &fifo_operations ? (int)pipe_of(file)->size : -EBADF;
}

int pipe_set_size(struct file *file, uint64_t want)
{
    if (file->f_op != &fifo_operations)
        return -EBADF;
    struct pipe *pipe = pipe_of(file);
    size_t size = PAGE_SIZE;
    if (want > SIZE_MAX_ANY)
        return -EINVAL;
    while (size < want)
        size *= 2;
    if (size > SIZE_MAX_USER && size > pipe->size && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    if (size < pipe->len + pipe->reserved)
        return -EBUSY;
    if (size == pipe->size)
        return (int)size;
    if (pipe->buf) {
        char *buf = page_alloc(size >> PAGE_SHIFT);
        if (!buf)
            return -ENOMEM;
        size_t first = MIN(pipe->len, pipe->size - pipe->head);
        memcpy(buf, pipe->buf + pipe->head, first);
        memcpy(buf + first, pipe->buf, pipe->len - first);
        page_free(pipe->buf, pipe->size >> PAGE_SHIFT);
        pipe->buf = buf;
        pipe->head = 0;
    }
    pipe->size = size;
    wake_up_events(&pipe->write_wait, EPOLLOUT);
    return (int)size;
}

/* ---- for splice ---- */

bool is_pipe(const struct file *file)
{
    return file->f_op == &fifo_operations;
}

bool pipe_same(const struct file *a, const struct file *b)
{
    return pipe_of(a) == pipe_of(b);
}

int pipe_wait_data(struct file *file, bool nonblock)
{
    struct pipe *pipe = pipe_of(file);

    if (pipe->len == 0 && pipe->writers > 0) {
        if (nonblock)
            return -EAGAIN;
        int err = wait_event(&pipe->read_wait, pipe->len > 0 || pipe->writers == 0);
        if (err)
            return err;
    }
    return pipe->len > 0;
}

int pipe_wait_room(struct file *file, bool nonblock)
{
    struct pipe *pipe = pipe_of(file);

    if (pipe->readers > 0 && space(pipe) == 0) {
        if (nonblock)
            return -EAGAIN;
        int err = wait_event(&pipe->write_wait, space(pipe) > 0 || pipe->readers == 0);
        if (err)
            return err;
    }
    return pipe->readers > 0 ? 0 : broken();
}

size_t pipe_peek(struct file *file, void *buf, size_t len)
{
    struct pipe *pipe = pipe_of(file);
    struct iov_iter to;

    len = MIN(len, pipe->len);
    iov_iter_kernel(&to, buf, len);
    ring_copy(pipe, pipe->head, len, &to, true);
    return len;
}

size_t pipe_take(struct file *file, void *buf, size_t len)
{
    struct pipe *pipe = pipe_of(file);

    len = pipe_peek(file, buf, len);
    pipe->head = (pipe->head + len) % pipe->size;
    pipe->len -= len;
    pipe->reserved += len;
    return len;
}

void pipe_put_back(struct file *file, const void *buf, size_t taken, size_t unused)
{
    struct pipe *pipe = pipe_of(file);
    struct iov_iter from;

    pipe->reserved -= taken;
    if (unused > 0) {
        pipe->head = (pipe->head + pipe->size - unused) % pipe->size;
        iov_iter_kernel(&from, (char *)buf + taken - unused, unused);
        ring_copy(pipe, pipe->head, unused, &from, false);
        pipe->len += unused;
        wake_up_events(&pipe->read_wait, EPOLLIN | EPOLLRDNORM);
    }
    if (unused < taken)
        wake_up_events(&pipe->write_wait, EPOLLOUT | EPOLLWRNORM);
}

int pipe_reserve(struct file *file, size_t *len)
{
    struct pipe *pipe = pipe_of(file);

    if (!has_ring(pipe))
        return -ENOMEM;
    *len = MIN(*len, space(pipe));
    pipe->reserved += *len;
    return 0;
}

void pipe_fill(struct file *file, const void *buf, size_t reserved, size_t len)
{
    struct pipe *pipe = pipe_of(file);
    struct iov_iter from;

    pipe->reserved -= reserved;
    iov_iter_kernel(&from, (char *)buf, len);
    ring_copy(pipe, pipe->head + pipe->len, len, &from, false);
    pipe->len += len;
    if (len > 0)
        wake_up_events(&pipe->read_wait, EPOLLIN | EPOLLRDNORM);
    if (len < reserved)
        wake_up_events(&pipe->write_wait, EPOLLOUT | EPOLLWRNORM);
}
