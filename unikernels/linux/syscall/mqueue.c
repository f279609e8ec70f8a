/* POSIX message queues: what programs pass is read here, fs/mqueue.c has the queues. */
#include <linux/fcntl.h>

#include "fs/mqueue.h"
#include "fs/vfs.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/signal.h"
#include "task/wait.h"

#define PRIORITY_MAX 32768u /* MQ_PRIO_MAX */
enum { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD };

struct sigevent64 {
    uint64_t value;
    int32_t signo, notify;
    uint8_t rest[48];
};

long sys_mq_open(long name_addr, long flags, long mode, long attr_addr)
{
    struct mq_attributes attr;
    struct file *file;

    if ((int)flags & O_CREAT && attr_addr && copy_from_user(&attr, (uaddr_t)attr_addr, sizeof(attr)))
        return -EFAULT;
    char *name = path_from_user((uaddr_t)name_addr);
    if (IS_ERR(name))
        return PTR_ERR(name);
    int err = mqueue_open(name, (int)flags, (uint32_t)mode, attr_addr ? &attr : NULL, &file);
    kfree(name);
    if (err)
        return err;
    int fd = fd_install(file, 0, (int)flags & O_CLOEXEC);
    if (fd < 0)
        file_put(file);
    return fd;
}

long sys_mq_unlink(long name_addr)
{
    char *name = path_from_user((uaddr_t)name_addr);

    if (IS_ERR(name))
        return PTR_ERR(name);
    int err = mqueue_unlink(name);
    kfree(name);
    return err;
}

/* An absolute time of CLOCK_REALTIME, none at 0. */
static int deadline_at(uaddr_t addr, int64_t *deadline)
{
    struct __kernel_timespec ts;
    int64_t ns;

    *deadline = WAIT_FOREVER;
    if (!addr)
        return 0;
    if (copy_from_user(&ts, addr, sizeof(ts)))
        return -EFAULT;
    int err = timespec_to_ns(&ts, &ns);
    if (!err)
        *deadline = deadline_after(MAX(ns - clock_realtime(), 0));
    return err;
}

static long send(struct file *file, uaddr_t text, size_t size, uint32_t priority, int64_t deadline)
{
    struct mq_message *message = mqueue_message_new(file, size, priority);

    if (IS_ERR(message))
        return PTR_ERR(message);
    long result = copy_from_user(mqueue_text(message), text, size);
    if (!result)
        result = mqueue_send(file, message, deadline);
    if (result)
        mqueue_message_free(message);
    return result;
}

long sys_mq_timedsend(long fd, long text, long size, long priority, long timeout)
{
    int64_t deadline;
    int err = deadline_at((uaddr_t)timeout, &deadline);

    if (err)
        return err;
    if ((uint32_t)priority >= PRIORITY_MAX)
        return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    long result = send(file, (uaddr_t)text, (size_t)size, (uint32_t)priority, deadline);
    file_put(file);
    return result;
}

long sys_mq_timedreceive(long fd, long text, long size, long priority, long timeout)
{
    int64_t deadline;
    int err = deadline_at((uaddr_t)timeout, &deadline);

    if (err)
        return err;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    struct mq_message *message = mqueue_receive(file, (size_t)size, deadline);
    file_put(file);
    if (IS_ERR(message))
        return PTR_ERR(message);
    long result = (long)mqueue_size(message);
    if ((priority && put_user_u32((uaddr_t)priority, mqueue_priority(message))) ||
        copy_to_user((uaddr_t)text, mqueue_text(message), mqueue_size(message)))
        result = -EFAULT;
    mqueue_message_free(message);
    return result;
}

static long notify(struct file *file, const struct sigevent64 *event)
{
    switch (event->notify) {
    case SIGEV_SIGNAL:
        if (event->signo < 1 || event->signo > SIG_COUNT)
            return -EINVAL;
        return mqueue_notify(file, event->signo, event->value);
    case SIGEV_NONE:
        return mqueue_notify(file, 0, 0);
    default:
        return event->notify == SIGEV_THREAD ? -ENOSYS : -EINVAL; /* the library would be told by a netlink socket */
    }
}

long sys_mq_notify(long fd, long event_addr)
{
    struct sigevent64 event;

    if (event_addr && copy_from_user(&event, (uaddr_t)event_addr, sizeof(event)))
        return -EFAULT;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    long result = event_addr ? notify(file, &event) : mqueue_notify_off(file);
    file_put(file);
    return result;
}

long sys_mq_getsetattr(long fd, long new_addr, long old_addr)
{
    struct mq_attributes set, old;

    if (new_addr && copy_from_user(&set, (uaddr_t)new_addr, sizeof(set)))
        return -EFAULT;
    if (new_addr && set.flags & ~(int64_t)O_NONBLOCK)
        return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    long result = mqueue_attributes(file, new_addr ? &set : NULL, &old);
    file_put(file);
    return !result && old_addr && copy_to_user((uaddr_t)old_addr, &old, sizeof(old)) ? -EFAULT : result;
}
