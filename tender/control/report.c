#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"

#define TEXT_MAX 256

/* If `runnc exec` is gone there is nobody to tell. */
static void say(const void *bytes, size_t size)
{
    (void)send(REPORT_FD, bytes, size, MSG_NOSIGNAL);
}

void report_here(void)
{
    say("P", 1);
}

void report_started(void)
{
    say("S", 1);
}

void report_refused(unsigned stage, unsigned error)
{
    const unsigned char bytes[] = {'R', (unsigned char)stage, (unsigned char)error, (unsigned char)(error >> 8)};

    say(bytes, sizeof bytes);
}

_Noreturn void report_problem(const char *what)
{
    char text[TEXT_MAX];
    const int length = snprintf(text, sizeof text, "F%s", what);

    say(text, length < TEXT_MAX ? (size_t)length : TEXT_MAX - 1);
    _exit(255);
}

_Noreturn void report_failure(const char *what)
{
    char text[TEXT_MAX];

    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    report_problem(text);
}
