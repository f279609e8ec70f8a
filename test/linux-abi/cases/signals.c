/* Signals. */
#include "case.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile int count, last, order[16], norder;
static volatile siginfo_t got;
static void note(int sig) { count++, last = sig; if (norder < 16) order[norder++] = sig; }
static void inform(int sig, siginfo_t *info, void *context)
{
    (void)context;
    count++, last = sig;
    memcpy((void *)&got, info, sizeof(got));
    if (norder < 16)
        order[norder++] = sig;
}

static void install(int sig, int flags)
{
    struct sigaction sa = {.sa_handler = note, .sa_flags = flags};

    count = last = norder = 0;
    if (flags & SA_SIGINFO)
        sa.sa_sigaction = inform;
    sigaction(sig, &sa, NULL);
}

static void raise_and_kill(void)
{
    install(SIGUSR1, 0);
    T(raise(SIGUSR1));
    T(kill(getpid(), SIGUSR1));
    say("%d %d", count, last);
    T(kill(getpid(), 0));
    T(kill(999999, 0));
    T(kill(getpid(), 65));
    T(kill(getpid(), -1));
    T(raise(0));
}

static void sigaction_fields(void)
{
    struct sigaction sa = {.sa_handler = note, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    sigemptyset(&sa.sa_mask);
    sigaddset(&sa.sa_mask, SIGUSR2);
    T(sigaction(SIGUSR1, &sa, NULL));
    T(sigaction(SIGUSR1, NULL, &old));
    say("%d %x %d %d", old.sa_handler == note, old.sa_flags & ~0x04000000, sigismember(&old.sa_mask, SIGUSR2), sigismember(&old.sa_mask, SIGUSR1));
    T(sigaction(SIGKILL, &sa, NULL));
    T(sigaction(SIGSTOP, &sa, NULL));
    T(sigaction(SIGKILL, NULL, &old));
    T(sigaction(0, &sa, NULL));
    T(sigaction(65, &sa, NULL));
    T(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4));
}

static void blocking(void)
{
    sigset_t set, old, pending;

    install(SIGUSR1, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    T(sigprocmask(SIG_BLOCK, &set, &old));
    raise(SIGUSR1);
    raise(SIGUSR1);
    say("blocked %d", count);
    sigpending(&pending);
    say("pending %d", sigismember(&pending, SIGUSR1));
    T(sigprocmask(SIG_SETMASK, &old, NULL));
    say("delivered %d", count);
    T(sigprocmask(77, &set, NULL));
    sigaddset(&set, SIGKILL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigprocmask(SIG_SETMASK, NULL, &pending);
    say("kill blocked %d", sigismember(&pending, SIGKILL));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void realtime_queue(void)
{
    sigset_t set, old;

    install(SIGRTMIN + 1, SA_SIGINFO);
    struct sigaction sa;
    sigaction(SIGRTMIN + 1, NULL, &sa);
    sigaction(SIGRTMIN, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, &old);
    for (int i = 0; i < 3; i++) {
        union sigval v = {.sival_int = i};
        T(sigqueue(getpid(), SIGRTMIN + 1, v));
    }
    raise(SIGRTMIN);
    sigprocmask(SIG_SETMASK, &old, NULL);
    say("%d", count);
    for (int i = 0; i < norder; i++)
        say("%d", order[i] - SIGRTMIN);
}

static void siginfo_contents(void)
{
    install(SIGUSR1, SA_SIGINFO);
    kill(getpid(), SIGUSR1);
    say("signo %d code %d me %d uid %d", got.si_signo, got.si_code, got.si_pid == getpid(), (int)got.si_uid);
    raise(SIGUSR1);
    say("code %d", got.si_code);
    union sigval v = {.sival_int = 99};
    sigqueue(getpid(), SIGUSR1, v);
    say("code %d value %d", got.si_code, got.si_value.sival_int);
}

static volatile int nested;
static void nest(int sig)
{
    nested++;
    if (nested == 1) {
        raise(sig);
        say("inside %d", nested);
    }
}

static void nodefer(void)
{
    struct sigaction sa = {.sa_handler = nest};

    nested = 0;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("deferred %d", nested);
    nested = 0;
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("nested %d", nested);
}

static void resethand(void)
{
    struct sigaction old;

    install(SIGUSR1, SA_RESETHAND);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    say("%d %d", count, old.sa_handler == SIG_DFL);
    signal(SIGUSR1, SIG_IGN);
    T(raise(SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
}

static void interrupted_read(void)
{
    int p[2];
    char c;

    pipe(p);
    install(SIGALRM, 0);
    ualarm(20000, 0);
    T(read(p[0], &c, 1));
    say("%d", count);
    T(close(p[1]));
    T(close(p[0]));
}

static int wake_fd;
static void write_byte(int sig)
{
    count = sig;
    write(wake_fd, "r", 1);
}

static void restarted_read(void)
{
    struct sigaction sa = {.sa_handler = write_byte, .sa_flags = SA_RESTART};
    int p[2];
    char c = 0;

    pipe(p);
    wake_fd = p[1];
    sigaction(SIGALRM, &sa, NULL);
    ualarm(20000, 0);
    T(read(p[0], &c, 1));
    say("%c", c);
}

static void interrupted_sleep(void)
{
    struct timespec ts = {5, 0}, left = {0, 0};

    install(SIGALRM, SA_RESTART);
    ualarm(20000, 0);
    T(nanosleep(&ts, &left));
    say("left %ld, signals %d", left.tv_sec, count);
    ualarm(20000, 0);
    T(pause());
    ualarm(20000, 0);
    T(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &left));
}

static void sigsuspend_waits(void)
{
    sigset_t block, none, now;

    install(SIGUSR1, 0);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    T(sigsuspend(&none));
    say("%d", count);
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("still blocked %d", sigismember(&now, SIGUSR1));
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void sigwait_family(void)
{
    sigset_t set, old;
    siginfo_t info;
    struct timespec ts = {0, 10000000};
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    T(sigtimedwait(&set, &info, &ts));
    raise(SIGUSR2);
    T(sigwaitinfo(&set, &info));
    say("%d", info.si_code);
    raise(SIGUSR1);
    T(sigwait(&set, &sig));
    say("%d", sig);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static sigjmp_buf jump;
static void escape(int sig, siginfo_t *info, void *context)
{
    (void)context;
    say("signal %d code %d", sig, info->si_code);
    siglongjmp(jump, 1);
}

static void faults(void)
{
    struct sigaction sa = {.sa_sigaction = escape, .sa_flags = SA_SIGINFO};
    volatile int zero = 0;

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGTRAP, &sa, NULL);
    if (!sigsetjmp(jump, 1))
        *(volatile int *)8 = 1;
    if (!sigsetjmp(jump, 1))
        zero = 1 / zero;
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("ud2");
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("int3");
    if (!sigsetjmp(jump, 1))
        __asm__ volatile("hlt");
    if (!sigsetjmp(jump, 1))
        raise(SIGSEGV);
    if (!sigsetjmp(jump, 1))
        *(volatile int *)8 = 1;
    say("went on");
}

static void skip_instruction(int sig, siginfo_t *info, void *context)
{
    (void)info;
    count = sig;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void change_context(void)
{
    struct sigaction sa = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO};

    count = 0;
    sigaction(SIGILL, &sa, NULL);
    __asm__ volatile("ud2");
    say("%d", count);
}

static void registers_survive(void)
{
    double d = 1.5;
    uint64_t r = 0x1234567890abcdef, out;

    install(SIGUSR1, 0);
    pid_t pid = getpid();
    __asm__ volatile("movsd %1, %%xmm15\n mov %2, %%r12\n mov $62, %%eax\n mov %3, %%edi\n mov $10, %%esi\n syscall\n"
                     "movsd %%xmm15, %1\n mov %%r12, %0"
                     : "=r"(out), "+m"(d)
                     : "m"(r), "m"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "r12", "xmm15", "memory");
    say("%g %d %d", d, out == r, count);
}

static char *stack_low;
static volatile int on_stack;
static void where(int sig)
{
    char here;

    (void)sig;
    on_stack = &here >= stack_low && &here < stack_low + 65536;
}

static void alternate_stack(void)
{
    stack_t ss, old;
    struct sigaction sa = {.sa_handler = where, .sa_flags = SA_ONSTACK};

    T(sigaltstack(NULL, &old));
    say("flags %d", old.ss_flags);
    stack_low = malloc(65536);
    ss = (stack_t){.ss_sp = stack_low, .ss_size = 65536};
    T(sigaltstack(&ss, NULL));
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("on it %d", on_stack);
    sa.sa_flags = 0;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("on it %d", on_stack);
    ss.ss_size = 100;
    T(sigaltstack(&ss, NULL));
    ss.ss_flags = 77;
    T(sigaltstack(&ss, NULL));
    ss = (stack_t){.ss_flags = SS_DISABLE};
    T(sigaltstack(&ss, NULL));
}

static void *receive(void *arg)
{
    sigset_t set;
    int sig = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &sig);
    return arg ? arg : (void *)(long)sig;
}

static void thread_directed(void)
{
    sigset_t set, old;
    pthread_t t;
    void *result;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    pthread_create(&t, NULL, receive, NULL);
    T(pthread_kill(t, SIGUSR2));
    pthread_join(t, &result);
    say("%ld", (long)result);
    sigset_t pending;
    sigpending(&pending);
    say("for us %d", sigismember(&pending, SIGUSR2));
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void interval_timer(void)
{
    struct itimerval it = {{0, 10000}, {0, 10000}}, now;

    install(SIGALRM, SA_RESTART);
    T(setitimer(ITIMER_REAL, &it, NULL));
    while (count < 3)
        pause();
    T(getitimer(ITIMER_REAL, &now));
    say("interval %ld", (long)now.it_interval.tv_usec);
    memset(&it, 0, sizeof(it));
    T(setitimer(ITIMER_REAL, &it, &now));
    T(setitimer(9, &it, NULL));
    it.it_value.tv_usec = 1000000;
    T(setitimer(ITIMER_REAL, &it, NULL));
    T(alarm(100));
    T(alarm(0));
    T(alarm(0));
    install(SIGVTALRM, 0);
    it = (struct itimerval){{0, 0}, {0, 20000}};
    T(setitimer(ITIMER_VIRTUAL, &it, NULL));
    while (!count)
        ;
    say("virtual %d", last == SIGVTALRM);
}

static void posix_timers(void)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 5};
    struct itimerspec spec = {{0, 0}, {0, 10000000}}, now;
    timer_t t;

    install(SIGRTMIN, SA_SIGINFO);
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (!count)
        pause();
    say("code %d value %d overrun %d", got.si_code, got.si_value.sival_int, timer_getoverrun(t));
    T(timer_gettime(t, &now));
    say("%ld %ld", (long)now.it_value.tv_nsec, (long)now.it_interval.tv_nsec);
    T(timer_delete(t));
    T(timer_delete(t));
    ev.sigev_notify = 99;
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_create(99, NULL, &t));
}

static void default_ignored(void)
{
    T(raise(SIGCHLD));
    T(raise(SIGURG));
    T(raise(SIGWINCH));
    T(raise(SIGCONT));
}

const struct test_case cases[] = {
    CASE(raise_and_kill), CASE(sigaction_fields), CASE(blocking), CASE(realtime_queue), CASE(siginfo_contents),
    CASE(nodefer), CASE(resethand), CASE(interrupted_read), CASE(restarted_read), CASE(interrupted_sleep),
    CASE(sigsuspend_waits), CASE(sigwait_family), CASE(faults), CASE(change_context), CASE(registers_survive),
    CASE(alternate_stack), CASE(thread_directed), CASE(interval_timer), CASE(posix_timers), CASE(default_ignored),
    {NULL, NULL},
};
