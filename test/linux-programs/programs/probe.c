/* What a test asks for by the first argument; what it says ends with a newline and is not held back. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void on_signal(int sig)
{
    static const char name[] = "caught a signal\n";
    (void)!write(1, name, sizeof name - 1);
    _exit(sig);
}

static void on_usr2(int sig)
{
    static const char text[] = "caught USR2\n";
    (void)sig;
    (void)!write(1, text, sizeof text - 1);
}

_Noreturn static void wait_for_signal(void)
{
    signal(SIGUSR2, on_usr2);
    say("ready");
    for (;;)
        pause();
}

/* Says "ready", and ends with the number of the signal that it gets. */
_Noreturn static void catch(int sig)
{
    signal(sig, on_signal);
    wait_for_signal();
}

static int overflow(int depth)
{
    volatile char frame[4096];

    frame[0] = (char)depth;
    return overflow(depth + 1) + frame[0];
}

static void *overflow_thread(void *depth)
{
    return (void *)(long)overflow(depth != NULL);
}

/* Holds as many MiB, and frees them; goes on at SIGUSR1. */
static int hold(size_t mib)
{
    sigset_t go_on;
    int sig;
    char *memory = malloc(mib << 20);

    sigemptyset(&go_on);
    sigaddset(&go_on, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go_on, NULL);
    memset(memory, 1, mib << 20);
    __asm__ volatile("" : : "r"(memory) : "memory"); /* or it would be left out: nobody reads it */
    say("holding");
    sigwait(&go_on, &sig);
    free(memory);
    say("freed");
    return sigwait(&go_on, &sig);
}

/* Touches memory without end. */
static int devour(void)
{
    for (size_t mib = 0;; mib++) {
        char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            printf("%s after %zu MiB\n", strerror(errno), mib);
            return 1;
        }
        memset(memory, 1, 1 << 20);
        __asm__ volatile("" : : "r"(memory) : "memory");
    }
}

static int identity(void)
{
    gid_t groups[16];
    struct rlimit files;
    int count = getgroups(16, groups);

    getrlimit(RLIMIT_NOFILE, &files);
    printf("uid %u %u gid %u %u groups", getuid(), geteuid(), getgid(), getegid());
    for (int i = 0; i < count; i++)
        printf(" %u", groups[i]);
    printf(" umask %03o files %lu %lu\n", umask(0), (unsigned long)files.rlim_cur,
           (unsigned long)files.rlim_max);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const int number = argc > 2 ? atoi(argv[2]) : 0;

    if (!strcmp(what, "exit"))
        return number;
    if (!strcmp(what, "raise"))
        return raise(number);
    if (!strcmp(what, "catch"))
        catch(number);
    if (!strcmp(what, "wait"))
        wait_for_signal();
    if (!strcmp(what, "overflow"))
        return overflow(0);
    if (!strcmp(what, "overflow-of-a-thread")) {
        pthread_t thread;
        return pthread_create(&thread, NULL, overflow_thread, NULL) || pthread_join(thread, NULL);
    }
    if (!strcmp(what, "guard")) {
        volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return *page = 1;
    }
    if (!strcmp(what, "hold"))
        return hold((size_t)number);
    if (!strcmp(what, "devour"))
        return devour();
    if (!strcmp(what, "chmod-and-exec"))
        return chmod(argv[2], 0700) || execv(argv[2], argv + 2);
    if (!strcmp(what, "hot")) {
        for (int i = 0; i < 20000; i++) {
            getppid();
            (void)!read(-1, NULL, 0);
            (void)!write(-1, NULL, 0);
            lseek(-1, 0, SEEK_SET);
        }
        return 0;
    }
    if (!strcmp(what, "identity"))
        return identity();
    if (!strcmp(what, "create")) {
        int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
        say(fd < 0 ? strerror(errno) : write(fd, "new\n", 4) == 4 ? "written" : "short");
        return fd < 0;
    }
    fprintf(stderr, "probe: what is \"%s\"?\n", what);
    return 2;
}
