#include "control/control.h"

#include "control/channel.h"
#include "control/session.h"
#include "entry/entry.h"

static struct {
    bool there;
    uint32_t epoch; /* of the runtime's end; 0: it has not spoken yet */
    bool hello_due;
} control;

void control_init(void)
{
    control.there = channel_open();
}

static void receive(const struct runnc_control *m, size_t data_size)
{
    uint32_t epoch = (uint32_t)(m->session >> 32);

    if (m->type == RUNNC_CONTROL_HELLO) {
        sessions_hang_up();
        control.epoch = epoch;
        control.hello_due = true;
    } else if (epoch && epoch == control.epoch && (uint32_t)m->session) {
        session_message(m, data_size);
    }
}

static bool receive_all(void)
{
    const struct runnc_control *m;
    size_t data_size;
    bool any = false;

    while ((m = channel_receive(&data_size))) {
        receive(m, data_size);
        any = true;
    }
    return any;
}

static void say_hello(void)
{
    if (!control.hello_due || !channel_ready()) return;
    channel_send(RUNNC_CONTROL_HELLO, 0, RUNNC_CONTROL_VERSION, (uint64_t)control.epoch << 32, 0);
    control.hello_due = false;
}

/* One turn for each; who had one goes to the back, so that a channel that fills up is shared. */
static bool turn(void)
{
    struct session *s, *next, *last = list_empty(&sessions) ? NULL : list_last(&sessions, struct session, link);
    bool moved = false;

    list_for_each_safe(s, next, &sessions, link) {
        bool is_last = s == last;
        if (session_work(s)) moved = true;
        if (is_last || !channel_ready()) break;
    }
    return moved;
}

void control_work(void)
{
    bool moved;

    if (!control.there) {
        pending_work &= ~(uint32_t)WORK_CONTROL;
        return;
    }
    do {
        pending_work &= ~(uint32_t)WORK_CONTROL;
        moved = receive_all();
        say_hello();
        if (!control.hello_due) moved |= turn();
    } while (moved);
}
