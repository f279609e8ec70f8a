/* Each argument names a way to end; what is left over is the exit status. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *exit_all(void *arg)
{
    syscall(SYS_exit_group, 7);
    return arg;
}

static void *print_later(void *arg)
{
    usleep(10000);
    puts("the last thread");
    return arg;
}

static void farewell(void)
{
    puts("farewell");
}

/* Runs itself with n arguments of so many bytes. */
static int again(int n, size_t bytes)
{
    char **argv = calloc((size_t)n + 3, sizeof(*argv)), *text = malloc(bytes + 1);

    memset(text, 'x', bytes);
    text[bytes] = '\0';
    argv[0] = "endings";
    argv[1] = "count";
    for (int i = 0; i < n; i++)
        argv[i + 2] = text;
    execv("/proc/self/exe", argv);
    printf("%s\n", strerror(errno));
    return 1;
}

static void *map(size_t mib, int prot)
{
    void *p = mmap(NULL, mib << 20, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    printf("%zu MiB: %s\n", mib, p == MAP_FAILED ? strerror(errno) : "mapped");
    return p;
}

/* A program of some hundred KiB, and a stack of which little is used. */
static void small_limits(void)
{
    static const int which[] = {RLIMIT_AS, RLIMIT_DATA};
    struct rlimit old, tight;

    for (int i = 0; i < 2; i++) {
        getrlimit(which[i], &old);
        tight = old;
        tight.rlim_cur = 7ul << 20;
        setrlimit(which[i], &tight);
        map(8, PROT_READ | PROT_WRITE);
        void *p = map(4, PROT_READ | PROT_WRITE);
        map(4, PROT_READ | PROT_WRITE);
        munmap(p, 4ul << 20);
        p = map(4, PROT_NONE);
        map(4, PROT_NONE);
        munmap(p, 4ul << 20);
        setrlimit(which[i], &old);
    }
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    pthread_t t;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(how, "count")) {
        size_t sum = 0;
        for (int i = 2; i < argc; i++)
            sum += strlen(argv[i]);
        printf("%d arguments, %zu bytes\n", argc - 2, sum);
    } else if (!strcmp(how, "return")) {
        atexit(farewell);
        return 256 + 3;
    } else if (!strcmp(how, "quick")) {
        atexit(farewell);
        _exit(255);
    } else if (!strcmp(how, "thread")) {
        pthread_create(&t, NULL, exit_all, NULL);
        pause();
    } else if (!strcmp(how, "main-first")) {
        pthread_create(&t, NULL, print_later, NULL);
        pthread_exit(NULL);
    } else if (!strcmp(how, "signals-to-process-1")) {
        const int sent[] = {SIGHUP,  SIGINT,  SIGABRT, SIGSEGV, SIGKILL,
                            SIGTERM, SIGTSTP, SIGSTOP, SIGXCPU, SIGRTMIN};
        for (unsigned i = 0; i < sizeof sent / sizeof *sent; i++)
            printf("%d: %d %d\n", sent[i], kill(getpid(), sent[i]), raise(sent[i]));
    } else if (!strcmp(how, "blocked-signals-to-process-1")) {
        sigset_t set;
        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(1, SIGTERM);
        kill(1, SIGKILL);
        sigpending(&set);
        printf("pending: %d %d\n", sigismember(&set, SIGTERM), sigismember(&set, SIGKILL));
        sigemptyset(&set);
        sigprocmask(SIG_SETMASK, &set, NULL);
        puts("alive");
    } else if (!strcmp(how, "fault-of-process-1")) {
        return *(volatile int *)8;
    } else if (!strcmp(how, "abort-of-process-1")) {
        abort();
    } else if (!strcmp(how, "time-limit-of-process-1")) {
        const struct rlimit limit = {0, 1};
        setrlimit(RLIMIT_CPU, &limit);
        for (;;)
            ;
    } else if (!strcmp(how, "small-limits")) {
        small_limits();
    } else if (!strcmp(how, "many-arguments")) {
        return again(1500, 1000);
    } else if (!strcmp(how, "long-argument")) {
        return again(1, 131071);
    } else if (!strcmp(how, "too-long-argument")) {
        return again(1, 131072);
    } else if (!strcmp(how, "too-many-arguments")) {
        return again(100, 100000);
    }
    return 0;
}
