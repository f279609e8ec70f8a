/* POSIX message queues. */
#include "case.h"

#include <mqueue.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

static void on_signal(int sig)
{
    (void)sig;
}

static mqd_t make(const char *name, int flags, long messages, long size)
{
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};

    return mq_open(name, O_CREAT | flags, 0600, &attr);
}

static void receives(mqd_t q, size_t room)
{
    char text[9000];
    unsigned priority = 99;
    ssize_t n = mq_receive(q, text, room, &priority);

    if (n < 0)
        say("receive: %s", strerror(errno));
    else
        say("receive: %zd bytes of %u: %.*s", n, priority, (int)n, text);
}

static void shows(mqd_t q)
{
    struct mq_attr attr;

    if (mq_getattr(q, &attr))
        say("attributes: %s", strerror(errno));
    else
        say("attributes: flags %lo, %ld of %ld messages of %ld bytes", attr.mq_flags, attr.mq_curmsgs, attr.mq_maxmsg, attr.mq_msgsize);
}

static void names(void)
{
    OK(mq_open("/a", O_RDWR));
    mqd_t q = mq_open("/a", O_RDWR | O_CREAT, 0640, NULL);
    say("made: %d", q >= 0);
    shows(q);
    OK(mq_open("/a", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
    OK(mq_open("/a", O_RDONLY));
    OK(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
    OK(mq_open("/", O_RDWR | O_CREAT, 0600, NULL));
    OK(mq_open("/..", O_RDWR | O_CREAT, 0600, NULL));
    OK(make("/b", O_RDWR, 0, 10));
    OK(make("/b", O_RDWR, 10, -1));
    OK(make("/b", O_RDWR, 65537, 10));
    T(mq_unlink("/a"));
    T(mq_unlink("/a"));
    T(mq_send(q, "still there", 11, 0));
    receives(q, 8192);
    OK(mq_open("/a", O_RDWR));
    T(mq_close(q));
    T(mq_send(q, "", 0, 0));
    T(syscall(SYS_mq_open, "/slash", O_RDWR, 0600, NULL));
}

static void in_order(void)
{
    mqd_t q = make("/order", O_RDWR, 5, 16);

    T(mq_send(q, "low", 3, 1));
    T(mq_send(q, "high", 4, 9));
    T(mq_send(q, "low too", 7, 1));
    T(mq_send(q, "", 0, 32767));
    T(mq_send(q, "lowest", 6, 0));
    shows(q);
    T(mq_send(q, "x", 1, 32768));
    T(mq_send(q, "longer than sixteen", 19, 0));
    receives(q, 15);
    for (int i = 0; i < 5; i++)
        receives(q, 16);
    shows(q);
    mqd_t reader = mq_open("/order", O_RDONLY), writer = mq_open("/order", O_WRONLY);
    T(mq_send(reader, "x", 1, 0));
    receives(writer, 16);
    T(mq_send(writer, "x", 1, 0));
    receives(reader, 16);
    T(mq_send(0, "x", 1, 0));
    T(mq_send(writer, (void *)8, 1, 0));
    shows(q);
    mq_unlink("/order");
}

static void waiting(void)
{
    mqd_t q = make("/wait", O_RDWR | O_NONBLOCK, 1, 8);
    struct timespec soon, bad = {0, 1000000000}, past = {1, 0};
    struct mq_attr attr = {0}, old;

    receives(q, 8);
    T(mq_send(q, "1", 1, 0));
    T(mq_send(q, "2", 1, 0));
    T(mq_setattr(q, &attr, &old));
    say("was %lo", old.mq_flags);
    shows(q);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_sec++;
        soon.tv_nsec -= 1000000000;
    }
    T(mq_timedsend(q, "2", 1, 0, &soon));
    T(mq_timedsend(q, "2", 1, 0, &past));
    T(mq_timedsend(q, "2", 1, 0, &bad));
    receives(q, 8);
    T(mq_timedreceive(q, (char[8]){0}, 8, NULL, &past));
    attr.mq_flags = O_APPEND;
    T(mq_setattr(q, &attr, NULL));
    mq_unlink("/wait");
}

static void between_processes(void)
{
    mqd_t to = make("/to", O_RDWR, 2, 8), from = make("/from", O_RDWR, 2, 8);
    pid_t pid = fork();
    int status, right = 0;

    if (pid == 0) {
        char text[8];
        unsigned priority;
        for (int i = 0; i < 300; i++) {
            ssize_t n = mq_receive(to, text, 8, &priority);
            if (n < 0 || mq_send(from, text, (size_t)n, priority))
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 300; i++) {
        char text[8], back[8];
        int n = snprintf(text, sizeof(text), "%d", i);
        unsigned priority;
        mq_send(to, text, (size_t)n, (unsigned)i);
        right += mq_receive(from, back, 8, &priority) == n && !memcmp(text, back, (size_t)n) && priority == (unsigned)i;
    }
    waitpid(pid, &status, 0);
    say("%d right, %d", right, WEXITSTATUS(status));
    mq_unlink("/to");
    mq_unlink("/from");
}

static void told(void)
{
    mqd_t q = make("/told", O_RDWR, 4, 8);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 7};
    sigset_t set;
    siginfo_t info;
    struct timespec none = {0, 0};
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    T(mq_notify(q, &event));
    T(mq_notify(q, &event));
    pid_t pid = fork();
    if (pid == 0)
        _exit(mq_notify(q, &event) == -1 && errno == EBUSY && mq_notify(q, NULL) == 0 && mq_send(q, "x", 1, 0) == 0 ? 0 : 1);
    waitpid(pid, &status, 0);
    say("child: %d", WEXITSTATUS(status));
    T(sigtimedwait(&set, &info, &none));
    say("code %d value %d from the child %d", info.si_code, info.si_value.sival_int, info.si_pid == pid);
    T(mq_send(q, "y", 1, 0));
    T(sigtimedwait(&set, &info, &none));
    T(mq_notify(q, &event));
    T(mq_send(q, "z", 1, 0));
    T(sigtimedwait(&set, &info, &none)); /* it was not empty */
    T(mq_notify(q, NULL));
    for (int i = 0; i < 3; i++)
        receives(q, 8);
    T(mq_send(q, "w", 1, 0));
    T(sigtimedwait(&set, &info, &none));
    event.sigev_signo = 77;
    T(mq_notify(q, &event));
    event.sigev_notify = SIGEV_NONE;
    T(mq_notify(q, &event));
    T(mq_notify(0, &event));
    mq_unlink("/told");
}

static void polled(void)
{
    mqd_t q = make("/poll", O_RDWR, 1, 8);
    struct pollfd p = {(int)q, POLLIN | POLLOUT, 0};

    T(poll(&p, 1, 0));
    say("%x", p.revents);
    T(mq_send(q, "x", 1, 0));
    T(poll(&p, 1, 0));
    say("%x", p.revents);
    pid_t pid = fork();
    if (pid == 0) {
        char text[8];
        _exit(mq_receive(q, text, 8, NULL) == 1 ? 0 : 1);
    }
    p.events = POLLOUT;
    T(poll(&p, 1, 5000));
    waitpid(pid, NULL, 0);
    mq_unlink("/poll");
}

static void interrupted(void)
{
    mqd_t q = make("/int", O_RDWR, 1, 8);
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval timer = {{0, 0}, {0, 20000}};

    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    receives(q, 8);
    mq_unlink("/int");
}

static void limits(void)
{
    struct rlimit little = {20000, 20000};
    pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_MSGQUEUE, &little);
        OK(make("/small", O_RDWR, 10, 100));
        OK(make("/large", O_RDWR, 10, 8192));
        mq_unlink("/small");
        if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
            _exit(1);
        little.rlim_cur = 20000;
        OK(make("/many", O_RDWR, 11, 10));
        OK(make("/long", O_RDWR, 1, 8193));
        OK(make("/mine", O_RDWR, 10, 10));
        mq_unlink("/mine");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    show_file("/proc/sys/fs/mqueue/msg_max");
    show_file("/proc/sys/fs/mqueue/queues_max");
}

static void rights(void)
{
    mqd_t q = mq_open("/rights", O_RDWR | O_CREAT, 0604, NULL);
    pid_t pid = fork();

    if (pid == 0) {
        if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
            _exit(1);
        OK(mq_open("/rights", O_RDONLY));
        OK(mq_open("/rights", O_RDWR));
        T(mq_unlink("/rights"));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    struct stat st;
    fstat((int)q, &st);
    say("mode %o size %lld", st.st_mode, (long long)st.st_size);
    char text[128] = "";
    mq_send(q, "four", 4, 0);
    ssize_t n = pread((int)q, text, sizeof(text) - 1, 0);
    say("%zd: %.*s", n, 48, text);
    mq_unlink("/rights");
}

const struct test_case cases[] = {
    CASE(names), CASE(in_order), CASE(waiting), CASE(between_processes), CASE(told), CASE(polled), CASE(interrupted),
    CASE(limits), CASE(rights), {NULL, NULL},
};
