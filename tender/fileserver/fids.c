/* The table of what the guest knows by number. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fid *fid_get(struct server *server, uint32_t number)
{
    struct fid *fid = number < server->fid_limit ? &server->fids[number] : NULL;

    return fid != NULL && fid->kind != FID_FREE && !fid->closing ? fid : NULL;
}

struct fid *fid_folder(struct server *server, uint32_t number)
{
    struct fid *fid = fid_get(server, number);

    return fid != NULL && fid->kind == FID_NODE && fid->type == S_IFDIR ? fid : NULL;
}

struct fid *fid_handle(struct server *server, uint32_t number, uint32_t type)
{
    struct fid *fid = fid_get(server, number);

    return fid != NULL && fid->kind == FID_HANDLE && fid->type == type ? fid : NULL;
}

int fid_check_new(struct server *server, uint32_t number)
{
    if (number >= server->fid_limit)
        return EINVAL;
    return server->fids[number].kind == FID_FREE ? 0 : EBUSY;
}

void fid_set(struct server *server, uint32_t number, int fd, enum fid_kind kind, uint32_t mode, const struct fid *like)
{
    server->fids[number] =
        (struct fid){.fd = fd, .kind = (uint8_t)kind, .readonly = like->readonly, .type = mode & S_IFMT};
}

void fid_clunk(struct server *server, uint32_t number)
{
    struct fid *fid = fid_get(server, number);

    if (fid == NULL || !workers_release(fid))
        return;
    close(fid->fd);
    fid->kind = FID_FREE;
}

struct fd_name fd_name(int fd)
{
    struct fd_name name;

    snprintf(name.text, sizeof name.text, "%d", fd);
    return name;
}

int reopen(int fd, int flags, uint32_t mode)
{
    return openat(AT_FDCWD, fd_name(fd).text, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
}
