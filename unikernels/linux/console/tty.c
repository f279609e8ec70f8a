#include "console/tty.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>

#include <linux/tty.h>

#include "lib/string.h"
#include "mm/uaccess.h"
#include "task/signal_deliver.h"
#include "task/task.h"

#define MARK_END 0x100u /* a line ends with this character */
#define MARK_EOF 0x200u /* no character: VEOF */

#define NSEC_PER_DECISECOND 100000000ll

static const struct termios initial = {
    .c_iflag = ICRNL | IXON,
    .c_oflag = OPOST | ONLCR,
    .c_cflag = B38400 | CS8 | CREAD,
    .c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    .c_cc = {[VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VMIN] = 1, [VSTART] = 17,
             [VSTOP] = 19, [VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22},
};

static struct list terminals = {&terminals, &terminals};

void tty_init(struct tty *tty, uint64_t number)
{
    tty->termios = initial;
    tty->number = number;
    wait_queue_init(&tty->read_wait);
    wait_queue_init(&tty->write_wait);
    list_add_tail(&terminals, &tty->all_link);
}

void tty_remove(struct tty *tty)
{
    list_del(&tty->all_link);
}

static bool local(const struct tty *tty, uint32_t flag)
{
    return tty->termios.c_lflag & flag;
}

/* c is the control character of that index; 0 means that there is none. */
static bool is_control(const struct tty *tty, unsigned index, uint8_t c)
{
    return tty->termios.c_cc[index] == c && c != 0;
}

/* ---- output ---- */

/* One character for the screen, as OPOST wants it; at most 8 bytes. Returns their number. */
static size_t process_output(struct tty *tty, char c, char out[8])
{
    uint32_t flags = tty->termios.c_oflag;
    size_t n = 0;

    if (!(flags & OPOST)) {
        out[0] = c;
        return 1;
    }
    switch (c) {
    case '\n':
        if (flags & ONLCR)
            out[n++] = '\r';
        if (flags & (ONLCR | ONLRET))
            tty->column = 0;
        break;
    case '\r':
        if (flags & ONOCR && tty->column == 0)
            return 0;
        tty->column = 0;
        if (flags & OCRNL)
            c = '\n';
        break;
    case '\t': {
        uint32_t spaces = 8 - tty->column % 8;
        tty->column += spaces;
        if ((flags & TABDLY) == TAB3) {
            memset(out, ' ', spaces);
            return spaces;
        }
        break;
    }
    case '\b':
        if (tty->column > 0)
            tty->column--;
        break;
    default:
        if ((uint8_t)c >= ' ' && ((uint8_t)c & 0xc0) != 0x80)
            tty->column++;
        if (flags & OLCUC && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        break;
    }
    out[n++] = c;
    return n;
}

/* Echo is best effort: a screen that takes nothing now does not hold up the input. */
static void echo(struct tty *tty, const char *bytes, size_t n)
{
    char out[8];

    for (size_t i = 0; i < n; i++)
        tty->output(tty, out, process_output(tty, bytes[i], out));
}

static void echo_char(struct tty *tty, uint8_t c)
{
    if (local(tty, ECHOCTL) && (c < ' ' || c == 127) && c != '\n' && c != '\t') {
        const char shown[2] = {'^', (char)(c ^ 64)};
        echo(tty, shown, 2);
    } else {
        echo(tty, (const char *)&c, 1);
    }
}

static int64_t write_output(struct tty *tty, struct iov_iter *from, bool nonblock)
{
    char in[256], out[2048];
    int64_t done = 0;

    while (from->count > 0) {
        ssize_t got = copy_from_iter(from, in, MIN(from->count, sizeof(in)));
        if (got <= 0)
            return done ? done : got;
        size_t len = 0, sent = 0;
        for (ssize_t i = 0; i < got; i++)
            len += process_output(tty, in[i], out + len);
        while (sent < len) {
            ssize_t put = tty->stopped ? -EAGAIN : tty->output(tty, out + sent, len - sent);
            if (put > 0) {
                sent += (size_t)put;
                continue;
            }
            if (put != -EAGAIN)
                return done ? done : put;
            /* What was processed cannot be taken back: finish the piece even if O_NONBLOCK. */
            if (nonblock && sent == 0)
                return done ? done : -EAGAIN;
            int err = tty->stopped ? wait_event(&tty->write_wait, !tty->stopped) : tty->output_wait(tty);
            if (err)
                return done ? done : err;
        }
        done += got;
    }
    return done;
}

/* ---- input ---- */

static uint32_t room(const struct tty *tty)
{
    return TTY_INPUT_MAX - (tty->tail - tty->head);
}

static uint16_t *at(struct tty *tty, uint32_t position)
{
    return &tty->input[position % TTY_INPUT_MAX];
}

static void put(struct tty *tty, uint16_t entry)
{
    *at(tty, tty->tail++) = entry;
}

static void finish_line(struct tty *tty)
{
    tty->editable = tty->tail;
    wake_up_events(&tty->read_wait, EPOLLIN | EPOLLRDNORM);
}

static void signal_foreground(const struct tty *tty, int sig)
{
    if (tty->foreground)
        signal_send_group(tty->foreground, sig);
}

static void notify(struct tty *tty, uint32_t what)
{
    if (tty->notify)
        tty->notify(tty, what);
}

static void drop_input(struct tty *tty)
{
    tty->head = tty->tail = tty->editable = 0;
    if (tty->input_taken)
        tty->input_taken(tty);
}

static void stop_output(struct tty *tty, bool stop)
{
    if (tty->stopped == stop)
        return;
    tty->stopped = stop;
    notify(tty, stop ? TIOCPKT_STOP : TIOCPKT_START);
    if (!stop)
        wake_up_events(&tty->write_wait, EPOLLOUT);
}

static bool handle_signal(struct tty *tty, uint8_t c)
{
    int sig;

    if (is_control(tty, VINTR, c))
        sig = SIGINT;
    else if (is_control(tty, VQUIT, c))
        sig = SIGQUIT;
    else if (is_control(tty, VSUSP, c))
        sig = SIGTSTP;
    else
        return false;
    if (!local(tty, NOFLSH)) {
        drop_input(tty);
        notify(tty, TIOCPKT_FLUSHREAD);
        wake_up_events(&tty->write_wait, EPOLLOUT);
    }
    if (local(tty, ECHO))
        echo_char(tty, c);
    signal_foreground(tty, sig);
    return true;
}

static void erase_one(struct tty *tty)
{
    /* A UTF-8 character goes as a whole where the terminal says that it is UTF-8. */
    uint8_t c;
    do
        c = (uint8_t)*at(tty, --tty->tail);
    while (tty->termios.c_iflag & IUTF8 && (c & 0xc0) == 0x80 && tty->tail != tty->editable);
    if (!local(tty, ECHO))
        return;
    if (!local(tty, ECHOE)) {
        echo_char(tty, tty->termios.c_cc[VERASE]);
        return;
    }
    echo(tty, "\b \b", 3);
    if (local(tty, ECHOCTL) && (c < ' ' || c == 127) && c != '\t')
        echo(tty, "\b \b", 3);
}

static bool is_word(uint16_t entry)
{
    uint8_t c = (uint8_t)entry;

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 128;
}

static bool edit(struct tty *tty, uint8_t c)
{
    if (is_control(tty, VERASE, c)) {
        if (tty->tail != tty->editable)
            erase_one(tty);
        return true;
    }
    if (is_control(tty, VWERASE, c) && local(tty, IEXTEN)) {
        while (tty->tail != tty->editable && !is_word(*at(tty, tty->tail - 1)))
            erase_one(tty);
        while (tty->tail != tty->editable && is_word(*at(tty, tty->tail - 1)))
            erase_one(tty);
        return true;
    }
    if (is_control(tty, VKILL, c)) {
        if (local(tty, ECHOKE) && local(tty, ECHOE)) {
            while (tty->tail != tty->editable)
                erase_one(tty);
            return true;
        }
        tty->tail = tty->editable;
        if (local(tty, ECHO))
            echo_char(tty, c);
        if (local(tty, ECHOK))
            echo(tty, "\n", 1);
        return true;
    }
    if (is_control(tty, VREPRINT, c) && local(tty, IEXTEN)) {
        echo_char(tty, c);
        echo(tty, "\n", 1);
        for (uint32_t n = tty->editable; n != tty->tail; n++)
            echo_char(tty, (uint8_t)*at(tty, n));
        return true;
    }
    return false;
}

static void receive_canonical(struct tty *tty, uint8_t c)
{
    if (!tty->literal && edit(tty, c))
        return;
    if (!tty->literal && is_control(tty, VEOF, c)) {
        if (room(tty) > 0)
            put(tty, MARK_EOF | MARK_END);
        finish_line(tty);
        return;
    }
    bool end = !tty->literal && (c == '\n' || is_control(tty, VEOL, c) ||
                                 (is_control(tty, VEOL2, c) && local(tty, IEXTEN)));
    /* A full line still takes its end. */
    if (room(tty) == 0 || (room(tty) == 1 && !end))
        return;
    put(tty, end ? c | MARK_END : c);
    if (local(tty, ECHO) || (c == '\n' && local(tty, ECHONL)))
        echo_char(tty, c);
    if (end)
        finish_line(tty);
}

static void receive(struct tty *tty, uint8_t c)
{
    uint32_t flags = tty->termios.c_iflag;

    if (flags & ISTRIP)
        c &= 127;
    if (tty->literal) {
        if (local(tty, ICANON))
            receive_canonical(tty, c);
        tty->literal = false;
        return;
    }
    if (c == '\r' && flags & IGNCR)
        return;
    if (c == '\r' && flags & ICRNL)
        c = '\n';
    else if (c == '\n' && flags & INLCR)
        c = '\r';
    if (flags & IXON) {
        bool start = is_control(tty, VSTART, c), stop = is_control(tty, VSTOP, c);
        if (start || stop || (tty->stopped && flags & IXANY)) {
            stop_output(tty, stop);
            if (start || stop)
                return;
        }
    }
    if (local(tty, ISIG) && handle_signal(tty, c))
        return;
    if (!local(tty, ICANON)) {
        if (room(tty) == 0)
            return;
        put(tty, c);
        if (local(tty, ECHO))
            echo_char(tty, c);
        finish_line(tty);
        return;
    }
    if (is_control(tty, VLNEXT, c) && local(tty, IEXTEN)) {
        tty->literal = true;
        if (local(tty, ECHO))
            echo(tty, "^\b", 2);
        return;
    }
    receive_canonical(tty, c);
}

void tty_receive(struct tty *tty, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        receive(tty, (uint8_t)bytes[i]);
}

/* Characters that a reader may have now. */
static uint32_t available(const struct tty *tty)
{
    return tty->editable - tty->head;
}

size_t tty_receive_room(const struct tty *tty)
{
    uint32_t left = room(tty);

    /* A line too long to be finished: what is typed is lost, but the end of it must get through. */
    if (left <= 1 && local(tty, ICANON) && available(tty) == 0)
        return TTY_INPUT_MAX;
    return left > 1 ? left - 1 : 0;
}

/* ---- sessions ---- */

struct tty *tty_of_session(int sid)
{
    struct tty *tty;

    list_for_each(tty, &terminals, all_link) {
        if (sid && tty->session == sid)
            return tty;
    }
    return NULL;
}

/* Whoever has it open finds it dead; it may be opened anew. */
static void kill_files(struct tty *tty)
{
    tty->hangups++;
    drop_input(tty);
    if (tty->files > 0 && tty->closed)
        tty->closed(tty);
    tty->files = 0;
    wake_up(&tty->read_wait);
    wake_up(&tty->write_wait);
}

static void leave_session(struct tty *tty)
{
    int group = tty->foreground;

    tty->session = tty->foreground = 0;
    if (group) {
        signal_send_group(group, SIGHUP);
        signal_send_group(group, SIGCONT);
    }
}

void tty_hangup(struct tty *tty)
{
    struct process *leader = tty->session ? process_find(tty->session) : NULL;

    tty->hung_up = true;
    if (leader) {
        signal_send_process(leader, SIGHUP);
        signal_send_process(leader, SIGCONT);
    }
    leave_session(tty);
    wake_up(&tty->read_wait);
    wake_up(&tty->write_wait);
}

void tty_session_ended(int sid)
{
    struct tty *tty = tty_of_session(sid);

    if (!tty)
        return;
    leave_session(tty);
    kill_files(tty);
}

static bool is_orphaned(int pgid)
{
    const struct process *p;

    for (int pid = 0; (p = process_next(pid)); pid = p->pid) {
        if (p->pgid == pgid && !p->dead && p->parent && p->parent->pgid != pgid && p->parent->sid == p->sid)
            return false;
    }
    return true;
}

/* 0 if the running process may do what only the foreground may; else it gets the signal. */
static int check_foreground(const struct tty *tty, int sig)
{
    const struct process *self = current->process;

    if (self->sid != tty->session || tty->session == 0 || self->pgid == tty->foreground || tty->foreground == 0)
        return 0;
    bool deaf = current->blocked & SIGBIT(sig) || self->sighand->action[sig - 1].handler == SIGACTION_IGNORE;
    if (deaf)
        return sig == SIGTTIN ? -EIO : 0;
    if (is_orphaned(self->pgid))
        return -EIO;
    signal_send_group(self->pgid, sig);
    return -ERESTARTSYS;
}

static void join_session(struct tty *tty)
{
    tty->session = current->process->sid;
    tty->foreground = current->process->pgid;
}

static bool leads_session(void)
{
    return current->process->sid == current->process->pid;
}

static int64_t take_line(struct tty *tty, struct iov_iter *to)
{
    int64_t done = 0;

    while (to->count > 0 && available(tty) > 0) {
        uint16_t entry = *at(tty, tty->head);
        if (entry & MARK_EOF) {
            tty->head++;
            break;
        }
        char c = (char)entry;
        if (copy_to_iter(to, &c, 1) != 1)
            return done ? done : -EFAULT;
        tty->head++;
        done++;
        if (entry & MARK_END)
            break;
    }
    return done;
}

static int64_t take_raw(struct tty *tty, struct iov_iter *to)
{
    int64_t done = 0;

    while (to->count > 0 && available(tty) > 0) {
        char c = (char)*at(tty, tty->head);
        if (copy_to_iter(to, &c, 1) != 1)
            return done ? done : -EFAULT;
        tty->head++;
        done++;
    }
    return done;
}

/* VMIN and VTIME, as termios(3) tells for its four cases. */
static int64_t read_raw(struct tty *tty, struct iov_iter *to, bool nonblock)
{
    uint32_t min = MIN((uint32_t)tty->termios.c_cc[VMIN], to->count);
    int64_t time = tty->termios.c_cc[VTIME] * NSEC_PER_DECISECOND;

    if (nonblock)
        return available(tty) ? take_raw(tty, to) : tty->hung_up ? 0 : -EAGAIN;
    if (tty->termios.c_cc[VMIN] == 0) {
        if (time > 0) {
            int err = wait_event_deadline(&tty->read_wait, available(tty) > 0 || tty->hung_up, deadline_after(time));
            if (err && err != -ETIMEDOUT)
                return err;
        }
        return take_raw(tty, to);
    }
    uint32_t seen = 0;
    while (available(tty) < min && !tty->hung_up) {
        /* The timer between characters starts with the first one. */
        int64_t deadline = time > 0 && available(tty) > 0 ? deadline_after(time) : WAIT_FOREVER;
        seen = available(tty);
        int err = wait_event_deadline(&tty->read_wait, available(tty) > seen || tty->hung_up, deadline);
        if (err == -ETIMEDOUT)
            break;
        if (err && available(tty) == 0)
            return err;
        if (err)
            break;
    }
    return take_raw(tty, to);
}

static int64_t read_input(struct tty *tty, struct iov_iter *to, bool nonblock)
{
    int err = check_foreground(tty, SIGTTIN);

    if (to->count == 0 || err)
        return err;
    if (!local(tty, ICANON))
        return read_raw(tty, to, nonblock);
    if (available(tty) == 0) {
        if (tty->hung_up)
            return 0;
        if (nonblock)
            return -EAGAIN;
        uint64_t hangups = tty->hangups;
        err = wait_event(&tty->read_wait, available(tty) > 0 || tty->hung_up || tty->hangups != hangups);
        if (err)
            return err;
    }
    return take_line(tty, to);
}

/* ---- files ---- */

static struct tty *tty_of(const struct file *file)
{
    return file->f_private;
}

/* f_pos of a terminal's file is the number of hang-ups when it was opened: it has no position. */
static bool is_dead(const struct file *file)
{
    return tty_of(file)->hung_up || file->f_pos != tty_of(file)->hangups;
}

void tty_open(struct tty *tty, struct file *file)
{
    file->f_op = &tty_operations;
    file->f_private = tty;
    file->f_pos = tty->hangups;
    if (tty->files++ == 0 && tty->opened)
        tty->opened(tty);
    if (tty->get)
        tty->get(tty);
    if (!file->f_noctty && leads_session() && !tty->session && !tty_of_session(current->process->sid) && file->f_read)
        join_session(tty);
}

static void tty_release(struct file *file)
{
    struct tty *tty = tty_of(file);

    if (file->f_pos == tty->hangups && --tty->files == 0 && tty->closed)
        tty->closed(tty);
    if (tty->put)
        tty->put(tty);
}

static int64_t tty_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct tty *tty = tty_of(kiocb->file);

    /* What was typed before the other end went can still be read. */
    if (kiocb->file->f_pos != tty->hangups || (tty->hung_up && available(tty) == 0))
        return 0;
    int64_t done = read_input(tty, to, kiocb->nonblock);
    if (done > 0 && tty->input_taken)
        tty->input_taken(tty);
    return done;
}

static int64_t tty_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct tty *tty = tty_of(kiocb->file);

    if (is_dead(kiocb->file))
        return -EIO;
    int err = local(tty, TOSTOP) ? check_foreground(tty, SIGTTOU) : 0;
    return err ? err : write_output(tty, from, kiocb->nonblock);
}

static uint32_t tty_poll(struct file *file, struct poll_table *table)
{
    struct tty *tty = tty_of(file);
    uint32_t events = 0;

    poll_wait(table, &tty->read_wait);
    poll_wait(table, &tty->write_wait);
    if (is_dead(file))
        return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP;
    if (available(tty) > 0)
        events |= EPOLLIN | EPOLLRDNORM;
    if (!tty->stopped && (!tty->output_ready || tty->output_ready(tty)))
        events |= EPOLLOUT | EPOLLWRNORM;
    return events;
}

static int64_t tty_file_ioctl(struct file *file, uint32_t cmd, uint64_t arg)
{
    if (is_dead(file))
        return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
    return tty_ioctl(tty_of(file), cmd, arg, false);
}

const struct file_operations tty_operations = {
    .release = tty_release,
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = tty_file_ioctl,
};

/* ---- ioctl ---- */

/* Whether ^S and ^Q are flow control that the other end of a pty may do itself. */
static bool usual_flow_control(const struct termios *t)
{
    return t->c_iflag & IXON && t->c_cc[VSTOP] == 19 && t->c_cc[VSTART] == 17;
}

static int set_termios(struct tty *tty, uaddr_t arg, bool flush)
{
    struct termios new;

    if (copy_from_user(&new, arg, sizeof(new)))
        return -EFAULT;
    if (flush)
        drop_input(tty);
    /* Leaving line mode, a line that is not finished is readable as it is. */
    if (local(tty, ICANON) && !(new.c_lflag & ICANON))
        finish_line(tty);
    bool before = usual_flow_control(&tty->termios), after = usual_flow_control(&new);
    tty->termios = new;
    if (before != after)
        notify(tty, after ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
    if (!(new.c_iflag & IXON))
        stop_output(tty, false);
    return 0;
}

/* The settings' other form: struct termios2, which has speeds as numbers behind. */
static int get_termios2(const struct tty *tty, uaddr_t arg)
{
    struct termios2 out = {.c_ispeed = 38400, .c_ospeed = 38400};

    memcpy(&out, &tty->termios, sizeof(tty->termios));
    return copy_to_user(arg, &out, sizeof(out));
}

void tty_resize(struct tty *tty, const struct winsize *size)
{
    if (memcmp(size, &tty->winsize, sizeof(*size)) != 0)
        signal_foreground(tty, SIGWINCH);
    tty->winsize = *size;
}

static int set_winsize(struct tty *tty, uaddr_t arg)
{
    struct winsize size;

    if (copy_from_user(&size, arg, sizeof(size)))
        return -EFAULT;
    tty_resize(tty, &size);
    return 0;
}

static int get_winsize(struct tty *tty, uaddr_t arg)
{
    struct winsize size = tty->winsize;

    if (tty->get_winsize)
        tty->get_winsize(tty, &size);
    return copy_to_user(arg, &size, sizeof(size));
}

/* It is the running process's controlling terminal. */
static bool is_mine(const struct tty *tty)
{
    return tty->session != 0 && tty->session == current->process->sid;
}

static int take_terminal(struct tty *tty, bool steal)
{
    if (leads_session() && is_mine(tty))
        return 0;
    if (!leads_session() || tty_of_session(current->process->sid))
        return -EPERM;
    if (tty->session && !(steal && capable(CAP_SYS_ADMIN)))
        return -EPERM;
    join_session(tty);
    return 0;
}

/* A process that leads no session keeps the terminal of its session: Linux would take it from that one alone. */
static int give_up_terminal(struct tty *tty)
{
    if (!is_mine(tty))
        return -ENOTTY;
    if (leads_session())
        leave_session(tty);
    return 0;
}

static int set_foreground(struct tty *tty, uaddr_t arg)
{
    uint32_t raw;
    int err = check_foreground(tty, SIGTTOU);

    if (err)
        return err == -EIO ? -ENOTTY : err;
    if (!is_mine(tty))
        return -ENOTTY;
    if (get_user_u32(&raw, arg))
        return -EFAULT;
    if ((int)raw < 0)
        return -EINVAL;
    const struct process *p;
    for (int pid = 0; (p = process_next(pid)); pid = p->pid) {
        if (p->pgid != (int)raw)
            continue;
        if (p->sid != current->process->sid)
            return -EPERM;
        tty->foreground = (int)raw;
        return 0;
    }
    return -ESRCH;
}

/* Changes that a process in the background may not make. */
static bool is_change(uint32_t cmd)
{
    switch (cmd) {
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCFLSH:
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
        return true;
    default:
        return false;
    }
}

static int flush(struct tty *tty, uint64_t what)
{
    if (what > TCIOFLUSH)
        return -EINVAL;
    if (what != TCOFLUSH) {
        drop_input(tty);
        notify(tty, TIOCPKT_FLUSHREAD);
    }
    if (what != TCIFLUSH)
        notify(tty, TIOCPKT_FLUSHWRITE);
    return 0;
}

int64_t tty_ioctl(struct tty *tty, uint32_t cmd, uint64_t arg, bool from_master)
{
    int err = is_change(cmd) && !from_master ? check_foreground(tty, SIGTTOU) : 0;

    if (err)
        return err;
    switch (cmd) {
    case TCGETS:
        return copy_to_user(arg, &tty->termios, sizeof(tty->termios));
    case TCGETS2:
        return get_termios2(tty, arg);
    case TCSETS:
    case TCSETSW:
    case TCSETS2:
    case TCSETSW2:
        return set_termios(tty, arg, false);
    case TCSETSF:
    case TCSETSF2:
        return set_termios(tty, arg, true);
    case TIOCGWINSZ:
        return get_winsize(tty, arg);
    case TIOCSWINSZ:
        return set_winsize(tty, arg);
    case FIONREAD: /* TIOCINQ */
        return put_user_u32(arg, available(tty));
    case TIOCOUTQ:
        return put_user_u32(arg, 0);
    case TIOCGPGRP:
        return from_master || is_mine(tty) ? put_user_u32(arg, (uint32_t)tty->foreground) : -ENOTTY;
    case TIOCSPGRP:
        return set_foreground(tty, arg);
    case TIOCGSID:
        if (!tty->session || (!from_master && !is_mine(tty)))
            return -ENOTTY;
        return put_user_u32(arg, (uint32_t)tty->session);
    case TIOCSCTTY:
        return take_terminal(tty, arg == 1);
    case TIOCNOTTY:
        return give_up_terminal(tty);
    case TCFLSH:
        return flush(tty, arg);
    case TCSBRK:
    case TCSBRKP:
    case TIOCEXCL:
    case TIOCNXCL:
        return 0;
    case TIOCGETD:
        return put_user_u32(arg, N_TTY);
    case TCXONC:
        if (arg == TCOOFF || arg == TCOON)
            stop_output(tty, arg == TCOOFF);
        return arg > TCION ? -EINVAL : 0;
    default:
        return -ENOTTY;
    }
}
