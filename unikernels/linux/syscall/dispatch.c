/* From a number to a function, and back to the program. */
#include <asm/unistd.h>

#include "entry/entry.h"
#include "lib/bits.h"
#include "lib/error.h"
#include "lib/print.h"
#include "syscall/strace.h"
#include "syscall/table.h"
#include "task/signal_deliver.h"
#include "task/task.h"

#define TABLE_SIZE 512

typedef long (*syscall_fn)(long, long, long, long, long, long);

/*
 * The table's functions take the arguments they need; these take all six, and
 * compile to a jump.
 */
#define ARGS long a, long b, long c, long d, long e, long f
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f
#define SYSCALL0(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(); }
#define SYSCALL1(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(a); }
#define SYSCALL2(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(a, b); }
#define SYSCALL3(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(a, b, c); }
#define SYSCALL4(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(a, b, c, d); }
#define SYSCALL5(nr, name, fmt) static long call_##name(ARGS) { UNUSED; return sys_##name(a, b, c, d, e); }
#define SYSCALL6(nr, name, fmt) static long call_##name(ARGS) { return sys_##name(a, b, c, d, e, f); }
#include "syscall/core.def"
#include "syscall/files.def"
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef SYSCALL6

#define ENTRY(nr, name) [nr] = call_##name,
#define SYSCALL0(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL1(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL2(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL3(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL4(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL5(nr, name, fmt) ENTRY(nr, name)
#define SYSCALL6(nr, name, fmt) ENTRY(nr, name)
static const syscall_fn table[TABLE_SIZE] = {
#include "syscall/core.def"
#include "syscall/files.def"
};

static uint64_t logged[TABLE_SIZE / 64];

static long unknown(uint64_t nr)
{
    if (nr < TABLE_SIZE && !bit_test_and_set(logged, (unsigned)nr)) strace_unknown((unsigned)nr);
    return -ENOSYS;
}

int syscall_dispatch(struct regs *r)
{
    uint64_t nr = r->orig_rax;
    long result;

    current->regs = r;
    if (unlikely(pending_work & (WORK_STRACE | WORK_COUNT))) {
        strace_count();
        if (pending_work & WORK_STRACE) strace_enter(r);
    }
    if (likely(nr < TABLE_SIZE && table[nr]))
        result = table[nr]((long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10, (long)r->r8, (long)r->r9);
    else
        result = unknown(nr);
    /* rt_sigreturn and execve have set all registers themselves. */
    if (likely(r->orig_rax == nr)) r->rax = (uint64_t)result;
    if (likely(!pending_work && !(result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK))) return 0;

    if (pending_work & WORK_STRACE) strace_exit(r, nr, result);
    return_work(r);
    bool full = pending_work & WORK_FULL;
    pending_work &= ~(uint32_t)WORK_FULL;
    return full;
}
