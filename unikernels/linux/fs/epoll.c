/*
 * epoll: a set of files that is told when one of them may have become ready.
 *
 * An item hangs on the wait queues that its file's poll operation names. A wake
 * puts it on the ready list; epoll_wait asks each file on that list what is true
 * now. A level-triggered item that is ready goes back to the list's end, and so
 * is asked again; an edge-triggered one waits for the next wake.
 *
 * Items hold no reference on their file: it leaves all sets when its last
 * descriptor is closed (epoll_forget), as on Linux.
 */
#include "fs/epoll.h"

#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "fs/seq_file.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define BUCKETS 64u
#define QUEUES_MAX 4 /* that a file's poll operation may name */
#define NESTING_MAX 4
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct eventpoll {
    struct file *file; /* its own; no reference */
    struct list bucket[BUCKETS];
    struct list ready;
    struct wait_queue wait; /* epoll_wait, poll, and the sets that hold this one */
};

struct epitem {
    struct eventpoll *ep;
    struct file *file;
    int fd;
    uint32_t events; /* asked for; only private bits are left once a one-shot has fired */
    uint64_t data;
    struct list hash_link;
    struct list file_link; /* file->f_epoll */
    struct list ready_link;
    unsigned queues;
    struct wait_entry wait[QUEUES_MAX];
};

/* ---- readiness ---- */

static void make_ready(struct epitem *item)
{
    if (list_empty(&item->ready_link))
        list_add_tail(&item->ep->ready, &item->ready_link);
}

static void item_woken(struct wait_entry *entry, uint32_t events)
{
    /* Which of the entries it is, the item's own table tells: entry->task is free for the index's place. */
    struct epitem *item = (struct epitem *)entry->task;

    if ((item->events & ~(uint32_t)PRIVATE_BITS) == 0)
        return;
    if (events != ~0u && !(events & (item->events | EPOLLERR | EPOLLHUP)))
        return;
    make_ready(item);
    wake_up_events(&item->ep->wait, EPOLLIN);
}

struct item_table {
    struct poll_table table;
    struct epitem *item;
};

static void add_queue(struct poll_table *table, struct wait_queue *queue)
{
    struct epitem *item = container_of(table, struct item_table, table)->item;

    if (item->queues == QUEUES_MAX)
        return;
    struct wait_entry *entry = &item->wait[item->queues++];
    entry->wake = item_woken;
    entry->task = (struct task *)item;
    wait_add(queue, entry);
}

static uint32_t item_poll(const struct epitem *item, struct poll_table *table)
{
    uint32_t events = item->file->f_op->poll(item->file, table);

    return events & (item->events | EPOLLERR | EPOLLHUP);
}

/* ---- the set ---- */

static struct list *bucket_of(struct eventpoll *ep, const struct file *file, int fd)
{
    return &ep->bucket[((uintptr_t)file / 64 + (unsigned)fd) % BUCKETS];
}

static struct epitem *find(struct eventpoll *ep, const struct file *file, int fd)
{
    struct list *bucket = bucket_of(ep, file, fd);
    struct epitem *item;

    list_for_each(item, bucket, hash_link) {
        if (item->file == file && item->fd == fd)
            return item;
    }
    return NULL;
}

static void remove(struct epitem *item)
{
    for (unsigned i = 0; i < item->queues; i++)
        wait_remove(&item->wait[i]);
    list_del(&item->hash_link);
    list_del(&item->file_link);
    list_del(&item->ready_link);
    kfree(item);
}

void epoll_forget(struct file *file)
{
    struct epitem *item, *next;

    list_for_each_safe(item, next, &file->f_epoll, file_link)
        remove(item);
}

static const struct file_operations epoll_operations;

/* Sets below a file, itself counted: 0 for any other file. NESTING_MAX + 1: too many, or `ep` is among them. */
static int sets_below(const struct file *file, const struct eventpoll *ep, int depth)
{
    int below = 0;

    if (file->f_op != &epoll_operations)
        return 0;
    struct eventpoll *inner = file->f_private;
    if (inner == ep || depth > NESTING_MAX)
        return NESTING_MAX + 1;
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct epitem *item;
        list_for_each(item, &inner->bucket[i], hash_link)
            below = MAX(below, sets_below(item->file, ep, depth + 1));
    }
    return MIN(below + 1, NESTING_MAX + 1);
}

/* The longest way up through sets that hold this one. It ends: see nests_too_deep(). */
static int sets_above(const struct eventpoll *ep)
{
    const struct epitem *item;
    int above = 0;

    list_for_each(item, &ep->file->f_epoll, file_link)
        above = MAX(above, 1 + sets_above(item->ep));
    return above;
}

/*
 * A wake climbs from set to set, and a poll descends: on the kernel's stack, so
 * that no way may be long, nor a circle.
 */
static bool nests_too_deep(const struct file *file, const struct eventpoll *ep)
{
    int below = sets_below(file, ep, 0);

    return below > 0 && below + sets_above(ep) > NESTING_MAX;
}

static void ready_if(struct epitem *item, uint32_t events)
{
    if (!events)
        return;
    make_ready(item);
    wake_up_events(&item->ep->wait, EPOLLIN);
}

static int add(struct eventpoll *ep, int fd, struct file *file, const struct epoll_event *event)
{
    struct epitem *item = kzalloc(sizeof(*item));
    struct item_table table = {.table = {.queue = add_queue}, .item = item};

    if (!item)
        return -ENOMEM;
    item->ep = ep;
    item->file = file;
    item->fd = fd;
    item->events = event->events;
    item->data = event->data;
    list_init(&item->ready_link);
    list_add(bucket_of(ep, file, fd), &item->hash_link);
    list_add(&file->f_epoll, &item->file_link);
    ready_if(item, item_poll(item, &table.table));
    return 0;
}

int epoll_ctl(struct file *epoll, int op, int fd, struct file *file, const struct epoll_event *event)
{
    if (!file->f_op->poll)
        return -EPERM;
    if (epoll->f_op != &epoll_operations || file == epoll)
        return -EINVAL;
    struct eventpoll *ep = epoll->f_private;
    struct epitem *item = find(ep, file, fd);

    /* EPOLLEXCLUSIVE is for EPOLL_CTL_ADD, not for other sets, and with few other bits (epoll_ctl(2)). */
    if (event && event->events & EPOLLEXCLUSIVE &&
        (op == EPOLL_CTL_MOD || file->f_op == &epoll_operations ||
         event->events & ~(uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)))
        return -EINVAL;
    switch (op) {
    case EPOLL_CTL_ADD:
        if (nests_too_deep(file, ep))
            return -ELOOP;
        return item ? -EEXIST : add(ep, fd, file, event);
    case EPOLL_CTL_MOD:
        if (!item)
            return -ENOENT;
        if (item->events & EPOLLEXCLUSIVE)
            return -EINVAL;
        item->events = event->events;
        item->data = event->data;
        ready_if(item, item_poll(item, NULL));
        return 0;
    case EPOLL_CTL_DEL:
        if (!item)
            return -ENOENT;
        remove(item);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Takes the events that are true now off the ready list. Each item is asked once. */
static long collect(struct eventpoll *ep, uaddr_t to, int max)
{
    struct list again = {&again, &again};
    long count = 0;
    int err = 0;

    while (count < max && !list_empty(&ep->ready)) {
        struct epitem *item = list_first(&ep->ready, struct epitem, ready_link);
        list_del(&item->ready_link);
        uint32_t events = item_poll(item, NULL);
        if (!events)
            continue;
        struct epoll_event out = {.events = events, .data = item->data};
        err = copy_to_user(to + (size_t)count * sizeof(out), &out, sizeof(out));
        if (err) {
            list_add(&ep->ready, &item->ready_link);
            break;
        }
        count++;
        if (item->events & EPOLLONESHOT)
            item->events &= PRIVATE_BITS;
        else if (!(item->events & EPOLLET))
            list_add_tail(&again, &item->ready_link);
    }
    while (!list_empty(&again)) {
        struct epitem *item = list_first(&again, struct epitem, ready_link);
        list_del(&item->ready_link);
        list_add_tail(&ep->ready, &item->ready_link);
    }
    return count ? count : err;
}

long epoll_wait(struct file *epoll, uaddr_t events, int max, int64_t deadline_ns)
{
    if (epoll->f_op != &epoll_operations)
        return -EINVAL;
    struct eventpoll *ep = epoll->f_private;
    for (;;) {
        long count = collect(ep, events, max);
        if (count != 0)
            return count;
        if (deadline_ns <= 0)
            return 0;
        int err = wait_event_deadline(&ep->wait, !list_empty(&ep->ready), deadline_ns);
        if (err == -ETIMEDOUT)
            return 0;
        if (err)
            return -EINTR;
    }
}

/* Ready if an item truly is; those that only were are dropped on the way. */
static uint32_t epoll_poll(struct file *file, struct poll_table *table)
{
    struct eventpoll *ep = file->f_private;
    struct epitem *item, *next;

    poll_wait(table, &ep->wait);
    list_for_each_safe(item, next, &ep->ready, ready_link) {
        if (item_poll(item, NULL))
            return EPOLLIN | EPOLLRDNORM;
        list_del(&item->ready_link);
    }
    return 0;
}

static void epoll_release(struct file *file)
{
    struct eventpoll *ep = file->f_private;

    for (unsigned i = 0; i < BUCKETS; i++) {
        struct epitem *item, *next;
        list_for_each_safe(item, next, &ep->bucket[i], hash_link)
            remove(item);
    }
    kfree(ep);
}

static void epoll_show_fdinfo(struct file *file, struct seq_file *seq)
{
    struct eventpoll *ep = file->f_private;

    for (unsigned i = 0; i < BUCKETS; i++) {
        struct epitem *item;
        list_for_each(item, &ep->bucket[i], hash_link)
            seq_printf(seq, "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%llx sdev:%x\n", item->fd, item->events,
                       (unsigned long long)item->data, (long long)item->file->f_pos,
                       (unsigned long long)item->file->f_inode->i_ino, item->file->f_inode->i_sb->s_dev);
    }
}

static const struct file_operations epoll_operations = {
    .release = epoll_release,
    .poll = epoll_poll,
    .llseek = noop_llseek,
    .show_fdinfo = epoll_show_fdinfo,
};

int epoll_new(struct file **made)
{
    struct eventpoll *ep = kzalloc(sizeof(*ep));

    if (!ep)
        return -ENOMEM;
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&ep->bucket[i]);
    list_init(&ep->ready);
    wait_queue_init(&ep->wait);
    int err = anon_file("anon_inode:[eventpoll]", NULL, &epoll_operations, ep, O_RDWR, made);
    if (err)
        kfree(ep);
    else
        ep->file = *made;
    return err;
}
