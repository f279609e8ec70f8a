/*
 * The file server's protocol: what the Linux guest and tender/fileserver say to
 * each other over the channel "files". docs/file-server.md says why it is so.
 *
 * One SOCK_SEQPACKET message is one request or one reply; there is nothing in
 * pieces. The guest asks, with a tag; the reply has the tag. Requests are begun in the
 * order in which they come, so that one may use the fid that the one before it
 * makes; slow ones (FSYNC, READ that waits for a disk …) end later than others
 * behind them. Integers are little-endian, errors are Linux's errno.
 *
 * A fid is a number of the guest's choice, below the limit that HELLO tells. It
 * stands for a file of a mount (a node: known, not open) or for an open file (a
 * handle). A name is one component: never empty, ".", "..", and without "/".
 *
 * Data does not go through the socket but through the window, memory that both have
 * mapped: requests with data name a range of it, which is the server's until the
 * reply. Only bytes of files, targets of links, listings and attribute values lie there:
 * nothing that the server decides by.
 *
 * A large READ may name one of the pipes on which the server sends data, which the guest alone reads: pages of the
 * host's cache go there as they are, and are copied once, to where the program wants them.
 */
#ifndef RUNNC_ABI_FILES_H
#define RUNNC_ABI_FILES_H

#include <stdint.h>

#define RUNNC_FILES_CHANNEL "files"
#define RUNNC_FILES_PROCESS "runnc-files" /* the server's name for ps(1); src/sandbox/process.ts */
#define RUNNC_FILES_VERSION 2u
#define RUNNC_FILES_WINDOW_BYTES (4u << 20)
#define RUNNC_FILES_NAME_MAX 255u
#define RUNNC_FILES_TARGET_MAX 4095u /* of a symbolic link */
#define RUNNC_FILES_IO_MAX (1u << 20) /* bytes in one READ or WRITE */
#define RUNNC_FILES_MOUNTS_MAX 64u
#define RUNNC_FILES_PIPES 4u /* at most */
#define RUNNC_FILES_PIPE_BYTES (1u << 20)
#define RUNNC_FILES_PIPED_MAX (512u << 10) /* bytes in one READ by a pipe: they need not begin with a page */

enum runnc_files_op {
    /* value: RUNNC_FILES_VERSION; reply: value is the limit of fids, value2 the number of mounts, value3 of pipes. First of all. */
    FILES_HELLO = 1,
    /* new_fid becomes the root of mount number `value`; reply: attr, value 1 if it is read-only. */
    FILES_ATTACH = 2,
    /*
     * new_fid becomes `name` in the folder fid; reply: attr. With a handle_fid a regular file or folder is opened as
     * well, with `flags`: value is 1 if that was done. A regular file that has at most `size` bytes is read into the
     * window then, if it can be without waiting: value2 is 1 if so, value3 how many bytes.
     */
    FILES_WALK = 3,
    FILES_GETATTR = 4, /* reply: attr */
    FILES_SETATTR = 5, /* valid: enum runnc_files_valid; reply: attr; before */
    /* new_fid becomes fid, or with a `name` that in the folder fid, opened with `flags` (O_ACCMODE, O_TRUNC, O_DIRECTORY, O_NOATIME, O_SYNC, O_DSYNC,
     * O_DIRECT is not): regular files and folders alone; reply: attr. */
    FILES_OPEN = 6,
    /* A regular file, folder, fifo or socket `name` in fid, by mode, owned by uid and gid; it must not be there
     * yet. new_fid becomes the node, handle_fid, unless it is 0, the regular file, opened with `flags`. Reply: attr. */
    FILES_CREATE = 7,
    FILES_SYMLINK = 8, /* `name` in fid, to name2; new_fid becomes the node; reply: attr */
    FILES_LINK = 9,    /* the node or handle fid gets the name `name` in the folder new_fid; reply: attr of fid */
    FILES_UNLINK = 10, /* `name` in fid; flags: AT_REMOVEDIR or 0 */
    FILES_RENAME = 11, /* `name` in fid to name2 in new_fid; flags: RENAME_NOREPLACE, RENAME_EXCHANGE */
    FILES_READLINK = 12, /* into the window; reply: value is the length */
    /* `size` bytes at `offset` of the handle fid into the window; reply: value. With flags n from 1 to the number of pipes
     * they may be put into pipe number n instead, which the guest has emptied: value2 is 1 then. */
    FILES_READ = 13,
    FILES_WRITE = 14,    /* out of the window; flags: FILES_APPEND; reply: value; attr; before */
    /* Entries of the handle fid from the position `offset` (0, or what an entry says), as getdents64 gives them, into the window; reply: value. */
    FILES_READDIR = 15,
    FILES_FSYNC = 16,     /* flags: FILES_DATASYNC */
    FILES_FALLOCATE = 17, /* flags: mode of fallocate(2); reply: attr */
    FILES_STATFS = 18,    /* struct statfs of x86-64 into the window; reply: value is its size */
    /* On the handle fid, without waiting (EAGAIN). flags: F_RDLCK, F_WRLCK, F_UNLCK, with offset and size (0: to
     * the end); with FILES_FLOCK, of flock(2). F_GETLK with FILES_GETLOCK: reply value is the type, value2 the start, value3 the length. */
    FILES_LOCK = 19,
    FILES_GETXATTR = 20,    /* `name`, of the user's space; into the window; reply: value. size 0 asks for the size */
    FILES_SETXATTR = 21,    /* `name`; `size` bytes of the window; flags: XATTR_CREATE, XATTR_REPLACE */
    FILES_LISTXATTR = 22,   /* into the window; reply: value */
    FILES_REMOVEXATTR = 23, /* `name` */
    FILES_TMPFILE = 24, /* a file without a name on the file system of folder fid: as CREATE. flags: also O_EXCL */
    FILES_SYNCFS = 25,
    FILES_SEEK = 26,  /* flags: SEEK_DATA, SEEK_HOLE, from `offset` of the handle fid; reply: value */
    FILES_CLUNK = 27, /* nothing but what every request may say: see forget. There is no reply. */
};

#define FILES_APPEND 1u
#define FILES_DATASYNC 1u
#define FILES_FLOCK 0x100u
#define FILES_GETLOCK 0x200u

enum runnc_files_valid {
    FILES_SET_MODE = 1u << 0,
    FILES_SET_UID = 1u << 1,
    FILES_SET_GID = 1u << 2,
    FILES_SET_SIZE = 1u << 3,
    FILES_SET_ATIME = 1u << 4, /* to atime_sec, atime_nsec */
    FILES_SET_MTIME = 1u << 5,
};

struct runnc_files_request {
    uint32_t tag;
    uint16_t op;   /* enum runnc_files_op */
    uint16_t name_len, name2_len; /* bytes; they stand behind this structure, one behind the other, without NULs */
    uint16_t reserved; /* 0 */
    uint32_t fid, new_fid, handle_fid;
    uint32_t flags, valid;
    uint32_t mode, uid, gid;
    uint32_t window; /* where in the window data lies or goes */
    uint64_t offset, size, value;
    int64_t atime_sec, mtime_sec;
    uint32_t atime_nsec, mtime_nsec;
    uint32_t forget[4]; /* fids that are forgotten before anything else is done, each unless it is 0 */
};

/* As statx(2) has it. */
struct runnc_files_attr {
    uint64_t dev, ino, size, blocks;
    uint32_t mode, nlink, uid, gid;
    uint32_t rdev_major, rdev_minor;
    int64_t atime_sec, mtime_sec, ctime_sec, btime_sec;
    uint32_t atime_nsec, mtime_nsec, ctime_nsec, btime_nsec;
};

struct runnc_files_reply {
    uint32_t tag;
    uint32_t error; /* errno; 0: done */
    uint64_t value, value2, value3;
    struct runnc_files_attr attr; /* where the operation says so, else zero */
    /* WRITE and SETATTR: what the file was right before, to see whether it is still what the guest knows. */
    uint64_t before_size;
    int64_t before_ctime_sec;
    uint32_t before_ctime_nsec;
    uint32_t pad;
};

#define RUNNC_FILES_REQUEST_MAX \
    (sizeof(struct runnc_files_request) + RUNNC_FILES_NAME_MAX + RUNNC_FILES_TARGET_MAX)

_Static_assert(sizeof(struct runnc_files_request) == 112, "request layout");
_Static_assert(sizeof(struct runnc_files_attr) == 104, "attr layout");
_Static_assert(sizeof(struct runnc_files_reply) == 160, "reply layout");

#endif
