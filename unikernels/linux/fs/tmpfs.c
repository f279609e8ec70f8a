/* tmpfs and the root over the image: inodes and folders. The data of files is in tmpfs_file.c. */
#include "fs/tmpfs.h"

#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/stat.h>

#include "fs/options.h"
#include "fs/writeback.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "task/task.h"
#include "time/clock.h"

#define NID_BUCKETS 4096u

/* A record of a folder: what this name is now. */
struct tmpfs_dirent {
    struct list link;
    struct tmpfs_dirent *hash_next;
    struct inode *inode; /* NULL: the image's name is gone */
    uint64_t cookie;
    uint32_t hash;
    uint32_t len;
    char name[];
};

static const struct inode_operations tmpfs_dir_inode_operations, tmpfs_file_inode_operations,
    tmpfs_link_inode_operations, tmpfs_special_inode_operations;
static const struct file_operations tmpfs_dir_operations;

/* ---- inodes ---- */

static void set_operations(struct tmpfs_inode *t)
{
    switch (t->inode.i_mode & S_IFMT) {
    case S_IFDIR:
        t->inode.i_op = &tmpfs_dir_inode_operations;
        t->inode.i_fop = &tmpfs_dir_operations;
        list_init(&t->dir.entries);
        break;
    case S_IFREG:
        t->inode.i_op = &tmpfs_file_inode_operations;
        t->inode.i_fop = &tmpfs_file_operations;
        t->file.seals = F_SEAL_SEAL;
        break;
    case S_IFLNK:
        t->inode.i_op = &tmpfs_link_inode_operations;
        break;
    default:
        t->inode.i_op = &tmpfs_special_inode_operations;
        break;
    }
}

static struct tmpfs_inode *new_inode(struct tmpfs *fs, uint32_t mode, uint64_t rdev)
{
    struct tmpfs_inode *t = kzalloc(sizeof(*t));

    if (!t)
        return NULL;
    inode_init(&t->inode, &fs->sb, mode);
    t->inode.i_ino = ++fs->next_ino;
    t->inode.i_rdev = rdev;
    if (S_ISDIR(mode))
        t->inode.i_nlink = 2;
    set_operations(t);
    return t;
}

/* An inode of the image: the one in memory, or a new one. */
static int lower_inode(struct tmpfs *fs, uint64_t nid, struct inode **found)
{
    struct tmpfs_inode **bucket = &fs->by_nid[nid % NID_BUCKETS];

    for (struct tmpfs_inode *t = *bucket; t; t = t->nid_next) {
        if (t->lower.nid == nid) {
            *found = iget(&t->inode);
            return 0;
        }
    }
    struct tmpfs_inode *t = kzalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    int err = erofs_inode(fs->lower, nid, &t->lower);
    if (err) {
        kfree(t);
        return err;
    }
    struct inode *inode = &t->inode;
    inode_init(inode, &fs->sb, t->lower.mode);
    inode->i_ino = nid;
    inode->i_nlink = t->lower.nlink;
    inode->i_uid = t->lower.uid;
    inode->i_gid = t->lower.gid;
    inode->i_size = t->lower.size;
    inode->i_blocks = (t->lower.size + 511) / 512;
    inode->i_rdev = t->lower.rdev; /* Linux's 32-bit form is what user space sees of small numbers */
    inode->i_mtime = (struct __kernel_timespec){.tv_sec = t->lower.mtime, .tv_nsec = t->lower.mtime_nsec};
    inode->i_atime = inode->i_ctime = inode->i_btime = inode->i_mtime;
    set_operations(t);
    t->has_lower = true;
    if (S_ISREG(inode->i_mode))
        t->file.lower_size = inode->i_size;
    t->nid_next = *bucket;
    *bucket = t;
    *found = inode;
    return 0;
}

void tmpfs_dirty(struct tmpfs_inode *t)
{
    if (t->dirty || !t->has_lower)
        return;
    t->dirty = true;
    if (t->inode.i_nlink > 0)
        iget(&t->inode); /* stays until its last name goes */
}

/* A name less. */
static void drop_link(struct tmpfs_inode *t)
{
    struct inode *inode = &t->inode;

    tmpfs_dirty(t);
    inode->i_ctime = clock_now();
    if (inode->i_nlink == 0)
        return; /* the image counted wrong */
    if (S_ISDIR(inode->i_mode))
        inode->i_nlink = 0;
    else
        inode->i_nlink--;
    if (inode->i_nlink == 0 && t->has_lower)
        iput(inode);
}

static void dir_free(struct tmpfs_inode *dir)
{
    struct tmpfs_dirent *record, *next;

    list_for_each_safe(record, next, &dir->dir.entries, link) {
        iput(record->inode);
        kfree(record);
    }
    kfree(dir->dir.table);
}

static void tmpfs_evict(struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);

    wb_evict(t);
    switch (inode->i_mode & S_IFMT) {
    case S_IFREG:
        tmpfs_free_pages(t);
        break;
    case S_IFDIR:
        dir_free(t);
        break;
    case S_IFLNK:
        kfree(t->target);
        break;
    }
    if (t->has_lower) {
        struct tmpfs_inode **link = &tmpfs_of(inode)->by_nid[t->lower.nid % NID_BUCKETS];
        while (*link != t)
            link = &(*link)->nid_next;
        *link = t->nid_next;
    }
    xattrs_free(&t->xattrs);
    kfree(t);
}

static int tmpfs_setattr(struct inode *inode, const struct iattr *attr)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);

    if (attr->valid & ATTR_SIZE) {
        if (!S_ISREG(inode->i_mode))
            return -EINVAL;
        tmpfs_dirty(t);
        int err = tmpfs_resize(t, attr->size);
        if (err)
            return err;
        inode->i_mtime = inode->i_ctime = clock_now();
    }
    tmpfs_dirty(t);
    inode_apply(inode, attr);
    wb_attributes(inode, attr);
    return 0;
}

/* ---- records of folders ---- */

static uint32_t hash_name(const struct qstr *name)
{
    uint32_t hash = 2166136261u;

    for (uint32_t i = 0; i < name->len; i++)
        hash = (hash ^ (uint8_t)name->name[i]) * 16777619u;
    return hash;
}

static struct tmpfs_dirent *find_record(const struct tmpfs_inode *dir, const struct qstr *name)
{
    uint32_t hash = hash_name(name);

    if (!dir->dir.table)
        return NULL;
    for (struct tmpfs_dirent *r = dir->dir.table[hash & (dir->dir.table_size - 1)]; r; r = r->hash_next) {
        if (r->hash == hash && r->len == name->len && memcmp(r->name, name->name, name->len) == 0)
            return r;
    }
    return NULL;
}

static int grow_table(struct tmpfs_inode *dir)
{
    uint32_t size = dir->dir.table_size ? dir->dir.table_size * 2 : 8;
    struct tmpfs_dirent **table = kzalloc(size * sizeof(table[0]));
    struct tmpfs_dirent *record;

    if (!table)
        return -ENOMEM;
    list_for_each(record, &dir->dir.entries, link) {
        struct tmpfs_dirent **bucket = &table[record->hash & (size - 1)];
        record->hash_next = *bucket;
        *bucket = record;
    }
    kfree(dir->dir.table);
    dir->dir.table = table;
    dir->dir.table_size = size;
    return 0;
}

/* A record for a name that has none. It takes a reference of the inode of its own. */
static int add_record(struct tmpfs_inode *dir, const struct qstr *name, struct inode *inode)
{
    if (dir->dir.count >= dir->dir.table_size) {
        int err = grow_table(dir);
        if (err)
            return err;
    }
    struct tmpfs_dirent *record = kmalloc(sizeof(*record) + name->len);
    if (!record)
        return -ENOMEM;
    *record = (struct tmpfs_dirent){
        .inode = inode ? iget(inode) : NULL,
        .cookie = ++dir->dir.next_cookie,
        .hash = hash_name(name),
        .len = name->len,
    };
    memcpy(record->name, name->name, name->len);
    list_add_tail(&dir->dir.entries, &record->link);
    struct tmpfs_dirent **bucket = &dir->dir.table[record->hash & (dir->dir.table_size - 1)];
    record->hash_next = *bucket;
    *bucket = record;
    dir->dir.count++;
    tmpfs_dirty(dir);
    return 0;
}

static void free_record(struct tmpfs_inode *dir, struct tmpfs_dirent *record)
{
    struct tmpfs_dirent **link = &dir->dir.table[record->hash & (dir->dir.table_size - 1)];

    while (*link != record)
        link = &(*link)->hash_next;
    *link = record->hash_next;
    list_del(&record->link);
    dir->dir.count--;
    iput(record->inode);
    kfree(record);
}

/* 0: the image has this name; ENOENT: it has not, or the folder is not of the image. */
static int lower_lookup(const struct tmpfs_inode *dir, const struct qstr *name, uint64_t *nid)
{
    if (!dir->has_lower)
        return -ENOENT;
    return erofs_lookup(tmpfs_of(&dir->inode)->lower, &dir->lower, name->name, name->len, nid);
}

/* So that a later change of this name cannot fail: a record that says what is true anyway. */
static int ensure_record(struct tmpfs_inode *dir, const struct qstr *name, struct inode *inode)
{
    return find_record(dir, name) ? 0 : add_record(dir, name, inode);
}

/* The name is gone; its record must be there. */
static void clear_record(struct tmpfs_inode *dir, const struct qstr *name)
{
    struct tmpfs_dirent *record = find_record(dir, name);
    uint64_t nid;

    if (lower_lookup(dir, name, &nid) == -ENOENT) {
        free_record(dir, record);
        return;
    }
    iput(record->inode);
    record->inode = NULL;
}

/* The name is this inode from now on; its record must be there. It goes to the end of the listing. */
static void set_record(struct tmpfs_inode *dir, const struct qstr *name, struct inode *inode)
{
    struct tmpfs_dirent *record = find_record(dir, name);

    iget(inode);
    iput(record->inode);
    record->inode = inode;
}

static void dir_changed(struct tmpfs_inode *dir)
{
    tmpfs_dirty(dir);
    dir->inode.i_mtime = dir->inode.i_ctime = clock_now();
}

/* ---- what is done by name ---- */

static int tmpfs_lookup(struct inode *inode, const struct qstr *name, struct inode **found)
{
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct tmpfs_dirent *record = find_record(dir, name);
    uint64_t nid;

    if (record) {
        if (!record->inode)
            return -ENOENT;
        *found = iget(record->inode);
        return 0;
    }
    int err = lower_lookup(dir, name, &nid);
    if (!err)
        err = lower_inode(tmpfs_of(inode), nid, found);
    return err;
}

/* A name that was free: has no record, or a whiteout. */
static int link_name(struct tmpfs_inode *dir, const struct qstr *name, struct inode *inode)
{
    int err = ensure_record(dir, name, NULL);

    if (err)
        return err;
    struct tmpfs_dirent *record = find_record(dir, name);
    set_record(dir, name, inode);
    record->cookie = ++dir->dir.next_cookie;
    list_del(&record->link);
    list_add_tail(&dir->dir.entries, &record->link);
    dir_changed(dir);
    return 0;
}

/* Owner and group of what is made in dir, as Linux's inode_init_owner(). */
static void set_owner(struct inode *inode, const struct inode *dir)
{
    inode->i_uid = current ? current->cred->fsuid : 0;
    inode->i_gid = current ? current->cred->fsgid : 0;
    if (!(dir->i_mode & S_ISGID))
        return;
    inode->i_gid = dir->i_gid;
    if (S_ISDIR(inode->i_mode))
        inode->i_mode |= S_ISGID;
    else if ((inode->i_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && current &&
             !cred_in_group(current->cred, inode->i_gid) && !capable(CAP_FSETID))
        inode->i_mode &= ~(uint32_t)S_ISGID;
}

static int tmpfs_mknod(struct inode *dir, const struct qstr *name, uint32_t mode, uint64_t rdev,
                       struct inode **made)
{
    struct tmpfs_inode *t = new_inode(tmpfs_of(dir), mode, rdev);

    if (!t)
        return -ENOSPC;
    set_owner(&t->inode, dir);
    int err = link_name(tmpfs_inode(dir), name, &t->inode);
    if (err) {
        iput(&t->inode);
        return -ENOSPC;
    }
    if (S_ISDIR(mode))
        dir->i_nlink++;
    wb_made(dir, name, &t->inode);
    *made = &t->inode;
    return 0;
}

static int tmpfs_symlink(struct inode *dir, const struct qstr *name, const char *target, struct inode **made)
{
    struct tmpfs_inode *t = new_inode(tmpfs_of(dir), S_IFLNK | 0777, 0);

    if (!t)
        return -ENOSPC;
    set_owner(&t->inode, dir);
    t->inode.i_size = strlen(target);
    t->target = kstrdup(target);
    int err = t->target ? link_name(tmpfs_inode(dir), name, &t->inode) : -ENOSPC;
    if (err) {
        iput(&t->inode);
        return -ENOSPC;
    }
    wb_made(dir, name, &t->inode);
    *made = &t->inode;
    return 0;
}

static int tmpfs_tmpfile(struct inode *dir, uint32_t mode, struct inode **made)
{
    struct tmpfs_inode *t = new_inode(tmpfs_of(dir), mode, 0);

    if (!t)
        return -ENOSPC;
    set_owner(&t->inode, dir);
    t->inode.i_nlink = 0;
    wb_made(dir, NULL, &t->inode);
    *made = &t->inode;
    return 0;
}

static int tmpfs_link(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);
    int err = link_name(tmpfs_inode(dir), name, inode);

    if (err)
        return -ENOSPC;
    tmpfs_dirty(t);
    if (inode->i_nlink++ == 0 && t->dirty)
        iget(inode); /* it had lost its last name, see drop_link() */
    inode->i_flags &= ~INODE_LINKABLE;
    inode->i_ctime = clock_now();
    wb_linked(dir, name, inode);
    return 0;
}

/* Is there any name in it but "." and ".."? */
static int check_empty(struct tmpfs_inode *dir)
{
    struct tmpfs_dirent *record;
    struct erofs_dirent lower;
    uint64_t cursor = 0;
    int more;

    list_for_each(record, &dir->dir.entries, link) {
        if (record->inode)
            return -ENOTEMPTY;
    }
    if (!dir->has_lower)
        return 0;
    while ((more = erofs_readdir(tmpfs_of(&dir->inode)->lower, &dir->lower, &cursor, &lower)) == 1) {
        struct qstr name = {.name = lower.name, .len = lower.len};
        if (lower.name[0] == '.' && (lower.len == 1 || (lower.len == 2 && lower.name[1] == '.')))
            continue;
        if (!find_record(dir, &name))
            return -ENOTEMPTY;
    }
    return more;
}

int tmpfs_remove_whole(struct inode *dir_inode, const struct qstr *name, struct inode *inode)
{
    struct tmpfs_inode *dir = tmpfs_inode(dir_inode);
    int err = ensure_record(dir, name, inode);

    if (err)
        return err;
    clear_record(dir, name);
    if (S_ISDIR(inode->i_mode) && dir_inode->i_nlink > 2)
        dir_inode->i_nlink--;
    drop_link(tmpfs_inode(inode));
    dir_changed(dir);
    return 0;
}

static int tmpfs_unlink(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    int err = S_ISDIR(inode->i_mode) ? check_empty(tmpfs_inode(inode)) : 0;

    if (!err)
        err = tmpfs_remove_whole(dir, name, inode);
    if (!err)
        wb_unlinked(dir, name, inode);
    return err;
}

static int tmpfs_rename(struct inode *old_inode, const struct qstr *old_name, struct inode *inode,
                        struct inode *new_inode_, const struct qstr *new_name, struct inode *replaced,
                        unsigned flags)
{
    bool exchange = flags & RENAME_EXCHANGE;
    struct tmpfs_inode *old_dir = tmpfs_inode(old_inode), *new_dir = tmpfs_inode(new_inode_);
    bool folder = S_ISDIR(inode->i_mode), other = replaced && S_ISDIR(replaced->i_mode);

    /* As overlayfs without redirect_dir: mv(1) copies then. */
    if (tmpfs_of(old_inode)->overlay &&
        ((folder && tmpfs_inode(inode)->has_lower) || (exchange && other && tmpfs_inode(replaced)->has_lower)))
        return -EXDEV;
    int err = replaced && !exchange && other ? check_empty(tmpfs_inode(replaced)) : 0;
    if (!err)
        err = ensure_record(old_dir, old_name, inode);
    if (!err)
        err = ensure_record(new_dir, new_name, replaced);
    if (err)
        return err;

    if (exchange) {
        iget(inode);
        set_record(old_dir, old_name, replaced);
        set_record(new_dir, new_name, inode);
        iput(inode);
        old_inode->i_nlink += (uint32_t)other - (uint32_t)folder;
        new_inode_->i_nlink += (uint32_t)folder - (uint32_t)other;
        tmpfs_dirty(tmpfs_inode(replaced));
        replaced->i_ctime = clock_now();
    } else {
        iget(inode);
        clear_record(old_dir, old_name);
        link_name(new_dir, new_name, inode); /* has a record: cannot fail */
        iput(inode);
        if (replaced)
            drop_link(tmpfs_inode(replaced));
        if (folder && old_inode->i_nlink > 2)
            old_inode->i_nlink--;
        if (folder && !other)
            new_inode_->i_nlink++;
    }
    tmpfs_dirty(tmpfs_inode(inode));
    inode->i_ctime = clock_now();
    dir_changed(old_dir);
    dir_changed(new_dir);
    wb_renamed(old_inode, old_name, inode, new_inode_, new_name, replaced, exchange);
    return 0;
}

static struct xattrs *tmpfs_xattrs(struct inode *inode)
{
    return &tmpfs_inode(inode)->xattrs;
}

static int tmpfs_readlink(struct inode *inode, char *buf, size_t size)
{
    const struct tmpfs_inode *t = tmpfs_inode(inode);
    size_t done = 0;

    if (!t->has_lower) {
        done = MIN(size, inode->i_size);
        memcpy(buf, t->target, done);
        return (int)done;
    }
    while (done < size && done < inode->i_size) {
        const uint8_t *data;
        uint64_t len;
        int err = erofs_map(tmpfs_of(inode)->lower, &t->lower, done, &data, &len);
        if (err || !data)
            return err ? err : -EUCLEAN;
        len = MIN(len, size - done);
        memcpy(buf + done, data, len);
        done += len;
    }
    /* A NUL in a target would make a path that ends before it does. */
    return memchr(buf, '\0', done) ? -EUCLEAN : (int)done;
}

/* ---- listing ---- */

/* Positions: 0 ".", 1 "..", then the image's cursor from 2 on, then records by cookie. */
#define POS_LOWER 2ull
#define POS_RECORDS (1ull << 40)

static bool emit_lower(struct tmpfs_inode *dir, struct dir_context *ctx)
{
    struct erofs_dirent lower;
    uint64_t cursor = ctx->pos - POS_LOWER;

    if (!dir->has_lower)
        return true;
    while (erofs_readdir(tmpfs_of(&dir->inode)->lower, &dir->lower, &cursor, &lower) == 1) {
        struct qstr name = {.name = lower.name, .len = lower.len};
        uint64_t next = POS_LOWER + cursor;
        bool dots = lower.name[0] == '.' && (lower.len == 1 || (lower.len == 2 && lower.name[1] == '.'));
        if (!dots && !find_record(dir, &name) &&
            !ctx->actor(ctx, lower.name, lower.len, next, lower.nid, lower.type))
            return false;
        ctx->pos = next;
    }
    return true;
}

static bool emit_records(const struct tmpfs_inode *dir, struct dir_context *ctx)
{
    const struct tmpfs_dirent *record;

    list_for_each(record, &dir->dir.entries, link) {
        uint64_t next = POS_RECORDS + record->cookie;
        if (next <= ctx->pos || !record->inode)
            continue;
        const struct inode *inode = record->inode;
        if (!ctx->actor(ctx, record->name, record->len, next, inode->i_ino, inode->i_mode >> 12 & 15))
            return false;
        ctx->pos = next;
    }
    return true;
}

static int tmpfs_readdir(struct file *file, struct dir_context *ctx)
{
    struct tmpfs_inode *dir = tmpfs_inode(file->f_inode);

    if (!dir_emit_dots(file, ctx))
        return 0;
    if (dir->inode.i_nlink == 0)
        return 0;
    if (ctx->pos < POS_RECORDS) {
        if (!emit_lower(dir, ctx))
            return 0;
        ctx->pos = POS_RECORDS;
    }
    emit_records(dir, ctx);
    return 0;
}

static int tmpfs_dir_fsync(struct file *file, bool datasync)
{
    return wb_sync(tmpfs_inode(file->f_inode), datasync);
}

static const struct file_operations tmpfs_dir_operations = {
    .readdir = tmpfs_readdir,
    .llseek = dir_llseek,
    .fsync = tmpfs_dir_fsync,
};

static const struct inode_operations tmpfs_dir_inode_operations = {
    .lookup = tmpfs_lookup,
    .mknod = tmpfs_mknod,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rename = tmpfs_rename,
    .tmpfile = tmpfs_tmpfile,
    .setattr = tmpfs_setattr,
    .xattrs = tmpfs_xattrs,
    .evict = tmpfs_evict,
};
static const struct inode_operations tmpfs_file_inode_operations = {
    .setattr = tmpfs_setattr,
    .xattrs = tmpfs_xattrs,
    .evict = tmpfs_evict,
};
static const struct inode_operations tmpfs_link_inode_operations = {
    .readlink = tmpfs_readlink,
    .setattr = tmpfs_setattr,
    .xattrs = tmpfs_xattrs,
    .evict = tmpfs_evict,
};
static const struct inode_operations tmpfs_special_inode_operations = {
    .setattr = tmpfs_setattr,
    .xattrs = tmpfs_xattrs,
    .evict = tmpfs_evict,
};

/* ---- file systems ---- */

static void tmpfs_statfs(struct super_block *sb, struct statfs *st)
{
    const struct tmpfs *fs = container_of(sb, struct tmpfs, sb);
    struct page_stats pages;

    page_stats(&pages);
    st->f_type = fs->lower ? OVERLAYFS_SUPER_MAGIC : TMPFS_MAGIC;
    st->f_blocks = (long)(fs->pages_max ? fs->pages_max : pages.total);
    uint64_t used = fs->pages_max ? fs->pages : pages.kernel + pages.user;
    st->f_bfree = st->f_bavail = st->f_blocks - (long)MIN(used, (uint64_t)st->f_blocks);
    st->f_files = st->f_ffree = st->f_blocks;
}

static int tmpfs_sync(struct super_block *sb)
{
    return container_of(sb, struct tmpfs, sb)->lasts ? wb_sync_all(sb) : 0;
}

static const struct super_operations tmpfs_super_operations = {.statfs = tmpfs_statfs, .sync = tmpfs_sync};

static uint64_t parse_size(const char *text)
{
    struct page_stats pages;
    const char *end;
    uint64_t value = parse_number(text, 10, &end);

    switch (*end) {
    case '%':
        page_stats(&pages);
        return pages.total / 100 * MIN(value, 100);
    case 'k':
    case 'K':
        value <<= 10;
        break;
    case 'm':
    case 'M':
        value <<= 20;
        break;
    case 'g':
    case 'G':
        value <<= 30;
        break;
    }
    return PAGE_UP(value) >> PAGE_SHIFT;
}

static void parse_options(struct tmpfs *fs, struct inode *root, const char *options)
{
    const char *size = option_value(options, "size");
    uint64_t value;

    if (size)
        fs->pages_max = parse_size(size);
    if (option_number(options, "mode", 8, &value))
        root->i_mode = (root->i_mode & S_IFMT) | ((uint32_t)value & 07777);
    if (option_number(options, "uid", 10, &value))
        root->i_uid = (uint32_t)value;
    if (option_number(options, "gid", 10, &value))
        root->i_gid = (uint32_t)value;
}

static struct tmpfs *alloc(const char *type)
{
    struct tmpfs *fs = kzalloc(sizeof(*fs));

    if (!fs)
        return NULL;
    fs->sb.s_op = &tmpfs_super_operations;
    fs->sb.s_type = type;
    fs->sb.s_source = type;
    fs->sb.s_options = "";
    return fs;
}

struct tmpfs *tmpfs_new(const char *options)
{
    struct tmpfs *fs = alloc("tmpfs");
    struct tmpfs_inode *root = fs ? new_inode(fs, S_IFDIR | 01777, 0) : NULL;

    if (!root || super_init(&fs->sb, &root->inode)) {
        kfree(fs);
        return NULL;
    }
    parse_options(fs, &root->inode, options);
    return fs;
}

struct tmpfs *tmpfs_over_image(const struct erofs *lower)
{
    struct tmpfs *fs = alloc("overlay");
    struct inode *root;

    if (!fs)
        return ERR_PTR(-ENOMEM);
    fs->lower = lower;
    fs->next_ino = 1ull << 40; /* above all nids of any real image */
    fs->by_nid = kzalloc(NID_BUCKETS * sizeof(fs->by_nid[0]));
    int err = fs->by_nid ? lower_inode(fs, lower->root_nid, &root) : -ENOMEM;
    if (!err)
        err = super_init(&fs->sb, root);
    if (!err)
        return fs;
    kfree(fs->by_nid);
    kfree(fs);
    return ERR_PTR(err);
}

struct tmpfs *tmpfs_of_file(const void *data, size_t size, uint32_t mode, uint32_t uid, uint32_t gid,
                            struct __kernel_timespec mtime)
{
    struct tmpfs *fs = alloc("tmpfs");
    struct tmpfs_inode *t = fs ? new_inode(fs, S_IFREG | (mode & 07777), 0) : NULL;

    if (!t || super_init(&fs->sb, &t->inode)) {
        kfree(fs);
        return NULL;
    }
    t->inode.i_uid = uid;
    t->inode.i_gid = gid;
    struct iov_iter from;
    iov_iter_kernel(&from, (void *)data, size);
    struct file file = {.f_inode = &t->inode};
    struct kiocb kiocb = {.file = &file};
    if (tmpfs_file_operations.write(&kiocb, &from) != (int64_t)size)
        return NULL;
    t->inode.i_mtime = mtime;
    return fs;
}

/* The file system of files without names, which nobody sees; made when the first one is. */
static struct tmpfs *unnamed_fs;

static int new_unnamed(const char *shown, bool sealable, int flags, struct file **made)
{
    if (!unnamed_fs)
        unnamed_fs = tmpfs_new("");
    struct tmpfs_inode *t = unnamed_fs ? new_inode(unnamed_fs, S_IFREG | 0777, 0) : NULL;
    if (!t)
        return -ENOMEM;
    t->inode.i_nlink = 0;
    t->inode.i_uid = current->cred->fsuid;
    t->inode.i_gid = current->cred->fsgid;
    if (sealable)
        t->file.seals = 0;
    int err = anon_file(shown, &t->inode, &tmpfs_file_operations, NULL, flags | O_RDWR, made);
    if (!err)
        t->inode.i_writers++; /* as any file that is open for writing */
    return err;
}

int tmpfs_unnamed(const char *shown, int flags, struct file **made)
{
    return new_unnamed(shown, false, flags, made);
}

int tmpfs_memfd(const char *name, bool sealable, int flags, struct file **made)
{
    static const char prefix[] = "/memfd:", suffix[] = " (deleted)";
    char shown[sizeof(prefix) + NAME_MAX + sizeof(suffix)];

    strlcpy(shown, prefix, sizeof(shown));
    strlcpy(shown + strlen(shown), name, sizeof(shown) - strlen(shown));
    strlcpy(shown + strlen(shown), suffix, sizeof(shown) - strlen(shown));
    return new_unnamed(shown, sealable, flags, made);
}

/* Some page lives in a shared mapping. */
static bool has_homes(struct tmpfs_inode *t)
{
    for (uint64_t index = 0; page_tree_next(&t->file.pages, &index); index++)
        if (*page_tree_slot(&t->file.pages, index, false) & PAGE_HOME)
            return true;
    return false;
}

int tmpfs_seals(struct file *file, bool add, uint32_t seals)
{
    const uint32_t known = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

    if (file->f_op != &tmpfs_file_operations)
        return -EINVAL;
    struct tmpfs_inode *t = tmpfs_inode(file->f_inode);
    if (!add)
        return (int)t->file.seals;
    if (!file->f_write || t->file.seals & F_SEAL_SEAL)
        return -EPERM;
    if (seals & ~known)
        return -EINVAL;
    /* A shared mapping could go on writing. */
    if (seals & F_SEAL_WRITE && has_homes(t))
        return -EBUSY;
    t->file.seals |= seals;
    return 0;
}
