/*
 * inotify(7): who watches files and folders is told what is done to them.
 *
 * A watch hangs on an inode and holds it. The file system's callers (namei.c,
 * open.c, read_write.c, inode.c) say what has happened by the fsnotify functions,
 * which cost a comparison as long as nobody watches anything.
 */
#ifndef LINUX_FS_INOTIFY_H
#define LINUX_FS_INOTIFY_H

#include <linux/inotify.h>

#include "fs/vfs.h"

bool inotify_is(const struct file *file);
int inotify_new(int flags, struct file **made);
/* inotify is one. The watch's number: EEXIST (IN_MASK_CREATE), ENOSPC, ENOMEM. */
int inotify_add(struct file *inotify, struct inode *inode, uint32_t mask);
/* EINVAL. */
int inotify_remove(struct file *inotify, int wd);

extern size_t inotify_watches; /* of all instances */

void fsnotify_inode_slow(struct inode *inode, uint32_t mask);
void fsnotify_dentry_slow(struct dentry *dentry, uint32_t mask);
void fsnotify_name_slow(struct inode *dir, uint32_t mask, const struct qstr *name, uint32_t cookie);
void fsnotify_rename_slow(struct inode *from, const struct qstr *from_name, struct inode *to,
                          const struct qstr *to_name, struct inode *moved, struct inode *replaced);
/* Nobody but its watches holds the inode, and no name leads to it. */
void fsnotify_inode_gone(struct inode *inode);

/* To those that watch the inode itself. */
static inline void fsnotify_inode(struct inode *inode, uint32_t mask)
{
    if (unlikely(inotify_watches)) fsnotify_inode_slow(inode, mask);
}

/* To those, and to those that watch the folder it is in. */
static inline void fsnotify_dentry(struct dentry *dentry, uint32_t mask)
{
    if (unlikely(inotify_watches)) fsnotify_dentry_slow(dentry, mask);
}

/* A name has come into a folder or gone from it; mask has IN_ISDIR for folders' names. */
static inline void fsnotify_name(struct inode *dir, uint32_t mask, const struct qstr *name)
{
    if (unlikely(inotify_watches)) fsnotify_name_slow(dir, mask, name, 0);
}

static inline void fsnotify_rename(struct inode *from, const struct qstr *from_name, struct inode *to,
                                   const struct qstr *to_name, struct inode *moved, struct inode *replaced)
{
    if (unlikely(inotify_watches)) fsnotify_rename_slow(from, from_name, to, to_name, moved, replaced);
}

#endif
