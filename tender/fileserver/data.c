/* What is done with open files: data, entries of folders, locks, and bringing it all to the disk. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* As struct linux_dirent64 begins. */
struct entry_head {
    uint64_t ino;
    int64_t next;
    uint16_t length;
};

static ssize_t transfer(long call, int fd, void *data, size_t size, uint64_t offset, int flags)
{
    struct iovec piece = {.iov_base = data, .iov_len = size};

    return syscall(call, fd, &piece, 1, offset, 0l, flags); /* musl 1.2.3 has no preadv2 */
}

ssize_t read_now(int fd, void *data, size_t size, uint64_t offset)
{
    return transfer(SYS_preadv2, fd, data, size, offset, RWF_NOWAIT);
}

#define PROBE_EVERY (64u << 10)

/*
 * Is it in the host's cache? Looked at here and there: splice(2) has no flag that keeps
 * it from waiting for a disk, and what lies between is mostly there as well.
 */
static bool is_cached(int fd, uint64_t offset, size_t size)
{
    uint8_t byte;

    for (size_t at = 0; at < size; at += PROBE_EVERY)
        if (read_now(fd, &byte, 1, offset + at) < 0)
            return false;
    return read_now(fd, &byte, 1, offset + size - 1) >= 0;
}

/* The pages of the host's cache themselves. 0: none, for whatever reason. */
static size_t read_piped(const struct server *server, int fd, const struct runnc_files_request *head)
{
    size_t done = 0;

    if (head->size == 0 || head->size > RUNNC_FILES_PIPED_MAX || !is_cached(fd, head->offset, head->size))
        return 0;
    while (done < head->size) {
        off_t offset = (off_t)(head->offset + done);
        const ssize_t got =
            splice(fd, &offset, pipe_fd(server, head->flags - 1), NULL, head->size - done, SPLICE_F_NONBLOCK);

        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* What can be had without waiting for a disk, here and now; the rest is a worker's. */
int op_read(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *handle = fid_handle(server, head->fid, S_IFREG);
    void *const data = window_range(server, head);
    ssize_t got;

    if (handle == NULL)
        return EBADF;
    if (head->flags > server->pipes)
        return EINVAL;
    if (head->flags > 0 && (reply->value = read_piped(server, handle->fd, head)) > 0) {
        reply->value2 = 1;
        return 0;
    }
    got = read_now(handle->fd, data, head->size, head->offset);
    if (got < (ssize_t)head->size) {
        struct stat status;
        const bool at_end = got >= 0 && fstat(handle->fd, &status) == 0 &&
                            (uint64_t)status.st_size <= head->offset + (uint64_t)got;

        if (!at_end && workers_take(server, JOB_READ, request))
            return DEFERRED;
        if (!at_end) {
            job_run(JOB_READ, handle->fd, data, head, reply);
            return (int)reply->error;
        }
    }
    reply->value = (uint64_t)got;
    return 0;
}

int op_write(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *handle = fid_handle(server, head->fid, S_IFREG);
    void *const data = window_range(server, head);
    struct runnc_files_attr before;
    ssize_t put;
    int error;

    if (handle == NULL || !handle->writable)
        return EBADF;
    if ((head->flags & ~FILES_APPEND) != 0)
        return EINVAL;
    error = get_attr(handle->fd, &before);
    if (error != 0)
        return error;
    put = transfer(SYS_pwritev2, handle->fd, data, head->size, head->offset,
                   (head->flags & FILES_APPEND) != 0 ? RWF_APPEND : 0);
    if (put < 0)
        return errno;
    reply->value = (uint64_t)put;
    reply->before_size = before.size;
    reply->before_ctime_sec = before.ctime_sec;
    reply->before_ctime_nsec = before.ctime_nsec;
    return get_attr(handle->fd, &reply->attr);
}

int op_readdir(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *handle = fid_handle(server, head->fid, S_IFDIR);
    const uint8_t *entries = window_range(server, head);
    long got;

    if (handle == NULL)
        return EBADF;
    if (head->offset != handle->listed && lseek(handle->fd, (off_t)head->offset, SEEK_SET) < 0)
        return errno;
    handle->listed = ~0ull; /* until it is known again */
    got = syscall(SYS_getdents64, handle->fd, entries, head->size);
    if (got < 0)
        return errno;
    handle->listed = head->offset;
    /* The guest may write to the window: at worst its own next listing begins at the wrong place. */
    for (long at = 0; at + (long)sizeof(struct entry_head) <= got;) {
        struct entry_head entry;

        memcpy(&entry, entries + at, sizeof entry);
        if (entry.length < sizeof entry)
            break;
        handle->listed = (uint64_t)entry.next;
        at += entry.length;
    }
    reply->value = (uint64_t)got;
    return 0;
}

static int defer(struct server *server, enum job_kind kind, int fd, const struct request *request,
                 struct runnc_files_reply *reply)
{
    if (workers_take(server, kind, request))
        return DEFERRED;
    job_run(kind, fd, NULL, &request->head, reply);
    return (int)reply->error;
}

int op_fsync(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *handle = fid_get(server, request->head.fid);

    if (handle == NULL || handle->kind != FID_HANDLE)
        return EBADF;
    return defer(server, (request->head.flags & FILES_DATASYNC) != 0 ? JOB_FDATASYNC : JOB_FSYNC, handle->fd, request,
                 reply);
}

int op_syncfs(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *handle = fid_get(server, request->head.fid);

    if (handle == NULL || handle->kind != FID_HANDLE)
        return EBADF;
    return defer(server, JOB_SYNCFS, handle->fd, request, reply);
}

int op_fallocate(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *handle = fid_handle(server, head->fid, S_IFREG);

    if (handle == NULL || !handle->writable)
        return EBADF;
    if (fallocate(handle->fd, (int)head->flags, (off_t)head->offset, (off_t)head->size) != 0)
        return errno;
    return get_attr(handle->fd, &reply->attr);
}

int op_seek(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *handle = fid_handle(server, head->fid, S_IFREG);
    off_t at;

    if (handle == NULL)
        return EBADF;
    if (head->flags != SEEK_DATA && head->flags != SEEK_HOLE)
        return EINVAL;
    at = lseek(handle->fd, (off_t)head->offset, (int)head->flags);
    if (at < 0)
        return errno;
    reply->value = (uint64_t)at;
    return 0;
}

static int whole_lock(int fd, unsigned type)
{
    static const int OPERATIONS[] = {[F_RDLCK] = LOCK_SH, [F_WRLCK] = LOCK_EX, [F_UNLCK] = LOCK_UN};

    return flock(fd, OPERATIONS[type] | LOCK_NB) != 0 ? errno : 0;
}

/* Of the open file, so that they are the handle's and not this process's. Never waits: the guest asks again. */
int op_lock(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *handle = fid_get(server, head->fid);
    const unsigned type = head->flags & 0xff, what = head->flags & ~0xffu;
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET};

    if (handle == NULL || handle->kind != FID_HANDLE)
        return EBADF;
    if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
        return EINVAL;
    if (what == FILES_FLOCK)
        return whole_lock(handle->fd, type);
    if (what != 0 && what != FILES_GETLOCK)
        return EINVAL;
    lock.l_start = (off_t)head->offset;
    lock.l_len = (off_t)head->size;
    if (fcntl(handle->fd, what == 0 ? F_OFD_SETLK : F_OFD_GETLK, &lock) != 0)
        return errno == EACCES ? EAGAIN : errno;
    reply->value = (uint64_t)lock.l_type;
    reply->value2 = (uint64_t)lock.l_start;
    reply->value3 = (uint64_t)lock.l_len;
    return 0;
}
