#include "console/pty.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "boot/config.h"
#include "console/console.h"
#include "console/tty.h"
#include "fs/devpts.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define SCREEN_PAGES 4u
#define SCREEN_SIZE (SCREEN_PAGES * PAGE_SIZE)
#define PTY_MAX 4096u /* kernel.pty.max */

struct pty {
    struct tty tty; /* the slave's side */
    struct list all_link;
    uint32_t index, refs;
    bool locked;       /* until unlockpt(3) */
    bool slave_closed; /* it was open, and is no more */
    bool packet;       /* TIOCPKT */
    uint32_t told;     /* TIOCPKT_* bits that the master has not read */
    /* The screen: what was written by the slave and not yet read by the master. */
    char *screen;
    uint32_t head, len;
    struct wait_queue wait; /* the master's */
};

static struct list ptys = {&ptys, &ptys}; /* that have a master, by index */

static struct pty *pty_of(struct tty *tty)
{
    return container_of(tty, struct pty, tty);
}

static void pty_put(struct pty *pty)
{
    if (--pty->refs > 0)
        return;
    tty_remove(&pty->tty);
    if (pty->screen)
        page_free(pty->screen, SCREEN_PAGES);
    kfree(pty);
}

/* ---- the slave's side, for the line discipline ---- */

static ssize_t screen_output(struct tty *tty, const char *bytes, size_t n)
{
    struct pty *pty = pty_of(tty);

    if (!pty->screen)
        pty->screen = page_alloc(SCREEN_PAGES);
    if (!pty->screen)
        return -ENOMEM;
    n = MIN(n, SCREEN_SIZE - pty->len);
    if (n == 0)
        return -EAGAIN;
    for (size_t i = 0; i < n; i++)
        pty->screen[(pty->head + pty->len + i) % SCREEN_SIZE] = bytes[i];
    pty->len += (uint32_t)n;
    wake_up_events(&pty->wait, EPOLLIN | EPOLLRDNORM);
    return (ssize_t)n;
}

static bool screen_ready(struct tty *tty)
{
    return pty_of(tty)->len < SCREEN_SIZE;
}

static int screen_wait(struct tty *tty)
{
    struct pty *pty = pty_of(tty);
    int err = wait_event(&tty->write_wait, pty->len < SCREEN_SIZE || tty->hung_up);

    return err ? err : tty->hung_up ? -EIO : 0;
}

static void input_taken(struct tty *tty)
{
    wake_up_events(&pty_of(tty)->wait, EPOLLOUT | EPOLLWRNORM);
}

static void notify(struct tty *tty, uint32_t what)
{
    struct pty *pty = pty_of(tty);

    if (what == TIOCPKT_FLUSHWRITE)
        pty->head = pty->len = 0;
    if (!pty->packet)
        return;
    /* Of a pair of opposites the later one counts. */
    if (what & (TIOCPKT_STOP | TIOCPKT_START))
        pty->told &= ~(uint32_t)(TIOCPKT_STOP | TIOCPKT_START);
    if (what & (TIOCPKT_NOSTOP | TIOCPKT_DOSTOP))
        pty->told &= ~(uint32_t)(TIOCPKT_NOSTOP | TIOCPKT_DOSTOP);
    pty->told |= what;
    wake_up_events(&pty->wait, EPOLLIN | EPOLLPRI);
}

static void slave_opened(struct tty *tty)
{
    pty_of(tty)->slave_closed = false;
}

static void slave_closed(struct tty *tty)
{
    pty_of(tty)->slave_closed = true;
    wake_up(&pty_of(tty)->wait);
}

static void slave_get(struct tty *tty)
{
    pty_of(tty)->refs++;
}

static void slave_put(struct tty *tty)
{
    pty_put(pty_of(tty));
}

static int pts_open(struct inode *inode, struct file *file)
{
    uint64_t minor = (inode->i_rdev & 0xff) | (inode->i_rdev >> 12 & 0xfff00);
    struct pty *pty;

    if (minor == 0 && boot_config.tty)
        return console_operations.open(inode, file);
    list_for_each(pty, &ptys, all_link) {
        if (pty->index != minor)
            continue;
        if (pty->locked)
            return -EIO;
        tty_open(&pty->tty, file);
        return 0;
    }
    return -EIO;
}

const struct file_operations pts_operations = {.open = pts_open};

/* ---- the master ---- */

static const struct file_operations master_operations;

/* The lowest index that is free, and where it goes in the list. */
static uint32_t free_index(struct list **before)
{
    uint32_t index = boot_config.tty ? 1 : 0; /* the container's own terminal is 0 */
    struct pty *pty;

    list_for_each(pty, &ptys, all_link) {
        if (pty->index != index)
            break;
        index++;
    }
    *before = &pty->all_link;
    return index;
}

static int pty_new(struct pty **made)
{
    struct list *before;
    uint32_t index = free_index(&before);

    if (index >= PTY_MAX)
        return -ENOSPC;
    struct pty *pty = kzalloc(sizeof(*pty));
    if (!pty)
        return -ENOMEM;
    int err = devpts_add(index);
    if (err) {
        kfree(pty);
        return err;
    }
    pty->index = index;
    pty->refs = 1;
    pty->locked = true;
    wait_queue_init(&pty->wait);
    struct tty *tty = &pty->tty;
    tty_init(tty, (uint64_t)PTS_MAJOR << 8 | (index & 0xff) | (uint64_t)(index & 0xfff00) << 12);
    tty->output = screen_output;
    tty->output_ready = screen_ready;
    tty->output_wait = screen_wait;
    tty->input_taken = input_taken;
    tty->notify = notify;
    tty->opened = slave_opened;
    tty->closed = slave_closed;
    tty->get = slave_get;
    tty->put = slave_put;
    list_insert(&pty->all_link, before->prev, before);
    *made = pty;
    return 0;
}

static int ptmx_open(struct inode *inode, struct file *file)
{
    struct pty *pty;
    int err = pty_new(&pty);

    (void)inode;
    if (err)
        return err;
    file->f_op = &master_operations;
    file->f_private = pty;
    return 0;
}

const struct file_operations ptmx_operations = {.open = ptmx_open};

static void master_gone(struct pty *pty)
{
    list_del(&pty->all_link);
    devpts_remove(pty->index);
    tty_hangup(&pty->tty);
    pty_put(pty);
}

static void master_release(struct file *file)
{
    master_gone(file->f_private);
}

static int64_t take_told(struct pty *pty, struct iov_iter *to)
{
    uint8_t told = (uint8_t)pty->told;

    if (copy_to_iter(to, &told, 1) != 1)
        return -EFAULT;
    pty->told = 0;
    return 1;
}

static int64_t master_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct pty *pty = kiocb->file->f_private;
    int64_t done = 0;

    if (to->count == 0)
        return 0;
    if (pty->len == 0 && !pty->told) {
        if (pty->slave_closed)
            return -EIO;
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_event(&pty->wait, pty->len > 0 || pty->told || pty->slave_closed);
        if (err)
            return err;
    }
    if (pty->told)
        return take_told(pty, to);
    if (pty->len == 0)
        return -EIO;
    if (pty->packet) {
        uint8_t data = TIOCPKT_DATA;
        if (copy_to_iter(to, &data, 1) != 1)
            return -EFAULT;
        done = 1;
    }
    while (to->count > 0 && pty->len > 0) {
        size_t part = MIN(MIN(to->count, pty->len), SCREEN_SIZE - pty->head);
        ssize_t copied = copy_to_iter(to, pty->screen + pty->head, part);
        if (copied <= 0)
            return done ? done : copied;
        pty->head = (uint32_t)((pty->head + (size_t)copied) % SCREEN_SIZE);
        pty->len -= (uint32_t)copied;
        done += copied;
    }
    wake_up_events(&pty->tty.write_wait, EPOLLOUT | EPOLLWRNORM);
    return done;
}

static int64_t master_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct pty *pty = kiocb->file->f_private;
    char bytes[256];
    int64_t done = 0;

    while (from->count > 0) {
        size_t room = tty_receive_room(&pty->tty);
        if (room == 0) {
            if (kiocb->nonblock)
                return done ? done : -EAGAIN;
            int err = wait_event(&pty->wait, tty_receive_room(&pty->tty) > 0);
            if (err)
                return done ? done : err;
            continue;
        }
        ssize_t got = copy_from_iter(from, bytes, MIN(MIN(room, from->count), sizeof(bytes)));
        if (got <= 0)
            return done ? done : got;
        tty_receive(&pty->tty, bytes, (size_t)got);
        done += got;
    }
    return done;
}

static uint32_t master_poll(struct file *file, struct poll_table *table)
{
    struct pty *pty = file->f_private;
    uint32_t events = 0;

    poll_wait(table, &pty->wait);
    if (pty->len > 0 || pty->told || pty->slave_closed)
        events |= EPOLLIN | EPOLLRDNORM;
    if (pty->told)
        events |= EPOLLPRI;
    if (pty->slave_closed)
        events |= EPOLLHUP;
    if (tty_receive_room(&pty->tty) > 0)
        events |= EPOLLOUT | EPOLLWRNORM;
    return events;
}

/* TIOCGPTPEER: the slave, even where no path leads to it. */
static int64_t open_peer(const struct pty *pty, uint64_t flags)
{
    struct file *slave;
    int err = devpts_open(pty->index, (int)flags, &slave);

    if (err)
        return err;
    int fd = fd_install(slave, 0, flags & O_CLOEXEC);
    if (fd < 0)
        file_put(slave);
    return fd;
}

static int64_t set_flag(uint64_t arg, bool *flag)
{
    uint32_t value;

    if (get_user_u32(&value, arg))
        return -EFAULT;
    *flag = value != 0;
    return 0;
}

static int64_t set_packet(struct pty *pty, uint64_t arg)
{
    bool was = pty->packet;
    int64_t err = set_flag(arg, &pty->packet);

    if (!was && pty->packet)
        pty->told = 0;
    return err;
}

static int64_t send_signal(const struct pty *pty, uint64_t sig)
{
    if (sig < 1 || sig > SIG_COUNT || (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP))
        return -EINVAL;
    if (pty->tty.foreground)
        signal_send_group(pty->tty.foreground, (int)sig);
    return 0;
}

static int64_t master_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    struct pty *pty = file->f_private;

    switch (cmd) {
    case TIOCGPTN:
        return put_user_u32(arg, pty->index);
    case TIOCSPTLCK:
        return set_flag(arg, &pty->locked);
    case TIOCGPTLCK:
        return put_user_u32(arg, pty->locked);
    case TIOCGPTPEER:
        return open_peer(pty, arg);
    case TIOCPKT:
        return set_packet(pty, arg);
    case TIOCGPKT:
        return put_user_u32(arg, pty->packet);
    case TIOCSIG:
        return send_signal(pty, arg);
    case FIONREAD:
        return put_user_u32(arg, pty->len);
    default:
        return tty_ioctl(&pty->tty, cmd, arg, true);
    }
}

static const struct file_operations master_operations = {
    .release = master_release,
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
};

int pty_pair(const struct winsize *size, struct file **master, struct file **slave)
{
    struct pty *pty;
    int err = pty_new(&pty);

    if (err)
        return err;
    pty->locked = false;
    pty->tty.winsize = *size;
    err = anon_file("/dev/ptmx", NULL, &master_operations, pty, O_RDWR | O_NONBLOCK, master);
    if (err) {
        master_gone(pty);
        return err;
    }
    err = devpts_open(pty->index, O_RDWR, slave);
    if (err)
        file_put(*master);
    return err;
}

void pty_resize(struct file *master, const struct winsize *size)
{
    struct pty *pty = master->f_private;

    tty_resize(&pty->tty, size);
}
