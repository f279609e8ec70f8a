/*
 * Random system calls, to be run as process 1 of the guest: it starts workers one
 * after another, each a process that makes CALLS_PER_WORKER calls on two threads,
 * with children, signals, and arguments that are right, nearly right or nonsense.
 * Workers may die of what they do; the kernel may not.
 *
 *     fuzz SEED CALLS      workers until that many calls are made
 *     fuzz SEED            the one worker of that seed, again
 *
 * The seed of each worker is printed before it starts. Which calls there are, and
 * what their arguments are, comes from the kernel's own table.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS_PER_WORKER 4000
#define PATIENCE_MS 24 /* without a call made: it waits for what never comes */
#define CHILD_CALLS 30

struct call {
    int nr;
    const char *arguments; /* see syscall/table.h */
};

#define SYSCALL0(nr, name, fmt) {nr, "xxxxxx"},
#define SYSCALL1(nr, name, fmt) {nr, fmt},
#define SYSCALL2(nr, name, fmt) {nr, fmt},
#define SYSCALL3(nr, name, fmt) {nr, fmt},
#define SYSCALL4(nr, name, fmt) {nr, fmt},
#define SYSCALL5(nr, name, fmt) {nr, fmt},
#define SYSCALL6(nr, name, fmt) {nr, fmt},
static const struct call calls[] = {
#include "syscall/core.def"
#include "syscall/files.def"
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- chance ---- */

struct chance {
    uint64_t state;
};

static uint64_t next(struct chance *c)
{
    c->state ^= c->state >> 12;
    c->state ^= c->state << 25;
    c->state ^= c->state >> 27;
    return c->state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(struct chance *c, uint64_t n)
{
    return next(c) % n;
}

static int one_in(struct chance *c, unsigned n)
{
    return below(c, n) == 0;
}

static struct chance chance_of(uint64_t seed)
{
    struct chance c = {seed * 0x9e3779b97f4a7c15ull + 0x1234567};

    for (int i = 0; i < 4; i++)
        next(&c);
    return c;
}

/* ---- arguments ---- */

static const char *const paths[] = {
    "a", "b", "c", "d", "d/e", "d/f", "./a", "../box/b", "", ".", "..", "/", "/proc/self/maps", "/proc/self/fd/3",
    "/proc/self/status", "/proc/self/fd", "/proc/meminfo", "/proc/self/mem", "/proc/self/comm", "/dev/null", "/dev/zero",
    "/dev/ptmx", "/dev/tty", "/dev/pts/0", "/dev/urandom", "/tmp/x", "/sys/devices/system/cpu/online", "nothing/there",
    "user.a", "security.b", "/proc/self/task", "/proc/self/oom_score_adj", "/proc/sys/kernel/hostname",
    "a-name-that-is-longer-than-forty-bytes-so-that-it-does-not-fit-inline", "/bin/fuzz", "/proc/self/exe", "/proc/1/stat",
};

#define SCRATCH 65536u
#define ARENA (1u << 20)
static uint8_t *arena; /* mappings for the calls that change them */
static uint8_t scratch[SCRATCH] __attribute__((aligned(4096)));
/*
 * The guest kernel, in the middle of its code. As an argument it must be refused. In
 * structures it does not occur: where a program's next instruction comes from one, it would
 * jump there, which nothing can hinder, and which is not the kernel dying of its own.
 */
#define KERNEL 0x110000ull
static uint8_t *edge; /* the byte behind it cannot be touched */

static uint64_t pointer(struct chance *c)
{
    static const uint64_t wild[] = {
        0, 1, 8, 0x1000, 0xfff, 0x7fffffffffff, 0x800000000000, 0xffffffffff600000, ~0ull, ~7ull, 1ull << 63, 0x400000,
        0x10000000, 0x100000000, 0x1ffffffff, KERNEL, KERNEL + 0x80000,
    };

    switch (below(c, 16)) {
    case 0:
        return wild[below(c, sizeof(wild) / sizeof(wild[0]))];
    case 1:
        return (uint64_t)edge - below(c, 64);
    case 2:
        return (uint64_t)edge - 1 - below(c, 4096);
    case 3:
        return next(c) & 0x7fffffff;
    case 4:
        return (uint64_t)arena + below(c, ARENA); /* which other calls map and unmap */
    case 5:
        return (uint64_t)&paths[0]; /* cannot be written to */
    default:
        return (uint64_t)scratch + below(c, SCRATCH - 4096);
    }
}

/* What structures are made of: small numbers, pointers, descriptors, noise. */
static void fill(struct chance *c, uint8_t *at, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t word;
        switch (below(c, 6)) {
        case 0:
            word = below(c, 16);
            break;
        case 1:
            do
                word = pointer(c);
            while (word >= 0x100000 && word < 0x400000);
            break;
        case 2:
            word = next(c);
            break;
        case 3:
            word = below(c, 16) | below(c, 16) << 32; /* read at a byte of its own it is no place in the kernel either */
            break;
        case 4:
            word = (uint64_t)paths[below(c, sizeof(paths) / sizeof(paths[0]))];
            break;
        default:
            word = 0;
        }
        memcpy(at + i, &word, 8);
    }
}

static uint64_t length(struct chance *c)
{
    switch (below(c, 8)) {
    case 0:
        return 0;
    case 1:
        return below(c, 1u << 20);
    case 2:
        return next(c);
    case 3:
        return 1ull << below(c, 48);
    case 4:
        return 4096 * below(c, 64);
    default:
        return below(c, 256);
    }
}

static uint64_t argument(struct chance *c, char kind)
{
    if (one_in(c, 40))
        return one_in(c, 2) ? next(c) : pointer(c);
    switch (kind) {
    case 'f':
    case 'a':
        return one_in(c, 12) ? (uint64_t)(int64_t)(int)below(c, 200) - 105 : below(c, 24);
    case 's':
        return one_in(c, 8) ? pointer(c) : (uint64_t)paths[below(c, sizeof(paths) / sizeof(paths[0]))];
    case 'p':
    case 'b':
        return pointer(c);
    case 'z':
        return length(c);
    case 'O':
        return next(c) & 0x7fffff & (one_in(c, 2) ? 03 | 0100 | 04000 : ~0ull);
    case 'o':
        return next(c) & 07777;
    case 'g':
        return below(c, 70);
    case 'P':
        return below(c, 16);
    case 'M':
        return one_in(c, 4) ? next(c) & 0xfffff : 0x22 - below(c, 2);
    case 'l':
        return one_in(c, 4) ? next(c) : below(c, 100000);
    case 'x':
        return one_in(c, 2) ? 1ull << below(c, 34) : one_in(c, 2) ? below(c, 64) : next(c);
    default:
        return one_in(c, 6) ? next(c) : below(c, 40) - 2;
    }
}

/* ---- calls ---- */

/* Calls made by all workers and their children: in memory that they share with process 1. */
static volatile uint64_t *made;

static void make_calls(struct chance *c, unsigned n);

/* Some calls would end the test and not test the kernel. */
static int is_left_out(struct chance *c, int nr, uint64_t a[6])
{
    switch (nr) {
    case SYS_reboot:
        return 1;
    case SYS_exit:
    case SYS_exit_group:
    case SYS_execve:
    case SYS_execveat:
        return !one_in(c, 200);
    case SYS_rt_sigreturn:
        return !one_in(c, 100);
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mmap:
        /* Elsewhere it would soon take away the program itself. */
        if (!one_in(c, 40)) {
            a[0] = (uint64_t)arena + (below(c, ARENA / 4096) * 4096) + (one_in(c, 4) ? below(c, 4096) : 0);
            a[1] = one_in(c, 8) ? below(c, ARENA) : 4096 * below(c, 16);
            if (nr == SYS_mremap)
                a[2] = 4096 * below(c, 32);
        }
        return 0;
    case SYS_brk:
    case SYS_rt_sigaction:
    case SYS_setitimer:
    case SYS_alarm:
    case SYS_personality:
        return !one_in(c, 10);
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_pidfd_send_signal:
        /* Mostly harmless ones, and to itself. */
        a[0] = one_in(c, 4) ? a[0] : (uint64_t)getpid();
        if (nr == SYS_kill && one_in(c, 20))
            a[0] = ~0ull;
        return !one_in(c, 3);
    case SYS_fork:
    case SYS_vfork:
    case SYS_clone:
    case SYS_clone3:
        return !one_in(c, 6);
    default:
        return 0;
    }
}

static long call(int nr, const uint64_t a[6])
{
    return syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void make_call(struct chance *c)
{
    const struct call *what = &calls[below(c, CALLS)];
    int nr = what->nr, noise = one_in(c, 30);
    uint64_t a[6];

    for (int i = 0; i < 6; i++) {
        int known = i < (int)strlen(what->arguments);
        a[i] = argument(c, !known || noise ? 'x' : what->arguments[i]);
    }
    if (one_in(c, 100))
        nr = (int)below(c, 600);
    if (one_in(c, 4))
        fill(c, scratch + 8 * below(c, SCRATCH / 8 - 64), 256);
    if (is_left_out(c, nr, a))
        return;
    /* What registers are loaded from is read word by word as fill made it: parts of two words could be a place in the kernel. */
    if (nr == SYS_rt_sigaction || nr == SYS_clone || nr == SYS_clone3 || nr == SYS_sigaltstack)
        for (int i = 0; i < 3; i++)
            if (a[i] >= (uint64_t)scratch && a[i] < (uint64_t)scratch + SCRATCH)
                a[i] &= ~7ull;
    /* A child without memory or a stack of its own would run over ours: it gets one in a quarter of the cases only. */
    if (nr == SYS_clone && !one_in(c, 4)) {
        a[0] &= ~(uint64_t)(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND);
        a[1] = 0;
    }
    if (nr == SYS_vfork) {
        if (vfork() == 0)
            _exit(0);
        return;
    }
    __atomic_add_fetch(made, 1, __ATOMIC_RELAXED);
    if (nr == SYS_rt_sigreturn) {
        /* Its argument is the stack: noise, and never back. */
        uint8_t *frame = scratch + 8 * below(c, SCRATCH / 16);
        __asm__ volatile("mov %0, %%rsp\n\tsyscall" : : "r"(frame), "a"(SYS_rt_sigreturn) : "memory", "rcx", "r11");
        __builtin_unreachable();
    }
    long result = call(nr, a);
    if (result == 0 && (nr == SYS_fork || nr == SYS_clone || nr == SYS_clone3)) {
        make_calls(c, CHILD_CALLS);
        syscall(SYS_exit_group, 0);
    }
}

static void make_calls(struct chance *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        make_call(c);
}

/* ---- a worker ---- */

static void nothing(int sig)
{
    (void)sig;
}

static void *second_thread(void *arg)
{
    struct chance c = chance_of(*(uint64_t *)arg ^ 0x5555);

    make_calls(&c, CALLS_PER_WORKER / 2);
    return NULL;
}

static void open_some(void)
{
    int p[2];

    open("a", O_RDWR | O_CREAT, 0644);
    open(".", O_RDONLY);
    pipe(p);
    pipe2(p, O_NONBLOCK);
    syscall(SYS_eventfd2, 0, O_NONBLOCK);
    syscall(SYS_epoll_create1, 0);
    syscall(SYS_socketpair, 1, 1, 0, p);
    syscall(SYS_socketpair, 1, 2 | O_NONBLOCK, 0, p);
    syscall(SYS_socket, 1, 1, 0);
    syscall(SYS_inotify_init1, O_NONBLOCK);
    syscall(SYS_memfd_create, "m", 2);
    syscall(SYS_timerfd_create, 1, 0);
    open("/dev/ptmx", O_RDWR | O_NOCTTY);
    open("/proc/self/maps", O_RDONLY);
}

static void worker(uint64_t seed)
{
    struct chance c = chance_of(seed);
    struct rlimit files = {1 << 20, 1 << 20}, memory = {256ul << 20, 256ul << 20}, numbers = {256, 256};
    struct sigaction sa = {.sa_handler = nothing};
    struct itimerval often = {{0, 5000}, {0, 5000}};
    pthread_t thread;

    setsid();
    /* What it writes goes nowhere: the reports are its parent's. */
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        null < 0 ? close(fd) : dup2(null, fd);
    syscall(SYS_close_range, 3, ~0u, 0);
    setrlimit(RLIMIT_FSIZE, &files);
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_NOFILE, &numbers);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGALRM, &sa, NULL);
    mkdir("/box", 0777);
    chdir("/box");
    open_some();
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + 4096, 4096, PROT_NONE);
    edge = pages + 4096;
    fill(&c, scratch, SCRATCH);
    /* A call that waits is interrupted, until chance takes the timer away. */
    setitimer(ITIMER_REAL, &often, NULL);
    if (!one_in(&c, 3))
        pthread_create(&thread, NULL, second_thread, &seed);
    make_calls(&c, CALLS_PER_WORKER / 2);
    syscall(SYS_exit_group, 0);
}

/* ---- process 1 ---- */

static long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* All that is left of the worker, its children and theirs. */
static void end_all(void)
{
    do
        kill(-1, SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0);
}

static void await(pid_t pid)
{
    sigset_t child;
    struct timespec step = {0, PATIENCE_MS * 1000000 / 4};
    long until = now_ms() + PATIENCE_MS;
    uint64_t seen = *made;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t ended = waitpid(-1, NULL, WNOHANG | __WALL);
        if (ended == pid || (ended < 0 && errno == ECHILD) || now_ms() > until)
            return;
        if (*made != seen) {
            seen = *made;
            until = now_ms() + PATIENCE_MS;
        }
        if (ended <= 0)
            sigtimedwait(&child, NULL, &step);
    }
}

/* Calls that it and its children made. The counter lies where they may write nonsense: then they do not count. */
static uint64_t run_worker(uint64_t seed)
{
    *made = 0;
    printf("worker %llu\n", (unsigned long long)seed);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        worker(seed);
    }
    if (pid < 0) {
        printf("fork: %s\n", strerror(errno));
        exit(2);
    }
    await(pid);
    end_all();
    return *made <= CALLS_PER_WORKER * 20 ? *made : 0;
}

static int is_of_the_image(const char *folder, const char *name)
{
    static const char *const names[] = {"bin", "box", "tmp", "proc", "dev", "sys"};

    for (size_t i = 0; *folder == '\0' && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

/* Files that workers have left, so that memory is enough for the next. */
static void clean(const char *folder)
{
    char command[64];
    int fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY);
    char entries[8192];
    long n;

    snprintf(command, sizeof(command), "%s", folder);
    while (fd >= 0 && (n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
        for (long at = 0; at < n;) {
            unsigned short size;
            memcpy(&size, entries + at + 16, 2);
            const char *name = entries + at + 19;
            if (strcmp(name, ".") && strcmp(name, "..") && !is_of_the_image(folder, name)) {
                char path[512];
                snprintf(path, sizeof(path), "%s/%s", command, name);
                if (entries[at + 18] == 4 && strlen(path) < 60)
                    clean(path);
                unlinkat(AT_FDCWD, path, entries[at + 18] == 4 ? AT_REMOVEDIR : 0);
            }
            at += size;
        }
    }
    close(fd);
}

/* The kernel's books: free memory in KiB. */
static long free_kib(void)
{
    char text[4096];
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    close(fd);
    if (n < 0)
        return -1;
    text[n] = '\0';
    const char *at = strstr(text, "MemFree:");
    return at ? strtol(at + 8, NULL, 10) : -1;
}

/* A worker may set those of process 1 too. */
static void restore_limits(const struct rlimit limits[RLIM_NLIMITS])
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        setrlimit(i, &limits[i]);
}

int main(int argc, char **argv)
{
    struct rlimit limits[RLIM_NLIMITS];
    sigset_t child;

    if (argc < 2 || getpid() != 1)
        return 3; /* executed by a worker */
    uint64_t seed = strtoull(argv[1], NULL, 10);
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit(i, &limits[i]);
    long first = 0;
    uint64_t total = 0;
    for (uint64_t n = 0; n == 0 || total < count; n++) {
        total += run_worker(seed + n);
        restore_limits(limits);
        clean("/box");
        clean("/tmp");
        clean("/dev/shm");
        clean("");
        if (n == 9)
            first = free_kib(); /* what is kept for ever is there by now */
    }
    printf("memory: %ld KiB less\n", first ? first - free_kib() : 0);
    printf("survived %llu calls\n", (unsigned long long)total);
    return 0;
}
