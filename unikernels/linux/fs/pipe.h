/* Pipes and fifos. */
#ifndef LINUX_FS_PIPE_H
#define LINUX_FS_PIPE_H

#include "fs/vfs.h"

/* pipe2(2): flags O_CLOEXEC is the caller's, O_NONBLOCK and O_DIRECT are taken. */
int pipe_new(int flags, struct file **reader, struct file **writer);

/* F_GETPIPE_SZ; F_SETPIPE_SZ. EBADF if file is no pipe; EBUSY, EINVAL, EPERM. */
int pipe_size(struct file *file);
int pipe_set_size(struct file *file, uint64_t size);

/*
 * For splice.c. Bytes on their way between a pipe and something that may wait are
 * reserved: they count as if they were in the pipe, so that they can go back.
 * All of these take an open file of a pipe.
 */
bool is_pipe(const struct file *file);
bool pipe_same(const struct file *a, const struct file *b);
/* Waits until there is something to read: 1, 0 at the end, -EAGAIN, -ERESTARTSYS. */
int pipe_wait_data(struct file *file, bool nonblock);
/* Waits until something can be written: 0, -EPIPE (SIGPIPE is sent), -EAGAIN, -ERESTARTSYS. */
int pipe_wait_room(struct file *file, bool nonblock);
/* Copies at most len bytes without taking them. */
size_t pipe_peek(struct file *file, void *buf, size_t len);
/* Takes at most len bytes, which stay reserved; then pipe_put_back() tells how many were of no use. */
size_t pipe_take(struct file *file, void *buf, size_t len);
void pipe_put_back(struct file *file, const void *buf, size_t taken, size_t unused);
/* Room for at most len bytes; then pipe_fill() says how many of them come. 0 or -ENOMEM. */
int pipe_reserve(struct file *file, size_t *len);
void pipe_fill(struct file *file, const void *buf, size_t reserved, size_t len);

#endif
