/* Extended attributes: xattr(7). */
#ifndef LINUX_FS_XATTR_H
#define LINUX_FS_XATTR_H

#include <linux/xattr.h>

#include "fs/vfs.h"

/*
 * As setxattr(2) and its like, with rights checked as the current task: EPERM,
 * EACCES, EROFS, EOPNOTSUPP for file systems or names that have none, ERANGE,
 * ENODATA, EEXIST. size 0 asks how large the answer is.
 */
int vfs_setxattr(struct dentry *dentry, const char *name, const void *value, size_t size, int flags);
ssize_t vfs_getxattr(struct dentry *dentry, const char *name, void *value, size_t size);
ssize_t vfs_listxattr(struct dentry *dentry, char *names, size_t size);
int vfs_removexattr(struct dentry *dentry, const char *name);

/* Attributes in memory: a file system puts one into its inode, and i_op->xattrs finds it. */
struct xattrs {
    struct list list; /* struct xattr, in order of setting; all zero: none yet */
};
void xattrs_free(struct xattrs *xattrs);

#endif
