/*
 * Pseudo terminals: pty(7). A program that plays a terminal opens /dev/ptmx (the
 * master) and gets a new /dev/pts/N (the slave) with our own line discipline; what
 * is written to one is read from the other.
 */
#ifndef LINUX_CONSOLE_PTY_H
#define LINUX_CONSOLE_PTY_H

#include <asm/termios.h>

#include "fs/vfs.h"

#define PTMX_NUMBER (5ull << 8 | 2)
#define PTS_MAJOR 136u

/* /dev/ptmx; and /dev/pts/N, by the minor number of the inode that is opened. */
extern const struct file_operations ptmx_operations;
extern const struct file_operations pts_operations;

/*
 * A terminal for a process whose other end is the kernel's own: its master, non-blocking, and its slave, opened as
 * the running process would (it becomes its controlling terminal). ENODEV without a devpts, ENOSPC, ENOMEM.
 */
int pty_pair(const struct winsize *size, struct file **master, struct file **slave);
/* For a master. */
void pty_resize(struct file *master, const struct winsize *size);

#endif
