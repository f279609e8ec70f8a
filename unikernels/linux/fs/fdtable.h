/* Descriptor tables beyond what every user of files needs (vfs.h): for dup, fcntl, close_range and /proc. */
#ifndef LINUX_FS_FDTABLE_H
#define LINUX_FS_FDTABLE_H

#include "fs/vfs.h"

/* Makes fd stand for file, whose reference it takes on success; what was there is closed. EBADF, ENOMEM. */
int fd_replace(struct file *file, int fd, bool cloexec);
/* All descriptors from first to last; mark_only: they will be closed by execve. */
void fd_close_range(uint32_t first, uint32_t last, bool mark_only);
int fd_set_cloexec(int fd, bool cloexec); /* EBADF */
/* Whether fd_install() would find a free one now: 0 or EMFILE. */
int fd_check_room(void);

/* Of any process. The file has a reference; NULL if fd is not open. */
struct file *files_lookup(const struct files *files, int fd);
/* The first open descriptor at or after `from`, -1 if there is none. */
int files_next(const struct files *files, int from);
bool files_cloexec(const struct files *files, int fd);

#endif
