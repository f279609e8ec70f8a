#include "fs/xattr.h"

#include <linux/stat.h>

#include "fs/inotify.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"

struct xattr {
    struct list link;
    char *name;
    size_t size;
    uint8_t value[];
};

/* Of one file: Linux bounds those of tmpfs likewise, by kernel memory. */
#define TOTAL_MAX (256u << 10)

static void xattr_free(struct xattr *x)
{
    kfree(x->name);
    kfree(x);
}

void xattrs_free(struct xattrs *xattrs)
{
    if (!xattrs->list.next)
        return;
    while (!list_empty(&xattrs->list)) {
        struct xattr *x = list_first(&xattrs->list, struct xattr, link);
        list_del(&x->link);
        xattr_free(x);
    }
}

static struct xattr *find(const struct xattrs *xattrs, const char *name)
{
    struct xattr *x;

    if (!xattrs->list.next)
        return NULL;
    list_for_each(x, &xattrs->list, link) {
        if (strcmp(x->name, name) == 0)
            return x;
    }
    return NULL;
}

static size_t total(const struct xattrs *xattrs)
{
    const struct xattr *x;
    size_t bytes = 0;

    list_for_each(x, &xattrs->list, link)
        bytes += strlen(x->name) + x->size;
    return bytes;
}

/* ---- rights ---- */

static bool is_in(const char *name, const char *space)
{
    return str_starts(name, space);
}

/* Which attributes there are, and who may see or change them: xattr(7), "Extended attribute namespaces". */
static int check(const struct inode *inode, const char *name, int mask)
{
    bool write = mask & MAY_WRITE;

    if (write && inode->i_sb->s_flags & SB_RDONLY)
        return -EROFS;
    if (is_in(name, XATTR_SECURITY_PREFIX)) {
        if (!name[XATTR_SECURITY_PREFIX_LEN])
            return -EINVAL;
        bool file_caps = strcmp(name, XATTR_NAME_CAPS) == 0;
        return write && !capable(file_caps ? CAP_SETFCAP : CAP_SYS_ADMIN) ? -EPERM : 0;
    }
    if (is_in(name, XATTR_TRUSTED_PREFIX)) {
        if (!capable(CAP_SYS_ADMIN))
            return write ? -EPERM : -ENODATA;
        return name[XATTR_TRUSTED_PREFIX_LEN] ? inode_permission(inode, current->cred, mask) : -EINVAL;
    }
    if (!is_in(name, XATTR_USER_PREFIX))
        return -EOPNOTSUPP;
    if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode))
        return write ? -EPERM : -ENODATA;
    if (S_ISDIR(inode->i_mode) && inode->i_mode & S_ISVTX && write && !inode_owner_or_capable(inode, current->cred))
        return -EPERM;
    int err = inode_permission(inode, current->cred, mask);
    return err ? err : name[XATTR_USER_PREFIX_LEN] ? 0 : -EINVAL;
}

static struct xattrs *xattrs_of(struct inode *inode)
{
    return inode->i_op->xattrs ? inode->i_op->xattrs(inode) : NULL;
}

/* Where the file system keeps them, if it is not in memory. */
static const struct xattr_operations *elsewhere(const struct dentry *dentry)
{
    return dentry->d_inode->i_op->xattr_op;
}

/* ---- the four ---- */

static void changed(struct dentry *dentry)
{
    struct iattr attr = {.valid = ATTR_CTIME, .ctime = clock_now()};

    if (dentry->d_inode->i_op->setattr)
        dentry->d_inode->i_op->setattr(dentry->d_inode, &attr);
    fsnotify_dentry(dentry, IN_ATTRIB);
}

static struct xattr *make(const char *name, const void *value, size_t size)
{
    struct xattr *x = kmalloc(sizeof(*x) + size);

    if (!x)
        return NULL;
    list_init(&x->link);
    x->name = kstrdup(name);
    x->size = size;
    memcpy(x->value, value, size);
    if (x->name)
        return x;
    kfree(x);
    return NULL;
}

int vfs_setxattr(struct dentry *dentry, const char *name, const void *value, size_t size, int flags)
{
    struct xattrs *xattrs = xattrs_of(dentry->d_inode);
    int err = check(dentry->d_inode, name, MAY_WRITE);

    if (err)
        return err;
    if (elsewhere(dentry)) {
        err = elsewhere(dentry)->set(dentry->d_inode, name, value, size, flags);
        if (!err)
            fsnotify_dentry(dentry, IN_ATTRIB);
        return err;
    }
    if (!xattrs)
        return -EOPNOTSUPP;
    if (!xattrs->list.next)
        list_init(&xattrs->list);
    struct xattr *old = find(xattrs, name);
    if (old && flags & XATTR_CREATE)
        return -EEXIST;
    if (!old && flags & XATTR_REPLACE)
        return -ENODATA;
    if (total(xattrs) + strlen(name) + size > TOTAL_MAX)
        return -ENOSPC;
    struct xattr *x = make(name, value, size);
    if (!x)
        return -ENOMEM;
    list_add_tail(&xattrs->list, &x->link);
    if (old) {
        list_del(&old->link);
        xattr_free(old);
    }
    changed(dentry);
    return 0;
}

ssize_t vfs_getxattr(struct dentry *dentry, const char *name, void *value, size_t size)
{
    const struct xattrs *xattrs = xattrs_of(dentry->d_inode);
    int err = check(dentry->d_inode, name, MAY_READ);

    if (err)
        return err;
    if (elsewhere(dentry))
        return elsewhere(dentry)->get(dentry->d_inode, name, value, size);
    if (!xattrs)
        return -EOPNOTSUPP;
    const struct xattr *x = find(xattrs, name);
    if (!x)
        return -ENODATA;
    if (size == 0)
        return (ssize_t)x->size;
    if (size < x->size)
        return -ERANGE;
    memcpy(value, x->value, x->size);
    return (ssize_t)x->size;
}

ssize_t vfs_listxattr(struct dentry *dentry, char *names, size_t size)
{
    const struct xattrs *xattrs = xattrs_of(dentry->d_inode);
    const struct xattr *x;
    size_t done = 0;

    if (elsewhere(dentry))
        return elsewhere(dentry)->list(dentry->d_inode, names, size);
    if (!xattrs || !xattrs->list.next)
        return 0;
    list_for_each(x, &xattrs->list, link) {
        size_t len = strlen(x->name) + 1;
        if (is_in(x->name, XATTR_TRUSTED_PREFIX) && !capable(CAP_SYS_ADMIN))
            continue;
        if (size > 0 && done + len > size)
            return -ERANGE;
        if (size > 0)
            memcpy(names + done, x->name, len);
        done += len;
    }
    return (ssize_t)done;
}

int vfs_removexattr(struct dentry *dentry, const char *name)
{
    const struct xattrs *xattrs = xattrs_of(dentry->d_inode);
    int err = check(dentry->d_inode, name, MAY_WRITE);

    if (err)
        return err;
    if (elsewhere(dentry)) {
        err = elsewhere(dentry)->remove(dentry->d_inode, name);
        if (!err)
            fsnotify_dentry(dentry, IN_ATTRIB);
        return err;
    }
    if (!xattrs)
        return -EOPNOTSUPP;
    struct xattr *x = find(xattrs, name);
    if (!x)
        return -ENODATA;
    list_del(&x->link);
    xattr_free(x);
    changed(dentry);
    return 0;
}
