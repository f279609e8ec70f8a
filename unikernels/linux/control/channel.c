#include "control/channel.h"

#include <linux/eventpoll.h>

#include "boot/host.h"
#include "entry/entry.h"
#include "lib/string.h"

#define NAME "control"

union message {
    struct runnc_control head;
    char bytes[RUNNC_CONTROL_MESSAGE_MAX];
};

static struct {
    int fd;
    struct host_source source;
    struct wait_entry entry;
    union message in, out;
    size_t stalled; /* bytes of `out` that the host did not take yet; 0: it is free */
} channel = {.fd = -1};

static void channel_event(struct wait_entry *entry, uint32_t events)
{
    (void)entry;
    (void)events;
    pending_work |= WORK_CONTROL;
}

bool channel_open(void)
{
    const struct runnc_boot_info *info = host_boot_info();

    for (uint64_t i = 0; i < MIN(info->channels_count, RUNNC_CHANNELS_MAX); i++) {
        if (strcmp(info->channels[i].name, NAME)) continue;
        channel.fd = info->channels[i].fd;
        host_source_register(&channel.source, RUNNC_EPOLL_CHANNEL + (uint32_t)i);
        channel.entry.wake = channel_event;
        wait_add(&channel.source.queue, &channel.entry);
        return true;
    }
    return false;
}

const struct runnc_control *channel_receive(size_t *data_size)
{
    while (channel.source.ready & EPOLLIN) {
        ssize_t got = host_read(channel.fd, channel.in.bytes, sizeof channel.in);
        if (got <= 0) {
            channel.source.ready &= ~(uint32_t)EPOLLIN;
            break;
        }
        if ((size_t)got < sizeof channel.in.head) continue;
        *data_size = (size_t)got - sizeof channel.in.head;
        return &channel.in.head;
    }
    return NULL;
}

/* One message goes whole or not at all. An error other than EAGAIN means that nobody will ever read it. */
static void put_out(size_t size)
{
    ssize_t put = host_write(channel.fd, channel.out.bytes, size);

    channel.stalled = put == -EAGAIN ? size : 0;
    if (channel.stalled) channel.source.ready &= ~(uint32_t)EPOLLOUT;
}

bool channel_ready(void)
{
    if (channel.stalled && channel.source.ready & EPOLLOUT) put_out(channel.stalled);
    return !channel.stalled;
}

void *channel_buffer(void)
{
    return channel.out.head.data;
}

void channel_send(unsigned type, unsigned stream, uint32_t value, uint64_t session, size_t data_size)
{
    channel.out.head = (struct runnc_control){
        .type = (uint16_t)type, .stream = (uint16_t)stream, .value = value, .session = session};
    put_out(sizeof channel.out.head + data_size);
}
