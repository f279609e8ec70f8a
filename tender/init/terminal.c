#include "terminal.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pty.h"

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

void open_terminal(const struct init *init)
{
    const struct plan *plan = &init->plan;
    int tree = mount_devpts(init);
    int master = openat(tree, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) fail_errno(init, "terminal: ptmx");
    close(tree);
    const struct winsize size = {.ws_col = (unsigned short)plan->columns, .ws_row = (unsigned short)plan->rows};
    const char *failed = pty_take(master, &size, plan->raw, plan->console_fd);
    if (failed != NULL) fail_errno(init, "%s", failed);
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
