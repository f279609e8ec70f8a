#include "control/stream.h"

#include <linux/eventpoll.h>

#include "entry/entry.h"
#include "fs/uio.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/uaccess.h"

#define BUFFER_PAGES (RUNNC_CONTROL_WINDOW / PAGE_SIZE)
#define GIVE_BACK (RUNNC_CONTROL_WINDOW / 4)
/* Bytes of output that are worth a message. */
#define LEAST 512u

struct attachment {
    struct poll_table table;
    struct stream *stream;
};

static void stream_event(struct wait_entry *entry, uint32_t events)
{
    (void)entry;
    (void)events;
    pending_work |= WORK_CONTROL;
}

static void attach(struct poll_table *table, struct wait_queue *queue)
{
    struct stream *s = container_of(table, struct attachment, table)->stream;

    ASSERT(s->n_waits < STREAM_QUEUES);
    struct wait_entry *entry = &s->waits[s->n_waits++];
    entry->wake = stream_event;
    wait_add(queue, entry);
}

void stream_open(struct stream *s, struct file *file)
{
    struct attachment attachment = {.table.queue = attach, .stream = s};

    s->file = file;
    file->f_op->poll(file, &attachment.table);
    pending_work |= WORK_CONTROL;
}

void stream_close(struct stream *s)
{
    for (unsigned i = 0; i < s->n_waits; i++) wait_remove(&s->waits[i]);
    s->n_waits = 0;
    if (s->file) file_put(s->file);
    s->file = NULL;
    if (s->buf) page_free(s->buf, BUFFER_PAGES);
    s->buf = NULL;
    s->len = 0;
}

void stream_take(struct stream *s, const void *data, size_t size)
{
    if (!s->file || s->last || size > RUNNC_CONTROL_WINDOW - s->len) return;
    if (!s->buf) s->buf = page_alloc(BUFFER_PAGES);
    if (!s->buf) {
        /* Half of the input would be worse than none. */
        stream_close(s);
        s->close_due = true;
        return;
    }
    uint32_t at = (s->head + s->len) % RUNNC_CONTROL_WINDOW;
    size_t first = MIN(size, RUNNC_CONTROL_WINDOW - at);
    memcpy(s->buf + at, data, first);
    memcpy(s->buf, (const char *)data + first, size - first);
    s->len += (uint32_t)size;
    s->credit += RUNNC_CONTROL_MESSAGE_COST;
}

void stream_feed(struct stream *s)
{
    while (s->file && s->len) {
        /* A write to a pipe without readers would send SIGPIPE to whoever runs now. */
        if (s->file->f_op->poll(s->file, NULL) & EPOLLERR) {
            stream_close(s);
            s->close_due = true;
            return;
        }
        struct kiocb kiocb = {.file = s->file, .nonblock = true};
        struct iov_iter from;
        iov_iter_kernel(&from, s->buf + s->head, MIN(s->len, RUNNC_CONTROL_WINDOW - s->head));
        int64_t put = s->file->f_op->write(&kiocb, &from);
        if (put <= 0) return;
        s->head = (s->head + (uint32_t)put) % RUNNC_CONTROL_WINDOW;
        s->len -= (uint32_t)put;
        s->credit += (uint32_t)put;
    }
    if (s->file && s->last) stream_close(s);
}

uint32_t stream_freed(struct stream *s)
{
    if (!s->file || s->last || (s->credit < GIVE_BACK && s->len) || !s->credit) return 0;
    uint32_t freed = s->credit;
    s->credit = 0;
    return freed;
}

size_t stream_may_send(const struct stream *s, size_t max)
{
    if (s->discard) return max;
    return s->credit < RUNNC_CONTROL_MESSAGE_COST + LEAST ? 0 : MIN(max, s->credit - RUNNC_CONTROL_MESSAGE_COST);
}

void stream_sent(struct stream *s, size_t size)
{
    if (!s->discard) s->credit -= (uint32_t)size + RUNNC_CONTROL_MESSAGE_COST;
}

size_t stream_fetch(struct stream *s, void *buf, size_t size)
{
    size = s->file ? stream_may_send(s, size) : 0;
    if (!size) return 0;
    struct kiocb kiocb = {.file = s->file, .nonblock = true};
    struct iov_iter to;
    iov_iter_kernel(&to, buf, size);
    int64_t got = s->file->f_op->read(&kiocb, &to);
    s->drained = got <= 0;
    if (got == -EAGAIN) return 0;
    if (got <= 0) {
        stream_close(s);
        s->close_due = true;
        return 0;
    }
    stream_sent(s, (size_t)got);
    return (size_t)got;
}
