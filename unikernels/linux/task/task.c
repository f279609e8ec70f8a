/*
 * Birth and death of tasks and processes.
 *
 * A process is a zombie (`dead`) from its last task's exit until its parent has
 * waited for it; orphans go to the nearest subreaper, else to pid 1. When pid 1
 * ends, so does the guest.
 */
#include "task/task_impl.h"

#include <asm/mman.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "boot/host.h"
#include "console/tty.h"
#include "boot/layout.h"
#include "entry/entry.h"
#include "fs/pidfd.h"
#include "fs/vfs.h"
#include "fs/writeback.h"
#include "ipc/sem.h"
#include "ipc/shm.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/uaccess.h"
#include "syscall/strace.h"
#include "task/fork_hooks.h"
#include "task/outside.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "time/itimer.h"

#define PID_MAX 4194304
#define PID_WRAP 300 /* as Linux: low pids are not reused */
#define HASH_BUCKETS 256
#define STACK_CANARY 0x6b73746b63616e61ull

static struct {
    struct list hash[HASH_BUCKETS]; /* tasks by tid */
    struct list processes;          /* by pid, zombies included */
    int last_pid;
    bool ready;
} table;

static void table_init(void)
{
    for (int i = 0; i < HASH_BUCKETS; i++) list_init(&table.hash[i]);
    list_init(&table.processes);
    table.ready = true;
}

struct list *process_all(void)
{
    if (!table.ready) table_init();
    return &table.processes;
}

struct task *task_find(int tid)
{
    struct task *t;

    list_for_each(t, &table.hash[(unsigned)tid % HASH_BUCKETS], hash_link)
        if (t->tid == tid) return t;
    return NULL;
}

struct process *process_find(int pid)
{
    struct process *p;

    list_for_each(p, process_all(), all_link)
        if (p->pid == pid) return p;
    return NULL;
}

struct process *process_next(int pid)
{
    struct process *p;

    list_for_each(p, process_all(), all_link)
        if (p->pid > pid) return p;
    return NULL;
}

static bool pid_in_use(int pid)
{
    struct process *p;

    if (task_find(pid)) return true;
    list_for_each(p, process_all(), all_link)
        if (p->pid == pid || p->pgid == pid || p->sid == pid) return true;
    return false;
}

int pid_alloc(void)
{
    for (int tries = 0; tries < PID_MAX; tries++) {
        table.last_pid = table.last_pid + 1 < PID_MAX ? table.last_pid + 1 : PID_WRAP;
        if (!pid_in_use(table.last_pid)) return table.last_pid;
    }
    return -EAGAIN;
}

/* The lowest page of a stack is closed where that can be done. Elsewhere what it ends with is looked at. */
static bool kstack_new(struct task *t)
{
    t->kstack = page_alloc(KSTACK_PAGES);
    if (!t->kstack) return false;
    if (memory_is_closed())
        host_mprotect((uintptr_t)t->kstack, PAGE_SIZE, PROT_NONE);
    else
        *(uint64_t *)t->kstack = STACK_CANARY;
    return true;
}

static void kstack_free(struct task *t)
{
    if (!t->kstack) return;
    host_mprotect((uintptr_t)t->kstack, PAGE_SIZE, PROT_READ | PROT_WRITE);
    page_free(t->kstack, KSTACK_PAGES);
}

void task_check_kstack(const struct task *t)
{
    if (!memory_is_closed() && *(const uint64_t *)t->kstack != STACK_CANARY)
        panic("the kernel stack of task %d overflowed", t->tid);
}

struct task *task_new(void)
{
    struct task *t = kzalloc(sizeof *t);

    if (!t) return NULL;
    t->xstate = page_alloc(xstate_pages());
    if (!t->xstate || !kstack_new(t)) {
        if (t->xstate) page_free(t->xstate, xstate_pages());
        kfree(t);
        return NULL;
    }
    xstate_init(t->xstate);
    t->regs = (struct regs *)task_kstack_top(t) - 1;
    list_init(&t->run_link);
    list_init(&t->process_link);
    list_init(&t->hash_link);
    sigpending_init(&t->pending);
    t->altstack.flags = SS_DISABLE;
    t->timer_slack_ns = TIMER_SLACK_NS;
    return t;
}

void task_free(struct task *t)
{
    cred_put(t->cred);
    sigpending_clear(&t->pending);
    kstack_free(t);
    page_free(t->xstate, xstate_pages());
    kfree(t);
}

void task_attach(struct task *t, struct process *p, int tid)
{
    t->tid = tid;
    t->process = p;
    list_add_tail(&p->tasks, &t->process_link);
    p->ntasks++;
    list_add(&table.hash[(unsigned)tid % HASH_BUCKETS], &t->hash_link);
}

void task_prepare_return(struct task *t)
{
    uint64_t *sp = (uint64_t *)t->regs;

    *--sp = (uintptr_t)task_first_return;
    for (int i = 0; i < 6; i++) *--sp = 0; /* as task_switch_stacks pops them */
    t->ksp = (uintptr_t)sp;
}

static void kernel_first(void)
{
    void (*function)(void) = (void (*)(void))current->regs->rip;

    task_switched();
    function();
}

void task_prepare_kernel(struct task *t, void (*function)(void))
{
    uint64_t *sp = (uint64_t *)t->regs;

    t->regs->rip = (uintptr_t)function; /* until the function has a program to go to */
    *--sp = (uintptr_t)return_full;     /* where kernel_first returns to */
    *--sp = (uintptr_t)kernel_first;
    for (int i = 0; i < 6; i++) *--sp = 0; /* as task_switch_stacks pops them */
    t->ksp = (uintptr_t)sp;
}

struct process *process_new(void)
{
    struct process *p = kzalloc(sizeof *p);

    if (!p) return NULL;
    p->refs = 1;
    list_init(&p->all_link);
    list_init(&p->tasks);
    list_init(&p->children);
    list_init(&p->sibling_link);
    list_init(&p->sem_undos);
    list_init(&p->posix_timers);
    wait_queue_init(&p->child_wait);
    wait_queue_init(&p->exit_wait);
    sigpending_init(&p->pending);
    p->dumpable = true;
    p->start_ns = clock_monotonic();
    return p;
}

/* Ordered by pid, for process_next. */
void process_enlist(struct process *p)
{
    struct process *q;

    list_for_each(q, process_all(), all_link)
        if (q->pid > p->pid) break;
    list_insert(&p->all_link, q->all_link.prev, &q->all_link);
}

static void process_free(struct process *p)
{
    list_del(&p->all_link);
    list_del(&p->sibling_link);
    sigpending_clear(&p->pending);
    kfree(p->exe_path);
    p->exe_path = NULL;
    p->parent = NULL;
    p->reaped = true;
    process_put(p);
}

struct process *process_get(struct process *p)
{
    p->refs++;
    return p;
}

void process_put(struct process *p)
{
    if (!--p->refs) kfree(p);
}

void process_set_init(struct process *p, struct task *t)
{
    if (!table.ready) table_init();
    table.last_pid = 1;
    p->pid = p->pgid = p->sid = 1;
    p->unkillable = true;
    process_enlist(p);
    task_attach(t, p, 1);
}

/* What a child process takes over from its parent. */
static long copy_process(struct process *child, const struct clone_args64 *args)
{
    struct process *parent = current->process;

    child->mm = args->flags & CLONE_VM ? mm_get(parent->mm) : share_fork(parent->mm);
    if (!child->mm) return -ENOMEM;
    child->sighand = args->flags & CLONE_SIGHAND ? sighand_get(parent->sighand) : sighand_copy(parent->sighand);
    child->files = args->flags & CLONE_FILES ? files_get(parent->files) : files_copy(parent->files);
    child->fs = args->flags & CLONE_FS ? fs_get(parent->fs) : fs_copy(parent->fs);
    child->exe_path = kstrdup(parent->exe_path);
    if (!child->sighand || !child->files || !child->fs || !child->exe_path) return -ENOMEM;
    if (args->flags & CLONE_CLEAR_SIGHAND) sighand_reset(child->sighand, false);
    if (parent->exe) child->exe = file_get(parent->exe);
    memcpy(child->rlimits, parent->rlimits, sizeof child->rlimits);
    child->dumpable = parent->dumpable;
    child->personality = parent->personality;
    child->oom_score_adj = parent->oom_score_adj;
    child->oom_score_adj_min = parent->oom_score_adj_min;
    child->pgid = parent->pgid;
    child->sid = parent->sid;
    child->exit_signal = args->flags & CLONE_PARENT ? parent->exit_signal : args->exit_signal;
    child->parent = args->flags & CLONE_PARENT && parent->parent ? parent->parent : parent;
    shm_mappings_changed();
    return 0;
}

static void drop_objects(struct process *p)
{
    if (p->exe) file_put(p->exe);
    if (p->files) files_put(p->files);
    if (p->fs) fs_put(p->fs);
    if (p->sighand) sighand_put(p->sighand);
    if (p->mm) mm_put(p->mm);
    p->exe = NULL;
    p->files = NULL;
    p->fs = NULL;
    p->sighand = NULL;
    p->mm = NULL;
}

void process_discard(struct process *p)
{
    drop_objects(p);
    p->dead = true; /* a pidfd may know it already */
    process_free(p);
}

static long check_clone(const struct clone_args64 *a)
{
    uint64_t f = a->flags;

    if (f & ~(0xffffffffull | CLONE_CLEAR_SIGHAND)) return -EINVAL;
    if (f & CLONE_THREAD && !(f & CLONE_SIGHAND)) return -EINVAL;
    if (f & CLONE_SIGHAND && !(f & CLONE_VM)) return -EINVAL;
    if (f & CLONE_CLEAR_SIGHAND && f & CLONE_SIGHAND) return -EINVAL;
    if (f & CLONE_FS && f & CLONE_NEWNS) return -EINVAL;
    if (f & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
        return -EPERM;
    if (f & CLONE_PIDFD && f & (CLONE_THREAD | CLONE_DETACHED)) return -EINVAL;
    if (f & CLONE_SETTLS && a->tls >> 47) return -EPERM; /* the processor refuses it, or it is not the program's */
    if (f & CLONE_THREAD && a->exit_signal) return -EINVAL;
    /* Process 1 has no parent to give its children to. */
    if (f & CLONE_PARENT && current->process->unkillable) return -EINVAL;
    if ((unsigned)a->exit_signal > SIG_COUNT) return -EINVAL;
    return 0;
}

static bool over_nproc(void)
{
    uint64_t limit = task_rlimit(RLIMIT_NPROC), n = 0;
    struct process *p;
    struct task *t;

    if (limit == RLIM64_INFINITY || !current->cred->uid || capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN))
        return false;
    list_for_each(p, process_all(), all_link)
        list_for_each(t, &p->tasks, process_link) n += t->cred->uid == current->cred->uid;
    return n >= limit;
}

static void copy_task(struct task *t, const struct clone_args64 *a)
{
    *t->regs = *current->regs;
    t->regs->rax = 0;
    t->regs->rcx = t->regs->rip;
    if (a->stack) t->regs->rsp = a->stack;
    xstate_save(t->xstate);
    t->fsbase = a->flags & CLONE_SETTLS ? a->tls : fsbase_read();
    t->gsbase = gsbase_read();
    t->cred = cred_get(current->cred);
    memcpy(t->comm, current->comm, sizeof t->comm);
    t->blocked = current->blocked;
    t->nice = current->nice;
    t->sched_policy = current->sched_policy;
    /* sigaltstack(2): kept by a child with memory of its own or borrowed, not by a thread. */
    if (!(a->flags & CLONE_VM) || a->flags & CLONE_VFORK) t->altstack = current->altstack;
    if (a->flags & CLONE_CHILD_SETTID) t->set_child_tid = a->child_tid;
    if (a->flags & CLONE_CHILD_CLEARTID) t->clear_child_tid = a->child_tid;
}

/* CLONE_PIDFD: a descriptor for the parent. It goes again if the clone fails after it. */
static long give_pidfd(struct process *child, uaddr_t at)
{
    struct file *file;
    int err = pidfd_new(child, 0, &file);

    if (err) return err;
    int fd = fd_install(file, 0, true);
    if (fd < 0) {
        file_put(file);
        return fd;
    }
    err = put_user_u32(at, (uint32_t)fd);
    if (err) fd_close(fd);
    return err;
}

long task_clone(const struct clone_args64 *a)
{
    struct process *p = NULL;
    long r = check_clone(a);

    if (r) return r;
    if (over_nproc()) return -EAGAIN;
    int tid = pid_alloc();
    if (tid < 0) return tid;
    struct task *t = task_new();
    if (!t) return -ENOMEM;
    copy_task(t, a);
    if (!(a->flags & CLONE_THREAD)) {
        p = process_new();
        r = p ? copy_process(p, a) : -ENOMEM;
        if (r) goto out_process;
        p->pid = tid;
    }
    if (a->flags & CLONE_PIDFD) {
        r = give_pidfd(p, a->pidfd);
        if (r) goto out_process;
    }
    if (a->flags & CLONE_PARENT_SETTID) put_user_u32(a->parent_tid, (uint32_t)tid); /* as Linux, whether it can or not */
    if (p) {
        process_enlist(p);
        list_add_tail(&p->parent->children, &p->sibling_link);
    }
    task_attach(t, p ? p : current->process, tid);
    task_prepare_return(t);
    bool waits = a->flags & CLONE_VFORK && p;
    if (waits) {
        p->vfork_parent = current;
        current->vfork_child = p;
    }
    /*
     * A child with memory of its own goes first: most exec soon, and what the parent
     * does not write before that need not be kept for the child.
     */
    if (a->flags & CLONE_VM)
        sched_start(t);
    else
        sched_start_now(t);
    if (waits) {
        current->killable = true;
        while (current->vfork_child && !wait_sleep(WAIT_FOREVER)) {
        }
        current->killable = false;
        /* Killed: the child, which is still there, has nobody to release. */
        if (current->vfork_child) current->vfork_child->vfork_parent = NULL;
        current->vfork_child = NULL;
    }
    return tid;

out_process:
    if (p) process_discard(p);
    task_free(t);
    return r;
}

void process_release_vfork(struct process *p)
{
    struct task *parent = p->vfork_parent;

    if (!parent) return;
    p->vfork_parent = NULL;
    parent->vfork_child = NULL;
    task_wake(parent);
}

/* Who takes over the children of one that ends. */
static struct process *reaper_of(struct process *p)
{
    for (struct process *q = p->parent; q; q = q->parent)
        if (q->child_subreaper && !q->dead) return q;
    return process_find(1);
}

/*
 * A process group is orphaned when no member has a parent in another group of the same session (POSIX): nobody
 * could continue it once it is stopped. but is not counted: it is ending.
 */
bool process_group_orphaned(int pgid, const struct process *but)
{
    const struct process *p;

    list_for_each(p, process_all(), all_link) {
        if (p->pgid != pgid || p == but || p->dead || !p->parent) continue;
        if (p->parent->pgid != pgid && p->parent->sid == p->sid) return false;
    }
    return true;
}

static bool group_has_stopped(int pgid)
{
    const struct process *p;

    list_for_each(p, process_all(), all_link)
        if (p->pgid == pgid && p->stopped) return true;
    return false;
}

/* but's end, or that of its parent, has orphaned p's group: whoever is stopped there would be so for ever. */
static void wake_orphans(const struct process *p, const struct process *parent, const struct process *but)
{
    if (!parent || parent->pgid == p->pgid || parent->sid != p->sid) return; /* p did not keep it from being one */
    if (!process_group_orphaned(p->pgid, but) || !group_has_stopped(p->pgid)) return;
    signal_send_group(p->pgid, SIGHUP);
    signal_send_group(p->pgid, SIGCONT);
}

static void orphan_children(struct process *p)
{
    struct process *child, *next, *reaper = reaper_of(p);

    list_for_each_safe(child, next, &p->children, sibling_link) {
        list_del(&child->sibling_link);
        list_add_tail(&reaper->children, &child->sibling_link);
        child->parent = reaper;
        wake_orphans(child, p, NULL);
        child->exit_signal = SIGCHLD; /* whatever its own parent was to get */
        if (child->pdeath_signal) signal_send_process(child, child->pdeath_signal);
        if (child->dead) process_report_exit(child);
    }
}

void process_reap(struct process *p)
{
    if (p->parent) p->parent->children_cpu_ns += p->dead_cpu_ns + p->children_cpu_ns;
    process_free(p);
}

/* Tells the parent. It may have said that it does not want to know. */
void process_report_exit(struct process *p)
{
    struct process *parent = p->parent;

    if (p->outside) {
        p->outside->ended(p->outside, p->exit_status);
        process_reap(p);
        return;
    }
    struct sigaction64 *sa = &parent->sighand->action[SIGCHLD - 1];
    bool autoreap = p->exit_signal == SIGCHLD && (sa->handler == SIGACTION_IGNORE || sa->flags & SA_NOCLDWAIT);

    if (p->exit_signal) signal_child(parent, p, p->exit_signal);
    wake_up(&parent->child_wait);
    if (autoreap) process_reap(p);
}

static void process_end(struct process *p, int status)
{
    if (!p->exiting) p->exit_status = status;
    p->exiting = true;
    if (p->pid == 1) {
        status = p->exit_status;
        if (pending_work & WORK_COUNT) strace_report();
        wb_finish();
        host_exit(WIFSIGNALED64(status) ? 128 + (status & 0x7f) : status >> 8 & 0xff);
    }
    itimers_exit(p);
    process_release_vfork(p);
    if (p->sid == p->pid) tty_session_ended(p->sid);
    sem_process_exit(p);
    drop_objects(p);
    shm_mappings_changed();
    memcpy(p->dead_comm, current->comm, sizeof(p->dead_comm));
    p->dead = true;
    wake_orphans(p, p->parent, p);
    orphan_children(p);
    wake_up(&p->exit_wait);
    process_report_exit(p);
}

void task_exit(int status)
{
    struct process *p = current->process;

    futex_exit_task();
    p->dead_cpu_ns += task_cpu_ns(current);
    list_del(&current->process_link);
    list_del(&current->hash_link);
    p->ntasks--;
    if (p->exec_task && p->ntasks == 1) task_wake(p->exec_task);
    if (!p->ntasks) process_end(p, status);
    current->process = NULL;
    sched_exit();
}

void process_exit_group(struct process *p, int status)
{
    struct task *t;

    if (p->exiting) return;
    p->exiting = true;
    p->exit_status = status;
    list_for_each(t, &p->tasks, process_link) signal_interrupt(t);
}

int process_become_single(void)
{
    struct process *p = current->process;
    struct task *t;

    if (p->exec_task || p->exiting) return -EAGAIN;
    p->exec_task = current;
    list_for_each(t, &p->tasks, process_link)
        if (t != current) signal_interrupt(t);
    current->killable = true;
    int err = 0;
    while (p->ntasks > 1 && !err) err = wait_sleep(WAIT_FOREVER);
    current->killable = false;
    p->exec_task = NULL;
    if (err) return -EINTR;
    /* The survivor becomes the leader. */
    if (current->tid != p->pid) {
        list_del(&current->hash_link);
        current->tid = p->pid;
        list_add(&table.hash[(unsigned)p->pid % HASH_BUCKETS], &current->hash_link);
    }
    return 0;
}

uint64_t task_rlimit(unsigned resource)
{
    return current->process->rlimits[resource].rlim_cur;
}

int64_t task_cpu_ns(const struct task *t)
{
    return t->cpu_ns + (t == current ? clock_monotonic() - t->slice_start_ns : 0);
}

int64_t process_cpu_ns(const struct process *p)
{
    const struct task *t;
    int64_t sum = p->dead_cpu_ns;

    list_for_each(t, &p->tasks, process_link) sum += task_cpu_ns(t);
    return sum;
}
