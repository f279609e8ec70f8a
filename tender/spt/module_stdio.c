/*
 * The stdio extra: standard input, and the standard descriptors in the epoll
 * set, non-blocking where that does not reach other processes.
 */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * O_NONBLOCK belongs to the open file, which the shell or the engine may hold
 * too: so a pipe or terminal is opened anew. Where there is no /proc, in the
 * sandbox, init has done that. A socket pair's end cannot be opened anew, and
 * is shared at most by those who inherited the same end.
 */
static bool make_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    char path[32];
    struct stat status;
    int anew;

    if (flags < 0 || fstat(fd, &status) < 0)
        fail_errno("cannot examine descriptor %d", fd);
    if (flags & O_NONBLOCK)
        return true;
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode) && !S_ISSOCK(status.st_mode))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    anew = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY);
    if (anew >= 0) {
        if (dup2(anew, fd) < 0)
            fail_errno("cannot replace descriptor %d", fd);
        close(anew);
        return true;
    }
    if (errno != ENOENT && errno != ENXIO)
        return false; /* not ours to open: leave it as it is, the guest knows */
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void setup_descriptor(struct tender *tender, int fd, uint32_t events, uint64_t data)
{
    struct runnc_boot_info *boot = &tender->boot;
    const uint32_t bit = 1u << fd;
    int error;

    if (isatty(fd))
        boot->stdio_tty |= bit;
    if (make_nonblocking(fd))
        boot->stdio_nonblock |= bit;
    error = watch(tender, fd, events, data);
    if (error == EPERM)
        boot->stdio_ready |= bit;
    else if (error != 0)
        fail("cannot wait for descriptor %d (error %d)", fd, error);
}

static void setup(struct tender *tender)
{
    struct filter *filter = &tender->filter;

    setup_descriptor(tender, STDIN_FILENO, EPOLLIN, RUNNC_EPOLL_STDIN);
    setup_descriptor(tender, STDOUT_FILENO, EPOLLOUT, RUNNC_EPOLL_STDOUT);
    setup_descriptor(tender, STDERR_FILENO, EPOLLOUT, RUNNC_EPOLL_STDERR);
    filter_allow(filter, "standard input", read, SCMP_A0(SCMP_CMP_EQ, STDIN_FILENO));
    if (tender->boot.stdio_tty & (1u << STDIN_FILENO))
        filter_allow(filter, "size of the terminal", ioctl, SCMP_A0(SCMP_CMP_EQ, STDIN_FILENO),
                     SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ));
}

const struct module module_stdio = {
    .name = "stdio",
    .extra = RUNNC_EXTRA_STDIO,
    .setup = setup,
};
