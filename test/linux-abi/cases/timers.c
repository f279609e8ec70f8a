/* Clocks, timers and the accounting of time. Only order and bounds that hold on any machine are said. */
#include "case.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>

static volatile int count;
static volatile siginfo_t got;
static volatile pid_t got_tid;
static void note(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    memcpy((void *)&got, info, sizeof(got));
    got_tid = (pid_t)syscall(SYS_gettid);
    count++;
}

static void install(int sig)
{
    struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

    count = 0;
    sigaction(sig, &sa, NULL);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    return clock_gettime(clock, &ts) ? -1 : ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t system_call_ns(clockid_t clock)
{
    struct timespec ts;

    return syscall(SYS_clock_gettime, clock, &ts) ? -1 : ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void never_backwards(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
                                       CLOCK_MONOTONIC_COARSE, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI};

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        int64_t last = clock_ns(clocks[i]);
        bool good = last >= 0;
        for (int j = 0; j < 2000; j++) {
            /* By turns through the vDSO and through the kernel: it is one clock. */
            int64_t now = j % 2 ? clock_ns(clocks[i]) : system_call_ns(clocks[i]);
            good &= now >= last;
            last = now;
        }
        say("clock %d: %d", clocks[i], good);
    }
}

static void clocks_agree(void)
{
    int64_t a = clock_ns(CLOCK_REALTIME), seconds = time(NULL);
    struct timeval tv;

    gettimeofday(&tv, NULL);
    int64_t b = clock_ns(CLOCK_REALTIME);
    say("time %d", seconds >= a / 1000000000 - 1 && seconds <= b / 1000000000);
    int64_t us = tv.tv_sec * 1000000ll + tv.tv_usec;
    say("gettimeofday %d", us >= a / 1000 && us <= b / 1000);
    say("boot time is not less %d", clock_ns(CLOCK_BOOTTIME) >= clock_ns(CLOCK_MONOTONIC) - 1000000000);
    say("coarse is not ahead %d", clock_ns(CLOCK_MONOTONIC_COARSE) <= clock_ns(CLOCK_MONOTONIC));
}

static void *burn(void *arg)
{
    volatile int *stop = arg;

    while (!*stop)
        ;
    return NULL;
}

static void clocks_of_threads(void)
{
    volatile int stop = 0;
    pthread_t t;
    clockid_t clock, process;
    struct timespec ts;

    pthread_create(&t, NULL, burn, (void *)&stop);
    T(pthread_getcpuclockid(t, &clock));
    T(clock_getcpuclockid(getpid(), &process));
    while (clock_ns(clock) < 20000000)
        usleep(1000);
    say("the thread's is part of the process's %d", clock_ns(clock) <= clock_ns(process));
    say("ours ran less %d", clock_ns(CLOCK_THREAD_CPUTIME_ID) < clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    stop = 1;
    pthread_join(t, NULL);
    T(clock_gettime((clockid_t)(~999999u << 3 | 2), &ts));
    T(clock_getres(process, &ts));
    say("%ld", (long)ts.tv_nsec);
}

static void accounting(void)
{
    struct rusage before, after;
    struct tms tms;

    getrusage(RUSAGE_SELF, &before);
    int64_t until = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + 30000000;
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < until)
        ;
    getrusage(RUSAGE_SELF, &after);
    int64_t used = (after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec) * 1000000ll +
                   after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec - before.ru_stime.tv_usec;
    say("at least %d, resident %d", used >= 25000, after.ru_maxrss > 0);
    T(times(&tms) > 0);
    say("%d", tms.tms_utime + tms.tms_stime >= 2);
    T(syscall(SYS_times, NULL) > 0);
    T(syscall(SYS_times, 8));
    T(syscall(SYS_getrusage, RUSAGE_SELF, 8));
}

static void one_shot_and_periodic(void)
{
    struct itimerspec spec = {{0, 5000000}, {0, 5000000}}, old;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 31};
    timer_t t;

    install(SIGRTMIN);
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (count < 4)
        pause();
    say("code %d value %d", got.si_code, got.si_value.sival_int);
    spec = (struct itimerspec){{0, 0}, {100, 0}};
    T(timer_settime(t, 0, &spec, &old));
    say("interval before %ld", (long)old.it_interval.tv_nsec);
    T(timer_gettime(t, &old));
    say("left %d interval %ld", old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100, (long)old.it_interval.tv_nsec);
    spec.it_value.tv_sec = 0;
    T(timer_settime(t, 0, &spec, &old));
    T(timer_gettime(t, &old));
    say("%ld %ld", (long)old.it_value.tv_sec, (long)old.it_value.tv_nsec);
    spec.it_value.tv_nsec = 1000000000;
    T(timer_settime(t, 0, &spec, NULL));
    T(timer_settime(t, 0, NULL, NULL));
    T(timer_delete(t));
    T(timer_gettime(t, &old));
}

static void absolute_timers(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    struct itimerspec spec = {0};
    timer_t t;

    install(SIGALRM);
    for (int i = 0; i < 3; i++) {
        count = 0;
        T(timer_create(clocks[i], NULL, &t));
        clock_gettime(clocks[i], &spec.it_value);
        spec.it_value.tv_sec--; /* in the past: at once */
        T(timer_settime(t, TIMER_ABSTIME, &spec, NULL));
        while (!count)
            usleep(500);
        say("code %d", got.si_code);
        count = 0;
        clock_gettime(clocks[i], &spec.it_value);
        spec.it_value.tv_nsec += 10000000;
        if (spec.it_value.tv_nsec >= 1000000000)
            spec.it_value.tv_sec++, spec.it_value.tv_nsec -= 1000000000;
        T(timer_settime(t, TIMER_ABSTIME, &spec, NULL));
        while (!count)
            usleep(500);
        T(timer_delete(t));
    }
}

static void missed_expirations(void)
{
    struct itimerspec spec = {{0, 2000000}, {0, 2000000}};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    sigset_t set, old;
    siginfo_t info;
    timer_t t;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &old);
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    usleep(30000);
    T(sigwaitinfo(&set, &info) == SIGRTMIN);
    say("overrun %d %d", info.si_overrun >= 10, timer_getoverrun(t) >= 10);
    T(timer_delete(t));
    struct timespec zero = {0, 0};
    while (sigtimedwait(&set, NULL, &zero) > 0)
        ;
    T(timer_getoverrun(t));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static volatile int notified;
static void in_a_thread(union sigval value)
{
    notified += value.sival_int;
}

static volatile pid_t helper_tid;
static volatile int helper_ends;
static void *helper(void *arg)
{
    helper_tid = (pid_t)syscall(SYS_gettid);
    while (!helper_ends)
        usleep(500);
    return arg;
}

/* The default is to ignore it; whoever waits for it gets it, though it comes while he sleeps. */
static void awaiting_what_is_ignored(void)
{
    struct itimerspec spec = {{0, 0}, {0, 2000000}};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
    sigset_t set;
    timer_t t;
    int sig = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    sigprocmask(SIG_BLOCK, &set, NULL);
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    T(sigwait(&set, &sig));
    say("%d", sig == SIGURG);
    T(timer_delete(t));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void who_is_told(void)
{
    struct itimerspec spec = {{0, 0}, {0, 1000000}}, now;
    struct sigevent ev = {.sigev_notify = SIGEV_NONE};
    pthread_t thread;
    timer_t t;

    install(SIGALRM);
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    do
        timer_gettime(t, &now);
    while (now.it_value.tv_nsec);
    say("nobody %d", count);
    T(timer_delete(t));
    pthread_create(&thread, NULL, helper, NULL);
    while (!helper_tid)
        usleep(500);
    install(SIGRTMIN + 1);
    ev = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};
    ev._sigev_un._tid = helper_tid;
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (!count)
        usleep(500);
    say("the thread %d", got_tid == helper_tid);
    helper_ends = 1;
    pthread_join(thread, NULL);
    T(timer_delete(t));
    ev._sigev_un._tid = 999999;
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 6};
    ev.sigev_notify_function = in_a_thread;
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (!notified)
        usleep(500);
    say("%d", notified);
    T(timer_delete(t));
    ev = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
    T(timer_create(CLOCK_MONOTONIC, &ev, &t));
    T(syscall(SYS_timer_create, CLOCK_MONOTONIC, 8, &t));
    T(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, 8));
}

static void timers_on_cpu_time(void)
{
    struct itimerspec spec = {{0, 0}, {0, 20000000}};
    timer_t t;

    install(SIGALRM);
    T(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (!count)
        ;
    say("code %d", got.si_code);
    T(timer_delete(t));
    count = 0;
    T(timer_create(CLOCK_THREAD_CPUTIME_ID, NULL, &t));
    T(timer_settime(t, 0, &spec, NULL));
    while (!count)
        ;
    T(timer_delete(t));
}

static void *sleep_on_cpu_time(void *arg)
{
    struct timespec ts = {0, 20000000};

    (void)arg;
    return (void *)(long)clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &ts, NULL);
}

static void sleeping_on_cpu_time(void)
{
    pthread_t burner, sleeper;
    volatile int stop = 0;
    void *result;
    struct timespec ts = {0, 1000};

    pthread_create(&burner, NULL, burn, (void *)&stop);
    pthread_create(&sleeper, NULL, sleep_on_cpu_time, NULL);
    pthread_join(sleeper, &result);
    say("%ld", (long)result);
    stop = 1;
    pthread_join(burner, NULL);
    T(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
    T(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &ts, NULL));
    T(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &ts, NULL));
    T(clock_nanosleep(CLOCK_TAI, 0, &ts, NULL));
    T(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL));
    T(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, 8, NULL));
}

static void interval_timers(void)
{
    struct itimerval it = {{0, 0}, {0, 10000}}, now;
    static const int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    static const int sigs[] = {SIGALRM, SIGVTALRM, SIGPROF};

    for (int i = 0; i < 3; i++) {
        install(sigs[i]);
        it = (struct itimerval){{0, 0}, {0, 10000}};
        T(setitimer(which[i], &it, NULL));
        while (!count)
            ;
        T(getitimer(which[i], &now));
        say("%ld %ld, code %d", (long)now.it_value.tv_sec, (long)now.it_value.tv_usec, got.si_code);
        it = (struct itimerval){{3, 7}, {1000, 0}};
        T(setitimer(which[i], &it, NULL));
        memset(&it, 0, sizeof(it));
        T(setitimer(which[i], &it, &now));
        say("%d %ld %ld", now.it_value.tv_sec == 999 || now.it_value.tv_sec == 1000, (long)now.it_interval.tv_sec, (long)now.it_interval.tv_usec);
    }
    it.it_value.tv_usec = -1;
    T(setitimer(ITIMER_REAL, &it, NULL));
    T(setitimer(ITIMER_REAL, NULL, NULL));
    T(syscall(SYS_setitimer, ITIMER_REAL, 8, NULL));
    T(syscall(SYS_getitimer, ITIMER_REAL, 8));
    T(syscall(SYS_getitimer, -1, &now));
}

static void alarms(void)
{
    struct itimerval now;

    install(SIGALRM);
    T(alarm(50));
    getitimer(ITIMER_REAL, &now);
    say("%d", now.it_value.tv_sec >= 49 && now.it_value.tv_sec <= 50);
    T(alarm(1));
    while (!count)
        pause();
    T(alarm(0));
    T(ualarm(5000, 0));
    while (count < 2)
        pause();
    say("%d", count);
}

static void cpu_limit(void)
{
    struct rlimit old, one;

    install(SIGXCPU);
    getrlimit(RLIMIT_CPU, &old);
    one = (struct rlimit){(rlim_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000000000) + 1, old.rlim_max};
    T(setrlimit(RLIMIT_CPU, &one));
    int64_t give_up = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + 3000000000;
    while (!count && clock_ns(CLOCK_PROCESS_CPUTIME_ID) < give_up)
        ;
    say("%d", count > 0);
    setrlimit(RLIMIT_CPU, &old);
}

const struct test_case cases[] = {
    CASE(never_backwards), CASE(clocks_agree), CASE(clocks_of_threads), CASE(accounting), CASE(one_shot_and_periodic),
    CASE(absolute_timers), CASE(missed_expirations), CASE(who_is_told), CASE(awaiting_what_is_ignored), CASE(timers_on_cpu_time),
    CASE(sleeping_on_cpu_time), CASE(interval_timers), CASE(alarms), CASE(cpu_limit), {NULL, NULL},
};
