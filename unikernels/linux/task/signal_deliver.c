/*
 * Delivery: what happens to a task on its way back to the program. The frame is
 * Linux's rt_sigframe, so that unwinders, setjmp and programs that edit their
 * ucontext (Go, the JVM, wasm runtimes) find what they expect.
 */
#include "task/signal_deliver.h"

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/unistd.h>
#include <linux/signal.h>

#include "boot/config.h"
#include "control/control.h"
#include "entry/entry.h"
#include "entry/offsets.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "mm/file_map.h"
#include "mm/keep.h"
#include "mm/reclaim.h"
#include "mm/uaccess.h"
#include "syscall/strace.h"
#include "task/oom_kill.h"
#include "task/sched.h"
#include "task/task_impl.h"

#define SA_RESTORER_FLAG 0x04000000ul
#define UC_FP_XSTATE 1ul
#define UC_SIGCONTEXT_SS 2ul
#define UC_STRICT_RESTORE_SS 4ul
#define RED_ZONE 128
#define FXSAVE_BYTES 512
#define SW_BYTES_OFFSET 464 /* struct _fpx_sw_bytes in the legacy area */
#define XSTATE_BV_OFFSET 512
#define COREDUMP_FLAG 0x80
/* What a program may set in its flags: CF PF AF ZF SF TF DF OF RF AC. */
#define USER_FLAGS 0x50dd5ul

struct frame_stack {
    uaddr_t sp;
    int flags, pad;
    size_t size;
};

struct rt_sigframe {
    uaddr_t pretcode;
    struct {
        uint64_t uc_flags;
        uaddr_t uc_link;
        struct frame_stack uc_stack;
        struct sigcontext_64 mc;
        sigset64 uc_sigmask;
    } uc;
    struct siginfo64 info;
};

#define COREDUMP_SIGNALS                                                                                  \
    (SIGBIT(SIGQUIT) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGABRT) | SIGBIT(SIGFPE) |              \
     SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGSYS) | SIGBIT(SIGXCPU) | SIGBIT(SIGXFSZ))
#define STOP_SIGNALS (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define DEFAULT_IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))

static bool on_altstack(uaddr_t sp)
{
    const struct altstack *a = &current->altstack;

    return a->size && !(a->flags & SS_AUTODISARM) && sp > a->sp && sp - a->sp <= a->size;
}

/* The vector state with the words around it by which programs know its size and kind. */
static int put_fpstate(uaddr_t fp)
{
    size_t size = xstate_size();
    struct _fpx_sw_bytes sw = {
        .magic1 = FP_XSTATE_MAGIC1,
        .extended_size = (uint32_t)(size + FP_XSTATE_MAGIC2_SIZE),
        .xfeatures = xstate_mask(),
        .xstate_size = (uint32_t)size,
    };

    xstate_save(current->xstate);
    memcpy((char *)current->xstate + SW_BYTES_OFFSET, &sw, sizeof sw);
    int err = copy_to_user(fp, current->xstate, size);
    if (!err) err = put_user_u32(fp + size, FP_XSTATE_MAGIC2);
    return err;
}

static int push_frame(struct regs *r, int sig, const struct siginfo64 *info, const struct sigaction64 *sa)
{
    struct rt_sigframe f = {0};
    uaddr_t sp = r->rsp - RED_ZONE;
    bool on_stack = on_altstack(r->rsp);

    if (sa->flags & SA_ONSTACK && !on_stack && current->altstack.size && !(current->altstack.flags & SS_DISABLE))
        sp = current->altstack.sp + current->altstack.size;
    uaddr_t fp = ALIGN_DOWN(sp - xstate_size() - FP_XSTATE_MAGIC2_SIZE, 64);
    uaddr_t frame = ALIGN_DOWN(fp - sizeof f, 16) - 8;
    /* A frame that would leave the alternate stack kills, as on Linux. */
    if (on_stack && !on_altstack(frame)) return -EFAULT;

    f.pretcode = sa->restorer;
    f.uc.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    f.uc.uc_stack = (struct frame_stack){current->altstack.sp, current->altstack.flags, 0, current->altstack.size};
    if (!on_stack) f.uc.uc_stack.flags &= ~SS_ONSTACK;
    f.uc.mc = (struct sigcontext_64){
        .r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13,
        .r14 = r->r14, .r15 = r->r15, .di = r->rdi, .si = r->rsi, .bp = r->rbp, .bx = r->rbx,
        .dx = r->rdx, .ax = r->rax, .cx = r->rcx, .sp = r->rsp, .ip = r->rip, .flags = r->rflags,
        .cs = USER_CS, .ss = USER_SS, .err = current->fault_err, .trapno = current->fault_trapno,
        .cr2 = current->fault_addr, .fpstate = fp,
        .oldmask = current->restore_blocked ? current->saved_blocked : current->blocked,
    };
    f.uc.uc_sigmask = f.uc.mc.oldmask;
    f.info = *info;
    if (put_fpstate(fp) || copy_to_user(frame, &f, sizeof f)) return -EFAULT;

    current->restore_blocked = false;
    current->blocked |= sa->mask | (sa->flags & SA_NODEFER ? 0 : SIGBIT(sig));
    current->blocked &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
    if (current->altstack.flags & (int)SS_AUTODISARM)
        current->altstack = (struct altstack){.flags = SS_DISABLE};
    r->rip = sa->handler;
    r->rsp = frame;
    r->rdi = (uint64_t)sig;
    r->rsi = frame + offsetof(struct rt_sigframe, info);
    r->rdx = frame + offsetof(struct rt_sigframe, uc);
    r->rax = 0;
    r->rflags = USER_RFLAGS;
    r->orig_rax = ~0ull;
    xstate_init(current->xstate);
    xstate_load(current->xstate);
    return 0;
}

static void stop_process(int sig)
{
    struct process *p = current->process;
    struct task *t;

    p->stopped = true;
    p->stop_reported = p->continued_unreported = false;
    p->stop_signal = sig;
    list_for_each(t, &p->tasks, process_link)
        if (t != current) signal_interrupt(t);
    if (p->parent) {
        signal_child(p->parent, p, SIGCHLD);
        wake_up(&p->parent->child_wait);
    }
}

static void die_of(int sig)
{
    if (boot_config.flags & RUNNC_BOOT_STRACE) strace_killed(sig);
    /* No core is written: there is nowhere to put one. Parents are told as if, where the limit allows one. */
    bool dumped = COREDUMP_SIGNALS & SIGBIT(sig) && current->process->dumpable && task_rlimit(RLIMIT_CORE) >= PAGE_SIZE;
    process_exit_group(current->process, sig | (dumped ? COREDUMP_FLAG : 0));
}

/* A call that gave up for a signal: run again, or EINTR (signal(7)). */
static void fix_restart(struct regs *r, const struct sigaction64 *handler)
{
    long result = (long)r->rax;

    if (r->orig_rax == ~0ull || result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK) return;
    bool restart = !handler;
    if (handler && result == -ERESTARTSYS) restart = handler->flags & SA_RESTART;
    if (result == -ERESTARTNOINTR) restart = true;
    if (!restart) {
        r->rax = (uint64_t)-EINTR;
    } else {
        r->rax = !handler && result == -ERESTART_RESTARTBLOCK ? __NR_restart_syscall : r->orig_rax;
        r->rip -= 2; /* the syscall instruction, or the jump that took its place */
        pending_work |= WORK_FULL;
    }
    r->orig_rax = ~0ull;
}

/* Delivers one signal. True if a handler was entered. */
static bool deliver_one(struct regs *r)
{
    struct siginfo64 info;
    int sig = signal_dequeue(~current->blocked, &info);

    if (!sig) return false;
    struct sigaction64 *sa = &current->process->sighand->action[sig - 1];
    if (boot_config.flags & RUNNC_BOOT_STRACE) strace_signal(&info);
    if (sa->handler == SIGACTION_IGNORE) return false;
    if (sa->handler == SIGACTION_DEFAULT) {
        if (DEFAULT_IGNORED & SIGBIT(sig)) return false;
        if (current->process->unkillable && !(UNBLOCKABLE & SIGBIT(sig))) return false;
        /* Whom nobody could continue is not stopped from a terminal. */
        if (STOP_SIGNALS & SIGBIT(sig) && sig != SIGSTOP && process_group_orphaned(current->process->pgid, NULL))
            return false;
        if (STOP_SIGNALS & SIGBIT(sig))
            stop_process(sig);
        else
            die_of(sig);
        return false;
    }
    struct sigaction64 action = *sa;
    fix_restart(r, &action);
    if (action.flags & SA_RESETHAND) *sa = (struct sigaction64){0};
    if (push_frame(r, sig, &info, &action)) {
        if (sig == SIGSEGV) sa->handler = SIGACTION_DEFAULT;
        signal_force(SIGSEGV, SI_KERNEL, 0);
        return false;
    }
    current->fault_addr = current->fault_err = current->fault_trapno = 0;
    pending_work |= WORK_FULL;
    return true;
}

static void wait_while_stopped(void)
{
    while (current->process->stopped && !signal_fatal_pending()) {
        current->state = TASK_STOPPED;
        schedule();
    }
}

void return_work(struct regs *regs)
{
    current->regs = regs;
    for (;;) {
        uint32_t work = pending_work;
        struct process *p = current->process;

        if (work & WORK_HOST) host_signals_take();
        if (work & WORK_RESCHED) sched_tick();
        if (work & WORK_MEMORY) {
            pending_work &= ~(uint32_t)WORK_MEMORY;
            keep_drop();
            file_cache_drop();
            reclaim_untouched();
        }
        if (pending_work & WORK_CONTROL) control_work();
        if (p->exiting) task_exit(p->exit_status);
        if (p->exec_task && p->exec_task != current) task_exit(0);
        if (p->stopped) {
            wait_while_stopped();
            continue;
        }
        if (signal_peek(~current->blocked)) {
            deliver_one(regs);
            continue;
        }
        if (!(pending_work & (WORK_HOST | WORK_RESCHED | WORK_CONTROL))) break;
    }
    fix_restart(regs, NULL);
    if (current->restore_blocked) {
        current->restore_blocked = false;
        current->blocked = current->saved_blocked;
        if (signal_pending()) return_work(regs);
    }
    signal_update_work();
}

void signal_force(int sig, int code, uint64_t addr)
{
    struct siginfo64 info = {.si_signo = sig, .si_code = code, .fault.addr = addr};
    struct sigaction64 *sa = &current->process->sighand->action[sig - 1];

    if (sa->handler == SIGACTION_IGNORE || current->blocked & SIGBIT(sig)) {
        sa->handler = SIGACTION_DEFAULT;
        current->blocked &= ~SIGBIT(sig);
    }
    /* A fault ends process 1 too. */
    if (sa->handler == SIGACTION_DEFAULT) current->process->unkillable = false;
    sigpending_drop(&current->pending, SIGBIT(sig));
    if (signal_send_info(current->process, current, &info)) die_of(sig);
    signal_update_work();
}

void signal_fault(int sig, int code, uint64_t addr, uint64_t trapno, uint64_t err)
{
    struct mm *mm = current->process->mm;

    if (mm->out_of_memory) {
        oom_kill_process(current->process);
        return;
    }
    current->fault_addr = addr;
    current->fault_trapno = trapno;
    current->fault_err = err;
    /* To the host all guest memory is mapped: only our list knows. */
    if (sig == SIGSEGV && (code == SEGV_MAPERR || code == SEGV_ACCERR)) sig = mm_fault_signal(mm, addr, err, &code);
    signal_force(sig, code, addr);
}

static bool xstate_sane(const uint8_t *area)
{
    uint64_t bv, comp, reserved[6];
    uint32_t mxcsr;

    memcpy(&mxcsr, area + 24, sizeof mxcsr);
    memcpy(&bv, area + XSTATE_BV_OFFSET, 8);
    memcpy(&comp, area + XSTATE_BV_OFFSET + 8, 8);
    memcpy(reserved, area + XSTATE_BV_OFFSET + 16, sizeof reserved);
    if (bv & ~xstate_mask() || comp || mxcsr & 0xffff0000u) return false;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (reserved[i]) return false;
    return true;
}

static bool restore_fpstate(uaddr_t fp)
{
    struct _fpx_sw_bytes sw;
    uint8_t *area = current->xstate;

    if (!fp) {
        xstate_init(area);
        xstate_load(area);
        return true;
    }
    if (copy_from_user(&sw, fp + SW_BYTES_OFFSET, sizeof sw)) return false;
    if (sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == xstate_size()) {
        if (copy_from_user(area, fp, xstate_size())) return false;
    } else {
        /* Only the legacy part, as from a frame that the program made up. */
        xstate_init(area);
        if (copy_from_user(area, fp, FXSAVE_BYTES)) return false;
        *(uint64_t *)(area + XSTATE_BV_OFFSET) = 3;
    }
    return xstate_sane(area) && xstate_load_checked(area);
}

void signal_return(struct regs *r)
{
    struct rt_sigframe f;
    uaddr_t frame = r->rsp - sizeof f.pretcode;

    if (copy_from_user(&f, frame, offsetof(struct rt_sigframe, info))) goto bad;
    const struct sigcontext_64 *m = &f.uc.mc;
    if (!restore_fpstate(m->fpstate)) goto bad;
    *r = (struct regs){
        .r15 = m->r15, .r14 = m->r14, .r13 = m->r13, .r12 = m->r12, .rbp = m->bp, .rbx = m->bx,
        .r11 = m->r11, .r10 = m->r10, .r9 = m->r9, .r8 = m->r8, .rax = m->ax, .rcx = m->cx,
        .rdx = m->dx, .rsi = m->si, .rdi = m->di, .orig_rax = ~0ull, .rip = m->ip, .cs = USER_CS,
        .rflags = (m->flags & USER_FLAGS) | USER_RFLAGS, .rsp = m->sp, .ss = USER_SS,
    };
    if (f.uc.uc_stack.size >= 2048 || f.uc.uc_stack.flags & SS_DISABLE)
        current->altstack = (struct altstack){
            .sp = f.uc.uc_stack.sp, .flags = f.uc.uc_stack.flags & ~SS_ONSTACK, .size = f.uc.uc_stack.size};
    signal_set_blocked(f.uc.uc_sigmask);
    return;
bad:
    signal_force(SIGSEGV, SI_KERNEL, 0);
}
