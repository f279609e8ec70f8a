/*
 * Requests to the file server and their replies.
 *
 * A request has a slot until its reply is taken. Who needs the reply sleeps; the
 * channel is read when epoll says so, whoever runs then, and each reply wakes its
 * task. Nothing else is kept of a request: the server answers all, or is gone, and
 * then everything that is asked gives EIO.
 */
#include <linux/eventpoll.h>

#include "boot/host_wait.h"
#include "fs/remote.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/sched.h"
#include "task/task.h"
#include "time/timer.h"

#define SLOTS 128u
#define SLOTS_ATOMIC 8u /* of them for those who cannot wait for a free one */
#define FIDS_MAX 32768u
#define UNITS (RUNNC_FILES_WINDOW_BYTES / WINDOW_UNIT)
#define UNITS_ATOMIC 2u /* the last ones likewise */
#define FORGET_MAX (sizeof(((remote_request *)0)->forget) / sizeof(uint32_t)) /* with one request */
/* A reply mostly takes less: as long as others want the processor it is not given away. */
#define SPIN_NS 30000

_Static_assert(UNITS == 64, "the units in use are the bits of a word");

struct rpc {
    uint32_t tag;
    bool used, done, abandoned;
    struct task *waiter;
    struct window window; /* of an abandoned one */
    void (*failed)(int error);
    remote_reply reply;
};

/* A message that did not fit into the socket: those that nobody waits for. */
struct unsent {
    struct list link;
    remote_request request;
};

static struct {
    const struct runnc_channel *channel; /* NULL: not opened yet, or gone */
    uint8_t *window; /* stays when the server is gone: replies that came before are taken out of it */
    struct host_source source;
    struct wait_entry source_entry;
    struct rpc slots[SLOTS];
    unsigned used;
    uint32_t generation, sequence;
    struct wait_queue room; /* a slot or a part of the window became free */
    struct list unsent;
    uint64_t units; /* bit n: unit n is in use */
    uint32_t forget[FORGET_MAX]; /* fids that the server has not been told to forget yet */
    unsigned forget_count;
    struct timer clunk_timer;
    uint32_t fid_limit, fid_next, fids_used;
    uint64_t fids[FIDS_MAX / 64];
} files;

/* ---- the channel ---- */

static void server_gone(void)
{
    if (!files.channel) return;
    host_log("runnc: the file server is gone: files of mounted folders give I/O errors\n", 73);
    files.channel = NULL;
    for (struct rpc *rpc = files.slots; rpc < files.slots + SLOTS; rpc++) {
        if (!rpc->used || rpc->done) continue;
        rpc->reply = (remote_reply){.error = EIO};
        rpc->done = true;
        if (rpc->waiter) task_wake(rpc->waiter);
    }
    wake_up(&files.room);
}

static void slot_free(struct rpc *rpc)
{
    rpc->used = false;
    files.used--;
    wake_up(&files.room);
}

static void take_reply(const remote_reply *reply)
{
    struct rpc *rpc = &files.slots[reply->tag % SLOTS];

    if (!rpc->used || rpc->done || rpc->tag != reply->tag) return;
    rpc->reply = *reply;
    rpc->reply.pad = ++files.sequence; /* the order of the server's doing */
    rpc->done = true;
    if (rpc->abandoned) {
        if (reply->error && rpc->failed) rpc->failed((int)MIN(reply->error, (uint32_t)MAX_ERRNO));
        window_filled(&rpc->window, reply, SIZE_MAX);
        window_give(&rpc->window);
        slot_free(rpc);
    } else if (rpc->waiter) {
        task_wake(rpc->waiter);
    }
}

/* All replies that are there. */
static void receive(void)
{
    remote_reply reply;

    while (files.channel) {
        ssize_t n = host_read(files.channel->fd, &reply, sizeof(reply));
        if (n == -EAGAIN) {
            files.source.ready &= ~(uint32_t)EPOLLIN;
            return;
        }
        if (n != (ssize_t)sizeof(reply)) {
            server_gone();
            return;
        }
        take_reply(&reply);
    }
}

/* Sends what could not be sent before. False: there is still something. */
static bool flush_unsent(void)
{
    while (!list_empty(&files.unsent)) {
        struct unsent *message = list_first(&files.unsent, struct unsent, link);
        if (files.channel) {
            ssize_t n = host_write(files.channel->fd, &message->request, sizeof(message->request));
            if (n == -EAGAIN) return false;
            if (n < 0) server_gone();
        }
        list_del(&message->link);
        kfree(message);
    }
    return true;
}

/*
 * Waits for replies where nothing else may run. The host tells once that some have come: those that are there are
 * taken before it is asked to wait, and may be all there are.
 */
#define wait_in_place(condition)                   \
    while (!(condition)) {                         \
        receive();                                 \
        if (!(condition)) host_wait(WAIT_FOREVER); \
    }

static void channel_event(struct wait_entry *entry, uint32_t events)
{
    (void)entry;
    (void)events;
    receive();
}

/* Epoll does not tell when there is room in the socket: each request would wake us once more. It is hardly ever full. */
#define RETRY_NS (1 * NSEC_PER_MSEC)

static void retry_later(void)
{
    timer_cancel(&files.clunk_timer);
    timer_arm(&files.clunk_timer, clock_monotonic() + RETRY_NS);
}

/*
 * Numbers that the server is to forget go with what is really sent next: one who waits for room may be overtaken, and
 * who overtakes him may use them again.
 */
static ssize_t write_request(uint8_t *message, size_t len)
{
    uint8_t *forget = message + offsetof(remote_request, forget);

    memset(forget, 0, FORGET_MAX * sizeof(files.forget[0]));
    memcpy(forget, files.forget, files.forget_count * sizeof(files.forget[0]));
    ssize_t n = host_write(files.channel->fd, message, len);
    if (n >= 0) files.forget_count = 0;
    return n;
}

static int send(uint8_t *message, size_t len)
{
    for (;;) {
        if (flush_unsent()) {
            if (!files.channel) return -EIO;
            ssize_t n = write_request(message, len);
            if (n >= 0) return 0;
            if (n != -EAGAIN) {
                server_gone();
                return -EIO;
            }
        }
        receive();
        if (may_sleep()) {
            retry_later();
            struct wait_entry entry = {.wake = wait_wake_task, .task = current};
            wait_add(&files.room, &entry);
            sleep_uninterruptible();
            wait_remove(&entry);
        } else {
            host_wait(RETRY_NS);
        }
    }
}

/* ---- the window ---- */

void *window_data(const struct window *w)
{
    return files.window + window_offset(w);
}

static uint64_t unit_mask(uint32_t first, uint32_t units)
{
    return (units >= 64 ? ~0ull : (1ull << units) - 1) << first;
}

static bool window_try(struct window *w, uint32_t units)
{
    uint32_t first = may_sleep() ? 0 : UNITS - UNITS_ATOMIC, end = may_sleep() ? UNITS - UNITS_ATOMIC : UNITS;

    for (; first + units <= end; first++) {
        if (files.units & unit_mask(first, units)) continue;
        files.units |= unit_mask(first, units);
        *w = (struct window){.first = first, .units = units};
        return true;
    }
    return false;
}

static uint32_t units_for(size_t bytes)
{
    return MAX((uint32_t)((bytes + WINDOW_UNIT - 1) / WINDOW_UNIT), 1u);
}

bool window_take_now(struct window *w, size_t bytes)
{
    return files.channel && window_try(w, units_for(bytes));
}

bool window_take(struct window *w, size_t bytes)
{
    uint32_t units = units_for(bytes);

    while (files.channel) {
        if (window_try(w, units)) return true;
        if (!may_sleep()) panic("the file server's window is used twice in place");
        if (remote_drop_ahead_of(NULL)) continue;
        struct wait_entry entry = {.wake = wait_wake_task, .task = current};
        wait_add(&files.room, &entry);
        sleep_uninterruptible();
        wait_remove(&entry);
    }
    return false;
}

size_t window_filled(struct window *w, const remote_reply *reply, size_t size)
{
    size_t got = reply->error ? 0 : MIN(reply->value, size);

    w->piped = w->pipe && !reply->error && reply->value2 ? got : 0;
    return got;
}

ssize_t window_to_iter(struct window *w, size_t skip, size_t want, struct iov_iter *to)
{
    if (w->piped) return remote_pipe_to_iter(w, want, to);
    return copy_to_iter(to, (uint8_t *)window_data(w) + skip, want);
}

void window_give(struct window *w)
{
    if (!w->units) return;
    if (w->pipe) remote_pipe_give(w);
    files.units &= ~unit_mask(w->first, w->units);
    w->units = 0;
    wake_up(&files.room);
}

/* ---- requests ---- */

static struct rpc *slot_take(void)
{
    if (may_sleep())
        wait_uninterruptible(&files.room, files.used < SLOTS - SLOTS_ATOMIC || !files.channel);
    else
        wait_in_place(files.used < SLOTS || !files.channel);
    if (!files.channel) return NULL;
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct rpc *rpc = &files.slots[i];
        if (rpc->used) continue;
        *rpc = (struct rpc){.used = true, .tag = ++files.generation * SLOTS + i};
        files.used++;
        return rpc;
    }
    return NULL;
}

struct rpc *rpc_start(remote_request *request, const struct qstr *name, const struct qstr *name2)
{
    static uint8_t message[RUNNC_FILES_REQUEST_MAX];
    size_t len = sizeof(*request);

    if (!files.channel) return NULL;
    struct rpc *rpc = slot_take();
    if (!rpc) return NULL;
    request->tag = rpc->tag;
    request->name_len = name ? (uint16_t)name->len : 0;
    request->name2_len = name2 ? (uint16_t)name2->len : 0;
    if (name || name2) {
        uint8_t own[1024], *buf = len + request->name_len + request->name2_len <= sizeof(own) ? own : message;
        /* One who waits for room in the socket keeps his message: long ones alone are in one place, and wait in place. */
        memcpy(buf, request, len);
        if (name) memcpy(buf + len, name->name, name->len);
        len += request->name_len;
        if (name2) memcpy(buf + len, name2->name, name2->len);
        len += request->name2_len;
        if (buf == message) atomic_begin();
        int err = send(buf, len);
        if (buf == message) atomic_end();
        if (!err) return rpc;
    } else if (!send((uint8_t *)request, len)) {
        return rpc;
    }
    slot_free(rpc);
    return NULL;
}

bool rpc_done(const struct rpc *rpc)
{
    return rpc->done;
}

static void wait_for(struct rpc *rpc)
{
    if (!may_sleep()) {
        wait_in_place(rpc->done);
        return;
    }
    if (!rpc->done && sched_contended()) {
        int64_t until = clock_monotonic() + SPIN_NS;
        do receive();
        while (!rpc->done && clock_monotonic() < until);
    }
    rpc->waiter = current;
    while (!rpc->done) sleep_uninterruptible();
    rpc->waiter = NULL;
}

int rpc_wait(struct rpc *rpc, remote_reply *reply)
{
    if (!rpc) {
        *reply = (remote_reply){.error = EIO};
        return -EIO;
    }
    wait_for(rpc);
    *reply = rpc->reply;
    slot_free(rpc);
    /* A server that says what no call does could make the kernel believe in a pointer. */
    return reply->error > MAX_ERRNO ? -EIO : -(int)reply->error;
}

void rpc_abandon(struct rpc *rpc, const struct window *w)
{
    rpc->window = *w;
    if (rpc->done) {
        window_filled(&rpc->window, &rpc->reply, SIZE_MAX);
        window_give(&rpc->window);
        slot_free(rpc);
    } else {
        rpc->abandoned = true;
    }
}

void rpc_forget(struct rpc *rpc, void (*failed)(int error))
{
    const struct window none = {0};

    rpc->failed = failed;
    if (rpc->done && rpc->reply.error) failed((int)MIN(rpc->reply.error, (uint32_t)MAX_ERRNO));
    rpc_abandon(rpc, &none);
}

int rpc_call(remote_request *request, const struct qstr *name, const struct qstr *name2, remote_reply *reply)
{
    return rpc_wait(rpc_start(request, name, name2), reply);
}

/* ---- numbers of files ---- */

static uint32_t fid_find(void)
{
    for (uint32_t tried = 0; tried < files.fid_limit; tried++) {
        uint32_t fid = files.fid_next++ % files.fid_limit;
        if (files.fid_next >= files.fid_limit) files.fid_next = 0;
        if (!fid || files.fids[fid / 64] >> fid % 64 & 1) continue;
        files.fids[fid / 64] |= 1ull << fid % 64;
        files.fids_used++;
        return fid;
    }
    return 0;
}

uint32_t fid_alloc(void)
{
    if (!files.channel) return 0;
    /* Names that nobody uses hold numbers. */
    if (files.fids_used + 1 >= files.fid_limit) dcache_shrink();
    return files.fids_used + 1 >= files.fid_limit ? 0 : fid_find();
}

void fid_unused(uint32_t fid)
{
    if (!fid) return;
    files.fids[fid / 64] &= ~(1ull << fid % 64);
    files.fids_used--;
}

/* With the next request, or soon: messages of their own would wake the server for next to nothing. */
#define CLUNK_DELAY_NS (10 * NSEC_PER_MSEC)

static void send_clunk(void)
{
    remote_request request = {.op = FILES_CLUNK};

    if (!files.forget_count || !files.channel) return;
    memcpy(request.forget, files.forget, files.forget_count * sizeof(files.forget[0]));
    files.forget_count = 0;
    if (list_empty(&files.unsent)) {
        ssize_t n = host_write(files.channel->fd, &request, sizeof(request));
        if (n >= 0) return;
        if (n != -EAGAIN) {
            server_gone();
            return;
        }
    }
    struct unsent *message = kmalloc(sizeof(*message));
    if (!message) return; /* the server goes on knowing them: numbers that are given again are refused */
    message->request = request;
    list_add_tail(&files.unsent, &message->link);
    retry_later();
}

static void clunk_later(struct timer *timer)
{
    (void)timer;
    if (flush_unsent())
        send_clunk();
    else
        retry_later();
    wake_up(&files.room);
}

void fid_clunk(uint32_t fid)
{
    if (!fid) return;
    fid_unused(fid);
    if (!files.channel) return;
    if (files.forget_count == FORGET_MAX) send_clunk();
    if (!files.forget_count) {
        timer_cancel(&files.clunk_timer);
        timer_arm(&files.clunk_timer, clock_monotonic() + CLUNK_DELAY_NS);
    }
    files.forget[files.forget_count++] = fid;
}

/* ---- the beginning, and the end ---- */

bool remote_is_gone(void)
{
    return !files.channel;
}

int remote_connect(void)
{
    remote_request hello = {.op = FILES_HELLO, .value = RUNNC_FILES_VERSION};
    remote_reply reply;
    uint32_t tag;

    if (files.channel) return 0;
    wait_queue_init(&files.room);
    list_init(&files.unsent);
    timer_init(&files.clunk_timer, clunk_later);
    files.channel = host_channel(RUNNC_FILES_CHANNEL, &tag);
    if (!files.channel || files.channel->window_size < RUNNC_FILES_WINDOW_BYTES) return -ENODEV;
    files.window = (uint8_t *)files.channel->window;
    host_source_register(&files.source, tag);
    files.source_entry.wake = channel_event;
    wait_add(&files.source.queue, &files.source_entry);
    int err = rpc_call(&hello, NULL, NULL, &reply);
    if (err) return err;
    files.fid_limit = (uint32_t)MIN(reply.value, FIDS_MAX);
    remote_pipes(tag - RUNNC_EPOLL_CHANNEL, reply.value3);
    return 0;
}
