/* Pipes and fifos. */
#ifndef LINUX_FS_PIPE_H
#define LINUX_FS_PIPE_H

#include "fs/vfs.h"

/* pipe2(2): flags O_CLOEXEC is the caller's, O_NONBLOCK and O_DIRECT are taken. */
int pipe_new(int flags, struct file **reader, struct file **writer);

/* F_GETPIPE_SZ; F_SETPIPE_SZ. EBADF if file is no pipe; EBUSY, EINVAL, EPERM. */
int pipe_size(struct file *file);
int pipe_set_size(struct file *file, uint64_t size);

#endif
