/*
 * Tasks and processes.
 *
 * A task is a guest thread, a process the group of tasks that share one pid.
 * All run on one host thread: a task runs until it sleeps (task/wait.h), yields
 * or is preempted on its way back to the program; kernel code is never
 * preempted. So kernel data needs no locks, but whatever may change while a
 * task sleeps must be looked at again afterwards, and objects used across a
 * sleep must be held by a reference.
 *
 * Objects that processes may share (mm, files, fs, sighand) are counted, so
 * that clone(2) and vfork(2) can share any of them.
 */
#ifndef LINUX_TASK_TASK_H
#define LINUX_TASK_TASK_H

#include <linux/resource.h>

#include "entry/regs.h"
#include "lib/list.h"
#include "lib/types.h"
#include "task/cred.h"
#include "task/signal.h"
#include "task/wait.h"
#include "time/timer.h"

struct mm;      /* mm/mm.h */
struct files;   /* fs/: the descriptor table, counted */
struct fs;      /* fs/: root, cwd, umask, counted */
struct file;    /* fs/: an open file */
struct sighand; /* task/signal.h */

#define TASK_COMM_LEN 16
#define TIMER_SLACK_NS 50000 /* of a new task */

enum task_state {
    TASK_RUNNING, /* running or on the run queue */
    TASK_SLEEPING,
    TASK_STOPPED, /* by a job-control signal */
    TASK_DEAD,
};

struct task {
    int lookup_intent; /* fs/walk.h: open flags + 1 while the last name of a path to open is looked up */
    struct list run_link;     /* on the run queue */
    struct list process_link; /* in process->tasks */
    struct list hash_link;    /* in the pid table */
    enum task_state state;
    int tid;
    struct process *process; /* NULL once it has left */
    struct cred *cred;
    char comm[TASK_COMM_LEN];

    /* Where the scheduler left it. */
    void *kstack;       /* lowest address */
    uintptr_t ksp;      /* while it does not run */
    struct regs *regs;  /* the program's registers, on the kernel stack */
    void *xstate;       /* XSAVE image while it does not run */
    uint64_t fsbase, gsbase;
    int64_t cpu_ns;     /* consumed up to the last switch */
    uint64_t switches_voluntary, switches_involuntary;
    int nice, sched_policy;
    uint64_t timer_slack_ns;

    int64_t slice_start_ns;

    /* Sleep. */
    struct timer wake_timer;
    bool timed_out;
    bool killable; /* only a fatal signal ends this sleep */

    /* The last fault, for the signal frame. */
    uint64_t fault_addr, fault_trapno, fault_err;

    /* What its last fault waits for: mm/mm.c. */
    struct fetch {
        struct file *file; /* counted; NULL: nothing */
        uint64_t offset;
        size_t len;
        bool done; /* and the fault has not come again yet */
    } fetch;

    /* Signals: task/signal.c. */
    sigset64 blocked, saved_blocked;
    sigset64 awaited;     /* by sigtimedwait: unblocked for its sake, and not to be dropped as ignored */
    bool restore_blocked; /* saved_blocked comes back when no handler runs (sigsuspend, ppoll) */
    struct sigpending pending;
    struct altstack altstack;
    struct restart_block restart;

    /* Thread exit: clear_child_tid and the robust list, see futex(2). */
    uaddr_t clear_child_tid;
    uaddr_t set_child_tid; /* where a new task writes its number before all else */
    uaddr_t robust_list;
    size_t robust_list_len;

    /* vfork: the child's process gives this task its memory back. */
    struct process *vfork_child;
};

struct process {
    int refs;   /* the list of processes, pidfds */
    bool reaped; /* was waited for: only pidfds know it */
    struct list all_link; /* in kernel's list of processes */
    struct list tasks;
    int ntasks; /* alive */
    int pid, pgid, sid;
    struct process *parent;  /* NULL: outside of the guest */
    struct outside *outside; /* who made it, if no process did */
    struct list children;
    struct list sibling_link;

    struct mm *mm;
    struct files *files;
    struct fs *fs;
    struct sighand *sighand;
    struct sigpending pending; /* sent to the process as a whole */

    struct rlimit64 rlimits[RLIM_NLIMITS];
    struct file *exe;     /* for /proc/PID/exe */
    char *exe_path;       /* kmalloc'ed */
    int64_t start_ns;     /* CLOCK_MONOTONIC */
    int64_t dead_cpu_ns;  /* of tasks that are gone */
    int64_t children_cpu_ns;
    bool has_execed;
    bool unkillable;      /* process 1: signals without a handler pass it by (pid_namespaces(7)) */
    int exit_signal;      /* sent to the parent: SIGCHLD, or as clone(2) said */

    struct itimers *itimers;       /* time/itimer.c; NULL until used */
    struct list sem_undos;         /* ipc/sem.c */
    struct list posix_timers;      /* time/posix_timer.c */
    int next_timer_id;

    bool stopped;   /* by a job-control signal, until SIGCONT */
    bool stop_reported, continued_unreported;
    int stop_signal;
    bool exiting;   /* exit_group or a fatal signal: every task leaves */
    bool dead;      /* a zombie */
    int exit_status; /* as wait(2) reports it */
    char dead_comm[TASK_COMM_LEN]; /* its last task's */
    int pdeath_signal;
    bool dumpable;
    uint32_t personality;
    int oom_score_adj, oom_score_adj_min; /* task/oom_kill.h; less than the latter needs CAP_SYS_RESOURCE */
    bool child_subreaper;
    struct io_account {
        uint64_t read_bytes, write_bytes, reads, writes; /* by calls, of files of any kind */
    } io;
    struct wait_queue child_wait; /* this one sleeps here in wait4 */
    struct wait_queue exit_wait;  /* woken when this one is dead (pidfd) */
    struct task *vfork_parent; /* sleeps until this process execs or ends */
    struct task *exec_task;       /* other tasks leave: execve in progress */
};

/* The running task; the scheduler's other state is task/sched.c's own. */
extern struct task *current;

struct process *process_get(struct process *p);
void process_put(struct process *p);

struct task *task_find(int tid);
struct process *process_find(int pid); /* zombies included */
/* Next process in order of pid after `pid`, NULL at the end: for /proc. */
struct process *process_next(int pid);

/* Soft limit RLIMIT_* of the running process. */
uint64_t task_rlimit(unsigned resource);

/* CPU time in nanoseconds, the running task's current slice included. */
int64_t task_cpu_ns(const struct task *t);
int64_t process_cpu_ns(const struct process *p);

/* CAP_* in the running task's effective set. */
static inline bool capable(int cap)
{
    return cred_capable(current->cred, cap);
}

#endif
