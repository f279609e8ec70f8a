#ifndef LINUX_FS_PIDFD_H
#define LINUX_FS_PIDFD_H

#include "lib/types.h"

struct file;
struct process;

/* pidfd_open(2): readable once the process is dead. It keeps what is left of it, not its number. -ENOMEM. */
int pidfd_new(struct process *process, int flags, struct file **made);
/* The process of an open pidfd, NULL if it is another file; counted by the file alone. */
struct process *pidfd_process(const struct file *file);

#endif
