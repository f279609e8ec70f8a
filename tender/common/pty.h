/* A new pseudo terminal becomes a process's own: what the container's init and exec's proxies do alike. */
#ifndef RUNNC_COMMON_PTY_H
#define RUNNC_COMMON_PTY_H

#include <stdbool.h>
#include <sys/ioctl.h>

/*
 * Takes `master`, fresh from ptmx: its slave gets the size (0 by 0: the kernel's), is raw where the guest has
 * the line discipline, and becomes 0, 1, 2 and the controlling terminal, for which the caller must lead a
 * session. The master goes over `console_fd` and is closed. NULL, or what failed, with errno.
 */
const char *pty_take(int master, const struct winsize *size, bool raw, int console_fd);

#endif
