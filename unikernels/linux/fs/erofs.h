/*
 * The rootfs image: an uncompressed EROFS, mapped read-only as one piece of
 * memory and read in place.
 *
 * The image is hostile. Nothing in it is trusted: every offset is checked
 * against the image's end before it is followed, every count against what fits,
 * and a reader never walks more than the image holds. A check that fails is
 * EUCLEAN (as Linux's erofs answers), never a fault.
 *
 * This reader knows nothing of the rest of the kernel, so that it can be tested
 * on the host. It keeps no state but struct erofs, allocates nothing and may be
 * used from any context. Format: Linux Documentation/filesystems/erofs.rst.
 */
#ifndef LINUX_FS_EROFS_H
#define LINUX_FS_EROFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct erofs {
    const uint8_t *base; /* page-aligned */
    uint64_t size;       /* bytes, all of them mapped */
    uint32_t block_bits;
    uint64_t meta; /* byte offset of nid 0 */
    uint64_t root_nid;
    uint64_t inodes;
    uint64_t blocks;
    int64_t build_time; /* mtime of compact inodes, seconds */
    uint32_t build_time_nsec;
};

struct erofs_inode {
    uint64_t nid;  /* identity: two names with one nid are hard links */
    uint64_t size; /* bytes */
    int64_t mtime; /* seconds */
    uint32_t mtime_nsec;
    uint32_t mode; /* S_IF* and permissions, as Linux */
    uint32_t uid, gid, nlink;
    uint32_t rdev; /* devices: Linux's 32-bit encoding */
    /* How the data is laid out; for erofs.c alone. */
    uint32_t layout;
    uint32_t start;      /* first block, of flat layouts */
    uint32_t chunk_bits; /* log2 bytes of a chunk */
    bool chunk_indexes;
    uint64_t after; /* byte offset behind the inode and its xattrs */
};

struct erofs_dirent {
    const char *name; /* in the image, not terminated */
    uint32_t len;     /* 1 to 255 */
    uint32_t type;    /* DT_* of getdents64 */
    uint64_t nid;
};

/* Checks the superblock. EINVAL: not an EROFS image. EOPNOTSUPP: it uses a
 * feature that this reader lacks (compression, more devices). EUCLEAN: damaged. */
int erofs_open(struct erofs *fs, const void *image, uint64_t size);

int erofs_inode(const struct erofs *fs, uint64_t nid, struct erofs_inode *inode);

/*
 * The data at byte `offset` (< inode->size): *data points into the image, *len
 * is how many bytes lie there one after the other, at least 1 and never past the
 * file's end. A hole has *data NULL.
 */
int erofs_map(const struct erofs *fs, const struct erofs_inode *inode, uint64_t offset,
              const uint8_t **data, uint64_t *len);

/* ENOENT if there is no such name, ENOTDIR if inode is no folder. */
int erofs_lookup(const struct erofs *fs, const struct erofs_inode *dir, const char *name, size_t len,
                 uint64_t *nid);

/*
 * The entry at or after *cursor (0 at first), which is moved behind it. 1: there
 * is one; 0: the end. "." and ".." are among the entries.
 */
int erofs_readdir(const struct erofs *fs, const struct erofs_inode *dir, uint64_t *cursor,
                  struct erofs_dirent *entry);

#endif
