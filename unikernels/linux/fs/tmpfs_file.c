/* The data of tmpfs files: pages in memory over what the image has. */
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "fs/tmpfs.h"
#include "fs/writeback.h"
#include "lib/string.h"
#include "mm/memory.h"
#include "mm/page.h"
#include "time/clock.h"

#define DAY_SECONDS 86400

static uint64_t all_pages;

uint64_t tmpfs_pages(void)
{
    return all_pages;
}

static void account(struct tmpfs_inode *t, int64_t pages)
{
    struct tmpfs *fs = tmpfs_of(&t->inode);

    all_pages += (uint64_t)pages;
    fs->pages += (uint64_t)pages;
    t->inode.i_blocks += (uint64_t)pages * (PAGE_SIZE / 512);
}

static bool has_space(const struct tmpfs_inode *t)
{
    const struct tmpfs *fs = tmpfs_of(&t->inode);

    return fs->pages_max == 0 || fs->pages < fs->pages_max;
}

/* The image's bytes at offset, as far as they lie in one piece; NULL: zeros. */
static int lower_data(const struct tmpfs_inode *t, uint64_t offset, const uint8_t **data, uint64_t *len)
{
    if (offset >= t->file.lower_size) {
        *data = NULL;
        *len = UINT64_MAX;
        return 0;
    }
    int err = erofs_map(tmpfs_of(&t->inode)->lower, &t->lower, offset, data, len);
    if (!err)
        *len = MIN(*len, t->file.lower_size - offset);
    return err;
}

/* Fills a zeroed page with what the image has there. */
static int fill_from_lower(const struct tmpfs_inode *t, uint64_t index, uint8_t *page)
{
    uint64_t begin = index << PAGE_SHIFT;

    for (uint64_t at = 0; at < PAGE_SIZE && begin + at < t->file.lower_size;) {
        const uint8_t *data;
        uint64_t len;
        int err = lower_data(t, begin + at, &data, &len);
        if (err)
            return err;
        len = MIN(len, PAGE_SIZE - at);
        if (data) {
            memory_image_use(data, len);
            memcpy(page + at, data, len);
        }
        at += len;
    }
    return 0;
}

/* The slot of a page that is there, made if it is not. ENOSPC as Linux, not ENOMEM: it is the file's page. */
static int get_page(struct tmpfs_inode *t, uint64_t index, uintptr_t **slot)
{
    *slot = page_tree_slot(&t->file.pages, index, true);
    if (!*slot)
        return -ENOSPC;
    if (**slot)
        return 0;
    if (wb_is_on_host(t) && index << PAGE_SHIFT < t->inode.i_size) {
        int err = wb_read_pages(t, index);
        *slot = page_tree_slot(&t->file.pages, index, true);
        return err ? err : *slot && **slot ? 0 : -ENOSPC;
    }
    uint8_t *page = has_space(t) && page_room() > 0 ? page_alloc_zeroed(1) : NULL;
    if (!page)
        return -ENOSPC;
    int err = fill_from_lower(t, index, page);
    if (err) {
        page_free(page, 1);
        return err;
    }
    **slot = (uintptr_t)page;
    t->file.pages.pages++;
    account(t, 1);
    return 0;
}

static void truncate_pages(struct tmpfs_inode *t, uint64_t index)
{
    uint64_t before = t->file.pages.pages;

    page_tree_truncate(&t->file.pages, index);
    account(t, (int64_t)(t->file.pages.pages - before));
}

void tmpfs_free_pages(struct tmpfs_inode *t)
{
    truncate_pages(t, 0);
}

void tmpfs_read_page(struct tmpfs_inode *t, uint64_t index, uint8_t *page)
{
    const uintptr_t *slot = page_tree_slot(&t->file.pages, index, false);

    memset(page, 0, PAGE_SIZE);
    if (!slot)
        fill_from_lower(t, index, page);
    else if (page_read(*slot, 0, page, PAGE_SIZE))
        memset(page, 0, PAGE_SIZE);
}

void tmpfs_drop_pages(struct tmpfs_inode *t)
{
    bool homed = false;

    t->file.lower_size = 0;
    for (uint64_t index = 0; page_tree_next(&t->file.pages, &index); index++)
        homed |= *page_tree_slot(&t->file.pages, index, false) & PAGE_HOME;
    if (!homed) {
        truncate_pages(t, 0);
        return;
    }
    for (uint64_t index = 0; page_tree_next(&t->file.pages, &index); index++) {
        uintptr_t *slot = page_tree_slot(&t->file.pages, index, false);
        if (*slot & PAGE_HOME)
            continue;
        page_free((void *)*slot, 1);
        *slot = 0;
        t->file.pages.pages--;
        account(t, -1);
    }
}

int tmpfs_fill_pages(struct tmpfs_inode *t, uint64_t index, uint64_t count, const void *data, size_t size)
{
    for (uint64_t n = 0; n < count; n++) {
        uintptr_t *slot = page_tree_slot(&t->file.pages, index + n, true);
        size_t at = n << PAGE_SHIFT, part = at < size ? MIN(size - at, PAGE_SIZE) : 0;
        uint8_t *page = slot && !*slot && page_room() > 0 ? page_alloc(1) : NULL;
        if (!page)
            return n ? 0 : -ENOSPC; /* the others were not asked for */
        memcpy(page, (const uint8_t *)data + at, part);
        memset(page + part, 0, PAGE_SIZE - part);
        *slot = (uintptr_t)page;
        t->file.pages.pages++;
        account(t, 1);
    }
    return 0;
}

/* Zeros in a part of one page, if the page is there or the image shows through. */
static int zero_in_page(struct tmpfs_inode *t, uint64_t index, size_t offset, size_t len)
{
    uintptr_t *slot = page_tree_slot(&t->file.pages, index, false);

    if (!slot) {
        if (index << PAGE_SHIFT >= t->file.lower_size && !wb_is_on_host(t))
            return 0;
        int err = get_page(t, index, &slot);
        if (err)
            return err;
    }
    return page_clear(*slot, offset, len);
}

int tmpfs_resize(struct tmpfs_inode *t, uint64_t size)
{
    if (t->file.seals & F_SEAL_SHRINK && size < t->inode.i_size)
        return -EPERM;
    if (t->file.seals & F_SEAL_GROW && size > t->inode.i_size)
        return -EPERM;
    if (size < t->inode.i_size) {
        if (t->file.lower_size > size)
            t->file.lower_size = size;
        truncate_pages(t, PAGE_UP(size) >> PAGE_SHIFT);
        if (size % PAGE_SIZE) {
            int err = zero_in_page(t, size >> PAGE_SHIFT, size % PAGE_SIZE, PAGE_SIZE - size % PAGE_SIZE);
            if (err)
                return err;
        }
    }
    t->inode.i_size = size;
    return 0;
}

/* relatime; a file that is still the image's own is left alone, or reading would cost memory. */
static void accessed(struct file *file, struct tmpfs_inode *t)
{
    struct inode *inode = &t->inode;
    const struct __kernel_timespec *atime = &inode->i_atime;

    if (file->f_flags & O_NOATIME || (t->has_lower && !t->dirty) || inode->i_sb->s_flags & (SB_RDONLY | SB_NOATIME))
        return;
    struct __kernel_timespec now = clock_now();
    bool changed_since = atime->tv_sec < inode->i_mtime.tv_sec || atime->tv_sec < inode->i_ctime.tv_sec ||
                         (atime->tv_sec == inode->i_mtime.tv_sec && atime->tv_nsec <= inode->i_mtime.tv_nsec) ||
                         (atime->tv_sec == inode->i_ctime.tv_sec && atime->tv_nsec <= inode->i_ctime.tv_nsec);
    if (changed_since || now.tv_sec - atime->tv_sec >= DAY_SECONDS)
        inode->i_atime = now;
}

/* Copies out of a page that a program has mapped: in small steps, for it must go over our stack. */
static ssize_t read_home(uintptr_t page, size_t offset, size_t len, struct iov_iter *to)
{
    char step[256];
    size_t done = 0;

    while (done < len) {
        size_t part = MIN(len - done, sizeof(step));
        if (page_read(page, offset + done, step, part))
            return done ? (ssize_t)done : -EFAULT;
        ssize_t copied = copy_to_iter(to, step, part);
        if (copied < (ssize_t)part)
            return copied > 0 ? (ssize_t)done + copied : done ? (ssize_t)done : copied;
        done += part;
    }
    return (ssize_t)done;
}

static ssize_t write_home(uintptr_t page, size_t offset, size_t len, struct iov_iter *from)
{
    char step[256];
    size_t done = 0;

    while (done < len) {
        ssize_t copied = copy_from_iter(from, step, MIN(len - done, sizeof(step)));
        if (copied <= 0)
            return done ? (ssize_t)done : copied;
        if (page_write(page, offset + done, step, (size_t)copied))
            return done ? (ssize_t)done : -EFAULT;
        done += (size_t)copied;
    }
    return (ssize_t)done;
}

/* From one place of the file, as far as it lies in one piece. */
static ssize_t read_piece(struct tmpfs_inode *t, uint64_t pos, size_t want, struct iov_iter *to)
{
    uintptr_t *slot = page_tree_slot(&t->file.pages, pos >> PAGE_SHIFT, false);
    size_t offset = pos % PAGE_SIZE;
    const uint8_t *data;
    uint64_t len;

    if (slot) {
        want = MIN(want, PAGE_SIZE - offset);
        return *slot & PAGE_HOME ? read_home(*slot, offset, want, to)
                                 : copy_to_iter(to, (const char *)*slot + offset, want);
    }
    if (wb_is_on_host(t)) {
        if (get_page(t, pos >> PAGE_SHIFT, &slot))
            return -EIO;
        return copy_to_iter(to, (const char *)*slot + offset, MIN(want, PAGE_SIZE - offset));
    }
    int err = lower_data(t, pos, &data, &len);
    if (err)
        return -EIO;
    /* Some page behind this one may be ours: only where none is, the image's piece may be longer. */
    if (t->file.pages.height > 0 || t->file.pages.root)
        want = MIN(want, PAGE_SIZE - offset);
    want = MIN(want, len);
    if (data)
        memory_image_use(data, want);
    return data ? copy_to_iter(to, data, want) : zero_iter(to, want);
}

static int64_t tmpfs_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct tmpfs_inode *t = tmpfs_inode(kiocb->file->f_inode);
    int64_t done = 0;

    accessed(kiocb->file, t);
    while (to->count > 0 && kiocb->pos < t->inode.i_size) {
        size_t want = MIN(to->count, t->inode.i_size - kiocb->pos);
        ssize_t got = read_piece(t, kiocb->pos, want, to);
        if (got <= 0)
            return done ? done : got;
        kiocb->pos += (uint64_t)got;
        done += got;
    }
    return done;
}

static int64_t tmpfs_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct inode *inode = kiocb->file->f_inode;
    struct tmpfs_inode *t = tmpfs_inode(inode);
    uint64_t begin = kiocb->pos;
    int64_t done = 0;

    if (from->count == 0)
        return 0;
    if (t->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (t->file.seals & F_SEAL_GROW) {
        if (kiocb->pos >= inode->i_size)
            return -EPERM;
        from->count = MIN(from->count, inode->i_size - kiocb->pos);
    }
    tmpfs_dirty(t);
    while (from->count > 0) {
        size_t offset = kiocb->pos % PAGE_SIZE;
        size_t len = MIN(from->count, PAGE_SIZE - offset);
        uintptr_t *slot;
        ssize_t put = get_page(t, kiocb->pos >> PAGE_SHIFT, &slot);
        if (put == 0)
            put = *slot & PAGE_HOME ? write_home(*slot, offset, len, from)
                                    : copy_from_iter(from, (char *)*slot + offset, len);
        if (put <= 0) {
            if (done == 0)
                return put;
            break;
        }
        kiocb->pos += (uint64_t)put;
        done += put;
        if (kiocb->pos > inode->i_size)
            inode->i_size = kiocb->pos;
    }
    inode_remove_privs(inode);
    inode->i_mtime = inode->i_ctime = clock_now();
    int err = wb_changed(t, begin, kiocb->pos);
    return err ? err : done;
}

/* Data is a page of ours or anything the image has; holes in the image count as data. */
static int64_t seek_data(struct tmpfs_inode *t, uint64_t pos)
{
    uint64_t index = pos >> PAGE_SHIFT;

    if (pos < t->file.lower_size || wb_is_on_host(t))
        return (int64_t)pos;
    if (!page_tree_next(&t->file.pages, &index))
        return -ENXIO;
    uint64_t at = MAX(pos, index << PAGE_SHIFT);
    return at < t->inode.i_size ? (int64_t)at : -ENXIO;
}

static int64_t seek_hole(struct tmpfs_inode *t, uint64_t pos)
{
    if (wb_is_on_host(t))
        return (int64_t)t->inode.i_size;
    if (pos < t->file.lower_size)
        pos = PAGE_UP(t->file.lower_size);
    while (pos < t->inode.i_size && page_tree_slot(&t->file.pages, pos >> PAGE_SHIFT, false))
        pos = PAGE_DOWN(pos) + PAGE_SIZE;
    return (int64_t)MIN(pos, t->inode.i_size);
}

static int64_t tmpfs_llseek(struct file *file, int64_t offset, int whence)
{
    struct tmpfs_inode *t = tmpfs_inode(file->f_inode);

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return generic_llseek(file, offset, whence);
    if (offset < 0 || (uint64_t)offset >= t->inode.i_size)
        return -ENXIO;
    int64_t to = whence == SEEK_DATA ? seek_data(t, (uint64_t)offset) : seek_hole(t, (uint64_t)offset);
    if (to >= 0)
        file->f_pos = (uint64_t)to;
    return to;
}

static int punch_hole(struct tmpfs_inode *t, uint64_t offset, uint64_t end)
{
    end = MIN(end, PAGE_UP(MAX(t->inode.i_size, t->file.lower_size)));
    for (uint64_t at = offset; at < end;) {
        uint64_t index = at >> PAGE_SHIFT, next = MIN(PAGE_DOWN(at) + PAGE_SIZE, end);
        uintptr_t *slot = page_tree_slot(&t->file.pages, index, false);
        if (slot && next - at == PAGE_SIZE && !(*slot & PAGE_HOME) && at >= t->file.lower_size &&
            !wb_is_on_host(t)) {
            page_free((void *)*slot, 1);
            *slot = 0;
            t->file.pages.pages--;
            account(t, -1);
        } else {
            int err = zero_in_page(t, index, at % PAGE_SIZE, next - at);
            if (err)
                return err;
        }
        at = next;
        /* A long hole in a sparse file: go on where pages are. */
        if (at >= t->file.lower_size && !wb_is_on_host(t)) {
            index = at >> PAGE_SHIFT;
            if (!page_tree_next(&t->file.pages, &index))
                break;
            at = MAX(at, index << PAGE_SHIFT);
        }
    }
    return 0;
}

static int allocate(struct tmpfs_inode *t, uint64_t offset, uint64_t end)
{
    /* What cannot succeed is not begun: it would take all memory first. */
    if ((end - offset) >> PAGE_SHIFT > page_room())
        return -ENOSPC;
    for (uint64_t index = offset >> PAGE_SHIFT; index << PAGE_SHIFT < end; index++) {
        uintptr_t *slot;
        int err = get_page(t, index, &slot);
        if (err)
            return err;
    }
    return 0;
}

static int tmpfs_fallocate(struct file *file, int mode, uint64_t offset, uint64_t len)
{
    struct inode *inode = file->f_inode;
    struct tmpfs_inode *t = tmpfs_inode(inode);
    uint64_t end = offset + len;
    int err;

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        return -EOPNOTSUPP;
    if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    if (mode & FALLOC_FL_PUNCH_HOLE && t->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (t->file.seals & F_SEAL_GROW && end > inode->i_size && !(mode & FALLOC_FL_PUNCH_HOLE))
        return -EPERM;
    tmpfs_dirty(t);
    if (mode & FALLOC_FL_PUNCH_HOLE) {
        err = punch_hole(t, offset, end);
    } else {
        err = allocate(t, offset, end);
        if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > inode->i_size)
            inode->i_size = end;
    }
    if (!err)
        inode->i_mtime = inode->i_ctime = clock_now();
    return err ? err : wb_changed(t, offset, MIN(end, inode->i_size));
}

static int tmpfs_fsync(struct file *file, bool datasync)
{
    return wb_sync(tmpfs_inode(file->f_inode), datasync);
}

static int tmpfs_open(struct inode *inode, struct file *file)
{
    if (file->f_write && tmpfs_inode(inode)->file.seals & F_SEAL_WRITE)
        return -EPERM;
    return 0;
}

/* ---- mapping ---- */

bool tmpfs_image_nid(struct file *file, uint64_t *nid)
{
    if (file->f_op != &tmpfs_file_operations)
        return false;
    const struct tmpfs_inode *t = tmpfs_inode(file->f_inode);
    if (!t->has_lower || t->file.pages.root || t->file.lower_size != t->lower.size ||
        t->inode.i_size != t->lower.size)
        return false;
    *nid = t->lower.nid;
    return true;
}

/* Opens a mapping's page for what the file has there; one that the file has nothing for waits until it is touched. */
static bool open_for_page(const struct tmpfs_inode *t, uint64_t index, uintptr_t slot, uaddr_t home)
{
    return (!slot && index << PAGE_SHIFT >= t->file.lower_size) ||
           memory_open(home, home + PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static int tmpfs_share(struct file *file, uint64_t offset, size_t len, void *home, void **existing)
{
    struct tmpfs_inode *t = tmpfs_inode(file->f_inode);
    uint64_t first = offset >> PAGE_SHIFT, count = len >> PAGE_SHIFT;
    uintptr_t begin = 0;
    uint64_t homed = 0;

    for (uint64_t n = 0; n < count; n++) {
        const uintptr_t *slot = page_tree_slot(&t->file.pages, first + n, false);
        if (!slot || !(*slot & PAGE_HOME))
            continue;
        uintptr_t base = (*slot & ~PAGE_HOME) - (n << PAGE_SHIFT);
        if (homed++ == 0)
            begin = base;
        if (base != begin)
            return -ENOMEM; /* two mappings have parts of it */
    }
    if (homed == count) {
        *existing = (void *)begin;
        return -EEXIST;
    }
    if (homed > 0)
        return -ENOMEM;

    tmpfs_dirty(t);
    for (uint64_t n = 0; n < count && wb_is_on_host(t); n++) {
        uintptr_t *slot;
        if ((first + n) << PAGE_SHIFT < t->inode.i_size && get_page(t, first + n, &slot))
            return -ENOMEM;
    }
    /* All slots and places first: what follows cannot fail for want of memory. */
    for (uint64_t n = 0; n < count; n++) {
        const uintptr_t *slot = page_tree_slot(&t->file.pages, first + n, true);
        if (!slot || !open_for_page(t, first + n, *slot, (uintptr_t)home + (n << PAGE_SHIFT)))
            return -ENOMEM;
    }
    for (uint64_t n = 0; n < count; n++) {
        uint8_t *page = (uint8_t *)home + (n << PAGE_SHIFT);
        uintptr_t *slot = page_tree_slot(&t->file.pages, first + n, true);
        if (*slot) {
            memcpy(page, (const void *)*slot, PAGE_SIZE);
            page_free((void *)*slot, 1);
            t->file.pages.pages--;
            account(t, -1);
        } else if ((first + n) << PAGE_SHIFT < t->file.lower_size && fill_from_lower(t, first + n, page)) {
            memset(page, 0, PAGE_SIZE); /* a damaged image: reading there would be EIO */
        }
        *slot = (uintptr_t)page | PAGE_HOME;
    }
    return 0;
}

/*
 * A copy of a mapped page for the file to keep; *copy is NULL if the file has the same
 * there without it: a hole, or the image. A large file that was only read costs nothing.
 */
static int take_home(const struct tmpfs_inode *t, uint64_t index, uintptr_t slot, uint8_t *without, void **copy)
{
    *copy = page_alloc(1);
    if (!*copy)
        return -ENOMEM;
    if (page_read(slot, 0, *copy, PAGE_SIZE))
        memset(*copy, 0, PAGE_SIZE);
    memset(without, 0, PAGE_SIZE);
    if (!wb_is_on_host(t) && fill_from_lower(t, index, without) == 0 && memcmp(without, *copy, PAGE_SIZE) == 0) {
        page_free(*copy, 1);
        *copy = NULL;
    }
    return 0;
}

static int tmpfs_unshare(struct file *file, uint64_t offset, size_t len, void *home)
{
    struct tmpfs_inode *t = tmpfs_inode(file->f_inode);
    /* Nobody will read it again: an unlinked file of which the mapping has the last reference. */
    bool last = t->inode.i_nlink == 0 && t->inode.i_count == 1 && file->f_count == 1 &&
                file->f_dentry->d_count == 1;

    uint8_t *without = last ? NULL : page_alloc(1);
    int err = last || without ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < len && !err; at += PAGE_SIZE) {
        uint8_t *page = (uint8_t *)home + at;
        uint64_t index = (offset + at) >> PAGE_SHIFT;
        uintptr_t *slot = page_tree_slot(&t->file.pages, index, false);
        if (!slot || *slot != ((uintptr_t)page | PAGE_HOME))
            continue;
        if (last || offset + at >= t->inode.i_size ||
            (offset + at >= t->file.lower_size && page_is_untouched(*slot))) {
            *slot = 0;
            continue;
        }
        void *copy;
        err = take_home(t, index, *slot, without, &copy);
        if (err)
            break;
        *slot = (uintptr_t)copy;
        if (copy) {
            t->file.pages.pages++;
            account(t, 1);
            wb_changed(t, offset + at, MIN(offset + at + PAGE_SIZE, t->inode.i_size));
        }
    }
    if (without)
        page_free(without, 1);
    return err;
}

const struct file_operations tmpfs_file_operations = {
    .open = tmpfs_open,
    .read = tmpfs_read,
    .write = tmpfs_write,
    .llseek = tmpfs_llseek,
    .fsync = tmpfs_fsync,
    .fallocate = tmpfs_fallocate,
    .mappable = true,
    .share = tmpfs_share,
    .unshare = tmpfs_unshare,
};
