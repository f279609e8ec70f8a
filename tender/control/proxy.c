#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "stdio.h"

#define KILLED (128 + SIGKILL)
/* Of input: fewer are not worth a message. */
#define LEAST 512u
#define GIVE_BACK (RUNNC_CONTROL_WINDOW / 4)

/* What the guest is still to be told, in this order. */
struct dues {
    uint64_t signals; /* bit n - 1: signal n */
    bool resize;
    bool close[RUNNC_CONTROL_STREAMS];
    uint32_t credit[RUNNC_CONTROL_STREAMS];
};

static struct proxy {
    const struct plan *plan;
    uint64_t session;
    int broker, signals;
    size_t sent; /* bytes of the request */
    bool reported, acknowledged, ended;
    int status; /* once it has ended */
    struct dues due;
    uint32_t credit;                    /* of input */
    size_t input;                       /* bytes of it that were read and not sent yet, in `input` */
    bool closed[RUNNC_CONTROL_STREAMS]; /* for us */
    struct output outputs[2];          /* of streams 1 and 2 */
} proxy;

union message {
    struct runnc_control head;
    char bytes[RUNNC_CONTROL_MESSAGE_MAX];
};
static union message outgoing, incoming, input;

static struct output *output_of(unsigned stream)
{
    return &proxy.outputs[stream - 1];
}

/* ---- to the guest ---- */

enum sent { SENT, FULL, GONE };

static enum sent send_with(union message *m, unsigned type, unsigned stream, uint32_t value, size_t data_size)
{
    m->head = (struct runnc_control){
        .type = (uint16_t)type, .stream = (uint16_t)stream, .value = value, .session = proxy.session};
    if (send(CHANNEL_FD, m->bytes, sizeof m->head + data_size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return SENT;
    return errno == EAGAIN || errno == EINTR ? FULL : GONE;
}

static enum sent send_message(unsigned type, unsigned stream, uint32_t value, size_t data_size)
{
    return send_with(&outgoing, type, stream, value, data_size);
}

/* Nobody waits for the program any more, or its broker is gone and nobody will hear of it. */
static _Noreturn void abandon(void)
{
    (void)send_message(RUNNC_CONTROL_HANGUP, 0, 0, 0);
    _exit(KILLED);
}

static enum sent send_request(void)
{
    while (proxy.sent < proxy.plan->request_size) {
        const size_t left = proxy.plan->request_size - proxy.sent;
        const size_t size = left < RUNNC_CONTROL_DATA_MAX ? left : RUNNC_CONTROL_DATA_MAX;

        memcpy(outgoing.head.data, (const char *)proxy.plan->request + proxy.sent, size);
        const enum sent sent = send_message(RUNNC_CONTROL_OPEN, 0, size == left, size);
        if (sent != SENT) return sent;
        proxy.sent += size;
    }
    return SENT;
}

static enum sent send_resize(void)
{
    struct winsize size;

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) return SENT;
    const struct runnc_control_size window = {size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
    memcpy(outgoing.head.data, &window, sizeof window);
    return send_message(RUNNC_CONTROL_RESIZE, 0, 0, sizeof window);
}

static enum sent send_signals(void)
{
    for (uint32_t signal = 1; proxy.due.signals != 0; signal++) {
        const uint64_t bit = 1ull << (signal - 1);

        if (!(proxy.due.signals & bit)) continue;
        const enum sent sent = send_message(RUNNC_CONTROL_SIGNAL, 0, signal, 0);
        if (sent != SENT) return sent;
        proxy.due.signals &= ~bit;
    }
    return SENT;
}

static enum sent send_input(void)
{
    if (proxy.input == 0) return SENT;
    const enum sent sent = send_with(&input, RUNNC_CONTROL_DATA, RUNNC_CONTROL_INPUT, 0, proxy.input);
    if (sent == SENT) proxy.input = 0;
    return sent;
}

static enum sent send_stream_dues(unsigned stream)
{
    enum sent sent = SENT;

    if (proxy.due.close[stream]) {
        sent = send_message(RUNNC_CONTROL_CLOSE, stream, 0, 0);
        if (sent == SENT) proxy.due.close[stream] = false;
    } else if (proxy.due.credit[stream] >= GIVE_BACK && !proxy.closed[stream]) {
        sent = send_message(RUNNC_CONTROL_CREDIT, stream, proxy.due.credit[stream], 0);
        if (sent == SENT) proxy.due.credit[stream] = 0;
    }
    return sent;
}

/* FULL: something is left, to be sent when the channel takes more. */
static enum sent send_dues(void)
{
    enum sent sent = send_request();

    if (sent != SENT || !proxy.reported) return sent; /* the rest is for a program that is there */
    sent = send_signals();
    if (sent == SENT && proxy.due.resize) {
        sent = send_resize();
        if (sent == SENT) proxy.due.resize = false;
    }
    if (sent == SENT) sent = send_input();
    for (unsigned stream = 0; stream < RUNNC_CONTROL_STREAMS && sent == SENT; stream++) sent = send_stream_dues(stream);
    return sent;
}

static bool may_read_input(void)
{
    return proxy.reported && !proxy.ended && proxy.input == 0 && !proxy.closed[RUNNC_CONTROL_INPUT] &&
           proxy.credit >= RUNNC_CONTROL_MESSAGE_COST + LEAST;
}

static void read_input(void)
{
    size_t size = proxy.credit - RUNNC_CONTROL_MESSAGE_COST;

    if (size > RUNNC_CONTROL_DATA_MAX) size = RUNNC_CONTROL_DATA_MAX;
    const long got = stdio_read(input.head.data, size);
    if (got < 0) return;
    if (got == 0) {
        proxy.closed[RUNNC_CONTROL_INPUT] = proxy.due.close[RUNNC_CONTROL_INPUT] = true;
        return;
    }
    proxy.credit -= (uint32_t)got + RUNNC_CONTROL_MESSAGE_COST;
    proxy.input = (size_t)got;
}

/* ---- from the guest ---- */

static void close_output(unsigned stream)
{
    if (proxy.closed[stream]) return;
    proxy.closed[stream] = true;
    output_of(stream)->length = 0;
    close((int)stream);
}

static void write_output(unsigned stream)
{
    const long put = output_write(output_of(stream), (int)stream);

    if (put < 0) {
        close_output(stream);
        proxy.due.close[stream] = true;
    } else {
        proxy.due.credit[stream] += (uint32_t)put;
    }
}

static void take_data(unsigned stream, size_t size)
{
    if (stream != RUNNC_CONTROL_OUTPUT && stream != RUNNC_CONTROL_ERROR) return;
    if (proxy.closed[stream]) return;
    if (!output_add(output_of(stream), incoming.head.data, size)) abandon();
    proxy.due.credit[stream] += RUNNC_CONTROL_MESSAGE_COST;
    write_output(stream);
}

static void take_close(unsigned stream)
{
    if (stream == RUNNC_CONTROL_INPUT) {
        proxy.closed[stream] = true;
        close(STDIN_FILENO);
    }
    /* Of outputs: their last bytes may still be ours to write, and the program may yet go on without them. */
}

/* As a shell gives it. */
static int status_of(uint32_t waited)
{
    const unsigned signal = waited & 0x7f;

    return signal != 0 ? (int)(128 + signal) : (int)(waited >> 8 & 0xff);
}

static void take_message(size_t size)
{
    const struct runnc_control *m = &incoming.head;

    switch (m->type) {
    case RUNNC_CONTROL_STARTED:
        if (!proxy.reported) report_started();
        proxy.reported = true;
        break;
    case RUNNC_CONTROL_FAILED:
        if (!proxy.reported) report_refused(m->stream, m->value);
        _exit(255);
    case RUNNC_CONTROL_DATA: take_data(m->stream, size - sizeof *m); break;
    case RUNNC_CONTROL_CLOSE: take_close(m->stream); break;
    case RUNNC_CONTROL_CREDIT:
        if (m->stream == RUNNC_CONTROL_INPUT && m->value <= RUNNC_CONTROL_WINDOW - proxy.credit) proxy.credit += m->value;
        break;
    case RUNNC_CONTROL_EXIT:
        proxy.ended = true;
        proxy.status = status_of(m->value);
        break;
    default: break;
    }
}

static void receive(void)
{
    while (!proxy.ended) {
        const ssize_t got = recv(proxy.broker, incoming.bytes, sizeof incoming, MSG_DONTWAIT | MSG_TRUNC);

        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) abandon();
        if ((size_t)got < sizeof incoming.head || (size_t)got > sizeof incoming) abandon();
        take_message((size_t)got);
    }
}

/* ---- signals ---- */

static int catch_signals(void)
{
    sigset_t all;

    /* A reader that goes is told by write(2). */
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void take_signal(uint32_t number)
{
    if (proxy.ended) _exit(proxy.status); /* only the last output is left, and somebody is tired of waiting */
    if (number == SIGCHLD) return;
    if (number == SIGWINCH && proxy.plan->terminal)
        proxy.due.resize = true;
    else
        proxy.due.signals |= 1ull << (number - 1);
}

static void take_signals(void)
{
    struct signalfd_siginfo info;

    while (read(proxy.signals, &info, sizeof info) == (ssize_t)sizeof info) take_signal(info.ssi_signo);
}

/* ---- the loop ---- */

/* `runnc exec` has written the pid down, or it is gone before that. */
static void take_acknowledgement(void)
{
    char byte;

    if (recv(REPORT_FD, &byte, 1, MSG_DONTWAIT) != 1) abandon();
    proxy.acknowledged = true;
    close(REPORT_FD);
}

static bool output_left(void)
{
    return proxy.outputs[0].length > 0 || proxy.outputs[1].length > 0;
}

enum { POLL_BROKER, POLL_SIGNALS, POLL_CHANNEL, POLL_REPORT, POLL_INPUT, POLL_OUTPUT, POLL_ERROR, POLLED };

static struct pollfd output_poll(unsigned stream)
{
    /* That nobody reads it any more comes unasked. */
    const short events = output_of(stream)->length > 0 ? POLLOUT : 0;

    return (struct pollfd){proxy.closed[stream] ? -1 : (int)stream, events, 0};
}

static void take_output_event(unsigned stream, short revents)
{
    if (revents == 0 || proxy.closed[stream]) return;
    if (output_of(stream)->length > 0) {
        write_output(stream);
    } else if (revents & (POLLERR | POLLHUP | POLLNVAL)) {
        close_output(stream);
        proxy.due.close[stream] = true;
    }
}

static void step(bool full)
{
    struct pollfd polled[POLLED] = {
        [POLL_BROKER] = {proxy.ended ? -1 : proxy.broker, POLLIN, 0},
        [POLL_SIGNALS] = {proxy.signals, POLLIN, 0},
        [POLL_CHANNEL] = {proxy.ended || !full ? -1 : CHANNEL_FD, POLLOUT, 0},
        [POLL_REPORT] = {proxy.acknowledged ? -1 : REPORT_FD, POLLIN, 0},
        [POLL_INPUT] = {may_read_input() && !full ? STDIN_FILENO : -1, POLLIN, 0},
        [POLL_OUTPUT] = output_poll(RUNNC_CONTROL_OUTPUT),
        [POLL_ERROR] = output_poll(RUNNC_CONTROL_ERROR),
    };

    if (poll(polled, POLLED, -1) < 0) return;
    if (polled[POLL_BROKER].revents) receive();
    if (polled[POLL_REPORT].revents) take_acknowledgement();
    if (polled[POLL_SIGNALS].revents) take_signals();
    take_output_event(RUNNC_CONTROL_OUTPUT, polled[POLL_OUTPUT].revents);
    take_output_event(RUNNC_CONTROL_ERROR, polled[POLL_ERROR].revents);
    if (polled[POLL_INPUT].revents && may_read_input()) read_input();
}

int proxy_run(const struct plan *plan, int broker_fd, uint64_t session)
{
    proxy.plan = plan;
    proxy.broker = broker_fd;
    proxy.session = session;
    proxy.credit = RUNNC_CONTROL_WINDOW;
    /* A terminal shows both on one descriptor. */
    if (plan->terminal) proxy.closed[RUNNC_CONTROL_ERROR] = true;
    /* Who has the master may have changed the size before we took signals. */
    proxy.due.resize = plan->terminal;
    stdio_prepare();
    proxy.signals = catch_signals();
    if (proxy.signals < 0) report_failure("signalfd");
    confine(plan, ROLE_PROXY);
    while (!proxy.ended || output_left()) {
        const enum sent sent = proxy.ended ? SENT : send_dues();
        if (sent == GONE) abandon();
        step(sent == FULL);
    }
    return proxy.status;
}
