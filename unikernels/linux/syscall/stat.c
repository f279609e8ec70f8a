/* What is known of files, and setting it. */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/utime.h>

#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/cred_impl.h"
#include "task/task.h"
#include "time/clock.h"

#define UTIME_NOW ((1l << 30) - 1)
#define UTIME_OMIT ((1l << 30) - 2)

/* The dentry of a path argument with AT_* flags, of which `allowed` are known to the call. */
static int lookup_at(long dfd, long path_addr, long flags, long allowed, bool follow, struct dentry **found)
{
    unsigned lookup = follow ? LOOKUP_FOLLOW : 0;

    if (flags & ~allowed)
        return -EINVAL;
    if (flags & AT_EMPTY_PATH)
        lookup |= LOOKUP_EMPTY;
    char *path = path_from_user((uaddr_t)path_addr);
    if (IS_ERR(path))
        return (int)PTR_ERR(path);
    int err = path_lookup((int)dfd, path, lookup, found);
    kfree(path);
    return err;
}

static int lookup_fd(long fd, bool raw, struct dentry **found)
{
    struct file *file = raw ? fget_raw((int)fd) : fget((int)fd);

    if (!file)
        return -EBADF;
    *found = dget(file->f_dentry);
    file_put(file);
    return 0;
}

/* ---- stat ---- */

static struct inode *refreshed(const struct dentry *dentry)
{
    struct inode *inode = dentry->d_inode;

    if (inode->i_op->getattr)
        inode->i_op->getattr(inode);
    return inode;
}

static long put_stat(struct dentry *dentry, uaddr_t to)
{
    const struct inode *inode = refreshed(dentry);
    struct stat st = {
        .st_dev = inode->i_sb->s_dev,
        .st_ino = inode->i_ino,
        .st_nlink = inode->i_nlink,
        .st_mode = inode->i_mode,
        .st_uid = inode->i_uid,
        .st_gid = inode->i_gid,
        .st_rdev = inode->i_rdev,
        .st_size = (long)inode->i_size,
        .st_blksize = PAGE_SIZE,
        .st_blocks = (long)inode->i_blocks,
        .st_atime = (unsigned long)inode->i_atime.tv_sec,
        .st_atime_nsec = (unsigned long)inode->i_atime.tv_nsec,
        .st_mtime = (unsigned long)inode->i_mtime.tv_sec,
        .st_mtime_nsec = (unsigned long)inode->i_mtime.tv_nsec,
        .st_ctime = (unsigned long)inode->i_ctime.tv_sec,
        .st_ctime_nsec = (unsigned long)inode->i_ctime.tv_nsec,
    };

    dput(dentry);
    return copy_to_user(to, &st, sizeof(st));
}

long sys_newfstatat(long dfd, long path, long buf, long flags)
{
    struct dentry *dentry;
    int err = lookup_at(dfd, path, flags, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH,
                        !(flags & AT_SYMLINK_NOFOLLOW), &dentry);

    return err ? err : put_stat(dentry, (uaddr_t)buf);
}

long sys_stat(long path, long buf)
{
    return sys_newfstatat(AT_FDCWD, path, buf, 0);
}

long sys_lstat(long path, long buf)
{
    return sys_newfstatat(AT_FDCWD, path, buf, AT_SYMLINK_NOFOLLOW);
}

long sys_fstat(long fd, long buf)
{
    struct dentry *dentry;
    int err = lookup_fd(fd, true, &dentry);

    return err ? err : put_stat(dentry, (uaddr_t)buf);
}

static struct statx_timestamp statx_time(const struct __kernel_timespec *time)
{
    return (struct statx_timestamp){.tv_sec = time->tv_sec, .tv_nsec = (uint32_t)time->tv_nsec};
}

long sys_statx(long dfd, long path, long flags, long mask, long buf)
{
    const long allowed = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    struct dentry *dentry;

    if (mask & STATX__RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    int err = lookup_at(dfd, path, flags, allowed, !(flags & AT_SYMLINK_NOFOLLOW), &dentry);
    if (err)
        return err;
    const struct inode *inode = refreshed(dentry);
    struct statx st = {
        .stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
        .stx_blksize = PAGE_SIZE,
        .stx_nlink = inode->i_nlink,
        .stx_uid = inode->i_uid,
        .stx_gid = inode->i_gid,
        .stx_mode = (uint16_t)inode->i_mode,
        .stx_ino = inode->i_ino,
        .stx_size = inode->i_size,
        .stx_blocks = inode->i_blocks,
        .stx_attributes_mask = STATX_ATTR_MOUNT_ROOT,
        .stx_attributes = dentry == dentry->d_sb->s_root ? STATX_ATTR_MOUNT_ROOT : 0,
        .stx_atime = statx_time(&inode->i_atime),
        .stx_btime = statx_time(&inode->i_btime),
        .stx_ctime = statx_time(&inode->i_ctime),
        .stx_mtime = statx_time(&inode->i_mtime),
        .stx_rdev_major = (uint32_t)(inode->i_rdev >> 8 & 0xfff),
        .stx_rdev_minor = (uint32_t)((inode->i_rdev & 0xff) | (inode->i_rdev >> 12 & 0xfff00)),
        .stx_dev_minor = inode->i_sb->s_dev,
        .stx_mnt_id = inode->i_sb->s_id,
    };
    dput(dentry);
    return copy_to_user((uaddr_t)buf, &st, sizeof(st));
}

static long put_statfs(struct dentry *dentry, uaddr_t to)
{
    struct super_block *sb = dentry->d_sb;
    struct statfs st = {.f_type = (long)sb->s_magic, .f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = NAME_MAX};

    if (sb->s_op && sb->s_op->statfs)
        sb->s_op->statfs(sb, &st);
    st.f_fsid.val[0] = (int)sb->s_dev;
    /* ST_VALID, and the mount's own: statfs(2). */
    st.f_flags = 0x20 | (sb->s_flags & SB_RDONLY ? 1 : 0) | (sb->s_flags & SB_NOSUID ? 2 : 0) |
                 (sb->s_flags & SB_NODEV ? 4 : 0) | (sb->s_flags & SB_NOEXEC ? 8 : 0) |
                 (sb->s_flags & SB_NOATIME ? 0x400 : 0x1000);
    dput(dentry);
    return copy_to_user(to, &st, sizeof(st));
}

long sys_statfs(long path, long buf)
{
    struct dentry *dentry;
    int err = lookup_at(AT_FDCWD, path, 0, 0, true, &dentry);

    return err ? err : put_statfs(dentry, (uaddr_t)buf);
}

long sys_fstatfs(long fd, long buf)
{
    struct dentry *dentry;
    int err = lookup_fd(fd, true, &dentry);

    return err ? err : put_statfs(dentry, (uaddr_t)buf);
}

/* ---- access ---- */

/* By the real ids, and with root's capabilities only for real root: access(2). Follows as Linux's. */
static struct cred *real_cred(void)
{
    struct cred *cred = cred_copy(current->cred);

    if (!cred)
        return NULL;
    cred->fsuid = cred->uid;
    cred->fsgid = cred->gid;
    cred->cap_effective = cred->uid == 0 ? cred->cap_permitted : 0;
    return cred;
}

long sys_faccessat2(long dfd, long path, long mode, long flags)
{
    struct dentry *dentry;
    struct cred *effective = current->cred, *real = NULL;

    if (mode & ~7l)
        return -EINVAL;
    if (!(flags & AT_EACCESS)) {
        real = real_cred();
        if (!real)
            return -ENOMEM;
        current->cred = real; /* for the walk, too; nothing sleeps on the way */
    }
    int err = lookup_at(dfd, path, flags, AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
                        !(flags & AT_SYMLINK_NOFOLLOW), &dentry);
    if (!err) {
        const struct inode *inode = dentry->d_inode;
        if (mode & MAY_EXEC && S_ISREG(inode->i_mode) && dentry->d_sb->s_flags & SB_NOEXEC)
            err = -EACCES;
        else
            err = mode ? inode_permission(inode, current->cred, (int)mode) : 0;
        dput(dentry);
    }
    current->cred = effective;
    if (real)
        cred_put(real);
    return err;
}

long sys_faccessat(long dfd, long path, long mode)
{
    return sys_faccessat2(dfd, path, mode, 0);
}

long sys_access(long path, long mode)
{
    return sys_faccessat2(AT_FDCWD, path, mode, 0);
}

/* ---- mode and owner ---- */

static long change_mode(struct dentry *dentry, long mode)
{
    struct iattr attr = {.valid = ATTR_MODE, .mode = (uint32_t)mode & 07777};
    int err = S_ISLNK(dentry->d_inode->i_mode) ? -EOPNOTSUPP : dentry_setattr(dentry, &attr);

    dput(dentry);
    return err;
}

long sys_fchmodat(long dfd, long path, long mode)
{
    struct dentry *dentry;
    int err = lookup_at(dfd, path, 0, 0, true, &dentry);

    return err ? err : change_mode(dentry, mode);
}

long sys_chmod(long path, long mode)
{
    return sys_fchmodat(AT_FDCWD, path, mode);
}

long sys_fchmod(long fd, long mode)
{
    struct dentry *dentry;
    int err = lookup_fd(fd, false, &dentry);

    return err ? err : change_mode(dentry, mode);
}

static long change_owner(struct dentry *dentry, long uid, long gid)
{
    struct iattr attr = {.valid = ATTR_KILL_PRIVS, .uid = (uint32_t)uid, .gid = (uint32_t)gid};

    if ((int)uid != -1)
        attr.valid |= ATTR_UID;
    if ((int)gid != -1)
        attr.valid |= ATTR_GID;
    int err = dentry_setattr(dentry, &attr);
    dput(dentry);
    return err;
}

long sys_fchownat(long dfd, long path, long uid, long gid, long flags)
{
    struct dentry *dentry;
    int err = lookup_at(dfd, path, flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, !(flags & AT_SYMLINK_NOFOLLOW), &dentry);

    return err ? err : change_owner(dentry, uid, gid);
}

long sys_chown(long path, long uid, long gid)
{
    return sys_fchownat(AT_FDCWD, path, uid, gid, 0);
}

long sys_lchown(long path, long uid, long gid)
{
    return sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(long fd, long uid, long gid)
{
    struct dentry *dentry;
    int err = lookup_fd(fd, false, &dentry);

    return err ? err : change_owner(dentry, uid, gid);
}

/* ---- times ---- */

/* One time of utimensat: 0, or EINVAL. UTIME_OMIT leaves `bit` out. */
static int take_time(const struct __kernel_timespec *from, uint32_t bit, struct iattr *attr, struct __kernel_timespec *to)
{
    if (from->tv_nsec == UTIME_OMIT)
        return 0;
    attr->valid |= bit;
    if (from->tv_nsec == UTIME_NOW) {
        *to = clock_now();
        return 0;
    }
    if (from->tv_nsec < 0 || from->tv_nsec >= NSEC_PER_SEC)
        return -EINVAL;
    attr->valid |= ATTR_TIMES_SET;
    *to = *from;
    return 0;
}

/* times NULL: both to now, which whoever may write may do, too. */
static long set_times(struct dentry *dentry, const struct __kernel_timespec times[2])
{
    static const struct __kernel_timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    struct inode *inode = dentry->d_inode;
    struct iattr attr = {0};

    if (!times)
        times = now;
    int err = take_time(&times[0], ATTR_ATIME, &attr, &attr.atime);
    if (!err)
        err = take_time(&times[1], ATTR_MTIME, &attr, &attr.mtime);
    bool both_now = times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW;
    if (!err && attr.valid && !both_now)
        attr.valid |= ATTR_TIMES_SET;
    if (!err && both_now && !inode_owner_or_capable(inode, current->cred))
        err = inode_permission(inode, current->cred, MAY_WRITE);
    if (!err && attr.valid)
        err = dentry_setattr(dentry, &attr);
    dput(dentry);
    return err;
}

long sys_utimensat(long dfd, long path, long times_addr, long flags)
{
    struct __kernel_timespec times[2];
    struct dentry *dentry;
    int err;

    if (times_addr && copy_from_user(times, (uaddr_t)times_addr, sizeof(times)))
        return -EFAULT;
    /* Without a path it is futimens(3). */
    if (!path)
        err = flags ? -EINVAL : lookup_fd(dfd, false, &dentry);
    else
        err = lookup_at(dfd, path, flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, !(flags & AT_SYMLINK_NOFOLLOW), &dentry);
    return err ? err : set_times(dentry, times_addr ? times : NULL);
}

long sys_futimesat(long dfd, long path, long times_addr)
{
    struct __kernel_old_timeval old[2];
    struct __kernel_timespec times[2];
    struct dentry *dentry;

    if (times_addr) {
        if (copy_from_user(old, (uaddr_t)times_addr, sizeof(old)))
            return -EFAULT;
        for (int i = 0; i < 2; i++) {
            if (old[i].tv_usec < 0 || old[i].tv_usec >= 1000000)
                return -EINVAL;
            times[i] = (struct __kernel_timespec){.tv_sec = old[i].tv_sec, .tv_nsec = old[i].tv_usec * NSEC_PER_USEC};
        }
    }
    int err = path ? lookup_at(dfd, path, 0, 0, true, &dentry) : lookup_fd(dfd, false, &dentry);
    return err ? err : set_times(dentry, times_addr ? times : NULL);
}

long sys_utimes(long path, long times)
{
    return sys_futimesat(AT_FDCWD, path, times);
}

long sys_utime(long path, long times_addr)
{
    struct utimbuf old;
    struct __kernel_timespec times[2] = {{0}};
    struct dentry *dentry;

    if (times_addr) {
        if (copy_from_user(&old, (uaddr_t)times_addr, sizeof(old)))
            return -EFAULT;
        times[0].tv_sec = old.actime;
        times[1].tv_sec = old.modtime;
    }
    int err = lookup_at(AT_FDCWD, path, 0, 0, true, &dentry);
    return err ? err : set_times(dentry, times_addr ? times : NULL);
}
