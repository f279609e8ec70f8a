/* Synchronous faults: their signals, what the handler is told, and how the program goes on. */
#include "case.h"

#include <fenv.h>
#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096ul
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jump;
static volatile struct {
    int sig, code, trapno, err;
    void *addr;
    uintptr_t ip, cr2;
    pid_t tid;
} seen;

static void record(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    seen.sig = sig;
    seen.code = info->si_code;
    seen.addr = info->si_addr;
    seen.trapno = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
    seen.err = (int)uc->uc_mcontext.gregs[REG_ERR];
    seen.ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    seen.cr2 = (uintptr_t)uc->uc_mcontext.gregs[REG_CR2];
    seen.tid = (pid_t)syscall(SYS_gettid);
}

static void escape(int sig, siginfo_t *info, void *context)
{
    record(sig, info, context);
    siglongjmp(jump, 1);
}

static void catch(void (*handler)(int, siginfo_t *, void *), int flags)
{
    static const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    memset((void *)&seen, 0, sizeof(seen));
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
        sigaction(sigs[i], &sa, NULL);
}

/* Runs something that faults, and says what the handler saw. */
#define FAULT(what, statement)                                                            \
    do {                                                                                  \
        catch (escape, 0);                                                                \
        if (!sigsetjmp(jump, 1)) {                                                        \
            statement;                                                                    \
            say("%s: nothing", what);                                                     \
        } else {                                                                          \
            say("%s: signal %d code %d trap %d", what, seen.sig, seen.code, seen.trapno); \
        }                                                                                 \
    } while (0)

static void access_faults(void)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);

    mprotect(p, PAGE, PROT_NONE);
    mprotect(p + PAGE, PAGE, PROT_READ);
    FAULT("read of nothing", (void)*(volatile char *)16);
    say("address %d err %d", seen.addr == (void *)16 && seen.cr2 == 16, seen.err);
    FAULT("read of PROT_NONE", (void)*(volatile char *)(p + 5));
    say("address %d err %d", seen.addr == p + 5, seen.err & ~1);
    FAULT("write of PROT_READ", *(volatile char *)(p + PAGE + 7) = 1);
    say("address %d err %d", seen.addr == p + PAGE + 7 && seen.cr2 == (uintptr_t)p + PAGE + 7, seen.err);
    FAULT("across two pages", *(volatile uint64_t *)(p + 2 * PAGE - 3) = 1);
    say("address %ld", (long)((char *)seen.addr - (p + 2 * PAGE)));
    FAULT("not canonical", (void)*(volatile char *)0x8000000000000000);
    say("address %lx err %d", (unsigned long)seen.addr, seen.err);
    FAULT("kernel half", (void)*(volatile char *)0xffffffffff000000);
    say("address %d", seen.addr == (void *)0xffffffffff000000);
    FAULT("first byte behind", (void)*(volatile char *)0x7ffffffff000);
}

static void execution_faults(void)
{
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);

    p[0] = (char)0xc3;
    FAULT("jump to data", ((void (*)(void))p)());
    say("address %d ip %d err %d", seen.addr == p, seen.ip == (uintptr_t)p, seen.err);
    FAULT("jump to null", ((void (*)(void))NULL)());
    say("address %d ip %d", seen.addr == NULL, seen.ip == 0);
    FAULT("jump to nowhere", __asm__ volatile("push %0; ret" ::"r"(0x8000000000000000)));
}

static void file_ends(void)
{
    put_file("f", "x");
    int fd = open("f", O_RDWR);
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    FAULT("behind the file", (void)*(volatile char *)(p + PAGE + 3));
    say("address %d", seen.addr == p + PAGE + 3);
}

static volatile int zero, one = 1, minimum = INT_MIN, minus = -1;
static void integer_division(void)
{
    FAULT("by zero", zero = one / zero);
    FAULT("overflow", one = minimum / minus);
    one = 1;
}

static volatile double dzero, done = 1, huge = 1e308, tiny = 1e-308, negative = -1, result;
static void float_exceptions(void)
{
    static const struct {
        const char *name;
        int except;
    } kinds[] = {{"invalid", FE_INVALID}, {"division", FE_DIVBYZERO}, {"overflow", FE_OVERFLOW},
                 {"underflow", FE_UNDERFLOW}, {"inexact", FE_INEXACT}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        catch (escape, 0);
        feclearexcept(FE_ALL_EXCEPT);
        if (!sigsetjmp(jump, 1)) {
            feenableexcept(kinds[i].except);
            switch (i) {
            case 0: result = dzero / dzero; break;
            case 1: result = done / dzero; break;
            case 2: result = huge * huge; break;
            case 3: result = tiny * tiny; break;
            default: result = done / 3; break;
            }
            say("%s: nothing", kinds[i].name);
        } else {
            fedisableexcept(FE_ALL_EXCEPT);
            say("%s: signal %d code %d trap %d", kinds[i].name, seen.sig, seen.code, seen.trapno);
        }
        fedisableexcept(FE_ALL_EXCEPT);
        feclearexcept(FE_ALL_EXCEPT);
    }
}

static void x87_exception(void)
{
    catch (escape, 0);
    if (!sigsetjmp(jump, 1)) {
        uint16_t word = 0x0340; /* nothing masked */
        __asm__ volatile("fninit; fldcw %0; fldz; fldz; fdivp; fwait" ::"m"(word));
        say("nothing");
    } else {
        __asm__ volatile("fninit");
        say("signal %d code %d trap %d", seen.sig, seen.code, seen.trapno);
    }
}

static void illegal_instructions(void)
{
    FAULT("ud2", __asm__ volatile("ud2"));
    say("address is the instruction's %d", (uintptr_t)seen.addr == seen.ip);
    FAULT("lock without memory", __asm__ volatile(".byte 0xf0, 0x01, 0xc0")); /* lock add %eax, %eax */
    FAULT("hlt", __asm__ volatile("hlt"));
    FAULT("cli", __asm__ volatile("cli"));
    FAULT("in", __asm__ volatile("inb $0x80, %%al" ::: "eax"));
    FAULT("int $0x55", __asm__ volatile("int $0x55"));
    FAULT("mov to cr0", __asm__ volatile("mov %0, %%cr0" ::"r"(0ul)));
    FAULT("rdmsr", __asm__ volatile("rdmsr" ::"c"(0x10) : "eax", "edx"));
    FAULT("misaligned sse", __asm__ volatile("movaps (%0), %%xmm0" ::"r"((uintptr_t)&seen | 1) : "xmm0"));
    FAULT("null segment", __asm__ volatile("mov %0, %%ss" ::"r"(0)));
}

static void breakpoints(void)
{
    FAULT("int3", __asm__ volatile("int3"));
    FAULT("int $3", __asm__ volatile(".byte 0xcd, 3"));
}

static volatile int steps;
static void step(int sig, siginfo_t *info, void *context)
{
    record(sig, info, context);
    if (++steps == 4)
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
}

static void single_steps(void)
{
    catch (step, 0);
    steps = 0;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop; nop; nop; nop; nop" ::: "memory", "cc");
    say("%d steps, signal %d code %d trap %d", steps, seen.sig, seen.code, seen.trapno);
}

static char *barrier;
static volatile int opened;
static void open_page(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(PAGE - 1));
    opened++;
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    *page = (char)opened;
}

/* As collectors do: the handler opens the page, the instruction is tried again. */
static void repaired_and_repeated(void)
{
    long sum = 0;

    barrier = mmap(NULL, 100 * PAGE, PROT_NONE, ANON, -1, 0);
    catch (open_page, 0);
    opened = 0;
    for (int i = 0; i < 100; i++)
        sum += ((volatile char *)barrier)[i * PAGE];
    say("%d %ld", opened, sum);
}

static void skip_division(int sig, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

    record(sig, info, context);
    regs[REG_RIP] += 2; /* div %ecx */
    regs[REG_RAX] = 42;
    regs[REG_RBX] = 0x1122334455667788;
    regs[REG_R15] = 0x99aabbccddeeff00;
}

static void registers_edited(void)
{
    uint64_t rax = 7, rbx = 1, r15 = 2, r14 = 0xfeedfacecafebeef;

    catch (skip_division, 0);
    __asm__ volatile("mov %3, %%r14; mov $2, %%r15; xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx; mov %%r15, %2; mov %%r14, %3"
                     : "+a"(rax), "+b"(rbx), "=m"(r15), "+m"(r14)::"rcx", "rdx", "r14", "r15", "cc");
    say("%d %llx %llx %llx", (int)rax, (unsigned long long)rbx, (unsigned long long)r15, (unsigned long long)r14);
}

static void edit_vector(int sig, siginfo_t *info, void *context)
{
    mcontext_t *mc = &((ucontext_t *)context)->uc_mcontext;

    record(sig, info, context);
    mc->gregs[REG_RIP] += 2;
    mc->fpregs->_xmm[3].element[0] += 1;
    mc->fpregs->mxcsr |= 0x6000; /* round towards zero */
}

static void vector_registers_edited(void)
{
    uint32_t value[4] = {10, 20, 30, 40}, mxcsr, normal = 0x1f80;

    catch (edit_vector, 0);
    __asm__ volatile("movups %0, %%xmm3; ud2; movups %%xmm3, %0; stmxcsr %1"
                     : "+m"(value), "=m"(mxcsr)::"xmm3");
    __asm__ volatile("ldmxcsr %0" ::"m"(normal));
    say("%u %u %u %u, rounding %x", value[0], value[1], value[2], value[3], mxcsr & 0x6000);
}

static volatile sigset_t inner_mask;
static void edit_mask(int sig, siginfo_t *info, void *context)
{
    record(sig, info, context);
    sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2);
    sigprocmask(SIG_SETMASK, NULL, (sigset_t *)&inner_mask);
}

static void mask_edited(void)
{
    struct sigaction sa = {.sa_sigaction = edit_mask, .sa_flags = SA_SIGINFO};
    sigset_t now, old;

    sigaddset(&sa.sa_mask, SIGHUP);
    sigaction(SIGUSR1, &sa, NULL);
    sigprocmask(SIG_SETMASK, NULL, &old);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("inside: USR1 %d HUP %d USR2 %d", sigismember((sigset_t *)&inner_mask, SIGUSR1),
        sigismember((sigset_t *)&inner_mask, SIGHUP), sigismember((sigset_t *)&inner_mask, SIGUSR2));
    say("after: USR1 %d HUP %d USR2 %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGHUP), sigismember(&now, SIGUSR2));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void escapes(void)
{
    volatile int times = 0;
    sigset_t now;

    catch (escape, 0);
    for (volatile int i = 0; i < 2000; i++)
        if (sigsetjmp(jump, 1))
            times++;
        else
            *(volatile int *)8 = 1;
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("%d, blocked %d", times, sigismember(&now, SIGSEGV));
}

static volatile int inner_sig;
static void fault_inside(int sig, siginfo_t *info, void *context)
{
    sigjmp_buf outer;

    if (sig == SIGFPE) {
        inner_sig = sig;
        siglongjmp(jump, 1);
    }
    memcpy(outer, jump, sizeof(outer));
    if (!sigsetjmp(jump, 1))
        zero = one / zero;
    memcpy(jump, outer, sizeof(outer));
    record(sig, info, context);
    siglongjmp(jump, 1);
}

static void fault_in_a_handler(void)
{
    catch (fault_inside, 0);
    if (!sigsetjmp(jump, 1))
        *(volatile int *)8 = 1;
    say("%d within %d", inner_sig, seen.sig);
}

static stack_t within;
static int change_errno;
static void look_at_stack(int sig)
{
    stack_t other = {.ss_sp = barrier, .ss_size = 65536};

    (void)sig;
    sigaltstack(NULL, &within);
    errno = 0;
    sigaltstack(&other, NULL);
    change_errno = errno;
}

static void inside_the_alternate_stack(void)
{
    stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536}, off = {.ss_flags = SS_DISABLE};
    struct sigaction sa = {.sa_handler = look_at_stack, .sa_flags = SA_ONSTACK};

    barrier = malloc(65536);
    sigaltstack(&ss, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("flags %d, the same %d, change: %s", within.ss_flags, within.ss_sp == ss.ss_sp, strerror(change_errno));
    ss.ss_flags = 1 << 31; /* SS_AUTODISARM */
    T(sigaltstack(&ss, NULL));
    raise(SIGUSR1);
    say("flags %x, change: %s", (unsigned)within.ss_flags, strerror(change_errno));
    sigaltstack(NULL, &within);
    say("flags %x the same %d", (unsigned)within.ss_flags, within.ss_sp == ss.ss_sp);
    T(sigaltstack(&off, NULL));
}

static void red_zone(void)
{
    uint64_t out[16];
    bool intact = true;

    catch (edit_vector, 0);
    __asm__ volatile("mov $16, %%ecx; 1: mov %%rcx, -136(%%rsp, %%rcx, 8); loop 1b; ud2;"
                     "mov $16, %%ecx; 2: mov -136(%%rsp, %%rcx, 8), %%rax; mov %%rax, -8(%0, %%rcx, 8); loop 2b"
                     ::"r"(out) : "rax", "rcx", "memory", "cc");
    __asm__ volatile("ldmxcsr %0" ::"m"((uint32_t){0x1f80}));
    for (uint64_t i = 0; i < 16; i++)
        intact &= out[i] == i + 1;
    say("%d", intact);
}

static volatile uint64_t entry_flags;
static void take_flags(int sig, siginfo_t *info, void *context)
{
    uint64_t f;

    __asm__ volatile("pushfq; pop %0" : "=r"(f));
    entry_flags = f;
    record(sig, info, context);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void flags_kept(void)
{
    uint64_t f;

    catch (take_flags, 0);
    __asm__ volatile("std; stc; ud2; pushfq; pop %0; cld" : "=r"(f)::"cc", "memory");
    say("inside DF %d; after CF %d DF %d", (int)(entry_flags >> 10 & 1), (int)(f & 1), (int)(f >> 10 & 1));
}

static void clobber(int sig)
{
    (void)sig;
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm7; vmovdqa %%ymm0, %%ymm15; fninit; fld1"
                     ::: "xmm0", "xmm7", "xmm15");
}

__attribute__((target("avx2"))) static void wide_registers_survive(void)
{
    uint64_t in[4] = {1, 2, 3, 4}, out[4];
    uint16_t word = 0x0f7f, after;
    struct sigaction sa = {.sa_handler = clobber};
    pid_t pid = getpid();

    if (!__builtin_cpu_supports("avx2")) {
        say("1 2 3 4, x87 f7f");
        return;
    }
    sigaction(SIGUSR1, &sa, NULL);
    __asm__ volatile("fldcw %2; vmovdqu %3, %%ymm15; mov $62, %%eax; mov %4, %%edi; mov $10, %%esi; syscall;"
                     "vmovdqu %%ymm15, %0; fnstcw %1; fninit"
                     : "=m"(out), "=m"(after) : "m"(word), "m"(in), "m"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "xmm15", "memory");
    say("%d %d %d %d, x87 %x", (int)out[0], (int)out[1], (int)out[2], (int)out[3], after);
}

static void *fault_in_thread(void *arg)
{
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    if (!sigsetjmp(jump, 1))
        *(volatile int *)8 = 1;
    return NULL;
}

static void in_another_thread(void)
{
    pthread_t t;
    pid_t tid;

    catch (escape, 0);
    pthread_create(&t, NULL, fault_in_thread, &tid);
    pthread_join(t, NULL);
    say("signal %d, in the thread %d", seen.sig, seen.tid == tid);
}

static void *overflow(void *arg)
{
    volatile char block[1024];

    block[0] = *(char *)arg;
    return (char *)overflow((void *)block) + block[0];
}

static void *overflowing_thread(void *arg)
{
    stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536}, off = {.ss_flags = SS_DISABLE};

    sigaltstack(&ss, NULL);
    if (!sigsetjmp(jump, 1))
        overflow(arg);
    sigaltstack(&off, NULL);
    return NULL;
}

static void thread_s_stack_overflow(void)
{
    pthread_t t;
    pthread_attr_t attr;

    catch (escape, SA_ONSTACK);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    for (int i = 0; i < 3; i++) {
        pthread_create(&t, &attr, overflowing_thread, "");
        pthread_join(t, NULL);
        say("signal %d code %d", seen.sig, seen.code);
    }
}

static ucontext_t main_context, other_context;
static volatile int switches;
static void other_side(void)
{
    for (int i = 0; i < 3; i++) {
        switches++;
        swapcontext(&other_context, &main_context);
    }
    switches += 100;
}

static void contexts(void)
{
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = malloc(65536);
    other_context.uc_stack.ss_size = 65536;
    other_context.uc_link = &main_context;
    makecontext(&other_context, other_side, 0);
    for (int i = 0; i < 4; i++)
        swapcontext(&main_context, &other_context);
    say("%d", switches);
}

static void sent_not_raised(void)
{
    catch (record, 0);
    raise(SIGSEGV);
    say("signal %d code %d", seen.sig, seen.code);
    kill(getpid(), SIGBUS);
    say("signal %d code %d", seen.sig, seen.code);
    union sigval v = {.sival_int = 1};
    sigqueue(getpid(), SIGFPE, v);
    say("signal %d code %d", seen.sig, seen.code);
}

const struct test_case cases[] = {
    CASE(access_faults), CASE(execution_faults), CASE(file_ends), CASE(integer_division), CASE(float_exceptions),
    CASE(x87_exception), CASE(illegal_instructions), CASE(breakpoints), CASE(single_steps),
    CASE(repaired_and_repeated), CASE(registers_edited), CASE(vector_registers_edited), CASE(mask_edited),
    CASE(escapes), CASE(fault_in_a_handler), CASE(inside_the_alternate_stack), CASE(red_zone), CASE(flags_kept),
    CASE(wide_registers_survive), CASE(in_another_thread), CASE(thread_s_stack_overflow), CASE(contexts),
    CASE(sent_not_raised), {NULL, NULL},
};
