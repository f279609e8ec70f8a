/*
 * Paths: the walk along their names, and the calls that make, remove and rename.
 *
 * The walk follows links by putting the target in front of what is left of the
 * path, so it needs no recursion and no more memory than the two are long.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "fs/inotify.h"
#include "fs/vfs.h"
#include "fs/walk.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define LINKS_MAX 40 /* then ELOOP, as Linux's MAXSYMLINKS */

static struct dentry *across_mounts(struct dentry *dentry)
{
    while (dentry->d_mounted) {
        struct dentry *root = dget(dentry->d_mounted->s_root);
        dput(dentry);
        dentry = root;
    }
    return dentry;
}

int walk_start(struct walk *w, int dfd, const char *path, unsigned flags)
{
    const struct fs *fs = current->process->fs;

    *w = (struct walk){.rest = path, .flags = flags, .root = fs->root};
    if (*path == '\0' && !(flags & LOOKUP_EMPTY))
        return -ENOENT;
    if (*path == '/' && flags & LOOKUP_BENEATH)
        return -EXDEV;
    if (*path == '/' && !(flags & LOOKUP_IN_ROOT)) {
        w->at = dget(fs->root);
    } else if (dfd == AT_FDCWD) {
        w->at = dget(fs->pwd);
    } else {
        struct file *file = fget_raw(dfd);
        if (!file)
            return -EBADF;
        w->at = dget(file->f_dentry);
        file_put(file);
        if (*path != '\0' && !S_ISDIR(w->at->d_inode->i_mode)) {
            dput(w->at);
            return -ENOTDIR;
        }
    }
    if (flags & (LOOKUP_IN_ROOT | LOOKUP_BENEATH))
        w->root = w->at;
    /* Held by us: chdir, chroot or close may come while an open waits. */
    dget(w->root);
    return 0;
}

void walk_end(struct walk *w)
{
    dput(w->at);
    dput(w->root);
    kfree(w->buf);
    w->at = w->root = NULL;
    w->buf = NULL;
}

/* The next name of the path into w->last; false at the end of the path. */
static bool next_name(struct walk *w)
{
    while (*w->rest == '/')
        w->rest++;
    const char *begin = w->rest;
    while (*w->rest != '\0' && *w->rest != '/')
        w->rest++;
    w->last = (struct qstr){.name = begin, .len = (uint32_t)(w->rest - begin)};
    w->slash = *w->rest == '/';
    while (*w->rest == '/')
        w->rest++;
    return w->last.len > 0;
}

static bool is_dot(const struct qstr *name)
{
    return name->len == 1 && name->name[0] == '.';
}

static bool is_dotdot(const struct qstr *name)
{
    return name->len == 2 && name->name[0] == '.' && name->name[1] == '.';
}

static int step_up(struct walk *w)
{
    struct dentry *parent;

    if (w->at == w->root) {
        if (w->flags & LOOKUP_BENEATH)
            return -EXDEV;
        return 0;
    }
    parent = dget(d_parent_across(w->at));
    if (w->flags & LOOKUP_NO_XDEV && parent->d_sb != w->at->d_sb) {
        dput(parent);
        return -EXDEV;
    }
    dput(w->at);
    /* The folder above may itself be covered (a mount over a mount's parent). */
    w->at = across_mounts(parent);
    return 0;
}

/* fs.protected_symlinks: in a sticky folder that all may write to, follow only one's own or its owner's. */
static bool may_follow(const struct dentry *dir, const struct inode *link)
{
    const struct inode *folder = dir->d_inode;

    if ((folder->i_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH))
        return true;
    return current->cred->fsuid == link->i_uid || folder->i_uid == link->i_uid;
}

/* Puts the target of `link`, which was found in w->at, before the rest of the path. */
static int follow_link(struct walk *w, struct dentry *link)
{
    struct inode *inode = link->d_inode;
    char *target = NULL, *path = NULL;
    int err;

    err = -ELOOP;
    if (w->flags & LOOKUP_NO_SYMLINKS || ++w->links > LINKS_MAX)
        goto out;
    err = -EACCES;
    if (!may_follow(w->at, inode))
        goto out;

    if (inode->i_op->follow) {
        struct dentry *to;
        err = w->flags & LOOKUP_NO_MAGICLINKS ? -ELOOP : inode->i_op->follow(inode, &to);
        if (!err && w->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) {
            dput(to);
            err = -EXDEV;
        }
        if (!err) {
            dput(w->at);
            w->at = to;
            w->jumped = true;
        }
        goto out;
    }

    err = -ENOMEM;
    target = kmalloc(PATH_MAX);
    if (!target)
        goto out;
    int len = vfs_readlink(link, target, PATH_MAX - 1);
    err = len < 0 ? len : -ENOENT;
    if (len <= 0)
        goto out;
    size_t rest = strlen(w->rest);
    err = -ENOMEM;
    path = kmalloc((size_t)len + rest + 2);
    if (!path)
        goto out;
    memcpy(path, target, (size_t)len);
    size_t end = (size_t)len;
    if (w->slash)
        path[end++] = '/';
    memcpy(path + end, w->rest, rest + 1);

    err = 0;
    if (path[0] == '/') {
        err = -EXDEV;
        if (w->flags & LOOKUP_BENEATH)
            goto out;
        err = 0;
        dput(w->at);
        w->at = dget(w->root);
    }
    kfree(w->buf);
    w->buf = path;
    w->rest = path;
    path = NULL;
out:
    kfree(path);
    kfree(target);
    return err;
}

static int may_search(const struct inode *dir)
{
    if (!S_ISDIR(dir->i_mode))
        return -ENOTDIR;
    return inode_permission(dir, current->cred, MAY_EXEC);
}

/* w->at to what w->last names in it; links are followed if `follow`, else stepped on. */
static int step(struct walk *w, bool follow)
{
    struct dentry *child;
    int err = may_search(w->at->d_inode);

    if (err)
        return err;
    if (w->last.len > NAME_MAX)
        return -ENAMETOOLONG;
    if (is_dot(&w->last))
        return 0;
    if (is_dotdot(&w->last))
        return step_up(w);
    err = d_lookup(w->at, &w->last, &child);
    if (err)
        return err;
    if (S_ISLNK(child->d_inode->i_mode) && follow) {
        err = follow_link(w, child);
        dput(child);
        return err;
    }
    struct dentry *to = across_mounts(child);
    if (w->flags & LOOKUP_NO_XDEV && to->d_sb != w->at->d_sb) {
        dput(to);
        return -EXDEV;
    }
    dput(w->at);
    w->at = to;
    return 0;
}

int walk_all(struct walk *w)
{
    bool folder = w->flags & LOOKUP_DIRECTORY;
    bool trailing = false;
    int err;

    while (next_name(w)) {
        bool final = *w->rest == '\0';
        trailing = w->slash;
        current->lookup_intent = final ? w->intent : 0;
        err = step(w, !final || w->flags & LOOKUP_FOLLOW || w->slash);
        current->lookup_intent = 0;
        if (err)
            return err;
    }
    /* A path that ends in a slash, or in slashes alone behind a followed link, names a folder. */
    if ((folder || trailing) && !S_ISDIR(w->at->d_inode->i_mode))
        return -ENOTDIR;
    return 0;
}

int walk_parent(struct walk *w)
{
    w->jumped = false;
    for (;;) {
        if (!next_name(w)) {
            w->dots = true; /* "/" or the end of a link like it */
            return 0;
        }
        if (*w->rest == '\0') {
            w->dots = is_dot(&w->last) || is_dotdot(&w->last);
            if (w->last.len > NAME_MAX)
                return -ENAMETOOLONG;
            return may_search(w->at->d_inode);
        }
        int err = step(w, true);
        if (err)
            return err;
    }
}

int walk_last(struct walk *w, bool follow, struct dentry **found)
{
    struct dentry *child;
    int err;

    if (w->dots) {
        if (w->last.len > 0) {
            err = step(w, false);
            if (err)
                return err;
        }
        *found = dget(w->at);
        return 0;
    }
    err = d_lookup(w->at, &w->last, &child);
    if (err)
        return err;
    if (S_ISLNK(child->d_inode->i_mode) && (follow || w->slash)) {
        err = follow_link(w, child);
        dput(child);
        if (err)
            return err;
        if (w->jumped) {
            *found = dget(w->at);
            return 0;
        }
        return -EAGAIN;
    }
    child = across_mounts(child);
    if (w->flags & LOOKUP_NO_XDEV && child->d_sb != w->at->d_sb) {
        dput(child);
        return -EXDEV;
    }
    *found = child;
    return 0;
}

int path_lookup(int dfd, const char *path, unsigned flags, struct dentry **found)
{
    struct walk w;
    int err = walk_start(&w, dfd, path, flags);

    if (err)
        return err;
    err = walk_all(&w);
    if (!err)
        *found = dget(w.at);
    walk_end(&w);
    return err;
}

int path_parent(int dfd, const char *path, struct path_last *parent)
{
    struct walk w;
    int err = walk_start(&w, dfd, path, 0);

    if (err)
        return err;
    err = walk_parent(&w);
    if (!err) {
        *parent = (struct path_last){
            .dir = dget(w.at), .last = w.last, .slash = w.slash, .dots = w.dots, .buf = w.buf};
        w.buf = NULL;
    }
    walk_end(&w);
    return err;
}

void path_parent_put(struct path_last *parent)
{
    dput(parent->dir);
    kfree(parent->buf);
}

/* ---- making ---- */

int may_create(const struct inode *dir)
{
    return inode_permission(dir, current->cred, MAY_WRITE | MAY_EXEC);
}

int d_lookup_for_create(struct dentry *dir, const struct qstr *name, struct dentry **found)
{
    const struct super_operations *op = dir->d_sb->s_op;

    /* Without the right to create it matters whether it is there: EEXIST comes before EACCES. */
    if (op && op->revalidate && may_create(dir->d_inode) == 0 && !d_expire(dir, name))
        return -ENOENT;
    return d_lookup(dir, name, found);
}

/* The folder where `path` is to be named; EEXIST if it is there. `folder`: a trailing slash is allowed. */
static int find_place(int dfd, const char *path, bool folder, struct path_last *parent)
{
    struct dentry *there;
    int err = path_parent(dfd, path, parent);

    if (err)
        return err;
    err = -EEXIST;
    if (parent->dots)
        goto fail;
    err = d_lookup_for_create(parent->dir, &parent->last, &there);
    if (!err) {
        dput(there);
        err = -EEXIST;
        goto fail;
    }
    if (err != -ENOENT)
        goto fail;
    err = -ENOENT;
    /* A file system whose names come by themselves has no place for others. */
    if ((parent->slash && !folder) || parent->dir->d_flags & DENTRY_DELETED || !parent->dir->d_inode->i_op->mknod)
        goto fail;
    return 0;
fail:
    path_parent_put(parent);
    return err;
}

static int begin_create(int dfd, const char *path, bool folder, struct path_last *parent)
{
    int err = find_place(dfd, path, folder, parent);

    if (err)
        return err;
    err = may_create(parent->dir->d_inode);
    if (err)
        path_parent_put(parent);
    return err;
}

static uint32_t masked(uint32_t mode)
{
    return mode & ~current->process->fs->umask;
}

int vfs_mknod(int dfd, const char *path, uint32_t mode, uint64_t rdev)
{
    struct path_last parent;
    struct inode *made;
    uint32_t type = mode & S_IFMT;

    if (type == S_IFDIR)
        return -EPERM;
    if (type == 0)
        type = S_IFREG;
    if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
        return -EINVAL;
    int err = begin_create(dfd, path, false, &parent);
    if (err)
        return err;
    struct inode *dir = parent.dir->d_inode;
    /* Device 0:0 is a whiteout, which anybody may make. */
    if (((type == S_IFCHR && rdev != 0) || type == S_IFBLK) && !capable(CAP_MKNOD))
        err = -EPERM;
    else
        err = dir->i_op->mknod(dir, &parent.last, type | masked(mode & 07777), rdev, &made);
    if (!err) {
        iput(made);
        fsnotify_name(dir, IN_CREATE, &parent.last);
    }
    path_parent_put(&parent);
    return err;
}

int vfs_mkdir(int dfd, const char *path, uint32_t mode)
{
    struct path_last parent;
    struct inode *made;
    int err = begin_create(dfd, path, true, &parent);

    if (err)
        return err;
    struct inode *dir = parent.dir->d_inode;
    err = dir->i_op->mknod(dir, &parent.last, S_IFDIR | masked(mode & 01777), 0, &made);
    if (!err) {
        iput(made);
        fsnotify_name(dir, IN_CREATE | IN_ISDIR, &parent.last);
    }
    path_parent_put(&parent);
    return err;
}

int vfs_symlink(const char *target, int dfd, const char *path)
{
    struct path_last parent;
    struct inode *made;

    if (*target == '\0')
        return -ENOENT;
    int err = begin_create(dfd, path, false, &parent);
    if (err)
        return err;
    struct inode *dir = parent.dir->d_inode;
    err = dir->i_op->symlink ? dir->i_op->symlink(dir, &parent.last, target, &made) : -EPERM;
    if (!err) {
        iput(made);
        fsnotify_name(dir, IN_CREATE, &parent.last);
    }
    path_parent_put(&parent);
    return err;
}

/* fs.protected_hardlinks: only to what one owns or could read and write anyway. */
static bool may_link(const struct inode *inode)
{
    uint32_t mode = inode->i_mode;

    if (inode_owner_or_capable(inode, current->cred))
        return true;
    return S_ISREG(mode) && !(mode & S_ISUID) && (mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) &&
           inode_permission(inode, current->cred, MAY_READ | MAY_WRITE) == 0;
}

static int link_inode(const struct path_last *parent, struct inode *inode)
{
    struct inode *dir = parent->dir->d_inode;

    if (!may_link(inode))
        return -EPERM;
    int err = may_create(dir);
    if (err)
        return err;
    if (S_ISDIR(inode->i_mode) || !dir->i_op->link)
        return -EPERM;
    if (inode->i_nlink == 0 && !(inode->i_flags & INODE_LINKABLE))
        return -ENOENT;
    return dir->i_op->link(dir, &parent->last, inode);
}

int vfs_link(int old_dfd, const char *old_path, unsigned flags, int new_dfd, const char *new_path)
{
    struct dentry *old;
    struct path_last parent;
    int err = path_lookup(old_dfd, old_path, flags, &old);

    if (err)
        return err;
    err = find_place(new_dfd, new_path, false, &parent);
    if (err)
        goto out;
    err = parent.dir->d_sb == old->d_sb ? link_inode(&parent, old->d_inode) : -EXDEV;
    if (!err) {
        fsnotify_inode(old->d_inode, IN_ATTRIB);
        fsnotify_name(parent.dir->d_inode, IN_CREATE, &parent.last);
    }
    path_parent_put(&parent);
out:
    dput(old);
    return err;
}

/* ---- removing ---- */

int may_delete(const struct inode *dir, const struct dentry *victim, bool folder)
{
    const struct inode *inode = victim->d_inode;
    const struct cred *cred = current->cred;
    int err = inode_permission(dir, cred, MAY_WRITE | MAY_EXEC);

    if (err)
        return err;
    if (dir->i_mode & S_ISVTX && cred->fsuid != inode->i_uid && cred->fsuid != dir->i_uid &&
        !cred_capable(cred, CAP_FOWNER))
        return -EPERM;
    if (folder && !S_ISDIR(inode->i_mode))
        return -ENOTDIR;
    if (!folder && S_ISDIR(inode->i_mode))
        return -EISDIR;
    if (victim->d_mounted || victim == victim->d_sb->s_root)
        return -EBUSY;
    return 0;
}

static int remove_child(const struct path_last *parent, bool folder)
{
    struct inode *dir = parent->dir->d_inode;
    struct dentry *child;
    int err = d_lookup(parent->dir, &parent->last, &child);

    if (err)
        return err;
    if (parent->slash && !folder)
        err = S_ISDIR(child->d_inode->i_mode) ? -EISDIR : -ENOTDIR;
    if (!err)
        err = may_delete(dir, child, folder);
    if (!err)
        err = dir->i_op->unlink ? dir->i_op->unlink(dir, &parent->last, child->d_inode) : -EPERM;
    if (!err) {
        if (!folder)
            fsnotify_inode(child->d_inode, IN_ATTRIB); /* a link less */
        d_delete(child);
        fsnotify_name(dir, folder ? IN_DELETE | IN_ISDIR : IN_DELETE, &parent->last);
    }
    dput(child);
    return err;
}

int vfs_unlink(int dfd, const char *path)
{
    struct path_last parent;
    int err = path_parent(dfd, path, &parent);

    if (err)
        return err;
    err = parent.dots ? -EISDIR : remove_child(&parent, false);
    path_parent_put(&parent);
    return err;
}

int vfs_rmdir(int dfd, const char *path)
{
    struct path_last parent;
    int err = path_parent(dfd, path, &parent);

    if (err)
        return err;
    if (!parent.dots)
        err = remove_child(&parent, true);
    else if (parent.last.len == 0)
        err = -EBUSY;
    else
        err = is_dot(&parent.last) ? -EINVAL : -ENOTEMPTY;
    path_parent_put(&parent);
    return err;
}

/* ---- renaming ---- */

/* A folder must not move below itself, nor replace one above it. */
static int check_loop(const struct path_last *from, const struct dentry *moved, const struct path_last *to,
                      const struct dentry *replaced, bool exchange)
{
    if (S_ISDIR(moved->d_inode->i_mode) && d_is_below(to->dir, moved))
        return -EINVAL;
    if (replaced && S_ISDIR(replaced->d_inode->i_mode) && d_is_below(from->dir, replaced))
        return exchange ? -EINVAL : -ENOTEMPTY;
    return 0;
}

static int check_rename(const struct path_last *from, const struct dentry *moved, const struct path_last *to,
                        const struct dentry *replaced, unsigned flags)
{
    bool folder = S_ISDIR(moved->d_inode->i_mode);
    bool exchange = flags & RENAME_EXCHANGE;
    int err = may_delete(from->dir->d_inode, moved, folder);

    if (err)
        return err;
    if (!replaced) {
        err = may_create(to->dir->d_inode);
        if (!err && to->dir->d_flags & DENTRY_DELETED)
            err = -ENOENT;
    } else {
        err = may_delete(to->dir->d_inode, replaced, exchange ? S_ISDIR(replaced->d_inode->i_mode) : folder);
    }
    if (err)
        return err;
    /* ".." of a folder changes when it moves to another place. */
    if (folder && from->dir != to->dir)
        err = inode_permission(moved->d_inode, current->cred, MAY_WRITE);
    if (!err && exchange && S_ISDIR(replaced->d_inode->i_mode) && from->dir != to->dir)
        err = inode_permission(replaced->d_inode, current->cred, MAY_WRITE);
    return err;
}

static int rename_children(const struct path_last *from, const struct path_last *to, unsigned flags)
{
    struct inode *from_dir = from->dir->d_inode, *to_dir = to->dir->d_inode;
    struct dentry *moved = NULL, *replaced = NULL;
    bool exchange = flags & RENAME_EXCHANGE;

    int err = d_lookup(from->dir, &from->last, &moved);
    if (err)
        return err;
    err = d_lookup(to->dir, &to->last, &replaced);
    if (err == -ENOENT && !exchange)
        err = 0;
    else if (!err && flags & RENAME_NOREPLACE)
        err = -EEXIST;
    if (err)
        goto out;

    err = -ENOTDIR;
    if (!S_ISDIR(moved->d_inode->i_mode) && (from->slash || (to->slash && !exchange)))
        goto out;
    if (exchange && to->slash && !S_ISDIR(replaced->d_inode->i_mode))
        goto out;
    err = check_loop(from, moved, to, replaced, exchange);
    if (err)
        goto out;
    /* Two links of one file: nothing is to be done. */
    if (replaced && replaced->d_inode == moved->d_inode)
        goto out;
    err = check_rename(from, moved, to, replaced, flags);
    if (err)
        goto out;
    err = -EPERM;
    if (!from_dir->i_op->rename)
        goto out;
    err = from_dir->i_op->rename(from_dir, &from->last, moved->d_inode, to_dir, &to->last,
                                 replaced ? replaced->d_inode : NULL, flags);
    if (err)
        goto out;
    if (exchange) {
        err = d_exchange(moved, replaced);
    } else {
        if (replaced)
            d_delete(replaced);
        err = d_move(moved, to->dir, &to->last);
    }
    fsnotify_rename(from_dir, &from->last, to_dir, &to->last, moved->d_inode,
                    replaced && !exchange ? replaced->d_inode : NULL);
    if (exchange)
        fsnotify_rename(to_dir, &to->last, from_dir, &from->last, replaced->d_inode, NULL);
out:
    dput(moved);
    dput(replaced);
    return err;
}

int vfs_rename(int old_dfd, const char *old_path, int new_dfd, const char *new_path, unsigned flags)
{
    struct path_last from, to;

    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return -EINVAL;
    if (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))
        return -EINVAL;
    if (flags & RENAME_WHITEOUT)
        return -EINVAL; /* as file systems without whiteouts of their own */
    int err = path_parent(old_dfd, old_path, &from);
    if (err)
        return err;
    err = path_parent(new_dfd, new_path, &to);
    if (err)
        goto out;
    if (from.dir->d_sb != to.dir->d_sb)
        err = -EXDEV;
    else if (from.dots || to.dots)
        err = flags & RENAME_NOREPLACE && to.dots ? -EEXIST : -EBUSY;
    else
        err = rename_children(&from, &to, flags);
    path_parent_put(&to);
out:
    path_parent_put(&from);
    return err;
}

int vfs_readlink(struct dentry *dentry, char *buf, size_t size)
{
    struct inode *inode = dentry->d_inode;

    if (!S_ISLNK(inode->i_mode) || !inode->i_op->readlink)
        return -EINVAL;
    return inode->i_op->readlink(inode, buf, size);
}
