/*
 * Host signals: the first C code after gate.S.
 *
 * The handlers run on the signal stack and may interrupt the kernel anywhere,
 * so they do next to nothing there: note that something came, or send a fault to
 * its fix-up. What interrupts the program is noted in `event`, and the program's
 * registers are laid on its kernel stack as if it had entered by itself.
 */
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/signal.h>

#include "boot/layout.h"
#include "entry/entry.h"
#include "entry/offsets.h"
#include "lib/print.h"
#include "mm/mm.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task.h"

#define PAGE_FAULT 14 /* the processor's number of it */

struct ucontext64 {
    uint64_t uc_flags, uc_link;
    uint64_t ss_sp;
    uint32_t ss_flags, pad;
    uint64_t ss_size;
    struct sigcontext_64 mc;
};
_Static_assert(offsetof(struct ucontext64, mc.r8) == UC_R8, "offsets.h");
_Static_assert(offsetof(struct ucontext64, mc.sp) == UC_RSP, "offsets.h");
_Static_assert(offsetof(struct ucontext64, mc.ip) == UC_RIP, "offsets.h");
_Static_assert(offsetof(struct ucontext64, mc.fpstate) == UC_FPSTATE, "offsets.h");

volatile uint32_t pending_work;
uint64_t trapped_calls;
volatile bool host_vdso_active;

/* What interrupted the program; read by event_dispatch right after. */
static struct {
    int sig, code;
    uint64_t addr, trapno, err;
} event;

struct fixup {
    uintptr_t at, to;
};
extern const struct fixup fixups_start[], fixups_end[];

static bool in_image(uint64_t ip)
{
    return ip >= (uintptr_t)kernel_start && ip < (uintptr_t)gate_end;
}

static uintptr_t find_fixup(uint64_t ip)
{
    for (const struct fixup *f = fixups_start; f < fixups_end; f++)
        if (f->at == ip) return f->to;
    return 0;
}

/* SIGSYS says less than Linux's si_code for kill() would: SI_KERNEL and above 0 are the processor's. */
static bool is_fault(int sig, int code)
{
    return code > 0 && (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP);
}

/* Only then do addr and err speak of memory that could be mended. */
static bool is_page_fault(int sig, const struct sigcontext_64 *mc)
{
    return sig == SIGSEGV && mc->trapno == PAGE_FAULT;
}

int signal_syscall(int sig, const struct siginfo64 *info, struct ucontext64 *uc)
{
    const int32_t *words = (const int32_t *)info;
    struct sigcontext_64 *mc = &uc->mc;
    uint32_t arch = (uint32_t)words[7]; /* si_arch */

    if (info->si_code != 2 /* SYS_USER_DISPATCH */) {
        /* Sent by somebody outside. */
        signal_event(sig, info, uc);
        return 0;
    }
    if (host_vdso_active && !in_image(mc->ip)) {
        /* The host's vDSO falls back to a system call: make it here. */
        mc->ax = (uint64_t)host_call((long)mc->ax, (long)mc->di, (long)mc->si, 0, 0, 0, 0);
        return 0;
    }
    if (in_image(mc->ip)) panic("system call %ld of the kernel outside of its gate at %p", (long)mc->ax, (void *)mc->ip);
    if (arch != AUDIT_ARCH_X86_64) {
        /* int $0x80: numbers of another ABI. */
        mc->ax = (uint64_t)-ENOSYS;
        return 0;
    }
    trapped_calls++;
    patch_call_site(mc->ip, mc->ax);
    mc->cx = mc->ip;
    mc->r11 = mc->flags;
    return 1;
}

/* On the signal stack: nothing may sleep there. */
static enum fault_result mend_fault(uint64_t addr, uint64_t err, bool in_kernel)
{
    atomic_begin();
    enum fault_result mended = mm_fault_in(addr, err, in_kernel);
    atomic_end();
    return mended;
}

static void kernel_event(int sig, const struct siginfo64 *info, struct ucontext64 *uc)
{
    struct sigcontext_64 *mc = &uc->mc;

    if (!is_fault(sig, info->si_code)) {
        if (mc->ip >= (uintptr_t)idle_begin && mc->ip < (uintptr_t)idle_end) mc->ip = (uintptr_t)idle_abort;
        return;
    }
    if (is_page_fault(sig, mc) && mend_fault(info->fault.addr, mc->err, true) == FAULT_RETRY) return;
    uintptr_t to = find_fixup(mc->ip);
    if (!to)
        panic("fault: signal %d at %p, address %p", sig, (void *)mc->ip, (void *)info->fault.addr);
    mc->ip = to;
}

/* Lays the program's registers on its kernel stack and makes the handler end in event_entry. */
static void enter_kernel(struct ucontext64 *uc)
{
    struct sigcontext_64 *mc = &uc->mc;
    struct regs *r = (struct regs *)current_kstack_top - 1;

    *r = (struct regs){
        .r15 = mc->r15, .r14 = mc->r14, .r13 = mc->r13, .r12 = mc->r12, .rbp = mc->bp, .rbx = mc->bx,
        .r11 = mc->r11, .r10 = mc->r10, .r9 = mc->r9, .r8 = mc->r8, .rax = mc->ax, .rcx = mc->cx,
        .rdx = mc->dx, .rsi = mc->si, .rdi = mc->di, .orig_rax = ~0ull, .rip = mc->ip, .cs = USER_CS,
        .rflags = mc->flags, .rsp = mc->sp, .ss = USER_SS,
    };
    mc->ip = (uintptr_t)event_entry;
    mc->sp = (uintptr_t)r;
    mc->flags = USER_RFLAGS;
}

void signal_event(int sig, const struct siginfo64 *info, struct ucontext64 *uc)
{
    struct sigcontext_64 *mc = &uc->mc;
    bool fault = is_fault(sig, info->si_code);

    if (!fault) {
        if (sig == SIGVTALRM) {
            pending_work |= WORK_RESCHED;
        } else {
            host_signals_pending |= SIGBIT(sig);
            pending_work |= WORK_HOST;
        }
    }
    /* Without a task, we have hardly left the tender. */
    if (in_image(mc->ip) || host_vdso_active || !current) {
        /* Leaving for an address that cannot be jumped to faults on our last instruction, as the program's fault. */
        if (fault && mc->ip == (uintptr_t)return_full_iret) {
            const uint64_t *frame = (const uint64_t *)mc->sp; /* rip cs rflags rsp ss */
            mc->ip = frame[0];
            mc->sp = frame[3];
        } else if (fault && mc->ip == (uintptr_t)gate_return_jump) {
            mc->ip = mc->cx;
        } else {
            kernel_event(sig, info, uc);
            return;
        }
    }
    enum fault_result mended = FAULT_SIGNAL;
    if (fault && is_page_fault(sig, mc)) mended = mend_fault(info->fault.addr, mc->err, false);
    if (mended == FAULT_RETRY) return;
    if (mended == FAULT_AGAIN) pending_work |= WORK_RESCHED;
    if (fault && mended != FAULT_AGAIN && mended != FAULT_FETCH) {
        event.sig = mended == FAULT_BUS ? SIGBUS : sig;
        event.code = mended == FAULT_BUS ? BUS_ADRERR : info->si_code;
        event.addr = info->fault.addr;
        event.trapno = mc->trapno;
        event.err = mc->err;
    } else {
        event.sig = 0;
    }
    enter_kernel(uc);
}

void event_dispatch(struct regs *regs)
{
    current->regs = regs;
    if (event.sig) signal_fault(event.sig, event.code, event.addr, event.trapno, event.err);
    mm_fault_fetch();
    return_work(regs);
}
