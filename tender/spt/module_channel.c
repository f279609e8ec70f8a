/* The channel extra: --channel=NAME=@FD[,window=@FD], sockets to helpers outside of the sandbox. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WINDOW_MAX (64 * MIB)

static bool option(struct tender *tender, const char *option)
{
    const char *value = option_value(option, "--channel");

    if (value == NULL)
        return false;
    if (tender->channel_count == RUNNC_CHANNELS_MAX)
        fail("--channel: given more than %u times", RUNNC_CHANNELS_MAX);
    tender->channels[tender->channel_count++] = value;
    return true;
}

static void take_name(struct tender *tender, struct runnc_channel *channel, const char *value)
{
    const size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz");

    if (length == 0 || length >= RUNNC_CHANNEL_NAME_SIZE || value[length] != '=')
        fail("--channel=%s: expected NAME=@FD[,window=@FD], NAME of 1 to %u letters from a to z",
             value, RUNNC_CHANNEL_NAME_SIZE - 1);
    memcpy(channel->name, value, length);
    for (const struct runnc_channel *other = tender->boot.channels; other < channel; other++)
        if (strcmp(other->name, channel->name) == 0)
            fail("--channel: %s is given twice", channel->name);
}

/* Whose other end nobody can change any more: without connect(2) or an address to send to, no other is reached. */
static bool is_connected_udp(int fd, int domain)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int type = 0;
    socklen_t type_size = sizeof type;

    return domain == AF_INET && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 &&
           type == SOCK_DGRAM && getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

/* Non-blocking, which the helper's end does not feel: each end of a pair is an open file of its own. */
static int open_socket(const char *source, const char *what)
{
    const int fd = open_source(source, 0, what);
    int domain = 0;
    socklen_t size = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        (domain != AF_UNIX && !is_connected_udp(fd, domain)))
        fail("%s: %s is neither a UNIX socket nor a connected UDP socket", what, source);
    if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
        fail_errno("%s: cannot make %s non-blocking", what, source);
    return fd;
}

/* Sealed: the other side cannot take pages away under the guest, which would be a bus error. */
static void map_window(struct tender *tender, struct runnc_channel *channel, const char *source,
                       const char *what)
{
    const int fd = open_source(source, O_RDWR, what);
    const int seals = fcntl(fd, F_GET_SEALS);

    channel->window_size = file_size(fd, source, what);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        fail("%s: the window %s is not sealed against shrinking", what, source);
    if (channel->window_size > WINDOW_MAX)
        fail("%s: the window %s has more than %llu MiB", what, source, WINDOW_MAX / MIB);
    channel->window = map_file(tender, fd, channel->window_size, PROT_READ | PROT_WRITE,
                               MAP_SHARED, 0, what);
}

static void setup_channel(struct tender *tender, const char *value)
{
    struct runnc_boot_info *boot = &tender->boot;
    const unsigned index = (unsigned)boot->channels_count;
    struct runnc_channel *channel = &boot->channels[index];
    struct scmp_arg_cmp pinned;
    char what[RUNNC_CHANNEL_NAME_SIZE + 16], socket[16];
    const char *window;
    size_t length;

    take_name(tender, channel, value);
    snprintf(what, sizeof what, "channel '%s'", channel->name);
    value += strlen(channel->name) + 1;
    window = strchr(value, ',');
    length = window != NULL ? (size_t)(window - value) : strlen(value);
    if (value[0] != '@' || length >= sizeof socket)
        fail("%s: '%s' is not @ and the number of a descriptor", what, value);
    memcpy(socket, value, length);
    socket[length] = '\0';
    channel->fd = open_socket(socket, what);
    if (window != NULL) {
        const char *source = option_value(window + 1, "window");

        if (source == NULL)
            fail("%s: expected window=@FD, got '%s'", what, window + 1);
        map_window(tender, channel, source, what);
    }
    /* Each message that the helper takes makes room: a guest that asks and is answered would be woken twice for each. */
    if ((errno = watch(tender, channel->fd, window != NULL ? EPOLLIN : EPOLLIN | EPOLLOUT,
                       RUNNC_EPOLL_CHANNEL + index)) != 0)
        fail_errno("%s: cannot wait for it", what);
    pinned = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)channel->fd);
    filter_allow(&tender->filter, channel->name, read, pinned);
    filter_allow(&tender->filter, channel->name, write, pinned);
    boot->channels_count++;
}

static void setup(struct tender *tender)
{
    for (unsigned i = 0; i < tender->channel_count; i++)
        setup_channel(tender, tender->channels[i]);
}

const struct module module_channel = {
    .name = "channel",
    .extra = RUNNC_EXTRA_CHANNEL,
    .usage = "  --channel=NAME=@FD[,window=@FD]\n"
             "                              extra channel: a socket to a helper, and memory shared\n"
             "                              with it; may be repeated\n",
    .option = option,
    .setup = setup,
};
