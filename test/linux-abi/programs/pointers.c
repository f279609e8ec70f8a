/*
 * Every kind of pointer that a system call takes, pointing to where no program's data can be. Says what each call
 * answers: "EFAULT" from Linux for addresses of its own, and so from a kernel that lives in the program's address space.
 *
 * pointers ADDRESS [filled]: hexadecimal; with "filled" the program can reach the 8192 bytes there itself, fills them
 * and says if one of them has changed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FILL 0xa5
#define AREA 8192

static unsigned char *bad;

static void said(const char *call, long result)
{
    printf("%s: %s\n", call, result == -1 ? strerrorname_np(errno) : "accepted");
}

#define TRY(name, ...) said(#name " " #__VA_ARGS__, syscall(SYS_##name, __VA_ARGS__))

static void files(int file, int folder, int reader, int writer)
{
    struct iovec vector = {bad, 16};
    struct stat st;
    char text[64];

    TRY(read, file, bad, 16);
    TRY(write, writer, bad, 16);
    TRY(pread64, file, bad, 16, 0);
    TRY(pwrite64, file, bad, 16, 0);
    TRY(readv, file, bad, 1);
    TRY(readv, file, &vector, 1);
    TRY(writev, writer, bad, 1);
    TRY(writev, writer, &vector, 1);
    TRY(preadv, file, &vector, 1, 0, 0);
    TRY(pwritev, file, &vector, 1, 0, 0);
    TRY(getdents64, folder, bad, 1024);
    TRY(open, bad, O_RDONLY);
    TRY(openat, AT_FDCWD, bad, O_RDONLY);
    TRY(stat, bad, &st);
    TRY(stat, "/", bad);
    TRY(lstat, "/", bad);
    TRY(fstat, file, bad);
    TRY(newfstatat, AT_FDCWD, "/", bad, 0);
    TRY(statx, AT_FDCWD, "/", 0, STATX_ALL, bad);
    TRY(statfs, "/", bad);
    TRY(fstatfs, file, bad);
    TRY(access, bad, F_OK);
    TRY(readlink, bad, text, sizeof text);
    TRY(readlink, "/proc/self/exe", bad, 64);
    TRY(getcwd, bad, 64);
    TRY(chdir, bad);
    TRY(mkdir, bad, 0700);
    TRY(rmdir, bad);
    TRY(unlink, bad);
    TRY(rename, "/nothing", bad);
    TRY(link, bad, "/x");
    TRY(symlink, bad, "/x");
    TRY(chmod, bad, 0);
    TRY(chown, bad, 0, 0);
    TRY(truncate, bad, 0);
    TRY(mknod, bad, S_IFIFO | 0600, 0);
    TRY(utimensat, AT_FDCWD, "/", bad, 0);
    TRY(getxattr, bad, "user.x", text, sizeof text);
    TRY(pipe, bad);
    TRY(pipe2, bad, 0);
    TRY(fcntl, file, F_GETLK, bad);
    TRY(fcntl, file, F_SETLK, bad);
    TRY(ioctl, reader, FIONREAD, bad);
    TRY(sendfile, writer, file, bad, 16);
    TRY(memfd_create, bad, 0);
    TRY(execve, bad, NULL, NULL);
    TRY(execve, "/bin/pointers", bad, NULL);
    TRY(execve, "/bin/pointers", NULL, bad);
}

static void events(int reader, int writer)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct timespec now = {0, 0};
    struct pollfd pfd = {reader, POLLIN, 0};
    int set = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    fd_set fds;

    FD_ZERO(&fds);
    TRY(poll, bad, 1, 0);
    TRY(ppoll, &pfd, 1, bad, NULL, 8);
    TRY(ppoll, &pfd, 1, &now, bad, 8);
    TRY(select, 1, bad, NULL, NULL, bad);
    TRY(select, 1, &fds, NULL, NULL, bad);
    TRY(pselect6, 1, bad, NULL, NULL, &now, NULL);
    TRY(epoll_ctl, set, EPOLL_CTL_ADD, reader, bad);
    TRY(epoll_ctl, set, EPOLL_CTL_ADD, reader, &event);
    (void)!write(writer, "x", 1);
    TRY(epoll_wait, set, bad, 8, 0);
    TRY(signalfd4, -1, bad, 8, 0);
    TRY(timerfd_settime, timer, 0, bad, NULL);
}

static void signals(void)
{
    timer_t timer;

    TRY(rt_sigaction, SIGUSR1, bad, NULL, 8);
    TRY(rt_sigaction, SIGUSR1, NULL, bad, 8);
    TRY(rt_sigprocmask, SIG_BLOCK, bad, NULL, 8);
    TRY(rt_sigprocmask, SIG_BLOCK, NULL, bad, 8);
    TRY(rt_sigpending, bad, 8);
    TRY(rt_sigtimedwait, bad, NULL, NULL, 8);
    TRY(rt_sigqueueinfo, getpid(), SIGUSR1, bad);
    TRY(rt_sigsuspend, bad, 8);
    TRY(sigaltstack, bad, NULL);
    TRY(sigaltstack, NULL, bad);
    TRY(getitimer, ITIMER_REAL, bad);
    TRY(setitimer, ITIMER_REAL, bad, NULL);
    TRY(timer_create, CLOCK_MONOTONIC, bad, &timer);
    TRY(timer_create, CLOCK_MONOTONIC, NULL, bad);
}

static void the_rest(void)
{
    struct timespec now = {0, 0};
    unsigned word = 0;
    socklen_t len = 8;
    int pair[2];

    TRY(clock_gettime, CLOCK_MONOTONIC, bad);
    TRY(clock_getres, CLOCK_MONOTONIC, bad);
    TRY(gettimeofday, bad, NULL);
    TRY(time, bad);
    TRY(nanosleep, bad, NULL);
    TRY(clock_nanosleep, CLOCK_MONOTONIC, 0, bad, NULL);
    TRY(uname, bad);
    TRY(sysinfo, bad);
    TRY(times, bad);
    TRY(getrusage, RUSAGE_SELF, bad);
    TRY(getrlimit, RLIMIT_NOFILE, bad);
    TRY(setrlimit, RLIMIT_NOFILE, bad);
    TRY(prlimit64, 0, RLIMIT_NOFILE, NULL, bad);
    TRY(getgroups, 0, bad);
    TRY(setgroups, 1, bad);
    TRY(getresuid, bad, &word, &word);
    TRY(getresgid, &word, &word, bad);
    TRY(capget, bad, NULL);
    TRY(getrandom, bad, 16, 0);
    TRY(sched_getaffinity, 0, 8, bad);
    TRY(sched_setaffinity, 0, 8, bad);
    TRY(sched_getparam, 0, bad);
    TRY(getcpu, bad, NULL, NULL);
    TRY(prctl, 16 /* PR_GET_NAME */, bad);
    TRY(prctl, 15 /* PR_SET_NAME */, bad);
    TRY(sethostname, bad, 4);
    TRY(futex, bad, FUTEX_WAIT_PRIVATE, 0, &now);
    TRY(futex, bad, FUTEX_WAIT, 0, &now);
    TRY(futex, &word, FUTEX_WAIT_PRIVATE, 0, bad);
    TRY(futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 1, bad, 0);
    TRY(futex, &word, FUTEX_WAKE_OP_PRIVATE, 1, 1, bad, 0);
    TRY(get_robust_list, 0, bad, &word);
    TRY(arch_prctl, 0x1003 /* ARCH_GET_FS */, bad);
    TRY(wait4, -1, bad, WNOHANG, NULL);
    TRY(mincore, &word, 1, bad);
    TRY(mprotect, bad, 4096, 0);
    TRY(madvise, bad, 4096, 4);
    TRY(mremap, bad, 4096, 8192, 1);
    TRY(socketpair, AF_UNIX, SOCK_STREAM, 0, bad);
    TRY(socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
    TRY(sendto, pair[0], bad, 16, 0, NULL, 0);
    TRY(sendmsg, pair[0], bad, 0);
    (void)!write(pair[0], "0123456789abcdef", 16);
    TRY(recvfrom, pair[1], bad, 16, MSG_PEEK, NULL, NULL);
    TRY(recvmsg, pair[1], bad, MSG_PEEK);
    TRY(getsockname, pair[0], bad, &len);
    TRY(getsockopt, pair[0], SOL_SOCKET, SO_TYPE, bad, &len);
    TRY(setsockopt, pair[0], SOL_SOCKET, SO_REUSEADDR, bad, 4);
}

int main(int argc, char **argv)
{
    int channel[2];

    bad = (unsigned char *)strtoul(argc > 1 ? argv[1] : "0", NULL, 16);
    const int filled = argc > 2;
    if (filled)
        memset(bad, FILL, AREA);
    if (pipe(channel))
        return 1;
    const int file = open("/box/file", O_RDWR | O_CREAT, 0600);
    (void)!write(file, "some bytes of a file", 20);
    lseek(file, 0, SEEK_SET);
    files(file, open("/", O_RDONLY | O_DIRECTORY), channel[0], channel[1]);
    events(channel[0], channel[1]);
    signals();
    the_rest();
    for (int i = 0; filled && i < AREA; i++) {
        if (bad[i] != FILL) {
            printf("byte %d has changed\n", i);
            return 1;
        }
    }
    puts("done");
    return 0;
}
