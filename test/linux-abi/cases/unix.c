/* AF_UNIX sockets. */
#include "case.h"

#include <poll.h>
#include <stddef.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef SIOCOUTQ
#define SIOCOUTQ TIOCOUTQ
#endif

static volatile int hits;
static void hit(int sig) { hits += sig; }

/* The address of a path, or of an abstract name if it begins with '@'; its length. */
static socklen_t address(struct sockaddr_un *un, const char *path)
{
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, path);
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    if (path[0] == '@') {
        un->sun_path[0] = '\0';
        return len;
    }
    return len + 1;
}

static int bind_to(int fd, const char *path)
{
    struct sockaddr_un un;
    socklen_t len = address(&un, path);

    return bind(fd, (struct sockaddr *)&un, len);
}

static int connect_to(int fd, const char *path)
{
    struct sockaddr_un un;
    socklen_t len = address(&un, path);

    return connect(fd, (struct sockaddr *)&un, len);
}

static int send_to(int fd, const char *text, const char *path)
{
    struct sockaddr_un un;
    socklen_t len = address(&un, path);

    return (int)sendto(fd, text, strlen(text), 0, (struct sockaddr *)&un, len);
}

static int listener(int type, const char *path, int backlog)
{
    int fd = socket(AF_UNIX, type, 0);

    if (fd < 0 || bind_to(fd, path) || listen(fd, backlog))
        say("listener %s: %s", path, strerror(errno));
    return fd;
}

static int client(int type, const char *path)
{
    int fd = socket(AF_UNIX, type, 0);

    if (fd < 0 || connect_to(fd, path))
        say("client %s: %s", path, strerror(errno));
    return fd;
}

static void show_name(const char *what, const struct sockaddr_un *un, socklen_t len)
{
    char text[128] = "";

    for (socklen_t i = 2; i < len && i < sizeof(*un); i++) {
        char c = ((const char *)un)[i];
        text[i - 2] = c ? c : '@';
    }
    say("%s: family %d length %u \"%s\"", what, len >= 2 ? un->sun_family : -1, len, text);
}

static void show_names(int fd)
{
    struct sockaddr_un un;
    socklen_t len = sizeof(un);

    memset(&un, 0, sizeof(un));
    if (getsockname(fd, (struct sockaddr *)&un, &len))
        say("own: %s", strerror(errno));
    else
        show_name("own", &un, len);
    len = sizeof(un);
    memset(&un, 0, sizeof(un));
    if (getpeername(fd, (struct sockaddr *)&un, &len))
        say("peer: %s", strerror(errno));
    else
        show_name("peer", &un, len);
}

static void receive_text(int fd, int flags)
{
    char buf[64] = {0};
    ssize_t n = recv(fd, buf, sizeof(buf) - 1, flags);

    if (n < 0)
        say("recv: %s", strerror(errno));
    else
        say("recv %zd \"%s\"", n, buf);
}

static void events_of(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

    poll(&p, 1, 0);
    say("poll %x", p.revents);
}

/* ---- making ---- */

static void making(void)
{
    T(socket(AF_UNIX, SOCK_STREAM, 0));
    T(socket(AF_UNIX, SOCK_DGRAM, AF_UNIX));
    T(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    T(socket(AF_UNIX, SOCK_RAW, 0));
    T(socket(AF_UNIX, SOCK_STREAM, 6));
    T(socket(AF_UNIX, SOCK_RDM, 0));
    T(socket(AF_UNIX, 77, 0));
    T(socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
    T(socket(-1, SOCK_STREAM, 0));
    T(socket(4000, SOCK_STREAM, 0));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    T(fcntl(fd, F_GETFL) & O_NONBLOCK);
    T(fcntl(fd, F_GETFD));
    struct stat st;
    fstat(fd, &st);
    say("mode %o size %lld", st.st_mode, (long long)st.st_size);
    T(lseek(fd, 0, SEEK_SET));
    T(ftruncate(fd, 0));
    T(fsync(fd));
    char text[64], link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, text, 8);
    say("%.*s", (int)n, text);
    T(open(link, O_RDWR));
}

static void making_pairs(void)
{
    int p[2];

    T(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    show_names(p[0]);
    T(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
    T(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p));
    T(fcntl(p[1], F_GETFD));
    T(socketpair(AF_UNIX, SOCK_STREAM, 9, p));
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8));
    T(socketpair(AF_UNIX, SOCK_RDM, 0, p));
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(bind_to(p[0], "late"));
    show_names(p[0]);
    show_names(p[1]);
    T(connect_to(p[0], "late"));
    T(listen(p[0], 1));
}

static void not_sockets(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    char b[4];
    struct sockaddr_un un;
    socklen_t len = sizeof(un);

    T(bind_to(fd, "x"));
    T(listen(fd, 1));
    T(accept(fd, NULL, NULL));
    T(connect_to(fd, "x"));
    T(send(fd, "x", 1, 0));
    T(recv(fd, b, 1, 0));
    T(shutdown(fd, SHUT_RD));
    T(getsockname(fd, (struct sockaddr *)&un, &len));
    T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, b, 4));
    T(getsockopt(fd, SOL_SOCKET, SO_TYPE, b, &len));
    T(listen(999, 1));
    T(send(999, "x", 1, 0));
    T(accept4(fd, NULL, NULL, 1));
    T(open("nosuch.sock", O_RDWR));
}

/* ---- names ---- */

static void binding(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    show_names(fd);
    T(bind_to(fd, "sock"));
    show_stat("sock");
    show_names(fd);
    T(bind_to(fd, "other"));
    int again = socket(AF_UNIX, SOCK_STREAM, 0);
    T(bind_to(again, "sock"));
    T(bind_to(again, "no/such"));
    T(bind_to(again, ""));
    T(open("sock", O_RDONLY));
    T(open("sock", O_PATH));
    T(unlink("sock"));
    T(bind_to(again, "sock"));
    umask(077);
    int third = socket(AF_UNIX, SOCK_DGRAM, 0);
    T(fchmod(third, 0700));
    T(bind_to(third, "third"));
    show_stat("third");
}

static void binding_wrongly(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "x"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    T(bind(fd, (struct sockaddr *)&un, 1));
    T(bind(fd, (struct sockaddr *)&un, 0));
    T(bind(fd, (struct sockaddr *)&un, 200));
    T(bind(fd, (struct sockaddr *)&un, -1));
    T(bind(fd, (struct sockaddr *)8, sizeof(un)));
    un.sun_family = AF_INET;
    T(bind(fd, (struct sockaddr *)&un, sizeof(un)));
    T(connect(fd, (struct sockaddr *)&un, sizeof(un)));
    un.sun_family = AF_UNIX;
    T(connect(fd, (struct sockaddr *)&un, 2));
    T(connect(fd, (struct sockaddr *)&un, 1));
    memset(un.sun_path, 'p', sizeof(un.sun_path));
    T(bind(fd, (struct sockaddr *)&un, sizeof(un)));
    show_names(fd);
}

static void abstract_names(void)
{
    int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un;

    T(bind_to(a, "@runnc-abstract"));
    show_names(a);
    T(bind_to(b, "@runnc-abstract"));
    T(connect_to(b, "@runnc-abstract"));
    T(connect_to(b, "@runnc-abstrac"));
    T(listen(a, 5));
    T(connect_to(b, "@runnc-abstract"));
    show_names(b);
    int other = socket(AF_UNIX, SOCK_DGRAM, 0);
    T(bind_to(other, "@runnc-abstract"));
    close(a);
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    T(bind_to(c, "@runnc-abstract"));
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t len = sizeof(un);
    T(bind(d, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX}, 2));
    getsockname(d, (struct sockaddr *)&un, &len);
    say("length %u first %d", len, un.sun_path[0]);
    T(bind(d, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX}, 2));
}

static void short_name_buffers(void)
{
    struct sockaddr_un un;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = 5;

    bind_to(fd, "a-longer-name");
    memset(&un, 'z', sizeof(un));
    T(getsockname(fd, (struct sockaddr *)&un, &len));
    say("length %u \"%.6s\"", len, un.sun_path);
    len = (socklen_t)-1;
    T(getsockname(fd, (struct sockaddr *)&un, &len));
    len = 0;
    T(getsockname(fd, NULL, &len));
    say("length %u", len);
    T(getsockname(fd, (struct sockaddr *)&un, NULL));
    T(getpeername(fd, (struct sockaddr *)&un, &len));
}

/* ---- connections ---- */

static void connecting(void)
{
    int l = listener(SOCK_STREAM, "sock", 3);
    int c = client(SOCK_STREAM, "sock");

    show_names(c);
    T(connect_to(c, "sock"));
    events_of(l);
    struct sockaddr_un un;
    socklen_t len = sizeof(un);
    int s = accept4(l, (struct sockaddr *)&un, &len, SOCK_CLOEXEC);
    T(s);
    show_name("from", &un, len);
    T(fcntl(s, F_GETFD));
    show_names(s);
    T(send(c, "hello", 5, 0));
    receive_text(s, 0);
    T(send(s, "answer", 6, 0));
    receive_text(c, 0);
    close(s);
    receive_text(c, 0);
    T(connect_to(l, "sock"));
    T(send(l, "x", 1, 0));
    T(recv(l, &un, 1, 0));
    T(accept(c, NULL, NULL));
    int plain = socket(AF_UNIX, SOCK_STREAM, 0);
    T(listen(plain, 1));
    T(accept(plain, NULL, NULL));
    events_of(plain);
    T(send(plain, "x", 1, MSG_NOSIGNAL));
    T(recv(plain, &un, 1, 0));
}

static void refused(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), bound = socket(AF_UNIX, SOCK_STREAM, 0);

    T(connect_to(fd, "nothing"));
    put_file("file", "x");
    T(connect_to(fd, "file"));
    T(bind_to(bound, "bound"));
    T(connect_to(fd, "bound"));
    close(bound);
    T(connect_to(fd, "bound"));
    int l = listener(SOCK_SEQPACKET, "seq", 1);
    T(connect_to(fd, "seq"));
    int l2 = listener(SOCK_STREAM, "stream", 1);
    symlink("stream", "link");
    T(connect_to(fd, "link"));
    show_names(fd);
    int fd2 = socket(AF_UNIX, SOCK_STREAM, 0);
    chmod("stream", 0);
    T(syscall(SYS_setfsuid, 77));
    T(connect_to(fd2, "stream"));
    T(syscall(SYS_setfsuid, 0));
    T(connect_to(fd2, "stream"));
    (void)l;
    (void)l2;
}

static void backlog(void)
{
    int l = listener(SOCK_STREAM, "sock", 1), c[4];

    for (int i = 0; i < 4; i++) {
        c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        T(connect_to(c[i], "sock"));
    }
    T(close(accept(l, NULL, NULL)));
    T(connect_to(c[2], "sock"));
    T(listen(l, 5));
    T(connect_to(c[3], "sock"));
    fcntl(l, F_SETFL, O_NONBLOCK);
    int n = 0;
    while (accept(l, NULL, NULL) >= 0)
        n++;
    say("%d left: %s", n, strerror(errno));
}

static void listener_closed(void)
{
    int l = listener(SOCK_STREAM, "sock", 5), c = client(SOCK_STREAM, "sock");

    T(send(c, "early", 5, 0));
    close(l);
    events_of(c);
    T(send(c, "x", 1, MSG_NOSIGNAL));
    T(send(c, "x", 1, MSG_NOSIGNAL));
    receive_text(c, 0);
}

static void client_gone_before_accept(void)
{
    int l = listener(SOCK_STREAM, "sock", 5), c = client(SOCK_STREAM, "sock");

    T(send(c, "left behind", 11, 0));
    close(c);
    int s = accept(l, NULL, NULL);
    receive_text(s, 0);
    receive_text(s, 0);
    T(send(s, "x", 1, MSG_NOSIGNAL));
}

static void shut_listener(void)
{
    int l = listener(SOCK_STREAM, "sock", 5), c = socket(AF_UNIX, SOCK_STREAM, 0);

    T(shutdown(l, SHUT_RD));
    T(connect_to(c, "sock"));
    T(accept(l, NULL, NULL));
    events_of(l);
}

static void *accept_late(void *l)
{
    usleep(20000);
    return (void *)(long)(accept(*(int *)l, NULL, NULL) >= 0);
}

static void connect_waits_for_room(void)
{
    int l = listener(SOCK_STREAM, "sock", 0), c = client(SOCK_STREAM, "sock");
    pthread_t thread;
    void *accepted;

    pthread_create(&thread, NULL, accept_late, &l);
    int d = client(SOCK_STREAM, "sock");
    pthread_join(thread, &accepted);
    say("accepted %ld", (long)accepted);
    T(close(accept(l, NULL, NULL)));
    (void)c;
    (void)d;
}

/* ---- streams ---- */

static void stream_bytes(void)
{
    int p[2];

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(send(p[0], "abc", 3, 0));
    T(send(p[0], "def", 3, 0));
    receive_text(p[1], MSG_PEEK);
    char b[4] = {0};
    T(recv(p[1], b, 2, 0));
    say("%s", b);
    int n;
    T(ioctl(p[1], FIONREAD, &n));
    say("waiting %d", n);
    receive_text(p[1], 0);
    receive_text(p[1], MSG_DONTWAIT);
    T(write(p[1], "back", 4));
    T(read(p[0], b, 4));
    T(send(p[0], NULL, 0, 0));
    T(recv(p[1], b, 1, MSG_DONTWAIT));
    T(send(p[0], (void *)8, 3, 0));
    T(send(p[0], "ok", 2, 0));
    T(recv(p[1], (void *)8, 3, 0));
    receive_text(p[1], MSG_DONTWAIT);
    T(send(p[0], "x", 1, MSG_DONTROUTE | MSG_MORE));
}

static void stream_halves(void)
{
    int p[2];

    signal(SIGPIPE, hit);
    hits = 0;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    events_of(p[0]);
    T(send(p[0], "last", 4, 0));
    T(shutdown(p[0], SHUT_WR));
    T(send(p[0], "x", 1, 0));
    say("signals %d", hits);
    T(send(p[0], "x", 1, MSG_NOSIGNAL));
    say("signals %d", hits);
    events_of(p[0]);
    events_of(p[1]);
    receive_text(p[1], 0);
    receive_text(p[1], 0);
    T(send(p[1], "other way", 9, 0));
    receive_text(p[0], 0);
    T(shutdown(p[1], SHUT_RDWR));
    events_of(p[0]);
    receive_text(p[0], 0);
    T(shutdown(p[0], 3));
    T(shutdown(p[0], -1));
    signal(SIGPIPE, SIG_DFL);
    int u = socket(AF_UNIX, SOCK_STREAM, 0);
    T(shutdown(u, SHUT_RDWR));
    events_of(u);
}

static void shut_for_reading(void)
{
    int p[2];

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(send(p[1], "there", 5, 0));
    T(shutdown(p[0], SHUT_RD));
    receive_text(p[0], 0);
    receive_text(p[0], 0);
    T(send(p[1], "x", 1, MSG_NOSIGNAL));
    events_of(p[1]);
    T(send(p[0], "still", 5, 0));
    receive_text(p[1], 0);
}

static void reset_by_peer(void)
{
    int p[2];
    int err;
    socklen_t len = sizeof(err);

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(send(p[0], "never read", 10, 0));
    T(send(p[1], "for you", 7, 0));
    close(p[1]);
    events_of(p[0]);
    receive_text(p[0], 0);
    receive_text(p[0], 0);
    receive_text(p[0], 0);
    T(send(p[0], "x", 1, MSG_NOSIGNAL));
    T(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &len));
    say("error %d", err);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(send(p[0], "never read", 10, 0));
    close(p[1]);
    T(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &len));
    say("error %s", strerror(err));
    T(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &len));
    say("error %d", err);
}

static void *send_in_pieces(void *fd)
{
    for (int i = 0; i < 4; i++) {
        usleep(5000);
        send(*(int *)fd, "piece", 5, 0);
    }
    return NULL;
}

static void waiting_for_all(void)
{
    int p[2];
    char b[64] = {0};
    pthread_t thread;

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    pthread_create(&thread, NULL, send_in_pieces, &p[0]);
    T(recv(p[1], b, 20, MSG_WAITALL));
    say("%s", b);
    pthread_join(thread, NULL);
    send(p[0], "abc", 3, 0);
    T(recv(p[1], b, 20, MSG_WAITALL | MSG_DONTWAIT));
    send(p[0], "end", 3, 0);
    shutdown(p[0], SHUT_WR);
    T(recv(p[1], b, 20, MSG_WAITALL));
}

struct stream_job {
    int fd;
    size_t total;
};

static void *send_much(void *arg)
{
    struct stream_job *job = arg;
    static unsigned char buf[70000];
    size_t sent = 0;

    while (sent < job->total) {
        size_t n = sizeof(buf) < job->total - sent ? sizeof(buf) : job->total - sent;
        for (size_t i = 0; i < n; i++)
            buf[i] = (unsigned char)((sent + i) * 7 + (sent + i) / 256);
        ssize_t done = write(job->fd, buf, n);
        if (done <= 0)
            break;
        sent += (size_t)done;
    }
    close(job->fd);
    return NULL;
}

static void stream_of_megabytes(void)
{
    int p[2];
    static unsigned char buf[50001];
    pthread_t thread;
    size_t got = 0, wrong = 0;

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    struct stream_job job = {p[0], 5000001};
    pthread_create(&thread, NULL, send_much, &job);
    for (;;) {
        ssize_t n = read(p[1], buf, sizeof(buf));
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            wrong += buf[i] != (unsigned char)((got + i) * 7 + (got + i) / 256);
        got += (size_t)n;
    }
    pthread_join(thread, NULL);
    say("got %zu wrong %zu", got, wrong);
}

static void full_stream(void)
{
    int p[2];
    char buf[4096] = {0};

    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    events_of(p[0]);
    size_t total = 0;
    ssize_t n;
    while ((n = send(p[0], buf, sizeof(buf), 0)) > 0)
        total += (size_t)n;
    say("full: %s, at least the buffer's half %d", strerror(errno), total > 100000);
    events_of(p[0]);
    while ((n = recv(p[1], buf, sizeof(buf), 0)) > 0)
        total -= (size_t)n;
    say("left %zu", total);
    events_of(p[0]);
}

static void vectors(void)
{
    int p[2];
    char a[3] = {0}, b[10] = {0};
    struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}}, in[2] = {{a, 2}, {b, 9}};

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(writev(p[0], out, 3));
    T(readv(p[1], in, 2));
    say("%s %s", a, b);
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    T(sendmsg(p[0], &m, 0));
    struct msghdr r = {.msg_iov = in, .msg_iovlen = 2};
    T(recvmsg(p[1], &r, 0));
    say("flags %x control %zu name %u", r.msg_flags, r.msg_controllen, r.msg_namelen);
    m.msg_iovlen = 2000;
    T(sendmsg(p[0], &m, 0));
    m.msg_iovlen = 0;
    T(sendmsg(p[0], &m, 0));
    T(sendmsg(p[0], (void *)8, 0));
    T(recvmsg(p[1], (void *)8, MSG_DONTWAIT));
    r.msg_namelen = -5;
    T(recvmsg(p[1], &r, MSG_DONTWAIT));
    T(pwrite(p[0], "x", 1, 0));
    T(pread(p[0], a, 1, 0));
}

/* ---- datagrams ---- */

static void datagrams(void)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un un;
    socklen_t len = sizeof(un);
    char buf[16] = {0};

    T(bind_to(a, "a"));
    events_of(a);
    T(send_to(b, "first", "a"));
    T(send_to(b, "second message", "a"));
    int n;
    T(ioctl(a, FIONREAD, &n));
    say("waiting %d", n);
    memset(&un, 0, sizeof(un));
    T(recvfrom(a, buf, sizeof(buf), 0, (struct sockaddr *)&un, &len));
    show_name("from", &un, len);
    T(recvfrom(a, buf, 6, MSG_PEEK, NULL, NULL));
    T(recvfrom(a, buf, 6, MSG_TRUNC, NULL, NULL));
    T(recv(a, buf, 6, MSG_DONTWAIT));
    T(bind_to(b, "@runnc-b"));
    T(send_to(b, "named", "a"));
    len = sizeof(un);
    memset(&un, 0, sizeof(un));
    T(recvfrom(a, buf, sizeof(buf), 0, (struct sockaddr *)&un, &len));
    show_name("from", &un, len);
    T(sendto(a, "back", 4, 0, (struct sockaddr *)&un, len));
    receive_text(b, 0);
    T(send(b, "x", 1, 0));
    T(send_to(b, "x", "nowhere"));
    T(send_to(b, "", "a"));
    T(recv(a, buf, 6, 0));
    T(listen(a, 1));
    T(accept(a, NULL, NULL));
    T(send_to(b, "to itself", "@runnc-b"));
    receive_text(b, 0);
    struct iovec io = {buf, 4};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    send_to(b, "longer", "a");
    T(recvmsg(a, &m, 0));
    say("flags %x", m.msg_flags);
}

static void datagram_connections(void)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};

    T(bind_to(a, "a"));
    T(bind_to(b, "b"));
    T(bind_to(c, "c"));
    T(connect_to(b, "a"));
    show_names(b);
    T(send(b, "x", 1, 0));
    receive_text(a, 0);
    T(connect_to(a, "b"));
    T(send_to(c, "not from you", "a"));
    T(connect_to(c, "a"));
    T(send(a, "pending", 7, 0));
    T(connect_to(b, "c"));
    receive_text(b, MSG_DONTWAIT);
    T(connect(b, &unspec, sizeof(unspec)));
    show_names(b);
    T(send(b, "x", 1, 0));
    T(connect_to(b, "c"));
    close(c);
    T(send(b, "x", 1, 0));
    T(send(b, "x", 1, 0));
    T(connect_to(b, "c"));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    T(connect_to(s, "a"));
}

static void datagram_limits(void)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    static char big[500000];

    T(bind_to(a, "a"));
    T(connect_to(b, "a"));
    T(send(b, big, sizeof(big), 0));
    int size = 4000;
    T(setsockopt(b, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    T(send(b, big, 9000, 0));
    T(send(b, big, 7000, 0));
    T(recv(a, big, sizeof(big), 0));
    size = 100000;
    T(setsockopt(b, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
    int n = 0;
    while (send(b, "x", 1, 0) == 1)
        n++;
    say("queue holds at most a few hundred: %d, %s", n > 0 && n < 600, strerror(errno));
    events_of(b);
    while (recv(a, big, 8, MSG_DONTWAIT) == 1)
        n--;
    say("left %d", n);
    events_of(b);
    T(shutdown(a, SHUT_RD));
    T(send(b, "x", 1, 0));
    T(recv(a, big, 8, MSG_DONTWAIT));
    T(recv(a, big, 8, 0));
}

static void *drain_late(void *fd)
{
    char b[8];

    usleep(20000);
    while (recv(*(int *)fd, b, 8, MSG_DONTWAIT) >= 0)
        ;
    return NULL;
}

static void datagram_sender_waits(void)
{
    int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
    pthread_t thread;

    bind_to(a, "a");
    connect_to(b, "a");
    while (send(b, "x", 1, MSG_DONTWAIT) == 1)
        ;
    pthread_create(&thread, NULL, drain_late, &a);
    struct pollfd p = {.fd = b, .events = POLLOUT};
    T(poll(&p, 1, 5000));
    say("%x", p.revents);
    T(send(b, "y", 1, 0));
    pthread_join(thread, NULL);
}

static void sequenced_packets(void)
{
    int p[2];
    char b[16] = {0};

    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
    T(send(p[0], "one", 3, 0));
    T(send(p[0], "two two", 7, MSG_EOR));
    T(send(p[0], "", 0, 0));
    T(recv(p[1], b, 16, 0));
    struct iovec io = {b, 3};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    T(recvmsg(p[1], &m, 0));
    say("flags %x", m.msg_flags);
    T(recv(p[1], b, 16, 0));
    T(recv(p[1], b, 16, MSG_DONTWAIT));
    T(send(p[0], "tail", 4, 0));
    close(p[0]);
    T(recv(p[1], b, 16, 0));
    T(recv(p[1], b, 16, 0));
    T(recv(p[1], b, 16, MSG_DONTWAIT));
    signal(SIGPIPE, hit);
    hits = 0;
    T(send(p[1], "x", 1, 0));
    T(write(p[1], "x", 1));
    say("signals %d", hits);
    signal(SIGPIPE, SIG_DFL);
    events_of(p[1]);
    int l = listener(SOCK_SEQPACKET, "seq", 2), c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    T(send(c, "x", 1, 0));
    T(recv(c, b, 1, 0));
    T(connect_to(c, "seq"));
    T(send(c, "through", 7, 0));
    receive_text(accept(l, NULL, NULL), 0);
}

/* ---- options ---- */

static void show_option(int fd, const char *name, int option)
{
    int value = -77;
    socklen_t len = sizeof(value);

    if (getsockopt(fd, SOL_SOCKET, option, &value, &len))
        say("%s: %s", name, strerror(errno));
    else
        say("%s: %d (%u)", name, value, len);
}
#define OPTION(fd, option) show_option(fd, #option, option)

static void options(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), one = 1, small = 100;
    char c;
    socklen_t len = 1;

    OPTION(fd, SO_TYPE);
    OPTION(fd, SO_DOMAIN);
    OPTION(fd, SO_PROTOCOL);
    OPTION(fd, SO_ACCEPTCONN);
    OPTION(fd, SO_ERROR);
    OPTION(fd, SO_REUSEADDR);
    OPTION(fd, SO_KEEPALIVE);
    OPTION(fd, SO_BROADCAST);
    OPTION(fd, SO_PASSCRED);
    OPTION(fd, SO_RCVLOWAT);
    OPTION(fd, SO_SNDLOWAT);
    OPTION(fd, SO_PRIORITY);
    OPTION(fd, SO_PEEK_OFF);
    OPTION(fd, SO_OOBINLINE);
    OPTION(fd, 9999);
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    OPTION(fd, SO_REUSEADDR);
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 2));
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4));
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, -1));
    T(setsockopt(fd, SOL_SOCKET, SO_TYPE, &one, sizeof(one)));
    T(setsockopt(fd, SOL_SOCKET, SO_ERROR, &one, sizeof(one)));
    T(setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof(one)));
    T(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
    OPTION(fd, SO_SNDBUF);
    T(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
    OPTION(fd, SO_RCVBUF);
    small = 50000;
    T(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
    OPTION(fd, SO_SNDBUF);
    T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &c, &len));
    say("%d (%u)", c, len);
    T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &c, (void *)8));
    T(getsockopt(fd, 6, 1, &c, &len));
    T(setsockopt(fd, 6, 1, &one, sizeof(one)));
    bind_to(fd, "l");
    listen(fd, 1);
    OPTION(fd, SO_ACCEPTCONN);
}

static void timeouts(void)
{
    int p[2];
    char b[8];
    struct timeval tv = {0, 40000}, wrong = {0, 1000000}, got;
    socklen_t len = sizeof(got);

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    T(getsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
    say("%ld %ld (%u)", (long)got.tv_sec, (long)got.tv_usec, len);
    int64_t before = now_ms();
    T(recv(p[0], b, 8, 0));
    say("waited %d", now_ms() - before >= 39);
    T(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
    static char big[100000];
    ssize_t n;
    while ((n = send(p[0], big, sizeof(big), MSG_DONTWAIT)) > 0)
        ;
    T(send(p[0], big, 1, 0));
    T(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)));
    T(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, 4));
    int l = listener(SOCK_STREAM, "sock", 0);
    T(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    T(accept(l, NULL, NULL));
    int c = client(SOCK_STREAM, "sock"), d = socket(AF_UNIX, SOCK_STREAM, 0);
    T(setsockopt(d, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
    T(connect_to(d, "sock"));
    tv = (struct timeval){-1, 0};
    T(setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    tv = (struct timeval){0, 0};
    T(setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    (void)c;
}

static pthread_t main_thread;
static void *interrupt_main(void *arg)
{
    usleep(20000);
    pthread_kill(main_thread, SIGUSR1);
    if (arg) {
        usleep(20000);
        send(*(int *)arg, "after all", 9, 0);
    }
    return NULL;
}

static void interrupted(void)
{
    int p[2];
    pthread_t thread;
    struct sigaction sa = {.sa_handler = hit};
    struct timeval tv = {10, 0};

    main_thread = pthread_self();
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    sigaction(SIGUSR1, &sa, NULL);
    pthread_create(&thread, NULL, interrupt_main, NULL);
    receive_text(p[0], 0);
    pthread_join(thread, NULL);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &sa, NULL);
    pthread_create(&thread, NULL, interrupt_main, &p[1]);
    receive_text(p[0], 0);
    pthread_join(thread, NULL);
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    pthread_create(&thread, NULL, interrupt_main, NULL);
    receive_text(p[0], 0);
    pthread_join(thread, NULL);
}

static void low_water(void)
{
    int p[2], low = 4;
    char b[16];
    pthread_t thread;

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
    OPTION(p[1], SO_RCVLOWAT);
    send(p[0], "ab", 2, 0);
    T(recv(p[1], b, 16, MSG_DONTWAIT));
    send(p[0], "abcdef", 6, 0);
    T(recv(p[1], b, 16, 0));
    low = 0;
    T(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
    OPTION(p[1], SO_RCVLOWAT);
    (void)thread;
}

static void peeking_on(void)
{
    int p[2], off = 0;
    char b[16] = {0};

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(setsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
    send(p[0], "aaabbbccc", 9, 0);
    T(recv(p[1], b, 3, MSG_PEEK));
    say("%s", b);
    T(recv(p[1], b, 3, MSG_PEEK));
    say("%s", b);
    OPTION(p[1], SO_PEEK_OFF);
    T(recv(p[1], b, 3, 0));
    say("%s", b);
    OPTION(p[1], SO_PEEK_OFF);
    T(recv(p[1], b, 9, MSG_PEEK));
    say("%s", b);
}

/* ---- what messages carry ---- */

union control {
    char bytes[CMSG_SPACE(sizeof(int) * 300)];
    struct cmsghdr header;
};

static ssize_t send_fds(int sock, const int *fds, int count, const char *text)
{
    static union control control;
    struct iovec io = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Says what came; the first descriptor, or -1. */
static int receive_fds(int sock, size_t room, size_t size, int flags)
{
    static union control control;
    char text[64] = {0};
    struct iovec io = {text, size};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = room};
    int first = -1;

    ssize_t n = recvmsg(sock, &m, flags);
    if (n < 0) {
        say("recvmsg: %s", strerror(errno));
        return -1;
    }
    say("recvmsg %zd \"%s\" flags %x control %zu", n, text, m.msg_flags, m.msg_controllen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type == SCM_RIGHTS) {
            int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            say("%d descriptors", count);
            for (int i = 0; i < count; i++) {
                int fd = ((int *)CMSG_DATA(c))[i];
                if (first < 0)
                    first = fd;
                else
                    close(fd);
            }
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *cred = (struct ucred *)CMSG_DATA(c);
            say("credentials: pid %s uid %u gid %u", cred->pid == getpid() ? "mine" : cred->pid ? "other" : "0", cred->uid, cred->gid);
        } else {
            say("control %d %d", c->cmsg_level, c->cmsg_type);
        }
    }
    return first;
}

static void passing_descriptors(void)
{
    int p[2], fds[2];
    char b[8] = {0};

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    put_file("f", "content");
    fds[0] = open("f", O_RDONLY);
    fds[1] = open("/", O_PATH);
    T(read(fds[0], b, 3));
    T(send_fds(p[0], fds, 2, "take"));
    close(fds[0]);
    int got = receive_fds(p[1], sizeof(union control), 60, MSG_CMSG_CLOEXEC);
    T(fcntl(got, F_GETFD));
    T(read(got, b, 8));
    say("%s", b);
    fds[0] = 999;
    T(send_fds(p[0], fds, 1, "bad"));
    T(send_fds(p[0], fds + 1, 1, ""));
    receive_text(p[1], MSG_DONTWAIT);
    T(send_fds(p[0], fds + 1, 1, "plain read drops it"));
    receive_text(p[1], 0);
    int many[254];
    for (int i = 0; i < 254; i++)
        many[i] = p[0];
    T(send_fds(p[0], many, 254, "too many"));
    T(send_fds(p[0], many, 253, "many"));
    got = receive_fds(p[1], sizeof(union control), 60, 0);
    T(fcntl(got, F_GETFD));
}

static void descriptors_among_bytes(void)
{
    int p[2], fd = open("/", O_RDONLY);

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    send(p[0], "before ", 7, 0);
    send_fds(p[0], &fd, 1, "with ");
    send(p[0], "after ", 6, 0);
    send_fds(p[0], &fd, 1, "second ");
    send_fds(p[0], &fd, 1, "third");
    close(receive_fds(p[1], 100, 60, MSG_PEEK));
    close(receive_fds(p[1], 100, 60, 0));
    close(receive_fds(p[1], 100, 60, 0));
    close(receive_fds(p[1], 100, 2, 0));
    receive_fds(p[1], 100, 60, 0);
}

static void no_room_for_descriptors(void)
{
    int p[2], fds[3] = {0, 1, 2};

    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    for (int i = 0; i < 6; i++)
        T(send_fds(p[0], fds, 3, "x"));
    close(receive_fds(p[1], 0, 8, 0));
    close(receive_fds(p[1], 8, 8, 0));
    close(receive_fds(p[1], 16, 8, 0));
    close(receive_fds(p[1], CMSG_LEN(sizeof(int)), 8, 0));
    close(receive_fds(p[1], CMSG_LEN(2 * sizeof(int)), 8, 0));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit low = {6, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    close(receive_fds(p[1], 100, 8, 0));
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void wrong_control(void)
{
    int p[2];
    static union control control;
    struct iovec io = {"x", 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control};
    struct cmsghdr *c = &control.header;

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    memset(&control, 0, sizeof(control));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = 5;
    m.msg_controllen = 24;
    T(sendmsg(p[0], &m, 0));
    c->cmsg_len = 1000;
    T(sendmsg(p[0], &m, 0));
    c->cmsg_len = CMSG_LEN(0);
    T(sendmsg(p[0], &m, 0));
    c->cmsg_type = 77;
    T(sendmsg(p[0], &m, 0));
    c->cmsg_level = 41;
    T(sendmsg(p[0], &m, 0));
    m.msg_controllen = 7;
    T(sendmsg(p[0], &m, 0));
    m.msg_controllen = 1 << 30;
    T(sendmsg(p[0], &m, 0));
    m.msg_controllen = 24;
    m.msg_control = (void *)8;
    T(sendmsg(p[0], &m, 0));
}

static void credentials(void)
{
    int p[2], one = 1;

    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    T(send(p[0], "before", 6, 0));
    T(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
    OPTION(p[1], SO_PASSCRED);
    T(send(p[0], "after", 5, 0));
    receive_fds(p[1], 100, 60, 0);
    receive_fds(p[1], 100, 60, 0);
    static union control control;
    struct iovec io = {"said", 4};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(struct ucred))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred mine = {getpid(), 0, 0};
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof(mine));
    memcpy(CMSG_DATA(c), &mine, sizeof(mine));
    T(sendmsg(p[0], &m, 0));
    receive_fds(p[1], 100, 60, 0);
    mine.uid = 1234;
    mine.gid = 99;
    memcpy(CMSG_DATA(c), &mine, sizeof(mine));
    T(sendmsg(p[0], &m, 0));
    receive_fds(p[1], 100, 60, 0);
    T(syscall(SYS_setresuid, -1, 1234, -1));
    mine.uid = 5;
    memcpy(CMSG_DATA(c), &mine, sizeof(mine));
    T(sendmsg(p[0], &m, 0));
    mine.uid = 1234;
    mine.gid = 0;
    memcpy(CMSG_DATA(c), &mine, sizeof(mine));
    T(sendmsg(p[0], &m, 0));
    T(syscall(SYS_setresuid, -1, 0, -1));
    c->cmsg_len = CMSG_LEN(4);
    T(sendmsg(p[0], &m, 0));
    receive_fds(p[1], 10, 60, 0);
}

static void peer_credentials(void)
{
    int p[2], l = listener(SOCK_STREAM, "sock", 1);
    struct ucred cred = {1, 2, 3};
    socklen_t len = sizeof(cred);

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("pid mine %d uid %u gid %u (%u)", cred.pid == getpid(), cred.uid, cred.gid, len);
    T(getsockopt(l, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("pid mine %d uid %u gid %u (%u)", cred.pid == getpid(), cred.uid, cred.gid, len);
    int u = socket(AF_UNIX, SOCK_STREAM, 0);
    T(getsockopt(u, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("pid %d uid %d gid %d (%u)", cred.pid, cred.uid, cred.gid, len);
    T(connect_to(u, "sock"));
    int s = accept(l, NULL, NULL);
    T(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("pid mine %d uid %u gid %u (%u)", cred.pid == getpid(), cred.uid, cred.gid, len);
    len = 4;
    T(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    say("(%u)", len);
    T(setsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, 12));
}

/* Sockets that only messages hold: when they are found, the pipe that they hold too is closed. */
static void circles_are_collected(void)
{
    int pipes[2], a[2], b[2];
    char c;

    pipe(pipes);
    socketpair(AF_UNIX, SOCK_STREAM, 0, a);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, b);
    T(send_fds(a[0], &pipes[1], 1, "p"));
    T(send_fds(a[0], &a[1], 1, "self"));
    T(send_fds(a[0], &b[1], 1, "b"));
    T(send_fds(b[0], &a[1], 1, "a"));
    T(send_fds(b[0], &a[0], 1, "a"));
    T(send_fds(a[1], &b[0], 1, "b"));
    close(pipes[1]);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
    /* Linux collects in the background: when the last writer is gone, the pipe is at its end. */
    close(socket(AF_UNIX, SOCK_STREAM, 0));
    T(read(pipes[0], &c, 1));
}

static void long_chains_of_sockets(void)
{
    int before[2], next[2];

    socketpair(AF_UNIX, SOCK_STREAM, 0, before);
    for (int i = 0; i < 2000; i++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, next);
        if (send_fds(next[0], &before[1], 1, "x") != 1) {
            say("at %s", strerror(errno));
            break;
        }
        close(before[0]);
        close(before[1]);
        before[0] = next[0];
        before[1] = next[1];
    }
    T(close(before[1]));
    T(close(before[0]));
}

/* ---- many at once ---- */

static void several_messages(void)
{
    int p[2];
    char in[3][16];
    struct iovec out[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}}, to[3] = {{in[0], 16}, {in[1], 16}, {in[2], 2}};
    struct mmsghdr s[3], r[3];
    struct timespec ts = {0, 0}, wrong = {0, -1};

    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    memset(s, 0, sizeof(s));
    memset(r, 0, sizeof(r));
    memset(in, 0, sizeof(in));
    for (int i = 0; i < 3; i++) {
        s[i].msg_hdr.msg_iov = &out[i];
        s[i].msg_hdr.msg_iovlen = 1;
        r[i].msg_hdr.msg_iov = &to[i];
        r[i].msg_hdr.msg_iovlen = 1;
    }
    T(sendmmsg(p[0], s, 3, 0));
    say("%u %u %u", s[0].msg_len, s[1].msg_len, s[2].msg_len);
    T(recvmmsg(p[1], r, 3, 0, NULL));
    say("%u %u %u %s %s %.2s flags %x", r[0].msg_len, r[1].msg_len, r[2].msg_len, in[0], in[1], in[2], r[2].msg_hdr.msg_flags);
    T(recvmmsg(p[1], r, 3, MSG_DONTWAIT, NULL));
    T(sendmmsg(p[0], s, 2, 0));
    T(recvmmsg(p[1], r, 3, MSG_WAITFORONE, NULL));
    T(sendmmsg(p[0], s, 2, 0));
    T(recvmmsg(p[1], r, 2, 0, &ts));
    T(recvmmsg(p[1], r, 2, 0, &wrong));
    T(recvmmsg(p[1], r, 2, MSG_DONTWAIT, (void *)8));
    T(sendmmsg(p[0], (void *)8, 2, 0));
    T(sendmmsg(p[0], s, 0, 0));
    s[1].msg_hdr.msg_iov = (void *)8;
    T(sendmmsg(p[0], s, 3, 0));
}

static void edge_and_level(void)
{
    int p[2], level = epoll_create1(0), edge = epoll_create1(0);
    struct epoll_event e;
    char b[8];

    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP};
    epoll_ctl(level, EPOLL_CTL_ADD, p[0], &e);
    e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    epoll_ctl(edge, EPOLL_CTL_ADD, p[0], &e);
    T(epoll_wait(level, &e, 1, 0));
    T(epoll_wait(edge, &e, 1, 0));
    send(p[1], "abc", 3, 0);
    for (int i = 0; i < 2; i++) {
        T(epoll_wait(level, &e, 1, 0));
        say("%x", e.events);
        T(epoll_wait(edge, &e, 1, 0));
    }
    recv(p[0], b, 1, 0);
    T(epoll_wait(edge, &e, 1, 0));
    send(p[1], "d", 1, 0);
    T(epoll_wait(edge, &e, 1, 0));
    recv(p[0], b, 8, 0);
    T(epoll_wait(level, &e, 1, 0));
    close(p[1]);
    T(epoll_wait(level, &e, 1, 0));
    say("%x", e.events);
    T(epoll_wait(edge, &e, 1, 0));
    say("%x", e.events);
    T(epoll_wait(edge, &e, 1, 0));
}

static void sending_files(void)
{
    int p[2], fd = open("f", O_RDWR | O_CREAT, 0644);
    off_t at = 2;

    write(fd, "0123456789", 10);
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(sendfile(p[0], fd, &at, 5));
    say("at %ld", (long)at);
    receive_text(p[1], 0);
    T(sendfile(fd, p[0], NULL, 5));
}

static void shown_in_proc(void)
{
    int fd = listener(SOCK_STREAM, "shown", 1), d = socket(AF_UNIX, SOCK_DGRAM, 0);
    static char text[1 << 20]; /* natively, all of the host's are in it */
    char *line;
    size_t len = 0;
    ssize_t n;

    bind_to(d, "@runnc-shown");
    int proc = open("/proc/net/unix", O_RDONLY);
    while (len < sizeof(text) - 1 && (n = read(proc, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned refs, protocol, flags, type, state;
        unsigned long inode;
        char name[120] = "";
        if (sscanf(line, "%*x: %x %x %x %x %x %lu %119s", &refs, &protocol, &flags, &type, &state, &inode, name) < 7)
            continue;
        if (!strcmp(name, "shown") || !strcmp(name, "@runnc-shown"))
            say("%s: protocol %x flags %x type %x state %x", name, protocol, flags, type, state);
    }
    (void)fd;
}

const struct test_case cases[] = {
    CASE(making), CASE(making_pairs), CASE(not_sockets), CASE(binding), CASE(binding_wrongly), CASE(abstract_names),
    CASE(short_name_buffers), CASE(connecting), CASE(refused), CASE(backlog), CASE(listener_closed),
    CASE(client_gone_before_accept), CASE(shut_listener), CASE(connect_waits_for_room), CASE(stream_bytes),
    CASE(stream_halves), CASE(shut_for_reading), CASE(reset_by_peer), CASE(waiting_for_all), CASE(stream_of_megabytes),
    CASE(full_stream), CASE(vectors), CASE(datagrams), CASE(datagram_connections), CASE(datagram_limits),
    CASE(datagram_sender_waits), CASE(sequenced_packets), CASE(options), CASE(timeouts), CASE(interrupted),
    CASE(low_water), CASE(peeking_on), CASE(passing_descriptors), CASE(descriptors_among_bytes),
    CASE(no_room_for_descriptors), CASE(wrong_control), CASE(credentials), CASE(peer_credentials),
    CASE(circles_are_collected), CASE(long_chains_of_sockets), CASE(several_messages), CASE(edge_and_level),
    CASE(sending_files), CASE(shown_in_proc),
    {NULL, NULL},
};
