/*
 * splice(2) and tee(2): bytes between a pipe and another file without the
 * program's memory. Linux moves pages; here they are copied once, which the
 * caller cannot tell.
 */
#ifndef LINUX_FS_SPLICE_H
#define LINUX_FS_SPLICE_H

#include "fs/vfs.h"

/* At least one is a pipe. Positions as for vfs_read(); results and errors as splice(2). */
int64_t splice_files(struct file *in, uint64_t *in_pos, struct file *out, uint64_t *out_pos, size_t len, bool nonblock);
int64_t splice_tee(struct file *in, struct file *out, size_t len, bool nonblock);

#endif
