/*
 * tmpfs: files in memory; and the container's root, which is a tmpfs whose
 * inodes stand for those of the rootfs image until they are changed.
 *
 * A folder of the image keeps records of what differs: names that were added,
 * moved here or replaced, and names that are gone (whiteouts); the rest is looked
 * up in the image. A regular file keeps the pages that were written; the rest is
 * read in the image, in place. So nothing is ever copied up as a whole, a folder
 * can be renamed with all that is in it, two links of one file stay one file, and
 * none of that needs whiteout devices or attributes, because nothing of it is
 * ever stored.
 *
 * An inode of the image is made when its name is looked up and dropped when
 * nobody holds it; once it differs from the image it stays (`dirty`).
 */
#ifndef LINUX_FS_TMPFS_H
#define LINUX_FS_TMPFS_H

#include "fs/erofs.h"
#include "fs/page_tree.h"
#include "fs/vfs.h"
#include "fs/xattr.h"

struct tmpfs_dirent; /* tmpfs.c */
struct wb_inode;     /* writeback.c */

struct tmpfs {
    struct super_block sb;
    const struct erofs *lower; /* NULL: memory only */
    bool lasts; /* its changes go to the host: writeback.h */
    bool overlay; /* which keeps them in overlayfs */
    uint64_t next_ino;
    uint64_t pages, pages_max; /* of file data; 0: no limit of its own */
    struct tmpfs_inode **by_nid; /* inodes of the image that are in memory */
};

struct tmpfs_inode {
    struct inode inode;
    struct erofs_inode lower;
    bool has_lower;
    bool dirty;
    struct xattrs xattrs;
    struct tmpfs_inode *nid_next;
    struct wb_inode *wb;
    union {
        struct {
            struct page_tree pages;
            uint64_t lower_size; /* bytes of the image's data that still show */
            uint32_t seals;      /* F_SEAL_* */
        } file;
        struct {
            struct list entries; /* by cookie */
            struct tmpfs_dirent **table;
            uint32_t table_size, count;
            uint64_t next_cookie;
        } dir;
        char *target; /* of a symlink that is not the image's */
    };
};

static inline struct tmpfs_inode *tmpfs_inode(struct inode *inode)
{
    return container_of(inode, struct tmpfs_inode, inode);
}

static inline struct tmpfs *tmpfs_of(const struct inode *inode)
{
    return container_of(inode->i_sb, struct tmpfs, sb);
}

/* The options are mount(8)'s: size=, mode=, uid=, gid=; others are passed over. NULL: no memory. */
struct tmpfs *tmpfs_new(const char *options);
/* The root over an image. ERR_PTR. */
struct tmpfs *tmpfs_over_image(const struct erofs *lower);
/* A file system of one regular file, with this content. NULL: no memory. */
struct tmpfs *tmpfs_of_file(const void *data, size_t size, uint32_t mode, uint32_t uid, uint32_t gid,
                            struct __kernel_timespec mtime);
/* The name goes, and with it all that is below: for layers. Dentries are the caller's affair. */
int tmpfs_remove_whole(struct inode *dir, const struct qstr *name, struct inode *inode);
/* A file without any name, which /proc shows as `shown`. */
int tmpfs_unnamed(const char *shown, int flags, struct file **made);
/* memfd_create(2). */
int tmpfs_memfd(const char *name, bool sealable, int flags, struct file **made);
/* The image's inode number of a file whose data is still the image's own; false if it is not. */
bool tmpfs_image_nid(struct file *file, uint64_t *nid);
/* F_ADD_SEALS, F_GET_SEALS; EINVAL for files that have none. */
int tmpfs_seals(struct file *file, bool add, uint32_t seals);

/* Of file data, in all of them. */
uint64_t tmpfs_pages(void);

/* For tmpfs.c and tmpfs_file.c. */
extern const struct file_operations tmpfs_file_operations;
void tmpfs_dirty(struct tmpfs_inode *inode);
int tmpfs_resize(struct tmpfs_inode *inode, uint64_t size);
void tmpfs_free_pages(struct tmpfs_inode *inode);

/* For writeback.c: the file's bytes as they are, PAGE_SIZE of them. */
void tmpfs_read_page(struct tmpfs_inode *inode, uint64_t index, uint8_t *page);
/* All pages but those of mappings are freed, and the image shows through nowhere. */
void tmpfs_drop_pages(struct tmpfs_inode *inode);
/* Pages that are not there become data, with zeros behind it. */
int tmpfs_fill_pages(struct tmpfs_inode *inode, uint64_t index, uint64_t count, const void *data, size_t size);

#endif
