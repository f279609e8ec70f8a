/* What is mounted where. */
#ifndef LINUX_FS_MOUNT_H
#define LINUX_FS_MOUNT_H

#include "fs/vfs.h"

/* All mounts, in the order they were made, by super_block.s_list. */
extern struct list mounts;

/* Covers the dentry, whose reference it keeps. */
void mount_on(struct dentry *dentry, struct super_block *sb);

/* Options of /proc/mounts: "rw,nosuid,…". */
void mount_options(const struct super_block *sb, char *buf, size_t size);

#endif
