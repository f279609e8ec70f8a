#include "stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* After POLLOUT a pipe takes so much without blocking, whoever else holds it. */
#define BLOCKING_MAX 4096u

static struct {
    bool socket, nonblocking;
} kinds[3];

static void prepare(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    struct stat st;
    char path[32];

    if (flags < 0 || fstat(fd, &st) != 0) return;
    kinds[fd].socket = S_ISSOCK(st.st_mode);
    kinds[fd].nonblocking = flags & O_NONBLOCK;
    if (kinds[fd].nonblocking || (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int anew = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (anew < 0) return;
    kinds[fd].nonblocking = dup2(anew, fd) >= 0;
    close(anew);
}

void stdio_prepare(void)
{
    for (int fd = 0; fd <= 2; fd++) prepare(fd);
}

long stdio_read(void *bytes, size_t size)
{
    const ssize_t got = kinds[0].socket ? recv(STDIN_FILENO, bytes, size, MSG_DONTWAIT) : read(STDIN_FILENO, bytes, size);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    return got < 0 ? 0 : got;
}

bool output_add(struct output *output, const void *bytes, size_t size)
{
    if (size > sizeof output->bytes - output->length) return false;
    const size_t at = (output->head + output->length) % sizeof output->bytes;
    const size_t first = size < sizeof output->bytes - at ? size : sizeof output->bytes - at;
    memcpy(output->bytes + at, bytes, first);
    memcpy(output->bytes, (const char *)bytes + first, size - first);
    output->length += (uint32_t)size;
    return true;
}

long output_write(struct output *output, int fd)
{
    const char *at = output->bytes + output->head;
    size_t size = sizeof output->bytes - output->head;

    if (size > output->length) size = output->length;
    if (!kinds[fd].socket && !kinds[fd].nonblocking && size > BLOCKING_MAX) size = BLOCKING_MAX;
    const ssize_t put = kinds[fd].socket ? send(fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd, at, size);
    if (put < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    output->head = (uint32_t)((output->head + (size_t)put) % sizeof output->bytes);
    output->length -= (uint32_t)put;
    return put;
}
