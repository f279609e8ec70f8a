/* Signals, the finer points: interrupted and restarted calls, queues, masks, who gets what. */
#include "case.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile int count;
static int ends[2];
static void tick(int sig)
{
    (void)sig;
    /* A call that is restarted gets something to end it. */
    if (++count == 3 && ends[1] > 0)
        write(ends[1], "tick", 4);
}

/* SIGALRM every 10 ms, until quiet(). */
static void ticking(int flags)
{
    struct sigaction sa = {.sa_handler = tick, .sa_flags = flags};
    struct itimerval it = {{0, 10000}, {0, 10000}};

    count = 0;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
}

static void quiet(void)
{
    struct itimerval it = {{0, 0}, {0, 0}};

    setitimer(ITIMER_REAL, &it, NULL);
}

static void interrupt_pipe_calls(void)
{
    static char big[1 << 20];
    char buf[8];

    pipe(ends);
    ticking(0);
    ends[1] = -ends[1];
    T(read(ends[0], buf, 8));
    ends[1] = -ends[1];
    ticking(SA_RESTART);
    T(read(ends[0], buf, 8));
    quiet();
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], big, sizeof(big)) > 0)
        ;
    fcntl(ends[1], F_SETFL, 0);
    int full = ends[1];
    ends[1] = 0;
    ticking(0);
    T(write(full, big, 1));
    read(ends[0], big, 8192);
    T(write(full, big, sizeof(big))); /* part of it fits */
    quiet();
}

#define BOTH(call)                        \
    do {                                  \
        ends[1] = 0;                      \
        ticking(0);                       \
        T(call);                          \
        ticking(SA_RESTART);              \
        T(call);                          \
        quiet();                          \
    } while (0)

static void interrupt_waits(void)
{
    int p[2], ep = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd fds;
    struct timespec ten = {10, 0};
    struct timeval tens = {10, 0};

    pipe(p);
    fds = (struct pollfd){.fd = p[0], .events = POLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event);
    BOTH(poll(&fds, 1, -1));
    BOTH(poll(&fds, 1, 10000));
    BOTH(ppoll(&fds, 1, &ten, NULL));
    BOTH(select(0, NULL, NULL, NULL, &tens));
    BOTH(pselect(0, NULL, NULL, NULL, &ten, NULL));
    BOTH(epoll_wait(ep, &event, 1, -1));
    BOTH(epoll_wait(ep, &event, 1, 10000));
    BOTH(pause());
    BOTH(nanosleep(&ten, NULL));
    BOTH(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, NULL));
    BOTH(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){2000000000, 0}, NULL));
}

static void interrupt_futexes(void)
{
    uint32_t word = 0;
    struct timespec short_time = {0, 80000000}, far = {4000000000, 0};

    ends[1] = 0;
    ticking(0);
    T(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
    T(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &(struct timespec){10, 0}, NULL, 0));
    T(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &far, NULL, 1));
    ticking(SA_RESTART);
    T(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &short_time, NULL, 0));
    quiet();
    sem_t sem;
    sem_init(&sem, 0, 0);
    ticking(0);
    T(sem_wait(&sem));
    quiet();
}

static void interrupt_signal_waits(void)
{
    sigset_t set, none;
    struct timespec ten = {10, 0};

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    BOTH(sigsuspend(&none));
    BOTH(sigtimedwait(&set, NULL, &ten));
    BOTH(sigwaitinfo(&set, NULL));
}

static void what_is_left(void)
{
    struct timespec ten = {10, 0}, left = {77, 77};

    ends[1] = 0;
    ticking(0);
    T(nanosleep(&ten, &left));
    quiet();
    say("left %d", left.tv_sec == 9 && left.tv_nsec > 0);
    left = (struct timespec){77, 77};
    ticking(0);
    T(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, &left));
    quiet();
    say("left %d", left.tv_sec == 9);
    left = (struct timespec){77, 77};
    clock_gettime(CLOCK_MONOTONIC, &ten);
    ten.tv_sec += 10;
    ticking(0);
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ten, &left));
    quiet();
    say("untouched %ld", (long)left.tv_sec);
    struct timeval tv = {10, 0};
    ticking(0);
    T(select(0, NULL, NULL, NULL, &tv));
    quiet();
    say("left %d", tv.tv_sec == 9);
}

static void huge_timeouts(void)
{
    struct timespec huge = {INT64_MAX, 999999999};
    uint32_t word = 0;

    ends[1] = 0;
    ticking(0);
    T(nanosleep(&huge, NULL));
    T(ppoll(NULL, 0, &huge, NULL));
    T(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &huge, NULL, 0));
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &huge, NULL));
    T(poll(NULL, 0, INT_MAX));
    quiet();
}

static volatile int order[64], norder, values[128], nvalues;
static void note(int sig)
{
    if (norder < 64)
        order[norder++] = sig;
}
static void note_value(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    if (nvalues < 128)
        values[nvalues++] = info->si_value.sival_int;
}

static void standard_before_real_time(void)
{
    const int sent[] = {SIGRTMAX, SIGRTMIN + 2, SIGTERM, SIGUSR2, SIGHUP, SIGRTMIN, SIGUSR1};
    struct sigaction sa = {.sa_handler = note};
    sigset_t all, old;

    norder = 0;
    sigfillset(&all);
    sa.sa_mask = all; /* one after the other, not one within the other */
    sigprocmask(SIG_BLOCK, &all, &old);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        sigaction(sent[i], &sa, NULL);
        kill(getpid(), sent[i]);
        kill(getpid(), sent[i]);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    for (int i = 0; i < norder; i++)
        say("%d", order[i]);
}

static void hundred_values(void)
{
    struct sigaction sa = {.sa_sigaction = note_value, .sa_flags = SA_SIGINFO};
    sigset_t set, old;
    bool in_order = true;
    siginfo_t info;

    nvalues = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sa.sa_mask = set;
    sigaction(SIGRTMIN + 3, &sa, NULL);
    sigprocmask(SIG_BLOCK, &set, &old);
    for (int i = 0; i < 100; i++)
        sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i});
    for (int i = 0; i < 10; i++) {
        sigwaitinfo(&set, &info);
        in_order &= info.si_value.sival_int == i && info.si_code == SI_QUEUE && info.si_pid == getpid();
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    for (int i = 0; i < nvalues; i++)
        in_order &= values[i] == i + 10;
    say("%d %d", nvalues, in_order);
}

static void queue_limit(void)
{
    struct rlimit old, none;
    sigset_t set, mask, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &mask);
    signal(SIGRTMIN, note);
    signal(SIGUSR1, note);
    getrlimit(RLIMIT_SIGPENDING, &old);
    none = (struct rlimit){0, old.rlim_max};
    T(setrlimit(RLIMIT_SIGPENDING, &none));
    T(sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    T(kill(getpid(), SIGUSR1));
    sigpending(&pending);
    say("%d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN));
    setrlimit(RLIMIT_SIGPENDING, &old);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void timed_waits(void)
{
    sigset_t set, old;
    siginfo_t info;
    struct timespec zero = {0, 0}, soon = {0, 20000000}, bad = {0, -1};

    signal(SIGUSR1, note);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    T(sigtimedwait(&set, &info, &zero));
    int64_t begin = now_ms();
    T(sigtimedwait(&set, &info, &soon));
    say("waited %d", now_ms() - begin >= 20);
    T(sigtimedwait(&set, &info, &bad));
    raise(SIGUSR1);
    T(sigtimedwait(&set, &info, &zero));
    say("code %d", info.si_code);
    T(sigtimedwait(&set, NULL, &zero));
    T(syscall(SYS_rt_sigtimedwait, &set, NULL, &zero, 4));
    T(syscall(SYS_rt_sigtimedwait, 8, NULL, &zero, 8));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static sigset_t in_handler;
static void show_mask(int sig)
{
    (void)sig;
    sigprocmask(SIG_SETMASK, NULL, &in_handler);
}

static void masks_inside(void)
{
    struct sigaction sa = {.sa_handler = show_mask};
    sigset_t set, old, now;

    sigaddset(&sa.sa_mask, SIGTERM);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("USR1 %d TERM %d HUP %d", sigismember(&in_handler, SIGUSR1), sigismember(&in_handler, SIGTERM), sigismember(&in_handler, SIGHUP));
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("USR1 %d TERM %d", sigismember(&in_handler, SIGUSR1), sigismember(&in_handler, SIGTERM));
    sa.sa_flags = 0;
    sigaction(SIGUSR1, &sa, NULL);
    /* The handler runs with sigsuspend's mask; the old one is back behind it. */
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    T(sigsuspend(&set));
    say("USR1 %d TERM %d HUP %d", sigismember(&in_handler, SIGUSR1), sigismember(&in_handler, SIGTERM), sigismember(&in_handler, SIGHUP));
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("after: USR1 %d HUP %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGHUP));
    raise(SIGUSR1);
    T(ppoll(NULL, 0, &(struct timespec){5, 0}, &set));
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("after: USR1 %d HUP %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGHUP));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void ignoring_forgets(void)
{
    sigset_t set, old, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGUSR1, note);
    signal(SIGCHLD, note);
    norder = 0;
    raise(SIGUSR1);
    raise(SIGCHLD);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigpending(&pending);
    say("%d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGCHLD));
    signal(SIGUSR1, note);
    signal(SIGCHLD, note);
    sigprocmask(SIG_SETMASK, &old, NULL);
    say("%d", norder);
    signal(SIGUSR1, SIG_IGN);
    T(raise(SIGUSR1));
    T(sigqueue(getpid(), SIGUSR1, (union sigval){0}));
}

static void stop_and_continue(void)
{
    sigset_t set, old, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGCONT, note);
    norder = 0;
    raise(SIGTSTP);
    sigpending(&pending);
    say("stop pending %d", sigismember(&pending, SIGTSTP));
    raise(SIGCONT);
    sigpending(&pending);
    say("stop %d continue %d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
    raise(SIGTSTP);
    sigpending(&pending);
    say("stop %d continue %d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
    raise(SIGCONT);
    sigprocmask(SIG_SETMASK, &old, NULL);
    say("%d", norder);
}

static void errors_of_sending(void)
{
    siginfo_t info = {.si_code = 0};

    T(kill(-999999, 0));
    T(kill(999999, SIGTERM));
    T(syscall(SYS_tgkill, 0, getpid(), 0));
    T(syscall(SYS_tgkill, getpid(), 0, 0));
    T(syscall(SYS_tgkill, 999999, getpid(), 0));
    T(syscall(SYS_tgkill, getpid(), getpid(), 65));
    T(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &info));
    T(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &info));
    T(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &info));
    T(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 8));
    T(syscall(SYS_rt_tgsigqueueinfo, getpid(), 999999, SIGUSR1, &info));
    T(sigqueue(getpid(), 99, (union sigval){0}));
    signal(SIGUSR1, note);
    norder = 0;
    T(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info)); /* to oneself all codes are allowed */
    say("%d", norder);
}

static volatile pid_t handler_tid;
static void take_tid(int sig)
{
    (void)sig;
    handler_tid = (pid_t)syscall(SYS_gettid);
}

static volatile int thread_ready, thread_may_end;
static void *open_thread(void *arg)
{
    sigset_t set, pending;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigpending(&pending);
    if (arg)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    thread_ready = 1 + sigismember(&pending, SIGUSR2);
    while (!thread_may_end)
        usleep(500);
    return (void *)(long)syscall(SYS_gettid);
}

static void to_whom_it_is_open(void)
{
    sigset_t set, old, pending;
    pthread_t t;
    void *tid;

    signal(SIGUSR2, take_tid);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    thread_ready = thread_may_end = 0;
    handler_tid = 0;
    pthread_create(&t, NULL, open_thread, (void *)1);
    while (!thread_ready)
        usleep(500);
    kill(getpid(), SIGUSR2);
    while (!handler_tid)
        usleep(500);
    raise(SIGUSR2); /* to this thread only: stays pending */
    sigpending(&pending);
    say("pending here %d", sigismember(&pending, SIGUSR2));
    pthread_t other;
    int first = handler_tid;
    thread_ready = 0;
    pthread_create(&other, NULL, open_thread, NULL);
    while (!thread_ready)
        usleep(500);
    say("pending is inherited %d", thread_ready - 1);
    thread_may_end = 1;
    pthread_join(t, &tid);
    say("handled there %d", first == (long)tid);
    pthread_join(other, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    say("then here %d", handler_tid == getpid());
}

static void thread_queues(void)
{
    sigset_t set, old;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    kill(getpid(), SIGRTMIN);
    say("%d", pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = 9}));
    T(syscall(SYS_tgkill, getpid(), getpid(), SIGRTMIN));
    for (int i = 0; i < 3; i++) { /* the thread's own come first */
        T(sigwaitinfo(&set, &info) == SIGRTMIN);
        say("code %d", info.si_code);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void low_level_actions(void)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } act = {(void *)SIG_IGN, 0x04000000, (void *)main, 6}, old = {0};

    T(syscall(SYS_rt_sigaction, 33, &act, NULL, 8));
    T(syscall(SYS_rt_sigaction, 33, NULL, &old, 8));
    say("%d %lx %d %lx", old.handler == (void *)SIG_IGN, old.flags, old.restorer == (void *)main, (long)old.mask);
    act.mask = ~0ull;
    T(syscall(SYS_rt_sigaction, 33, &act, NULL, 8));
    T(syscall(SYS_rt_sigaction, 33, NULL, &old, 8));
    say("%lx", (long)old.mask);
    act.handler = NULL;
    T(syscall(SYS_rt_sigaction, 33, &act, NULL, 8));
    T(syscall(SYS_rt_sigprocmask, 0, &act.mask, &old.mask, 16));
    T(syscall(SYS_rt_sigprocmask, 3, &act.mask, &old.mask, 8));
    T(syscall(SYS_rt_sigprocmask, 3, NULL, &old.mask, 8));
    T(syscall(SYS_rt_sigpending, &old.mask, 16));
    T(syscall(SYS_rt_sigpending, &old.mask, 4));
    T(syscall(SYS_rt_sigsuspend, &old.mask, 4));
    T(getauxval(AT_MINSIGSTKSZ) > 1000);
}

static void broken_pipe(void)
{
    int p[2];

    signal(SIGPIPE, note);
    norder = 0;
    pipe(p);
    close(p[0]);
    T(write(p[1], "x", 1));
    say("%d %d", norder, order[0]);
    signal(SIGPIPE, SIG_IGN);
    T(write(p[1], "x", 1));
    T(write(p[1], "x", 0));
}

static void file_too_big(void)
{
    struct rlimit old, small;
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    char buf[100] = {0};

    signal(SIGXFSZ, note);
    norder = 0;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){150, old.rlim_max};
    T(setrlimit(RLIMIT_FSIZE, &small));
    T(write(fd, buf, 100));
    T(write(fd, buf, 100));
    T(write(fd, buf, 100));
    say("%d %d", norder, order[0]);
    T(ftruncate(fd, 151));
    T(ftruncate(fd, 150));
    T(pwrite(fd, "x", 1, 1000));
    say("%d", norder);
    setrlimit(RLIMIT_FSIZE, &old);
}

/* A child that shares our memory until it ends: all it may do is end. */
static int end_of_child(int how)
{
    int status = -1;
    pid_t pid = vfork();

    if (pid == 0) {
        if (how >= 0) {
            signal(how, SIG_DFL);
            syscall(SYS_kill, (long)syscall(SYS_getpid), how);
        }
        _exit(-how);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        say("no child: %s", strerror(errno));
    return status;
}

static void default_actions(void)
{
    for (int sig = 1; sig <= 64; sig++) {
        if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU || sig == 32 || sig == 33)
            continue;
        int status = end_of_child(sig);
        if (WIFSIGNALED(status))
            say("%d: killed by %d", sig, WTERMSIG(status));
        else
            say("%d: exit %d", sig, WEXITSTATUS(status));
    }
}

static volatile siginfo_t child_info;
static void take_child(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    memcpy((void *)&child_info, info, sizeof(child_info));
    count++;
}

static void child_signals(void)
{
    struct sigaction sa = {.sa_sigaction = take_child, .sa_flags = SA_SIGINFO};
    siginfo_t info;

    count = 0;
    sigaction(SIGCHLD, &sa, NULL);
    say("status %x", end_of_child(-7));
    say("%d: code %d status %d", count, child_info.si_code, child_info.si_status);
    say("status %x", end_of_child(SIGKILL));
    say("%d: code %d status %d", count, child_info.si_code, child_info.si_status);
    pid_t pid = vfork();
    if (pid == 0)
        _exit(9);
    T(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    say("code %d status %d me %d", info.si_code, info.si_status, info.si_pid == pid);
    T(waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_pid == pid);
    T(waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
    sa.sa_flags |= SA_NOCLDWAIT;
    sigaction(SIGCHLD, &sa, NULL);
    pid = vfork();
    if (pid == 0)
        _exit(9);
    T(waitpid(pid, NULL, 0));
    say("%d", count);
    signal(SIGCHLD, SIG_DFL);
}

const struct test_case cases[] = {
    CASE(interrupt_pipe_calls), CASE(interrupt_waits), CASE(interrupt_futexes), CASE(interrupt_signal_waits),
    CASE(what_is_left), CASE(huge_timeouts), CASE(standard_before_real_time), CASE(hundred_values),
    CASE(queue_limit), CASE(timed_waits), CASE(masks_inside), CASE(ignoring_forgets), CASE(stop_and_continue),
    CASE(errors_of_sending), CASE(to_whom_it_is_open), CASE(thread_queues), CASE(low_level_actions),
    CASE(broken_pipe), CASE(file_too_big), CASE(default_actions), CASE(child_signals), {NULL, NULL},
};
