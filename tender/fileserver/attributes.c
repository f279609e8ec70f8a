/* Attributes of files, plain and extended, and of file systems. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As linux/stat.h, which clashes with libc's. */
struct statx_time {
    int64_t sec;
    uint32_t nsec;
    int32_t pad;
};
struct statx_result {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare[14];
};
_Static_assert(sizeof(struct statx_result) == 256, "struct statx");
#define STATX_BASIC_AND_BTIME 0xfffu

int get_attr(int fd, struct runnc_files_attr *attr)
{
    struct statx_result st;

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_AND_BTIME, &st) !=
        0)
        return errno;
    *attr = (struct runnc_files_attr){
        .dev = (uint64_t)st.dev_major << 32 | st.dev_minor,
        .ino = st.ino,
        .size = st.size,
        .blocks = st.blocks,
        .mode = st.mode,
        .nlink = st.nlink,
        .uid = st.uid,
        .gid = st.gid,
        .rdev_major = st.rdev_major,
        .rdev_minor = st.rdev_minor,
        .atime_sec = st.atime.sec,
        .mtime_sec = st.mtime.sec,
        .ctime_sec = st.ctime.sec,
        .btime_sec = st.btime.sec,
        .atime_nsec = st.atime.nsec,
        .mtime_nsec = st.mtime.nsec,
        .ctime_nsec = st.ctime.nsec,
        .btime_nsec = st.btime.nsec,
    };
    return 0;
}

/* setfsuid(2) says nothing of failure: what it is now must be asked for. */
int become(struct server *server, uint32_t uid, uint32_t gid)
{
    if (gid != server->fsgid) {
        setfsgid(gid);
        server->fsgid = (uint32_t)setfsgid((gid_t)-1);
    }
    if (uid != server->fsuid) {
        setfsuid(uid);
        server->fsuid = (uint32_t)setfsuid((uid_t)-1);
    }
    return uid == server->fsuid && gid == server->fsgid ? 0 : EOVERFLOW;
}

int op_getattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);

    return fid == NULL ? EBADF : get_attr(fid->fd, &reply->attr);
}

static int set_size(const struct fid *fid, uint64_t size)
{
    int fd, error;

    if (fid->type != S_IFREG)
        return EINVAL;
    if (fid->kind == FID_HANDLE && fid->writable)
        return ftruncate(fid->fd, (off_t)size) != 0 ? errno : 0;
    fd = reopen(fid->fd, O_WRONLY, 0);
    if (fd < 0)
        return errno;
    error = ftruncate(fd, (off_t)size) != 0 ? errno : 0;
    close(fd);
    return error;
}

static int set_times(const struct fid *fid, const struct runnc_files_request *head)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

    if ((head->valid & FILES_SET_ATIME) != 0)
        times[0] = (struct timespec){.tv_sec = head->atime_sec, .tv_nsec = head->atime_nsec};
    if ((head->valid & FILES_SET_MTIME) != 0)
        times[1] = (struct timespec){.tv_sec = head->mtime_sec, .tv_nsec = head->mtime_nsec};
    return utimensat(fid->fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 ? errno : 0;
}

/* The owner before the mode, for with another owner the kernel takes setuid and setgid away. */
static int set_attr(const struct fid *fid, const struct runnc_files_request *head)
{
    const uint32_t valid = head->valid;
    int error = 0;

    if ((valid & FILES_SET_SIZE) != 0)
        error = set_size(fid, head->size);
    if (error == 0 && (valid & (FILES_SET_UID | FILES_SET_GID)) != 0 &&
        fchownat(fid->fd, "", (valid & FILES_SET_UID) != 0 ? head->uid : (uid_t)-1,
                 (valid & FILES_SET_GID) != 0 ? head->gid : (gid_t)-1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
        error = errno;
    if (error == 0 && (valid & FILES_SET_MODE) != 0 &&
        syscall(SYS_fchmodat, AT_FDCWD, fd_name(fid->fd).text, head->mode & 07777) != 0)
        error = errno;
    if (error == 0 && (valid & (FILES_SET_ATIME | FILES_SET_MTIME)) != 0)
        error = set_times(fid, head);
    return error;
}

int op_setattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);
    struct runnc_files_attr before;
    int error;

    if (fid == NULL)
        return EBADF;
    if (fid->readonly)
        return EROFS;
    if ((request->head.valid & ~0x3fu) != 0)
        return EINVAL;
    error = get_attr(fid->fd, &before);
    if (error == 0)
        error = set_attr(fid, &request->head);
    reply->before_size = before.size;
    reply->before_ctime_sec = before.ctime_sec;
    reply->before_ctime_nsec = before.ctime_nsec;
    return error != 0 ? error : get_attr(fid->fd, &reply->attr);
}

int op_statfs(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);
    struct statfs status;

    if (fid == NULL)
        return EBADF;
    if (request->head.size < sizeof status)
        return EINVAL;
    if (fstatfs(fid->fd, &status) != 0)
        return errno;
    memcpy(window_range(server, &request->head), &status, sizeof status);
    reply->value = sizeof status;
    return 0;
}

/* ---- extended attributes: calls that take no O_PATH descriptor, so by its name in the working folder ---- */

int op_getxattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);
    ssize_t got;

    if (fid == NULL)
        return EBADF;
    got = getxattr(fd_name(fid->fd).text, request->name, window_range(server, &request->head), request->head.size);
    if (got < 0)
        return errno;
    reply->value = (uint64_t)got;
    return 0;
}

int op_setxattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);

    (void)reply;
    if (fid == NULL)
        return EBADF;
    if (fid->readonly)
        return EROFS;
    if (setxattr(fd_name(fid->fd).text, request->name, window_range(server, &request->head), request->head.size,
                 (int)request->head.flags) != 0)
        return errno;
    return get_attr(fid->fd, &reply->attr);
}

int op_listxattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);
    ssize_t got;

    if (fid == NULL)
        return EBADF;
    got = listxattr(fd_name(fid->fd).text, window_range(server, &request->head), request->head.size);
    if (got < 0)
        return errno;
    reply->value = (uint64_t)got;
    return 0;
}

int op_removexattr(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *fid = fid_get(server, request->head.fid);

    if (fid == NULL)
        return EBADF;
    if (fid->readonly)
        return EROFS;
    if (removexattr(fd_name(fid->fd).text, request->name) != 0)
        return errno;
    return get_attr(fid->fd, &reply->attr);
}
