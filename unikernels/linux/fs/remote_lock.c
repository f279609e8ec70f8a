/*
 * Locks that the host sees: one open file of the server holds, for each inode, what
 * the guest's processes hold together (fs/locks.c), as a lock of the open file.
 */
#include <linux/fcntl.h>

#include "fs/remote.h"
#include "task/task.h"

/* Opened for writing if that can be: only so can it be locked exclusively. */
int remote_own_handle(struct remote_inode *ri)
{
    static const uint32_t WAYS[] = {O_RDWR, O_RDONLY};
    remote_reply reply;
    int err = -ENFILE;

    if (ri->own_fid)
        return 0;
    for (unsigned i = 0; i < 2 && !ri->own_fid; i++) {
        remote_request request = remote_request_new(FILES_OPEN, ri->fid);
        uint32_t fid = fid_alloc();
        if (!fid)
            return -ENFILE;
        request.flags = WAYS[i];
        request.new_fid = fid;
        err = rpc_call(&request, NULL, NULL, &reply);
        if (err) {
            fid_unused(fid);
        } else if (ri->own_fid) {
            fid_clunk(fid); /* another task was faster */
        } else {
            ri->own_fid = fid;
            ri->own_writable = i == 0;
        }
    }
    return ri->own_fid ? 0 : err;
}

static remote_request lock_request(const struct remote_inode *ri, const struct lock_range *range)
{
    remote_request request = remote_request_new(FILES_LOCK, ri->own_fid);

    request.flags = (uint32_t)range->type | (range->flock ? FILES_FLOCK : 0) | (range->test ? FILES_GETLOCK : 0);
    request.offset = range->flock ? 0 : range->start;
    request.size = range->flock || range->end >= INT64_MAX ? 0 : range->end - range->start + 1;
    return request;
}

/* Nobody waits for the answer: what is given up is never refused, and whoever closes a file must not wait. */
static void give_up(struct remote_inode *ri, const struct lock_range *range)
{
    remote_request request = lock_request(ri, range);
    static const struct window none;

    atomic_begin();
    struct rpc *rpc = rpc_start(&request, NULL, NULL);
    if (rpc)
        rpc_abandon(rpc, &none);
    atomic_end();
}


int remote_lock(struct inode *inode, struct lock_range *range)
{
    struct remote_inode *ri = remote_inode(inode);
    remote_reply reply;

    if (range->type == F_UNLCK) {
        if (ri->own_fid)
            give_up(ri, range);
        return 0;
    }
    int err = remote_own_handle(ri);
    if (err)
        return err;
    /* A folder, or a file that is read-only on the host: the host's others cannot write to it either. */
    if (range->type == F_WRLCK && !ri->own_writable && !range->flock)
        range->type = F_RDLCK;
    remote_request request = lock_request(ri, range);
    err = rpc_call(&request, NULL, NULL, &reply);
    /* Others may have written while they had it. */
    ri->fresh_until = 0;
    if (!err && range->test) {
        range->type = (int)reply.value;
        range->start = reply.value2;
        range->end = reply.value3 ? reply.value2 + reply.value3 - 1 : INT64_MAX;
    }
    return err;
}
