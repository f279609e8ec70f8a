/* Waiting for files: poll, select, epoll. */
#include <asm/poll.h>
#include <linux/eventpoll.h>
#include <linux/posix_types.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "fs/epoll.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/task.h"
#include "time/clock.h"

/* ---- a task that waits on many queues ---- */

struct poll_waiter {
    struct poll_table table;
    struct wait_entry *entries;
    size_t count, size;
    bool failed;
};

static void add_queue(struct poll_table *table, struct wait_queue *queue)
{
    struct poll_waiter *w = container_of(table, struct poll_waiter, table);

    if (w->count == w->size) {
        w->failed = true; /* more queues than was reckoned with: see waiter_init() */
        return;
    }
    struct wait_entry *entry = &w->entries[w->count++];
    *entry = (struct wait_entry){.wake = wait_wake_task, .task = current};
    wait_add(queue, entry);
}

/* No poll operation of ours names more than two queues, but epoll's may ask others. */
static int waiter_init(struct poll_waiter *w, size_t files)
{
    *w = (struct poll_waiter){.table = {.queue = add_queue}, .size = files * 2};
    w->entries = kmalloc(MAX(w->size, 1ul) * sizeof(w->entries[0]));
    return w->entries ? 0 : -ENOMEM;
}

static void waiter_end(struct poll_waiter *w)
{
    for (size_t i = 0; i < w->count; i++)
        wait_remove(&w->entries[i]);
    kfree(w->entries);
}

static uint32_t file_poll(struct file *file, struct poll_table *table)
{
    if (!file->f_op->poll)
        return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
    return file->f_op->poll(file, table);
}

/* Deadline of a time-out in milliseconds; negative: none. */
static int64_t deadline_ms(int ms)
{
    return ms < 0 ? WAIT_FOREVER : ms == 0 ? 0 : deadline_after(ms * NSEC_PER_MSEC);
}

/* What is left of a time-out goes back to the program, for ppoll and pselect6. */
static void put_remaining(uaddr_t timeout, int64_t deadline_ns)
{
    if (!timeout || deadline_ns == WAIT_FOREVER)
        return;
    struct __kernel_timespec left = ns_to_timespec(MAX(deadline_ns - clock_monotonic(), 0));
    (void)copy_to_user(timeout, &left, sizeof(left)); /* as Linux: not worth an error */
}

/* ---- poll ---- */

struct polled {
    struct pollfd *fds;
    struct file **files; /* with references: they must outlive our place on their queues */
    size_t n;
};

static int polled_init(struct polled *p, uaddr_t fds, size_t n)
{
    *p = (struct polled){.n = n};
    if (n > task_rlimit(RLIMIT_NOFILE) || n > INT32_MAX / sizeof(struct pollfd))
        return -EINVAL;
    p->fds = kmalloc(MAX(n, 1ul) * sizeof(p->fds[0]));
    p->files = kzalloc(MAX(n, 1ul) * sizeof(p->files[0]));
    if (!p->fds || !p->files)
        return -ENOMEM;
    if (n > 0 && copy_from_user(p->fds, fds, n * sizeof(p->fds[0])))
        return -EFAULT;
    for (size_t i = 0; i < n; i++)
        p->files[i] = p->fds[i].fd >= 0 ? fget(p->fds[i].fd) : NULL;
    return 0;
}

static void polled_end(struct polled *p)
{
    for (size_t i = 0; p->files && i < p->n; i++)
        file_put(p->files[i]);
    kfree(p->files);
    kfree(p->fds);
}

static int scan(struct polled *p, struct poll_table *table)
{
    int ready = 0;

    for (size_t i = 0; i < p->n; i++) {
        struct pollfd *fd = &p->fds[i];
        fd->revents = 0;
        if (fd->fd < 0)
            continue;
        if (!p->files[i])
            fd->revents = POLLNVAL;
        else
            fd->revents = (short)(file_poll(p->files[i], table) & ((uint16_t)fd->events | POLLERR | POLLHUP));
        ready += fd->revents != 0;
    }
    return ready;
}

static long do_poll(uaddr_t fds, size_t n, int64_t deadline_ns)
{
    struct poll_waiter waiter = {0};
    struct polled p;
    long ready = polled_init(&p, fds, n);

    if (ready == 0)
        ready = waiter_init(&waiter, n);
    if (ready < 0)
        goto out;
    ready = scan(&p, &waiter.table);
    while (ready == 0 && deadline_ns != 0) {
        int err = wait_sleep(deadline_ns);
        ready = scan(&p, NULL);
        if (ready > 0 || err == -ETIMEDOUT)
            break;
        if (err) {
            ready = -EINTR;
            break;
        }
    }
    for (size_t i = 0; ready >= 0 && i < n; i++) {
        if (copy_to_user(fds + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents), &p.fds[i].revents,
                         sizeof(p.fds[i].revents)))
            ready = -EFAULT;
    }
out:
    waiter_end(&waiter);
    polled_end(&p);
    return ready;
}

/* poll goes on after a stop or an ignored signal with what is left of its time. */
static long poll_restart(struct restart_block *block)
{
    long ready = do_poll(block->arg, block->words[0], block->deadline_ns);

    return ready == -EINTR ? -ERESTART_RESTARTBLOCK : ready;
}

long sys_poll(long fds, long n, long timeout_ms)
{
    int64_t deadline = deadline_ms((int)timeout_ms);
    long ready = do_poll((uaddr_t)fds, (uint32_t)n, deadline);

    if (ready != -EINTR)
        return ready;
    current->restart = (struct restart_block){
        .restart = poll_restart, .deadline_ns = deadline, .arg = (uaddr_t)fds, .words = {(uint32_t)n}};
    return -ERESTART_RESTARTBLOCK;
}

/* A time-out of zero is a look, not a wait: no deadline that has passed. */
static int timeout_deadline(uaddr_t addr, int64_t *deadline_ns)
{
    struct __kernel_timespec ts;
    int64_t ns;

    *deadline_ns = WAIT_FOREVER;
    if (!addr)
        return 0;
    if (copy_from_user(&ts, addr, sizeof(ts)))
        return -EFAULT;
    int err = timespec_to_ns(&ts, &ns);
    if (!err)
        *deadline_ns = ns == 0 ? 0 : deadline_after(ns);
    return err;
}

long sys_ppoll(long fds, long n, long timeout, long mask, long mask_size)
{
    int64_t deadline;
    int err = timeout_deadline((uaddr_t)timeout, &deadline);

    if (!err)
        err = signal_set_temporary_mask((uaddr_t)mask, (size_t)mask_size);
    if (err)
        return err;
    long ready = do_poll((uaddr_t)fds, (uint32_t)n, deadline);
    put_remaining((uaddr_t)timeout, deadline);
    return ready == -EINTR ? -ERESTARTNOHAND : ready;
}

/* ---- select ---- */

#define SELECT_IN (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLHUP | EPOLLERR)
#define SELECT_OUT (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLERR)
#define SELECT_EX EPOLLPRI
#define WORD_BITS 64u

/* Three sets of bits asked for, three answered; each of `words` words. */
struct selected {
    uint64_t *in[3], *out[3];
    struct file **files;
    unsigned n, words;
};

static void selected_end(struct selected *s)
{
    for (unsigned fd = 0; s->files && fd < s->n; fd++)
        file_put(s->files[fd]);
    kfree(s->files);
    kfree(s->in[0]);
}

static bool wanted(const struct selected *s, unsigned set, unsigned fd)
{
    return s->in[set][fd / WORD_BITS] >> (fd % WORD_BITS) & 1;
}

static int selected_init(struct selected *s, int n, const uaddr_t sets[3])
{
    *s = (struct selected){0};
    if (n < 0)
        return -EINVAL;
    s->n = (unsigned)MIN((uint64_t)n, task_rlimit(RLIMIT_NOFILE));
    s->n = MIN(s->n, 1u << 20);
    s->words = (s->n + WORD_BITS - 1) / WORD_BITS;
    s->in[0] = kzalloc(MAX(s->words, 1u) * 6 * sizeof(uint64_t));
    s->files = kzalloc(MAX(s->n, 1u) * sizeof(s->files[0]));
    if (!s->in[0] || !s->files)
        return -ENOMEM;
    for (unsigned set = 0; set < 3; set++) {
        s->in[set] = s->in[0] + set * s->words;
        s->out[set] = s->in[0] + (set + 3) * s->words;
        if (sets[set] && copy_from_user(s->in[set], sets[set], s->words * sizeof(uint64_t)))
            return -EFAULT;
    }
    for (unsigned fd = 0; fd < s->n; fd++) {
        if (!wanted(s, 0, fd) && !wanted(s, 1, fd) && !wanted(s, 2, fd))
            continue;
        s->files[fd] = fget((int)fd);
        if (!s->files[fd])
            return -EBADF;
    }
    return 0;
}

static int select_scan(struct selected *s, struct poll_table *table)
{
    static const uint32_t bits[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
    int ready = 0;

    for (unsigned fd = 0; fd < s->n; fd++) {
        if (!s->files[fd])
            continue;
        uint32_t events = file_poll(s->files[fd], table);
        for (unsigned set = 0; set < 3; set++) {
            if (!wanted(s, set, fd) || !(events & bits[set]))
                continue;
            s->out[set][fd / WORD_BITS] |= 1ull << (fd % WORD_BITS);
            ready++;
        }
    }
    return ready;
}

static long do_select(int n, const uaddr_t sets[3], int64_t deadline_ns)
{
    struct poll_waiter waiter = {0};
    struct selected s;
    long ready = selected_init(&s, n, sets);

    if (ready == 0)
        ready = waiter_init(&waiter, s.n);
    if (ready < 0)
        goto out;
    ready = select_scan(&s, &waiter.table);
    while (ready == 0 && deadline_ns != 0) {
        int err = wait_sleep(deadline_ns);
        ready = select_scan(&s, NULL);
        if (ready > 0 || err == -ETIMEDOUT)
            break;
        if (err) {
            ready = -ERESTARTNOHAND;
            break;
        }
    }
    for (unsigned set = 0; ready >= 0 && set < 3; set++) {
        if (sets[set] && copy_to_user(sets[set], s.out[set], s.words * sizeof(uint64_t)))
            ready = -EFAULT;
    }
out:
    waiter_end(&waiter);
    selected_end(&s);
    return ready;
}

long sys_select(long n, long in, long out, long ex, long timeout)
{
    const uaddr_t sets[3] = {(uaddr_t)in, (uaddr_t)out, (uaddr_t)ex};
    int64_t deadline = WAIT_FOREVER;
    struct __kernel_old_timeval tv;

    if (timeout) {
        if (copy_from_user(&tv, (uaddr_t)timeout, sizeof(tv)))
            return -EFAULT;
        if (tv.tv_sec < 0 || tv.tv_usec < 0)
            return -EINVAL;
        /* Microseconds may be more than a second here: select(2) on Linux. */
        struct __kernel_timespec ts = {.tv_sec = tv.tv_sec + tv.tv_usec / 1000000,
                                       .tv_nsec = tv.tv_usec % 1000000 * NSEC_PER_USEC};
        int64_t ns;
        if (timespec_to_ns(&ts, &ns))
            return -EINVAL;
        deadline = ns == 0 ? 0 : deadline_after(ns);
    }
    long ready = do_select((int)n, sets, deadline);
    if (timeout && deadline != WAIT_FOREVER) {
        int64_t left = MAX(deadline - clock_monotonic(), 0);
        tv = (struct __kernel_old_timeval){.tv_sec = left / NSEC_PER_SEC,
                                           .tv_usec = left % NSEC_PER_SEC / NSEC_PER_USEC};
        (void)copy_to_user((uaddr_t)timeout, &tv, sizeof(tv));
    }
    return ready;
}

long sys_pselect6(long n, long in, long out, long ex, long timeout, long mask_arg)
{
    const uaddr_t sets[3] = {(uaddr_t)in, (uaddr_t)out, (uaddr_t)ex};
    uint64_t mask[2] = {0}; /* address and size */
    int64_t deadline;
    int err = timeout_deadline((uaddr_t)timeout, &deadline);

    if (!err && mask_arg)
        err = copy_from_user(mask, (uaddr_t)mask_arg, sizeof(mask));
    if (!err)
        err = signal_set_temporary_mask(mask[0], mask[1]);
    if (err)
        return err;
    long ready = do_select((int)n, sets, deadline);
    put_remaining((uaddr_t)timeout, deadline);
    return ready;
}

/* ---- epoll ---- */

long sys_epoll_create1(long flags)
{
    struct file *file;

    if (flags & ~(long)EPOLL_CLOEXEC)
        return -EINVAL;
    int err = epoll_new(&file);
    if (err)
        return err;
    int fd = fd_install(file, 0, flags & EPOLL_CLOEXEC);
    if (fd < 0)
        file_put(file);
    return fd;
}

long sys_epoll_create(long size)
{
    return (int)size <= 0 ? -EINVAL : sys_epoll_create1(0);
}

long sys_epoll_ctl(long epfd, long op, long fd, long event_addr)
{
    struct epoll_event event;
    bool has_event = op != EPOLL_CTL_DEL;

    if (has_event && copy_from_user(&event, (uaddr_t)event_addr, sizeof(event)))
        return -EFAULT;
    struct file *epoll = fget((int)epfd), *file = fget((int)fd);
    int err = epoll && file ? epoll_ctl(epoll, (int)op, (int)fd, file, has_event ? &event : NULL) : -EBADF;
    file_put(epoll);
    file_put(file);
    return err;
}

static long do_epoll_wait(int epfd, uaddr_t events, int max, int64_t deadline_ns)
{
    if (max <= 0 || max > INT32_MAX / (int)sizeof(struct epoll_event))
        return -EINVAL;
    struct file *epoll = fget(epfd);
    if (!epoll)
        return -EBADF;
    long count = epoll_wait(epoll, events, max, deadline_ns);
    file_put(epoll);
    return count;
}

long sys_epoll_wait(long epfd, long events, long max, long timeout_ms)
{
    return do_epoll_wait((int)epfd, (uaddr_t)events, (int)max, deadline_ms((int)timeout_ms));
}

long sys_epoll_pwait(long epfd, long events, long max, long timeout_ms, long mask, long mask_size)
{
    int err = signal_set_temporary_mask((uaddr_t)mask, (size_t)mask_size);

    return err ? err : sys_epoll_wait(epfd, events, max, timeout_ms);
}

long sys_epoll_pwait2(long epfd, long events, long max, long timeout, long mask, long mask_size)
{
    int64_t deadline;
    int err = timeout_deadline((uaddr_t)timeout, &deadline);

    if (!err)
        err = signal_set_temporary_mask((uaddr_t)mask, (size_t)mask_size);
    return err ? err : do_epoll_wait((int)epfd, (uaddr_t)events, (int)max, deadline);
}
