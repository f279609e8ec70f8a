/*
 * The virtual file system: the objects that every file is made of, named as
 * Linux names them.
 *
 *   super_block  one file system that is mounted somewhere
 *   inode        one file, folder, link, device; known to its file system
 *   dentry       one name of an inode in a folder; the dentries in use form the tree
 *   file         an open inode, with a position; descriptors refer to it
 *
 * All of them are counted: who keeps a pointer holds a reference. Functions that
 * give out an object give out a reference with it.
 *
 * Locking: there is none. One host thread runs the kernel, and a guest thread
 * gives it up only where it waits (task/wait.h). So whatever does not wait is atomic,
 * and whoever waits must look again at what he knew before. Path walk, folder
 * changes and everything of tmpfs never wait.
 *
 * A file system is mounted in one place only, so a dentry alone tells the place
 * in the tree (Linux needs a pair of mount and dentry).
 *
 * The remote file system does wait (remote.h), in each of its operations. So behind a
 * look-up or a change by name whatever else was known of names may have changed: dcache.c
 * keeps one dentry for each name all the same, and the last change that the server did
 * is the one that stays.
 *
 * Functions return 0 or a count, or a negative errno.
 */
#ifndef LINUX_FS_VFS_H
#define LINUX_FS_VFS_H

#include <linux/limits.h>
#include <linux/time_types.h>

#include "fs/uio.h"
#include "lib/error.h"
#include "lib/list.h"
#include "lib/types.h"
#include "mm/file_map.h"
#include "task/cred.h"
#include "task/fork_hooks.h"
#include "task/wait.h"

struct dentry;
struct files;
struct inode;
struct pipe;
struct process;
struct seq_file;
struct statfs;
struct super_block;
struct xattrs;

/* ---- inodes ---- */

#define ATTR_MODE (1u << 0)
#define ATTR_UID (1u << 1)
#define ATTR_GID (1u << 2)
#define ATTR_SIZE (1u << 3)
#define ATTR_ATIME (1u << 4)
#define ATTR_MTIME (1u << 5)
#define ATTR_CTIME (1u << 6)
#define ATTR_TIMES_SET (1u << 7) /* to given times, not to now: the owner's right alone */
#define ATTR_KILL_PRIVS (1u << 8) /* setuid and setgid go, as chown does even if it changes nothing */

/* Attributes to be set; `valid` says which. Checked by notify_change() before the file system sees it. */
struct iattr {
    uint32_t valid;
    uint32_t mode; /* permission bits alone */
    uint32_t uid, gid;
    uint64_t size;
    struct __kernel_timespec atime, mtime, ctime;
};

/* A name in a folder; not terminated. */
struct qstr {
    const char *name;
    uint32_t len;
};

/* What the guest as a whole holds of a range: F_RDLCK, F_WRLCK, F_UNLCK (linux/fcntl.h). */
struct lock_range {
    bool flock; /* of flock(2), else a record */
    bool test;  /* only look: becomes the lock that is in the way, or F_UNLCK */
    int type;
    uint64_t start, end; /* inclusive */
};

struct xattr_operations {
    int (*set)(struct inode *inode, const char *name, const void *value, size_t size, int flags);
    ssize_t (*get)(struct inode *inode, const char *name, void *value, size_t size);
    ssize_t (*list)(struct inode *inode, char *names, size_t size);
    int (*remove)(struct inode *inode, const char *name);
};

/*
 * What can be done to an inode by name. A NULL entry is EPERM for changes and
 * ENOTDIR for lookup. Permissions, read-only mounts, name lengths and types were
 * checked by the caller (namei.c).
 */
struct inode_operations {
    int (*lookup)(struct inode *dir, const struct qstr *name, struct inode **found);
    /* Regular files, folders, fifos, sockets, devices: by the type in mode. */
    int (*mknod)(struct inode *dir, const struct qstr *name, uint32_t mode, uint64_t rdev,
                 struct inode **made);
    int (*symlink)(struct inode *dir, const struct qstr *name, const char *target, struct inode **made);
    int (*link)(struct inode *dir, const struct qstr *name, struct inode *inode);
    /* ENOTEMPTY for a folder that is not empty. */
    int (*unlink)(struct inode *dir, const struct qstr *name, struct inode *inode);
    /* `replaced` is NULL if there is nothing of the new name; flags: RENAME_EXCHANGE swaps the two, RENAME_NOREPLACE
     * has been seen to for names that are known. */
    int (*rename)(struct inode *old_dir, const struct qstr *old_name, struct inode *inode,
                  struct inode *new_dir, const struct qstr *new_name, struct inode *replaced,
                  unsigned flags);
    /* A regular file without a name (O_TMPFILE). */
    int (*tmpfile)(struct inode *dir, uint32_t mode, struct inode **made);
    /* At most `size` bytes of the target into buf, not terminated; the count. */
    int (*readlink)(struct inode *inode, char *buf, size_t size);
    /* Links that lead to an object and not to a path (/proc/PID/exe, fd/N, cwd). */
    int (*follow)(struct inode *inode, struct dentry **target);
    int (*setattr)(struct inode *inode, const struct iattr *attr);
    /* Brings i_size, i_uid… up to date where they are not kept. */
    void (*getattr)(struct inode *inode);
    /* The inode's extended attributes (xattr.h). NULL: EOPNOTSUPP. */
    struct xattrs *(*xattrs)(struct inode *inode);
    /* Attributes that are not in memory: as vfs_setxattr and its like of xattr.h, with rights checked; in place of xattrs. */
    const struct xattr_operations *xattr_op;
    /* Locks that others than the guest's processes see: what those hold together, once they agree. EAGAIN: others do not.
     * Taking one may wait for the answer, never for the lock; giving one up never waits. NULL: nobody else sees any. */
    int (*lock)(struct inode *inode, struct lock_range *range);
    /* The last reference is gone. NULL: the inode lives as long as its file system. */
    void (*evict)(struct inode *inode);
};

#define INODE_LINKABLE (1u << 0) /* made by O_TMPFILE without O_EXCL: linkat may give it a first name */

struct inode {
    const struct inode_operations *i_op;
    const struct file_operations *i_fop; /* of regular files and folders; others by type, see open.c */
    struct super_block *i_sb;
    uint32_t i_count;
    uint32_t i_flags; /* INODE_* */
    uint32_t i_mode, i_uid, i_gid, i_nlink;
    uint32_t i_writers; /* open for writing: execve gives ETXTBSY */
    uint32_t i_executed; /* programs that run it: open for writing gives ETXTBSY */
    uint64_t i_ino;
    uint64_t i_rdev; /* as user space encodes dev_t */
    uint64_t i_size; /* bytes */
    uint64_t i_blocks; /* of 512 bytes */
    struct __kernel_timespec i_atime, i_mtime, i_ctime, i_btime;
    struct list i_locks; /* fcntl and flock, see locks.c */
    struct list i_watches; /* inotify.c; each holds a reference */
    struct list i_dentries; /* its names in memory */
    struct pipe *i_pipe; /* of a fifo that is open */
};

static inline struct inode *iget(struct inode *inode)
{
    inode->i_count++;
    return inode;
}
void iput(struct inode *inode);

/* MAY_* of `mask` against mode, owner and the task's fsuid, groups and capabilities. EACCES, EROFS. */
#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4
int inode_permission(const struct inode *inode, const struct cred *cred, int mask);
bool inode_owner_or_capable(const struct inode *inode, const struct cred *cred);

/* Sets attributes as chmod, chown, truncate and utimensat may: EPERM, EROFS, EINVAL. */
int notify_change(struct inode *inode, struct iattr *attr, const struct cred *cred);

/* The same for a name's inode, and those that watch it are told. As the current task. */
int dentry_setattr(struct dentry *dentry, struct iattr *attr);

/* After a write by a task that may not keep them: the setuid and setgid bits go. */
void inode_remove_privs(struct inode *inode);
/* Takes over what attr has, but for the size: setattr of file systems that keep attributes in the inode. */
void inode_apply(struct inode *inode, const struct iattr *attr);
/* ATTR_ATIME, ATTR_MTIME, ATTR_CTIME: to now. */
void inode_touch(struct inode *inode, uint32_t attrs);

/* ---- file systems ---- */

#define SB_RDONLY (1u << 0)
#define SB_NOCACHE (1u << 1) /* names come and go by themselves: keep no dentry */
#define SB_NOEXEC (1u << 2)
#define SB_NOSUID (1u << 3)
#define SB_NODEV (1u << 4)
#define SB_NOATIME (1u << 5)
#define SB_RDONLY_SOON (1u << 6) /* at boot, until all mounts are made */

struct super_operations {
    void (*statfs)(struct super_block *sb, struct statfs *st);
    /* Is the name still what the dentry says? Asked once d_valid_until is over. NULL: always. */
    bool (*revalidate)(struct dentry *dentry);
    /* sync(2). */
    int (*sync)(struct super_block *sb);
};

struct super_block {
    const struct super_operations *s_op;
    const char *s_type;   /* name in /proc/mounts */
    const char *s_source; /* device column of /proc/mounts */
    const char *s_options; /* further options in /proc/mounts, with leading comma; may be empty */
    uint32_t s_flags;
    uint64_t s_magic;           /* f_type of statfs(2), if the file system does not say itself */
    uint32_t s_dev;             /* minor of the anonymous device, major 0 */
    uint32_t s_id;              /* of mountinfo */
    struct dentry *s_root;      /* of any type: a bind-mounted file is a file system of one inode */
    struct dentry *s_mountpoint; /* covered by s_root; NULL for the root */
    struct list s_list;    /* of all mounts, in order */
    void *s_private;
};

/* Gives it a device number and mount id, and a root dentry for `root`, whose reference it takes. -ENOMEM. */
int super_init(struct super_block *sb, struct inode *root);
/* Initialises the fields that have no meaning for all file systems; i_count is 1, the times are now. */
void inode_init(struct inode *inode, struct super_block *sb, uint32_t mode);

/* ---- dentries (dcache.c) ---- */

#define DENTRY_HASHED (1u << 0)  /* found by d_lookup */
#define DENTRY_DELETED (1u << 1) /* its name is gone */
#define DENTRY_ANON (1u << 2)    /* never had one: pipes and the like */

struct dentry {
    struct dentry *d_parent; /* itself for the root of a file system and for anonymous ones */
    struct inode *d_inode;   /* never NULL: absent names are not kept */
    struct super_block *d_sb;
    struct super_block *d_mounted; /* what covers this dentry */
    uint32_t d_count;              /* 0: kept for the next look-up, on the LRU list */
    uint32_t d_flags;
    uint32_t d_hash;
    int64_t d_valid_until; /* CLOCK_MONOTONIC; of file systems with s_op->revalidate */
    struct dentry *d_hash_next;
    struct list d_lru;
    struct list d_alias; /* of d_inode->i_dentries */
    struct qstr d_name;
    char d_inline_name[40]; /* short names live here */
};

static inline struct dentry *dget(struct dentry *dentry)
{
    dentry->d_count++;
    return dentry;
}
void dput(struct dentry *dentry); /* NULL is fine */

/* A dentry for a root (parent NULL) or for a name; takes the inode's reference also on failure (NULL). */
struct dentry *d_alloc(struct dentry *parent, struct super_block *sb, const struct qstr *name,
                       struct inode *inode);
/* The dentry of a name, from memory or from the file system. Permissions are the caller's. */
int d_lookup(struct dentry *parent, const struct qstr *name, struct dentry **found);
/*
 * The same for a name that must not be there, of which the file system makes sure
 * (EEXIST) when it makes it: it is not asked twice where asking takes long. ENOENT.
 */
int d_lookup_for_create(struct dentry *parent, const struct qstr *name, struct dentry **found);
/* Keeps a name findable, with all above it, on file systems that keep none by themselves: it is covered. */
void d_pin(struct dentry *dentry);
/* The name may be another inode's by now: the next look-up asks the file system. */
void d_drop(struct dentry *dentry);
/* What is remembered of a name, if anything is, is not believed any more. False: it is not. */
bool d_expire(const struct dentry *parent, const struct qstr *name);
/* Frees what nobody uses. */
void dcache_shrink(void);
/* The name was removed, given to another inode, or moved. */
void d_delete(struct dentry *dentry);
int d_move(struct dentry *dentry, struct dentry *new_parent, const struct qstr *new_name);
int d_exchange(struct dentry *a, struct dentry *b);
/* ancestor is dentry itself or above it, across mounts. */
bool d_is_below(const struct dentry *dentry, const struct dentry *ancestor);
/* The folder above, across mounts; no reference is given. */
struct dentry *d_parent_across(struct dentry *dentry);

/*
 * Writes the path of dentry, seen from root, terminated, to the END of buf and
 * returns where it begins; NULL if it is too long. A removed name gets " (deleted)"
 * behind it, a place outside of root "(unreachable)" before it: as Linux d_path().
 */
char *d_path(struct dentry *dentry, struct dentry *root, char *buf, size_t size);

/* ---- the processes' view; made and counted by the functions of task/fork_hooks.h ---- */

/* Root, working folder and umask. */
struct fs {
    uint32_t count;
    uint32_t umask;
    struct dentry *root;
    struct dentry *pwd;
};

/* ---- paths (namei.c) ---- */

#define LOOKUP_FOLLOW 1u     /* follow a link in the last place */
#define LOOKUP_DIRECTORY 2u  /* ENOTDIR for anything else */
#define LOOKUP_EMPTY 4u      /* "" is the start itself (AT_EMPTY_PATH) */
#define LOOKUP_NO_SYMLINKS 8u /* openat2's RESOLVE_* */
#define LOOKUP_BENEATH 16u
#define LOOKUP_IN_ROOT 32u
#define LOOKUP_NO_MAGICLINKS 64u
#define LOOKUP_NO_XDEV 128u

/*
 * Walks `path`, a kernel string, from the descriptor dfd (or AT_FDCWD), as the
 * current task. The name's dentry is returned with a reference.
 */
int path_lookup(int dfd, const char *path, unsigned flags, struct dentry **found);

/* What a path names in its last step, for calls that make, remove or rename. */
struct path_last {
    struct dentry *dir;
    struct qstr last; /* in the path or in buf */
    bool slash;       /* trailing slashes: must be a folder */
    bool dots;        /* "." or ".." or "/": no name of its own */
    char *buf;
};
int path_parent(int dfd, const char *path, struct path_last *parent);
void path_parent_put(struct path_last *parent);

/* As the current task: the right to add or remove names in a folder. */
int may_create(const struct inode *dir);
int may_delete(const struct inode *dir, const struct dentry *victim, bool folder);

/* Before there is a process: from the root, as root. */
int vfs_boot_lookup(const char *path, struct dentry **found);

/*
 * Opens a path: flags and mode as open(2), resolve as LOOKUP_* above. What
 * a path names may have to be waited for (a fifo): EINTR.
 */
int vfs_open(int dfd, const char *path, int flags, uint32_t mode, unsigned resolve, struct file **opened);
/* The same for a dentry that is known. */
int dentry_open(struct dentry *dentry, int flags, struct file **opened);

int vfs_mkdir(int dfd, const char *path, uint32_t mode);
int vfs_mknod(int dfd, const char *path, uint32_t mode, uint64_t rdev);
int vfs_symlink(const char *target, int dfd, const char *path);
/* By old_dfd and path with LOOKUP_FOLLOW and LOOKUP_EMPTY as linkat(2). */
int vfs_link(int old_dfd, const char *old_path, unsigned flags, int new_dfd, const char *new_path);
int vfs_unlink(int dfd, const char *path);
int vfs_rmdir(int dfd, const char *path);
int vfs_rename(int old_dfd, const char *old_path, int new_dfd, const char *new_path, unsigned flags);
/* The target of a link; not terminated; the count. EINVAL if it is no link. */
int vfs_readlink(struct dentry *dentry, char *buf, size_t size);

/* ---- open files ---- */

/* One read or write: where in the file, and the flags of preadv2. */
struct kiocb {
    struct file *file;
    uint64_t pos;   /* moved by what was done */
    bool nonblock;  /* O_NONBLOCK or RWF_NOWAIT */
    bool append;    /* O_APPEND or RWF_APPEND */
};

/* Called per folder entry; false: full, do not call again. `next` is the position behind the entry. */
struct dir_context {
    bool (*actor)(struct dir_context *ctx, const char *name, uint32_t len, uint64_t next, uint64_t ino,
                  uint32_t type);
    uint64_t pos;
};

/* "." and ".." at positions 0 and 1, if they are due; false: full. */
bool dir_emit_dots(const struct file *file, struct dir_context *ctx);

/* A NULL entry means what the comment says. */
struct file_operations {
    int (*open)(struct inode *inode, struct file *file);        /* nothing to do */
    void (*release)(struct file *file);                         /* nothing to do */
    void (*flush)(struct file *file);                           /* at each close(2): nothing to do */
    int64_t (*read)(struct kiocb *kiocb, struct iov_iter *to);    /* EINVAL */
    int64_t (*write)(struct kiocb *kiocb, struct iov_iter *from); /* EINVAL */
    int64_t (*llseek)(struct file *file, int64_t offset, int whence); /* ESPIPE */
    int (*readdir)(struct file *file, struct dir_context *ctx); /* ENOTDIR */
    uint32_t (*poll)(struct file *file, struct poll_table *pt); /* always ready; epoll refuses it: EPERM */
    int64_t (*ioctl)(struct file *file, uint32_t cmd, uint64_t arg); /* ENOTTY */
    int (*fsync)(struct file *file, bool datasync);             /* EINVAL */
    int (*fallocate)(struct file *file, int mode, uint64_t offset, uint64_t len); /* EOPNOTSUPP */
    /*
     * Memory mapping; the one address space has no page tables of ours, so a
     * page of a file can be in one place only.
     * mappable: a private mapping may copy from it by read.
     * share, unshare: as file_share_pages() and file_unshare_pages() of
     * mm/file_map.h. NULL: a shared mapping is impossible, ENODEV.
     */
    bool mappable;
    /*
     * Read where nothing can be waited for needs no waiting for these bytes. NULL: never.
     * fetch: makes it so, as far as there is memory to keep them. May wait.
     */
    bool (*is_here)(struct file *file, uint64_t offset, size_t len);
    void (*fetch)(struct file *file, uint64_t offset, size_t len);
    int (*share)(struct file *file, uint64_t offset, size_t len, void *home, void **existing);
    int (*unshare)(struct file *file, uint64_t offset, size_t len, void *home);
    /* msync: what was stored in these pages goes to the file. NULL: it is there. */
    int (*writeback)(struct file *file, uint64_t offset, size_t len);
    /* For /proc/PID/fdinfo: lines of its own. */
    void (*show_fdinfo)(struct file *file, struct seq_file *seq);
};

struct file {
    const struct file_operations *f_op;
    struct inode *f_inode;
    struct dentry *f_dentry;
    uint32_t f_count;
    uint32_t f_flags; /* O_* without creation flags; O_APPEND, O_NONBLOCK may change */
    bool f_read, f_write; /* access mode; both false for O_PATH */
    bool f_executed;      /* opened for execve: nobody may write to it meanwhile */
    bool f_noctty;        /* O_NOCTTY: a terminal does not become the session's */
    bool f_pos_busy;      /* a read or write that moves f_pos waits meanwhile; others wait for it */
    uint64_t f_pos;
    int f_owner, f_sig; /* F_SETOWN, F_SETSIG */
    struct list f_epoll; /* epoll items that watch it, see epoll.c */
    void *f_private;
};

/*
 * A file that has no name in any folder: eventfd, epoll… `name` is what
 * /proc/PID/fd shows ("anon_inode:[eventpoll]"). inode NULL: the one inode that
 * such files share; else its reference is taken, also on failure. On failure
 * `private` stays the caller's.
 */
int anon_file(const char *name, struct inode *inode, const struct file_operations *fop, void *private,
              int flags, struct file **made);

/* Opens a program for execve, see vfs_open_exec(); by descriptor and flags for execveat(2). ERR_PTR. */
struct file *open_exec(int dfd, const char *path, unsigned flags);

/* A file that is going away leaves all epoll sets (epoll.c). */
void epoll_forget(struct file *file);

/* What a device number leads to; NULL: no such device (ENXIO). */
const struct file_operations *chrdev_operations(uint64_t rdev);
extern const struct file_operations fifo_operations; /* pipe.c */

/* copy_file_range and sendfile: bytes moved, which may be fewer than asked for. */
int64_t vfs_splice(struct file *in, uint64_t *in_pos, struct file *out, uint64_t *out_pos, size_t len);

/* llseek for files without positions that do not mind: pread gives ESPIPE all the same. */
int64_t noop_llseek(struct file *file, int64_t offset, int whence);
/* llseek for files whose bytes are counted by i_size; SEEK_DATA and SEEK_HOLE as if without holes. */
int64_t generic_llseek(struct file *file, int64_t offset, int whence);
/* llseek for folders: the positions are what readdir gave. */
int64_t dir_llseek(struct file *file, int64_t offset, int whence);

/*
 * Transfers: at *pos if pos is given (ESPIPE where a file has no positions),
 * else at the file's own. rwf: RWF_* of preadv2(2). Results as read(2), write(2).
 */
int64_t vfs_read(struct file *file, struct iov_iter *to, uint64_t *pos, unsigned rwf);
int64_t vfs_write(struct file *file, struct iov_iter *from, uint64_t *pos, unsigned rwf);
/* ---- descriptors (fdtable.c) ---- */

/* The open file with a reference, or NULL (EBADF). fget refuses O_PATH, fget_raw does not. */
struct file *fget(int fd);
struct file *fget_raw(int fd);
/* EBADF if fd is not open, else err: which of two errors a call reports. */
int fget_check(int fd, int err);
/* The lowest free descriptor from `from` on for file, whose reference it takes on success. EMFILE. */
int fd_install(struct file *file, int from, bool cloexec);
int fd_close(int fd);

#endif
