/* Data of open files: reading, writing, positions, sizes, folders' entries. */
#include <asm/signal.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "fs/inotify.h"
#include "fs/mount.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/task.h"

enum direction { READ, WRITE };

static long transfer(int fd, struct iov_iter *it, uint64_t *pos, unsigned rwf, enum direction direction)
{
    struct file *file = fget(fd);

    if (!file)
        return -EBADF;
    int64_t done = direction == READ ? vfs_read(file, it, pos, rwf) : vfs_write(file, it, pos, rwf);
    file_put(file);
    return done;
}

static long transfer_one(int fd, uaddr_t buf, size_t len, uint64_t *pos, enum direction direction)
{
    struct iov_iter it;

    if ((ssize_t)len < 0)
        return fget_check(fd, -EFAULT); /* its end is outside of any memory */
    iov_iter_user(&it, buf, MIN(len, MAX_RW_COUNT));
    return transfer(fd, &it, pos, 0, direction);
}

static long transfer_vec(int fd, uaddr_t vec, size_t n, uint64_t *pos, unsigned rwf, enum direction direction)
{
    struct iov_iter it;
    struct user_iovec *iov = iov_from_user(vec, n);

    if (IS_ERR(iov))
        return fget_check(fd, (int)PTR_ERR(iov));
    iov_iter_vec(&it, iov, n);
    long done = transfer(fd, &it, pos, rwf, direction);
    kfree(iov);
    return done;
}

long sys_read(long fd, long buf, long len)
{
    return transfer_one((int)fd, (uaddr_t)buf, (size_t)len, NULL, READ);
}

long sys_write(long fd, long buf, long len)
{
    return transfer_one((int)fd, (uaddr_t)buf, (size_t)len, NULL, WRITE);
}

long sys_pread64(long fd, long buf, long len, long offset)
{
    uint64_t pos = (uint64_t)offset;

    return offset < 0 ? -EINVAL : transfer_one((int)fd, (uaddr_t)buf, (size_t)len, &pos, READ);
}

long sys_pwrite64(long fd, long buf, long len, long offset)
{
    uint64_t pos = (uint64_t)offset;

    return offset < 0 ? -EINVAL : transfer_one((int)fd, (uaddr_t)buf, (size_t)len, &pos, WRITE);
}

long sys_readv(long fd, long iov, long n)
{
    return transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, NULL, 0, READ);
}

long sys_writev(long fd, long iov, long n)
{
    return transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, NULL, 0, WRITE);
}

/* The offset's upper half is for 32-bit machines; on this one the lower holds all of it. */
long sys_preadv(long fd, long iov, long n, long offset, long high)
{
    uint64_t pos = (uint64_t)offset;

    (void)high;
    return offset < 0 ? -EINVAL : transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, &pos, 0, READ);
}

long sys_pwritev(long fd, long iov, long n, long offset, long high)
{
    uint64_t pos = (uint64_t)offset;

    (void)high;
    return offset < 0 ? -EINVAL : transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, &pos, 0, WRITE);
}

/* An offset of -1 is the file's own position. */
long sys_preadv2(long fd, long iov, long n, long offset, long high, long flags)
{
    uint64_t pos = (uint64_t)offset;

    (void)high;
    if (offset < -1)
        return -EINVAL;
    return transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, offset == -1 ? NULL : &pos, (unsigned)flags, READ);
}

long sys_pwritev2(long fd, long iov, long n, long offset, long high, long flags)
{
    uint64_t pos = (uint64_t)offset;

    (void)high;
    if (offset < -1)
        return -EINVAL;
    return transfer_vec((int)fd, (uaddr_t)iov, (size_t)n, offset == -1 ? NULL : &pos, (unsigned)flags, WRITE);
}

long sys_lseek(long fd, long offset, long whence)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    int64_t to = -ESPIPE;
    if ((unsigned)whence > SEEK_HOLE)
        to = -EINVAL;
    else if (file->f_op->llseek)
        to = file->f_op->llseek(file, offset, (int)whence);
    file_put(file);
    return to;
}

/* ---- between two files ---- */

static int get_offset(uaddr_t addr, uint64_t *pos)
{
    if (addr && get_user_u64(pos, addr))
        return -EFAULT;
    return addr && (int64_t)*pos < 0 ? -EINVAL : 0;
}

static long between(struct file *in, uaddr_t in_offset, struct file *out, uaddr_t out_offset, size_t len)
{
    uint64_t in_pos = 0, out_pos = 0;
    int err = get_offset(in_offset, &in_pos);

    if (!err)
        err = get_offset(out_offset, &out_pos);
    if (err)
        return err;
    int64_t done = vfs_splice(in, in_offset ? &in_pos : NULL, out, out_offset ? &out_pos : NULL, MIN(len, MAX_RW_COUNT));
    if (done >= 0 && in_offset && put_user_u64(in_offset, in_pos))
        return -EFAULT;
    if (done >= 0 && out_offset && put_user_u64(out_offset, out_pos))
        return -EFAULT;
    return done;
}

long sys_sendfile(long out_fd, long in_fd, long offset, long len)
{
    struct file *in = fget((int)in_fd), *out = fget((int)out_fd);
    long done = -EBADF;

    if (!in || !out || !in->f_read || !out->f_write)
        goto out;
    done = -ESPIPE;
    if (offset && !in->f_op->llseek)
        goto out;
    /* The source must be something that could be mapped; O_APPEND is refused, sendfile(2). */
    done = -EINVAL;
    if (!in->f_op->llseek || out->f_flags & O_APPEND)
        goto out;
    done = between(in, (uaddr_t)offset, out, 0, (size_t)len);
out:
    file_put(in);
    file_put(out);
    return done;
}

/* Where copy_file_range would read and write; *len is cut at the source's end. EINVAL if the two overlap. */
static int check_copy(const struct file *in, uaddr_t in_offset, const struct file *out, uaddr_t out_offset, size_t *len)
{
    uint64_t from = in->f_pos, to = out->f_pos, size = in->f_inode->i_size;

    if (S_ISDIR(in->f_inode->i_mode) || S_ISDIR(out->f_inode->i_mode))
        return -EISDIR;
    if (!S_ISREG(in->f_inode->i_mode) || !S_ISREG(out->f_inode->i_mode))
        return -EINVAL;
    if (!in->f_read || !out->f_write || out->f_flags & O_APPEND)
        return -EBADF;
    int err = get_offset(in_offset, &from);
    if (!err)
        err = get_offset(out_offset, &to);
    if (err)
        return err;
    if (*len > INT64_MAX - MAX(from, to))
        return -EOVERFLOW;
    *len = from < size ? MIN(*len, size - from) : 0;
    if (in->f_inode == out->f_inode && from < to + *len && to < from + *len)
        return -EINVAL;
    return 0;
}

long sys_copy_file_range(long in_fd, long in_offset, long out_fd, long out_offset, long len_arg, long flags)
{
    struct file *in = fget((int)in_fd), *out = fget((int)out_fd);
    size_t len = (size_t)len_arg;
    long done = -EBADF;

    if (in && out) {
        done = flags ? -EINVAL : check_copy(in, (uaddr_t)in_offset, out, (uaddr_t)out_offset, &len);
        if (!done && len > 0)
            done = between(in, (uaddr_t)in_offset, out, (uaddr_t)out_offset, len);
    }
    file_put(in);
    file_put(out);
    return done;
}

/* ---- sizes ---- */

/* RLIMIT_FSIZE goes for growing by truncation as for writing. */
static int check_size(int64_t size)
{
    uint64_t limit = task_rlimit(RLIMIT_FSIZE);

    if (size < 0)
        return -EINVAL;
    if (limit != RLIM64_INFINITY && (uint64_t)size > limit) {
        signal_send_task(current, SIGXFSZ);
        return -EFBIG;
    }
    return 0;
}

static int set_size(struct dentry *dentry, int64_t size)
{
    struct iattr attr = {.valid = ATTR_SIZE, .size = (uint64_t)size};
    int err = check_size(size);

    return err ? err : dentry_setattr(dentry, &attr);
}

long sys_ftruncate(long fd, long size)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    long err = -EINVAL;
    if (size >= 0 && file->f_write && S_ISREG(file->f_inode->i_mode))
        err = set_size(file->f_dentry, size);
    file_put(file);
    return err;
}

long sys_truncate(long path_addr, long size)
{
    struct dentry *dentry;

    if (size < 0)
        return -EINVAL;
    char *path = path_from_user((uaddr_t)path_addr);
    if (IS_ERR(path))
        return PTR_ERR(path);
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);
    kfree(path);
    if (err)
        return err;
    struct inode *inode = dentry->d_inode;
    if (S_ISDIR(inode->i_mode))
        err = -EISDIR;
    else if (!S_ISREG(inode->i_mode))
        err = -EINVAL;
    else
        err = inode_permission(inode, current->cred, MAY_WRITE);
    if (!err && inode->i_executed)
        err = -ETXTBSY;
    if (!err)
        err = set_size(dentry, size);
    dput(dentry);
    return err;
}

long sys_fallocate(long fd, long mode, long offset, long len)
{
    struct file *file = fget((int)fd);
    long err;

    if (!file)
        return -EBADF;
    if (offset < 0 || len <= 0)
        err = -EINVAL;
    else if (!file->f_write)
        err = -EBADF;
    else if (S_ISFIFO(file->f_inode->i_mode))
        err = -ESPIPE;
    else if (S_ISDIR(file->f_inode->i_mode))
        err = -EISDIR;
    else if (!S_ISREG(file->f_inode->i_mode))
        err = -ENODEV;
    else if (len > INT64_MAX - offset)
        err = -EFBIG;
    else if (!file->f_op->fallocate)
        err = -EOPNOTSUPP;
    else
        err = mode & FALLOC_FL_KEEP_SIZE || (uint64_t)(offset + len) <= file->f_inode->i_size ? 0 : check_size(offset + len);
    if (!err)
        err = file->f_op->fallocate(file, (int)mode, (uint64_t)offset, (uint64_t)len);
    if (!err)
        fsnotify_dentry(file->f_dentry, IN_MODIFY);
    file_put(file);
    return err;
}

/* ---- to the disk, which only files of the host have ---- */

static long sync_file(int fd, bool datasync)
{
    struct file *file = fget(fd);

    if (!file)
        return -EBADF;
    long err = file->f_op->fsync ? file->f_op->fsync(file, datasync) : -EINVAL;
    file_put(file);
    return err;
}

long sys_fsync(long fd)
{
    return sync_file((int)fd, false);
}

long sys_fdatasync(long fd)
{
    return sync_file((int)fd, true);
}

static int sync_mount(struct super_block *sb)
{
    return sb->s_op && sb->s_op->sync ? sb->s_op->sync(sb) : 0;
}

long sys_sync(void)
{
    struct super_block *sb;

    list_for_each(sb, &mounts, s_list)
        sync_mount(sb);
    return 0;
}

long sys_syncfs(long fd)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    long err = sync_mount(file->f_dentry->d_sb);
    file_put(file);
    return err;
}

long sys_sync_file_range(long fd, long offset, long len, long flags)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    uint32_t mode = file->f_inode->i_mode;
    long err = 0;
    if (flags & ~7l || offset < 0 || len < 0 || len > INT64_MAX - offset)
        err = -EINVAL;
    else if (!S_ISREG(mode) && !S_ISBLK(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
        err = -ESPIPE;
    file_put(file);
    return err;
}

/* All data is in memory: advice on how it will be used changes nothing. */
long sys_fadvise64(long fd, long offset, long len, long advice)
{
    struct file *file = fget((int)fd);

    (void)offset;
    if (!file)
        return -EBADF;
    long err = 0;
    if (S_ISFIFO(file->f_inode->i_mode))
        err = -ESPIPE;
    else if (advice < 0 || advice > 5 || len < 0)
        err = -EINVAL;
    file_put(file);
    return err;
}

long sys_readahead(long fd, long offset, long len)
{
    struct file *file = fget((int)fd);

    (void)offset;
    (void)len;
    if (!file)
        return -EBADF;
    long err = !file->f_read ? -EBADF : S_ISREG(file->f_inode->i_mode) ? 0 : -EINVAL;
    file_put(file);
    return err;
}

/* ---- folders ---- */

/* struct linux_dirent64: u64 ino, i64 off, u16 reclen, u8 type, name. struct linux_dirent: the type last. */
#define HEAD64 19u
#define HEAD32 18u

struct listing {
    struct dir_context ctx;
    uaddr_t at, end;
    bool old;
    int err; /* -EINVAL: not even one fits */
    size_t count;
};

static bool list_entry_out(struct dir_context *ctx, const char *name, uint32_t len, uint64_t next, uint64_t ino,
                           uint32_t type)
{
    struct listing *l = container_of(ctx, struct listing, ctx);
    char record[ALIGN_UP(HEAD64 + NAME_MAX + 2, 8)];
    uint32_t head = l->old ? HEAD32 : HEAD64;
    uint16_t size = (uint16_t)ALIGN_UP(head + len + (l->old ? 2 : 1), 8);

    if (l->at + size > l->end) {
        if (l->count == 0)
            l->err = -EINVAL;
        return false;
    }
    memset(record, 0, size);
    memcpy(record, &ino, 8);
    memcpy(record + 8, &next, 8);
    memcpy(record + 16, &size, 2);
    memcpy(record + head, name, len);
    record[l->old ? size - 1u : 18u] = (char)type;
    if (copy_to_user(l->at, record, size)) {
        if (l->count == 0)
            l->err = -EFAULT;
        return false;
    }
    l->at += size;
    l->count++;
    return true;
}

static long list_folder(int fd, uaddr_t buf, size_t len, bool old)
{
    struct file *file = fget(fd);

    if (!file)
        return -EBADF;
    struct listing l = {
        .ctx = {.actor = list_entry_out, .pos = file->f_pos}, .at = buf, .end = buf + MIN(len, INT32_MAX), .old = old};
    long err = -ENOTDIR;
    if (file->f_op->readdir) {
        err = file->f_op->readdir(file, &l.ctx);
        fsnotify_dentry(file->f_dentry, IN_ACCESS);
        if (!err)
            err = l.err;
        file->f_pos = l.ctx.pos;
        if (!err)
            err = (long)(l.at - buf);
    }
    file_put(file);
    return err;
}

long sys_getdents(long fd, long buf, long len)
{
    return list_folder((int)fd, (uaddr_t)buf, (uint32_t)len, true);
}

long sys_getdents64(long fd, long buf, long len)
{
    return list_folder((int)fd, (uaddr_t)buf, (uint32_t)len, false);
}
