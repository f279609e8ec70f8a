/*
 * Pseudo terminals: pty(7). A program that plays a terminal opens /dev/ptmx (the
 * master) and gets a new /dev/pts/N (the slave) with our own line discipline; what
 * is written to one is read from the other.
 */
#ifndef LINUX_CONSOLE_PTY_H
#define LINUX_CONSOLE_PTY_H

#include "fs/vfs.h"

#define PTMX_NUMBER (5ull << 8 | 2)
#define PTS_MAJOR 136u

/* /dev/ptmx; and /dev/pts/N, by the minor number of the inode that is opened. */
extern const struct file_operations ptmx_operations;
extern const struct file_operations pts_operations;

#endif
