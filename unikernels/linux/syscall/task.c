#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "entry/entry.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/string.h"
#include "loader/exec.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "fs/pidfd.h"
#include "fs/vfs.h"
#include "syscall/table.h"
#include "task/cred_impl.h"
#include "task/futex.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task_impl.h"

#define CLONE_ARGS_V0 64
#define CSIGNAL_MASK 0xffu
#define ROBUST_HEAD_BYTES 24

long sys_clone(long flags, long stack, long parent_tid, long child_tid, long tls)
{
    struct clone_args64 a = {
        .flags = (uint64_t)flags & 0xffffffffull & ~(uint64_t)CSIGNAL_MASK,
        .exit_signal = (int)(flags & CSIGNAL_MASK),
        .stack = (uaddr_t)stack,
        .parent_tid = (uaddr_t)parent_tid,
        .child_tid = (uaddr_t)child_tid,
        .tls = (uint64_t)tls,
    };

    /* With the old call, a thread's exit signal is not looked at. */
    if (a.flags & CLONE_THREAD) a.exit_signal = 0;
    return task_clone(&a);
}

long sys_clone3(long args, long size)
{
    struct clone_args u = {0};

    if ((size_t)size < CLONE_ARGS_V0) return -EINVAL;
    if ((size_t)size > PAGE_SIZE) return -E2BIG;
    int err = copy_from_user(&u, (uaddr_t)args, MIN((size_t)size, sizeof u));
    if (err) return err;
    for (size_t i = sizeof u; i < (size_t)size; i++) {
        uint8_t rest;
        if (copy_from_user(&rest, (uaddr_t)args + i, 1)) return -EFAULT;
        if (rest) return -E2BIG;
    }
    if (u.flags & CSIGNAL_MASK || u.set_tid_size || u.set_tid) return u.set_tid_size ? -EPERM : -EINVAL;
    if (u.flags & CLONE_INTO_CGROUP || u.exit_signal & ~(uint64_t)CSIGNAL_MASK) return -EINVAL;
    if (u.flags & (CLONE_THREAD | CLONE_PARENT) && u.exit_signal) return -EINVAL;
    if (!u.stack != !u.stack_size) return -EINVAL;
    struct clone_args64 a = {
        .flags = u.flags, .child_tid = u.child_tid, .parent_tid = u.parent_tid, .pidfd = u.pidfd,
        .exit_signal = (int)u.exit_signal, .stack = u.stack ? u.stack + u.stack_size : 0, .tls = u.tls,
    };
    return task_clone(&a);
}

long sys_fork(void)
{
    struct clone_args64 a = {.exit_signal = SIGCHLD};

    return task_clone(&a);
}

long sys_vfork(void)
{
    struct clone_args64 a = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD};

    return task_clone(&a);
}

static int add_user_list(struct exec_strings *s, uaddr_t list, unsigned *count)
{
    uint64_t text;

    for (; list; list += sizeof text, (*count)++) {
        int err = get_user_u64(&text, list);
        if (err || !text) return err;
        err = exec_strings_add_user(s, text);
        if (err) return err;
    }
    return 0;
}

static long exec(const char *path, uaddr_t argv, uaddr_t envp)
{
    struct exec_strings strings = {0};
    int err = add_user_list(&strings, argv, &strings.argc);

    if (!err) err = add_user_list(&strings, envp, &strings.envc);
    if (err) {
        exec_strings_free(&strings);
        return err;
    }
    return exec_program(path, &strings);
}

long sys_execve(long path, long argv, long envp)
{
    char *p = path_from_user((uaddr_t)path);

    if (IS_ERR(p)) return PTR_ERR(p);
    long r = exec(p, (uaddr_t)argv, (uaddr_t)envp);
    kfree(p);
    return r;
}

long sys_execveat(long dirfd, long path, long argv, long envp, long flags)
{
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) return -EINVAL;
    char *p = path_from_user((uaddr_t)path);
    if (IS_ERR(p)) return PTR_ERR(p);

    long r = -ENOENT;
    char name[48];
    if (*p == '/' || (int)dirfd == AT_FDCWD) {
        r = exec(p, (uaddr_t)argv, (uaddr_t)envp);
    } else if (*p || flags & AT_EMPTY_PATH) {
        /* As Linux names it for the program: /dev/fd/N or /dev/fd/N/path. */
        size_t n = strlen(p) + sizeof name;
        char *full = kmalloc(n);
        if (full) {
            snprintf(full, n, *p ? "/proc/self/fd/%d/%s" : "/proc/self/fd/%d", (int)dirfd, p);
            r = exec(full, (uaddr_t)argv, (uaddr_t)envp);
            kfree(full);
        } else {
            r = -ENOMEM;
        }
    }
    kfree(p);
    return r;
}

long sys_exit(long status)
{
    task_exit((int)(status & 0xff) << 8);
}

long sys_exit_group(long status)
{
    process_exit_group(current->process, (int)(status & 0xff) << 8);
    return 0; /* it leaves on its way back */
}

long sys_getpid(void)
{
    return current->process->pid;
}

long sys_gettid(void)
{
    return current->tid;
}

long sys_getppid(void)
{
    return current->process->parent ? current->process->parent->pid : 0;
}

static struct process *process_or_self(int pid)
{
    return pid ? process_find(pid) : current->process;
}

long sys_setpgid(long pid, long pgid)
{
    struct process *p = process_or_self((int)pid), *q;

    if ((int)(pgid ? pgid : pid) < 0) return -EINVAL;
    if (!p || (p != current->process && p->parent != current->process)) return -ESRCH;
    if (p != current->process && p->has_execed) return -EACCES;
    if (p->sid == p->pid || p->sid != current->process->sid) return -EPERM;
    if (!(int)pgid) pgid = p->pid;
    if (pgid != p->pid) {
        bool found = false;
        for (int i = 0; (q = process_next(i)); i = q->pid) found |= q->pgid == (int)pgid && q->sid == p->sid;
        if (!found) return -EPERM;
    }
    p->pgid = (int)pgid;
    return 0;
}

long sys_pidfd_open(long pid, long flags)
{
    struct file *file;

    if (flags & ~(long)O_NONBLOCK || (int)pid <= 0) return -EINVAL;
    struct process *p = process_find((int)pid);
    if (!p) return task_find((int)pid) ? -EINVAL : -ESRCH; /* a thread that is not the first */
    int err = pidfd_new(p, (int)flags, &file);
    if (err) return err;
    int fd = fd_install(file, 0, true);
    if (fd < 0) file_put(file);
    return fd;
}

long sys_getpgid(long pid)
{
    struct process *p = process_or_self((int)pid);

    return p ? p->pgid : -ESRCH;
}

long sys_getpgrp(void)
{
    return current->process->pgid;
}

long sys_setsid(void)
{
    struct process *p = current->process, *q;

    for (int i = 0; (q = process_next(i)); i = q->pid)
        if (q->pgid == p->pid) return -EPERM;
    p->sid = p->pgid = p->pid;
    return p->pid;
}

long sys_getsid(long pid)
{
    struct process *p = process_or_self((int)pid);

    return p ? p->sid : -ESRCH;
}

long sys_set_tid_address(long addr)
{
    current->clear_child_tid = (uaddr_t)addr;
    return current->tid;
}

long sys_set_robust_list(long head, long len)
{
    if (len != ROBUST_HEAD_BYTES) return -EINVAL;
    current->robust_list = (uaddr_t)head;
    return 0;
}

long sys_get_robust_list(long tid, long head, long len)
{
    struct task *t = tid ? task_find((int)tid) : current;

    if (!t) return -ESRCH;
    int err = put_user_u64((uaddr_t)len, ROBUST_HEAD_BYTES);
    return err ? err : put_user_u64((uaddr_t)head, t->robust_list);
}

long sys_futex(long addr, long op, long value, long timeout, long addr2, long value3)
{
    return futex_call((uaddr_t)addr, (int)op, (uint32_t)value, (uaddr_t)timeout, (uaddr_t)addr2, (uint32_t)value3);
}

long sys_arch_prctl(long code, long addr)
{
    switch (code) {
    case ARCH_SET_FS:
        if ((uaddr_t)addr >> 47) return -EPERM;
        fsbase_write((uint64_t)addr);
        return 0;
    case ARCH_SET_GS:
        if ((uaddr_t)addr >> 47) return -EPERM;
        /* Without FSGSBASE the host would have to be asked, and its filter lets ARCH_SET_FS alone through. */
        return gsbase_write((uint64_t)addr) ? 0 : -EINVAL;
    case ARCH_GET_FS: return put_user_u64((uaddr_t)addr, fsbase_read());
    case ARCH_GET_GS: return put_user_u64((uaddr_t)addr, gsbase_read());
    case ARCH_GET_CPUID: return 1;
    case ARCH_SET_CPUID: return -ENODEV;
    default: return -EINVAL;
    }
}

static long prctl_cap_ambient(long op, long cap)
{
    struct cred *c;
    uint64_t bit = 1ull << (cap & 63);

    if (op == PR_CAP_AMBIENT_CLEAR_ALL) bit = 0;
    else if ((unsigned long)cap > CAP_LAST_CAP) return -EINVAL;
    switch (op) {
    case PR_CAP_AMBIENT_IS_SET: return !!(current->cred->cap_ambient & bit);
    case PR_CAP_AMBIENT_RAISE:
        if (!(current->cred->cap_permitted & current->cred->cap_inheritable & bit)) return -EPERM;
        break;
    case PR_CAP_AMBIENT_LOWER:
    case PR_CAP_AMBIENT_CLEAR_ALL: break;
    default: return -EINVAL;
    }
    c = cred_copy(current->cred);
    if (!c) return -ENOMEM;
    if (op == PR_CAP_AMBIENT_RAISE) c->cap_ambient |= bit;
    else if (op == PR_CAP_AMBIENT_LOWER) c->cap_ambient &= ~bit;
    else c->cap_ambient = 0;
    cred_put(current->cred);
    current->cred = c;
    return 0;
}

static long change_cred(uint32_t *securebits, bool no_new_privs, uint64_t drop_bounding)
{
    struct cred *c = cred_copy(current->cred);

    if (!c) return -ENOMEM;
    if (securebits) c->securebits = *securebits;
    if (no_new_privs) c->no_new_privs = true;
    c->cap_bounding &= ~drop_bounding;
    cred_put(current->cred);
    current->cred = c;
    return 0;
}

static long set_name(uaddr_t addr)
{
    char name[TASK_COMM_LEN];

    for (size_t i = 0; i < sizeof name; i++) {
        if (copy_from_user(name + i, addr + i, 1)) return -EFAULT;
        if (!name[i]) break;
    }
    name[sizeof name - 1] = 0;
    strlcpy(current->comm, name, sizeof current->comm);
    return 0;
}

long sys_prctl(long op, long a, long b, long c, long d)
{
    struct process *p = current->process;
    uint32_t bits;

    switch (op) {
    case PR_SET_NAME: return set_name((uaddr_t)a);
    case PR_GET_NAME: {
        char name[TASK_COMM_LEN] = {0};
        strlcpy(name, current->comm, sizeof name);
        return copy_to_user((uaddr_t)a, name, sizeof name);
    }
    case PR_SET_PDEATHSIG:
        if ((unsigned long)a > SIG_COUNT) return -EINVAL;
        p->pdeath_signal = (int)a;
        return 0;
    case PR_GET_PDEATHSIG: return put_user_u32((uaddr_t)a, (uint32_t)p->pdeath_signal);
    case PR_SET_DUMPABLE:
        if ((unsigned long)a > 1) return -EINVAL;
        p->dumpable = a;
        return 0;
    case PR_GET_DUMPABLE: return p->dumpable;
    case PR_SET_KEEPCAPS:
        if ((unsigned long)a > 1) return -EINVAL;
        bits = (current->cred->securebits & ~(1u << 4)) | (uint32_t)a << 4;
        return change_cred(&bits, false, 0);
    case PR_GET_KEEPCAPS: return current->cred->securebits >> 4 & 1;
    case PR_SET_SECUREBITS:
        if (!capable(CAP_SETPCAP)) return -EPERM;
        bits = (uint32_t)a;
        return change_cred(&bits, false, 0);
    case PR_GET_SECUREBITS: return current->cred->securebits;
    case PR_SET_NO_NEW_PRIVS: return a != 1 || b || c || d ? -EINVAL : change_cred(NULL, true, 0);
    case PR_GET_NO_NEW_PRIVS: return a || b || c || d ? -EINVAL : current->cred->no_new_privs;
    case PR_CAPBSET_READ:
        return (unsigned long)a > CAP_LAST_CAP ? -EINVAL : (long)(current->cred->cap_bounding >> a & 1);
    case PR_CAPBSET_DROP:
        if (!capable(CAP_SETPCAP)) return -EPERM;
        return (unsigned long)a > CAP_LAST_CAP ? -EINVAL : change_cred(NULL, false, 1ull << a);
    case PR_CAP_AMBIENT: return prctl_cap_ambient(a, b);
    case PR_SET_CHILD_SUBREAPER:
        p->child_subreaper = a;
        return 0;
    case PR_GET_CHILD_SUBREAPER: return put_user_u32((uaddr_t)a, p->child_subreaper);
    case PR_GET_TIMERSLACK: return (long)current->timer_slack_ns;
    case PR_SET_TIMERSLACK:
        current->timer_slack_ns = a > 0 ? (uint64_t)a : TIMER_SLACK_NS; /* kept; timers are exact */
        return 0;
    case PR_GET_TIMING: return PR_TIMING_STATISTICAL;
    case PR_SET_TIMING: return a == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case PR_GET_TID_ADDRESS: return put_user_u64((uaddr_t)a, current->clear_child_tid);
    case PR_GET_SECCOMP: return 0;
    case PR_SET_THP_DISABLE: return 0;
    case PR_GET_THP_DISABLE: return 0;
    case PR_GET_TSC: return put_user_u32((uaddr_t)a, PR_TSC_ENABLE);
    case PR_SET_VMA: return a == PR_SET_VMA_ANON_NAME ? 0 : -EINVAL; /* names show nowhere */
    default: return -EINVAL;
    }
}

long sys_personality(long persona)
{
    struct process *p = current->process;
    uint32_t old = p->personality;

    /* Kept, as setarch -R and debuggers ask for it; no flag changes anything here. */
    if ((uint32_t)persona != 0xffffffff) p->personality = (uint32_t)persona;
    return old;
}

long sys_unshare(long flags)
{
    struct process *p = current->process;

    if (flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
        return -EPERM;
    if (flags & ~(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) return -EINVAL;
    if (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) && p->ntasks > 1) return -EINVAL;
    if (flags & CLONE_FILES) {
        struct files *files = files_copy(p->files);
        if (!files) return -ENOMEM;
        files_put(p->files);
        p->files = files;
    }
    if (flags & CLONE_FS) {
        struct fs *fs = fs_copy(p->fs);
        if (!fs) return -ENOMEM;
        fs_put(p->fs);
        p->fs = fs;
    }
    return 0;
}

/* One processor: every task sees memory in order. */
long sys_membarrier(long cmd, long flags, long cpu)
{
    const long known = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
                       MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE |
                       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;

    (void)cpu;
    if (flags) return -EINVAL;
    if (cmd == MEMBARRIER_CMD_QUERY) return known;
    return cmd & known && !(cmd & (cmd - 1)) ? 0 : -EINVAL;
}

long sys_getcpu(long cpu, long node, long unused)
{
    (void)unused;
    if (cpu && put_user_u32((uaddr_t)cpu, 0)) return -EFAULT;
    if (node && put_user_u32((uaddr_t)node, 0)) return -EFAULT;
    return 0;
}

/* ---- scheduling: one processor, one policy ---- */

static struct task *task_or_self(int tid)
{
    return tid ? task_find(tid) : current;
}

long sys_sched_yield(void)
{
    if (sched_contended()) schedule();
    return 0;
}

long sys_sched_getaffinity(long tid, long len, long mask)
{
    uint64_t cpus = 1;

    if (len < 8 || len & 7) return -EINVAL;
    if (!task_or_self((int)tid)) return -ESRCH;
    int err = copy_to_user((uaddr_t)mask, &cpus, sizeof cpus);
    return err ? err : (long)sizeof cpus;
}

long sys_sched_setaffinity(long tid, long len, long mask)
{
    uint8_t first = 0;

    if (!task_or_self((int)tid)) return -ESRCH;
    if (len && copy_from_user(&first, (uaddr_t)mask, 1)) return -EFAULT;
    return first & 1 ? 0 : -EINVAL;
}

/* What sched_setscheduler takes; SCHED_DEADLINE needs sched_setattr. */
static bool policy_known(int policy)
{
    return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == SCHED_FIFO ||
           policy == SCHED_RR;
}

long sys_sched_getparam(long tid, long param)
{
    if ((int)tid < 0 || !param) return -EINVAL;
    if (!task_or_self((int)tid)) return -ESRCH;
    return put_user_u32((uaddr_t)param, 0);
}

long sys_sched_setparam(long tid, long param)
{
    uint32_t priority;

    if ((int)tid < 0 || !param) return -EINVAL;
    if (!task_or_self((int)tid)) return -ESRCH;
    int err = get_user_u32(&priority, (uaddr_t)param);
    return err ? err : priority ? -EINVAL : 0;
}

long sys_sched_getscheduler(long tid)
{
    if ((int)tid < 0) return -EINVAL;
    const struct task *t = task_or_self((int)tid);
    return t ? t->sched_policy : -ESRCH;
}

long sys_sched_setscheduler(long tid, long policy, long param)
{
    uint32_t priority;
    int plain = (int)policy & ~SCHED_RESET_ON_FORK;

    if ((int)tid < 0 || !param || !policy_known(plain)) return -EINVAL;
    struct task *t = task_or_self((int)tid);
    if (!t) return -ESRCH;
    int err = get_user_u32(&priority, (uaddr_t)param);
    if (err) return err;
    bool realtime = plain == SCHED_FIFO || plain == SCHED_RR;
    if (realtime ? priority < 1 || priority > 99 : priority) return -EINVAL;
    if (realtime) return -EPERM;
    t->sched_policy = plain; /* shown, and nothing else: tasks take turns whatever it is */
    return 0;
}

long sys_sched_get_priority_max(long policy)
{
    if (!policy_known((int)policy) && policy != SCHED_DEADLINE) return -EINVAL;
    return policy == SCHED_FIFO || policy == SCHED_RR ? 99 : 0;
}

long sys_sched_get_priority_min(long policy)
{
    if (!policy_known((int)policy) && policy != SCHED_DEADLINE) return -EINVAL;
    return policy == SCHED_FIFO || policy == SCHED_RR ? 1 : 0;
}

long sys_sched_rr_get_interval(long tid, long interval)
{
    struct __kernel_timespec ts = {0};

    if ((int)tid < 0) return -EINVAL;
    if (!task_or_self((int)tid)) return -ESRCH;
    return copy_to_user((uaddr_t)interval, &ts, sizeof ts);
}

long sys_sched_setattr(long tid, long attr, long flags)
{
    struct sched_attr a = {0};
    uint32_t size;

    if (!attr || (int)tid < 0 || flags) return -EINVAL;
    int err = get_user_u32(&size, (uaddr_t)attr);
    if (!err && size && size < 48) return -E2BIG;
    if (!err) err = copy_from_user(&a, (uaddr_t)attr, MIN(size ? size : 48u, sizeof a));
    if (err) return err;
    if (!task_or_self((int)tid)) return -ESRCH;
    if (!policy_known((int)a.sched_policy)) return -EINVAL;
    return a.sched_policy == SCHED_FIFO || a.sched_policy == SCHED_RR ? -EPERM : 0;
}

long sys_sched_getattr(long tid, long attr, long size, long flags)
{
    struct task *t = task_or_self((int)tid);
    struct sched_attr a = {.size = 48};

    if (!attr || (int)tid < 0 || size < 48 || (size_t)size > PAGE_SIZE || flags) return -EINVAL;
    if (!t) return -ESRCH;
    a.sched_policy = (uint32_t)t->sched_policy;
    a.sched_nice = t->nice;
    return copy_to_user((uaddr_t)attr, &a, 48);
}

#define PRIO_PROCESS_ 0
#define PRIO_PGRP_ 1
#define PRIO_USER_ 2

/* Calls visit for each task that (which, who) names; how many there are. */
static int each_of(int which, int who, void (*visit)(struct task *, int *), int *arg)
{
    struct process *p;
    struct task *t;
    int n = 0;

    for (int pid = 0; (p = process_next(pid)); pid = p->pid) {
        list_for_each(t, &p->tasks, process_link) {
            bool match = which == PRIO_PROCESS_ ? t->tid == (who ? who : current->tid)
                         : which == PRIO_PGRP_  ? p->pgid == (who ? who : current->process->pgid)
                                                : t->cred->uid == (who ? (uint32_t)who : current->cred->uid);
            if (!match) continue;
            visit(t, arg);
            n++;
        }
    }
    return n;
}

static void lowest_nice(struct task *t, int *nice)
{
    *nice = MIN(*nice, t->nice);
}

struct new_nice {
    int nice, error;
};

static void set_nice(struct task *t, int *arg)
{
    struct new_nice *new = container_of(arg, struct new_nice, nice);
    /* RLIMIT_NICE counts from 20 down: 1 allows 19, 40 allows -20. */
    bool allowed = new->nice >= t->nice || (int64_t)task_rlimit(RLIMIT_NICE) >= 20 - new->nice;

    if (allowed || capable(CAP_SYS_NICE)) t->nice = new->nice;
    else new->error = -EACCES;
}

long sys_getpriority(long which, long who)
{
    int nice = 20;

    if ((unsigned long)which > PRIO_USER_) return -EINVAL;
    if (!each_of((int)which, (int)who, lowest_nice, &nice)) return -ESRCH;
    return 20 - nice;
}

long sys_setpriority(long which, long who, long nice)
{
    struct new_nice new = {.nice = MAX(MIN((int)nice, 19), -20)};

    if ((unsigned long)which > PRIO_USER_) return -EINVAL;
    return each_of((int)which, (int)who, set_nice, &new.nice) ? new.error : -ESRCH;
}

long sys_restart_syscall(void)
{
    long (*restart)(struct restart_block *) = current->restart.restart;

    return restart ? restart(&current->restart) : -EINTR;
}
