/* Pipes as a way between files. */
#include <linux/fcntl.h>

#include "fs/pipe.h"
#include "fs/splice.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"

#define SPLICE_F_MOVE 1
#define SPLICE_F_NONBLOCK 2
#define SPLICE_F_MORE 4
#define SPLICE_F_GIFT 8
#define SPLICE_F_ALL 15

static int get_offset(const struct file *file, uaddr_t addr, uint64_t *pos)
{
    if (!addr)
        return 0;
    if (is_pipe(file) || !file->f_op->llseek || file->f_op->llseek == noop_llseek)
        return -ESPIPE;
    if (get_user_u64(pos, addr))
        return -EFAULT;
    return (int64_t)*pos < 0 ? -EINVAL : 0;
}

static long splice(struct file *in, uaddr_t in_addr, struct file *out, uaddr_t out_addr, size_t len, bool nonblock)
{
    uint64_t in_pos = 0, out_pos = 0;

    if (!in->f_read || !out->f_write)
        return -EBADF;
    int err = get_offset(in, in_addr, &in_pos);
    if (!err)
        err = get_offset(out, out_addr, &out_pos);
    if (err)
        return err;
    if ((!is_pipe(in) && !is_pipe(out)) || out->f_flags & O_APPEND)
        return -EINVAL;
    if (is_pipe(in) && is_pipe(out) && pipe_same(in, out))
        return -EINVAL;
    int64_t done = splice_files(in, in_addr ? &in_pos : NULL, out, out_addr ? &out_pos : NULL, MIN(len, MAX_RW_COUNT), nonblock);
    if (done > 0 && in_addr && put_user_u64(in_addr, in_pos))
        return -EFAULT;
    if (done > 0 && out_addr && put_user_u64(out_addr, out_pos))
        return -EFAULT;
    return done;
}

long sys_splice(long in_fd, long in_offset, long out_fd, long out_offset, long len, long flags)
{
    if (len == 0)
        return 0;
    if (flags & ~(long)SPLICE_F_ALL)
        return -EINVAL;
    struct file *in = fget((int)in_fd), *out = fget((int)out_fd);
    long done = -EBADF;
    if (in && out)
        done = splice(in, (uaddr_t)in_offset, out, (uaddr_t)out_offset, (size_t)len, flags & SPLICE_F_NONBLOCK);
    file_put(in);
    file_put(out);
    return done;
}

long sys_tee(long in_fd, long out_fd, long len, long flags)
{
    if (flags & ~(long)SPLICE_F_ALL)
        return -EINVAL;
    if (len == 0)
        return 0;
    struct file *in = fget((int)in_fd), *out = fget((int)out_fd);
    long done = -EBADF;
    if (in && out && in->f_read && out->f_write) {
        done = -EINVAL;
        if (is_pipe(in) && is_pipe(out) && !pipe_same(in, out))
            done = splice_tee(in, out, (size_t)len, flags & SPLICE_F_NONBLOCK);
    }
    file_put(in);
    file_put(out);
    return done;
}

/* Linux lends the program's pages to the pipe; a copy is what vmsplice(2) allows, too. */
long sys_vmsplice(long fd, long iov_addr, long n, long flags)
{
    struct iov_iter it;

    if (flags & ~(long)SPLICE_F_ALL)
        return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    struct user_iovec *iov = iov_from_user((uaddr_t)iov_addr, (size_t)n);
    long done = IS_ERR(iov) ? PTR_ERR(iov) : is_pipe(file) ? 0 : -EBADF;
    if (!done) {
        iov_iter_vec(&it, iov, (size_t)n);
        struct kiocb kiocb = {.file = file, .nonblock = flags & SPLICE_F_NONBLOCK || file->f_flags & O_NONBLOCK};
        done = it.count == 0 ? 0 : file->f_write ? file->f_op->write(&kiocb, &it) : file->f_op->read(&kiocb, &it);
    }
    if (!IS_ERR(iov))
        kfree(iov);
    file_put(file);
    return done;
}
