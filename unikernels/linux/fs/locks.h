/*
 * Advisory locks: fcntl(2) record locks (of processes and of open files) and
 * flock(2).
 */
#ifndef LINUX_FS_LOCKS_H
#define LINUX_FS_LOCKS_H

#include "fs/vfs.h"

struct flock;

/* F_GETLK, F_SETLK, F_SETLKW and their OFD kin. EAGAIN, EBADF, EDEADLK, EINTR, EINVAL, ENOLCK. */
int locks_fcntl(struct file *file, int cmd, struct flock *lock);
/* LOCK_SH, LOCK_EX, LOCK_UN with LOCK_NB. EWOULDBLOCK, EINTR, EINVAL. */
int locks_flock(struct file *file, int operation);

/* A process closed some descriptor of the file: its record locks there go. */
void locks_release_process(struct file *file, const struct files *owner);
/* An open file is gone, and with it its flock and OFD locks. */
void locks_release_file(struct file *file);

#endif
