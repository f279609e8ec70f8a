/* epoll(7). */
#ifndef LINUX_FS_EPOLL_H
#define LINUX_FS_EPOLL_H

#include "fs/vfs.h"

struct epoll_event;

int epoll_new(struct file **made);
/* EPOLL_CTL_*; event is NULL for EPOLL_CTL_DEL. EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, EPERM. */
int epoll_ctl(struct file *epoll, int op, int fd, struct file *file, const struct epoll_event *event);
/*
 * Waits for events and writes at most `max` of them to the program. The count, 0
 * at the deadline, EFAULT, EINVAL (no epoll file), ERESTARTNOHAND.
 */
long epoll_wait(struct file *epoll, uaddr_t events, int max, int64_t deadline_ns);

#endif
