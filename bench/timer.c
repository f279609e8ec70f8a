/*
 * Times whole processes from outside: runs each command RUNS times, in turn
 * (A B C A B C …), so that a drift of the machine's speed hits all alike.
 *
 *     timer RUNS WARMUPS -- A [ARG...] [-- B [ARG...]]...
 *
 * A command's output goes to /dev/null. Prints, for each run, "<command index>
 * <wall ns> <peak RSS of the process and its waited-for children, KiB> <exit
 * status>". Nothing is printed for the warm-up rounds. A wait status that is
 * not an exit shows as 128 + the signal.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long parse(const char *text, long min, long max)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < min || value > max)
        errx(2, "%s: expected a number from %ld to %ld", text, min, max);
    return value;
}

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void run_once(int index, char **argv, posix_spawn_file_actions_t *actions, int print)
{
    pid_t pid;
    int status;
    struct rusage usage;
    long long start = now_ns();
    int error = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
    if (error != 0) {
        errno = error;
        err(1, "%s", argv[0]);
    }
    if (wait4(pid, &status, 0, &usage) != pid)
        err(1, "wait4");
    long long wall = now_ns() - start;
    if (print)
        printf("%d %lld %ld %d\n", index, wall, usage.ru_maxrss,
               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
    char **commands[16];
    int count = 0;

    if (argc < 5)
        errx(2, "usage: timer RUNS WARMUPS -- COMMAND [ARG...] [-- COMMAND [ARG...]]...");
    long runs = parse(argv[1], 1, 100000);
    long warmups = parse(argv[2], 0, 1000);
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0)
            continue;
        argv[i] = NULL;
        if (i + 1 == argc || count == 16)
            errx(2, "expected 1 to 16 commands, each behind --");
        commands[count++] = &argv[i + 1];
    }
    if (count == 0)
        errx(2, "no command: put -- before each");

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (long round = -warmups; round < runs; round++)
        for (int i = 0; i < count; i++)
            run_once(i, commands[i], &actions, round >= 0);
    return 0;
}
