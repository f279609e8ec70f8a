/* Signals as task/, entry/ and syscall/ see them; task/signal.h is for everyone. */
#ifndef LINUX_TASK_SIGNAL_DELIVER_H
#define LINUX_TASK_SIGNAL_DELIVER_H

#include "task/signal.h"

#define SIGACTION_DEFAULT 0
#define SIGACTION_IGNORE 1

/* The ABI's struct kernel_sigaction. */
struct sigaction64 {
    uaddr_t handler;
    uint64_t flags;
    uaddr_t restorer;
    sigset64 mask;
};

struct sighand {
    int refs;
    struct sigaction64 action[SIG_COUNT]; /* of signal n at n - 1 */
};

struct sighand *sighand_new(void);
struct sighand *sighand_get(struct sighand *);
struct sighand *sighand_copy(const struct sighand *);
void sighand_put(struct sighand *);
/* For execve and CLONE_CLEAR_SIGHAND: handlers become the default; ignored ones stay unless `all`. */
void sighand_reset(struct sighand *, bool all);

void sigpending_init(struct sigpending *);
void sigpending_clear(struct sigpending *);
/* Drops pending signals of mask, as when they become ignored. */
void sigpending_drop(struct sigpending *, sigset64 mask);

/* Sets WORK_SIGNAL if the running task has something to deliver. */
void signal_update_work(void);
/* Wakes t so that it looks at its signals and its process's state. */
void signal_interrupt(struct task *t);
/* The running task is to end: exit_group, exec in another thread, SIGKILL. */
bool signal_fatal_pending(void);
void signal_set_blocked(sigset64 mask);

/* Signals that the host sent to us, passed on to pid 1. */
void host_signals_take(void);

/* SIGCHLD and the like, about a child: its end, stop or continuation. */
void signal_child(struct process *parent, struct process *child, int sig);

/* A processor fault of the running task in its program. */
void signal_fault(int sig, int code, uint64_t addr, uint64_t trapno, uint64_t err);
/* Forces a signal on the running task: it cannot be blocked or ignored. */
void signal_force(int sig, int code, uint64_t addr);

/*
 * Everything to do before going back to the program: preemption, stops, exit,
 * signals. Changes regs to enter a handler.
 */
void return_work(struct regs *regs);

/* rt_sigreturn(2): restores all registers from the frame. */
void signal_return(struct regs *regs);

#define WIFSIGNALED64(status) (((status) & 0x7f) != 0)

#endif
