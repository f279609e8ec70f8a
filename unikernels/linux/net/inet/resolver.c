/*
 * The name server on the loopback of the container's network namespace: Docker has one on 127.0.0.11 in the networks
 * that users define. That loopback is not the guest's, so the runtime gives a UDP socket that is connected to the
 * server (the channel "resolver"), and this file stands in for the server at its address.
 *
 * The one socket carries everybody's questions: each gets an identifier of its own on its way out, by which the
 * answer finds back. Questions over TCP go the same way, and say that their answer may be long (EDNS, RFC 6891).
 */
#include "net/inet/resolver.h"

#include <linux/eventpoll.h>

#include "boot/config.h"
#include "boot/host.h"
#include "lib/random.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "net/inet/tcp.h"
#include "time/timer.h"

#define DNS_PORT 53
#define DNS_HEADER 12u
#define QUESTIONS 256u      /* under way at once; beyond that the oldest is lost. Its number is half of an identifier */
#define QUESTION_MAX 4096u  /* bytes */
#define ANSWER_MAX 65536u
#define STREAM_QUESTIONS 16u /* of one connection under way */
#define STREAM_BACKLOG 65536u /* bytes of answers that its program has not read */
#define OPT_BYTES 11u

struct question {
    bool open;
    uint16_t id, wire_id;
    ip_addr_t from; /* of a datagram */
    uint16_t from_port;
    struct stream *stream; /* or of a connection */
};

/* A program's connection, from the server's end. */
struct stream {
    struct tcp_sock *sock;
    struct wait_entry event;
    struct timer work;
    uint32_t under_way;
    size_t have; /* bytes in data: the length in front, then the question */
    uint8_t data[2 + QUESTION_MAX + OPT_BYTES];
};

static struct {
    bool present;
    ip_addr_t address;
    int fd;
    struct host_source source;
    struct wait_entry readable;
    struct question questions[QUESTIONS];
    uint32_t next;
} resolver;

static uint8_t answer[2 + ANSWER_MAX]; /* room for the length that it has in a stream */

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

bool resolver_is(const ip_addr_t *to, uint16_t to_port)
{
    return resolver.present && to_port == DNS_PORT && ip_addr_cmp(to, &resolver.address);
}

/* ---- questions ---- */

static void forget(struct question *q)
{
    if (q->stream) q->stream->under_way--;
    *q = (struct question){.open = false};
}

/* Changes the identifier in data. */
static struct question *ask(uint8_t *data, size_t len)
{
    const uint32_t index = resolver.next++ % QUESTIONS;
    struct question *q = &resolver.questions[index];
    uint8_t unpredictable;

    forget(q);
    random_bytes(&unpredictable, sizeof(unpredictable));
    q->id = get16(data);
    q->wire_id = (uint16_t)(unpredictable << 8 | index);
    q->open = true;
    put16(data, q->wire_id);
    ssize_t n = host_write(resolver.fd, data, len);
    /* What an earlier one met is told with this one, which was not sent. */
    if (n < 0 && n != -EAGAIN) (void)host_write(resolver.fd, data, len);
    return q;
}

void resolver_send(const ip_addr_t *from, uint16_t from_port, void *data, size_t len)
{
    if (len < DNS_HEADER || len > QUESTION_MAX) return;
    struct question *q = ask(data, len);
    q->from = *from;
    q->from_port = from_port;
}

static void answered(size_t len)
{
    uint8_t *data = answer + 2;
    if (len < DNS_HEADER) return;
    struct question *q = &resolver.questions[get16(data) % QUESTIONS];

    if (!q->open || q->wire_id != get16(data)) return;
    put16(data, q->id);
    if (q->stream) {
        put16(answer, (uint16_t)len);
        tcp_local_push(q->stream->sock, answer, len + 2);
        timer_arm(&q->stream->work, 0);
    } else {
        udp_deliver_local(&resolver.address, DNS_PORT, &q->from, q->from_port, data, len);
    }
    forget(q);
}

static void on_readable(struct wait_entry *entry, uint32_t events)
{
    (void)entry;
    if (!(events & EPOLLIN)) return;
    for (uint32_t i = 0; i < 4 * QUESTIONS; i++) {
        ssize_t n = host_read(resolver.fd, answer + 2, ANSWER_MAX);
        if (n == -EAGAIN) break;
        if (n > 0) answered((size_t)n); /* else what a question met: nobody listens there */
    }
    resolver.source.ready &= ~(uint32_t)EPOLLIN;
}

/* ---- connections ---- */

static void stream_end(struct stream *stream)
{
    for (uint32_t i = 0; i < QUESTIONS; i++)
        if (resolver.questions[i].stream == stream) forget(&resolver.questions[i]);
    wait_remove(&stream->event);
    timer_cancel(&stream->work);
    tcp_sock_free(stream->sock);
    kfree(stream);
}

/* Says behind the question how long a datagram may be, unless the program did. Returns its length. */
static size_t allow_long_answer(uint8_t *data, size_t len)
{
    static const uint8_t opt[OPT_BYTES] = {0, 0, 41, QUESTION_MAX >> 8, QUESTION_MAX & 0xff};
    const uint16_t additional = get16(data + 10);

    if (additional) return len;
    put16(data + 10, 1);
    memcpy(data + len, opt, OPT_BYTES);
    return len + OPT_BYTES;
}

/* False: the program says what cannot be, or has gone. */
static bool stream_read(struct stream *stream)
{
    while (stream->under_way < STREAM_QUESTIONS && tcp_local_unread(stream->sock) < STREAM_BACKLOG) {
        const size_t len = stream->have < 2 ? 0 : get16(stream->data), want = 2 + len;
        if (stream->have >= 2 && (len < DNS_HEADER || len > QUESTION_MAX)) return false;
        if (stream->have < want) {
            size_t n = tcp_local_pull(stream->sock, stream->data + stream->have, want - stream->have);
            if (n == 0) return !tcp_local_ended(stream->sock) || stream->under_way > 0;
            stream->have += n;
            continue;
        }
        stream->have = 0;
        ask(stream->data + 2, allow_long_answer(stream->data + 2, len))->stream = stream;
        stream->under_way++;
    }
    return true;
}

static void stream_work(struct timer *timer)
{
    struct stream *stream = container_of(timer, struct stream, work);

    if (!stream->sock->peer || !stream_read(stream)) stream_end(stream);
}

/* Not here: whoever wakes us is in the middle of something with the socket. */
static void stream_event(struct wait_entry *entry, uint32_t events)
{
    (void)events;
    timer_arm(&container_of(entry, struct stream, event)->work, 0);
}

int resolver_connect(struct tcp_sock *caller)
{
    struct stream *stream = kzalloc(sizeof(*stream));
    struct tcp_sock *sock = stream ? tcp_sock_new(AF_INET) : NULL;

    if (!sock) {
        kfree(stream);
        return -ENOMEM;
    }
    tcp_local_join(caller, sock);
    stream->sock = sock;
    timer_init(&stream->work, stream_work);
    stream->event.wake = stream_event;
    wait_add(&sock->inet.base.wait, &stream->event);
    return 0;
}

/* ---- boot ---- */

void resolver_init(void)
{
    const struct runnc_record *record = boot_record_next(RUNNC_REC_NETRESOLVER, NULL);
    uint32_t tag;
    const struct runnc_channel *channel = host_channel("resolver", &tag);

    if (!record || !channel) return;
    resolver.address = *IP4_ADDR_ANY;
    memcpy(&resolver.address.u_addr.ip4.addr, record->data, 4);
    resolver.fd = channel->fd;
    resolver.present = true;
    host_source_register(&resolver.source, tag);
    resolver.readable.wake = on_readable;
    wait_add(&resolver.source.queue, &resolver.readable);
}
