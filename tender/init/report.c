#include "report.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Noreturn void abandon(void)
{
    _exit(1);
}

void step(const struct init *init, enum step now)
{
    if (init->plan.fault_step != (uint32_t)now + 1) return;
    /* As pid 1 of its namespace a process cannot SIGKILL itself; ending without a word is the same to others. */
    if (!init->plan.fault_is_runtime) _exit(137);
    send_message(init, MSG_FAULT, NULL, 0, -1);
    struct pollfd gone = {init->peer, 0, 0}; /* POLLHUP needs no asking */
    while (poll(&gone, 1, -1) < 0 && errno == EINTR) {
    }
}

void send_message(const struct init *init, char kind, const void *data, size_t length, int fd)
{
    struct iovec parts[2] = {{&kind, 1}, {(void *)(uintptr_t)data, length}};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    while (sendmsg(init->peer, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) abandon();
    }
}

bool receive_descriptors(int peer, char *kind, int *fds, int max, int *count)
{
    struct iovec part = {kind, 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE((3 + LATE_MAX) * sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length;
    *count = 0;
    do {
        length = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length <= 0) return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    size_t bytes = header != NULL && header->cmsg_type == SCM_RIGHTS ? header->cmsg_len - CMSG_LEN(0) : 0;
    if (bytes > (size_t)max * sizeof(int)) return false;
    if (bytes > 0) memcpy(fds, CMSG_DATA(header), bytes);
    *count = (int)(bytes / sizeof(int));
    return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

int expect_descriptors(const struct init *init, char kind, int *fds, int min, int max)
{
    char got = 0;
    int count;
    bool whole = receive_descriptors(init->peer, &got, fds, max, &count);
    if (got == 0) abandon();
    if (got != kind || !whole || count < min) {
        fail(init, FAILURE_HOST, "init does not understand the runtime (message %d in place of %d)", got, kind);
    }
    return count;
}

void expect_message(const struct init *init, char kind, int *fds, int n_fds)
{
    (void)expect_descriptors(init, kind, fds, n_fds, n_fds);
}

_Noreturn static void fail_with(const struct init *init, enum failure failure, int error, const char *format,
                                va_list arguments)
{
    char text[8192];
    text[0] = (char)failure;
    int length = 1 + vsnprintf(text + 1, sizeof text - 1, format, arguments);
    if (length > (int)sizeof text - 1) length = (int)sizeof text - 1;
    if (error != 0) {
        length += snprintf(text + length, sizeof text - (size_t)length, ": %s", strerror(error));
        if (length > (int)sizeof text - 1) length = (int)sizeof text - 1;
    }
    if (init->peer >= 0) send_message(init, MSG_FAILED, text, (size_t)length, -1);
    abandon();
}

_Noreturn void fail(const struct init *init, enum failure failure, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_with(init, failure, 0, format, arguments);
}

_Noreturn void fail_errno(const struct init *init, const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    fail_with(init, FAILURE_HOST, error, format, arguments);
}
