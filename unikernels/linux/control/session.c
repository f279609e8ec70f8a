#include "control/session.h"

#include <linux/signal.h>

#include "console/pty.h"
#include "control/channel.h"
#include "entry/entry.h"
#include "lib/string.h"
#include "mm/kmalloc.h"

/* Of what a program's children write after its end, so much at most is taken for its own. */
#define LEFT_MAX (2u << 20)

struct list sessions = {&sessions, &sessions};

static struct session *find(uint64_t id)
{
    struct session *s;

    list_for_each(s, &sessions, link)
        if (s->id == id) return s;
    return NULL;
}

static void fail(struct session *s, int stage, int error)
{
    s->failed_due = true;
    s->stage = stage;
    s->error = error;
}

/* ---- what the runtime says ---- */

static struct session *session_new(uint64_t id)
{
    struct session *s = kzalloc(sizeof *s);

    if (!s) return NULL;
    s->id = id;
    s->streams[RUNNC_CONTROL_OUTPUT].credit = s->streams[RUNNC_CONTROL_ERROR].credit = RUNNC_CONTROL_WINDOW;
    list_add_tail(&sessions, &s->link);
    return s;
}

/* It is all there at once, and goes out as the output of a program does. */
static int answer_question(struct session *s)
{
    int err = answer_make(&s->answer, s->request.ask);

    request_free(&s->request);
    if (err) return err;
    s->started_due = s->exit_due = true;
    pending_work |= WORK_CONTROL;
    return 0;
}

/* Without memory for a session nothing can be said of it: the runtime's own time runs out. */
static void open_part(struct session *s, uint64_t id, const struct runnc_control *m, size_t size)
{
    if (!s) s = session_new(id);
    if (!s || s->process || s->failed_due || s->exit_due) return;
    int err = request_add(&s->request, m->data, size);
    if (!err && m->value) {
        err = request_check(&s->request);
        if (!err) err = s->request.ask ? answer_question(s) : session_launch(s);
    }
    if (err) fail(s, RUNNC_CONTROL_STAGE_SETUP, err);
}

static void resize(struct session *s, const struct runnc_control *m, size_t size)
{
    struct runnc_control_size window;
    struct file *master = s->streams[RUNNC_CONTROL_OUTPUT].file;

    if (size != sizeof window || !s->terminal || !master) return;
    memcpy(&window, m->data, sizeof window);
    struct winsize ws = {window.rows, window.columns, window.xpixel, window.ypixel};
    pty_resize(master, &ws);
}

static void close_stream(struct session *s, unsigned n)
{
    if (n == RUNNC_CONTROL_INPUT)
        s->streams[n].last = true;
    else
        stream_close(&s->streams[n]);
}

/* Nobody is at the other end any more. A terminal goes; what else is written goes nowhere, as to /dev/null. */
static void detach(struct session *s)
{
    s->id = 0;
    s->started_due = s->failed_due = s->exit_due = false;
    if (!s->process) request_free(&s->request); /* else it may be reading it */
    s->streams[RUNNC_CONTROL_INPUT].last = true;
    answer_free(&s->answer);
    for (unsigned n = 0; n < RUNNC_CONTROL_STREAMS; n++) {
        s->streams[n].close_due = false;
        s->streams[n].discard = true;
        if (s->terminal || n == RUNNC_CONTROL_INPUT) stream_close(&s->streams[n]);
    }
}

static void hang_up(struct session *s)
{
    if (s->process) signal_send_process(s->process, SIGKILL);
    detach(s);
}

void sessions_hang_up(void)
{
    struct session *s;

    list_for_each(s, &sessions, link)
        if (s->id) hang_up(s);
}

void session_message(const struct runnc_control *m, size_t size)
{
    struct session *s = find(m->session);
    bool stream_known = m->stream < RUNNC_CONTROL_STREAMS;

    if (m->type == RUNNC_CONTROL_OPEN) {
        open_part(s, m->session, m, size);
        return;
    }
    if (!s) return;
    switch (m->type) {
    case RUNNC_CONTROL_SIGNAL:
        if (s->process && m->value >= 1 && m->value <= SIG_COUNT) signal_send_process(s->process, (int)m->value);
        break;
    case RUNNC_CONTROL_RESIZE: resize(s, m, size); break;
    case RUNNC_CONTROL_HANGUP: hang_up(s); break;
    case RUNNC_CONTROL_DATA:
        if (m->stream == RUNNC_CONTROL_INPUT) stream_take(&s->streams[m->stream], m->data, size);
        break;
    case RUNNC_CONTROL_CLOSE:
        if (stream_known) close_stream(s, m->stream);
        break;
    case RUNNC_CONTROL_CREDIT:
        if (stream_known && m->stream != RUNNC_CONTROL_INPUT)
            s->streams[m->stream].credit =
                (uint32_t)MIN((uint64_t)s->streams[m->stream].credit + m->value, RUNNC_CONTROL_WINDOW);
        break;
    default: break;
    }
}

/* ---- what there is to say ---- */

static bool say(struct session *s, unsigned type, unsigned stream, uint32_t value)
{
    if (!channel_ready()) return false;
    channel_send(type, stream, value, s->id, 0);
    return true;
}

/* False also where the channel is not ready: it comes again. */
static bool output_work(struct session *s, unsigned n)
{
    struct stream *stream = &s->streams[n];

    if (!channel_ready()) return false;
    size_t got = stream_fetch(stream, channel_buffer(), RUNNC_CONTROL_DATA_MAX);
    if (s->exit_due) s->sent_after_exit += (uint32_t)got;
    if (!got) {
        if (!stream->close_due || !s->id) return false;
        stream->close_due = false;
        return say(s, RUNNC_CONTROL_CLOSE, n, 0);
    }
    if (s->id) channel_send(RUNNC_CONTROL_DATA, n, 0, s->id, got);
    return true;
}

/* The same for an answer: whoever waits for it has room, or gives credit when he has. */
static bool answer_work(struct session *s)
{
    struct stream *stream = &s->streams[RUNNC_CONTROL_OUTPUT];

    if (s->started_due || !channel_ready()) return false;
    size_t got = answer_fetch(&s->answer, channel_buffer(), stream_may_send(stream, RUNNC_CONTROL_DATA_MAX));
    if (!got) return false;
    stream_sent(stream, got);
    channel_send(RUNNC_CONTROL_DATA, RUNNC_CONTROL_OUTPUT, 0, s->id, got);
    return true;
}

static bool input_work(struct session *s)
{
    struct stream *stream = &s->streams[RUNNC_CONTROL_INPUT];

    stream_feed(stream);
    if (!channel_ready()) return false;
    if (stream->close_due) {
        stream->close_due = false;
        return say(s, RUNNC_CONTROL_CLOSE, RUNNC_CONTROL_INPUT, 0);
    }
    uint32_t freed = stream_freed(stream);
    return freed && say(s, RUNNC_CONTROL_CREDIT, RUNNC_CONTROL_INPUT, freed);
}

/* All that the program wrote before its end is on its way. */
static bool output_is_sent(const struct session *s)
{
    if (!answer_is_sent(&s->answer)) return false;
    for (unsigned n = RUNNC_CONTROL_OUTPUT; n <= RUNNC_CONTROL_ERROR; n++) {
        const struct stream *stream = &s->streams[n];
        if (stream->file && !stream->drained && s->sent_after_exit < LEFT_MAX) return false;
    }
    return true;
}

static bool is_over(const struct session *s)
{
    for (unsigned n = 0; n < RUNNC_CONTROL_STREAMS; n++)
        if (s->streams[n].file) return false;
    return !s->id && !s->process;
}

static bool last_words(struct session *s)
{
    if (s->failed_due && !s->process && say(s, RUNNC_CONTROL_FAILED, (unsigned)s->stage, (uint32_t)-s->error)) {
        detach(s);
        return true;
    }
    if (s->exit_due && !s->started_due && output_is_sent(s) && say(s, RUNNC_CONTROL_EXIT, 0, (uint32_t)s->status)) {
        detach(s);
        return true;
    }
    return false;
}

bool session_work(struct session *s)
{
    bool moved = false;

    if (s->started_due && say(s, RUNNC_CONTROL_STARTED, 0, (uint32_t)s->pid)) {
        s->started_due = false;
        moved = true;
    }
    moved |= answer_work(s);
    moved |= input_work(s);
    for (unsigned n = RUNNC_CONTROL_OUTPUT; n <= RUNNC_CONTROL_ERROR; n++) moved |= output_work(s, n);
    moved |= last_words(s);
    if (!is_over(s)) return moved;
    list_del(&s->link);
    kfree(s);
    return true;
}
