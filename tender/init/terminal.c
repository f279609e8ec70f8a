#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* A devpts of the container's own, mounted nowhere: the pty has no name in the host, and no other container can
 * open it or use up its numbers. */
static int mount_devpts(const struct init *init)
{
    int fs = (int)syscall(SYS_fsopen, "devpts", FSOPEN_CLOEXEC);
    if (fs < 0) fail_errno(init, "terminal: fsopen devpts");
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "ptmxmode", "0600", 0) != 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        fail_errno(init, "terminal: fsconfig devpts");
    }
    int tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (tree < 0) fail_errno(init, "terminal: fsmount devpts");
    close(fs);
    return tree;
}

static void send_master(const struct init *init, int master, const char *name, int length)
{
    /* As other runtimes do it: one message, the name as data, the descriptor beside it. */
    struct iovec part = {(void *)(uintptr_t)name, (size_t)length};
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
    while (sendmsg(init->plan.console_fd, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) fail_errno(init, "cannot send the terminal over the console socket");
    }
}

void open_terminal(const struct init *init)
{
    const struct plan *plan = &init->plan;
    int tree = mount_devpts(init);
    int master = openat(tree, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) fail_errno(init, "terminal: ptmx");
    close(tree);
    int locked = 0;
    unsigned number = 0;
    if (ioctl(master, TIOCSPTLCK, &locked) != 0 || ioctl(master, TIOCGPTN, &number) != 0) {
        fail_errno(init, "terminal: unlock");
    }
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) fail_errno(init, "terminal: slave");

    if (plan->columns != 0 || plan->rows != 0) {
        struct winsize size = {.ws_col = (unsigned short)plan->columns, .ws_row = (unsigned short)plan->rows};
        if (ioctl(slave, TIOCSWINSZ, &size) != 0) fail_errno(init, "terminal: size");
    }
    if (plan->raw) {
        struct termios settings;
        if (tcgetattr(slave, &settings) != 0) fail_errno(init, "terminal: raw mode");
        cfmakeraw(&settings);
        if (tcsetattr(slave, TCSANOW, &settings) != 0) fail_errno(init, "terminal: raw mode");
    }
    /* The caller may write as soon as it has the master: all settings stand by then. */
    char name[32];
    int length = snprintf(name, sizeof name, "/dev/pts/%u", number);
    send_master(init, master, name, length);
    close(master);

    for (int fd = 0; fd <= 2; fd++) {
        if (dup2(slave, fd) < 0) fail_errno(init, "terminal: dup2");
    }
    close(slave);
    if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0) fail_errno(init, "terminal: controlling terminal");
}

void reopen_stdio(const struct init *init)
{
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        char path[32];
        /* A regular file would lose its shared offset, and never blocks; a socket cannot be opened. */
        if (fstat(fd, &st) != 0 || (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))) continue;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0) continue;
        snprintf(path, sizeof path, "self/fd/%d", fd);
        /* O_NONBLOCK: a fifo without its other end must not hold us up. If it cannot be opened, for want of a reader
         * or of permission, the caller's own stays. */
        int again = openat(init->proc, path, (flags & (O_ACCMODE | O_APPEND)) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (again < 0) continue;
        if (fcntl(again, F_SETFL, flags & (O_APPEND | O_NONBLOCK)) != 0 || dup2(again, fd) < 0) {
            fail_errno(init, "standard descriptor %d", fd);
        }
        close(again);
    }
}
