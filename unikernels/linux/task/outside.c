#include "task/outside.h"

#include "boot/config.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "task/fork_hooks.h"
#include "task/rlimits.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task_impl.h"

static bool give_objects(struct process *p)
{
    rlimits_default(p->rlimits);
    p->sighand = sighand_new();
    p->mm = mm_new();
    p->fs = fs_new();
    p->files = files_empty();
    return p->sighand && p->mm && p->fs && p->files;
}

static void first_steps(void)
{
    struct outside *outside = current->process->outside;

    outside->start(outside);
    /* A signal that came meanwhile is not to wait for the first system call. */
    return_work(current->regs);
}

int outside_start(struct outside *outside, struct cred *cred, struct process **started)
{
    int pid = pid_alloc();

    if (pid < 0) return pid;
    struct task *t = task_new();
    struct process *p = process_new();
    if (!t || !p || !give_objects(p)) {
        if (p) process_discard(p);
        if (t) task_free(t);
        return -ENOMEM;
    }
    p->outside = outside;
    p->oom_score_adj = p->oom_score_adj_min = boot_config.oom_score_adj;
    p->pid = p->pgid = p->sid = pid;
    t->cred = cred;
    strlcpy(t->comm, "runnc-exec", sizeof t->comm);
    process_enlist(p);
    task_attach(t, p, pid);
    task_prepare_kernel(t, first_steps);
    sched_start(t);
    *started = p;
    return 0;
}
