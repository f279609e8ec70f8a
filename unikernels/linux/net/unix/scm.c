/* What messages carry beside bytes: open files and who sent them. unix(7), cmsg(3). */
#include <asm/socket.h>
#include <linux/fcntl.h>

#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "net/unix/unix.h"
#include "task/fork_hooks.h"
#include "task/task.h"

#define OVERFLOW_ID 65534u

static struct scm_files *files_alloc(uint32_t count)
{
    struct scm_files *files = kzalloc(sizeof(*files) + count * sizeof(files->file[0]));

    if (files)
        files->count = count;
    return files;
}

struct scm_files *scm_files_copy(const struct scm_files *files)
{
    struct scm_files *copy = files_alloc(files->count);

    if (!copy)
        return NULL;
    for (uint32_t n = 0; n < files->count; n++)
        copy->file[n] = file_get(files->file[n]);
    return copy;
}

/*
 * A file may be a socket whose messages hold sockets, and so on: closing one from
 * within another's end would go as deep as a program likes. They queue up instead.
 */
static struct {
    struct list waiting;
    bool running;
} closing = {.waiting = {&closing.waiting, &closing.waiting}};

void scm_files_free(struct scm_files *files)
{
    if (!files)
        return;
    list_add_tail(&closing.waiting, &files->deferred);
    if (closing.running)
        return;
    closing.running = true;
    while (!list_empty(&closing.waiting)) {
        files = list_first(&closing.waiting, struct scm_files, deferred);
        list_del(&files->deferred);
        for (uint32_t n = 0; n < files->count; n++)
            file_put(files->file[n]);
        kfree(files);
    }
    closing.running = false;
}

/* ---- sending ---- */

static int add_files(struct scm *scm, const struct cmsg *cmsg)
{
    uint32_t count = (uint32_t)(cmsg->len / sizeof(int)), had = scm->files ? scm->files->count : 0;

    if (count > SCM_MAX_FD - had)
        return -EINVAL;
    if (count == 0)
        return 0;
    struct scm_files *files = files_alloc(had + count);
    if (!files)
        return -ENOMEM;
    files->count = had;
    if (had)
        memcpy(files->file, scm->files->file, had * sizeof(files->file[0]));
    kfree(scm->files);
    scm->files = files;
    for (uint32_t n = 0; n < count; n++) {
        int fd;
        memcpy(&fd, cmsg->data + n * sizeof(fd), sizeof(fd));
        struct file *file = fget_raw(fd);
        if (!file)
            return -EBADF;
        files->file[files->count++] = file;
    }
    return 0;
}

/* One may say that one is oneself; more takes privileges. */
static int set_creds(struct scm *scm, const struct cmsg *cmsg)
{
    const struct cred *cred = current->cred;
    struct ucred said;

    if (cmsg->len != sizeof(said))
        return -EINVAL;
    memcpy(&said, cmsg->data, sizeof(said));
    bool pid = said.pid == (uint32_t)current->process->pid || capable(CAP_SYS_ADMIN);
    bool uid = said.uid == cred->uid || said.uid == cred->euid || said.uid == cred->suid || capable(CAP_SETUID);
    bool gid = said.gid == cred->gid || said.gid == cred->egid || said.gid == cred->sgid || capable(CAP_SETGID);
    if (!pid || !uid || !gid)
        return -EPERM;
    if (!process_find((int)said.pid))
        return -ESRCH;
    scm->creds = said;
    scm->has_creds = true;
    return 0;
}

int scm_from_message(const struct socket_message *msg, struct scm *scm)
{
    struct cmsg cmsg;
    size_t at = 0;
    int err;

    *scm = (struct scm){.files = NULL};
    while ((err = cmsg_next(msg, &at, &cmsg)) > 0) {
        if (cmsg.level != SOL_SOCKET)
            continue;
        err = cmsg.type == SCM_RIGHTS ? add_files(scm, &cmsg) : cmsg.type == SCM_CREDENTIALS ? set_creds(scm, &cmsg) : -EINVAL;
        if (err)
            break;
    }
    if (!err && scm->files && unix_too_many_inflight())
        err = -ETOOMANYREFS;
    if (!err)
        return 0;
    scm_files_free(scm->files);
    scm->files = NULL;
    return err;
}

void scm_add_creds(struct scm *scm, const struct unix_sock *from, const struct unix_sock *to)
{
    /* A connection that nobody has accepted yet may be asked for credentials once it is. */
    if (scm->has_creds || !(from->sock.passcred || to->sock.passcred || !to->sock.file))
        return;
    scm->creds = (struct ucred){
        .pid = (uint32_t)current->process->pid, .uid = current->cred->uid, .gid = current->cred->gid};
    scm->has_creds = true;
}

/* ---- receiving ---- */

/* As many descriptors as there is room for; the others are closed, and MSG_CTRUNC says so. */
static void put_files(struct socket_message *msg, struct scm_files *files)
{
    struct {
        uint64_t len;
        int32_t level, type;
    } header = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
    uint32_t room = msg->control_room > sizeof(header) ? (uint32_t)((msg->control_room - sizeof(header)) / sizeof(int)) : 0;
    uint32_t n;

    for (n = 0; n < MIN(room, files->count); n++) {
        uaddr_t to = msg->control_to + sizeof(header) + n * sizeof(int);
        int fd = fd_install(file_get(files->file[n]), 0, msg->flags & MSG_CMSG_CLOEXEC);
        if (fd < 0) {
            file_put(files->file[n]);
            break;
        }
        if (put_user_u32(to, (uint32_t)fd)) {
            fd_close(fd);
            break;
        }
    }
    if (n < files->count)
        msg->out_flags |= MSG_CTRUNC;
    if (n == 0)
        return;
    header.len = sizeof(header) + n * sizeof(int);
    size_t taken = MIN(ALIGN_UP(header.len, 8), msg->control_room);
    if (copy_to_user(msg->control_to, &header, sizeof(header)))
        return;
    msg->control_to += taken;
    msg->control_room -= taken;
}

int scm_to_message(struct unix_sock *u, struct socket_message *msg, struct scm *scm)
{
    int err = 0;

    if (u->sock.passcred) {
        struct ucred creds = scm->has_creds ? scm->creds : (struct ucred){.uid = OVERFLOW_ID, .gid = OVERFLOW_ID};
        err = cmsg_put(msg, SOL_SOCKET, SCM_CREDENTIALS, &creds, sizeof(creds));
    }
    if (scm->files && !err)
        put_files(msg, scm->files);
    scm_files_free(scm->files);
    scm->files = NULL;
    return err;
}
