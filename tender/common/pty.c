#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* As other runtimes do it: one message, the name as data, the descriptor beside it. */
static bool send_master(int console_fd, int master, unsigned number)
{
    char name[32];
    const int length = snprintf(name, sizeof name, "/dev/pts/%u", number);
    struct iovec part = {name, (size_t)length};
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
    while (sendmsg(console_fd, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return false;
    return true;
}

static bool set_raw(int slave)
{
    struct termios settings;

    if (tcgetattr(slave, &settings) != 0) return false;
    cfmakeraw(&settings);
    return tcsetattr(slave, TCSANOW, &settings) == 0;
}

const char *pty_take(int master, const struct winsize *size, bool raw, int console_fd)
{
    int locked = 0;
    unsigned number = 0;

    if (ioctl(master, TIOCSPTLCK, &locked) != 0 || ioctl(master, TIOCGPTN, &number) != 0) return "terminal: unlock";
    const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) return "terminal: slave";
    if ((size->ws_row != 0 || size->ws_col != 0) && ioctl(slave, TIOCSWINSZ, size) != 0) return "terminal: size";
    if (raw && !set_raw(slave)) return "terminal: raw mode";
    /* The caller may write as soon as it has the master: all settings stand by then. */
    if (!send_master(console_fd, master, number)) return "cannot send the terminal over the console socket";
    close(master);
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(slave, fd) < 0) return "terminal: dup2";
    close(slave);
    return ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0 ? "terminal: controlling terminal" : NULL;
}
