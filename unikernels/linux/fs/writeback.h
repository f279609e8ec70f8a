/*
 * The root that lasts: what changes in the container's root goes to the bundle's rootfs
 * on the host, which the file server serves as one more mount. There `docker diff`,
 * `commit` and `cp` find it, and the next start.
 *
 * Programs work on the root in memory (tmpfs.h). Each change by name is sent to the server
 * as it is made and in that order, without waiting for the answer; the data of files, and
 * the times of files and folders, follow when they are synced, a second after the first change, when there is much of
 * it, and before the last process is gone. So the host's tree is at any time one that
 * the guest's has been, with some files' latest bytes missing: as after a power cut.
 *
 * Nothing here sleeps: tmpfs never does, and requests must leave in the order of the
 * changes. Where the server has to be waited for the whole guest waits.
 *
 * Data that the host has can be dropped from memory and is read there again. So a file
 * may be larger than the container's memory.
 *
 * Devices stay in memory alone: made on the host they would be the host's. So do extended attributes.
 */
#ifndef LINUX_FS_WRITEBACK_H
#define LINUX_FS_WRITEBACK_H

#include "fs/tmpfs.h"

/* From now on, to the server's mount of this number; fs is the root. The server is asked for nothing before something changes. */
void wb_begin(struct tmpfs *fs, uint32_t mount);
/* All that is left goes to the host, and is there when this returns. */
void wb_finish(void);

static inline bool wb_on(const struct inode *inode)
{
    return tmpfs_of(inode)->lasts;
}

/* At boot, before wb_begin: an empty file of the root whose data is the host's. -ENOMEM. */
int wb_served(struct tmpfs_inode *t, uint64_t size);

/* ---- what has just been done by name, the names' entries being as before; no-ops unless wb_on ---- */

void wb_made(struct inode *dir, const struct qstr *name, struct inode *inode); /* anything but a hard link */
void wb_linked(struct inode *dir, const struct qstr *name, struct inode *inode);
void wb_unlinked(struct inode *dir, const struct qstr *name, struct inode *inode);
void wb_renamed(struct inode *old_dir, const struct qstr *old_name, struct inode *inode, struct inode *new_dir,
                const struct qstr *new_name, struct inode *replaced, bool exchange);
void wb_attributes(struct inode *inode, const struct iattr *attr);

/* ---- data ---- */

/* Bytes [from, end) of the file are other ones than the host's. 0, or what writing to the host fails with. */
int wb_changed(struct tmpfs_inode *t, uint64_t from, uint64_t end);
/* What the image has shows no longer: the host has all of the file but for its pages in memory. */
bool wb_is_on_host(const struct tmpfs_inode *t);
/* The page, which has no slot filled, and some behind it. */
int wb_read_pages(struct tmpfs_inode *t, uint64_t index);
/* The file is on the host's disk. May sleep. */
int wb_sync(struct tmpfs_inode *t, bool datasync);
/* s_op->sync. May sleep. */
int wb_sync_all(struct super_block *sb);
/* The inode goes. */
void wb_evict(struct tmpfs_inode *t);

#endif
