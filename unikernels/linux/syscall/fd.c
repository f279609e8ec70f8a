/* Descriptors; and files that are made without a path. */
#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/signalfd.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/timerfd.h>

#include "fs/eventfd.h"
#include "fs/fdtable.h"
#include "fs/inotify.h"
#include "fs/locks.h"
#include "fs/pipe.h"
#include "fs/tmpfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/task.h"
#include "time/clock.h"

#define EFD_SEMAPHORE 1
#define EFD_CLOEXEC O_CLOEXEC
#define EFD_NONBLOCK O_NONBLOCK

/* A descriptor for a new file, which is dropped if there is none. */
static long install(struct file *file, bool cloexec)
{
    int fd = fd_install(file, 0, cloexec);

    if (fd < 0)
        file_put(file);
    return fd;
}

long sys_close(long fd)
{
    return fd_close((int)fd);
}

long sys_close_range(long first_arg, long last_arg, long flags)
{
    uint32_t first = (uint32_t)first_arg, last = (uint32_t)last_arg;

    if (flags & ~(long)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE) {
        struct files *copy = files_copy(current->process->files);
        if (!copy)
            return -ENOMEM;
        files_put(current->process->files);
        current->process->files = copy;
    }
    fd_close_range(first, last, flags & CLOSE_RANGE_CLOEXEC);
    return 0;
}

static long dup_from(int fd, int from, bool cloexec)
{
    struct file *file = fget_raw(fd);

    if (!file)
        return -EBADF;
    int new = fd_install(file, from, cloexec);
    if (new < 0)
        file_put(file);
    return new;
}

long sys_dup(long fd)
{
    return dup_from((int)fd, 0, false);
}

static long dup_to(int old, int new, bool cloexec)
{
    struct file *file = fget_raw(old);

    if (!file)
        return -EBADF;
    int fd = fd_replace(file, new, cloexec);
    if (fd < 0)
        file_put(file);
    return fd;
}

long sys_dup2(long old, long new)
{
    if ((int)old == (int)new) {
        struct file *file = fget_raw((int)old);
        file_put(file);
        return file ? (int)new : -EBADF;
    }
    return dup_to((int)old, (int)new, false);
}

long sys_dup3(long old, long new, long flags)
{
    if (flags & ~(long)O_CLOEXEC || (int)old == (int)new)
        return -EINVAL;
    return dup_to((int)old, (int)new, flags & O_CLOEXEC);
}

/* ---- fcntl, ioctl ---- */

static long set_flags(struct file *file, uint32_t flags)
{
    const uint32_t settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC;

    if (flags & O_NOATIME && !(file->f_flags & O_NOATIME) && !inode_owner_or_capable(file->f_inode, current->cred))
        return -EPERM;
    file->f_flags = (file->f_flags & ~settable) | (flags & settable);
    return 0;
}

static long lock_command(struct file *file, int cmd, uaddr_t arg)
{
    struct flock flock;

    if (copy_from_user(&flock, arg, sizeof(flock)))
        return -EFAULT;
    int err = locks_fcntl(file, cmd, &flock);
    if (!err && (cmd == F_GETLK || cmd == F_OFD_GETLK) && copy_to_user(arg, &flock, sizeof(flock)))
        return -EFAULT;
    return err;
}

/* F_GETOWN_EX and F_SETOWN_EX: a group's owner is kept negative, as F_SETOWN has it. */
static long owner_command(struct file *file, int cmd, uaddr_t arg)
{
    struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = file->f_owner};

    if (cmd == F_GETOWN_EX) {
        if (file->f_owner < 0)
            owner = (struct f_owner_ex){.type = F_OWNER_PGRP, .pid = -file->f_owner};
        return copy_to_user(arg, &owner, sizeof(owner));
    }
    if (copy_from_user(&owner, arg, sizeof(owner)))
        return -EFAULT;
    if (owner.type != F_OWNER_TID && owner.type != F_OWNER_PID && owner.type != F_OWNER_PGRP)
        return -EINVAL;
    file->f_owner = owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid;
    return 0;
}

static long fcntl_file(struct file *file, int fd, int cmd, uint64_t arg)
{
    switch (cmd) {
    case F_GETFD:
        return files_cloexec(current->process->files, fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
        return fd_set_cloexec(fd, arg & FD_CLOEXEC);
    case F_GETFL:
        return file->f_flags;
    case F_DUPFD:
        return dup_from(fd, (int)arg, false);
    case F_DUPFD_CLOEXEC:
        return dup_from(fd, (int)arg, true);
    }
    if (file->f_flags & O_PATH)
        return -EBADF;
    switch (cmd) {
    case F_SETFL:
        return set_flags(file, (uint32_t)arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return lock_command(file, cmd, arg);
    case F_GETPIPE_SZ:
        return pipe_size(file);
    case F_SETPIPE_SZ:
        return pipe_set_size(file, (uint32_t)arg);
    case F_ADD_SEALS:
        return tmpfs_seals(file, true, (uint32_t)arg);
    case F_GET_SEALS:
        return tmpfs_seals(file, false, 0);
    case F_GETOWN:
        return file->f_owner;
    case F_SETOWN:
        file->f_owner = (int)arg;
        return 0;
    case F_GETOWN_EX:
    case F_SETOWN_EX:
        return owner_command(file, cmd, arg);
    case F_GETSIG:
        return file->f_sig;
    case F_SETSIG:
        if (arg > SIG_COUNT)
            return -EINVAL;
        file->f_sig = (int)arg;
        return 0;
    case F_GETLEASE:
        return F_UNLCK;
    default:
        return -EINVAL;
    }
}

long sys_fcntl(long fd, long cmd, long arg)
{
    struct file *file = fget_raw((int)fd);

    if (!file)
        return -EBADF;
    long result = fcntl_file(file, (int)fd, (int)cmd, (uint64_t)arg);
    file_put(file);
    return result;
}

static long ioctl_file(struct file *file, int fd, uint32_t cmd, uaddr_t arg)
{
    uint32_t value;

    switch (cmd) {
    case FIOCLEX:
        return fd_set_cloexec(fd, true);
    case FIONCLEX:
        return fd_set_cloexec(fd, false);
    case FIONBIO:
        if (get_user_u32(&value, arg))
            return -EFAULT;
        file->f_flags = value ? file->f_flags | O_NONBLOCK : file->f_flags & ~(uint32_t)O_NONBLOCK;
        return 0;
    case FIONREAD:
        if (S_ISREG(file->f_inode->i_mode))
            return put_user_u32(arg, (uint32_t)(file->f_inode->i_size - MIN(file->f_pos, file->f_inode->i_size)));
        break;
    }
    return file->f_op->ioctl ? file->f_op->ioctl(file, cmd, arg) : -ENOTTY;
}

long sys_ioctl(long fd, long cmd, long arg)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    long result = ioctl_file(file, (int)fd, (uint32_t)cmd, (uaddr_t)arg);
    file_put(file);
    return result;
}

long sys_flock(long fd, long operation)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    long err = locks_flock(file, (int)operation);
    file_put(file);
    return err;
}

/* ---- inotify ---- */

long sys_inotify_init1(long flags)
{
    struct file *file;

    if (flags & ~(long)(IN_CLOEXEC | IN_NONBLOCK))
        return -EINVAL;
    int err = inotify_new((int)flags & O_NONBLOCK, &file);
    return err ? err : install(file, flags & IN_CLOEXEC);
}

long sys_inotify_init(void)
{
    return sys_inotify_init1(0);
}

static int add_watch(struct file *inotify, uaddr_t path_addr, uint32_t mask)
{
    struct dentry *dentry;
    unsigned lookup = (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
    char *path = path_from_user(path_addr);

    if (IS_ERR(path))
        return (int)PTR_ERR(path);
    int err = path_lookup(AT_FDCWD, path, lookup, &dentry);
    kfree(path);
    if (err)
        return err;
    err = inode_permission(dentry->d_inode, current->cred, MAY_READ);
    if (!err)
        err = inotify_add(inotify, dentry->d_inode, mask);
    dput(dentry);
    return err;
}

long sys_inotify_add_watch(long fd, long path, long mask_arg)
{
    uint32_t mask = (uint32_t)mask_arg;
    const uint32_t options = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ONESHOT;

    if (!(mask & (IN_ALL_EVENTS | options | IN_ISDIR | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)))
        return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    long wd = -EINVAL;
    if (!(mask & IN_MASK_ADD && mask & IN_MASK_CREATE))
        wd = inotify_is(file) ? add_watch(file, (uaddr_t)path, mask) : -EINVAL;
    file_put(file);
    return wd;
}

long sys_inotify_rm_watch(long fd, long wd)
{
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    long err = inotify_remove(file, (int)wd);
    file_put(file);
    return err;
}

/* ---- pipes ---- */

long sys_pipe2(long fds, long flags)
{
    struct file *reader, *writer;
    bool cloexec = flags & O_CLOEXEC;

    if (flags & ~(long)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    int err = pipe_new((int)flags, &reader, &writer);
    if (err)
        return err;
    int numbers[2];
    numbers[0] = fd_install(reader, 0, cloexec);
    if (numbers[0] < 0) {
        file_put(reader);
        file_put(writer);
        return numbers[0];
    }
    numbers[1] = fd_install(writer, 0, cloexec);
    if (numbers[1] < 0) {
        file_put(writer);
        fd_close(numbers[0]);
        return numbers[1];
    }
    err = copy_to_user((uaddr_t)fds, numbers, sizeof(numbers));
    if (err) {
        fd_close(numbers[0]);
        fd_close(numbers[1]);
    }
    return err;
}

long sys_pipe(long fds)
{
    return sys_pipe2(fds, 0);
}

/* ---- eventfd, memfd, timerfd, signalfd ---- */

long sys_eventfd2(long count, long flags)
{
    struct file *file;

    if (flags & ~(long)(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
        return -EINVAL;
    int err = eventfd_new((uint32_t)count, flags & EFD_SEMAPHORE, (int)flags & O_NONBLOCK, &file);
    return err ? err : install(file, flags & EFD_CLOEXEC);
}

long sys_eventfd(long count)
{
    return sys_eventfd2(count, 0);
}

long sys_memfd_create(long name_addr, long flags)
{
    char name[NAME_MAX + 1];
    struct file *file;

    if (flags & ~(long)(MFD_CLOEXEC | MFD_ALLOW_SEALING))
        return -EINVAL;
    /* 249 bytes: NAME_MAX without the prefix "memfd:" */
    ssize_t len = strncpy_from_user(name, (uaddr_t)name_addr, NAME_MAX - 6 + 1);
    if (len < 0)
        return len == -ENAMETOOLONG ? -EINVAL : len;
    int err = tmpfs_memfd(name, flags & MFD_ALLOW_SEALING, 0, &file);
    return err ? err : install(file, flags & MFD_CLOEXEC);
}

long sys_timerfd_create(long clock, long flags)
{
    struct file *file;

    if (flags & ~(long)(TFD_CLOEXEC | TFD_NONBLOCK))
        return -EINVAL;
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
        clock != CLOCK_REALTIME_ALARM && clock != CLOCK_BOOTTIME_ALARM)
        return -EINVAL;
    if ((clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) && !capable(CAP_WAKE_ALARM))
        return -EPERM;
    int err = timerfd_new((int)clock, (int)flags & O_NONBLOCK, &file);
    return err ? err : install(file, flags & TFD_CLOEXEC);
}

static int put_itimer(uaddr_t to, int64_t value_ns, int64_t interval_ns)
{
    struct __kernel_itimerspec spec = {.it_interval = ns_to_timespec(interval_ns), .it_value = ns_to_timespec(value_ns)};

    return copy_to_user(to, &spec, sizeof(spec));
}

long sys_timerfd_settime(long fd, long flags, long new, long old)
{
    struct __kernel_itimerspec spec;
    int64_t value, interval, old_value, old_interval;

    if (copy_from_user(&spec, (uaddr_t)new, sizeof(spec)))
        return -EFAULT;
    int err = timespec_to_ns(&spec.it_value, &value);
    if (!err)
        err = timespec_to_ns(&spec.it_interval, &interval);
    if (err || flags & ~(long)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    struct file *file = fget((int)fd);
    if (!file)
        return -EBADF;
    err = timerfd_set(file, value, interval, flags & TFD_TIMER_ABSTIME, &old_value, &old_interval);
    file_put(file);
    if (!err && old)
        err = put_itimer((uaddr_t)old, old_value, old_interval);
    return err;
}

long sys_timerfd_gettime(long fd, long to)
{
    int64_t value, interval;
    struct file *file = fget((int)fd);

    if (!file)
        return -EBADF;
    int err = timerfd_get(file, &value, &interval);
    file_put(file);
    return err ? err : put_itimer((uaddr_t)to, value, interval);
}

long sys_signalfd4(long fd, long mask_addr, long size, long flags)
{
    uint64_t mask;
    struct file *file;
    int err;

    if (flags & ~(long)(SFD_CLOEXEC | SFD_NONBLOCK) || size != sizeof(mask))
        return -EINVAL;
    if (get_user_u64(&mask, (uaddr_t)mask_addr))
        return -EFAULT;
    if ((int)fd == -1) {
        err = signalfd_new(mask, (int)flags & O_NONBLOCK, &file);
        return err ? err : install(file, flags & SFD_CLOEXEC);
    }
    file = fget((int)fd);
    if (!file)
        return -EBADF;
    err = signalfd_set(file, mask);
    file_put(file);
    return err ? err : (int)fd;
}

long sys_signalfd(long fd, long mask, long size)
{
    return sys_signalfd4(fd, mask, size, 0);
}
