#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define PREFIX "tender-spt: "

/* Appends to a line of LINE_MAX_BYTES, cut where it is full. */
__attribute__((format(printf, 3, 0))) static void append(char *line, size_t *used,
                                                         const char *format, va_list args)
{
    const size_t room = LINE_MAX_BYTES - *used;
    const int length = vsnprintf(line + *used, room, format, args);

    if (length > 0)
        *used += (size_t)length < room ? (size_t)length : room - 1;
}

/* One write, so that lines of several processes on one pipe do not mix. */
__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list args,
                                                             const char *reason)
{
    char line[LINE_MAX_BYTES + 1]; /* and the newline */
    size_t used = 0;

    memcpy(line, PREFIX, sizeof PREFIX);
    used += sizeof PREFIX - 1;
    append(line, &used, format, args);
    if (reason != NULL && used + 2 < LINE_MAX_BYTES) {
        const size_t length = strnlen(reason, LINE_MAX_BYTES - used - 2);

        memcpy(line + used, ": ", 2);
        memcpy(line + used + 2, reason, length);
        used += 2 + length;
    }
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nowhere left to complain */
}

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(format, args, NULL);
    va_end(args);
    exit(1);
}

void fail_errno(const char *format, ...)
{
    const char *reason = strerror(errno);
    va_list args;

    va_start(args, format);
    print_line(format, args, reason);
    va_end(args);
    exit(1);
}

void warn_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(format, args, NULL);
    va_end(args);
}
