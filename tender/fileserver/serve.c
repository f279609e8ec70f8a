/* Requests come in, are checked as far as all of them are alike, and are done. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int op_hello(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    if (request->head.value != RUNNC_FILES_VERSION)
        return EPROTO;
    server->greeted = true;
    reply->value = server->fid_limit;
    reply->value2 = server->mounts;
    reply->value3 = server->pipes;
    return 0;
}

static int op_attach(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    const struct runnc_files_request *head = &request->head;
    int error = fid_check_new(server, head->new_fid);
    int fd;

    if (error != 0)
        return error;
    if (head->value >= server->mounts)
        return EINVAL;
    /* Not musl's fcntl, which makes a second call. */
    fd = (int)syscall(SYS_fcntl, FIRST_MOUNT_FD + (int)head->value, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    error = get_attr(fd, &reply->attr);
    if (error != 0) {
        close(fd);
        return error;
    }
    fid_set(server, head->new_fid, fd, FID_NODE, reply->attr.mode,
            &(struct fid){.readonly = server->readonly[head->value]});
    reply->value = server->readonly[head->value];
    return 0;
}

static int op_clunk(struct server *server, const struct request *request, struct runnc_files_reply *reply)
{
    (void)server;
    (void)request;
    (void)reply;
    return NO_REPLY;
}

#define NAME 1u     /* has a name */
#define NAME2 2u    /* and a second one */
#define TARGET 4u   /* the second is a link's target: any bytes */
#define XATTR 8u    /* the name is an attribute's */
#define MAY_NAME 32u /* may have a name */
#define WINDOW 16u  /* size bytes of the window are the request's */

static const struct {
    operation *run;
    unsigned needs;
} OPERATIONS[] = {
    [FILES_HELLO] = {op_hello, 0},
    [FILES_ATTACH] = {op_attach, 0},
    [FILES_WALK] = {op_walk, NAME | WINDOW},
    [FILES_GETATTR] = {op_getattr, 0},
    [FILES_SETATTR] = {op_setattr, 0},
    [FILES_OPEN] = {op_open, MAY_NAME},
    [FILES_CREATE] = {op_create, NAME},
    [FILES_SYMLINK] = {op_symlink, NAME | TARGET},
    [FILES_LINK] = {op_link, NAME},
    [FILES_UNLINK] = {op_unlink, NAME},
    [FILES_RENAME] = {op_rename, NAME | NAME2},
    [FILES_READLINK] = {op_readlink, WINDOW},
    [FILES_READ] = {op_read, WINDOW},
    [FILES_WRITE] = {op_write, WINDOW},
    [FILES_READDIR] = {op_readdir, WINDOW},
    [FILES_FSYNC] = {op_fsync, 0},
    [FILES_FALLOCATE] = {op_fallocate, 0},
    [FILES_STATFS] = {op_statfs, WINDOW},
    [FILES_LOCK] = {op_lock, 0},
    [FILES_GETXATTR] = {op_getxattr, XATTR | WINDOW},
    [FILES_SETXATTR] = {op_setxattr, XATTR | WINDOW},
    [FILES_LISTXATTR] = {op_listxattr, WINDOW},
    [FILES_REMOVEXATTR] = {op_removexattr, XATTR},
    [FILES_TMPFILE] = {op_tmpfile, 0},
    [FILES_SYNCFS] = {op_syncfs, 0},
    [FILES_SEEK] = {op_seek, 0},
    [FILES_CLUNK] = {op_clunk, 0},
};

void *window_range(const struct server *server, const struct runnc_files_request *head)
{
    if (head->size > RUNNC_FILES_IO_MAX || head->window > RUNNC_FILES_WINDOW_BYTES ||
        head->size > RUNNC_FILES_WINDOW_BYTES - head->window)
        return NULL;
    return server->window + head->window;
}

/* One component of a path, and nothing that leads elsewhere. */
static bool is_name(const char *name, size_t length)
{
    return length > 0 && length <= RUNNC_FILES_NAME_MAX && memchr(name, '\0', length) == NULL &&
           memchr(name, '/', length) == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check(const struct server *server, const struct request *request, unsigned needs)
{
    const struct runnc_files_request *head = &request->head;
    const bool first = (needs & (NAME | XATTR | MAY_NAME)) != 0, second = (needs & (NAME2 | TARGET)) != 0;

    if (head->reserved != 0 || (!first && head->name_len != 0) || (!second && head->name2_len != 0))
        return EINVAL;
    if (((needs & NAME) != 0 || ((needs & MAY_NAME) != 0 && head->name_len > 0)) && !is_name(request->name, head->name_len))
        return EINVAL;
    if ((needs & NAME2) != 0 && !is_name(request->name2, head->name2_len))
        return EINVAL;
    if ((needs & TARGET) != 0 &&
        (head->name2_len == 0 || memchr(request->name2, '\0', head->name2_len) != NULL))
        return EINVAL;
    /* Others are the host's business: they decide what programs may do, or who may read. */
    if ((needs & XATTR) != 0 && (memchr(request->name, '\0', head->name_len) != NULL ||
                                 strncmp(request->name, "user.", 5) != 0 || head->name_len == 5))
        return EOPNOTSUPP;
    if ((needs & WINDOW) != 0 && window_range(server, head) == NULL)
        return EINVAL;
    return 0;
}

void send_reply(const struct runnc_files_reply *reply)
{
    ssize_t sent;

    do sent = send(CHANNEL_FD, reply, sizeof *reply, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        _exit(0); /* the guest is gone */
}

static void answer(struct server *server, const struct request *request, bool well_formed)
{
    const struct runnc_files_request *head = &request->head;
    struct runnc_files_reply reply = {.tag = head->tag};
    int error = EINVAL;

    for (size_t i = 0; well_formed && i < sizeof head->forget / sizeof head->forget[0]; i++)
        if (head->forget[i] != 0)
            fid_clunk(server, head->forget[i]);
    if (well_formed && head->op < sizeof OPERATIONS / sizeof OPERATIONS[0] && OPERATIONS[head->op].run != NULL) {
        error = server->greeted || head->op == FILES_HELLO ? check(server, request, OPERATIONS[head->op].needs)
                                                           : EPROTO;
        if (error == 0)
            error = OPERATIONS[head->op].run(server, request, &reply);
    }
    if (error == DEFERRED || error == NO_REPLY)
        return;
    if (error != 0)
        reply = (struct runnc_files_reply){.tag = head->tag, .error = (uint32_t)error};
    send_reply(&reply);
}

/* Takes a message apart. False: it is not one. */
static bool parse(struct request *request, const char *message, size_t length)
{
    struct runnc_files_request *head = &request->head;

    memset(head, 0, sizeof *head);
    memcpy(head, message, length < sizeof *head ? length : sizeof *head);
    if (length < sizeof *head || length != sizeof *head + head->name_len + (size_t)head->name2_len ||
        head->name_len > RUNNC_FILES_NAME_MAX || head->name2_len > RUNNC_FILES_TARGET_MAX)
        return false;
    memcpy(request->name, message + sizeof *head, head->name_len);
    request->name[head->name_len] = '\0';
    memcpy(request->name2, message + sizeof *head + head->name_len, head->name2_len);
    request->name2[head->name2_len] = '\0';
    return true;
}

void serve(struct server *server)
{
    static struct request request;
    static char message[RUNNC_FILES_REQUEST_MAX + 1]; /* one more, to see what is too long */

    for (;;) {
        const ssize_t length = recv(CHANNEL_FD, message, sizeof message, 0);

        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return;
        answer(server, &request, parse(&request, message, (size_t)length));
    }
}
