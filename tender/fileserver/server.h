/*
 * The file server: what its parts know of each other.
 *
 * One process for each container that has folders mounted, started by init in the
 * container's cgroup and pid namespace. It has an empty root; the mounted folders and
 * its own descriptors are all that it can reach, each by a descriptor. The guest is
 * hostile: whatever a message says is checked before it is used, and what cannot
 * be checked (is this path inside of the mount?) is left to the kernel, one name
 * at a time.
 *
 * The main thread reads requests and does them in their order. What waits for a disk
 * is done by workers (workers.c). The table of fids is the main thread's, but for
 * the count of jobs, which the workers' lock guards.
 */
#ifndef RUNNC_FILESERVER_H
#define RUNNC_FILESERVER_H

#include "abi/runnc_files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What init hands over, by number; the roots of the mounts follow, then the pipes. */
enum { CHANNEL_FD = 3, WINDOW_FD = 4, PROC_FD = 5, FIRST_MOUNT_FD = 6 };

/* Descriptors that are not fids': those above and some that live for one request. */
#define OTHER_FDS (FIRST_MOUNT_FD + RUNNC_FILES_MOUNTS_MAX + RUNNC_FILES_PIPES + 16u)
#define FIDS_MAX 32768u

enum fid_kind {
    FID_FREE,
    FID_NODE,   /* O_PATH: known, not open */
    FID_HANDLE, /* open */
};

struct fid {
    int fd;
    uint8_t kind; /* enum fid_kind */
    bool readonly; /* of a mount that is */
    bool writable; /* handle */
    bool closing;  /* to be closed by the last job */
    uint16_t jobs; /* of workers that use fd */
    uint32_t type; /* S_IFMT */
    uint64_t listed; /* folder: where its position is */
};

struct server {
    unsigned mounts, pipes; /* their descriptors begin at FIRST_MOUNT_FD */
    bool readonly[RUNNC_FILES_MOUNTS_MAX];
    uint32_t fid_limit;
    bool greeted;
    uint8_t *window;
    uint32_t fsuid, fsgid;
    struct fid fids[FIDS_MAX];
};

static inline int pipe_fd(const struct server *server, unsigned number)
{
    return FIRST_MOUNT_FD + (int)(server->mounts + number);
}

/* One request, with its names terminated. */
struct request {
    struct runnc_files_request head;
    char name[RUNNC_FILES_NAME_MAX + 1];
    char name2[RUNNC_FILES_TARGET_MAX + 1];
};

/* Does one; 0 or an errno. DEFERRED: a worker will answer. */
typedef int operation(struct server *server, const struct request *request, struct runnc_files_reply *reply);
#define DEFERRED (-1)
#define NO_REPLY (-2)

operation op_walk, op_open, op_create, op_symlink, op_link, op_unlink, op_rename, op_readlink, op_tmpfile; /* names.c */
operation op_read, op_write, op_readdir, op_fsync, op_fallocate, op_syncfs, op_seek, op_lock;               /* data.c */
operation op_getattr, op_setattr, op_statfs, op_getxattr, op_setxattr, op_listxattr, op_removexattr;        /* attributes.c */

/* serve.c: reads and answers requests until the guest is gone. */
void serve(struct server *server);
void send_reply(const struct runnc_files_reply *reply);

/* fids.c */
struct fid *fid_get(struct server *server, uint32_t number);    /* NULL: EBADF */
struct fid *fid_folder(struct server *server, uint32_t number); /* a node that is a folder */
struct fid *fid_handle(struct server *server, uint32_t number, uint32_t type);
/* May the number become a new fid? 0, EINVAL, EBUSY. */
int fid_check_new(struct server *server, uint32_t number);
/* Takes fd, which is open on something of this mode. `like` gives the mount's rights. */
void fid_set(struct server *server, uint32_t number, int fd, enum fid_kind kind, uint32_t mode, const struct fid *like);
void fid_clunk(struct server *server, uint32_t number);
/* Opens what is behind a descriptor once more: nothing else can be meant. -1 with errno. */
int reopen(int fd, int flags, uint32_t mode);
/* The name under which the working folder, which is /proc/self/fd, has a descriptor. */
struct fd_name {
    char text[12];
};
struct fd_name fd_name(int fd);

/* attributes.c */
int get_attr(int fd, struct runnc_files_attr *attr);
/* Files are made, and rights of network file systems looked at, as this user. EOVERFLOW: it is not mapped. */
int become(struct server *server, uint32_t uid, uint32_t gid);

/* data.c: as far as it needs no waiting. */
ssize_t read_now(int fd, void *data, size_t size, uint64_t offset);

/* The request's range of the window; NULL: it is not within. */
void *window_range(const struct server *server, const struct runnc_files_request *head);

/* workers.c */
enum job_kind { JOB_FSYNC, JOB_FDATASYNC, JOB_SYNCFS, JOB_READ };
void workers_start(void);
/* False: all are busy and the queue is full: do it now. */
bool workers_take(struct server *server, enum job_kind kind, const struct request *request);
/* With the workers' lock: marks as closing what has jobs. True: it had none, close it. */
bool workers_release(struct fid *fid);
/* Does it: fills reply. */
void job_run(enum job_kind kind, int fd, void *data, const struct runnc_files_request *head,
             struct runnc_files_reply *reply);

/* confine.c: takes away what it does not need any more, last of all by a seccomp filter. */
void confine(const struct server *server);

#endif
