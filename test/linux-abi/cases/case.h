/*
 * Conformance cases. A program holds many; each is a function that says what it
 * saw, one line at a time. The same binary runs natively and in the guest, and
 * the runner compares, case by case, what was said. So a case must say nothing
 * that may differ from run to run: no addresses, pids, device numbers, times.
 */
#ifndef CASE_H
#define CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

/* Filled by the program: {NULL, NULL} at the end. */
extern const struct test_case cases[];
#define CASE(function) {#function, function}

static const char *current_case;

static inline void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void say(const char *fmt, ...)
{
    char line[2048];
    int n = snprintf(line, sizeof(line), "%s| ", current_case);
    va_list ap;

    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (write(1, line, (size_t)n) != n)
        _exit(99);
}

/* Says an expression's value, and why if it is -1. */
#define T(expr)                                                              \
    do {                                                                     \
        errno = 0;                                                           \
        long value_ = (long)(expr);                                          \
        if (value_ == -1)                                                    \
            say("%s = -1 (%s)", #expr, strerror(errno));                     \
        else                                                                 \
            say("%s = %ld", #expr, value_);                                  \
    } while (0)

/* Says only success or why not: for values that differ, such as addresses. */
#define OK(expr)                                                             \
    do {                                                                     \
        errno = 0;                                                           \
        long value_ = (long)(expr);                                          \
        say("%s: %s", #expr, value_ == -1 ? strerror(errno) : "ok");         \
    } while (0)

static inline void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        say("put_file %s: %s", path, strerror(errno));
    close(fd);
}

static inline void show_file(const char *path)
{
    char text[512];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n < 0) {
        say("%s: %s", path, strerror(errno));
    } else {
        text[n] = '\0';
        for (ssize_t i = 0; i < n; i++)
            if (text[i] == '\n')
                text[i] = '~';
        say("%s: \"%s\"", path, text);
    }
    if (fd >= 0)
        close(fd);
}

static inline void show_stat(const char *path)
{
    struct stat st;

    if (lstat(path, &st))
        say("%s: %s", path, strerror(errno));
    else
        say("%s: mode %o uid %u gid %u links %u size %lld", path, st.st_mode, st.st_uid, st.st_gid,
            S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink, S_ISDIR(st.st_mode) ? 0ll : (long long)st.st_size);
}

static inline int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Each case works in a folder of its own, as root with umask 022. An argument picks one case. */
int main(int argc, char **argv)
{
    umask(022);
    for (const struct test_case *c = cases; c->name; c++) {
        char dir[128];
        if (argc > 1 && strcmp(argv[1], c->name))
            continue;
        current_case = c->name;
        snprintf(dir, sizeof(dir), "/box/%s", c->name);
        if (mkdir(dir, 0755) || chdir(dir))
            say("cannot enter %s: %s", dir, strerror(errno));
        syscall(SYS_close_range, 3, ~0u, 0); /* numbers do not depend on what other cases left open */
        say("begins");
        c->run();
        say("ends");
        alarm(0);
        umask(022);
    }
    return 0;
}

#endif
