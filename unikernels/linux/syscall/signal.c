#include <asm/signal.h>
#include <linux/signal.h>

#include "entry/entry.h"
#include "fs/pidfd.h"
#include "fs/proc.h"
#include "fs/vfs.h"
#include "lib/error.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task.h"

#define SIGSET_BYTES 8
#define MIN_SIGSTACK 2048
#define SI_USER_ 0
#define SI_TKILL_ (-6)
#define KNOWN_SA                                                                                         \
    ((uint64_t)SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | \
     SA_EXPOSE_TAGBITS | 0x04000000)

long sys_rt_sigaction(long sig, long new, long old, long size)
{
    struct sigaction64 action, *slot;

    if (size != SIGSET_BYTES) return -EINVAL;
    if (sig < 1 || sig > SIG_COUNT) return -EINVAL;
    slot = &current->process->sighand->action[sig - 1];
    struct sigaction64 before = *slot;
    if (new) {
        if (copy_from_user(&action, (uaddr_t)new, sizeof action)) return -EFAULT;
        if (sig == SIGKILL || sig == SIGSTOP) return -EINVAL;
        action.flags &= KNOWN_SA;
        action.mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
        *slot = action;
        bool ignores = action.handler == SIGACTION_IGNORE ||
                       (action.handler == SIGACTION_DEFAULT &&
                        (sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH));
        if (ignores) {
            struct task *t;
            sigpending_drop(&current->process->pending, SIGBIT(sig));
            list_for_each(t, &current->process->tasks, process_link) sigpending_drop(&t->pending, SIGBIT(sig));
        }
    }
    if (old && copy_to_user((uaddr_t)old, &before, sizeof before)) return -EFAULT;
    return 0;
}

long sys_rt_sigprocmask(long how, long new, long old, long size)
{
    sigset64 set, before = current->blocked;

    if (size != SIGSET_BYTES) return -EINVAL;
    if (new) {
        if (copy_from_user(&set, (uaddr_t)new, sizeof set)) return -EFAULT;
        switch (how) {
        case SIG_BLOCK: set = before | set; break;
        case SIG_UNBLOCK: set = before & ~set; break;
        case SIG_SETMASK: break;
        default: return -EINVAL;
        }
        signal_set_blocked(set);
    }
    if (old && copy_to_user((uaddr_t)old, &before, sizeof before)) return -EFAULT;
    return 0;
}

long sys_rt_sigreturn(void)
{
    signal_return(current->regs);
    pending_work |= WORK_FULL;
    return 0;
}

long sys_rt_sigpending(long set, long size)
{
    sigset64 pending = signal_peek(current->blocked);

    if ((unsigned long)size > SIGSET_BYTES) return -EINVAL;
    return copy_to_user((uaddr_t)set, &pending, (size_t)size);
}

long sys_rt_sigtimedwait(long set, long info, long timeout, long size)
{
    struct siginfo64 si;
    sigset64 mask;
    int64_t deadline;
    int sig;

    if (size != SIGSET_BYTES) return -EINVAL;
    if (copy_from_user(&mask, (uaddr_t)set, sizeof mask)) return -EFAULT;
    mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
    int err = deadline_from_user_timespec((uaddr_t)timeout, &deadline);
    if (err) return err;
    sig = signal_dequeue(mask, &si);
    if (!sig) {
        /* Unblocked while we wait, so that their arrival wakes us. */
        sigset64 blocked = current->blocked;
        current->awaited = mask;
        signal_set_blocked(blocked & ~mask);
        err = wait_sleep(deadline);
        current->awaited = 0;
        sig = signal_dequeue(mask, &si);
        signal_set_blocked(blocked);
        if (!sig) return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
    }
    if (info && copy_to_user((uaddr_t)info, &si, sizeof si)) return -EFAULT;
    return sig;
}

long sys_rt_sigsuspend(long set, long size)
{
    int err = signal_set_temporary_mask((uaddr_t)set, (size_t)size);

    if (err) return err;
    while (!wait_sleep(WAIT_FOREVER)) {
    }
    return -ERESTARTNOHAND;
}

long sys_pause(void)
{
    while (!wait_sleep(WAIT_FOREVER)) {
    }
    return -ERESTARTNOHAND;
}

/* kill(2)'s rule: same user, or CAP_KILL; SIGCONT within a session. */
static bool may_signal(const struct process *p, int sig)
{
    const struct cred *me = current->cred, *they;

    if (p == current->process || capable(CAP_KILL)) return true;
    if (list_empty(&p->tasks)) return true;
    they = list_first(&p->tasks, struct task, process_link)->cred;
    if (me->euid == they->suid || me->euid == they->uid || me->uid == they->suid || me->uid == they->uid) return true;
    return sig == SIGCONT && p->sid == current->process->sid;
}

static struct siginfo64 user_info(int sig, int code)
{
    return (struct siginfo64){.si_signo = sig, .si_code = code,
                              .sender = {.pid = current->process->pid, .uid = current->cred->uid}};
}

static int kill_one(struct process *p, int sig)
{
    struct siginfo64 info = user_info(sig, SI_USER_);

    if (!may_signal(p, sig)) return -EPERM;
    return sig ? signal_send_info(p, NULL, &info) : 0;
}

static int kill_many(int pgid, int sig)
{
    struct process *p;
    int result = -ESRCH;

    for (int pid = 0; (p = process_next(pid)); pid = p->pid) {
        if (pgid == -1 ? p->pid == 1 || p == current->process : p->pgid != pgid) continue;
        int err = kill_one(p, sig);
        if (!err || result == -ESRCH) result = err;
    }
    return result;
}

long sys_kill(long pid, long sig)
{
    int id = (int)pid;

    if ((unsigned long)sig > SIG_COUNT) return -EINVAL;
    if (id > 0) {
        struct process *p = process_find(id);
        return p ? kill_one(p, (int)sig) : -ESRCH;
    }
    if (id == INT32_MIN) return -ESRCH;
    return kill_many(id == -1 ? -1 : id ? -id : current->process->pgid, (int)sig);
}

static long send_task(int tgid, int tid, int sig, const struct siginfo64 *info)
{
    struct task *t = task_find(tid);

    if (!t || (tgid > 0 && t->process->pid != tgid)) return -ESRCH;
    if (!may_signal(t->process, sig)) return -EPERM;
    return sig ? signal_send_info(t->process, t, info) : 0;
}

long sys_tkill(long tid, long sig)
{
    struct siginfo64 info = user_info((int)sig, SI_TKILL_);

    if ((int)tid <= 0 || (unsigned long)sig > SIG_COUNT) return -EINVAL;
    return send_task(0, (int)tid, (int)sig, &info);
}

long sys_tgkill(long tgid, long tid, long sig)
{
    struct siginfo64 info = user_info((int)sig, SI_TKILL_);

    if ((int)tid <= 0 || (int)tgid <= 0 || (unsigned long)sig > SIG_COUNT) return -EINVAL;
    return send_task((int)tgid, (int)tid, (int)sig, &info);
}

static int queued_info(uaddr_t from, int sig, const struct process *to, struct siginfo64 *info)
{
    if (copy_from_user(info, from, sizeof *info)) return -EFAULT;
    info->si_signo = sig;
    /* Nobody can pretend to be the kernel or kill() to others. */
    if ((info->si_code >= 0 || info->si_code == SI_TKILL_) && to != current->process) return -EPERM;
    return 0;
}

long sys_rt_sigqueueinfo(long pid, long sig, long uinfo)
{
    struct process *p = process_find((int)pid);
    struct siginfo64 info;

    if ((unsigned long)sig > SIG_COUNT) return -EINVAL;
    int err = queued_info((uaddr_t)uinfo, (int)sig, p, &info);
    if (err) return err;
    if (!p) return -ESRCH;
    if (!may_signal(p, (int)sig)) return -EPERM;
    return sig ? signal_send_info(p, NULL, &info) : 0;
}

long sys_pidfd_send_signal(long fd, long sig, long uinfo, long flags)
{
    struct siginfo64 info = user_info((int)sig, SI_USER_);

    if (flags) return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file) return -EBADF;
    struct process *p = pidfd_process(file);
    int pid = p ? 0 : proc_pid_of(file); /* as it was before there were pidfds */
    if (pid) p = process_find(pid);
    long r = p ? 0 : pid ? -ESRCH : -EBADF;
    if (!r && (unsigned long)sig > SIG_COUNT) r = -EINVAL;
    if (!r && uinfo) {
        r = copy_from_user(&info, (uaddr_t)uinfo, sizeof info);
        /* Only to oneself may it be told as from the kernel or kill(2). */
        if (!r && info.si_signo != (int)sig) r = -EINVAL;
        if (!r && p != current->process && (info.si_code >= 0 || info.si_code == SI_TKILL_)) r = -EPERM;
    }
    if (!r && p->reaped) r = -ESRCH;
    if (!r && !may_signal(p, (int)sig)) r = -EPERM;
    if (!r && sig) r = signal_send_info(p, NULL, &info);
    file_put(file);
    return r;
}

long sys_rt_tgsigqueueinfo(long tgid, long tid, long sig, long uinfo)
{
    struct task *t = task_find((int)tid);
    struct siginfo64 info;

    if ((int)tid <= 0 || (int)tgid <= 0 || (unsigned long)sig > SIG_COUNT) return -EINVAL;
    int err = queued_info((uaddr_t)uinfo, (int)sig, t ? t->process : NULL, &info);
    return err ? err : send_task((int)tgid, (int)tid, (int)sig, &info);
}

struct stack64 {
    uaddr_t sp;
    int flags, pad;
    size_t size;
};

long sys_sigaltstack(long new, long old)
{
    struct altstack *a = &current->altstack;
    uaddr_t sp = current->regs->rsp;
    bool on = a->size && !(a->flags & (int)SS_AUTODISARM) && sp > a->sp && sp - a->sp <= a->size;
    struct stack64 s, before = {.sp = a->sp, .size = a->size,
                                .flags = !a->size ? SS_DISABLE : on ? SS_ONSTACK : a->flags};

    if (new) {
        if (copy_from_user(&s, (uaddr_t)new, sizeof s)) return -EFAULT;
        if (on) return -EPERM;
        int mode = s.flags & ~(int)SS_AUTODISARM;
        if (mode != SS_DISABLE && mode != SS_ONSTACK && mode) return -EINVAL;
        if (mode == SS_DISABLE) {
            *a = (struct altstack){.flags = SS_DISABLE};
        } else {
            if (s.size < MIN_SIGSTACK) return -ENOMEM;
            *a = (struct altstack){.sp = s.sp, .flags = s.flags & (int)SS_AUTODISARM, .size = s.size};
        }
    }
    if (old && copy_to_user((uaddr_t)old, &before, sizeof before)) return -EFAULT;
    return 0;
}
