/* AF_INET and AF_INET6 sockets, between addresses of this machine. Ports are any free ones and never said. */
#include "case.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile int hits;
static void hit(int sig) { hits += sig; }

static struct sockaddr_in v4(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(ip)};
}

static struct sockaddr_in6 v6(const char *ip, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = port};
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}

#define ADDR(a) (struct sockaddr *)&(a), sizeof(a)

/* The port that a socket has, in network order. */
static uint16_t port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t len = sizeof(a);
    return getsockname(fd, (struct sockaddr *)&a, &len) ? 0 : a.sin6_port;
}

static int listener(int flags, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    struct sockaddr_in a = v4(INADDR_LOOPBACK, 0);
    if (bind(fd, ADDR(a)) || listen(fd, backlog)) say("listener: %s", strerror(errno));
    return fd;
}

static int caller(int to, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(to));
    if (connect(fd, ADDR(a)) && errno != EINPROGRESS) say("caller: %s", strerror(errno));
    return fd;
}

static void pair(int fds[2])
{
    int l = listener(0, 5);
    fds[0] = caller(l, 0);
    fds[1] = accept(l, NULL, NULL);
    close(l);
}

static int events_of(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM};
    poll(&p, 1, 0);
    return p.revents;
}

/* Linux tells the other end by packets that go through a queue: wait until it has come. */
static int settled(int fd, int want)
{
    struct pollfd p = {.fd = fd, .events = want};
    poll(&p, 1, 2000);
    return events_of(fd);
}

static void bytes_both_ways(void)
{
    int s[2];
    char buf[64] = "";
    pair(s);
    T(write(s[0], "hello", 5));
    T(read(s[1], buf, sizeof(buf)));
    say("%s", buf);
    T(send(s[1], "world", 5, 0));
    T(recv(s[0], buf, 2, 0));
    T(recv(s[0], buf, sizeof(buf), MSG_PEEK));
    T(recv(s[0], buf, sizeof(buf), 0));
    T(recv(s[0], buf, sizeof(buf), MSG_DONTWAIT));
    T(recv(s[0], buf, 0, MSG_DONTWAIT));
    T(close(s[0]));
    T(read(s[1], buf, sizeof(buf)));
    T(read(s[1], buf, sizeof(buf)));
}

static void names(void)
{
    struct sockaddr_in a, b;
    socklen_t len = sizeof(a);
    int l = listener(0, 5), c = caller(l, 0), s;
    T((s = accept(l, (struct sockaddr *)&a, &len)) > 0);
    say("accepted from %s, %d bytes, family %d", inet_ntoa(a.sin_addr), len, a.sin_family);
    getsockname(c, (struct sockaddr *)&b, &len);
    say("same port: %d", a.sin_port == b.sin_port);
    T(getpeername(c, (struct sockaddr *)&b, &len));
    say("peer port is the listener's: %d", b.sin_port == port_of(l));
    T(getpeername(l, (struct sockaddr *)&b, &len));
    len = 4;
    T(getsockname(c, (struct sockaddr *)&b, &len));
    say("length told: %d", len);
    len = -1;
    T(getsockname(c, (struct sockaddr *)&b, &len));
    T(accept(c, NULL, NULL));
    T(listen(c, 1));
}

static void what_cannot_be_opened(void)
{
    T(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    T(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    T(socket(AF_INET, 77, 0));
    T(socket(AF_INET, SOCK_SEQPACKET, 0));
    T(socket(AF_INET, SOCK_RAW, 0));
    T(socket(99, SOCK_STREAM, 0));
    T(socket(AF_INET, SOCK_STREAM | 0x40, 0));
    T(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
}

static void binding(void)
{
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in any = v4(INADDR_ANY, 0), here = v4(INADDR_LOOPBACK, 0), there = v4(0x01020304, 0);
    T(bind(a, (struct sockaddr *)&here, 7));
    T(bind(a, ADDR(there)));
    T(bind(a, ADDR(here)));
    T(bind(a, ADDR(here)));
    here.sin_port = any.sin_port = port_of(a);
    T(bind(b, ADDR(here)));
    T(bind(b, ADDR(any)));
    T(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    T(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    T(bind(b, ADDR(any)));
    T(listen(a, 1));
    T(listen(b, 1));
    here.sin_family = AF_INET6;
    T(bind(socket(AF_INET, SOCK_STREAM, 0), ADDR(here)));
    here.sin_family = AF_UNSPEC;
    here.sin_port = 0;
    T(bind(socket(AF_INET, SOCK_STREAM, 0), ADDR(here)));
}

static void listener_keeps_others_out(void)
{
    int l = listener(0, 1), one = 1;
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(l)), other = v4(INADDR_LOOPBACK + 1, port_of(l));
    int b = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    T(bind(b, ADDR(a)));
    T(bind(b, ADDR(other)));
    T(listen(b, 1));
}

static void accepted_connections_hold_the_port(void)
{
    int l = listener(0, 1), c = caller(l, 0), s = accept(l, NULL, NULL), one = 1;
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(l));
    close(l);
    int b = socket(AF_INET, SOCK_STREAM, 0);
    T(bind(b, ADDR(a)));
    T(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    T(bind(b, ADDR(a)));
    close(c), close(s);
}

static void sharing_a_port(void)
{
    int fds[3], one = 1, got[3] = {0};
    struct sockaddr_in a = v4(INADDR_LOOPBACK, 0);
    for (int i = 0; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        T(bind(fds[i], ADDR(a)));
        T(listen(fds[i], 100));
        a.sin_port = port_of(fds[0]);
    }
    int total = 0;
    for (int i = 0; i < 60; i++) caller(fds[0], 0);
    for (int i = 0; i < 3; i++)
        while (accept(fds[i], NULL, NULL) >= 0) got[i]++, total++;
    say("total %d, all of them: %d", total, got[0] && got[1] && got[2]);
}

static void refused(void)
{
    int l = listener(0, 1), err, c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(l));
    socklen_t len = sizeof(err);
    close(l);
    T(connect(c, ADDR(a)));
    T(connect(c, ADDR(a)));
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("fresh: %x", events_of(c));
    connect(c, ADDR(a));
    int events = settled(c, POLLOUT);
    say("events %x", events & (POLLERR | POLLHUP | POLLOUT));
    T(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len));
    T(send(c, "x", 1, MSG_NOSIGNAL));
    T(recv(c, &err, 1, 0));
}

static void connecting_without_waiting(void)
{
    int l = listener(0, 5), err = 77, c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = v4(INADDR_LOOPBACK, port_of(l));
    socklen_t len = sizeof(err);
    int r = connect(c, ADDR(a));
    say("connected or in progress: %d", r == 0 || errno == EINPROGRESS);
    say("%x", settled(c, POLLOUT));
    T(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len));
    say("error %d", err);
    if (r == 0) connect(c, ADDR(a));
    T(connect(c, ADDR(a)) == 0 || errno == EISCONN);
    T(connect(c, ADDR(a)));
}

static void not_connected(void)
{
    int c = socket(AF_INET, SOCK_STREAM, 0);
    char x;
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    signal(SIGPIPE, hit);
    hits = 0;
    T(recv(c, &x, 1, 0));
    T(send(c, &x, 1, 0));
    say("SIGPIPE: %d", hits == SIGPIPE);
    T(send(c, &x, 1, MSG_NOSIGNAL));
    T(shutdown(c, SHUT_WR));
    T(getpeername(c, (struct sockaddr *)&a, &len));
    T(accept(c, NULL, NULL));
    T(shutdown(c, 9));
}

static void readiness(void)
{
    int s[2], l = listener(0, 5);
    char buf[16];
    say("listener %x", events_of(l));
    s[0] = caller(l, 0);
    say("with a caller %x", settled(l, POLLIN));
    s[1] = accept(l, NULL, NULL);
    say("listener %x", events_of(l));
    say("new %x", events_of(s[1]));
    T(write(s[0], "x", 1));
    say("with data %x", settled(s[1], POLLIN));
    T(shutdown(s[0], SHUT_WR));
    say("half closed %x", settled(s[1], POLLRDHUP));
    say("its own side %x", events_of(s[0]));
    T(read(s[1], buf, sizeof(buf)));
    T(read(s[1], buf, sizeof(buf)));
    T(write(s[1], "still", 5));
    T(read(s[0], buf, sizeof(buf)));
    T(shutdown(s[1], SHUT_WR));
    say("both ended %x", settled(s[0], POLLHUP));
    T(write(s[0], "x", 1) == -1 && errno == EPIPE);
}

static void write_to_one_that_is_gone(void)
{
    int s[2];
    char buf[8];
    signal(SIGPIPE, hit);
    pair(s);
    close(s[1]);
    settled(s[0], POLLIN);
    say("gone %x", events_of(s[0]));
    hits = 0;
    T(write(s[0], "x", 1));
    settled(s[0], POLLERR);
    say("after %x", events_of(s[0]));
    T(write(s[0], "x", 1));
    say("SIGPIPE: %d", hits == SIGPIPE);
    T(read(s[0], buf, sizeof(buf)));
}

static void reset_by_unread_data(void)
{
    int s[2], err;
    socklen_t len = sizeof(err);
    char buf[8];
    pair(s);
    T(write(s[0], "unread", 6));
    settled(s[1], POLLIN);
    close(s[1]);
    settled(s[0], POLLIN);
    say("%x", events_of(s[0]));
    T(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &err, &len));
    say("%s", strerror(err));
    T(read(s[0], buf, sizeof(buf)));
    T(send(s[0], "x", 1, MSG_NOSIGNAL));
}

static void reset_by_linger(void)
{
    int s[2];
    char buf[8];
    struct linger l = {1, 0};
    pair(s);
    T(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    close(s[1]);
    settled(s[0], POLLIN);
    T(read(s[0], buf, sizeof(buf)));
    T(read(s[0], buf, sizeof(buf)));
}

enum { MUCH = 3000000 };
static unsigned char pattern(size_t i) { return (unsigned char)(i * 2654435761u >> 13); }

static void *write_much(void *arg)
{
    int fd = *(int *)arg;
    unsigned char *data = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++) data[i] = pattern(i);
    for (size_t done = 0; done < MUCH;) {
        ssize_t n = write(fd, data + done, MUCH - done);
        if (n <= 0) break;
        done += (size_t)n;
    }
    close(fd);
    free(data);
    return NULL;
}

static void much_data(void)
{
    int s[2];
    pthread_t t;
    pair(s);
    pthread_create(&t, NULL, write_much, &s[0]);
    size_t done = 0;
    bool same = true;
    unsigned char buf[10007];
    for (ssize_t n; (n = read(s[1], buf, sizeof(buf))) > 0; done += (size_t)n)
        for (ssize_t i = 0; i < n; i++) same &= buf[i] == pattern(done + (size_t)i);
    say("%zu bytes, the same: %d", done, same);
    pthread_join(t, NULL);
}

static void until_there_is_no_room(void)
{
    int s[2];
    char buf[65536] = "";
    size_t total = 0, back = 0;
    pair(s);
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = write(s[0], buf, sizeof(buf))) > 0;) total += (size_t)n;
    say("%s, writable: %d", strerror(errno), events_of(s[0]) & POLLOUT);
    fcntl(s[1], F_SETFL, O_NONBLOCK);
    while (back < total) {
        struct pollfd p = {.fd = s[1], .events = POLLIN};
        poll(&p, 1, 2000);
        ssize_t n = read(s[1], buf, sizeof(buf));
        if (n <= 0) break;
        back += (size_t)n;
    }
    say("all came back: %d", back == total);
    say("writable again: %d", settled(s[0], POLLOUT) & POLLOUT);
}

static void *write_little(void *arg)
{
    for (int i = 0; i < 10; i++) {
        write(*(int *)arg, "ab", 2);
        usleep(1000);
    }
    close(*(int *)arg);
    return NULL;
}

static void waiting_for_all(void)
{
    int s[2];
    char buf[32] = "";
    pthread_t t;
    pair(s);
    pthread_create(&t, NULL, write_little, &s[0]);
    T(recv(s[1], buf, 16, MSG_WAITALL));
    T(recv(s[1], buf, 16, MSG_WAITALL));
    pthread_join(t, NULL);
}

static void timeouts(void)
{
    int s[2];
    char buf[8];
    struct timeval tv = {0, 20000}, got;
    socklen_t len = sizeof(got);
    pair(s);
    T(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    T(read(s[0], buf, 1));
    T(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
    int l = listener(0, 1);
    T(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    T(accept(l, NULL, NULL));
}

static void edge_triggered(void)
{
    int s[2], ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET}, got;
    char buf[8];
    pair(s);
    T(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &e));
    T(epoll_wait(ep, &got, 1, 0));
    write(s[0], "one", 3);
    T(epoll_wait(ep, &got, 1, 2000));
    say("%x", got.events);
    T(epoll_wait(ep, &got, 1, 0));
    write(s[0], "two", 3);
    T(epoll_wait(ep, &got, 1, 2000));
    T(read(s[1], buf, 2));
    T(epoll_wait(ep, &got, 1, 0));
    close(s[0]);
    T(epoll_wait(ep, &got, 1, 2000));
    say("%x", got.events);
    struct epoll_event level = {.events = EPOLLIN};
    T(epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &level));
    T(epoll_wait(ep, &got, 1, 0));
    T(epoll_wait(ep, &got, 1, 0));
}

static void gathered_and_scattered(void)
{
    int s[2];
    char a[3], b[10] = "";
    struct iovec out[2] = {{"abc", 3}, {"defgh", 5}}, in[2] = {{a, 3}, {b, 9}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2}, r = {.msg_iov = in, .msg_iovlen = 2};
    pair(s);
    T(sendmsg(s[0], &m, 0));
    settled(s[1], POLLIN);
    T(recvmsg(s[1], &r, 0));
    say("%.3s %s flags %x name %d", a, b, r.msg_flags, r.msg_namelen);
}

static void dropping_what_was_sent(void)
{
    int s[2];
    char buf[16] = "";
    pair(s);
    T(write(s[0], "0123456789", 10));
    settled(s[1], POLLIN);
    T(recv(s[1], NULL, 4, MSG_TRUNC));
    T(read(s[1], buf, sizeof(buf)));
    say("%s", buf);
}

static void shutting_down_reading(void)
{
    int s[2];
    char buf[8];
    pair(s);
    T(shutdown(s[0], SHUT_RD));
    T(read(s[0], buf, 8));
    say("%x", events_of(s[0]));
    T(shutdown(s[0], SHUT_RDWR));
    settled(s[1], POLLIN);
    T(read(s[1], buf, 8));
}

static void closing_a_listener(void)
{
    int l = listener(0, 5), c = caller(l, 0);
    char x;
    close(l);
    settled(c, POLLIN);
    T(read(c, &x, 1));
}

static void full_backlog(void)
{
    int l = listener(SOCK_NONBLOCK, 1);
    int a = caller(l, 0), b = caller(l, 0), c = caller(l, SOCK_NONBLOCK);
    say("third waits: %x", events_of(c) & (POLLOUT | POLLERR));
    T(accept(l, NULL, NULL) > 0);
    T(accept(l, NULL, NULL) > 0);
    struct pollfd p = {.fd = c, .events = POLLOUT};
    T(poll(&p, 1, 5000));
    say("%x", p.revents);
    (void)a, (void)b;
}

static void interrupted(void)
{
    int s[2];
    char x;
    struct sigaction sa = {.sa_handler = hit};
    pair(s);
    sigaction(SIGALRM, &sa, NULL);
    ualarm(20000, 0);
    T(read(s[0], &x, 1));
    int l = listener(0, 1);
    ualarm(20000, 0);
    T(accept(l, NULL, NULL));
}

static void options_of_tcp(void)
{
    int s[2], v;
    socklen_t len = sizeof(v);
    static const struct { const char *name; int option, set; } all[] = {
        {"NODELAY", TCP_NODELAY, 1}, {"CORK", TCP_CORK, 1}, {"KEEPIDLE", TCP_KEEPIDLE, 30}, {"KEEPINTVL", TCP_KEEPINTVL, 5},
        {"KEEPCNT", TCP_KEEPCNT, 3}, {"SYNCNT", TCP_SYNCNT, 4}, {"USER_TIMEOUT", TCP_USER_TIMEOUT, 1000},
    };
    pair(s);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        v = -7;
        int r = getsockopt(s[0], IPPROTO_TCP, all[i].option, &v, &len);
        say("%s: %d %d", all[i].name, r, v);
        r = setsockopt(s[0], IPPROTO_TCP, all[i].option, &all[i].set, sizeof(int));
        getsockopt(s[0], IPPROTO_TCP, all[i].option, &v, &len);
        say("%s: %d %d", all[i].name, r, v);
    }
    v = 0;
    T(setsockopt(s[0], IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)));
    T(setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &v, 1));
    T(setsockopt(s[0], IPPROTO_TCP, 9999, &v, sizeof(v)));
    T(getsockopt(s[0], IPPROTO_TCP, 9999, &v, &len));
    T(setsockopt(s[0], 77, 1, &v, sizeof(v)));
    struct tcp_info info = {0};
    len = sizeof(info);
    T(getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &info, &len));
    say("state %d, length at least 104: %d", info.tcpi_state, len >= 104);
    int l = listener(0, 3);
    len = sizeof(info);
    T(getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
    say("state %d", info.tcpi_state);
}

static void options_of_ip(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), v = 64, got;
    socklen_t len = sizeof(got);
    T(getsockopt(fd, IPPROTO_IP, IP_TTL, &got, &len));
    say("ttl %d", got);
    v = 0;
    T(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, sizeof(v)));
    v = 16;
    T(setsockopt(fd, IPPROTO_IP, IP_TOS, &v, sizeof(v)));
    T(getsockopt(fd, IPPROTO_IP, IP_TOS, &got, &len));
    say("tos %d", got);
    T(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &got, &len));
    say("mtu discovery %d", got);
    T(getsockopt(fd, IPPROTO_IP, IP_MTU, &got, &len));
    T(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    T(getsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &got, &len));
    say("v6only %d", got);
    v = 1;
    T(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
    T(getsockopt(six, SOL_SOCKET, SO_DOMAIN, &got, &len));
    say("domain %d", got);
    T(getsockopt(six, SOL_SOCKET, SO_PROTOCOL, &got, &len));
    say("protocol %d", got);
    T(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &got, &len));
    say("protocol %d", got);
}

static void datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = v4(INADDR_LOOPBACK, 0), from;
    socklen_t len = sizeof(from);
    char buf[64] = "";
    T(bind(a, ADDR(to)));
    to.sin_port = port_of(a);
    say("fresh %x", events_of(b));
    T(send(b, "x", 1, 0));
    T(sendto(b, "hello", 5, 0, ADDR(to)));
    T(sendto(b, "", 0, 0, ADDR(to)));
    T(sendto(b, "a longer one", 12, 0, ADDR(to)));
    T(recvfrom(a, buf, sizeof(buf), MSG_PEEK, (struct sockaddr *)&from, &len));
    say("%s from %s, the sender's port: %d", buf, inet_ntoa(from.sin_addr), from.sin_port == port_of(b));
    T(recv(a, buf, 3, 0));
    T(recv(a, buf, sizeof(buf), 0));
    T(recv(a, buf, 4, MSG_TRUNC));
    T(recv(a, buf, sizeof(buf), MSG_DONTWAIT));
    T(connect(b, ADDR(to)));
    T(send(b, "connected", 9, 0));
    T(recv(a, buf, sizeof(buf), 0));
    T(shutdown(a, SHUT_RD));
    char *big = calloc(1, 70000);
    T(send(b, big, 65507, 0));
    T(send(b, big, 65508, 0));
    T(send(b, big, 70000, 0));
    T(recv(a, big, 70000, 0));
    T(listen(a, 1));
    T(accept(a, NULL, NULL));
    free(big);
}

static void datagram_to_nobody(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), err;
    struct sockaddr_in to = v4(INADDR_LOOPBACK, 0);
    socklen_t len = sizeof(err);
    char x;
    bind(a, ADDR(to));
    to.sin_port = port_of(a);
    close(a);
    T(sendto(b, "x", 1, 0, ADDR(to)));
    say("not connected %x", events_of(b));
    T(connect(b, ADDR(to)));
    T(send(b, "x", 1, 0));
    say("connected %x", settled(b, POLLERR));
    T(recv(b, &x, 1, MSG_DONTWAIT));
    T(send(b, "x", 1, 0));
    settled(b, POLLERR);
    T(send(b, "x", 1, 0));
    T(getsockopt(b, SOL_SOCKET, SO_ERROR, &err, &len));
    say("error %d", err);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    T(connect(b, &none, sizeof(none)));
    T(send(b, "x", 1, 0));
    T(getpeername(b, (struct sockaddr *)&to, &len));
}

static void connected_datagrams_come_from_the_peer_alone(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = v4(INADDR_LOOPBACK, 0), to;
    char buf[8] = "";
    bind(a, ADDR(at)), bind(b, ADDR(at)), bind(c, ADDR(at));
    to = v4(INADDR_LOOPBACK, port_of(b));
    T(connect(a, ADDR(to)));
    to.sin_port = port_of(a);
    T(sendto(c, "stranger", 8, 0, ADDR(to)));
    T(sendto(b, "peer", 4, 0, ADDR(to)));
    T(recv(a, buf, sizeof(buf), 0));
    say("%s", buf);
    T(recv(a, buf, sizeof(buf), MSG_DONTWAIT));
}

static void control_messages(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    struct sockaddr_in at = v4(INADDR_ANY, 0), to;
    char data[8], control[256];
    struct iovec iov = {data, sizeof(data)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    bind(a, ADDR(at));
    T(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
    T(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
    T(setsockopt(a, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)));
    T(setsockopt(a, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one)));
    to = v4(INADDR_LOOPBACK + 4, port_of(a));
    T(sendto(b, "x", 1, 0, ADDR(to)));
    T(recvmsg(a, &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        say("level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *p = (void *)CMSG_DATA(c);
            say("to %s by interface %d", inet_ntoa(p->ipi_addr), p->ipi_ifindex);
        }
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) say("ttl %d", *(int *)CMSG_DATA(c));
    }
    m.msg_controllen = 20;
    sendto(b, "y", 1, 0, ADDR(to));
    T(recvmsg(a, &m, 0));
    say("cut: %d", !!(m.msg_flags & MSG_CTRUNC));
}

static void many_at_once(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = v4(INADDR_LOOPBACK, 0);
    char in[4][8] = {""};
    struct iovec out[3] = {{"one", 3}, {"two", 3}, {"three", 5}}, to[4];
    struct mmsghdr m[3] = {0}, r[4] = {0};
    bind(a, ADDR(at));
    at.sin_port = port_of(a);
    T(connect(b, ADDR(at)));
    for (int i = 0; i < 3; i++) m[i].msg_hdr.msg_iov = &out[i], m[i].msg_hdr.msg_iovlen = 1;
    for (int i = 0; i < 4; i++) to[i] = (struct iovec){in[i], 8}, r[i].msg_hdr.msg_iov = &to[i], r[i].msg_hdr.msg_iovlen = 1;
    T(sendmmsg(b, m, 3, 0));
    T(recvmmsg(a, r, 4, MSG_WAITFORONE, NULL));
    say("%s %s %s, %u %u %u", in[0], in[1], in[2], r[0].msg_len, r[1].msg_len, r[2].msg_len);
}

static void ipv6(void)
{
    int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0), s;
    struct sockaddr_in6 a = v6("::1", 0), peer;
    socklen_t len = sizeof(peer);
    char text[64], buf[8] = "";
    T(bind(l, (struct sockaddr *)&a, 20));
    T(bind(l, ADDR(a)));
    T(listen(l, 3));
    a.sin6_port = port_of(l);
    T(connect(c, ADDR(a)));
    T((s = accept(l, (struct sockaddr *)&peer, &len)) > 0);
    say("%s %d", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)), len);
    T(write(c, "six", 3));
    T(read(s, buf, 8));
    say("%s", buf);
    struct sockaddr_in four = v4(INADDR_LOOPBACK, a.sin6_port);
    T(connect(socket(AF_INET6, SOCK_STREAM, 0), ADDR(four)));
    T(connect(socket(AF_INET, SOCK_STREAM, 0), ADDR(four)));
}

static void both_versions(void)
{
    int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), m = socket(AF_INET6, SOCK_STREAM, 0), s, one = 1;
    struct sockaddr_in6 any = v6("::", 0), peer, mapped;
    socklen_t len = sizeof(peer);
    char text[64];
    T(bind(l, ADDR(any)));
    T(listen(l, 3));
    struct sockaddr_in four = v4(INADDR_LOOPBACK, port_of(l));
    T(connect(c, ADDR(four)));
    T((s = accept(l, (struct sockaddr *)&peer, &len)) > 0);
    say("%s", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)));
    getsockname(s, (struct sockaddr *)&peer, &len);
    say("%s", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)));
    mapped = v6("::ffff:127.0.0.1", port_of(l));
    T(connect(m, ADDR(mapped)));
    getsockname(m, (struct sockaddr *)&peer, &len);
    say("%s", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)));
    T(bind(socket(AF_INET, SOCK_STREAM, 0), ADDR(four)));
    int only = socket(AF_INET6, SOCK_STREAM, 0);
    T(setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
    T(connect(only, ADDR(mapped)));
}

static void to_any_address(void)
{
    int l = listener(0, 3), c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = v4(INADDR_ANY, port_of(l)), peer;
    socklen_t len = sizeof(peer);
    T(connect(c, ADDR(a)));
    T(getpeername(c, (struct sockaddr *)&peer, &len));
    say("%s", inet_ntoa(peer.sin_addr));
    T(getsockname(c, (struct sockaddr *)&peer, &len));
    say("%s", inet_ntoa(peer.sin_addr));
}

static void a_file_sent(void)
{
    int s[2], fd = open("/box/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char buf[64] = "";
    pair(s);
    write(fd, "content of a file", 17);
    off_t at = 3;
    T(sendfile(s[0], fd, &at, 100));
    T(recv(s[1], buf, sizeof(buf), 0));
    say("%s", buf);
}

static void bytes_that_wait(void)
{
    int s[2], n = -1;
    pair(s);
    T(ioctl(s[1], FIONREAD, &n));
    say("%d", n);
    write(s[0], "12345", 5);
    settled(s[1], POLLIN);
    T(ioctl(s[1], FIONREAD, &n));
    say("%d", n);
    T(lseek(s[0], 0, SEEK_SET));
    struct stat st;
    T(fstat(s[0], &st));
    say("%o", st.st_mode & S_IFMT);
}

static void *accept_in_thread(void *arg)
{
    int s = accept(*(int *)arg, NULL, NULL);
    write(s, "from the thread", 15);
    close(s);
    return NULL;
}

static void threads_wait(void)
{
    int l = listener(0, 5);
    pthread_t t;
    char buf[32] = "";
    pthread_create(&t, NULL, accept_in_thread, &l);
    int c = caller(l, 0);
    T(recv(c, buf, sizeof(buf), MSG_WAITALL));
    say("%s", buf);
    pthread_join(t, NULL);
}

static void echo_request(void)
{
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    struct icmphdr request = {.type = ICMP_ECHO, .un.echo = {.id = 0x1234, .sequence = 1}};
    struct sockaddr_in to = v4(INADDR_LOOPBACK, 0);
    unsigned char buf[128];
    request.checksum = (uint16_t)~(uint16_t)(0x0008 + 0x1234 + 1);
    T(sendto(fd, &request, sizeof(request), 0, ADDR(to)));
    for (int i = 0; i < 4; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 2000) <= 0) break;
        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        if (n < 28 || *(uint16_t *)(buf + 24) != 0x1234) continue;
        say("%zd bytes, type %d, header %d", n, buf[20], buf[0]);
        if (buf[20] == ICMP_ECHOREPLY) break;
    }
}

static void interfaces(void)
{
    struct ifaddrs *all, *i;
    struct ifreq r = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    T(getifaddrs(&all));
    for (i = all; i; i = i->ifa_next) {
        char text[64] = "";
        if (strcmp(i->ifa_name, "lo") || !i->ifa_addr) continue;
        if (i->ifa_addr->sa_family == AF_INET)
            say("lo %s loopback %d", inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, 64), !!(i->ifa_flags & IFF_LOOPBACK));
    }
    freeifaddrs(all);
    say("index %u", if_nametoindex("lo"));
    T(if_nametoindex("nothing0"));
    T(ioctl(fd, SIOCGIFADDR, &r));
    say("%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    T(ioctl(fd, SIOCGIFMTU, &r));
    say("mtu %d", r.ifr_mtu);
    T(ioctl(fd, SIOCGIFNETMASK, &r));
    say("%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    strcpy(r.ifr_name, "nothing0");
    T(ioctl(fd, SIOCGIFINDEX, &r));
}

const struct test_case cases[] = {
    CASE(bytes_both_ways),
    CASE(names),
    CASE(what_cannot_be_opened),
    CASE(binding),
    CASE(listener_keeps_others_out),
    CASE(accepted_connections_hold_the_port),
    CASE(sharing_a_port),
    CASE(refused),
    CASE(connecting_without_waiting),
    CASE(not_connected),
    CASE(readiness),
    CASE(write_to_one_that_is_gone),
    CASE(reset_by_unread_data),
    CASE(reset_by_linger),
    CASE(much_data),
    CASE(until_there_is_no_room),
    CASE(waiting_for_all),
    CASE(timeouts),
    CASE(edge_triggered),
    CASE(gathered_and_scattered),
    CASE(dropping_what_was_sent),
    CASE(shutting_down_reading),
    CASE(closing_a_listener),
    CASE(full_backlog),
    CASE(interrupted),
    CASE(options_of_tcp),
    CASE(options_of_ip),
    CASE(datagrams),
    CASE(datagram_to_nobody),
    CASE(connected_datagrams_come_from_the_peer_alone),
    CASE(control_messages),
    CASE(many_at_once),
    CASE(ipv6),
    CASE(both_versions),
    CASE(to_any_address),
    CASE(a_file_sent),
    CASE(bytes_that_wait),
    CASE(threads_wait),
    CASE(echo_request),
    CASE(interfaces),
    {NULL, NULL},
};
