/*
 * What memory and the loader need of files; implemented in fs/.
 *
 * There is one address space and nothing can be mapped twice in it, so:
 * a private mapping is a copy (or, for executables, the segments companion in
 * place); a shared mapping of a writable file becomes the home of those pages:
 * file_share_pages moves them there, reads and writes of the file go there too
 * until file_unshare_pages brings them back.
 */
#ifndef LINUX_MM_FILE_MAP_H
#define LINUX_MM_FILE_MAP_H

#include "lib/types.h"

struct file;

struct file *file_get(struct file *);
/* Another open file of the same regular file, for mappings: nobody reads, writes or executes it by that. NULL: no memory. */
struct file *file_twin(const struct file *);
void file_put(struct file *);

/* An open file of the running process, counted; NULL if fd is not open. */
struct file *file_from_fd(int fd);

/* Opens a program to run: search permission on the way, execute permission, regular file. ERR_PTR. */
struct file *vfs_open_exec(const char *path);
/* The file's absolute path in the guest, kmalloc'ed; ERR_PTR. */
char *file_path(struct file *);
uint64_t file_size(struct file *);
/* Device and inode number as stat shows them: names the file in /proc/PID/maps. */
void file_identity(struct file *, uint64_t *dev, uint64_t *ino);

/* They are open on the same file. */
bool file_is_same(const struct file *a, const struct file *b);
/* Its bytes are the image's and nobody has changed them; then they were so whenever this file was mapped. */
bool file_is_pristine(struct file *);

/* Into a kernel buffer (or any mapped memory that cannot fault): bytes read, 0 at the end, negative errno. */
ssize_t file_read_at(struct file *, void *buf, size_t n, uint64_t offset);

/* Whether file_read_at has these bytes without waiting, and what makes that so, as far as there is memory. The latter may wait. */
bool file_is_here(struct file *, uint64_t offset, size_t len);
void file_fetch(struct file *, uint64_t offset, size_t len);

/*
 * The segments companion: place of this file's segments in guest memory, laid
 * out by virtual address from the lowest PT_LOAD page on; 0 if it has none.
 * For a program that is not position-independent this is its own address.
 */
uintptr_t file_segments(struct file *, size_t *len);
/* The range has something of the companion's index, which the kernel goes on reading. */
bool segments_index_overlaps(uaddr_t start, uaddr_t end);

/*
 * mmap's checks that need the file: -EACCES if prot and flags (PROT_*, MAP_*)
 * do not fit how it was opened, -ENODEV if it cannot be mapped, 0.
 */
int file_may_map(struct file *, int prot, int flags);

/* /dev/zero: mapping it is mapping anonymous memory. */
bool file_is_zeros(struct file *);

/* Programs can write to it, so that a shared mapping must be one with the file. */
bool file_is_shareable(struct file *);

/*
 * Moves the pages of [offset, offset + len) to home (page-aligned, zeroed,
 * mapped writable), sharing them with every reader of the file. -ENOMEM;
 * -EEXIST with *existing set if they already live at another home.
 */
int file_share_pages(struct file *, uint64_t offset, size_t len, void *home, void **existing);
/* Brings them back to the page cache; home is the mapping's to reuse after it. */
int file_unshare_pages(struct file *, uint64_t offset, size_t len, void *home);
/* msync: what was stored in shared pages is the file's, also where that is not in memory. May wait. */
int file_write_back(struct file *, uint64_t offset, size_t len);

/* Memory is short: what is kept of files that are elsewhere goes. False: there was nothing. Never waits. */
bool file_cache_drop(void);

#endif
