#include "fs/pidfd.h"

#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "fs/seq_file.h"
#include "fs/vfs.h"
#include "task/task.h"

static uint32_t pidfd_poll(struct file *file, struct poll_table *table)
{
    struct process *p = file->f_private;

    poll_wait(table, &p->exit_wait);
    return p->dead ? EPOLLIN | EPOLLRDNORM : 0;
}

static void pidfd_release(struct file *file)
{
    process_put(file->f_private);
}

static void pidfd_show_fdinfo(struct file *file, struct seq_file *seq)
{
    const struct process *p = file->f_private;
    int pid = p->reaped ? -1 : p->pid;

    seq_printf(seq, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_operations pidfd_operations = {
    .release = pidfd_release,
    .poll = pidfd_poll,
    .llseek = noop_llseek,
    .show_fdinfo = pidfd_show_fdinfo,
};

int pidfd_new(struct process *process, int flags, struct file **made)
{
    int err = anon_file("anon_inode:[pidfd]", NULL, &pidfd_operations, process, O_RDWR | (flags & O_NONBLOCK), made);

    if (!err)
        process_get(process);
    return err;
}

struct process *pidfd_process(const struct file *file)
{
    return file->f_op == &pidfd_operations ? file->f_private : NULL;
}
