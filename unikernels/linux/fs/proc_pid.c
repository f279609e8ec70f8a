/*
 * /proc/PID. The argument of entries: bits 0-21 the pid, 22-43 a thread's id (of
 * task/TID) or 0, 44-63 a descriptor. Each answer looks the process up again: it
 * may be gone (ESRCH) since the file was opened.
 */
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "console/tty.h"
#include "fs/fdtable.h"
#include "fs/mount.h"
#include "fs/proc.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "mm/share.h"
#include "mm/uaccess.h"
#include "task/oom_kill.h"
#include "task/signal_deliver.h"
#include "task/task.h"
#include "time/clock.h"

#define ID_BITS 22
#define ID_MASK ((1ull << ID_BITS) - 1)
#define USER_HZ 100

static int pid_of(uint64_t arg) { return (int)(arg & ID_MASK); }
static int tid_of(uint64_t arg) { return (int)(arg >> ID_BITS & ID_MASK); }
static int fd_of(uint64_t arg) { return (int)(arg >> (2 * ID_BITS)); }

static struct process *process_of(uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));

    return process && !process->dead ? process : NULL;
}

/* The thread an entry is about: of task/TID, else the first. NULL: gone. */
static struct task *task_of(uint64_t arg, struct process *process)
{
    struct task *task;

    list_for_each(task, &process->tasks, process_link) {
        if (tid_of(arg) == 0 || task->tid == tid_of(arg))
            return task;
    }
    return NULL;
}

void proc_pid_owner(uint64_t arg, uint32_t *uid, uint32_t *gid)
{
    struct process *process = arg ? process_of(arg) : NULL;
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (task) {
        *uid = task->cred->euid;
        *gid = task->cred->egid;
    }
}

/* ---- stat, status ---- */

char proc_state(const struct process *process, const struct task *task)
{
    if (process->dead || !task)
        return 'Z';
    switch (task->state) {
    case TASK_RUNNING:
        return 'R';
    case TASK_SLEEPING:
        return 'S';
    case TASK_STOPPED:
        return 'T';
    default:
        return 'Z';
    }
}

static const char *state_name(char letter)
{
    switch (letter) {
    case 'R':
        return "R (running)";
    case 'S':
        return "S (sleeping)";
    case 'T':
        return "T (stopped)";
    default:
        return "Z (zombie)";
    }
}

/* Pages of programs and libraries in place, which cost nothing: the host has them in its page cache. */
static size_t file_pages_in(const struct vma *v)
{
    if (!(v->flags & VMA_SEGMENT) || v->prot == PROT_NONE)
        return 0;
    return ((v->end - v->start) >> PAGE_SHIFT) - charge_pages(v->start, v->end);
}

static size_t file_pages(const struct mm *mm)
{
    size_t pages = 0;

    for (unsigned i = 0; mm && i < mm->count; i++)
        pages += file_pages_in(&mm->vmas[i]);
    return pages;
}

static size_t resident_pages(const struct mm *mm)
{
    return mm ? mm_resident(mm) + file_pages(mm) : 0;
}

static int show_stat(struct seq_file *seq, uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (!process)
        return -ESRCH;
    const struct mm *mm = process->mm;
    int64_t cpu = tid_of(arg) && task ? task_cpu_ns(task) : process_cpu_ns(process);
    seq_printf(seq, "%d (%s) %c %d %d %d ", task ? task->tid : process->pid, task ? task->comm : process->dead_comm,
               proc_state(process, task), process->parent ? process->parent->pid : 0, process->pgid, process->sid);
    /* tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime */
    const struct tty *tty = tty_of_session(process->sid);
    seq_printf(seq, "%llu %d 4194304 0 0 0 0 %lld 0 %lld 0 ", tty ? (unsigned long long)tty->number : 0,
               tty ? tty->foreground : -1, (long long)(cpu / (NSEC_PER_SEC / USER_HZ)),
               (long long)(process->children_cpu_ns / (NSEC_PER_SEC / USER_HZ)));
    /* priority nice num_threads itrealvalue starttime vsize rss rsslim */
    seq_printf(seq, "%d %d %d 0 %lld %lu %lu %llu ", 20 + (task ? task->nice : 0), task ? task->nice : 0,
               process->ntasks, (long long)(process->start_ns / (NSEC_PER_SEC / USER_HZ)),
               mm ? mm->pages * PAGE_SIZE : 0, resident_pages(mm),
               (unsigned long long)process->rlimits[RLIMIT_RSS].rlim_cur);
    /* startcode endcode startstack kstkesp kstkeip signal blocked sigignore sigcatch wchan nswap cnswap */
    seq_printf(seq, "%lu %lu %lu 0 0 %llu %llu 0 0 0 0 0 ", mm ? mm->start_code : 0, mm ? mm->end_code : 0,
               mm ? mm->start_stack : 0, (unsigned long long)(task ? task->pending.set & 0x7fffffff : 0),
               (unsigned long long)(task ? task->blocked & 0x7fffffff : 0));
    /* exit_signal processor rt_priority policy delayacct guest cguest data brk arg env exit_code */
    seq_printf(seq, "17 0 0 0 0 0 0 %lu %lu %lu %lu %lu %lu %lu 0\n", mm ? mm->start_data : 0, mm ? mm->end_data : 0,
               mm ? mm->brk_start : 0, mm ? mm->arg_start : 0, mm ? mm->arg_end : 0, mm ? mm->env_start : 0,
               mm ? mm->env_end : 0);
    return 0;
}

static int show_statm(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    const struct mm *mm = process->mm;
    size_t text = (mm->end_code - mm->start_code + PAGE_SIZE - 1) >> PAGE_SHIFT;
    seq_printf(seq, "%lu %lu %lu %lu 0 %lu 0\n", mm->pages, resident_pages(mm), file_pages(mm), text,
               mm->pages - MIN(text, mm->pages));
    return 0;
}

static void show_signals(struct seq_file *seq, const struct process *process, const struct task *task)
{
    sigset64 ignored = 0, caught = 0;

    for (int n = 0; process->sighand && n < SIG_COUNT; n++) {
        uaddr_t handler = process->sighand->action[n].handler;
        if (handler == SIGACTION_IGNORE)
            ignored |= SIGBIT(n + 1);
        else if (handler != SIGACTION_DEFAULT)
            caught |= SIGBIT(n + 1);
    }
    seq_printf(seq,
               "SigQ:\t0/%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\n"
               "SigCgt:\t%016llx\n",
               (unsigned long long)process->rlimits[RLIMIT_SIGPENDING].rlim_cur, (unsigned long long)task->pending.set,
               (unsigned long long)process->pending.set, (unsigned long long)task->blocked,
               (unsigned long long)ignored, (unsigned long long)caught);
}

/* What is left of a process that nobody has waited for. */
static int show_zombie(struct seq_file *seq, const struct process *process)
{
    seq_puts(seq, "Name:\t");
    seq_escape(seq, process->dead_comm, "\n\\");
    seq_printf(seq, "\nState:\tZ (zombie)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", process->pid,
               process->pid, process->parent ? process->parent->pid : 0);
    seq_printf(seq, "FDSize:\t0\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\nThreads:\t1\n", process->pid,
               process->pid, process->pgid, process->sid);
    return 0;
}

static int show_status(struct seq_file *seq, uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (process && process->dead && !task)
        return show_zombie(seq, process);
    if (!process || !task)
        return -ESRCH;
    const struct cred *cred = task->cred;
    const struct mm *mm = process->mm;
    seq_puts(seq, "Name:\t");
    seq_escape(seq, task->comm, "\n\\");
    seq_printf(seq, "\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
               process->fs ? process->fs->umask : 0, state_name(proc_state(process, task)), process->pid, task->tid,
               process->parent ? process->parent->pid : 0);
    seq_printf(seq, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", cred->uid, cred->euid,
               cred->suid, cred->fsuid, cred->gid, cred->egid, cred->sgid, cred->fsgid);
    for (uint32_t i = 0; i < cred->ngroups; i++)
        seq_printf(seq, "%u ", cred->groups[i]);
    seq_printf(seq,
               "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n",
               process->pid, task->tid, process->pgid, process->sid);
    if (mm) {
        size_t rss = resident_pages(mm) * 4, rss_file = file_pages(mm) * 4;
        seq_printf(seq,
                   "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n"
                   "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n",
                   mm->pages * 4, mm->pages * 4, rss, rss);
        seq_printf(seq,
                   "RssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t       0 kB\nVmData:\t%8lu kB\n"
                   "VmStk:\t     132 kB\nVmExe:\t%8lu kB\nVmLib:\t       0 kB\nVmPTE:\t       0 kB\n"
                   "VmSwap:\t       0 kB\n",
                   rss - rss_file, rss_file, mm->data_pages * 4, (mm->end_code - mm->start_code) / 1024);
    }
    seq_printf(seq, "Threads:\t%d\n", process->ntasks);
    show_signals(seq, process, task);
    seq_printf(seq,
               "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n"
               "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n",
               (unsigned long long)cred->cap_inheritable, (unsigned long long)cred->cap_permitted,
               (unsigned long long)cred->cap_effective, (unsigned long long)cred->cap_bounding,
               (unsigned long long)cred->cap_ambient, cred->no_new_privs);
    seq_printf(seq,
               "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
               "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n",
               (unsigned long long)task->switches_voluntary, (unsigned long long)task->switches_involuntary);
    return 0;
}

static int show_comm(struct seq_file *seq, uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (!task)
        return -ESRCH;
    seq_printf(seq, "%s\n", task->comm);
    return 0;
}

static int store_comm(const char *text, size_t len, uint64_t arg)
{
    struct process *process = process_of(arg);
    struct task *task = process ? task_of(arg, process) : NULL;

    if (!task)
        return -ESRCH;
    if (process != current->process)
        return -EINVAL;
    len = MIN(len, TASK_COMM_LEN - 1ul);
    memcpy(task->comm, text, len);
    task->comm[len] = '\0';
    return 0;
}

/* ---- what lies in the process's memory ---- */

static int show_memory(struct seq_file *seq, const struct process *process, uaddr_t start, uaddr_t end)
{
    char piece[256];

    for (uaddr_t at = start; at < end;) {
        size_t len = share_peek(process->mm, at, piece, MIN(end - at, sizeof(piece)));
        if (len == 0)
            break;
        seq_write(seq, piece, len);
        at += len;
    }
    return 0;
}

static int show_cmdline(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    return process ? show_memory(seq, process, process->mm->arg_start, process->mm->arg_end) : -ESRCH;
}

static int show_environ(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    return process ? show_memory(seq, process, process->mm->env_start, process->mm->env_end) : -ESRCH;
}

static int show_auxv(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    seq_write(seq, process->mm->auxv, process->mm->auxv_bytes);
    return 0;
}

static void show_vma(struct seq_file *seq, const struct mm *mm, const struct vma *vma)
{
    uint64_t dev = 0, ino = 0;
    size_t begin = seq->len;
    const char *name = "";

    if (vma->file)
        file_identity(vma->file, &dev, &ino);
    seq_printf(seq, "%08lx-%08lx %c%c%c%c %08llx %02llx:%02llx %llu ", vma->start, vma->end,
               vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-', vma->prot & PROT_EXEC ? 'x' : '-',
               vma->flags & VMA_SHARED ? 's' : 'p', (unsigned long long)vma->offset, (unsigned long long)dev >> 8,
               (unsigned long long)dev & 255, (unsigned long long)ino);
    if (vma->flags & VMA_STACK || (vma->start <= mm->start_stack && mm->start_stack < vma->end))
        name = "[stack]";
    else if (vma->flags & VMA_HEAP)
        name = "[heap]";
    else if (vma->flags & VMA_VDSO)
        name = "[vdso]";
    if (*name || vma->file) {
        while (seq->len - begin < 73 && !seq->failed)
            seq_puts(seq, " ");
    }
    if (vma->file) {
        char *path = file_path(vma->file);
        if (!IS_ERR(path)) {
            seq_escape(seq, path, "\n");
            kfree(path);
        }
    } else {
        seq_puts(seq, name);
    }
    seq_puts(seq, "\n");
}

static int show_maps(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    for (unsigned i = 0; i < process->mm->count; i++)
        show_vma(seq, process->mm, &process->mm->vmas[i]);
    return 0;
}

static void show_smap_sizes(struct seq_file *seq, size_t resident)
{
    size_t kib = resident * (PAGE_SIZE / 1024);

    seq_printf(seq,
               "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:          0 kB\n"
               "Shared_Dirty:          0 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\n"
               "Referenced:     %8lu kB\nAnonymous:      %8lu kB\nSwap:                  0 kB\n",
               kib, kib, kib, kib, kib);
}

static int show_smaps(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    for (unsigned i = 0; i < process->mm->count; i++) {
        const struct vma *vma = &process->mm->vmas[i];
        size_t pages = (vma->end - vma->start) >> PAGE_SHIFT;
        show_vma(seq, process->mm, vma);
        seq_printf(seq, "Size:           %8lu kB\n", pages * 4);
        show_smap_sizes(seq, charge_pages(vma->start, vma->end) + file_pages_in(vma));
    }
    return 0;
}

static int show_smaps_rollup(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    const struct mm *mm = process->mm;
    seq_printf(seq, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n",
               mm->count ? mm->vmas[0].start : 0, mm->count ? mm->vmas[mm->count - 1].end : 0);
    show_smap_sizes(seq, resident_pages(mm));
    return 0;
}

/* ---- limits, mounts and other facts ---- */

static int show_limits(struct seq_file *seq, uint64_t arg)
{
    static const struct {
        const char *name, *unit;
    } rows[RLIM_NLIMITS] = {
        [RLIMIT_CPU] = {"Max cpu time", "seconds"},
        [RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [RLIMIT_DATA] = {"Max data size", "bytes"},
        [RLIMIT_STACK] = {"Max stack size", "bytes"},
        [RLIMIT_CORE] = {"Max core file size", "bytes"},
        [RLIMIT_RSS] = {"Max resident set", "bytes"},
        [RLIMIT_NPROC] = {"Max processes", "processes"},
        [RLIMIT_NOFILE] = {"Max open files", "files"},
        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
        [RLIMIT_AS] = {"Max address space", "bytes"},
        [RLIMIT_LOCKS] = {"Max file locks", "locks"},
        [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
        [RLIMIT_NICE] = {"Max nice priority", ""},
        [RLIMIT_RTPRIO] = {"Max realtime priority", ""},
        [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    seq_printf(seq, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
        char soft[24] = "unlimited", hard[24] = "unlimited";
        const struct rlimit64 *limit = &process->rlimits[i];
        if (limit->rlim_cur != RLIM64_INFINITY)
            snprintf(soft, sizeof(soft), "%llu", (unsigned long long)limit->rlim_cur);
        if (limit->rlim_max != RLIM64_INFINITY)
            snprintf(hard, sizeof(hard), "%llu", (unsigned long long)limit->rlim_max);
        seq_printf(seq, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
    }
    return 0;
}

/* Calls `show` for each mount that is below the running task's root, with its path. */
static int each_mount(struct seq_file *seq,
                      void (*show)(struct seq_file *, const struct super_block *, const char *path))
{
    struct super_block *sb;
    char *buf = kmalloc(PATH_MAX);

    if (!buf)
        return -ENOMEM;
    list_for_each(sb, &mounts, s_list) {
        const char *path = d_path(sb->s_root, current->process->fs->root, buf, PATH_MAX);
        if (path && *path == '/')
            show(seq, sb, path);
    }
    kfree(buf);
    return 0;
}

static void show_mount(struct seq_file *seq, const struct super_block *sb, const char *path)
{
    char options[160];

    mount_options(sb, options, sizeof(options));
    seq_printf(seq, "%s ", sb->s_source);
    seq_escape(seq, path, " \t\n\\");
    seq_printf(seq, " %s %s 0 0\n", sb->s_type, options);
}

int proc_show_mounts(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    return each_mount(seq, show_mount);
}

static void show_mountinfo_line(struct seq_file *seq, const struct super_block *sb, const char *path)
{
    char options[160];
    uint32_t parent = sb->s_mountpoint ? sb->s_mountpoint->d_sb->s_id : 1;

    mount_options(sb, options, sizeof(options));
    seq_printf(seq, "%u %u 0:%u / ", sb->s_id, parent, sb->s_dev);
    seq_escape(seq, path, " \t\n\\");
    seq_printf(seq, " %s - %s %s %s\n", options, sb->s_type, sb->s_source, sb->s_flags & SB_RDONLY ? "ro" : "rw");
}

static int show_mountinfo(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    return each_mount(seq, show_mountinfo_line);
}

static int show_oom_score(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    seq_printf(seq, "%d\n", oom_score(process));
    return 0;
}

static int show_oom_score_adj(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ESRCH;
    seq_printf(seq, "%d\n", process->oom_score_adj);
    return 0;
}

static int store_oom_score_adj(const char *text, size_t len, uint64_t arg)
{
    struct process *process = process_of(arg);
    bool negative = *text == '-';
    int value = 0;

    if (!process)
        return -ESRCH;
    const char *at = text + negative;
    while (at < text + len && *at >= '0' && *at <= '9' && value <= 1000)
        value = value * 10 + (*at++ - '0');
    if (negative)
        value = -value;
    if (at == text + negative || value < -1000 || value > 1000)
        return -EINVAL;
    if (value < process->oom_score_adj_min && !capable(CAP_SYS_RESOURCE))
        return -EACCES;
    process->oom_score_adj = value;
    if (capable(CAP_SYS_RESOURCE))
        process->oom_score_adj_min = value;
    return 0;
}

/* ---- links ---- */

static int follow_exe(uint64_t arg, struct dentry **target)
{
    const struct process *process = process_of(arg);

    if (!process || !process->exe)
        return -ENOENT;
    *target = dget(process->exe->f_dentry);
    return 0;
}

static int follow_cwd(uint64_t arg, struct dentry **target)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ENOENT;
    *target = dget(process->fs->pwd);
    return 0;
}

static int follow_root(uint64_t arg, struct dentry **target)
{
    const struct process *process = process_of(arg);

    if (!process)
        return -ENOENT;
    *target = dget(process->fs->root);
    return 0;
}

/* ---- fd, fdinfo ---- */

static struct file *file_of(uint64_t arg)
{
    const struct process *process = process_of(arg);

    return process && process->files ? files_lookup(process->files, fd_of(arg)) : NULL;
}

static int follow_fd(uint64_t arg, struct dentry **target)
{
    struct file *file = file_of(arg);

    if (!file)
        return -ENOENT;
    *target = dget(file->f_dentry);
    file_put(file);
    return 0;
}

static int show_fdinfo(struct seq_file *seq, uint64_t arg)
{
    struct file *file = file_of(arg);

    if (!file)
        return -ENOENT;
    bool cloexec = files_cloexec(process_of(arg)->files, fd_of(arg));
    seq_printf(seq, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n", (unsigned long long)file->f_pos,
               file->f_flags | (cloexec ? O_CLOEXEC : 0), file->f_inode->i_sb->s_id,
               (unsigned long long)file->f_inode->i_ino);
    if (file->f_op->show_fdinfo)
        file->f_op->show_fdinfo(file, seq);
    file_put(file);
    return 0;
}

static const struct pseudo_entry fd_entry = {.name = "fd", .mode = S_IFLNK | 0700, .follow = follow_fd};
static const struct pseudo_entry fdinfo_entry = {.name = "fdinfo", .mode = S_IFREG | 0444, .show = show_fdinfo};

static int parse_id(const struct qstr *name, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < name->len; i++) {
        if (name->name[i] < '0' || name->name[i] > '9' || i > 6 || (i == 1 && name->name[0] == '0'))
            return -ENOENT;
        *value = *value * 10 + (uint64_t)(name->name[i] - '0');
    }
    return 0;
}

static int lookup_descriptor(uint64_t arg, const struct qstr *name, uint64_t *child)
{
    uint64_t fd;
    int err = parse_id(name, &fd);

    if (err || fd >> 20)
        return -ENOENT;
    *child = (arg & ((1ull << (2 * ID_BITS)) - 1)) | fd << (2 * ID_BITS);
    struct file *file = file_of(*child);
    file_put(file);
    return file ? 0 : -ENOENT;
}

static bool next_descriptor(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child)
{
    const struct process *process = process_of(arg);
    int fd = process && process->files ? files_next(process->files, (int)*cursor) : -1;

    if (fd < 0)
        return false;
    *cursor = (uint64_t)fd + 1;
    *child = arg | (uint64_t)fd << (2 * ID_BITS);
    snprintf(name, size, "%d", fd);
    return true;
}

static int lookup_fd(uint64_t arg, const struct qstr *name, const struct pseudo_entry **entry, uint64_t *child)
{
    *entry = &fd_entry;
    return lookup_descriptor(arg, name, child);
}

static bool next_fd(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child,
                    const struct pseudo_entry **entry)
{
    *entry = &fd_entry;
    return next_descriptor(arg, cursor, name, size, child);
}

static int lookup_fdinfo(uint64_t arg, const struct qstr *name, const struct pseudo_entry **entry, uint64_t *child)
{
    *entry = &fdinfo_entry;
    return lookup_descriptor(arg, name, child);
}

static bool next_fdinfo(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child,
                        const struct pseudo_entry **entry)
{
    *entry = &fdinfo_entry;
    return next_descriptor(arg, cursor, name, size, child);
}

static const struct pseudo_names fd_names = {.lookup = lookup_fd, .next = next_fd};
static const struct pseudo_names fdinfo_names = {.lookup = lookup_fdinfo, .next = next_fdinfo};

/* ---- what is asked for rarely ---- */

static int show_io(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_find(pid_of(arg));

    if (!process)
        return -ESRCH;
    const struct io_account *io = &process->io;
    /* Nothing is read from a disk or written to one. */
    seq_printf(seq, "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\nread_bytes: 0\nwrite_bytes: 0\n"
               "cancelled_write_bytes: 0\n",
               (unsigned long long)io->read_bytes, (unsigned long long)io->write_bytes,
               (unsigned long long)io->reads, (unsigned long long)io->writes);
    return 0;
}

static int show_personality(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_find(pid_of(arg));

    if (!process)
        return -ESRCH;
    seq_printf(seq, "%08x\n", process->personality);
    return 0;
}

static int show_schedstat(struct seq_file *seq, uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (!task)
        return -ESRCH;
    seq_printf(seq, "%lld 0 %llu\n", (long long)task_cpu_ns(task),
               (unsigned long long)(task->switches_voluntary + task->switches_involuntary));
    return 0;
}

static int show_timerslack(struct seq_file *seq, uint64_t arg)
{
    struct process *process = process_find(pid_of(arg));
    const struct task *task = process ? task_of(arg, process) : NULL;

    if (!task)
        return -ESRCH;
    seq_printf(seq, "%llu\n", (unsigned long long)task->timer_slack_ns);
    return 0;
}

/* Those that this thread made: of a process without further threads, all of its own. */
static int show_children(struct seq_file *seq, uint64_t arg)
{
    const struct process *process = process_find(pid_of(arg)), *child;

    if (!process)
        return -ESRCH;
    if (tid_of(arg) && tid_of(arg) != process->pid)
        return 0;
    list_for_each(child, &process->children, sibling_link)
        seq_printf(seq, "%d ", child->pid);
    return 0;
}

/* A container has one of each; the numbers are those that Linux gives its first ones. */
#define NAMESPACE(n, number) {.name = n, .mode = S_IFLNK | 0777, .text = n ":[" #number "]"}
static const struct pseudo_entry namespaces[] = {
    NAMESPACE("cgroup", 4026531835), NAMESPACE("ipc", 4026531839), NAMESPACE("mnt", 4026531841),
    NAMESPACE("net", 4026531840), NAMESPACE("pid", 4026531836),
    {.name = "pid_for_children", .mode = S_IFLNK | 0777, .text = "pid:[4026531836]"},
    NAMESPACE("time", 4026531834),
    {.name = "time_for_children", .mode = S_IFLNK | 0777, .text = "time:[4026531834]"},
    NAMESPACE("user", 4026531837), NAMESPACE("uts", 4026531838), {0},
};

/* ---- the folders ---- */

#define COMMON_ENTRIES                                                                                   \
    {.name = "auxv", .mode = S_IFREG | 0400, .show = show_auxv}, PSEUDO_TEXT("cgroup", "0::/\n"),        \
        PSEUDO_FILE("cmdline", show_cmdline),                                                            \
        {.name = "comm", .mode = S_IFREG | 0644, .show = show_comm, .store = store_comm},                \
        {.name = "coredump_filter", .mode = S_IFREG | 0644, .text = "00000033\n"},                       \
        PSEUDO_TEXT("cpuset", "/\n"),                                                                    \
        {.name = "cwd", .mode = S_IFLNK | 0777, .follow = follow_cwd},                                   \
        {.name = "environ", .mode = S_IFREG | 0400, .show = show_environ},                               \
        {.name = "exe", .mode = S_IFLNK | 0777, .follow = follow_exe},                                   \
        {.name = "fd", .mode = S_IFDIR | 0500, .names = &fd_names},                                      \
        {.name = "fdinfo", .mode = S_IFDIR | 0555, .names = &fdinfo_names},                              \
        {.name = "io", .mode = S_IFREG | 0400, .show = show_io},                                         \
        PSEUDO_FILE("limits", show_limits), PSEUDO_TEXT("loginuid", "4294967295"),                       \
        PSEUDO_FILE("maps", show_maps), PSEUDO_FILE("mountinfo", show_mountinfo),                        \
        PSEUDO_FILE("mounts", proc_show_mounts), PSEUDO_DIR("net", proc_net_children),                   \
        {.name = "ns", .mode = S_IFDIR | 0511, .children = namespaces},                                  \
        {.name = "oom_adj", .mode = S_IFREG | 0644, .text = "0\n"},                                      \
        {.name = "personality", .mode = S_IFREG | 0400, .show = show_personality},                       \
        PSEUDO_FILE("schedstat", show_schedstat), PSEUDO_TEXT("sessionid", "4294967295"),                \
        PSEUDO_FILE("oom_score", show_oom_score),                                                        \
        {.name = "oom_score_adj",                                                                        \
         .mode = S_IFREG | 0644,                                                                         \
         .show = show_oom_score_adj,                                                                     \
         .store = store_oom_score_adj},                                                                  \
        {.name = "root", .mode = S_IFLNK | 0777, .follow = follow_root},                                 \
        PSEUDO_TEXT("setgroups", "allow\n"), PSEUDO_FILE("smaps", show_smaps),                           \
        PSEUDO_FILE("smaps_rollup", show_smaps_rollup), PSEUDO_FILE("stat", show_stat),                  \
        PSEUDO_FILE("statm", show_statm), PSEUDO_FILE("status", show_status),                            \
        PSEUDO_TEXT("wchan", "0"),                                                                       \
        PSEUDO_TEXT("uid_map", "         0          0 4294967295\n"),                                    \
        PSEUDO_TEXT("gid_map", "         0          0 4294967295\n")

static const struct pseudo_entry tid_children[] = {COMMON_ENTRIES, PSEUDO_FILE("children", show_children), {0}};
static const struct pseudo_entry tid_entry = {.name = "tid", .mode = S_IFDIR | 0555, .children = tid_children};

static int lookup_tid(uint64_t arg, const struct qstr *name, const struct pseudo_entry **entry, uint64_t *child)
{
    struct process *process = process_of(arg);
    uint64_t tid;
    int err = parse_id(name, &tid);

    if (err || !tid || tid > ID_MASK || !process)
        return -ENOENT;
    *child = (uint64_t)pid_of(arg) | tid << ID_BITS;
    *entry = &tid_entry;
    return task_of(*child, process) ? 0 : -ENOENT;
}

/* The lowest tid above the cursor. */
static bool next_tid(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child,
                     const struct pseudo_entry **entry)
{
    struct process *process = process_of(arg);
    const struct task *task;
    int next = 0;

    if (!process)
        return false;
    list_for_each(task, &process->tasks, process_link) {
        if (task->tid > (int)*cursor && (next == 0 || task->tid < next))
            next = task->tid;
    }
    if (next == 0)
        return false;
    *cursor = (uint64_t)next;
    *child = (uint64_t)pid_of(arg) | (uint64_t)next << ID_BITS;
    *entry = &tid_entry;
    snprintf(name, size, "%d", next);
    return true;
}

static const struct pseudo_names tid_names = {.lookup = lookup_tid, .next = next_tid};
static const struct pseudo_entry pid_children[] = {
    COMMON_ENTRIES,
    {.name = "task", .mode = S_IFDIR | 0555, .names = &tid_names},
    {.name = "timerslack_ns", .mode = S_IFREG | 0666, .show = show_timerslack},
    {0},
};
const struct pseudo_entry proc_pid_entry = {.name = "pid", .mode = S_IFDIR | 0555, .children = pid_children};

int proc_pid_of(const struct file *file)
{
    uint64_t pid;

    return pseudo_entry_of(file, &pid) == &proc_pid_entry ? (int)pid : 0;
}
