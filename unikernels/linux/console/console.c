/*
 * Descriptors 0, 1 and 2: pipes, files or a terminal of the host, of which the
 * guest knows only whether they are terminals.
 *
 * Host descriptors never block us: EAGAIN sends the one guest thread to sleep
 * until epoll tells of an edge. A read-ahead of one byte answers poll(2) exactly,
 * for the host has no call that would tell readiness again after an edge was used
 * up; all else is read as the program asks for it, because the rest may be
 * somebody else's.
 */
#include "console/console.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "boot/config.h"
#include "boot/host.h"
#include "console/tty.h"
#include "lib/print.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "task/task.h"

/* Of one host call: others run between two of them. */
#define CHUNK_MAX (256ul << 10)

#define CONSOLE_NUMBER (136ull << 8) /* the first pty: /dev/pts/0 */

struct stdio {
    int fd;
    bool registered, terminal;
    bool ahead; /* `byte` was read and nobody has got it yet */
    bool ended; /* a read gave 0 */
    char byte;
    struct host_source source;
    struct inode inode;
};

static struct console {
    struct stdio stdio[3];
    struct tty tty;
    struct wait_entry pump;
    int out; /* descriptor of the terminal's screen */
} console;

static const struct file_operations stdio_operations;

static struct stdio *stdio_of(int n)
{
    static const uint32_t tags[] = {RUNNC_EPOLL_STDIN, RUNNC_EPOLL_STDOUT, RUNNC_EPOLL_STDERR};
    struct stdio *s = &console.stdio[n];

    if (!s->registered) {
        s->fd = n;
        host_source_register(&s->source, tags[n]);
        s->registered = true;
    }
    return s;
}

static int wait_for(struct stdio *s, uint32_t events)
{
    return wait_event(&s->source.queue, s->source.ready & (events | EPOLLHUP | EPOLLERR));
}

/* ---- no terminal ---- */

/* Into the program's or kernel memory, where the host checks the rest of what is good about it. */
static ssize_t host_transfer(const struct stdio *s, const struct iov_iter *it, bool write)
{
    size_t len;
    uaddr_t at = iov_iter_piece(it, &len);

    len = MIN(len, CHUNK_MAX);
    if (!it->kernel && !user_range_ok(at, len, !write))
        return -EFAULT;
    for (bool touched = false;; touched = true) {
        ssize_t n = write ? host_write(s->fd, (const void *)at, len) : host_read(s->fd, (void *)at, len);
        /* What is closed to be opened by its first touch: ours, not the host's. */
        if (n != -EFAULT || touched || user_touch(at, len, !write))
            return n;
    }
}

static int64_t stdio_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct stdio *s = kiocb->file->f_private;
    int64_t done = 0;

    if (to->count == 0)
        return 0;
    if (s->ahead) {
        if (copy_to_iter(to, &s->byte, 1) != 1)
            return -EFAULT;
        s->ahead = false;
        done = 1;
    }
    while (to->count > 0) {
        ssize_t got = host_transfer(s, to, false);
        if (got >= 0) {
            s->ended = got == 0;
            return done + got;
        }
        if (got != -EAGAIN || done > 0)
            return done > 0 ? done : got;
        s->source.ready &= ~(uint32_t)EPOLLIN;
        if (kiocb->nonblock)
            return -EAGAIN;
        int err = wait_for(s, EPOLLIN);
        if (err)
            return err;
    }
    return done;
}

static int64_t stdio_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct stdio *s = kiocb->file->f_private;
    int64_t done = 0;

    while (from->count > 0) {
        ssize_t put = host_transfer(s, from, true);
        if (put > 0) {
            iov_iter_advance(from, (size_t)put);
            done += put;
            continue;
        }
        if (put == -EPIPE)
            signal_send_task(current, SIGPIPE);
        if (put != -EAGAIN)
            return done ? done : put;
        s->source.ready &= ~(uint32_t)EPOLLOUT;
        if (kiocb->nonblock)
            return done ? done : -EAGAIN;
        int err = wait_for(s, EPOLLOUT);
        if (err)
            return done ? done : err;
    }
    return done;
}

static void read_ahead(struct stdio *s)
{
    if (s->ahead || !(s->source.ready & (EPOLLIN | EPOLLHUP)))
        return;
    ssize_t got = host_read(s->fd, &s->byte, 1);
    s->ahead = got == 1;
    s->ended = got == 0;
    if (got == -EAGAIN)
        s->source.ready &= ~(uint32_t)EPOLLIN;
}

static uint32_t stdio_poll(struct file *file, struct poll_table *table)
{
    struct stdio *s = file->f_private;
    uint32_t events = 0;

    poll_wait(table, &s->source.queue);
    if (s->fd == 0) {
        read_ahead(s);
        if (s->ahead || s->ended)
            events |= EPOLLIN | EPOLLRDNORM;
        return events | (s->ended ? s->source.ready & EPOLLHUP : 0);
    }
    return (s->source.ready & EPOLLOUT ? EPOLLOUT | EPOLLWRNORM : 0) | (s->source.ready & EPOLLERR);
}

static int64_t stdio_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    struct stdio *s = file->f_private;

    if (cmd != FIONREAD)
        return -ENOTTY;
    if (s->fd == 0)
        read_ahead(s);
    return put_user_u32(arg, s->ahead);
}

static int stdio_open(struct inode *inode, struct file *file)
{
    file->f_private = container_of(inode, struct stdio, inode);
    return 0;
}

static const struct file_operations stdio_operations = {
    .open = stdio_open,
    .read = stdio_read,
    .write = stdio_write,
    .poll = stdio_poll,
    .ioctl = stdio_ioctl,
};

/* ---- the terminal ---- */

static ssize_t screen_output(struct tty *tty, const char *bytes, size_t n)
{
    struct stdio *s = stdio_of(console.out);

    (void)tty;
    if (n == 0)
        return 0;
    ssize_t put = host_write(s->fd, bytes, n);
    if (put == -EAGAIN)
        s->source.ready &= ~(uint32_t)EPOLLOUT;
    return put;
}

static int screen_wait(struct tty *tty)
{
    (void)tty;
    return wait_for(stdio_of(console.out), EPOLLOUT);
}

static void window_size(struct tty *tty, struct winsize *size)
{
    /* The host's, as long as it can be asked; it is in descriptor 0 that it is asked for. */
    *size = tty->winsize;
    host_winsize(size);
}

/* What was typed reaches the line discipline at once: ^C must work while nobody reads. */
static void pump_input(struct wait_entry *entry, uint32_t events)
{
    struct stdio *s = stdio_of(0);
    char bytes[256];

    (void)entry;
    (void)events;
    for (;;) {
        ssize_t got = host_read(s->fd, bytes, sizeof(bytes));
        if (got <= 0) {
            s->source.ready &= ~(uint32_t)EPOLLIN;
            if (got != -EAGAIN)
                tty_hangup(&console.tty);
            return;
        }
        tty_receive(&console.tty, bytes, (size_t)got);
    }
}

static int console_open(struct inode *inode, struct file *file)
{
    (void)inode;
    if (!boot_config.tty)
        return -ENXIO;
    tty_open(&console.tty, file);
    return 0;
}

/* The controlling terminal of the session, whichever it is. */
static int dev_tty_open(struct inode *inode, struct file *file)
{
    struct tty *tty = tty_of_session(current->process->sid);

    (void)inode;
    if (!tty)
        return -ENXIO;
    file->f_noctty = true;
    tty_open(tty, file);
    return 0;
}

const struct file_operations console_operations = {.open = console_open};
const struct file_operations dev_tty_operations = {.open = dev_tty_open};

/* ---- the first process's descriptors ---- */

static const struct inode_operations stdio_inode_operations;
static struct super_block stdio_sb = {.s_type = "pipefs", .s_magic = PIPEFS_MAGIC, .s_dev = 13, .s_flags = SB_NOCACHE};

static void start_terminal(void)
{
    struct tty *tty = &console.tty;

    if (tty->output)
        return;
    tty_init(tty, CONSOLE_NUMBER);
    /* As runc leaves it to the first process: the terminal of its session. */
    tty->session = tty->foreground = 1;
    tty->output = screen_output;
    tty->output_wait = screen_wait;
    tty->get_winsize = window_size;
    if (boot_config.tty)
        tty->winsize = (struct winsize){.ws_row = boot_config.tty->rows,
                                        .ws_col = boot_config.tty->cols,
                                        .ws_xpixel = boot_config.tty->xpixel,
                                        .ws_ypixel = boot_config.tty->ypixel};
    uint32_t terminals = host_boot_info()->stdio_tty;
    console.out = terminals & 2 ? 1 : terminals & 4 ? 2 : 0;
    if (terminals & 1) {
        console.pump.wake = pump_input;
        wait_add(&stdio_of(0)->source.queue, &console.pump);
        pump_input(&console.pump, EPOLLIN); /* what was typed before we came */
    }
}

static int open_terminal(struct file **opened)
{
    static const char *const names[] = {"/dev/pts/0", "/dev/console"};
    struct dentry *dentry;
    int err = -ENXIO;

    start_terminal();
    for (size_t i = 0; i < ARRAY_SIZE(names) && err; i++) {
        err = vfs_boot_lookup(names[i], &dentry);
        if (err)
            continue;
        err = dentry_open(dentry, O_RDWR | O_NOCTTY, opened);
        dput(dentry);
    }
    return err;
}

int console_open_stdio(int n, struct file **opened)
{
    struct stdio *s = stdio_of(n);
    char name[24];

    if (boot_config.tty && host_boot_info()->stdio_tty >> n & 1 && open_terminal(opened) == 0)
        return 0;
    if (s->inode.i_count == 0) {
        inode_init(&s->inode, &stdio_sb, S_IFIFO | 0600);
        s->inode.i_op = &stdio_inode_operations;
        s->inode.i_fop = &stdio_operations;
        s->inode.i_ino = (uint64_t)n + 1;
        if (boot_config.creds) {
            s->inode.i_uid = boot_config.creds->uid;
            s->inode.i_gid = boot_config.creds->gid;
        }
    }
    snprintf(name, sizeof(name), "pipe:[%d]", n + 1);
    return anon_file(name, iget(&s->inode), &stdio_operations, s, n == 0 ? O_RDONLY : O_WRONLY, opened);
}
