/* Pseudo terminals. */
#include "case.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static volatile int hits, last;
static void hit(int sig)
{
    hits++;
    last = sig;
}

static void await_signals(int n)
{
    for (int tries = 0; tries < 1000 && hits < n; tries++)
        usleep(1000);
}

/* A master and its slave, unlocked. */
static int master;
static int open_pair(void)
{
    char name[64];

    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || unlockpt(master) || ptsname_r(master, name, sizeof(name))) {
        say("no pty: %s", strerror(errno));
        return -1;
    }
    int slave = open(name, O_RDWR | O_NOCTTY);
    if (slave < 0)
        say("slave: %s", strerror(errno));
    return slave;
}

static void set_local(int fd, tcflag_t on, tcflag_t off)
{
    struct termios t;

    tcgetattr(fd, &t);
    t.c_lflag = (t.c_lflag | on) & ~off;
    tcsetattr(fd, TCSANOW, &t);
}

/* What can be read now, with control characters spelled out. */
static void show_input(const char *what, int fd)
{
    char buf[256], text[1024] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};

    /* Linux passes bytes on in the background. */
    if (poll(&p, 1, 100) == 0) {
        say("%s: nothing", what);
        return;
    }
    ssize_t n = read(fd, buf, sizeof(buf));
    if (n < 0) {
        say("%s: %s", what, strerror(errno));
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        char one[8];
        snprintf(one, sizeof(one), buf[i] < ' ' || buf[i] == 127 ? "\\x%02x" : "%c", buf[i]);
        strcat(text, one);
    }
    say("%s: %zd \"%s\"", what, n, text);
}

static void events_of(const char *what, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    poll(&p, 1, 100);
    p.events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
    poll(&p, 1, 0);
    say("%s poll %x", what, p.revents);
}

static void making(void)
{
    char name[64];
    int n = -1, locked = -1;
    struct stat st;

    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    T(ioctl(m, TIOCGPTN, &n));
    say("number %d", n);
    T(ioctl(m, TIOCGPTLCK, &locked));
    say("locked %d", locked);
    T(ptsname_r(m, name, sizeof(name)));
    say("%s", name);
    T(open(name, O_RDWR | O_NOCTTY));
    T(unlockpt(m));
    int s = open(name, O_RDWR | O_NOCTTY);
    T(s);
    T(isatty(m));
    T(isatty(s));
    fstat(s, &st);
    say("mode %o major %u minor %u gid %u links %u", st.st_mode, major(st.st_rdev), minor(st.st_rdev), st.st_gid, (unsigned)st.st_nlink);
    stat("/dev/pts/ptmx", &st);
    say("mode %o major %u minor %u", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
    char link[64], to[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", s);
    ssize_t len = readlink(link, to, sizeof(to));
    say("%.*s", (int)len, to);
    T(ioctl(s, TIOCGPTN, &n));
    T(ioctl(m, 0x5499, &n));
    T(lseek(s, 0, SEEK_CUR));
    T(pread(s, name, 1, 0));
    T(fchmod(s, 0600));
    fstat(s, &st);
    say("mode %o", st.st_mode);
    T(unlink(name));
    T(mkdir("/dev/pts/dir", 0755));
    T(open("/dev/pts/file", O_CREAT | O_RDWR, 0644));
    close(m);
    T(stat(name, &st));
    T(open("/dev/pts/99", O_RDWR));
}

static void several(void)
{
    int m[3], n;

    for (int i = 0; i < 3; i++) {
        m[i] = posix_openpt(O_RDWR | O_NOCTTY);
        ioctl(m[i], TIOCGPTN, &n);
        say("%d", n);
    }
    close(m[1]);
    m[1] = posix_openpt(O_RDWR | O_NOCTTY);
    ioctl(m[1], TIOCGPTN, &n);
    say("again %d", n);
    DIR *dir = opendir("/dev/pts");
    struct dirent *e;
    int seen = 0;
    while ((e = readdir(dir)))
        seen += e->d_type == DT_CHR;
    say("%d devices", seen);
    closedir(dir);
    T(access("/dev/pts/2", F_OK));
    close(m[2]);
    T(access("/dev/pts/2", F_OK));
}

static void peer_by_ioctl(void)
{
    int m = posix_openpt(O_RDWR | O_NOCTTY);

    T(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
    unlockpt(m);
    int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    T(s);
    T(fcntl(s, F_GETFD));
    T(write(s, "hi", 2));
    show_input("master", m);
}

static void lines(void)
{
    int s = open_pair();

    T(write(master, "hello\r", 6));
    show_input("echo", master);
    show_input("slave", s);
    T(write(s, "out\n", 4));
    show_input("master", master);
    T(write(master, "ab\x7f" "c\x15" "word two\x17x\n", 17));
    show_input("slave", s);
    show_input("echo", master);
    T(write(master, "no end", 6));
    events_of("slave", s);
    T(write(master, "\x04", 1));
    show_input("slave", s);
    T(write(master, "\x04", 1));
    show_input("slave", s);
    int n = -1;
    T(write(master, "12345\n", 6));
    events_of("slave", s);
    T(ioctl(s, FIONREAD, &n));
    say("%d", n);
    T(ioctl(s, TCFLSH, TCIFLUSH));
    T(ioctl(s, FIONREAD, &n));
    say("%d", n);
    events_of("slave", s);
    T(ioctl(s, TCFLSH, 7));
}

static void raw_bytes(void)
{
    struct termios t;
    int s = open_pair();

    T(tcgetattr(s, &t));
    say("%x %x %x %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    cfmakeraw(&t);
    T(tcsetattr(s, TCSANOW, &t));
    T(write(master, "\x03\r\n\x7f", 4));
    show_input("slave", s);
    show_input("echo", master);
    T(write(s, "a\nb\r", 4));
    show_input("master", master);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 0;
    tcsetattr(s, TCSANOW, &t);
    char c;
    T(read(s, &c, 1));
    t.c_cc[VTIME] = 1;
    tcsetattr(s, TCSANOW, &t);
    T(read(s, &c, 1));
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    tcsetattr(s, TCSANOW, &t);
    fcntl(s, F_SETFL, O_NONBLOCK);
    T(write(master, "ab", 2));
    char buf[8];
    int passed_on = 0; /* by Linux some time after the write; VMIN is 3, so that poll does not tell */
    while (!ioctl(s, FIONREAD, &passed_on) && passed_on < 2)
        usleep(1000);
    T(read(s, buf, 8));
    T(read(s, buf, 8));
    T(tcgetattr(master, &t));
    say("%x %d", t.c_lflag, t.c_cc[VMIN]);
}

static void window(void)
{
    struct winsize w = {1, 2, 3, 4};
    int s = open_pair();

    T(ioctl(s, TIOCGWINSZ, &w));
    say("%u %u %u %u", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
    w = (struct winsize){40, 100, 5, 6};
    T(ioctl(master, TIOCSWINSZ, &w));
    w = (struct winsize){0};
    T(ioctl(s, TIOCGWINSZ, &w));
    say("%u %u %u %u", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
    T(ioctl(s, TIOCSWINSZ, (void *)8));
    T(ioctl(s, TIOCGWINSZ, (void *)8));
}

static void hanging_up(void)
{
    char c;
    int s = open_pair();

    events_of("master", master);
    events_of("slave", s);
    T(write(s, "last words", 10));
    close(s);
    events_of("master", master);
    show_input("master", master);
    show_input("master", master);
    T(write(master, "x", 1));
    char name[64];
    ptsname_r(master, name, sizeof(name));
    s = open(name, O_RDWR | O_NOCTTY);
    events_of("master", master);
    show_input("slave", s);
    T(ioctl(s, TCFLSH, TCIOFLUSH));
    close(master);
    events_of("slave", s);
    T(read(s, &c, 1));
    T(write(s, "x", 1));
    struct winsize w;
    T(ioctl(s, TIOCGWINSZ, &w));
    T(tcsetpgrp(s, getpid()));
    T(open(name, O_RDWR));
}

static void fresh_master(void)
{
    int m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    char c;

    events_of("master", m);
    T(read(m, &c, 1));
    T(write(m, "early\n", 6));
    unlockpt(m);
    char name[64];
    ptsname_r(m, name, sizeof(name));
    int s = open(name, O_RDWR | O_NOCTTY);
    show_input("slave", s);
    show_input("echo", m);
}

static void packets(void)
{
    int s = open_pair(), on = 1;
    struct termios t;

    T(ioctl(master, TIOCPKT, &on));
    T(ioctl(master, TIOCGPKT, &on));
    say("%d", on);
    T(write(s, "data", 4));
    events_of("master", master);
    show_input("master", master);
    T(ioctl(s, TCFLSH, TCIFLUSH));
    events_of("master", master);
    show_input("master", master);
    tcgetattr(s, &t);
    t.c_iflag &= ~IXON;
    tcsetattr(s, TCSANOW, &t);
    show_input("master", master);
    t.c_iflag |= IXON;
    tcsetattr(s, TCSANOW, &t);
    show_input("master", master);
    T(tcflow(s, TCOOFF));
    show_input("master", master);
    T(tcflow(s, TCOON));
    show_input("master", master);
    T(ioctl(s, TIOCPKT, &on));
}

static void flow_control(void)
{
    int s = open_pair();
    char c = 19;

    set_local(s, 0, ECHO);
    fcntl(s, F_SETFL, O_NONBLOCK);
    T(write(master, &c, 1));
    events_of("slave", s);
    T(write(s, "held", 4));
    show_input("master", master);
    c = 17;
    T(write(master, &c, 1));
    events_of("slave", s);
    T(write(s, "goes", 4));
    show_input("master", master);
}

static void *write_much(void *fd)
{
    char buf[1000];

    memset(buf, 'm', sizeof(buf));
    for (int i = 0; i < 100; i++) {
        buf[999] = '\n';
        if (write(*(int *)fd, buf, sizeof(buf)) != sizeof(buf))
            break;
    }
    return NULL;
}

static void much_output(void)
{
    int s = open_pair();
    pthread_t thread;
    char buf[3000];
    size_t total = 0;

    pthread_create(&thread, NULL, write_much, &s);
    while (total < 100100) {
        ssize_t n = read(master, buf, sizeof(buf));
        if (n <= 0)
            break;
        total += (size_t)n;
    }
    pthread_join(thread, NULL);
    say("%zu", total);
    events_of("master", master);
}

static void much_input(void)
{
    int s = open_pair();
    pthread_t thread;
    char buf[3000];
    size_t total = 0;
    struct termios t;

    tcgetattr(s, &t);
    cfmakeraw(&t);
    tcsetattr(s, TCSANOW, &t);
    pthread_create(&thread, NULL, write_much, &master);
    while (total < 100000) {
        ssize_t n = read(s, buf, sizeof(buf));
        if (n <= 0)
            break;
        total += (size_t)n;
    }
    pthread_join(thread, NULL);
    say("%zu", total);
}

static void controlling(void)
{
    int s = open_pair(), group = -1;

    signal(SIGHUP, hit);
    signal(SIGCONT, hit);
    signal(SIGINT, hit);
    signal(SIGWINCH, hit);
    signal(SIGQUIT, hit);
    setsid(); /* pid 1 of a container leads its session already */
    T(open("/dev/tty", O_RDWR));
    T(tcgetpgrp(s));
    T(ioctl(s, TIOCGSID, &group));
    T(ioctl(s, TIOCNOTTY));
    T(ioctl(s, TIOCSCTTY, 0));
    T(ioctl(s, TIOCSCTTY, 0));
    T(tcgetpgrp(s) == getpgrp());
    T(tcgetpgrp(master) == getpgrp());
    T(ioctl(s, TIOCGSID, &group));
    say("mine %d", group == getsid(0));
    int tty = open("/dev/tty", O_RDWR);
    T(tty);
    T(write(tty, "by tty", 6));
    show_input("master", master);
    hits = 0;
    T(write(master, "lost\x03", 5));
    await_signals(1);
    say("signals %d last %d", hits, last);
    show_input("slave", s);
    struct winsize w = {20, 30, 0, 0};
    T(ioctl(master, TIOCSWINSZ, &w));
    say("signals %d last %d", hits, last);
    T(ioctl(master, TIOCSWINSZ, &w));
    say("signals %d", hits);
    T(ioctl(master, TIOCSIG, SIGQUIT));
    say("signals %d last %d", hits, last);
    T(ioctl(master, TIOCSIG, SIGUSR1));
    T(tcsetpgrp(s, -5));
    T(tcsetpgrp(s, 99999));
    T(tcsetpgrp(s, getpgrp()));
    int m2 = posix_openpt(O_RDWR | O_NOCTTY);
    unlockpt(m2);
    char name[64];
    ptsname_r(m2, name, sizeof(name));
    int s2 = open(name, O_RDWR);
    T(ioctl(s2, TIOCSCTTY, 0));
    T(tcsetpgrp(s2, getpgrp()));
    hits = 0;
    close(master);
    await_signals(1);
    say("hung up: signals %d", hits > 0);
    T(open("/dev/tty", O_RDWR));
    T(write(tty, "x", 1));
    T(ioctl(s2, TIOCSCTTY, 0));
    hits = 0;
    T(ioctl(s2, TIOCNOTTY));
    await_signals(1);
    say("given up: signals %d", hits > 0);
    T(tcgetpgrp(s2));
}

const struct test_case cases[] = {
    CASE(making), CASE(several), CASE(peer_by_ioctl), CASE(lines), CASE(raw_bytes), CASE(window), CASE(hanging_up),
    CASE(fresh_master), CASE(packets), CASE(flow_control), CASE(much_output), CASE(much_input), CASE(controlling),
    {NULL, NULL},
};
