/* Extended attributes: by path, by path without following a link, by descriptor. */
#include <linux/fcntl.h>
#include <linux/limits.h>

#include "fs/xattr.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"

/* ---- whose ---- */

static int by_path(long path_addr, bool follow, struct dentry **found)
{
    char *path = path_from_user((uaddr_t)path_addr);

    if (IS_ERR(path))
        return (int)PTR_ERR(path);
    int err = path_lookup(AT_FDCWD, path, follow ? LOOKUP_FOLLOW : 0, found);
    kfree(path);
    return err;
}

static int by_fd(long fd, struct dentry **found)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    *found = dget(file->f_dentry);
    file_put(file);
    return 0;
}

/* ---- what ---- */

static int get_name(char name[XATTR_NAME_MAX + 1], long addr)
{
    ssize_t len = strncpy_from_user(name, (uaddr_t)addr, XATTR_NAME_MAX + 1);

    if (len == 0 || len == -ENAMETOOLONG)
        return -ERANGE;
    return len < 0 ? (int)len : 0;
}

static long set(struct dentry *dentry, long name_addr, long value_addr, size_t size, long flags)
{
    char name[XATTR_NAME_MAX + 1];

    if (flags & ~(long)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    int err = get_name(name, name_addr);
    if (err)
        return err;
    if (size > XATTR_SIZE_MAX)
        return -E2BIG;
    void *value = kmalloc(size + 1);
    if (!value)
        return -ENOMEM;
    err = copy_from_user(value, (uaddr_t)value_addr, size);
    if (!err)
        err = vfs_setxattr(dentry, name, value, size, (int)flags);
    kfree(value);
    return err;
}

/* Asks with a buffer of the kernel's, and hands over what came. */
static long answer(struct dentry *dentry, const char *name, long to, size_t size)
{
    void *buf = size ? kmalloc(size) : NULL;
    ssize_t len = -ENOMEM;

    if (buf || !size)
        len = name ? vfs_getxattr(dentry, name, buf, size) : vfs_listxattr(dentry, buf, size);
    if (len > 0 && size && copy_to_user((uaddr_t)to, buf, (size_t)len))
        len = -EFAULT;
    kfree(buf);
    return len;
}

static long get(struct dentry *dentry, long name_addr, long to, size_t size)
{
    char name[XATTR_NAME_MAX + 1];
    int err = get_name(name, name_addr);

    return err ? err : answer(dentry, name, to, MIN(size, XATTR_SIZE_MAX));
}

static long list(struct dentry *dentry, long to, size_t size)
{
    return answer(dentry, NULL, to, MIN(size, XATTR_LIST_MAX));
}

static long remove(struct dentry *dentry, long name_addr)
{
    char name[XATTR_NAME_MAX + 1];
    int err = get_name(name, name_addr);

    return err ? err : vfs_removexattr(dentry, name);
}

/* ---- the calls ---- */

#define ON(find, call)                \
    ({                                \
        struct dentry *dentry;        \
        long result_ = (find);        \
        if (!result_) {               \
            result_ = (call);         \
            dput(dentry);             \
        }                             \
        result_;                      \
    })

long sys_setxattr(long path, long name, long value, long size, long flags)
{
    return ON(by_path(path, true, &dentry), set(dentry, name, value, (size_t)size, flags));
}

long sys_lsetxattr(long path, long name, long value, long size, long flags)
{
    return ON(by_path(path, false, &dentry), set(dentry, name, value, (size_t)size, flags));
}

long sys_fsetxattr(long fd, long name, long value, long size, long flags)
{
    return ON(by_fd(fd, &dentry), set(dentry, name, value, (size_t)size, flags));
}

long sys_getxattr(long path, long name, long value, long size)
{
    return ON(by_path(path, true, &dentry), get(dentry, name, value, (size_t)size));
}

long sys_lgetxattr(long path, long name, long value, long size)
{
    return ON(by_path(path, false, &dentry), get(dentry, name, value, (size_t)size));
}

long sys_fgetxattr(long fd, long name, long value, long size)
{
    return ON(by_fd(fd, &dentry), get(dentry, name, value, (size_t)size));
}

long sys_listxattr(long path, long names, long size)
{
    return ON(by_path(path, true, &dentry), list(dentry, names, (size_t)size));
}

long sys_llistxattr(long path, long names, long size)
{
    return ON(by_path(path, false, &dentry), list(dentry, names, (size_t)size));
}

long sys_flistxattr(long fd, long names, long size)
{
    return ON(by_fd(fd, &dentry), list(dentry, names, (size_t)size));
}

long sys_removexattr(long path, long name)
{
    return ON(by_path(path, true, &dentry), remove(dentry, name));
}

long sys_lremovexattr(long path, long name)
{
    return ON(by_path(path, false, &dentry), remove(dentry, name));
}

long sys_fremovexattr(long fd, long name)
{
    return ON(by_fd(fd, &dentry), remove(dentry, name));
}
