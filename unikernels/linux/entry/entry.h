/* What gate.S and the C side of the border share. */
#ifndef LINUX_ENTRY_ENTRY_H
#define LINUX_ENTRY_ENTRY_H

#include "entry/regs.h"
#include "lib/types.h"

struct siginfo64;
struct ucontext64;

long host_call(long nr, long a, long b, long c, long d, long e, long f);
long host_idle(long nr, long epfd, void *events, long n, void *timeout);
extern char idle_begin[], idle_end[], idle_abort[];
extern char gate_entry[], gate_return_jump[], return_full[], return_full_iret[], event_entry[];
extern char task_first_return[];
extern uintptr_t current_kstack_top;
/* Bit n - 1: host signal n came and waits for signal delivery. */
extern volatile uint64_t host_signals_pending;

void task_switch_stacks(uintptr_t *save, uintptr_t load);
void task_switched(void);

/* Called by gate.S. */
int signal_syscall(int sig, const struct siginfo64 *info, struct ucontext64 *uc);
void signal_event(int sig, const struct siginfo64 *info, struct ucontext64 *uc);
void event_dispatch(struct regs *regs);
int syscall_dispatch(struct regs *regs);

/* True while the kernel itself runs the host's vDSO: what arrives then belongs to the kernel. */
extern volatile bool host_vdso_active;

/*
 * entry/patch.c: a system call trapped whose next instruction is at ip; makes
 * its call site jump to the gate from now on if that can be done safely.
 */
void patch_call_site(uaddr_t ip, uint64_t nr);
/* Before text at [start, end) is unmapped or overwritten: its sites are forgotten. */
void patch_forget(uaddr_t start, uaddr_t end);

/*
 * Work to do before going back to the program, checked on every return.
 */
enum work {
    WORK_RESCHED = 1u << 0,  /* the time slice is over */
    WORK_SIGNAL = 1u << 1,   /* the running task may have a signal to deliver */
    WORK_HOST = 1u << 2,     /* host signals have come */
    WORK_STRACE = 1u << 3,   /* always, with --strace */
    WORK_FULL = 1u << 4,     /* this call changed all registers */
    WORK_COUNT = 1u << 5,    /* always, where calls are counted */
    WORK_MEMORY = 1u << 6,   /* memory is low */
    WORK_CONTROL = 1u << 7,  /* something is to be received from the control channel or sent over it */
};
extern volatile uint32_t pending_work;

/* System calls of programs that raised SIGSYS: their sites are not patched, or not yet. */
extern uint64_t trapped_calls;

#endif
