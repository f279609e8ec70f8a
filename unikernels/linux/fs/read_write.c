/* Reading and writing open files; positions. */
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "fs/inotify.h"
#include "fs/vfs.h"
#include "mm/page.h"
#include "task/task.h"

#define RWF_KNOWN (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)

static bool has_positions(const struct file *file)
{
    return file->f_op->llseek && file->f_op->llseek != noop_llseek;
}

/* Woken when a file's position is free again. One queue for all: waiting is rare, and who wakes in vain sleeps on. */
static struct wait_queue pos_wait = {{&pos_wait.entries, &pos_wait.entries}};

/*
 * Two that read or write at a file's own position do so one behind the other, also
 * where the file system waits: as Linux's f_pos_lock.
 */
static void lock_pos(struct file *file)
{
    wait_uninterruptible(&pos_wait, !file->f_pos_busy);
    file->f_pos_busy = true;
}

static void unlock_pos(struct file *file)
{
    file->f_pos_busy = false;
    wake_up(&pos_wait);
}

static bool uses_pos(const struct file *file, const uint64_t *pos)
{
    return !pos && S_ISREG(file->f_inode->i_mode);
}

int64_t vfs_read(struct file *file, struct iov_iter *to, uint64_t *pos, unsigned rwf)
{
    if (!file->f_read)
        return -EBADF;
    if (S_ISDIR(file->f_inode->i_mode))
        return -EISDIR;
    if (!file->f_op->read)
        return -EINVAL;
    if (pos && !has_positions(file))
        return -ESPIPE;
    if (rwf & ~(unsigned)RWF_KNOWN)
        return -EOPNOTSUPP;
    bool own_pos = uses_pos(file, pos);
    if (own_pos)
        lock_pos(file);
    struct kiocb kiocb = {
        .file = file,
        .pos = pos ? *pos : file->f_pos,
        .nonblock = file->f_flags & O_NONBLOCK || rwf & RWF_NOWAIT,
    };
    int64_t done = (int64_t)kiocb.pos < 0 ? -EINVAL : file->f_op->read(&kiocb, to);
    current->process->io.reads++;
    current->process->io.read_bytes += (uint64_t)MAX(done, 0);
    if (done > 0 && has_positions(file))
        *(pos ? pos : &file->f_pos) = kiocb.pos;
    if (own_pos)
        unlock_pos(file);
    if (done > 0)
        fsnotify_dentry(file->f_dentry, IN_ACCESS);
    return done;
}

/* RLIMIT_FSIZE and the largest offset: what may be written at pos; EFBIG (and SIGXFSZ) if nothing. */
static int64_t limit_write(const struct file *file, uint64_t pos, size_t count)
{
    uint64_t limit = task_rlimit(RLIMIT_FSIZE);

    if (!S_ISREG(file->f_inode->i_mode) || count == 0)
        return (int64_t)count;
    if (limit != RLIM64_INFINITY) {
        if (pos >= limit) {
            signal_send_task(current, SIGXFSZ);
            return -EFBIG;
        }
        count = MIN(count, limit - pos);
    }
    if (pos >= (uint64_t)INT64_MAX)
        return -EFBIG;
    return (int64_t)MIN(count, (uint64_t)INT64_MAX - pos);
}

static int64_t write_at(struct file *file, struct iov_iter *from, uint64_t *pos, unsigned rwf)
{
    struct kiocb kiocb = {
        .file = file,
        .pos = pos ? *pos : file->f_pos,
        .nonblock = file->f_flags & O_NONBLOCK || rwf & RWF_NOWAIT,
        .append = file->f_flags & O_APPEND || rwf & RWF_APPEND,
    };

    if (kiocb.append && S_ISREG(file->f_inode->i_mode))
        kiocb.pos = file->f_inode->i_size;
    if ((int64_t)kiocb.pos < 0)
        return -EINVAL;
    int64_t count = limit_write(file, kiocb.pos, from->count);
    if (count < 0)
        return count;
    from->count = (size_t)count;
    int64_t done = file->f_op->write(&kiocb, from);
    if (done > 0 && has_positions(file))
        *(pos ? pos : &file->f_pos) = kiocb.pos;
    return done;
}

int64_t vfs_write(struct file *file, struct iov_iter *from, uint64_t *pos, unsigned rwf)
{
    if (!file->f_write)
        return -EBADF;
    if (!file->f_op->write)
        return -EINVAL;
    if (pos && !has_positions(file))
        return -ESPIPE;
    if (rwf & ~(unsigned)RWF_KNOWN)
        return -EOPNOTSUPP;
    bool own_pos = uses_pos(file, pos);
    if (own_pos)
        lock_pos(file);
    int64_t done = write_at(file, from, pos, rwf);
    if (own_pos)
        unlock_pos(file);
    current->process->io.writes++;
    current->process->io.write_bytes += (uint64_t)MAX(done, 0);
    if (done > 0)
        fsnotify_dentry(file->f_dentry, IN_MODIFY);
    return done;
}

int64_t noop_llseek(struct file *file, int64_t offset, int whence)
{
    (void)offset;
    (void)whence;
    return (int64_t)file->f_pos;
}

int64_t generic_llseek(struct file *file, int64_t offset, int whence)
{
    int64_t size = (int64_t)file->f_inode->i_size;
    int64_t to;

    switch (whence) {
    case SEEK_SET:
        to = offset;
        break;
    case SEEK_CUR:
        if (__builtin_add_overflow((int64_t)file->f_pos, offset, &to))
            return -EOVERFLOW;
        break;
    case SEEK_END:
        if (__builtin_add_overflow(size, offset, &to))
            return -EOVERFLOW;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        to = whence == SEEK_DATA ? offset : size;
        break;
    default:
        return -EINVAL;
    }
    if (to < 0)
        return -EINVAL;
    file->f_pos = (uint64_t)to;
    return to;
}

int64_t dir_llseek(struct file *file, int64_t offset, int whence)
{
    if (whence == SEEK_CUR)
        offset += (int64_t)file->f_pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    file->f_pos = (uint64_t)offset;
    return offset;
}

/* What could not be written goes back: the position of `in`, if it has one, is moved by what was written. */
int64_t vfs_splice(struct file *in, uint64_t *in_pos, struct file *out, uint64_t *out_pos, size_t len)
{
    void *buf = page_alloc(16);
    size_t size = 16 * PAGE_SIZE;
    int64_t total = 0;

    if (!buf)
        return -ENOMEM;
    while (len > 0) {
        struct iov_iter it;
        uint64_t from = in_pos ? *in_pos : in->f_pos;
        iov_iter_kernel(&it, buf, MIN(size, len));
        int64_t got = vfs_read(in, &it, has_positions(in) ? &from : NULL, 0);
        if (got <= 0) {
            total = total > 0 ? total : got;
            break;
        }
        iov_iter_kernel(&it, buf, (size_t)got);
        int64_t put = vfs_write(out, &it, out_pos, 0);
        if (put <= 0) {
            total = total > 0 ? total : put;
            break;
        }
        if (has_positions(in))
            *(in_pos ? in_pos : &in->f_pos) += (uint64_t)put;
        total += put;
        len -= (size_t)put;
        if (put < got || got < (int64_t)size || signal_pending())
            break;
    }
    page_free(buf, 16);
    return total;
}
