/*
 * What is done by name. A name is looked up in an open folder, never more than one
 * at a time and never through a link, so that nothing but what the mount holds can
 * be reached, whoever moves folders about meanwhile.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_DIRECTORY | O_NOATIME | O_SYNC | O_DSYNC)

static int open_name(int folder, const char *name, int flags, uint32_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };

    return (int)syscall(SYS_openat2, folder, name, &how, sizeof how);
}

/* The node of a name. */
static int take_node(struct server *server, const struct fid *folder, const char *name, uint32_t number,
                     struct runnc_files_attr *attr)
{
    const int fd = open_name(folder->fd, name, O_PATH, 0);
    int error;

    if (fd < 0)
        return errno;
    error = get_attr(fd, attr);
    if (error == 0)
        fid_set(server, number, fd, FID_NODE, attr->mode, folder);
    else
        close(fd);
    return error;
}

/* Folder of a request that makes something in it, as the request's user. */
static int begin_change(struct server *server, const struct runnc_files_request *head, uint32_t number,
                        struct fid **folder)
{
    *folder = fid_folder(server, number);
    if (*folder == NULL)
        return EBADF;
    if ((*folder)->readonly)
        return EROFS;
    return become(server, head->uid, head->gid);
}

static bool writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

/* Opens a node that is known, by flags that were checked. */
static int open_node(struct server *server, const struct fid *node, const struct runnc_files_request *head,
                     struct runnc_files_attr *attr)
{
    const int flags = (int)head->flags;
    int fd, error;

    /* Devices, sockets and fifos of the host are never opened: in the guest they are the guest's. */
    if (node->type != S_IFREG && node->type != S_IFDIR)
        return ENXIO;
    if (node->readonly && writes(flags))
        return EROFS;
    fd = reopen(node->fd, flags, 0);
    if (fd < 0)
        return errno;
    error = get_attr(fd, attr);
    if (error != 0) {
        close(fd);
        return error;
    }
    fid_set(server, head->new_fid, fd, FID_HANDLE, attr->mode, node);
    server->fids[head->new_fid].writable = (flags & O_ACCMODE) != O_RDONLY;
    return 0;
}

static int open_by_name(struct server *server, const struct request *request, struct runnc_files_attr *attr)
{
    const struct fid *folder = fid_folder(server, request->head.fid);
    struct fid node = {.kind = FID_NODE};
    int error;

    if (folder == NULL)
        return EBADF;
    node.readonly = folder->readonly;
    node.fd = open_name(folder->fd, request->name, O_PATH, 0);
    if (node.fd < 0)
        return errno;
    error = get_attr(node.fd, attr);
    node.type = attr->mode & S_IFMT;
    if (error == 0)
        error = open_node(server, &node, &request->head, attr);
    close(node.fd);
    return error;
}

int op_open(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *node;
    int error = fid_check_new(server, head->new_fid);

    if (error == 0 &&
        ((head->flags & ~(unsigned)OPEN_FLAGS) != 0 || ((int)head->flags & O_ACCMODE) == O_ACCMODE))
        error = EINVAL;
    if (error == 0)
        error = become(server, head->uid, head->gid);
    if (error != 0)
        return error;
    if (head->name_len > 0)
        return open_by_name(server, request, &reply->attr);
    node = fid_get(server, head->fid);
    return node == NULL ? EBADF : open_node(server, node, head, &reply->attr);
}

static int check_made(struct server *server, const struct runnc_files_request *head)
{
    int error = fid_check_new(server, head->new_fid);

    if (error == 0 && head->handle_fid != 0)
        error = head->handle_fid == head->new_fid ? EINVAL : fid_check_new(server, head->handle_fid);
    if (error == 0 && ((head->flags & ~(unsigned)(OPEN_FLAGS | O_EXCL)) != 0 ||
                       ((int)head->flags & O_ACCMODE) == O_ACCMODE || ((int)head->flags & O_DIRECTORY) != 0))
        error = EINVAL;
    return error;
}

/* What most walks are for, in the same message: the file is opened, and a small one is read. */
static void open_and_read(struct server *server, const struct runnc_files_request *head, struct runnc_files_reply *reply)
{
    struct runnc_files_request open = *head;
    struct runnc_files_attr attr;
    const struct fid *handle;

    open.new_fid = head->handle_fid;
    if (open_node(server, &server->fids[head->new_fid], &open, &attr) != 0)
        return; /* it is known all the same; who opens it is told why not */
    reply->value = 1;
    handle = &server->fids[head->handle_fid];
    if (handle->type != S_IFREG || attr.size > head->size)
        return;
    const ssize_t got = read_now(handle->fd, window_range(server, head), attr.size, 0);
    if (got == (ssize_t)attr.size) {
        reply->value2 = 1;
        reply->value3 = attr.size;
    }
}

int op_walk(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *folder = fid_folder(server, head->fid);
    int error = check_made(server, head);

    if (folder == NULL)
        return EBADF;
    if (error == 0)
        error = become(server, head->uid, head->gid);
    if (error == 0)
        error = take_node(server, folder, request->name, head->new_fid, &reply->attr);
    if (error == 0 && head->handle_fid != 0)
        open_and_read(server, head, reply);
    return error;
}

/* A regular file that was just made and is open: its handle, if one is asked for, and its node. */
static int take_made(struct server *server, const struct runnc_files_request *head, const struct fid *folder, int fd,
                     struct runnc_files_attr *attr)
{
    const int node = reopen(fd, O_PATH, 0);
    int error = node < 0 ? errno : get_attr(fd, attr);

    if (error != 0) {
        if (node >= 0)
            close(node);
        close(fd);
        return error;
    }
    fid_set(server, head->new_fid, node, FID_NODE, attr->mode, folder);
    if (head->handle_fid == 0) {
        close(fd);
        return 0;
    }
    fid_set(server, head->handle_fid, fd, FID_HANDLE, attr->mode, folder);
    server->fids[head->handle_fid].writable = ((int)head->flags & O_ACCMODE) != O_RDONLY;
    return 0;
}

int op_create(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const uint32_t type = head->mode & S_IFMT, mode = head->mode & 07777;
    struct fid *folder;
    int error = begin_change(server, head, head->fid, &folder);

    if (error == 0)
        error = check_made(server, head);
    if (error != 0)
        return error;
    switch (type) {
    case S_IFREG: {
        const int flags = O_CREAT | O_EXCL | (int)(head->flags & OPEN_FLAGS);
        const int fd = open_name(folder->fd, request->name, flags, mode);

        return fd < 0 ? errno : take_made(server, head, folder, fd, &reply->attr);
    }
    case S_IFDIR:
        if (mkdirat(folder->fd, request->name, mode) != 0)
            return errno;
        break;
    case S_IFIFO:
    case S_IFSOCK:
        if (mknodat(folder->fd, request->name, head->mode & (S_IFMT | 07777), 0) != 0)
            return errno;
        break;
    default:
        return EPERM; /* a device would be the host's */
    }
    return take_node(server, folder, request->name, head->new_fid, &reply->attr);
}

int op_tmpfile(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *folder;
    int error = begin_change(server, head, head->fid, &folder);
    int fd;

    if (error == 0)
        error = check_made(server, head);
    if (error == 0 && ((int)head->flags & O_ACCMODE) == O_RDONLY)
        error = EINVAL;
    if (error != 0)
        return error;
    fd = reopen(folder->fd, O_TMPFILE | (int)(head->flags & (OPEN_FLAGS | O_EXCL)), head->mode & 07777);
    return fd < 0 ? errno : take_made(server, head, folder, fd, &reply->attr);
}

int op_symlink(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *folder;
    int error = begin_change(server, head, head->fid, &folder);

    if (error == 0)
        error = fid_check_new(server, head->new_fid);
    if (error != 0)
        return error;
    if (symlinkat(request->name2, folder->fd, request->name) != 0)
        return errno;
    return take_node(server, folder, request->name, head->new_fid, &reply->attr);
}

int op_link(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    const struct fid *node = fid_get(server, head->fid);
    struct fid *folder;
    const int error = begin_change(server, head, head->new_fid, &folder);

    if (node == NULL)
        return EBADF;
    if (error != 0)
        return error;
    /* The kernel refuses links from one mount to another. */
    if (linkat(AT_FDCWD, fd_name(node->fd).text, folder->fd, request->name, AT_SYMLINK_FOLLOW) != 0)
        return errno;
    return get_attr(node->fd, &reply->attr);
}

int op_unlink(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *folder;
    const int error = begin_change(server, head, head->fid, &folder);

    (void)reply;
    if (error != 0)
        return error;
    if (head->flags != 0 && head->flags != AT_REMOVEDIR)
        return EINVAL;
    return unlinkat(folder->fd, request->name, (int)head->flags) != 0 ? errno : 0;
}

int op_rename(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    struct fid *from, *to;
    int error = begin_change(server, head, head->fid, &from);

    (void)reply;
    if (error == 0)
        error = begin_change(server, head, head->new_fid, &to);
    if (error != 0)
        return error;
    if ((head->flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
        return EINVAL;
    return syscall(SYS_renameat2, from->fd, request->name, to->fd, request->name2, head->flags) != 0 ? errno : 0;
}

int op_readlink(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct fid *node = fid_get(server, request->head.fid);
    ssize_t length;

    if (node == NULL)
        return EBADF;
    if (node->type != S_IFLNK)
        return EINVAL;
    length = readlinkat(node->fd, "", window_range(server, &request->head), request->head.size);
    if (length < 0)
        return errno;
    reply->value = (uint64_t)length;
    return 0;
}
