#include "fs/inotify.h"

#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "fs/seq_file.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define QUEUE_MAX 16384u  /* fs.inotify.max_queued_events */
#define WATCHES_MAX 65536u /* fs.inotify.max_user_watches */
#define INSTANCES_MAX 128u /* fs.inotify.max_user_instances */


struct event {
    struct list link;
    int wd;
    uint32_t mask, cookie;
    uint32_t len;  /* of the name, without a NUL; 0: none */
    char name[];
};

struct inotify {
    struct list events;
    uint32_t count;
    struct list watches;
    int last_wd; /* numbers are not used again */
    struct wait_queue wait;
};

struct watch {
    struct list inotify_link, inode_link;
    struct inotify *owner;
    struct inode *inode; /* a reference */
    int wd;
    uint32_t mask;
};

size_t inotify_watches;
static uint32_t instances;

/* ---- events ---- */

static struct event *event_new(int wd, uint32_t mask, uint32_t cookie, const struct qstr *name)
{
    uint32_t len = name ? name->len : 0;
    struct event *event = kmalloc(sizeof(*event) + len);

    if (!event)
        return NULL;
    *event = (struct event){.wd = wd, .mask = mask, .cookie = cookie, .len = len};
    if (len)
        memcpy(event->name, name->name, len);
    return event;
}

static bool same(const struct event *a, const struct event *b)
{
    return a->wd == b->wd && a->mask == b->mask && a->cookie == b->cookie && a->len == b->len &&
           memcmp(a->name, b->name, a->len) == 0;
}

static void queue(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const struct qstr *name)
{
    const struct event *last = list_empty(&in->events) ? NULL : list_last(&in->events, struct event, link);

    if (in->count >= QUEUE_MAX) {
        if (last->mask & IN_Q_OVERFLOW)
            return;
        wd = -1;
        mask = IN_Q_OVERFLOW;
        cookie = 0;
        name = NULL;
    }
    struct event *event = event_new(wd, mask, cookie, name);
    if (!event)
        return; /* as if it overflowed; there is not even memory to say so */
    /* What is the same as the last one that was not read is not told twice. */
    if (last && same(last, event)) {
        kfree(event);
        return;
    }
    list_add_tail(&in->events, &event->link);
    in->count++;
    wake_up_events(&in->wait, EPOLLIN | EPOLLRDNORM);
}

/* The watch and its last word. */
static void watch_end(struct watch *watch)
{
    struct inode *inode = watch->inode;

    queue(watch->owner, watch->wd, IN_IGNORED, 0, NULL);
    list_del(&watch->inotify_link);
    list_del(&watch->inode_link);
    inotify_watches--;
    kfree(watch);
    iput(inode);
}

/* name: of a child, for those that watch a folder. */
static void tell(struct inode *inode, uint32_t mask, uint32_t cookie, const struct qstr *name, bool unlinked)
{
    struct watch *watch, *next;

    list_for_each_safe(watch, next, &inode->i_watches, inode_link) {
        if (!(watch->mask & mask & IN_ALL_EVENTS) || (unlinked && watch->mask & IN_EXCL_UNLINK))
            continue;
        queue(watch->owner, watch->wd, mask, cookie, name);
        if (watch->mask & IN_ONESHOT)
            watch_end(watch);
    }
}

static uint32_t with_type(const struct inode *inode, uint32_t mask)
{
    return S_ISDIR(inode->i_mode) ? mask | IN_ISDIR : mask;
}

void fsnotify_inode_slow(struct inode *inode, uint32_t mask)
{
    /* These two are about the watched thing itself, and Linux leaves the type out. */
    tell(inode, mask & (IN_DELETE_SELF | IN_MOVE_SELF) ? mask : with_type(inode, mask), 0, NULL, false);
}

void fsnotify_dentry_slow(struct dentry *dentry, uint32_t mask)
{
    struct dentry *parent = dentry->d_parent;

    if (dentry->d_flags & DENTRY_ANON)
        return;
    mask = with_type(dentry->d_inode, mask);
    if (parent != dentry)
        tell(parent->d_inode, mask, 0, &dentry->d_name, dentry->d_flags & DENTRY_DELETED);
    tell(dentry->d_inode, mask, 0, NULL, false);
}

void fsnotify_name_slow(struct inode *dir, uint32_t mask, const struct qstr *name, uint32_t cookie)
{
    tell(dir, mask, cookie, name, false);
}

void fsnotify_rename_slow(struct inode *from, const struct qstr *from_name, struct inode *to,
                          const struct qstr *to_name, struct inode *moved, struct inode *replaced)
{
    static uint32_t last_cookie;
    uint32_t cookie = ++last_cookie;

    fsnotify_name_slow(from, with_type(moved, IN_MOVED_FROM), from_name, cookie);
    fsnotify_name_slow(to, with_type(moved, IN_MOVED_TO), to_name, cookie);
    if (replaced)
        fsnotify_inode_slow(replaced, IN_ATTRIB);
    fsnotify_inode_slow(moved, IN_MOVE_SELF);
}

void fsnotify_inode_gone(struct inode *inode)
{
    iget(inode); /* until the last watch has let go */
    fsnotify_inode_slow(inode, IN_DELETE_SELF);
    while (!list_empty(&inode->i_watches))
        watch_end(list_first(&inode->i_watches, struct watch, inode_link));
    iput(inode);
}

/* ---- the instance ---- */

static int64_t put_event(const struct event *event, struct iov_iter *to)
{
    const uint32_t unit = sizeof(struct inotify_event);
    struct inotify_event head = {.wd = event->wd, .mask = event->mask, .cookie = event->cookie};

    /* With its NUL the name fills whole units. */
    if (event->len)
        head.len = ALIGN_UP(event->len + 1, unit);
    if (to->count < sizeof(head) + head.len)
        return -EINVAL;
    if (copy_to_iter(to, &head, sizeof(head)) < (ssize_t)sizeof(head) ||
        copy_to_iter(to, event->name, event->len) < (ssize_t)event->len ||
        zero_iter(to, head.len - event->len) < (ssize_t)(head.len - event->len))
        return -EFAULT;
    return sizeof(head) + head.len;
}

static void drop_first(struct inotify *in)
{
    struct event *event = list_first(&in->events, struct event, link);

    list_del(&event->link);
    in->count--;
    kfree(event);
}

static int64_t inotify_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct inotify *in = kiocb->file->f_private;
    int64_t done = 0;

    if (list_empty(&in->events)) {
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&in->wait, !list_empty(&in->events));
        if (err)
            return err;
    }
    while (!list_empty(&in->events)) {
        int64_t put = put_event(list_first(&in->events, struct event, link), to);
        if (put < 0)
            return done ? done : put;
        done += put;
        drop_first(in);
    }
    return done;
}

static uint32_t inotify_poll(struct file *file, struct poll_table *table)
{
    struct inotify *in = file->f_private;

    poll_wait(table, &in->wait);
    return list_empty(&in->events) ? 0 : EPOLLIN | EPOLLRDNORM;
}

static int64_t inotify_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    const struct inotify *in = file->f_private;
    const struct event *event;
    uint32_t bytes = 0;

    if (cmd != FIONREAD)
        return -ENOTTY;
    list_for_each(event, &in->events, link) {
        bytes += sizeof(struct inotify_event);
        if (event->len)
            bytes += ALIGN_UP(event->len + 1, sizeof(struct inotify_event));
    }
    return put_user_u32(arg, bytes);
}

static void inotify_release(struct file *file)
{
    struct inotify *in = file->f_private;

    while (!list_empty(&in->watches))
        watch_end(list_first(&in->watches, struct watch, inotify_link));
    while (!list_empty(&in->events))
        drop_first(in);
    instances--;
    kfree(in);
}

static void inotify_show_fdinfo(struct file *file, struct seq_file *seq)
{
    const struct inotify *in = file->f_private;
    const struct watch *watch;

    list_for_each(watch, &in->watches, inotify_link)
        seq_printf(seq, "inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:0\n", (uint32_t)watch->wd,
                   (unsigned long long)watch->inode->i_ino, watch->inode->i_sb->s_dev, watch->mask);
}

static const struct file_operations inotify_operations = {
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
    .llseek = noop_llseek,
    .show_fdinfo = inotify_show_fdinfo,
};

bool inotify_is(const struct file *file)
{
    return file->f_op == &inotify_operations;
}

int inotify_new(int flags, struct file **made)
{
    if (instances >= INSTANCES_MAX)
        return -EMFILE;
    struct inotify *in = kzalloc(sizeof(*in));
    if (!in)
        return -ENOMEM;
    list_init(&in->events);
    list_init(&in->watches);
    wait_queue_init(&in->wait);
    int err = anon_file("anon_inode:inotify", NULL, &inotify_operations, in, O_RDONLY | (flags & O_NONBLOCK), made);
    if (err)
        kfree(in);
    else
        instances++;
    return err;
}

/* ---- watches ---- */

static struct watch *find(const struct inotify *in, const struct inode *inode)
{
    struct watch *watch;

    list_for_each(watch, &inode->i_watches, inode_link) {
        if (watch->owner == in)
            return watch;
    }
    return NULL;
}

int inotify_add(struct file *inotify, struct inode *inode, uint32_t mask)
{
    const uint32_t kept = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK;

    struct inotify *in = inotify->f_private;
    struct watch *watch = find(in, inode);
    if (watch && mask & IN_MASK_CREATE)
        return -EEXIST;
    if (watch) {
        watch->mask = (mask & IN_MASK_ADD ? watch->mask : 0) | (mask & kept);
        return watch->wd;
    }
    if (inotify_watches >= WATCHES_MAX || in->last_wd == INT32_MAX)
        return -ENOSPC;
    watch = kzalloc(sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    *watch = (struct watch){.owner = in, .inode = iget(inode), .wd = ++in->last_wd, .mask = mask & kept};
    list_add_tail(&in->watches, &watch->inotify_link);
    list_add(&inode->i_watches, &watch->inode_link);
    inotify_watches++;
    return watch->wd;
}

int inotify_remove(struct file *inotify, int wd)
{
    struct watch *watch;

    if (inotify->f_op != &inotify_operations)
        return -EINVAL;
    struct inotify *in = inotify->f_private;
    list_for_each(watch, &in->watches, inotify_link) {
        if (watch->wd != wd)
            continue;
        watch_end(watch);
        return 0;
    }
    return -EINVAL;
}
