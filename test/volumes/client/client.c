/*
 * The guest's end of the file server's protocol (unikernels/linux/fs/remote_rpc.c), compiled for the host, between
 * made-up tasks and a made-up server. Whatever can happen between two host calls happens by chance here: the server
 * answers at once, late, in another order or never again; the socket is full; time passes.
 *
 *   client SEED COUNT   so many scenarios, each in a process of its own (stage.c)
 *
 * Wrong is: to wait where nothing can come any more, a wrong reply, data of another request in the window, a number
 * of a file that the server still knows.
 */
#include <linux/eventpoll.h>

#include "boot/host_wait.h"
#include "fs/remote.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "stage.h"
#include "task/sched.h"
#include "task/task.h"
#include "time/timer_impl.h"

#define QUEUE 256u
#define FIDS 48u
#define OPERATIONS 60
#define REFUSED 1234 /* an errno of no other's */

static uint64_t state;

static uint64_t chance(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* ---- the server ---- */

struct queued {
    remote_request request;
    size_t len;
};

static struct {
    struct queued in[QUEUE];
    remote_reply out[QUEUE];
    unsigned in_count, out_count, in_max, out_max;
    remote_request slow[QUEUE]; /* begun, to be answered later */
    unsigned slow_count;
    bool known[FIDS];
    bool gone;
    bool edge;           /* epoll has something to tell */
    unsigned eagerness;  /* of 8: how readily it works while the guest does */
    unsigned refusals;
    uint8_t window[RUNNC_FILES_WINDOW_BYTES];
} server;

static void reply_to(const remote_request *request)
{
    remote_reply reply = {.tag = request->tag, .value = request->value + 1};

    if (request->op == FILES_HELLO) reply.value = FIDS;
    if (request->op == FILES_READ) memset(server.window + request->window, (uint8_t)request->value, request->size);
    if (request->op == FILES_GETATTR && request->value % 16 == 3) {
        reply.error = REFUSED;
        server.refusals++;
    }
    server.out[server.out_count++] = reply;
    server.edge = true;
}

static void begin(const remote_request *request)
{
    for (unsigned i = 0; i < ARRAY_SIZE(request->forget); i++) {
        if (request->forget[i] >= FIDS) wrong("a number that is none is forgotten");
        server.known[request->forget[i]] = false;
    }
    if (request->op == FILES_CLUNK) return;
    if (request->op == FILES_WALK) {
        if (request->new_fid == 0 || request->new_fid >= FIDS || server.known[request->new_fid])
            wrong("a number is given that the server still knows");
        server.known[request->new_fid] = true;
    }
    if (request->op == FILES_WRITE)
        for (uint64_t i = 0; i < request->size; i++)
            if (server.window[request->window + i] != (uint8_t)request->value) wrong("another's data is in the window");
    if ((request->op == FILES_READ || request->op == FILES_FSYNC) && chance(2))
        server.slow[server.slow_count++] = *request;
    else
        reply_to(request);
}

/* False: there is nothing that it could do. */
static bool server_step(void)
{
    if (server.gone || server.out_count == server.out_max) return false;
    if (server.slow_count && (!server.in_count || server.slow_count == QUEUE || chance(3) == 0)) {
        unsigned i = (unsigned)chance(server.slow_count);
        remote_request request = server.slow[i];
        server.slow[i] = server.slow[--server.slow_count];
        reply_to(&request);
        return true;
    }
    if (!server.in_count) return false;
    struct queued first = server.in[0];
    memmove(server.in, server.in + 1, --server.in_count * sizeof(server.in[0]));
    begin(&first.request);
    return true;
}

static void meanwhile(void)
{
    while (chance(8) < server.eagerness && server_step()) continue;
}

/* ---- the host ---- */

static struct host_source *source;
/* ---- pipes: none; who reads by them is no part of this ---- */

void remote_pipes(uint32_t channel, uint64_t usable)
{
    (void)channel;
    (void)usable;
}

void remote_pipe_give(struct window *w)
{
    (void)w;
    wrong("a pipe is given back");
}

ssize_t remote_pipe_to_iter(struct window *w, size_t want, struct iov_iter *to)
{
    (void)w;
    (void)want;
    (void)to;
    wrong("a pipe is read");
    return -EIO;
}

ssize_t copy_to_iter(struct iov_iter *to, const void *data, size_t len)
{
    (void)to;
    (void)data;
    (void)len;
    wrong("a program's memory is written");
    return -EFAULT;
}

static int64_t now;

const struct runnc_channel *host_channel(const char *name, uint32_t *tag)
{
    static struct runnc_channel channel = {.fd = 3, .window_size = RUNNC_FILES_WINDOW_BYTES};

    if (strcmp(name, RUNNC_FILES_CHANNEL)) wrong("another channel is asked for");
    channel.window = (uint64_t)server.window;
    *tag = 0;
    return &channel;
}

void host_source_register(struct host_source *s, uint32_t tag)
{
    s->tag = tag;
    s->ready = EPOLLIN | EPOLLOUT;
    wait_queue_init(&s->queue);
    source = s;
}

ssize_t host_write(int fd, const void *buf, size_t n)
{
    (void)fd;
    meanwhile();
    if (server.gone) return -EPIPE;
    if (server.in_count == server.in_max) return -EAGAIN;
    struct queued *last = &server.in[server.in_count++];
    memcpy(&last->request, buf, sizeof(last->request));
    last->len = n;
    if (n != sizeof(last->request) + last->request.name_len + last->request.name2_len) wrong("a message in pieces");
    meanwhile();
    return (ssize_t)n;
}

ssize_t host_read(int fd, void *buf, size_t n)
{
    (void)fd;
    meanwhile();
    if (!server.out_count) return server.gone ? 0 : -EAGAIN;
    memcpy(buf, server.out, n);
    memmove(server.out, server.out + 1, --server.out_count * sizeof(server.out[0]));
    return (ssize_t)n;
}

/* As epoll does: once for what has come since, if it was not read meanwhile. */
static bool event(void)
{
    bool is = server.edge && (server.out_count || server.gone);

    server.edge = false;
    return is;
}

bool host_wait(int64_t timeout_ns)
{
    if (timeout_ns == WAIT_FOREVER || chance(2))
        while (!(server.edge && server.out_count) && server_step()) continue;
    if (event()) {
        source->ready |= EPOLLIN;
        wake_up_events(&source->queue, EPOLLIN);
        return true;
    }
    if (timeout_ns == WAIT_FOREVER) wrong("the guest waits where nothing will come");
    now += timeout_ns;
    return false;
}

void host_log(const char *text, size_t n)
{
    (void)text;
    (void)n;
}

int64_t clock_monotonic(void)
{
    return now += 1000;
}

int64_t clock_realtime(void)
{
    return now;
}

int64_t deadline_after(int64_t ns)
{
    return now + ns;
}

/* ---- the rest of the kernel ---- */

void *kmalloc(size_t n)
{
    return memory(n);
}

void kfree(void *p)
{
    memory_free(p);
}

void panic(const char *fmt, ...)
{
    wrong(fmt);
}

void dcache_shrink(void) {}

bool remote_drop_ahead_of(const struct remote_inode *but)
{
    (void)but;
    return false;
}

/* ---- the scheduler ---- */

static struct task tasks[TASKS];
static unsigned atomic, alive;
struct task *current;

bool may_sleep(void)
{
    return current && !atomic;
}

void atomic_begin(void)
{
    atomic++;
}

void atomic_end(void)
{
    atomic--;
}

bool sched_contended(void)
{
    return chance(2);
}

void task_wake(struct task *t)
{
    if (t->state == TASK_SLEEPING) t->state = TASK_RUNNING;
}

void sleep_uninterruptible(void)
{
    if (atomic) wrong("a sleep where nothing may sleep");
    current->state = TASK_SLEEPING;
    stage_leave((unsigned)current->tid);
}

void wait_add(struct wait_queue *q, struct wait_entry *entry)
{
    list_add_tail(&q->entries, &entry->link);
}

void wait_remove(struct wait_entry *entry)
{
    if (entry->link.next) list_del(&entry->link);
}

void wait_wake_task(struct wait_entry *entry, uint32_t events)
{
    (void)events;
    task_wake(entry->task);
}

void wake_up_events(struct wait_queue *q, uint32_t events)
{
    struct wait_entry *e, *next;

    list_for_each_safe(e, next, &q->entries, link) e->wake(e, events);
}

static bool run_one(void)
{
    unsigned first = (unsigned)chance(TASKS);

    for (unsigned n = 0; n < TASKS; n++) {
        unsigned i = (first + n) % TASKS;
        if (tasks[i].state != TASK_RUNNING) continue;
        current = &tasks[i];
        stage_run(i);
        current = NULL;
        return true;
    }
    return false;
}

static void run_all(void)
{
    while (alive) {
        timers_run();
        if (chance(8) == 0) host_wait(0);
        if (run_one()) continue;
        int64_t deadline = timers_next();
        host_wait(deadline == WAIT_FOREVER ? WAIT_FOREVER : MAX(deadline - now, 0));
    }
}

/* ---- what tasks do ---- */

static unsigned told; /* of refusals */

static void failed(int error)
{
    if (error == REFUSED)
        told++;
    else if (error != EIO || !server.gone)
        wrong("another error than the server's");
}

static void check(int err, const remote_reply *reply, const remote_request *request)
{
    if (server.gone && err == -EIO) return;
    if (err == -REFUSED)
        told++;
    else if (err)
        wrong("an error that nobody gave");
    else if (reply->value != request->value + 1)
        wrong("another request's reply");
}

static void ask(uint16_t op)
{
    static const char letters[RUNNC_FILES_TARGET_MAX];
    remote_request request = {.op = op, .value = chance(1000)};
    struct qstr name = {.name = letters, .len = (uint32_t)chance(RUNNC_FILES_NAME_MAX) + 1};
    struct qstr name2 = {.name = letters, .len = (uint32_t)chance(RUNNC_FILES_TARGET_MAX) + 1};
    remote_reply reply;
    int err = rpc_call(&request, chance(2) ? &name : NULL, chance(4) ? NULL : &name2, &reply);

    check(err, &reply, &request);
}

/* As changes of a lasting root are told: nobody waits for any of them. */
static void tell_many(void)
{
    atomic_begin();
    for (uint64_t n = chance(300); n > 0; n--) {
        remote_request request = {.op = FILES_GETATTR, .value = chance(1000)};
        struct rpc *rpc = rpc_start(&request, NULL, NULL);
        if (rpc)
            rpc_forget(rpc, failed);
        else if (!server.gone)
            wrong("the server is said to be gone");
    }
    atomic_end();
}

static void write_data(void)
{
    remote_request request = {.op = FILES_WRITE, .value = chance(256)};
    struct window w;
    remote_reply reply;

    request.size = chance(may_sleep() ? 8 * WINDOW_UNIT : WINDOW_UNIT) + 1;
    if (!window_take(&w, request.size)) {
        if (!server.gone) wrong("no window, and the server is there");
        return;
    }
    request.window = window_offset(&w);
    memset(window_data(&w), (int)request.value, request.size);
    int err = rpc_call(&request, NULL, NULL, &reply);
    window_give(&w);
    check(err, &reply, &request);
}

static void read_data(void)
{
    remote_request request = {.op = FILES_READ, .value = chance(256), .size = WINDOW_UNIT};
    struct window w;
    remote_reply reply;

    if (!window_take_now(&w, request.size)) return;
    request.window = window_offset(&w);
    struct rpc *rpc = rpc_start(&request, NULL, NULL);
    if (rpc && chance(2)) {
        rpc_abandon(rpc, &w);
        return;
    }
    int err = rpc_wait(rpc, &reply);
    check(err, &reply, &request);
    if (!err && ((uint8_t *)window_data(&w))[chance(WINDOW_UNIT)] != (uint8_t)request.value)
        wrong("another's data was read");
    window_give(&w);
}

static void walk(void)
{
    uint32_t fids[8];
    unsigned count = 0;

    for (uint64_t n = chance(ARRAY_SIZE(fids)); n > 0; n--) {
        remote_request request = {.op = FILES_WALK, .value = chance(1000), .new_fid = fid_alloc()};
        remote_reply reply;
        if (!request.new_fid) break;
        int err = rpc_call(&request, NULL, NULL, &reply);
        check(err, &reply, &request);
        fids[count++] = request.new_fid;
    }
    while (count) fid_clunk(fids[--count]);
}

static void operation(void)
{
    switch (chance(8)) {
    case 0: tell_many(); break;
    case 1: write_data(); break;
    case 2: read_data(); break;
    case 3: walk(); break;
    case 4:
        atomic_begin();
        write_data();
        atomic_end();
        break;
    case 5:
        atomic_begin();
        ask(FILES_GETATTR);
        atomic_end();
        break;
    case 6: ask(FILES_FSYNC); break;
    default: ask(FILES_GETATTR);
    }
}

static void live(void)
{
    for (int n = 0; n < OPERATIONS; n++) operation();
    current->state = TASK_DEAD;
    alive--;
    stage_leave((unsigned)current->tid);
}

/* ---- a scenario ---- */

static void start_task(unsigned i)
{
    tasks[i].tid = (int)i;
    tasks[i].state = TASK_RUNNING;
    stage_task(i, live);
    alive++;
}

/* The server is gone in the midst of it, once nobody knows when. */
static void go(struct timer *timer)
{
    (void)timer;
    server.gone = server.edge = true;
}

void scenario(uint64_t seed)
{
    struct timer end;

    state = seed * 0x9e3779b97f4a7c15ull | 1;
    for (int i = 0; i < 8; i++) chance(2);
    server.in_max = 1 + (unsigned)chance(chance(2) ? 8 : QUEUE);
    server.out_max = 1 + (unsigned)chance(chance(2) ? 8 : QUEUE);
    server.eagerness = (unsigned)chance(9);
    for (unsigned i = 0; i < TASKS; i++) tasks[i].state = TASK_DEAD;
    timer_init(&end, go);
    if (remote_connect()) wrong("no connection");
    if (chance(4) == 0) timer_arm(&end, now + (int64_t)chance(20 * NSEC_PER_MSEC));
    for (unsigned i = 0, count = 1 + (unsigned)chance(TASKS); i < count; i++) start_task(i);
    run_all();
    timer_cancel(&end);
    if (server.gone) return;
    /* All that was begun ends, and then all of the window is free again. */
    while (server.in_count || server.slow_count || server.out_count) host_wait(NSEC_PER_MSEC);
    if (told != server.refusals) wrong("not everybody was told of a failure");
    alive = 0;
    for (uint32_t n = 0; n < RUNNC_FILES_WINDOW_BYTES / WINDOW_UNIT - 2; n++) {
        struct window w;
        static struct task nobody;
        current = &nobody;
        if (!window_take_now(&w, WINDOW_UNIT)) wrong("a part of the window was not given back");
    }
}
