/* Names: opening, making, removing, renaming, and where the process is. */
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/task.h"

/* Does something with a path of the program's. */
#define WITH_PATH(addr, path, call)                  \
    ({                                               \
        char *path = path_from_user((uaddr_t)(addr)); \
        long result_of_##path;                           \
        if (IS_ERR(path)) {                          \
            result_of_##path = PTR_ERR(path);            \
        } else {                                     \
            result_of_##path = (call);                   \
            kfree(path);                             \
        }                                            \
        result_of_##path;                                \
    })

/* ---- open ---- */

static long do_open(int dfd, const char *path, int flags, uint32_t mode, unsigned resolve)
{
    struct file *file;
    int err = vfs_open(dfd, path, flags, mode, resolve, &file);

    if (err)
        return err;
    int fd = fd_install(file, 0, flags & O_CLOEXEC);
    if (fd < 0)
        file_put(file);
    return fd;
}

long sys_openat(long dfd, long path_addr, long flags, long mode)
{
    return WITH_PATH(path_addr, path, do_open((int)dfd, path, (int)flags, (uint32_t)mode, 0));
}

long sys_open(long path, long flags, long mode)
{
    return sys_openat(AT_FDCWD, path, flags, mode);
}

long sys_creat(long path, long mode)
{
    return sys_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* A longer structure than ours is fine as long as what we do not know is zero: openat2(2). */
static int get_open_how(uaddr_t addr, size_t size, struct open_how *how)
{
    uint64_t word;

    if (size < sizeof(*how))
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (copy_from_user(how, addr, sizeof(*how)))
        return -EFAULT;
    for (size_t at = sizeof(*how); at + sizeof(word) <= size; at += sizeof(word)) {
        if (get_user_u64(&word, addr + at))
            return -EFAULT;
        if (word)
            return -E2BIG;
    }
    return 0;
}

long sys_openat2(long dfd, long path_addr, long how_addr, long size)
{
    static const struct {
        uint64_t resolve;
        unsigned lookup;
    } map[] = {
        {RESOLVE_NO_SYMLINKS, LOOKUP_NO_SYMLINKS}, {RESOLVE_NO_MAGICLINKS, LOOKUP_NO_MAGICLINKS},
        {RESOLVE_BENEATH, LOOKUP_BENEATH},         {RESOLVE_IN_ROOT, LOOKUP_IN_ROOT},
        {RESOLVE_NO_XDEV, LOOKUP_NO_XDEV},
    };
    const uint64_t known_flags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC |
                                 FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |
                                 O_SYNC | O_PATH | O_TMPFILE;
    struct open_how how;
    uint64_t known = 0;
    unsigned lookup = 0;

    int err = get_open_how((uaddr_t)how_addr, (size_t)size, &how);
    if (err)
        return err;
    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        known |= map[i].resolve;
        if (how.resolve & map[i].resolve)
            lookup |= map[i].lookup;
    }
    bool makes = how.flags & (O_CREAT | __O_TMPFILE);
    if (how.resolve & ~known || how.flags & ~known_flags || how.mode & ~07777ull || (how.mode && !makes) ||
        (lookup & LOOKUP_BENEATH && lookup & LOOKUP_IN_ROOT))
        return -EINVAL;
    if (lookup & LOOKUP_NO_SYMLINKS)
        lookup |= LOOKUP_NO_MAGICLINKS;
    return WITH_PATH(path_addr, path, do_open((int)dfd, path, (int)how.flags, (uint32_t)how.mode, lookup));
}

/* ---- making and removing ---- */

long sys_mkdirat(long dfd, long path_addr, long mode)
{
    return WITH_PATH(path_addr, path, vfs_mkdir((int)dfd, path, (uint32_t)mode));
}

long sys_mkdir(long path, long mode)
{
    return sys_mkdirat(AT_FDCWD, path, mode);
}

long sys_mknodat(long dfd, long path_addr, long mode, long dev)
{
    return WITH_PATH(path_addr, path, vfs_mknod((int)dfd, path, (uint32_t)mode, (uint32_t)dev));
}

long sys_mknod(long path, long mode, long dev)
{
    return sys_mknodat(AT_FDCWD, path, mode, dev);
}

long sys_unlinkat(long dfd, long path_addr, long flags)
{
    if (flags & ~(long)AT_REMOVEDIR)
        return -EINVAL;
    return WITH_PATH(path_addr, path, flags ? vfs_rmdir((int)dfd, path) : vfs_unlink((int)dfd, path));
}

long sys_unlink(long path)
{
    return sys_unlinkat(AT_FDCWD, path, 0);
}

long sys_rmdir(long path)
{
    return sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

long sys_renameat2(long old_dfd, long old_addr, long new_dfd, long new_addr, long flags)
{
    return WITH_PATH(old_addr, old,
                     WITH_PATH(new_addr, new, vfs_rename((int)old_dfd, old, (int)new_dfd, new, (unsigned)flags)));
}

long sys_renameat(long old_dfd, long old, long new_dfd, long new)
{
    return sys_renameat2(old_dfd, old, new_dfd, new, 0);
}

long sys_rename(long old, long new)
{
    return sys_renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

long sys_linkat(long old_dfd, long old_addr, long new_dfd, long new_addr, long flags)
{
    unsigned lookup = 0;

    if (flags & ~(long)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & AT_EMPTY_PATH && !capable(CAP_DAC_READ_SEARCH))
        return -ENOENT;
    if (flags & AT_SYMLINK_FOLLOW)
        lookup |= LOOKUP_FOLLOW;
    if (flags & AT_EMPTY_PATH)
        lookup |= LOOKUP_EMPTY;
    return WITH_PATH(old_addr, old, WITH_PATH(new_addr, new, vfs_link((int)old_dfd, old, lookup, (int)new_dfd, new)));
}

long sys_link(long old, long new)
{
    return sys_linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

long sys_symlinkat(long target_addr, long dfd, long path_addr)
{
    return WITH_PATH(target_addr, target, WITH_PATH(path_addr, path, vfs_symlink(target, (int)dfd, path)));
}

long sys_symlink(long target, long path)
{
    return sys_symlinkat(target, AT_FDCWD, path);
}

/* ---- readlink ---- */

static long readlink_dentry(struct dentry *dentry, uaddr_t buf, size_t size)
{
    char *target = kmalloc(PATH_MAX);

    if (!target)
        return -ENOMEM;
    int len = vfs_readlink(dentry, target, MIN(size, (size_t)PATH_MAX));
    long result = len > 0 && copy_to_user(buf, target, (size_t)len) ? -EFAULT : len;
    kfree(target);
    return result;
}

static long do_readlink(int dfd, const char *path, uaddr_t buf, int size)
{
    struct dentry *dentry;

    if (size <= 0)
        return -EINVAL;
    int err = path_lookup(dfd, path, LOOKUP_EMPTY, &dentry);
    if (err)
        return err;
    long result = readlink_dentry(dentry, buf, (size_t)size);
    /* An empty path is for O_PATH descriptors of links alone. */
    if (result == -EINVAL && *path == '\0')
        result = -ENOENT;
    dput(dentry);
    return result;
}

long sys_readlinkat(long dfd, long path_addr, long buf, long size)
{
    return WITH_PATH(path_addr, path, do_readlink((int)dfd, path, (uaddr_t)buf, (int)size));
}

long sys_readlink(long path, long buf, long size)
{
    return sys_readlinkat(AT_FDCWD, path, buf, size);
}

/* ---- where the process is ---- */

long sys_getcwd(long buf, long size)
{
    const struct fs *fs = current->process->fs;
    char *page = kmalloc(PATH_MAX);
    long result = -ENOMEM;

    if (!page)
        return result;
    if (fs->pwd->d_flags & DENTRY_DELETED) {
        result = -ENOENT;
        goto out;
    }
    const char *path = d_path(fs->pwd, fs->root, page, PATH_MAX);
    if (!path) {
        result = -ENAMETOOLONG;
        goto out;
    }
    size_t len = strlen(path) + 1;
    if ((size_t)size < len)
        result = -ERANGE;
    else
        result = copy_to_user((uaddr_t)buf, path, len) ? -EFAULT : (long)len;
out:
    kfree(page);
    return result;
}

static int enter(struct dentry **place, struct dentry *dentry)
{
    int err = S_ISDIR(dentry->d_inode->i_mode) ? inode_permission(dentry->d_inode, current->cred, MAY_EXEC) : -ENOTDIR;

    if (err) {
        dput(dentry);
        return err;
    }
    dput(*place);
    *place = dentry;
    return 0;
}

static int change(struct dentry **place, const char *path)
{
    struct dentry *dentry;
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

    return err ? err : enter(place, dentry);
}

long sys_chdir(long path_addr)
{
    return WITH_PATH(path_addr, path, change(&current->process->fs->pwd, path));
}

long sys_fchdir(long fd)
{
    struct file *file = fget_raw((int)fd);

    if (!file)
        return -EBADF;
    int err = enter(&current->process->fs->pwd, dget(file->f_dentry));
    file_put(file);
    return err;
}

static int change_root(const char *path)
{
    struct dentry *dentry;
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

    if (err)
        return err;
    err = inode_permission(dentry->d_inode, current->cred, MAY_EXEC);
    if (!err && !capable(CAP_SYS_CHROOT))
        err = -EPERM;
    if (err) {
        dput(dentry);
        return err;
    }
    return enter(&current->process->fs->root, dentry);
}

long sys_chroot(long path_addr)
{
    return WITH_PATH(path_addr, path, change_root(path));
}

long sys_umask(long mask)
{
    uint32_t old = current->process->fs->umask;

    current->process->fs->umask = (uint32_t)mask & 0777;
    return old;
}
