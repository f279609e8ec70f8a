#include "fs/layer.h"

#include <linux/fcntl.h>
#include <linux/stat.h>

#include "boot/config.h"
#include "fs/tmpfs.h"
#include "fs/vfs.h"
#include "fs/writeback.h"
#include "lib/print.h"
#include "lib/string.h"
#include "task/task.h"
#include "time/clock.h"

typedef struct runnc_rec_layer layer_entry;

static const char *content_of(const layer_entry *entry)
{
    return entry->path + entry->path_len;
}

/* What is there goes, with all that is below it. */
static int remove_whole(const char *path)
{
    struct path_last parent;
    struct dentry *dentry;
    int err = path_parent(AT_FDCWD, path, &parent);

    if (err)
        return err == -ENOENT ? 0 : err;
    err = d_lookup(parent.dir, &parent.last, &dentry);
    if (!err) {
        err = tmpfs_remove_whole(parent.dir->d_inode, &parent.last, dentry->d_inode);
        d_delete(dentry);
        dput(dentry);
    }
    path_parent_put(&parent);
    return err == -ENOENT ? 0 : err;
}

static int write_content(const layer_entry *entry)
{
    struct iov_iter from;
    struct file *file;
    int err = vfs_open(AT_FDCWD, entry->path, O_WRONLY | O_CREAT | O_EXCL, 0600, 0, &file);

    if (err)
        return err;
    iov_iter_kernel(&from, (void *)content_of(entry), entry->size);
    int64_t done = vfs_write(file, &from, NULL, 0);
    file_put(file);
    return done < 0 ? (int)done : done < (int64_t)entry->size ? -ENOSPC : 0;
}

static int make_served(const layer_entry *entry)
{
    struct dentry *dentry;
    uint64_t size;
    int err = entry->size == sizeof(size) ? vfs_mknod(AT_FDCWD, entry->path, S_IFREG | 0600, 0) : -EINVAL;

    if (!err)
        err = path_lookup(AT_FDCWD, entry->path, 0, &dentry);
    if (err)
        return err;
    memcpy(&size, content_of(entry), sizeof(size));
    err = wb_served(tmpfs_inode(dentry->d_inode), size);
    dput(dentry);
    return err;
}

static int make(const layer_entry *entry)
{
    /* As user space encodes dev_t. */
    uint64_t number = (entry->minor & 0xff) | (uint64_t)entry->major << 8 | (uint64_t)(entry->minor & ~0xffu) << 12;

    switch (entry->type) {
    case RUNNC_LAYER_FILE:
        return write_content(entry);
    case RUNNC_LAYER_SERVED:
        return make_served(entry);
    case RUNNC_LAYER_FOLDER:
        return vfs_mkdir(AT_FDCWD, entry->path, 0700);
    case RUNNC_LAYER_SYMLINK:
        return vfs_symlink(content_of(entry), AT_FDCWD, entry->path);
    case RUNNC_LAYER_CHAR:
        return vfs_mknod(AT_FDCWD, entry->path, S_IFCHR, number);
    case RUNNC_LAYER_BLOCK:
        return vfs_mknod(AT_FDCWD, entry->path, S_IFBLK, number);
    case RUNNC_LAYER_FIFO:
        return vfs_mknod(AT_FDCWD, entry->path, S_IFIFO, 0);
    case RUNNC_LAYER_SOCKET:
        return vfs_mknod(AT_FDCWD, entry->path, S_IFSOCK, 0);
    default:
        return -EINVAL;
    }
}

static int set_attributes(const layer_entry *entry)
{
    struct iattr attr = {
        .valid = ATTR_UID | ATTR_GID | ATTR_MODE | ATTR_ATIME | ATTR_MTIME,
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime = ns_to_timespec(entry->mtime_ns),
    };
    struct dentry *dentry;

    attr.atime = attr.mtime;
    int err = path_lookup(AT_FDCWD, entry->path, 0, &dentry);
    if (err)
        return err;
    if (S_ISLNK(dentry->d_inode->i_mode))
        attr.valid &= ~ATTR_MODE;
    err = notify_change(dentry->d_inode, &attr, current->cred);
    dput(dentry);
    return err;
}

static bool is_folder(const char *path)
{
    struct dentry *dentry;

    if (path_lookup(AT_FDCWD, path, 0, &dentry))
        return false;
    bool folder = S_ISDIR(dentry->d_inode->i_mode);
    dput(dentry);
    return folder;
}

static int apply(const layer_entry *entry)
{
    bool keep = entry->type == RUNNC_LAYER_FOLDER && is_folder(entry->path) &&
                (!entry->opaque || strcmp(entry->path, "/") == 0);
    int err = keep ? 0 : remove_whole(entry->path);

    if (err || entry->type == RUNNC_LAYER_WHITEOUT)
        return err;
    if (entry->type == RUNNC_LAYER_HARDLINK)
        return vfs_link(AT_FDCWD, content_of(entry), 0, AT_FDCWD, entry->path);
    if (!keep)
        err = make(entry);
    return err ? err : set_attributes(entry);
}

void layer_apply(void)
{
    const struct runnc_record *record = NULL;

    while ((record = boot_record_next(RUNNC_REC_LAYER, record))) {
        const layer_entry *entry = (const void *)record->data;
        int err = apply(entry);
        if (err)
            fatal(126, "%s: the container's layer cannot be put over the image (error %d)", entry->path, -err);
    }
    /* What was made in folders has changed their times. */
    record = NULL;
    while ((record = boot_record_next(RUNNC_REC_LAYER, record))) {
        const layer_entry *entry = (const void *)record->data;
        if (entry->type == RUNNC_LAYER_FOLDER && is_folder(entry->path))
            set_attributes(entry);
    }
}
