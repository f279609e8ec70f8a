/*
 * What System V shared memory, semaphores and message queues have in common
 * (sysvipc(7)): keys, identifiers, owners and rights.
 *
 * An object is counted: its identifier holds it, and whoever sleeps on it. One
 * that was removed has no identifier any more (`deleted`), and its last holder
 * frees it. An identifier is its place in the table and the number of objects
 * that the table had before, so that a stale one finds nothing.
 */
#ifndef LINUX_IPC_IDS_H
#define LINUX_IPC_IDS_H

#include <linux/ipc.h>

#include "fs/seq_file.h"
#include "lib/error.h"
#include "lib/types.h"

struct ipc_object {
    unsigned refs;
    bool deleted;
    int id;
    int32_t key; /* IPC_PRIVATE: none */
    uint32_t uid, gid, cuid, cgid;
    uint32_t mode; /* permissions, and what a kind adds */
    uint16_t seq;
};

struct ipc_ids {
    struct ipc_object **objects; /* by place; NULL where there is none */
    unsigned count, capacity;
    unsigned max;
    uint16_t seq;
    void (*free)(struct ipc_object *object);
};

#define IPC_RIGHT_READ 0444u
#define IPC_RIGHT_WRITE 0222u

/* A limit that config.json may set as a sysctl: the nth number of its text, else fallback. */
uint64_t ipc_limit(const char *name, unsigned nth, uint64_t fallback);

/*
 * The *get calls: finds the object of key for flags (IPC_CREAT, IPC_EXCL, rights). NULL: it is to be made.
 * ERR_PTR: ENOENT, EEXIST, EACCES.
 */
struct ipc_object *ipc_get(struct ipc_ids *ids, int32_t key, int flags);
/* A new object, of which the table takes the first reference, gets its identifier: that, -ENOSPC, -ENOMEM. */
int ipc_add(struct ipc_ids *ids, struct ipc_object *object, int32_t key, int flags);
/* ERR_PTR: -EINVAL. */
struct ipc_object *ipc_find(const struct ipc_ids *ids, int id);
/* The highest place in use, 0 if there is none. */
int ipc_highest(const struct ipc_ids *ids);
/* Takes its identifier away. */
void ipc_remove(struct ipc_ids *ids, struct ipc_object *object);
static inline struct ipc_object *ipc_hold(struct ipc_object *object)
{
    object->refs++;
    return object;
}
void ipc_put(struct ipc_ids *ids, struct ipc_object *object);

/* rights: IPC_RIGHT_* or both, or S_I?UGO bits: -EACCES. As the current task. */
int ipc_permission(const struct ipc_object *object, uint32_t rights);
/* For the *_STAT commands: by place or identifier, and readable unless `any`. ERR_PTR: -EINVAL, -EACCES. */
struct ipc_object *ipc_find_shown(const struct ipc_ids *ids, int id, bool place, bool any);
/* To be set or removed by the current task. ERR_PTR: -EINVAL, -EPERM. */
struct ipc_object *ipc_find_owned(const struct ipc_ids *ids, int id);
void ipc_stat(const struct ipc_object *object, struct ipc64_perm *perm);
/* IPC_SET: -EINVAL for ids that cannot be. */
int ipc_set(struct ipc_object *object, const struct ipc64_perm *perm);

/* Seconds since the epoch. */
int64_t ipc_now(void);

/* The files of /proc/sysvipc. */
int shm_show(struct seq_file *seq, uint64_t arg);
int sem_show(struct seq_file *seq, uint64_t arg);
int msg_show(struct seq_file *seq, uint64_t arg);

#endif
