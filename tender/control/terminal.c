#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "control.h"

static void send_master(int master, const char *name, size_t length)
{
    /* As other runtimes do it: one message, the name as data, the descriptor beside it. */
    struct iovec part = {(void *)(uintptr_t)name, length};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &master, sizeof master);
    while (sendmsg(CONSOLE_FD, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) report_failure("cannot send the terminal over the console socket");
}

/* The guest has the line discipline. */
static void set_raw(int slave)
{
    struct termios settings;

    if (tcgetattr(slave, &settings) != 0) report_failure("terminal: raw mode");
    cfmakeraw(&settings);
    if (tcsetattr(slave, TCSANOW, &settings) != 0) report_failure("terminal: raw mode");
}

void open_terminal(const struct plan *plan)
{
    const struct winsize size = {plan->window.rows, plan->window.columns, plan->window.xpixel, plan->window.ypixel};
    const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int locked = 0;
    unsigned number = 0;
    char name[32];

    if (master < 0) report_failure("terminal: /dev/ptmx");
    if (ioctl(master, TIOCSPTLCK, &locked) != 0 || ioctl(master, TIOCGPTN, &number) != 0)
        report_failure("terminal: unlock");
    const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) report_failure("terminal: slave");
    if ((size.ws_row != 0 || size.ws_col != 0) && ioctl(slave, TIOCSWINSZ, &size) != 0)
        report_failure("terminal: size");
    set_raw(slave);
    /* The caller may write as soon as it has the master: all settings stand by then. */
    const int length = snprintf(name, sizeof name, "/dev/pts/%u", number);
    send_master(master, name, (size_t)length);
    close(master);
    close(CONSOLE_FD);
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(slave, fd) < 0) report_failure("terminal: dup2");
    close(slave);
    if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0) report_failure("terminal: controlling terminal");
}
