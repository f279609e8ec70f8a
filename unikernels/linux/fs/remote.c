/* The remote file system: mounts, inodes, names and attributes. remote.h says how it works. */
#include "fs/remote.h"

#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "fs/xattr.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"

#define BUCKETS 1024u
#define AT_REMOVEDIR_FLAG 0x200u

static const struct inode_operations remote_inode_operations;

static struct remote_inode *buckets[BUCKETS]; /* all inodes, by name on the host */

remote_request remote_request_new(uint32_t op, uint32_t fid)
{
    return (remote_request){
        .op = (uint16_t)op,
        .fid = fid,
        .uid = current && current->cred ? current->cred->fsuid : 0,
        .gid = current && current->cred ? current->cred->fsgid : 0,
    };
}

/* ---- inodes ---- */

static struct remote_inode **bucket_of(uint64_t dev, uint64_t ino)
{
    return &buckets[(ino ^ dev * 0x9e3779b97f4a7c15ull) * 0x9e3779b97f4a7c15ull >> 54];
}
_Static_assert(BUCKETS == 1u << (64 - 54), "the hash has as many bits");

/* The file's data may not be what is cached of it. */
static void data_changed(struct remote_inode *ri)
{
    remote_drop_ahead_of(ri);
    remote_forget_pages(ri);
    kfree(ri->target);
    ri->target = NULL;
}

void remote_apply(struct remote_inode *ri, const remote_reply *reply, bool has_before)
{
    const struct runnc_files_attr *attr = &reply->attr;
    struct inode *inode = &ri->inode;
    uint64_t size = has_before ? reply->before_size : attr->size;
    int64_t sec = has_before ? reply->before_ctime_sec : attr->ctime_sec;
    uint32_t nsec = has_before ? reply->before_ctime_nsec : attr->ctime_nsec;

    if (ri->sequence && (int32_t)(reply->pad - ri->sequence) < 0)
        return; /* its task was late: another one has taken over what came after it */
    if (size != ri->data_size || sec != ri->data_ctime.tv_sec || nsec != ri->data_ctime.tv_nsec)
        data_changed(ri);
    ri->sequence = reply->pad;
    ri->data_size = attr->size;
    ri->data_ctime = (struct __kernel_timespec){.tv_sec = attr->ctime_sec, .tv_nsec = attr->ctime_nsec};
    inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
    inode->i_uid = attr->uid;
    inode->i_gid = attr->gid;
    inode->i_nlink = attr->nlink;
    inode->i_size = attr->size;
    inode->i_blocks = attr->blocks;
    inode->i_atime = (struct __kernel_timespec){.tv_sec = attr->atime_sec, .tv_nsec = attr->atime_nsec};
    inode->i_mtime = (struct __kernel_timespec){.tv_sec = attr->mtime_sec, .tv_nsec = attr->mtime_nsec};
    inode->i_ctime = ri->data_ctime;
    inode->i_btime = (struct __kernel_timespec){.tv_sec = attr->btime_sec, .tv_nsec = attr->btime_nsec};
    ri->fresh_until = clock_monotonic() + REMOTE_TTL_NS;
}

int remote_refresh(struct remote_inode *ri, int64_t max_age_ns)
{
    remote_request request = remote_request_new(FILES_GETATTR, ri->fid);
    remote_reply reply;

    if (clock_monotonic() < ri->fresh_until - REMOTE_TTL_NS + max_age_ns)
        return 0;
    int err = rpc_call(&request, NULL, NULL, &reply);
    if (!err)
        remote_apply(ri, &reply, false);
    return err;
}

/* As user space encodes dev_t. */
static uint64_t encode_dev(uint32_t major, uint32_t minor)
{
    return (minor & 0xff) | (major & 0xfff) << 8 | (uint64_t)(minor & ~0xffu) << 12 | (uint64_t)(major & ~0xfffu) << 32;
}

static struct remote_inode *find_inode(const struct super_block *sb, const struct runnc_files_attr *attr)
{
    for (struct remote_inode *ri = *bucket_of(attr->dev, attr->ino); ri; ri = ri->hash_next) {
        if (ri->dev == attr->dev && ri->inode.i_ino == attr->ino && ri->inode.i_sb == sb &&
            (ri->inode.i_mode & S_IFMT) == (attr->mode & S_IFMT))
            return ri;
    }
    return NULL;
}

/* The inode that the server now knows as fid, which is given back if it has another number already. */
static int take_inode(struct super_block *sb, const remote_reply *reply, uint32_t fid, struct inode **found)
{
    const struct runnc_files_attr *attr = &reply->attr;
    struct remote_inode *ri = find_inode(sb, attr);

    if (ri) {
        fid_clunk(fid);
        iget(&ri->inode);
    } else {
        ri = kzalloc(sizeof(*ri));
        if (!ri) {
            fid_clunk(fid);
            return -ENOMEM;
        }
        inode_init(&ri->inode, sb, attr->mode);
        ri->inode.i_op = &remote_inode_operations;
        if (S_ISREG(attr->mode))
            ri->inode.i_fop = &remote_file_operations;
        else if (S_ISDIR(attr->mode))
            ri->inode.i_fop = &remote_dir_operations;
        ri->inode.i_ino = attr->ino;
        ri->inode.i_rdev = encode_dev(attr->rdev_major, attr->rdev_minor);
        ri->dev = attr->dev;
        ri->fid = fid;
        list_init(&ri->lru);
        list_init(&ri->mappings);
        struct remote_inode **bucket = bucket_of(attr->dev, attr->ino);
        ri->hash_next = *bucket;
        *bucket = ri;
    }
    remote_apply(ri, reply, false);
    *found = &ri->inode;
    return 0;
}

static void remote_evict(struct inode *inode)
{
    struct remote_inode *ri = remote_inode(inode), **link = bucket_of(ri->dev, inode->i_ino);

    while (*link != ri)
        link = &(*link)->hash_next;
    *link = ri->hash_next;
    data_changed(ri);
    fid_clunk(ri->own_fid);
    fid_clunk(ri->made_fid);
    fid_clunk(ri->fid);
    kfree(ri);
}

/* ---- what is done by name ---- */

/* After a change in it: what is known of its times and its number of links is old. */
static void dir_changed(struct inode *dir)
{
    remote_inode(dir)->fresh_until = 0;
}

/* The open that a look-up or a creation is for comes at once, or not at all. */
#define OPEN_SOON_NS (20 * NSEC_PER_MSEC)

static void keep_handle(struct remote_inode *ri, uint32_t fid, bool writable)
{
    fid_clunk(ri->made_fid);
    ri->made_fid = fid;
    ri->made_writable = writable;
    ri->made_until = clock_monotonic() + OPEN_SOON_NS;
}

static int walk(const struct inode *dir, const struct qstr *name, uint32_t *fid, remote_reply *reply)
{
    remote_request request = remote_request_new(FILES_WALK, remote_inode(dir)->fid);

    *fid = request.new_fid = fid_alloc();
    if (!*fid)
        return -ENFILE;
    int err = rpc_call(&request, name, NULL, reply);
    if (err)
        fid_unused(*fid);
    return err;
}

/* A name that is looked up to be read: found, opened and, if it is small, read with one request. */
static int walk_and_open(struct inode *dir, const struct qstr *name, struct inode **found)
{
    remote_request request = remote_request_new(FILES_WALK, remote_inode(dir)->fid);
    remote_reply reply;
    struct window w;

    request.new_fid = fid_alloc();
    request.handle_fid = fid_alloc();
    request.flags = O_RDONLY;
    request.size = WINDOW_UNIT;
    if (!request.new_fid || !request.handle_fid || !window_take(&w, WINDOW_UNIT)) {
        fid_unused(request.new_fid);
        fid_unused(request.handle_fid);
        return -ENFILE;
    }
    request.window = window_offset(&w);
    int err = rpc_call(&request, name, NULL, &reply);
    if (err)
        fid_unused(request.new_fid);
    if (err || !reply.value) {
        fid_unused(request.handle_fid);
        request.handle_fid = 0;
    }
    if (!err)
        err = take_inode(dir->i_sb, &reply, request.new_fid, found);
    if (err) {
        fid_clunk(request.handle_fid);
    } else if (request.handle_fid) {
        keep_handle(remote_inode(*found), request.handle_fid, false);
        if (reply.value2 && reply.value3 == (*found)->i_size)
            remote_keep(remote_inode(*found), 0, window_data(&w), MIN(reply.value3, WINDOW_UNIT));
    }
    window_give(&w);
    return err;
}

static int remote_lookup(struct inode *dir, const struct qstr *name, struct inode **found)
{
    remote_reply reply;
    uint32_t fid;

    if (current && current->lookup_intent && ((current->lookup_intent - 1) & (O_ACCMODE | O_NOATIME)) == O_RDONLY &&
        may_sleep())
        return walk_and_open(dir, name, found);
    int err = walk(dir, name, &fid, &reply);
    return err ? err : take_inode(dir->i_sb, &reply, fid, found);
}

static bool remote_revalidate(struct dentry *dentry)
{
    struct remote_inode *ri = remote_inode(dentry->d_inode);
    remote_reply reply;
    uint32_t fid;

    if (walk(dentry->d_parent->d_inode, &dentry->d_name, &fid, &reply))
        return false;
    fid_clunk(fid);
    if (reply.attr.dev != ri->dev || reply.attr.ino != ri->inode.i_ino ||
        (reply.attr.mode & S_IFMT) != (ri->inode.i_mode & S_IFMT))
        return false;
    remote_apply(ri, &reply, false);
    return true;
}

/* Who does not belong to the folder's group makes no setgid program for it: Linux's mode_strip_sgid(). */
static uint32_t mode_in(const struct inode *dir, uint32_t mode)
{
    bool strip = dir->i_mode & S_ISGID && !S_ISDIR(mode) && (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
                 !cred_in_group(current->cred, dir->i_gid) && !capable(CAP_FSETID);

    return strip ? mode & ~(uint32_t)S_ISGID : mode;
}

/* Sends what makes something in dir, with the numbers that are needed; the made file's inode. */
static int make(struct inode *dir, remote_request *request, const struct qstr *name, const struct qstr *target,
                bool open, struct inode **made)
{
    remote_reply reply;

    request->new_fid = fid_alloc();
    request->handle_fid = open ? fid_alloc() : 0;
    if (!request->new_fid || (open && !request->handle_fid)) {
        fid_unused(request->new_fid);
        fid_unused(request->handle_fid);
        return -ENFILE;
    }
    int err = rpc_call(request, name, target, &reply);
    if (err) {
        fid_unused(request->new_fid);
        fid_unused(request->handle_fid);
        return err;
    }
    dir_changed(dir);
    err = take_inode(dir->i_sb, &reply, request->new_fid, made);
    if (err) {
        fid_clunk(request->handle_fid);
        return err;
    }
    remote_inode(*made)->made_here = true;
    if (open)
        keep_handle(remote_inode(*made), request->handle_fid, true);
    return 0;
}

static int remote_mknod(struct inode *dir, const struct qstr *name, uint32_t mode, uint64_t rdev, struct inode **made)
{
    remote_request request = remote_request_new(FILES_CREATE, remote_inode(dir)->fid);

    (void)rdev;
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return -EPERM; /* it would be the host's: as a mount with nodev in a user namespace */
    request.mode = mode_in(dir, mode);
    request.flags = S_ISREG(mode) ? O_RDWR : 0;
    return make(dir, &request, name, NULL, S_ISREG(mode), made);
}

static int remote_tmpfile(struct inode *dir, uint32_t mode, struct inode **made)
{
    remote_request request = remote_request_new(FILES_TMPFILE, remote_inode(dir)->fid);

    request.mode = mode_in(dir, mode);
    request.flags = O_RDWR;
    return make(dir, &request, NULL, NULL, true, made);
}

static int remote_symlink(struct inode *dir, const struct qstr *name, const char *target, struct inode **made)
{
    remote_request request = remote_request_new(FILES_SYMLINK, remote_inode(dir)->fid);
    struct qstr to = {.name = target, .len = (uint32_t)strlen(target)};

    return to.len > RUNNC_FILES_TARGET_MAX ? -ENAMETOOLONG : make(dir, &request, name, &to, false, made);
}

static int remote_link(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    struct remote_inode *ri = remote_inode(inode);
    /* The handle of a file without a name knows whether it may get one. */
    remote_request request = remote_request_new(FILES_LINK, ri->fid);
    remote_reply reply;

    request.new_fid = remote_inode(dir)->fid;
    int err = rpc_call(&request, name, NULL, &reply);
    if (err)
        return err;
    remote_apply(ri, &reply, false);
    inode->i_flags &= ~(uint32_t)INODE_LINKABLE;
    dir_changed(dir);
    return 0;
}

static int remote_unlink(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    remote_request request = remote_request_new(FILES_UNLINK, remote_inode(dir)->fid);
    remote_reply reply;

    request.flags = S_ISDIR(inode->i_mode) ? AT_REMOVEDIR_FLAG : 0;
    int err = rpc_call(&request, name, NULL, &reply);
    if (err)
        return err;
    if (S_ISDIR(inode->i_mode))
        inode->i_nlink = 0;
    else if (inode->i_nlink > 0)
        inode->i_nlink--;
    remote_inode(inode)->fresh_until = 0;
    dir_changed(dir);
    return 0;
}

static int remote_rename(struct inode *old_dir, const struct qstr *old_name, struct inode *inode, struct inode *new_dir,
                         const struct qstr *new_name, struct inode *replaced, unsigned flags)
{
    remote_request request = remote_request_new(FILES_RENAME, remote_inode(old_dir)->fid);
    remote_reply reply;

    request.new_fid = remote_inode(new_dir)->fid;
    request.flags = flags;
    int err = rpc_call(&request, old_name, new_name, &reply);
    if (err)
        return err;
    if (replaced && !(flags & RENAME_EXCHANGE)) {
        if (S_ISDIR(replaced->i_mode))
            replaced->i_nlink = 0;
        else if (replaced->i_nlink > 0)
            replaced->i_nlink--;
    }
    if (replaced)
        remote_inode(replaced)->fresh_until = 0;
    remote_inode(inode)->fresh_until = 0;
    dir_changed(old_dir);
    dir_changed(new_dir);
    return 0;
}

static int remote_readlink(struct inode *inode, char *buf, size_t size)
{
    struct remote_inode *ri = remote_inode(inode);
    remote_request request = remote_request_new(FILES_READLINK, ri->fid);
    remote_reply reply;
    struct window w;

    int err = remote_refresh(ri, REMOTE_TTL_NS);
    if (err)
        return err;
    if (!ri->target) {
        if (!window_take(&w, PATH_MAX))
            return -EIO;
        request.window = window_offset(&w);
        request.size = RUNNC_FILES_TARGET_MAX;
        err = rpc_call(&request, NULL, NULL, &reply);
        char *target = err ? NULL : kstrndup(window_data(&w), MIN(reply.value, RUNNC_FILES_TARGET_MAX));
        window_give(&w);
        if (err)
            return err;
        if (!target)
            return -ENOMEM;
        kfree(ri->target);
        ri->target = target;
    }
    size = MIN(size, strlen(ri->target));
    memcpy(buf, ri->target, size);
    return (int)size;
}

/* ---- attributes ---- */

static void remote_getattr(struct inode *inode)
{
    remote_refresh(remote_inode(inode), REMOTE_TTL_NS); /* what cannot be asked is as it was */
}

static void fill_attr(remote_request *request, const struct iattr *attr)
{
    static const struct {
        uint32_t ours, theirs;
    } BITS[] = {
        {ATTR_MODE, FILES_SET_MODE}, {ATTR_UID, FILES_SET_UID},     {ATTR_GID, FILES_SET_GID},
        {ATTR_SIZE, FILES_SET_SIZE}, {ATTR_ATIME, FILES_SET_ATIME}, {ATTR_MTIME, FILES_SET_MTIME},
    };

    for (size_t i = 0; i < sizeof(BITS) / sizeof(BITS[0]); i++) {
        if (attr->valid & BITS[i].ours)
            request->valid |= BITS[i].theirs;
    }
    request->mode = attr->mode;
    if (attr->valid & ATTR_UID)
        request->uid = attr->uid;
    if (attr->valid & ATTR_GID)
        request->gid = attr->gid;
    request->size = attr->size;
    request->atime_sec = attr->atime.tv_sec;
    request->atime_nsec = (uint32_t)attr->atime.tv_nsec;
    request->mtime_sec = attr->mtime.tv_sec;
    request->mtime_nsec = (uint32_t)attr->mtime.tv_nsec;
}

static int remote_setattr(struct inode *inode, const struct iattr *attr)
{
    struct remote_inode *ri = remote_inode(inode);
    remote_request request = remote_request_new(FILES_SETATTR, ri->fid);
    remote_reply reply;
    bool resize = attr->valid & ATTR_SIZE;

    fill_attr(&request, attr);
    if (S_ISLNK(inode->i_mode))
        request.valid &= ~(uint32_t)FILES_SET_MODE; /* links have none */
    if (!request.valid)
        return 0; /* ctime alone: the host sees to it */
    if (resize && !S_ISREG(inode->i_mode))
        return -EINVAL;
    if (ri->made_here && (!(attr->valid & ATTR_UID) || attr->uid == inode->i_uid) &&
        (!(attr->valid & ATTR_GID) || attr->gid == inode->i_gid))
        request.valid &= ~(uint32_t)(FILES_SET_UID | FILES_SET_GID);
    if (!request.valid)
        return 0;
    /* Of a file that this guest made nothing but the loss of the disk can refuse a mode and times: tar waits for enough. */
    if (ri->made_here && !(request.valid & ~(uint32_t)(FILES_SET_MODE | FILES_SET_ATIME | FILES_SET_MTIME)) && may_sleep()) {
        static const struct window none;
        struct rpc *rpc = rpc_start(&request, NULL, NULL);
        if (!rpc)
            return -EIO;
        rpc_abandon(rpc, &none);
        inode_apply(inode, attr);
        ri->fresh_until = 0;
        return 0;
    }
    if (resize)
        remote_begin_write(ri);
    int err = rpc_call(&request, NULL, NULL, &reply);
    if (!err) {
        if (resize)
            remote_truncate_pages(ri, attr->size);
        remote_apply(ri, &reply, true);
    }
    if (resize)
        remote_end_write(ri);
    return err;
}

/* ---- extended attributes: those of users ---- */

static int xattr_call(struct inode *inode, uint32_t op, const char *name, struct window *w, size_t size, uint32_t flags,
                      remote_reply *reply)
{
    remote_request request = remote_request_new(op, remote_inode(inode)->fid);
    struct qstr qstr = {.name = name, .len = name ? (uint32_t)strlen(name) : 0};

    if (name && !str_starts(name, XATTR_USER_PREFIX))
        return -EOPNOTSUPP;
    if (qstr.len > RUNNC_FILES_NAME_MAX)
        return -ERANGE;
    request.window = w ? window_offset(w) : 0;
    request.size = size;
    request.flags = flags;
    return rpc_call(&request, name ? &qstr : NULL, NULL, reply);
}

static int remote_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    remote_reply reply;
    struct window w;

    if (!window_take(&w, size))
        return -EIO;
    memcpy(window_data(&w), value, size);
    int err = xattr_call(inode, FILES_SETXATTR, name, &w, size, (uint32_t)flags, &reply);
    window_give(&w);
    remote_inode(inode)->fresh_until = 0;
    return err;
}

static ssize_t remote_getxattr(struct inode *inode, const char *name, void *value, size_t size)
{
    remote_reply reply;
    struct window w;

    if (!str_starts(name, XATTR_USER_PREFIX))
        return -EOPNOTSUPP;
    if (!window_take(&w, size))
        return -EIO;
    int err = xattr_call(inode, FILES_GETXATTR, name, &w, size, 0, &reply);
    if (!err && size > 0)
        memcpy(value, window_data(&w), MIN(size, reply.value));
    window_give(&w);
    return err ? err : (ssize_t)MIN(reply.value, size ? size : XATTR_SIZE_MAX);
}

/* Others than users' are not shown: the guest cannot have them. */
static ssize_t user_names(const char *all, size_t len, char *names, size_t size)
{
    size_t done = 0;

    for (size_t at = 0; at < len;) {
        const char *name = all + at;
        size_t n = strnlen(name, len - at) + 1;
        at += n;
        if (at > len || !str_starts(name, XATTR_USER_PREFIX))
            continue;
        if (size && done + n > size)
            return -ERANGE;
        if (size)
            memcpy(names + done, name, n);
        done += n;
    }
    return (ssize_t)done;
}

static ssize_t remote_listxattr(struct inode *inode, char *names, size_t size)
{
    remote_reply reply;
    struct window w;

    if (!window_take(&w, XATTR_LIST_MAX))
        return -EIO;
    ssize_t got = xattr_call(inode, FILES_LISTXATTR, NULL, &w, XATTR_LIST_MAX, 0, &reply);
    /* A copy: the window is the server's, too. */
    size_t len = got ? 0 : MIN(reply.value, XATTR_LIST_MAX);
    char *all = got ? NULL : kmalloc(len + 1);
    if (all) {
        memcpy(all, window_data(&w), len);
        all[len] = '\0';
        got = user_names(all, len, names, size);
        kfree(all);
    } else if (!got) {
        got = -ENOMEM;
    }
    window_give(&w);
    return got == -EOPNOTSUPP ? 0 : got;
}

static int remote_removexattr(struct inode *inode, const char *name)
{
    remote_reply reply;

    remote_inode(inode)->fresh_until = 0;
    return xattr_call(inode, FILES_REMOVEXATTR, name, NULL, 0, 0, &reply);
}

static const struct xattr_operations remote_xattr_operations = {
    .set = remote_setxattr,
    .get = remote_getxattr,
    .list = remote_listxattr,
    .remove = remote_removexattr,
};

static const struct inode_operations remote_inode_operations = {
    .lookup = remote_lookup,
    .mknod = remote_mknod,
    .symlink = remote_symlink,
    .link = remote_link,
    .unlink = remote_unlink,
    .rename = remote_rename,
    .tmpfile = remote_tmpfile,
    .readlink = remote_readlink,
    .setattr = remote_setattr,
    .getattr = remote_getattr,
    .xattr_op = &remote_xattr_operations,
    .lock = remote_lock,
    .evict = remote_evict,
};

/* ---- the file system ---- */

static void remote_statfs(struct super_block *sb, struct statfs *st)
{
    remote_request request = remote_request_new(FILES_STATFS, remote_inode(sb->s_root->d_inode)->fid);
    remote_reply reply;
    struct window w;

    if (!window_take(&w, sizeof(*st)))
        return;
    request.window = window_offset(&w);
    request.size = sizeof(*st);
    if (!rpc_call(&request, NULL, NULL, &reply))
        memcpy(st, window_data(&w), sizeof(*st));
    window_give(&w);
}

static int remote_sync(struct super_block *sb)
{
    struct file *file;
    int err = sb->s_flags & SB_RDONLY ? -EROFS : dentry_open(sb->s_root, O_RDONLY, &file);

    if (err)
        return err == -EROFS ? 0 : err;
    remote_request request = remote_request_new(FILES_SYNCFS, remote_file(file)->fid);
    remote_reply reply;
    err = rpc_call(&request, NULL, NULL, &reply);
    file_put(file);
    return err;
}

static const struct super_operations remote_super_operations = {
    .statfs = remote_statfs,
    .revalidate = remote_revalidate,
    .sync = remote_sync,
};

struct super_block *remote_mount(uint32_t number)
{
    struct remote_fs *fs = kzalloc(sizeof(*fs));
    remote_request request = {.op = FILES_ATTACH, .value = number};
    remote_reply reply;
    struct inode *root;

    int err = fs ? remote_connect() : -ENOMEM;
    if (err)
        return ERR_PTR(err);
    fs->sb.s_op = &remote_super_operations;
    fs->sb.s_type = fs->sb.s_source = "fileserver";
    fs->sb.s_options = "";
    request.new_fid = fid_alloc();
    err = rpc_call(&request, NULL, NULL, &reply);
    if (!err) {
        fs->dev = reply.attr.dev;
        err = take_inode(&fs->sb, &reply, request.new_fid, &root);
    }
    if (!err)
        err = super_init(&fs->sb, root);
    return err ? ERR_PTR(err) : &fs->sb;
}
