/* The channel extra: --channel=NAME=@FD[,window=@FD][,pipe=@FD]..., sockets to helpers outside of the sandbox. */
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
        fail("--channel=%s: expected NAME=@FD[,window=@FD][,pipe=@FD]..., NAME of 1 to %u letters from a to z",
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

/* What the helper puts in, the guest reads; it can put nothing in itself. */
static void take_pipe(struct tender *tender, struct runnc_channel_pipes *pipes, const char *source,
                      const char *name, const char *what)
{
    const int fd = open_source(source, 0, what);
    struct stat status;

    if (pipes->count == RUNNC_CHANNEL_PIPES_MAX)
        fail("%s: more than %u pipes", what, RUNNC_CHANNEL_PIPES_MAX);
    if (fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode) ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
        fail("%s: %s is not the end of a pipe to read from", what, source);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail_errno("%s: cannot make %s non-blocking", what, source);
    pipes->fd[pipes->count++] = fd;
    filter_allow(&tender->filter, name, read, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd));
}

/* The next "@FD" or "NAME=@FD" of the comma-separated value, which is moved behind it. NULL: there is none. */
static const char *next_part(const char **value, char *part, size_t size, const char *what)
{
    const size_t length = strcspn(*value, ",");

    if (length == 0)
        return NULL;
    if (length >= size)
        fail("%s: '%s' is too long", what, *value);
    memcpy(part, *value, length);
    part[length] = '\0';
    *value += length;
    if (**value == ',')
        ++*value;
    return part;
}

static void setup_channel(struct tender *tender, const char *value)
{
    struct runnc_boot_info *boot = &tender->boot;
    const unsigned index = (unsigned)boot->channels_count;
    struct runnc_channel *channel = &boot->channels[index];
    struct scmp_arg_cmp pinned;
    char what[RUNNC_CHANNEL_NAME_SIZE + 16], text[32];
    const char *part;

    take_name(tender, channel, value);
    snprintf(what, sizeof what, "channel '%s'", channel->name);
    value += strlen(channel->name) + 1;
    part = next_part(&value, text, sizeof text, what);
    if (part == NULL || part[0] != '@')
        fail("%s: '%s' is not @ and the number of a descriptor", what, part != NULL ? part : "");
    channel->fd = open_socket(part, what);
    while ((part = next_part(&value, text, sizeof text, what)) != NULL) {
        const char *window = option_value(part, "window"), *pipe = option_value(part, "pipe");

        if (window != NULL && channel->window == 0)
            map_window(tender, channel, window, what);
        else if (pipe != NULL)
            take_pipe(tender, &boot->channel_pipes[index], pipe, channel->name, what);
        else
            fail("%s: expected window=@FD, once, or pipe=@FD, got '%s'", what, part);
    }
    /* Each message that the helper takes makes room: a guest that asks and is answered would be woken twice for each. */
    if ((errno = watch(tender, channel->fd, channel->window != 0 ? EPOLLIN : EPOLLIN | EPOLLOUT,
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
    .usage = "  --channel=NAME=@FD[,window=@FD][,pipe=@FD]...\n"
             "                              extra channel: a socket to a helper, memory shared with\n"
             "                              it, and up to 4 pipes that it fills; may be repeated\n",
    .option = option,
    .setup = setup,
};
