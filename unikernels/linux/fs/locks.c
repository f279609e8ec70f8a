#include "fs/locks.h"

#include <asm/ioctls.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };

/* Locks of a kind do not see those of flock; POSIX and OFD locks see each other. */
struct file_lock {
    struct list link; /* inode->i_locks, unordered */
    enum lock_kind kind;
    const void *owner; /* POSIX: the descriptor table, as on Linux; else the open file */
    int pid;           /* for F_GETLK: -1 for OFD locks */
    bool exclusive;
    uint64_t start, end; /* inclusive */
};

/* Woken at each unlock. One queue for all: waiting is rare, and who wakes in vain sleeps on. */
static struct wait_queue lock_wait = {{&lock_wait.entries, &lock_wait.entries}};

static bool conflicts(const struct file_lock *held, const struct file_lock *wanted)
{
    return (held->kind == LOCK_FLOCK) == (wanted->kind == LOCK_FLOCK) &&
           !(held->kind == wanted->kind && held->owner == wanted->owner) &&
           (held->exclusive || wanted->exclusive) && held->start <= wanted->end && wanted->start <= held->end;
}

static const struct file_lock *find_conflict(const struct inode *inode, const struct file_lock *wanted)
{
    const struct file_lock *held;

    list_for_each(held, &inode->i_locks, link) {
        if (conflicts(held, wanted))
            return held;
    }
    return NULL;
}

static struct file_lock *lock_copy(const struct file_lock *lock)
{
    struct file_lock *copy = kmalloc(sizeof(*copy));

    if (copy)
        *copy = *lock;
    return copy;
}

static bool same_owner(const struct file_lock *a, const struct file_lock *b)
{
    return a->kind == b->kind && a->owner == b->owner;
}

/* The owner's locks of the same kind that touch it become part of it, as if it had been asked for as a whole. */
static void join(const struct inode *inode, struct file_lock *lock)
{
    const struct file_lock *held;
    bool grown;

    do {
        grown = false;
        list_for_each(held, &inode->i_locks, link) {
            if (!same_owner(held, lock) || held->exclusive != lock->exclusive)
                continue;
            if (held->start > lock->end + 1 || lock->start > held->end + 1)
                continue;
            grown |= held->start < lock->start || held->end > lock->end;
            lock->start = MIN(lock->start, held->start);
            lock->end = MAX(lock->end, held->end);
        }
    } while (grown);
}

/*
 * What the owner holds in the range goes, and `lock` comes unless `unlock`. Both
 * pieces that this may need are made first, so that nothing is lost halfway.
 */
static int apply(struct inode *inode, const struct file_lock *lock, bool unlock)
{
    struct file_lock *fresh = unlock ? NULL : lock_copy(lock), *spare = lock_copy(lock);
    struct file_lock *held, *next;

    if (!spare || (!unlock && !fresh)) {
        kfree(fresh);
        kfree(spare);
        return -ENOLCK;
    }
    list_for_each_safe(held, next, &inode->i_locks, link) {
        if (!same_owner(held, lock) || held->start > lock->end || lock->start > held->end)
            continue;
        if (held->start < lock->start && held->end > lock->end) {
            *spare = *held;
            spare->start = lock->end + 1;
            held->end = lock->start - 1;
            list_add_tail(&inode->i_locks, &spare->link);
            spare = NULL;
            break;
        }
        if (held->start < lock->start) {
            held->end = lock->start - 1;
        } else if (held->end > lock->end) {
            held->start = lock->end + 1;
        } else {
            list_del(&held->link);
            kfree(held);
        }
    }
    if (fresh)
        list_add_tail(&inode->i_locks, &fresh->link);
    kfree(spare);
    wake_up(&lock_wait);
    return 0;
}

/* ---- locks that others than the guest's processes see ---- */

/* What all processes together hold at one place, and up to where that is so. */
static int held_at(const struct inode *inode, bool flock, uint64_t at, uint64_t *end)
{
    const struct file_lock *held;
    int type = F_UNLCK;

    list_for_each(held, &inode->i_locks, link) {
        if ((held->kind == LOCK_FLOCK) != flock)
            continue;
        if (held->start > at) {
            *end = MIN(*end, held->start - 1);
        } else if (held->end >= at) {
            *end = MIN(*end, held->end);
            type = held->exclusive || type == F_WRLCK ? F_WRLCK : F_RDLCK;
        }
    }
    return type;
}

/* Something in the range was given up: others may have what nobody here holds. */
static void publish(struct inode *inode, bool flock, uint64_t start, uint64_t end)
{
    if (!inode->i_op->lock)
        return;
    for (;;) {
        struct lock_range range = {.flock = flock, .start = start, .end = end};
        range.type = held_at(inode, flock, start, &range.end);
        inode->i_op->lock(inode, &range);
        if (range.end >= end)
            return;
        start = range.end + 1;
    }
}

/* Others are asked again and again: nobody tells us when they let go. */
#define RETRY_FIRST_NS (1 * NSEC_PER_MSEC)
#define RETRY_MAX_NS (50 * NSEC_PER_MSEC)

static int lock_others(struct inode *inode, const struct file_lock *lock, bool wait)
{
    int64_t delay = RETRY_FIRST_NS;

    if (!inode->i_op->lock)
        return 0;
    for (;;) {
        struct lock_range range = {.flock = lock->kind == LOCK_FLOCK,
                                   .type = lock->exclusive ? F_WRLCK : F_RDLCK,
                                   .start = lock->start,
                                   .end = lock->end};
        int err = inode->i_op->lock(inode, &range);
        if (err != -EAGAIN || !wait)
            return err;
        err = wait_event_deadline(&lock_wait, false, clock_monotonic() + delay);
        if (err != -ETIMEDOUT)
            return err;
        delay = MIN(2 * delay, RETRY_MAX_NS);
    }
}

static int set(struct inode *inode, const struct file_lock *lock, bool unlock, bool wait)
{
    int err;

    if (unlock) {
        err = apply(inode, lock, true);
        publish(inode, lock->kind == LOCK_FLOCK, lock->start, lock->end);
        return err;
    }
    do {
        while (find_conflict(inode, lock)) {
            if (!wait)
                return -EAGAIN;
            err = wait_event(&lock_wait, !find_conflict(inode, lock));
            if (err)
                return err;
        }
        err = lock_others(inode, lock, wait);
        if (err)
            return err;
        /* One of ours may have been faster while the others were asked. */
        if (find_conflict(inode, lock))
            publish(inode, lock->kind == LOCK_FLOCK, lock->start, lock->end);
    } while (find_conflict(inode, lock));
    struct file_lock whole = *lock;
    join(inode, &whole);
    return apply(inode, &whole, false);
}

static int range_of(const struct file *file, const struct flock *from, struct file_lock *lock)
{
    int64_t start, end;

    switch (from->l_whence) {
    case SEEK_SET:
        start = 0;
        break;
    case SEEK_CUR:
        start = (int64_t)file->f_pos;
        break;
    case SEEK_END:
        start = (int64_t)file->f_inode->i_size;
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(start, from->l_start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    end = INT64_MAX;
    if (from->l_len > 0) {
        if (__builtin_add_overflow(start, from->l_len - 1, &end))
            return -EOVERFLOW;
    } else if (from->l_len < 0) {
        end = start - 1;
        start += from->l_len;
        if (start < 0)
            return -EINVAL;
    }
    lock->start = (uint64_t)start;
    lock->end = (uint64_t)end;
    return 0;
}

static void report(struct flock *to, const struct file_lock *held)
{
    to->l_type = held->exclusive ? F_WRLCK : F_RDLCK;
    to->l_whence = SEEK_SET;
    to->l_start = (int64_t)held->start;
    to->l_len = held->end == INT64_MAX ? 0 : (int64_t)(held->end - held->start + 1);
    to->l_pid = held->pid;
}

/* F_GETLK where no process of ours is in the way. */
static int report_others(struct inode *inode, const struct file_lock *lock, struct flock *to)
{
    struct lock_range range = {
        .test = true, .type = lock->exclusive ? F_WRLCK : F_RDLCK, .start = lock->start, .end = lock->end};
    int err = inode->i_op->lock ? inode->i_op->lock(inode, &range) : 0;

    if (err)
        return err;
    if (!inode->i_op->lock || range.type == F_UNLCK) {
        to->l_type = F_UNLCK;
        return 0;
    }
    struct file_lock held = {.exclusive = range.type == F_WRLCK, .pid = -1, .start = range.start, .end = range.end};
    report(to, &held);
    return 0;
}

int locks_fcntl(struct file *file, int cmd, struct flock *flock)
{
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    bool get = cmd == F_GETLK || cmd == F_OFD_GETLK;
    struct file_lock lock = {
        .kind = ofd ? LOCK_OFD : LOCK_POSIX,
        .owner = ofd ? (const void *)file : current->process->files,
        .pid = ofd ? -1 : current->process->pid,
        .exclusive = flock->l_type == F_WRLCK,
    };

    if (ofd && flock->l_pid != 0)
        return -EINVAL;
    if (flock->l_type != F_RDLCK && flock->l_type != F_WRLCK && (flock->l_type != F_UNLCK || get))
        return -EINVAL;
    int err = range_of(file, flock, &lock);
    if (err)
        return err;
    if (get) {
        const struct file_lock *held = find_conflict(file->f_inode, &lock);
        if (held)
            report(flock, held);
        else
            err = report_others(file->f_inode, &lock, flock);
        return err;
    }
    if ((flock->l_type == F_RDLCK && !file->f_read) || (flock->l_type == F_WRLCK && !file->f_write))
        return -EBADF;
    return set(file->f_inode, &lock, flock->l_type == F_UNLCK, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

int locks_flock(struct file *file, int operation)
{
    struct file_lock lock = {.kind = LOCK_FLOCK, .owner = file, .pid = current->process->pid, .end = INT64_MAX};
    int type = operation & ~LOCK_NB;

    if (type != LOCK_SH && type != LOCK_EX && type != LOCK_UN)
        return -EINVAL;
    lock.exclusive = type == LOCK_EX;
    return set(file->f_inode, &lock, type == LOCK_UN, !(operation & LOCK_NB));
}

static void release(struct inode *inode, enum lock_kind kind, const void *owner)
{
    struct file_lock *held, *next;
    bool any = false;

    list_for_each_safe(held, next, &inode->i_locks, link) {
        if (held->kind != kind || held->owner != owner)
            continue;
        list_del(&held->link);
        publish(inode, kind == LOCK_FLOCK, held->start, held->end);
        kfree(held);
        any = true;
    }
    if (any)
        wake_up(&lock_wait);
}

void locks_release_process(struct file *file, const struct files *owner)
{
    if (!list_empty(&file->f_inode->i_locks))
        release(file->f_inode, LOCK_POSIX, owner);
}

void locks_release_file(struct file *file)
{
    if (list_empty(&file->f_inode->i_locks))
        return;
    release(file->f_inode, LOCK_OFD, file);
    release(file->f_inode, LOCK_FLOCK, file);
}
