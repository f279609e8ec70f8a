/*
 * The container's standard descriptors, and its terminal if it has one.
 */
#ifndef LINUX_CONSOLE_CONSOLE_H
#define LINUX_CONSOLE_CONSOLE_H

#include "fs/vfs.h"

/* An open file on the host's descriptor n: 0, 1 or 2. -ENOMEM. */
int console_open_stdio(int n, struct file **opened);

/* /dev/console and /dev/tty: the terminal, ENXIO without one. */
extern const struct file_operations console_operations;
extern const struct file_operations dev_tty_operations;

#endif
