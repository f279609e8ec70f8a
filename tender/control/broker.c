#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

#define NAME "runnc-broker" /* BROKER_NAME of src/sandbox/process.ts */
#define SESSIONS_MAX 4096u
#define EVENTS_AT_ONCE 32
/* Messages of the guest's in a row, before anyone else gets a turn. */
#define MESSAGES_AT_ONCE 64
/* For the first connection, and for the guest's answer. */
#define PATIENCE_MS 30000

enum { TAG_LISTEN = SESSIONS_MAX, TAG_CHANNEL };

struct connection {
    int fd;          /* -1: free, or only its hang-up is left */
    uint32_t number; /* of the session */
    bool over;       /* the guest has said its last word */
    bool hangup_due; /* the guest is to be told that the proxy is gone */
};

static struct broker {
    int listening, epoll;
    uint32_t epoch;
    bool greeted;
    bool used; /* somebody has come */
    unsigned open, hangups;
    uint32_t rounds; /* of numbers given */
    struct connection connections[SESSIONS_MAX];
} broker;

static uint64_t session_id(uint32_t number)
{
    return (uint64_t)broker.epoch << 32 | number;
}

static void watch(int operation, int fd, uint32_t events, uint32_t tag)
{
    struct epoll_event event = {.events = events, .data.u32 = tag};

    if (epoll_ctl(broker.epoll, operation, fd, &event) != 0) _exit(1);
}

static void watch_channel(bool writing)
{
    watch(EPOLL_CTL_MOD, CHANNEL_FD, EPOLLIN | (writing ? EPOLLOUT : 0u), TAG_CHANNEL);
}

/* ---- proxies ---- */

static void welcome(struct connection *c, uint64_t session)
{
    const struct runnc_control message = {
        .type = RUNNC_CONTROL_HELLO, .value = RUNNC_CONTROL_VERSION, .session = session};

    (void)send(c->fd, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void accept_one(void)
{
    const int fd = accept4(broker.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    unsigned slot = 0;

    if (fd < 0) return;
    while (slot < SESSIONS_MAX && (broker.connections[slot].fd >= 0 || broker.connections[slot].hangup_due)) slot++;
    if (slot == SESSIONS_MAX) {
        close(fd);
        return;
    }
    /* A number comes back only after 2^20 others, so a late message cannot reach the wrong one. */
    const uint32_t number = (broker.rounds++ & 0xfffffu) * SESSIONS_MAX + slot;
    broker.connections[slot] = (struct connection){.fd = fd, .number = number == 0 ? SESSIONS_MAX : number};
    broker.open++;
    broker.used = true;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, slot);
    if (broker.greeted) welcome(&broker.connections[slot], session_id(broker.connections[slot].number));
}

static void send_hangups(void)
{
    for (unsigned slot = 0; slot < SESSIONS_MAX && broker.hangups > 0; slot++) {
        struct connection *c = &broker.connections[slot];
        const struct runnc_control message = {.type = RUNNC_CONTROL_HANGUP, .session = session_id(c->number)};

        if (!c->hangup_due) continue;
        if (send(CHANNEL_FD, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
            watch_channel(true);
            return;
        }
        c->hangup_due = false;
        broker.hangups--;
    }
    watch_channel(false);
}

/* Proxies say nothing to us: what comes is their end. */
static void drop(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    broker.open--;
    if (c->over || !broker.greeted) return;
    c->hangup_due = true;
    broker.hangups++;
    send_hangups();
}

/* ---- the guest ---- */

static void greet(void)
{
    const struct runnc_control hello = {
        .type = RUNNC_CONTROL_HELLO, .value = RUNNC_CONTROL_VERSION, .session = session_id(0)};

    /* Not yet greeted, we only read what was for others: there is room sooner or later. */
    if (send(CHANNEL_FD, &hello, sizeof hello, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN) watch_channel(true);
    else watch_channel(false);
}

static void greeted(const struct runnc_control *m)
{
    if (broker.greeted) return;
    broker.greeted = true;
    for (unsigned slot = 0; slot < SESSIONS_MAX; slot++) {
        struct connection *c = &broker.connections[slot];
        if (c->fd >= 0) welcome(c, m->value == RUNNC_CONTROL_VERSION ? session_id(c->number) : 0);
    }
}

static struct connection *receiver_of(const struct runnc_control *m)
{
    const uint32_t number = (uint32_t)m->session;
    struct connection *c = &broker.connections[number % SESSIONS_MAX];

    if (m->session >> 32 != broker.epoch || c->fd < 0 || c->number != number || c->over) return NULL;
    switch (m->type) {
    case RUNNC_CONTROL_STARTED:
    case RUNNC_CONTROL_FAILED:
    case RUNNC_CONTROL_EXIT:
    case RUNNC_CONTROL_DATA:
    case RUNNC_CONTROL_CLOSE:
    case RUNNC_CONTROL_CREDIT: return c;
    default: return NULL;
    }
}

static void forward(const struct runnc_control *m, size_t size)
{
    if (m->type == RUNNC_CONTROL_HELLO && m->session == session_id(0)) {
        greeted(m);
        return;
    }
    struct connection *c = broker.greeted ? receiver_of(m) : NULL;
    if (c == NULL) return;
    if (m->type == RUNNC_CONTROL_FAILED || m->type == RUNNC_CONTROL_EXIT) c->over = true;
    if (send(c->fd, m, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EPIPE || errno == ECONNRESET) return;
    /* A guest that keeps to its credit never fills the socket. */
    c->over = false;
    drop(c);
}

static void receive(void)
{
    static union {
        struct runnc_control head;
        char bytes[RUNNC_CONTROL_MESSAGE_MAX];
    } message;

    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        const ssize_t got = recv(CHANNEL_FD, &message, sizeof message, MSG_DONTWAIT | MSG_TRUNC);

        if (got < 0) return;
        if (got == 0) _exit(0); /* the container has ended */
        if ((size_t)got >= sizeof message.head && (size_t)got <= sizeof message) forward(&message.head, (size_t)got);
    }
}

/* ---- the process ---- */

/* Nothing of the one that started us stays: neither its terminal nor what it writes to. */
static void leave_parent(void)
{
    const int null = open("/dev/null", O_RDWR);
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (null < 0 || chdir("/") != 0) _exit(1);
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(null, fd) < 0) _exit(1);
    prctl(PR_SET_NAME, NAME);
}

static void close_others(void)
{
    const bool swapped = broker.epoll < broker.listening;
    /* Ascending; the channel's number is lower than those that were opened here. */
    const int kept[] = {CHANNEL_FD, swapped ? broker.epoll : broker.listening, swapped ? broker.listening : broker.epoll};
    unsigned next = 3;

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if ((unsigned)kept[i] > next) syscall(SYS_close_range, next, (unsigned)kept[i] - 1, 0);
        next = (unsigned)kept[i] + 1;
    }
    syscall(SYS_close_range, next, ~0u, 0);
}

/* Not so if an event is stale: the place was given to another one since. */
static bool has_ended(const struct connection *c)
{
    char byte;

    return c->fd >= 0 && !(recv(c->fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR));
}

static void handle(const struct epoll_event *event)
{
    const uint32_t tag = event->data.u32;

    if (tag == TAG_LISTEN) {
        accept_one();
    } else if (tag == TAG_CHANNEL) {
        if (event->events & EPOLLIN) receive();
        if (event->events & EPOLLOUT) broker.greeted ? send_hangups() : greet();
        if (event->events & (EPOLLHUP | EPOLLERR)) _exit(0);
    } else if (has_ended(&broker.connections[tag])) {
        drop(&broker.connections[tag]);
    }
}

_Noreturn void broker_run(const struct plan *plan, int listening_fd)
{
    struct epoll_event events[EVENTS_AT_ONCE];

    enter_cgroups(plan);
    leave_parent();
    broker.listening = listening_fd;
    broker.epoll = epoll_create1(EPOLL_CLOEXEC);
    while (broker.epoch == 0)
        if (getrandom(&broker.epoch, sizeof broker.epoch, 0) != sizeof broker.epoch) _exit(1);
    for (unsigned slot = 0; slot < SESSIONS_MAX; slot++) broker.connections[slot].fd = -1;
    if (broker.epoll < 0) _exit(1);
    watch(EPOLL_CTL_ADD, broker.listening, EPOLLIN, TAG_LISTEN);
    watch(EPOLL_CTL_ADD, CHANNEL_FD, EPOLLIN, TAG_CHANNEL);
    close_others();
    confine(plan, ROLE_BROKER);

    greet();
    while (!broker.used || broker.open > 0 || broker.hangups > 0) {
        const bool waiting = !broker.used || !broker.greeted;
        const int n = epoll_wait(broker.epoll, events, EVENTS_AT_ONCE, waiting ? PATIENCE_MS : -1);

        if (n < 0 && errno != EINTR) _exit(1);
        if (n == 0 && waiting) {
            greeted(&(struct runnc_control){.value = 0}); /* no version: it did not answer */
            _exit(1);
        }
        for (int i = 0; i < n; i++) handle(&events[i]);
    }
    _exit(0);
}
