/* Making and freeing tasks and processes: for task/ and the loader alone. */
#ifndef LINUX_TASK_TASK_IMPL_H
#define LINUX_TASK_TASK_IMPL_H

#include "task/task.h"

#define KSTACK_PAGES 4u

/* 8 below a multiple of 16, so that struct regs below it is aligned. */
static inline uintptr_t task_kstack_top(const struct task *t)
{
    return (uintptr_t)t->kstack + KSTACK_PAGES * PAGE_SIZE - 8;
}
/* Panics if the task has used more than its kernel stack, where no closed page stops it at once. */
void task_check_kstack(const struct task *t);

/* A task and, with it, the place of its registers; NULL: ENOMEM. On no list yet. */
struct task *task_new(void);
void task_free(struct task *t);
/* Puts it in the pid table and in its process. */
void task_attach(struct task *t, struct process *p, int tid);
/* When it runs for the first time it goes straight to the program, with t->regs. */
void task_prepare_return(struct task *t);
/* The same, but first it runs a function of the kernel, on its own stack. */
void task_prepare_kernel(struct task *t, void (*function)(void));

struct process *process_new(void);
/* One that was never on the list, with what it owns. */
void process_discard(struct process *p);
/* Puts it on the list of all. Its pid is set. */
void process_enlist(struct process *p);
/* The first process, pid 1. */
void process_set_init(struct process *p, struct task *t);
/* A zombie that was waited for. */
void process_reap(struct process *p);
/* Tells p's parent that p is dead. */
void process_report_exit(struct process *p);
int pid_alloc(void); /* -EAGAIN */
/* No member but `but` has a parent that does job control for it. */
bool process_group_orphaned(int pgid, const struct process *but);

/* clone(2) in all its forms. */
struct clone_args64 {
    uint64_t flags;
    uaddr_t child_tid, parent_tid, pidfd;
    int exit_signal;
    uaddr_t stack; /* top, 0: as the parent's */
    uint64_t tls;
};
long task_clone(const struct clone_args64 *args);

/* status as wait(2) reports it. */
void task_exit(int status) NORETURN;
/* Every task of the running process leaves; this one does so on its way back to the program. */
void process_exit_group(struct process *p, int status);
/* Ends all other tasks of the running process, for execve: 0 or -EINTR. */
int process_become_single(void);
/* The vfork parent goes on: the child has memory of its own or is gone. */
void process_release_vfork(struct process *p);

/* robust futexes and clear_child_tid of the running task (task/futex.c). */
void futex_exit_task(void);
long futex_wake(uaddr_t addr, int count);

/* All processes, by pid. */
struct list *process_all(void);

#endif
