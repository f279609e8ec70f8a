/* Opening: from a path or a dentry to a file; programs for execve. */
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "fs/inotify.h"
#include "fs/locks.h"
#include "fs/tmpfs.h"
#include "fs/vfs.h"
#include "fs/walk.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define CREATION_FLAGS (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)

/* Every regular file may be larger than 2 GiB; Linux shows that in F_GETFL on 64-bit machines. */
#define O_LARGEFILE_SHOWN 0100000

static struct file *file_new(struct dentry *dentry, int flags)
{
    struct file *file = kzalloc(sizeof(*file));
    int access = flags & O_ACCMODE;

    if (!file)
        return NULL;
    file->f_dentry = dget(dentry);
    file->f_inode = dentry->d_inode;
    file->f_count = 1;
    file->f_flags = (uint32_t)(flags & ~CREATION_FLAGS);
    file->f_noctty = flags & O_NOCTTY;
    list_init(&file->f_epoll);
    if (!(flags & O_PATH)) {
        file->f_read = access == O_RDONLY || access == O_RDWR;
        file->f_write = access == O_WRONLY || access == O_RDWR;
    }
    return file;
}

static void file_free(struct file *file)
{
    dput(file->f_dentry);
    kfree(file);
}

static const struct file_operations *operations_of(const struct inode *inode)
{
    switch (inode->i_mode & S_IFMT) {
    case S_IFCHR:
        return inode->i_fop ? inode->i_fop : chrdev_operations(inode->i_rdev);
    case S_IFIFO:
        return inode->i_fop ? inode->i_fop : &fifo_operations;
    case S_IFREG:
    case S_IFDIR:
        return inode->i_fop;
    default:
        return NULL;
    }
}

int dentry_open(struct dentry *dentry, int flags, struct file **opened)
{
    static const struct file_operations path_only;
    struct inode *inode = dentry->d_inode;
    struct file *file = file_new(dentry, flags);

    if (!file)
        return -ENOMEM;
    int err = -ENXIO;
    file->f_op = flags & O_PATH ? &path_only : operations_of(inode);
    if (!file->f_op)
        goto fail;
    if (S_ISREG(inode->i_mode) && !(flags & O_PATH))
        file->f_flags |= O_LARGEFILE_SHOWN;
    if (file->f_op->open) {
        err = file->f_op->open(inode, file);
        if (err)
            goto fail;
    }
    if (file->f_write && S_ISREG(inode->i_mode))
        inode->i_writers++;
    if (!(flags & O_PATH))
        fsnotify_dentry(dentry, IN_OPEN);
    *opened = file;
    return 0;
fail:
    file_free(file);
    return err;
}

struct file *file_get(struct file *file)
{
    file->f_count++;
    return file;
}

void file_put(struct file *file)
{
    if (!file || --file->f_count > 0)
        return;
    if (file->f_read || file->f_write)
        fsnotify_dentry(file->f_dentry, file->f_write ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    epoll_forget(file);
    locks_release_file(file);
    if (file->f_op->release)
        file->f_op->release(file);
    if (file->f_write && S_ISREG(file->f_inode->i_mode) && file->f_inode->i_writers > 0)
        file->f_inode->i_writers--;
    if (file->f_executed)
        file->f_inode->i_executed--;
    file_free(file);
}

struct file *file_twin(const struct file *file)
{
    struct file *twin = file_new(file->f_dentry, O_PATH);

    if (twin)
        twin->f_op = file->f_op;
    return twin;
}

/* ---- files without a name ---- */

static const struct inode_operations anon_inode_operations;
static struct super_block anon_sb = {.s_type = "anon_inodefs", .s_magic = ANON_INODE_FS_MAGIC, .s_dev = 15, .s_flags = SB_NOCACHE};
static struct inode anon_inode = {
    .i_op = &anon_inode_operations,
    .i_sb = &anon_sb,
    .i_count = 1,
    .i_mode = S_IRUSR | S_IWUSR, /* no type at all, as Linux */
    .i_nlink = 1,
    .i_ino = 1,
    .i_locks = {&anon_inode.i_locks, &anon_inode.i_locks},
    .i_watches = {&anon_inode.i_watches, &anon_inode.i_watches},
    .i_dentries = {&anon_inode.i_dentries, &anon_inode.i_dentries},
};

int anon_file(const char *name, struct inode *inode, const struct file_operations *fop, void *private,
              int flags, struct file **made)
{
    struct qstr qstr = {.name = name, .len = (uint32_t)strlen(name)};

    if (!inode)
        inode = iget(&anon_inode);
    struct dentry *dentry = d_alloc(NULL, inode->i_sb, &qstr, inode);
    if (!dentry)
        return -ENOMEM;
    dentry->d_flags |= DENTRY_ANON;
    struct file *file = file_new(dentry, flags);
    dput(dentry);
    if (!file)
        return -ENOMEM;
    file->f_op = fop;
    file->f_private = private;
    *made = file;
    return 0;
}

/* ---- open(2) ---- */

static int access_mask(int flags)
{
    int access = flags & O_ACCMODE;
    int mask = 0;

    if (access == O_RDONLY || access >= O_RDWR)
        mask |= MAY_READ;
    if (access != O_RDONLY || flags & O_TRUNC)
        mask |= MAY_WRITE;
    return mask;
}

static int may_open(const struct dentry *dentry, int flags, bool created)
{
    const struct inode *inode = dentry->d_inode;
    const struct cred *cred = current->cred;
    int mask = access_mask(flags);
    int err = 0;

    if (S_ISLNK(inode->i_mode))
        return -ELOOP;
    if (S_ISDIR(inode->i_mode) && (mask & MAY_WRITE || flags & O_CREAT))
        return -EISDIR;
    if (S_ISSOCK(inode->i_mode) || S_ISBLK(inode->i_mode))
        return -ENXIO;
    if (S_ISCHR(inode->i_mode) && dentry->d_sb->s_flags & SB_NODEV)
        return -EACCES;
    if (!created)
        err = inode_permission(inode, cred, mask);
    if (err)
        return err;
    if (flags & O_NOATIME && !inode_owner_or_capable(inode, cred))
        return -EPERM;
    if (mask & MAY_WRITE && inode->i_executed)
        return -ETXTBSY;
    return 0;
}

/* Permissions were checked by may_open and hold for the truncation, too. */
static int finish_open(struct dentry *dentry, int flags, bool created, struct file **opened)
{
    struct inode *inode = dentry->d_inode;
    int err = may_open(dentry, flags, created);

    if (err)
        return err;
    if (flags & O_DIRECTORY && !S_ISDIR(inode->i_mode))
        return -ENOTDIR;
    err = dentry_open(dentry, flags, opened);
    if (err)
        return err;
    if (flags & O_TRUNC && !created && S_ISREG(inode->i_mode)) {
        struct iattr attr = {.valid = ATTR_SIZE, .size = 0};
        err = dentry_setattr(dentry, &attr);
        if (err)
            file_put(*opened);
    }
    return err;
}

/* A new regular file of w's last name. */
static int create(struct walk *w, uint32_t mode, struct dentry **made)
{
    struct inode *dir = w->at->d_inode, *inode;

    if (w->at->d_flags & DENTRY_DELETED)
        return -ENOENT;
    if (!dir->i_op->mknod)
        return -ENOENT;
    int err = may_create(dir);
    if (err)
        return err;
    mode &= ~current->process->fs->umask & 07777;
    err = dir->i_op->mknod(dir, &w->last, S_IFREG | mode, 0, &inode);
    if (err)
        return err;
    *made = d_alloc(w->at, w->at->d_sb, &w->last, inode);
    if (!*made)
        return -ENOMEM;
    fsnotify_name(dir, IN_CREATE, &w->last);
    return 0;
}

static int open_create(struct walk *w, int flags, uint32_t mode, struct file **opened)
{
    struct dentry *dentry;
    bool created;
    int err;

    do {
        err = walk_parent(w);
        if (err)
            return err;
        created = false;
        if (w->slash)
            return -EISDIR;
        if (flags & O_EXCL || flags & O_NOFOLLOW) {
            if (w->dots)
                err = -EISDIR;
            else
                err = flags & O_EXCL ? d_lookup_for_create(w->at, &w->last, &dentry) : d_lookup(w->at, &w->last, &dentry);
            if (!err && flags & O_EXCL) {
                dput(dentry);
                return -EEXIST;
            }
            if (!err) {
                dput(dentry);
                err = walk_last(w, false, &dentry);
            }
        } else {
            err = walk_last(w, true, &dentry);
        }
        if (err == -ENOENT && !w->dots) {
            err = create(w, mode, &dentry);
            created = !err;
            /* Somebody else made it meanwhile, which only happens where look-ups wait. */
            if (err == -EEXIST && !(flags & O_EXCL))
                err = d_lookup(w->at, &w->last, &dentry);
        }
    } while (err == -EAGAIN);
    if (err)
        return err;
    err = finish_open(dentry, flags, created, opened);
    dput(dentry);
    return err;
}

static int open_tmpfile(struct walk *w, int flags, uint32_t mode, struct file **opened)
{
    struct inode *inode;
    struct qstr name = {.name = "#tmpfile", .len = 8};

    if (!(flags & (O_WRONLY | O_RDWR)))
        return -EINVAL;
    int err = walk_all(w);
    if (err)
        return err;
    struct inode *dir = w->at->d_inode;
    if (!S_ISDIR(dir->i_mode))
        return -ENOTDIR;
    err = may_create(dir);
    if (err)
        return err;
    if (!dir->i_op->tmpfile)
        return -EOPNOTSUPP;
    mode &= ~current->process->fs->umask & 07777;
    err = dir->i_op->tmpfile(dir, S_IFREG | mode, &inode);
    if (err)
        return err;
    if (!(flags & O_EXCL))
        inode->i_flags |= INODE_LINKABLE;
    struct dentry *dentry = d_alloc(w->at, w->at->d_sb, &name, inode);
    if (!dentry)
        return -ENOMEM;
    d_delete(dentry); /* no name leads to it */
    err = finish_open(dentry, flags & ~(O_CREAT | O_DIRECTORY), true, opened);
    dput(dentry);
    return err;
}

static int open_path(int dfd, const char *path, int flags, uint32_t mode, unsigned lookup, bool tmpfile,
                     struct file **opened)
{
    struct walk w;
    int err = walk_start(&w, dfd, path, lookup);

    if (err)
        return err;
    if (tmpfile) {
        err = open_tmpfile(&w, flags, mode, opened);
    } else if (flags & O_CREAT) {
        err = open_create(&w, flags, mode, opened);
    } else {
        w.intent = flags & O_PATH ? 0 : flags + 1;
        err = walk_all(&w);
        if (!err)
            err = flags & O_PATH ? dentry_open(w.at, flags, opened) : finish_open(w.at, flags, false, opened);
    }
    walk_end(&w);
    return err;
}

#define STALE_TRIES 4

int vfs_open(int dfd, const char *path, int flags, uint32_t mode, unsigned resolve, struct file **opened)
{
    unsigned lookup = resolve;

    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
    if (flags & __O_TMPFILE && !tmpfile)
        return -EINVAL;
    if (flags & O_CREAT && flags & O_DIRECTORY && !tmpfile)
        return -EINVAL;
    if (!(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL))
        lookup |= LOOKUP_FOLLOW;
    if (flags & O_DIRECTORY)
        lookup |= LOOKUP_DIRECTORY;

    /* ESTALE: the file system knows by now that the name is another file's. */
    int err = -ESTALE;
    for (int tries = 0; err == -ESTALE && tries < STALE_TRIES; tries++)
        err = open_path(dfd, path, flags, mode, lookup, tmpfile, opened);
    return err;
}

/* ---- what the loader and memory ask for: mm/file_map.h ---- */

struct file *vfs_open_exec(const char *path)
{
    return open_exec(AT_FDCWD, path, LOOKUP_FOLLOW);
}

static struct file *open_exec_once(int dfd, const char *path, unsigned flags)
{
    struct dentry *dentry;
    struct file *file;
    int err = path_lookup(dfd, path, flags, &dentry);

    if (err)
        return ERR_PTR(err);
    struct inode *inode = dentry->d_inode;
    err = -EACCES;
    if (S_ISLNK(inode->i_mode))
        err = -ELOOP;
    else if (S_ISREG(inode->i_mode) && !(dentry->d_sb->s_flags & SB_NOEXEC))
        err = inode_permission(inode, current->cred, MAY_EXEC);
    if (!err && inode->i_writers > 0)
        err = -ETXTBSY;
    if (!err)
        err = dentry_open(dentry, O_RDONLY, &file);
    dput(dentry);
    if (err)
        return ERR_PTR(err);
    file->f_executed = true;
    file->f_inode->i_executed++;
    return file;
}

struct file *open_exec(int dfd, const char *path, unsigned flags)
{
    struct file *file = ERR_PTR(-ESTALE);

    for (int tries = 0; file == ERR_PTR(-ESTALE) && tries < STALE_TRIES; tries++)
        file = open_exec_once(dfd, path, flags);
    return file;
}

char *file_path(struct file *file)
{
    char *buf = kmalloc(PATH_MAX);

    if (!buf)
        return ERR_PTR(-ENOMEM);
    char *path = d_path(file->f_dentry, current->process->fs->root, buf, PATH_MAX);
    if (!path) {
        kfree(buf);
        return ERR_PTR(-ENAMETOOLONG);
    }
    memmove(buf, path, strlen(path) + 1);
    return buf;
}

uint64_t file_size(struct file *file)
{
    return file->f_inode->i_size;
}

void file_identity(struct file *file, uint64_t *dev, uint64_t *ino)
{
    *dev = file->f_inode->i_sb->s_dev;
    *ino = file->f_inode->i_ino;
}

ssize_t file_read_at(struct file *file, void *buf, size_t n, uint64_t offset)
{
    struct iov_iter to;
    struct kiocb kiocb = {.file = file, .pos = offset};

    if (!file->f_op->read)
        return -EINVAL;
    iov_iter_kernel(&to, buf, n);
    /* For those who change memory, which nobody else may do meanwhile. */
    atomic_begin();
    ssize_t got = file->f_op->read(&kiocb, &to);
    atomic_end();
    return got;
}

bool file_is_here(struct file *file, uint64_t offset, size_t len)
{
    return !file->f_op->is_here || file->f_op->is_here(file, offset, len);
}

void file_fetch(struct file *file, uint64_t offset, size_t len)
{
    if (file->f_op->fetch)
        file->f_op->fetch(file, offset, len);
}

int file_may_map(struct file *file, int prot, int flags)
{
    if (!file->f_read)
        return -EACCES;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE && !file->f_write)
        return -EACCES;
    int seals = tmpfs_seals(file, false, 0);
    if ((flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE && seals > 0 &&
        seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (prot & PROT_EXEC && file->f_dentry->d_sb->s_flags & SB_NOEXEC)
        return -EPERM;
    return file->f_op->mappable ? 0 : -ENODEV;
}

bool file_is_shareable(struct file *file)
{
    return file->f_op->share && !(file->f_inode->i_sb->s_flags & SB_RDONLY);
}

int file_share_pages(struct file *file, uint64_t offset, size_t len, void *home, void **existing)
{
    if (!file->f_op->share)
        return -ENODEV;
    atomic_begin();
    int err = file->f_op->share(file, offset, len, home, existing);
    atomic_end();
    return err;
}

int file_unshare_pages(struct file *file, uint64_t offset, size_t len, void *home)
{
    if (!file->f_op->share)
        return 0;
    atomic_begin();
    int err = file->f_op->unshare(file, offset, len, home);
    atomic_end();
    return err;
}

int file_write_back(struct file *file, uint64_t offset, size_t len)
{
    return file->f_op->writeback ? file->f_op->writeback(file, offset, len) : 0;
}
