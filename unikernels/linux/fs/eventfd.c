#include "fs/eventfd.h"

#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "fs/seq_file.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
    uint64_t count;
    bool semaphore;
    struct wait_queue wait;
};

static int64_t eventfd_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct eventfd *e = kiocb->file->f_private;

    if (to->count < sizeof(uint64_t))
        return -EINVAL;
    if (e->count == 0) {
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&e->wait, e->count > 0);
        if (err)
            return err;
    }
    uint64_t value = e->semaphore ? 1 : e->count;
    e->count -= value;
    wake_up_events(&e->wait, EPOLLOUT);
    ssize_t copied = copy_to_iter(to, &value, sizeof(value));
    return copied < (ssize_t)sizeof(value) ? -EFAULT : copied;
}

static int64_t eventfd_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct eventfd *e = kiocb->file->f_private;
    uint64_t value;

    if (from->count < sizeof(value))
        return -EINVAL;
    if (copy_from_iter(from, &value, sizeof(value)) < (ssize_t)sizeof(value))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    if (COUNT_MAX - e->count < value) {
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&e->wait, COUNT_MAX - e->count >= value);
        if (err)
            return err;
    }
    e->count += value;
    wake_up_events(&e->wait, EPOLLIN);
    return sizeof(value);
}

static uint32_t eventfd_poll(struct file *file, struct poll_table *table)
{
    struct eventfd *e = file->f_private;

    poll_wait(table, &e->wait);
    return (e->count > 0 ? EPOLLIN | EPOLLRDNORM : 0) | (e->count < COUNT_MAX ? EPOLLOUT | EPOLLWRNORM : 0);
}

static void eventfd_release(struct file *file)
{
    kfree(file->f_private);
}

static void eventfd_show_fdinfo(struct file *file, struct seq_file *seq)
{
    const struct eventfd *e = file->f_private;

    seq_printf(seq, "eventfd-count: %16llx\n", (unsigned long long)e->count);
}

static const struct file_operations eventfd_operations = {
    .release = eventfd_release,
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .llseek = noop_llseek,
    .show_fdinfo = eventfd_show_fdinfo,
};

int eventfd_new(uint64_t count, bool semaphore, int flags, struct file **made)
{
    struct eventfd *e = kzalloc(sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->count = count;
    e->semaphore = semaphore;
    wait_queue_init(&e->wait);
    int err = anon_file("anon_inode:[eventfd]", NULL, &eventfd_operations, e, O_RDWR | (flags & O_NONBLOCK), made);
    if (err)
        kfree(e);
    return err;
}
