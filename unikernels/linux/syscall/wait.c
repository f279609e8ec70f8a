#include <linux/fcntl.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "fs/pidfd.h"
#include "fs/vfs.h"
#include "lib/error.h"
#include "mm/uaccess.h"
#include "syscall/rusage.h"
#include "syscall/table.h"
#include "task/wait_child.h"

long sys_wait4(long pid, long status, long options, long rusage)
{
    struct wait_for w = {.options = (int)options | WEXITED};
    int id = (int)pid;

    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL)) return -EINVAL;
    if (id == INT32_MIN) return -ESRCH;
    w.type = id == -1 ? P_ALL : id > 0 ? P_PID : P_PGID;
    w.id = id > 0 ? id : id ? -id : current->process->pgid;
    int err = wait_for_child(&w);
    if (err || !w.pid) return err;
    if (status && put_user_u32((uaddr_t)status, (uint32_t)w.status)) return -EFAULT;
    if (rusage) {
        struct rusage ru = {0};
        rusage_set_cpu(&ru, w.cpu_ns);
        if (copy_to_user((uaddr_t)rusage, &ru, sizeof ru)) return -EFAULT;
    }
    return w.pid;
}

long sys_waitid(long type, long id, long info, long options, long rusage)
{
    struct wait_for w = {.type = (int)type, .id = (int)id, .options = (int)options};
    struct siginfo64 si = {0};
    bool nonblock = false;

    if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
        return -EINVAL;
    if (!(options & (WEXITED | WSTOPPED | WCONTINUED))) return -EINVAL;
    switch (type) {
    case P_ALL: break;
    case P_PID:
        if (w.id <= 0) return -EINVAL;
        break;
    case P_PGID:
        if (w.id < 0) return -EINVAL;
        if (!w.id) w.id = current->process->pgid;
        break;
    case P_PIDFD: {
        struct file *file = fget((int)id);
        if (!file) return -EBADF;
        const struct process *child = pidfd_process(file);
        w.type = P_PID;
        w.id = child ? child->reaped ? -1 : child->pid : 0; /* -1: nobody's */
        nonblock = file->f_flags & O_NONBLOCK;
        file_put(file);
        if (!w.id) return -EBADF;
        if (nonblock) w.options |= WNOHANG;
        break;
    }
    default: return -EINVAL;
    }
    int err = wait_for_child(&w);
    if (err) return err;
    if (!w.pid && nonblock && !(options & WNOHANG)) return -EAGAIN;
    if (w.pid) {
        si.si_signo = SIGCHLD;
        si.si_code = w.code;
        si.sender.pid = w.pid;
        si.sender.child.status = w.code == CLD_EXITED      ? w.status >> 8 & 0xff
                                 : w.code == CLD_STOPPED   ? w.status >> 8
                                 : w.code == CLD_CONTINUED ? SIGCONT
                                                           : w.status & 0x7f;
    }
    if (info && copy_to_user((uaddr_t)info, &si, sizeof si)) return -EFAULT;
    if (rusage) {
        struct rusage ru = {0};
        rusage_set_cpu(&ru, w.cpu_ns);
        if (copy_to_user((uaddr_t)rusage, &ru, sizeof ru)) return -EFAULT;
    }
    return 0;
}
