#include <asm/siginfo.h>
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/signalfd.h>

#include "fs/eventfd.h"
#include "fs/seq_file.h"
#include "mm/kmalloc.h"
#include "task/task.h"

struct signalfd {
    sigset64 mask;
};

static void translate(const struct siginfo64 *from, struct signalfd_siginfo *to)
{
    *to = (struct signalfd_siginfo){
        .ssi_signo = (uint32_t)from->si_signo, .ssi_errno = from->si_errno, .ssi_code = from->si_code};
    if (from->si_code == SI_TIMER) {
        to->ssi_tid = (uint32_t)from->timer.timerid;
        to->ssi_overrun = (uint32_t)from->timer.overrun;
        to->ssi_ptr = from->timer.value;
        to->ssi_int = (int32_t)from->timer.value;
        return;
    }
    to->ssi_pid = (uint32_t)from->sender.pid;
    to->ssi_uid = from->sender.uid;
    if (from->si_signo == SIGCHLD) {
        to->ssi_status = from->sender.child.status;
        to->ssi_utime = (uint64_t)from->sender.child.utime;
        to->ssi_stime = (uint64_t)from->sender.child.stime;
    } else {
        to->ssi_ptr = from->sender.value;
        to->ssi_int = (int32_t)from->sender.value;
    }
}

static int64_t signalfd_read(struct kiocb *kiocb, struct iov_iter *to)
{
    const struct signalfd *s = kiocb->file->f_private;
    int64_t done = 0;

    if (to->count < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    while (to->count >= sizeof(struct signalfd_siginfo)) {
        struct siginfo64 info;
        struct signalfd_siginfo out;
        if (signal_dequeue(s->mask, &info) == 0) {
            if (done > 0)
                break;
            if (kiocb->nonblock)
                return -EAGAIN;
            int err = wait_event(signal_wait_queue(), signal_peek(s->mask) != 0);
            if (err)
                return err;
            continue;
        }
        translate(&info, &out);
        if (copy_to_iter(to, &out, sizeof(out)) < (ssize_t)sizeof(out))
            return done ? done : -EFAULT;
        done += (int64_t)sizeof(out);
    }
    return done;
}

static uint32_t signalfd_poll(struct file *file, struct poll_table *table)
{
    const struct signalfd *s = file->f_private;

    poll_wait(table, signal_wait_queue());
    return signal_peek(s->mask) ? EPOLLIN | EPOLLRDNORM : 0;
}

static void signalfd_release(struct file *file)
{
    kfree(file->f_private);
}

static void signalfd_show_fdinfo(struct file *file, struct seq_file *seq)
{
    const struct signalfd *s = file->f_private;

    seq_printf(seq, "sigmask:\t%016llx\n", (unsigned long long)s->mask);
}

static const struct file_operations signalfd_operations = {
    .release = signalfd_release,
    .read = signalfd_read,
    .poll = signalfd_poll,
    .llseek = noop_llseek,
    .show_fdinfo = signalfd_show_fdinfo,
};

/* Those two cannot be taken this way; asking for them is no error. */
static sigset64 allowed(sigset64 mask)
{
    return mask & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
}

int signalfd_new(sigset64 mask, int flags, struct file **made)
{
    struct signalfd *s = kzalloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->mask = allowed(mask);
    int err = anon_file("anon_inode:[signalfd]", NULL, &signalfd_operations, s, O_RDWR | (flags & O_NONBLOCK), made);
    if (err)
        kfree(s);
    return err;
}

int signalfd_set(struct file *file, sigset64 mask)
{
    if (file->f_op != &signalfd_operations)
        return -EINVAL;
    ((struct signalfd *)file->f_private)->mask = allowed(mask);
    wake_up(signal_wait_queue());
    return 0;
}
