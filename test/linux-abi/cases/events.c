/* Pipes, and what waits for files. */
#include "case.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static volatile int hits;
static void hit(int sig) { hits += sig; }

static void pipe_basics(void)
{
    int p[2];
    char buf[16] = {0};
    struct stat st;

    T(pipe(p));
    T(write(p[1], "hello", 5));
    T(read(p[0], buf, 3));
    T(read(p[0], buf, 16));
    T(write(p[0], "x", 1));
    T(read(p[1], buf, 1));
    fstat(p[0], &st);
    say("mode %o size %lld", st.st_mode, (long long)st.st_size);
    T(close(p[1]));
    T(read(p[0], buf, 1));
    T(pipe(NULL));
}

static void pipe_broken(void)
{
    int p[2];

    hits = 0;
    pipe(p);
    signal(SIGPIPE, hit);
    close(p[0]);
    T(write(p[1], "x", 1));
    say("signals %d", hits);
    signal(SIGPIPE, SIG_IGN);
    T(write(p[1], "x", 1));
    signal(SIGPIPE, SIG_DFL);
}

static void pipe_nonblocking(void)
{
    int p[2];
    char buf[5000];

    memset(buf, 'a', sizeof(buf));
    pipe2(p, O_NONBLOCK);
    T(read(p[0], buf, 1));
    T(fcntl(p[0], F_GETPIPE_SZ));
    int total = 0, n;
    while ((n = (int)write(p[1], buf, 4096)) > 0)
        total += n;
    say("%d %s", total, strerror(errno));
    T(write(p[1], buf, 1));
    T(read(p[0], buf, 100));
    T(write(p[1], buf, 4096));
    T(read(p[0], buf, 4096));
    T(write(p[1], buf, 4096));
}

static void pipe_sizes(void)
{
    int p[2];

    pipe(p);
    T(fcntl(p[0], F_SETPIPE_SZ, 5000));
    T(fcntl(p[0], F_GETPIPE_SZ));
    T(fcntl(p[1], F_SETPIPE_SZ, 1));
    char buf[4096] = {0};
    write(p[1], buf, 4096);
    T(fcntl(p[1], F_SETPIPE_SZ, 1 << 20));
    T(write(p[1], buf, 4096));
    T(fcntl(p[1], F_SETPIPE_SZ, 4096));
    int n;
    T(ioctl(p[0], FIONREAD, &n));
    say("%d", n);
}

static void *slow_writer(void *arg)
{
    int fd = *(int *)arg;
    char block[70000];

    memset(block, 'w', sizeof(block));
    ssize_t n = write(fd, block, sizeof(block));
    close(fd);
    return (void *)n;
}

static void pipe_blocking(void)
{
    int p[2];
    char buf[1000];
    pthread_t thread;
    void *wrote;
    ssize_t n, total = 0;

    pipe(p);
    pthread_create(&thread, NULL, slow_writer, &p[1]);
    while ((n = read(p[0], buf, sizeof(buf))) > 0)
        total += n;
    pthread_join(thread, &wrote);
    say("read %zd wrote %ld", total, (long)wrote);
}

static void fifo(void)
{
    char buf[8] = {0};

    T(mkfifo("f", 0600));
    T(open("f", O_WRONLY | O_NONBLOCK));
    int r = open("f", O_RDONLY | O_NONBLOCK);
    T(r);
    struct pollfd pfd = {.fd = r, .events = POLLIN};
    T(poll(&pfd, 1, 0));
    T(read(r, buf, 1));
    int w = open("f", O_WRONLY | O_NONBLOCK);
    T(w);
    T(read(r, buf, 1));
    T(write(w, "abc", 3));
    T(poll(&pfd, 1, 0));
    say("%x", pfd.revents);
    T(read(r, buf, 8));
    close(w);
    T(poll(&pfd, 1, 0));
    say("%x", pfd.revents);
    T(read(r, buf, 8));
    int rw = open("f", O_RDWR);
    T(write(rw, "q", 1));
    T(read(r, buf, 8));
}

static void *fifo_writer(void *arg)
{
    int fd = open("f", O_WRONLY);

    write(fd, "met", 3);
    close(fd);
    return arg;
}

static void fifo_rendezvous(void)
{
    pthread_t thread;
    char buf[8] = {0};

    mkfifo("f", 0600);
    pthread_create(&thread, NULL, fifo_writer, NULL);
    int fd = open("f", O_RDONLY);
    T(read(fd, buf, 8));
    say("%s", buf);
    T(read(fd, buf, 8));
    pthread_join(thread, NULL);
}

static void poll_readiness(void)
{
    int p[2], file = open("f", O_RDWR | O_CREAT, 0644);

    pipe(p);
    struct pollfd pfd[5] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {file, POLLIN | POLLOUT, 0}, {99, POLLIN, 7}, {-1, POLLIN, 7}};
    T(poll(pfd, 5, 0));
    for (int i = 0; i < 5; i++)
        say("%d: %x", i, pfd[i].revents);
    write(p[1], "x", 1);
    T(poll(pfd, 1, -1));
    say("%x", pfd[0].revents);
    close(p[0]);
    T(poll(pfd + 1, 1, 0));
    say("%x", pfd[1].revents);
    T(poll(NULL, 0, 1));
    T(poll(NULL, 1, 1));
    T(poll(pfd, 2000000, 1));
}

static void poll_timeout(void)
{
    int p[2];

    pipe(p);
    struct pollfd pfd = {p[0], POLLIN, 0};
    int64_t begin = now_ms();
    T(poll(&pfd, 1, 50));
    int64_t took = now_ms() - begin;
    say("waited: %d", took >= 50 && took < 5000);
    struct timespec ts = {.tv_nsec = 20000000}, bad = {.tv_nsec = 1000000000};
    T(ppoll(&pfd, 1, &ts, NULL));
    T(ppoll(&pfd, 1, &bad, NULL));
}

static void poll_interrupted(void)
{
    struct sigaction sa = {.sa_handler = hit, .sa_flags = SA_RESTART};
    int p[2];

    hits = 0;
    pipe(p);
    sigaction(SIGALRM, &sa, NULL);
    struct pollfd pfd = {p[0], POLLIN, 0};
    ualarm(20000, 0);
    T(poll(&pfd, 1, -1));
    say("%d", hits);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    hits = 0;
    sigemptyset(&set);
    T(ppoll(&pfd, 1, NULL, &set));
    say("%d", hits);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void select_sets(void)
{
    int p[2];
    fd_set in, out, ex;
    struct timeval tv = {0, 0};

    pipe(p);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&ex);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    FD_SET(p[0], &ex);
    T(select(p[1] + 1, &in, &out, &ex, &tv));
    say("%d %d %d", FD_ISSET(p[0], &in), FD_ISSET(p[1], &out), FD_ISSET(p[0], &ex));
    write(p[1], "x", 1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    T(select(p[0] + 1, &in, NULL, NULL, NULL));
    /* Below 64, the smallest descriptor table: Linux overlooks what lies past the end of the table, whose size
       depends on what the parent had open. */
    FD_ZERO(&in);
    FD_SET(60, &in);
    T(select(61, &in, NULL, NULL, &tv));
    T(select(-1, NULL, NULL, NULL, &tv));
    tv.tv_usec = 10000;
    T(select(0, NULL, NULL, NULL, &tv));
    say("left %ld %ld", (long)tv.tv_sec, (long)tv.tv_usec);
    tv.tv_sec = -1;
    T(select(0, NULL, NULL, NULL, &tv));
}

static void show_events(int ep)
{
    struct epoll_event got[8];
    int n = epoll_wait(ep, got, 8, 0);

    say("ready %d", n);
    for (int i = 0; i < n; i++)
        say("  %x data %llu", got[i].events, (unsigned long long)got[i].data.u64);
}

static void epoll_level(void)
{
    int p[2], ep = epoll_create1(EPOLL_CLOEXEC);
    char buf[8];

    pipe(p);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 1};
    T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    show_events(ep);
    write(p[1], "ab", 2);
    show_events(ep);
    show_events(ep);
    read(p[0], buf, 1);
    show_events(ep);
    read(p[0], buf, 1);
    show_events(ep);
    close(p[1]);
    show_events(ep);
    T(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    T(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    show_events(ep);
}

static void epoll_edge(void)
{
    int p[2], ep = epoll_create1(0);
    char buf[8];

    pipe(p);
    write(p[1], "a", 1);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 2};
    T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    show_events(ep);
    show_events(ep);
    write(p[1], "b", 1);
    show_events(ep);
    show_events(ep);
    read(p[0], buf, 1);
    show_events(ep);
    T(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    show_events(ep);
}

static void epoll_oneshot(void)
{
    int p[2], ep = epoll_create1(0);

    pipe(p);
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 3};
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    write(p[1], "a", 1);
    show_events(ep);
    show_events(ep);
    write(p[1], "b", 1);
    show_events(ep);
    T(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    show_events(ep);
}

static void epoll_errors(void)
{
    int p[2], ep = epoll_create1(0), file = open("f", O_RDWR | O_CREAT, 0644);
    struct epoll_event e = {.events = EPOLLIN};

    pipe(p);
    T(epoll_create1(5));
    T(epoll_create(0));
    T(epoll_create(1));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &e));
    T(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &e));
    T(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &e));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    T(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
    T(epoll_ctl(ep, 77, p[0], &e));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], NULL));
    T(epoll_wait(ep, &e, 0, 0));
    T(epoll_wait(ep, &e, -1, 0));
    T(epoll_wait(p[0], &e, 1, 0));
    T(epoll_wait(99, &e, 1, 0));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    write(p[1], "x", 1);
    T(epoll_wait(ep, NULL, 1, 0));
}

static void epoll_nested(void)
{
    int p[2], inner = epoll_create1(0), outer = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 5};
    char c;

    pipe(p);
    T(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e));
    e.data.u64 = 6;
    T(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
    T(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &e));
    show_events(outer);
    write(p[1], "x", 1);
    show_events(outer);
    struct pollfd pfd = {outer, POLLIN, 0};
    T(poll(&pfd, 1, 0));
    read(p[0], &c, 1);
    show_events(outer);
    T(poll(&pfd, 1, 0));
}

static void epoll_chains(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int down[10], up[10];

    for (int i = 0; i < 10; i++)
        down[i] = epoll_create1(0), up[i] = epoll_create1(0);
    for (int i = 0; i < 9; i++)
        T(epoll_ctl(down[i], EPOLL_CTL_ADD, down[i + 1], &e));
    for (int i = 0; i < 9; i++)
        T(epoll_ctl(up[i + 1], EPOLL_CTL_ADD, up[i], &e));
}

static void epoll_closed_file(void)
{
    int p[2], ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 7};

    pipe(p);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    write(p[1], "x", 1);
    int copy = dup(p[0]);
    close(p[0]);
    show_events(ep);
    close(copy);
    show_events(ep);
}

static void *write_later(void *arg)
{
    usleep(20000);
    write(*(int *)arg, "x", 1);
    return NULL;
}

static void epoll_blocks(void)
{
    int p[2], ep = epoll_create1(0);
    pthread_t thread;
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 8}, got;

    pipe(p);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    pthread_create(&thread, NULL, write_later, &p[1]);
    T(epoll_wait(ep, &got, 1, -1));
    say("%llu", (unsigned long long)got.data.u64);
    pthread_join(thread, NULL);
    char c;
    read(p[0], &c, 1);
    int64_t begin = now_ms();
    T(epoll_wait(ep, &got, 1, 30));
    say("waited: %d", now_ms() - begin >= 29);
}

static void epoll_many(void)
{
    int ep = epoll_create1(0), fds[200];
    struct epoll_event got[300];

    for (int i = 0; i < 200; i++) {
        fds[i] = eventfd(0, 0);
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
    }
    uint64_t one = 1, sum = 0;
    for (int i = 0; i < 200; i += 3)
        write(fds[i], &one, 8);
    int n = epoll_wait(ep, got, 300, 0);
    for (int i = 0; i < n; i++)
        sum += got[i].data.u64;
    say("%d %llu", n, (unsigned long long)sum);
    T(epoll_wait(ep, got, 10, 0));
}

static void event_counter(void)
{
    uint64_t v = 5;
    int fd = eventfd(3, EFD_NONBLOCK);

    T(write(fd, &v, 8));
    T(read(fd, &v, 8));
    say("%llu", (unsigned long long)v);
    T(read(fd, &v, 8));
    T(read(fd, &v, 4));
    T(write(fd, &v, 4));
    v = UINT64_MAX;
    T(write(fd, &v, 8));
    v = UINT64_MAX - 1;
    T(write(fd, &v, 8));
    v = 1;
    T(write(fd, &v, 8));
    struct pollfd pfd = {fd, POLLIN | POLLOUT, 0};
    T(poll(&pfd, 1, 0));
    say("%x", pfd.revents);
    int sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    T(read(sem, &v, 8));
    say("%llu", (unsigned long long)v);
    T(read(sem, &v, 8));
    T(read(sem, &v, 8));
    T(eventfd(0, 0x1000));
    T(lseek(fd, 0, SEEK_SET));
    T(pread(fd, &v, 8, 0));
}

static void timer_descriptor(void)
{
    uint64_t ticks = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec spec = {.it_value = {0, 30000000}}, old;

    T(read(fd, &ticks, 8));
    T(timerfd_settime(fd, 0, &spec, NULL));
    T(timerfd_gettime(fd, &old));
    say("armed %d interval %d", old.it_value.tv_nsec > 0, old.it_interval.tv_nsec > 0);
    struct pollfd pfd = {fd, POLLIN, 0};
    T(poll(&pfd, 1, 5000));
    T(read(fd, &ticks, 8));
    say("%llu", (unsigned long long)ticks);
    T(read(fd, &ticks, 8));
    spec.it_interval.tv_nsec = 10000000;
    spec.it_value.tv_nsec = 10000000;
    T(timerfd_settime(fd, 0, &spec, NULL));
    usleep(55000);
    T(read(fd, &ticks, 8));
    say("several: %d", ticks >= 3);
    memset(&spec, 0, sizeof(spec));
    T(timerfd_settime(fd, 0, &spec, &old));
    say("interval %ld", old.it_interval.tv_nsec);
    T(timerfd_gettime(fd, &old));
    say("%ld", old.it_value.tv_nsec);
    T(timerfd_create(99, 0));
    T(timerfd_create(CLOCK_REALTIME, 5));
    spec.it_value.tv_nsec = -1;
    T(timerfd_settime(fd, 0, &spec, NULL));
    T(timerfd_settime(0, 0, &spec, NULL));
    T(timerfd_settime(fd, 0, NULL, NULL));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rt = timerfd_create(CLOCK_REALTIME, 0);
    spec = (struct itimerspec){.it_value = {now.tv_sec - 10, 0}};
    T(timerfd_settime(rt, TFD_TIMER_ABSTIME, &spec, NULL));
    T(read(rt, &ticks, 8));
    say("%llu", (unsigned long long)ticks);
}

static void signal_descriptor(void)
{
    struct signalfd_siginfo info[3];
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &old);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    T(read(fd, info, sizeof(info)));
    raise(SIGUSR1);
    raise(SIGUSR1);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGRTMIN, value);
    value.sival_int = 43;
    sigqueue(getpid(), SIGRTMIN, value);
    struct pollfd pfd = {fd, POLLIN, 0};
    T(poll(&pfd, 1, 0));
    ssize_t n = read(fd, info, sizeof(info));
    say("%zd", n / (ssize_t)sizeof(info[0]));
    for (int i = 0; i < n / (ssize_t)sizeof(info[0]); i++)
        say("signo %d code %d int %d me %d", (int)info[i].ssi_signo - (i ? SIGRTMIN : 0), info[i].ssi_code, info[i].ssi_int,
            info[i].ssi_pid == (uint32_t)getpid());
    T(read(fd, info, sizeof(info)));
    T(read(fd, info, 10));
    sigset_t other;
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    T(signalfd(fd, &other, 0) == fd);
    T(signalfd(0, &other, 0));
    T(signalfd(-1, &other, 1));
    sigprocmask(SIG_SETMASK, &old, NULL);
}

const struct test_case cases[] = {
    CASE(pipe_basics), CASE(pipe_broken), CASE(pipe_nonblocking), CASE(pipe_sizes), CASE(pipe_blocking), CASE(fifo),
    CASE(fifo_rendezvous), CASE(poll_readiness), CASE(poll_timeout), CASE(poll_interrupted), CASE(select_sets),
    CASE(epoll_level), CASE(epoll_edge), CASE(epoll_oneshot), CASE(epoll_errors), CASE(epoll_nested), CASE(epoll_chains),
    CASE(epoll_closed_file), CASE(epoll_blocks), CASE(epoll_many), CASE(event_counter), CASE(timer_descriptor),
    CASE(signal_descriptor), {NULL, NULL},
};
