/*
 * Pages of remote files: what is kept of what was read, and what programs have mapped.
 *
 * Kept pages are the server's bytes as they were when the attributes were last
 * looked at; nothing is ever only here. They go with the file's next change, or when there
 * are too many, the files' that were not used for longest first.
 *
 * Pages of a shared mapping lie in the program's memory (PAGE_HOME), where it can change
 * them without anybody noticing. So a mapping remembers a hash of each page as it came
 * from the server; at msync, fsync and the mapping's end those that have another one are written.
 */
#include <linux/fcntl.h>

#include "fs/remote.h"
#include "lib/random.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/page.h"

#define PAGES_MAX (64u << 10) /* kept, of all files: 256 MiB, and a quarter of memory */
#define WRITE_PAGES (WINDOW_UNIT / PAGE_SIZE)

struct mapping {
    struct list link; /* remote_inode.mappings */
    uint64_t first, count, left; /* pages: number of the first, how many, how many are still mapped */
    uint8_t *home;
    uint64_t hash[]; /* of each page as the server has it */
};

static struct {
    struct list inodes; /* remote_inode.lru: last used last */
    uint64_t pages;
    const struct remote_inode *copying; /* a program reads its pages, and may fault on its own meanwhile */
} cache = {.inodes = {&cache.inodes, &cache.inodes}};

/* ---- kept pages ---- */

uint64_t remote_kept_pages(void)
{
    return cache.pages;
}

static void unlist(struct remote_inode *ri)
{
    list_del(&ri->lru);
    list_init(&ri->lru);
}

void remote_forget_pages(struct remote_inode *ri)
{
    uint64_t index = 0;

    if (list_empty(&ri->lru))
        return;
    cache.pages -= ri->pages.pages;
    if (!ri->homed) {
        page_tree_free(&ri->pages);
    } else {
        for (; page_tree_next(&ri->pages, &index); index++) {
            uintptr_t *slot = page_tree_slot(&ri->pages, index, false);
            if (*slot & PAGE_HOME)
                continue;
            page_free((void *)*slot, 1);
            *slot = 0;
        }
        ri->pages.pages = 0;
    }
    unlist(ri);
}

bool file_cache_drop(void)
{
    struct remote_inode *ri, *next;
    bool any = false;

    list_for_each_safe(ri, next, &cache.inodes, lru) {
        if (ri == cache.copying)
            continue;
        remote_forget_pages(ri);
        any = true;
    }
    return any;
}

static uint64_t pages_max(void)
{
    struct page_stats stats;

    page_stats(&stats);
    return MIN(PAGES_MAX, stats.total / 4);
}

/* Room for one more; false: there is none but the inode's own. */
static bool make_room(const struct remote_inode *ri)
{
    while (cache.pages >= pages_max()) {
        if (list_empty(&cache.inodes))
            return false;
        struct remote_inode *oldest = list_first(&cache.inodes, struct remote_inode, lru);
        if (oldest == ri)
            return false;
        remote_forget_pages(oldest);
    }
    return true;
}

static bool keep_page(struct remote_inode *ri, uint64_t index, const uint8_t *data, size_t len)
{
    uintptr_t *slot = page_tree_slot(&ri->pages, index, true);

    if (!slot)
        return false;
    if (*slot)
        return true; /* mapped, or another reader was faster */
    uint8_t *page = page_alloc(1);
    if (!page)
        return false;
    memcpy(page, data, len);
    memset(page + len, 0, PAGE_SIZE - len);
    *slot = (uintptr_t)page;
    ri->pages.pages++;
    cache.pages++;
    return true;
}

void remote_keep(struct remote_inode *ri, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;

    unlist(ri);
    for (size_t at = 0; at < len; at += PAGE_SIZE) {
        if (!make_room(ri) || !keep_page(ri, (offset + at) >> PAGE_SHIFT, from + at, MIN(PAGE_SIZE, len - at)))
            break;
    }
    if (ri->pages.pages)
        list_add_tail(&cache.inodes, &ri->lru);
}

void remote_update(struct remote_inode *ri, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t skip = offset % PAGE_SIZE, part = MIN(len, PAGE_SIZE - skip);
        uintptr_t *slot = page_tree_slot(&ri->pages, offset >> PAGE_SHIFT, false);
        if (slot)
            page_write(*slot, skip, from, part);
        offset += part;
        from += part;
        len -= part;
    }
}

bool remote_is_kept(struct remote_inode *ri, uint64_t offset, size_t len)
{
    uint64_t end = MIN(offset + len, ri->inode.i_size);

    for (uint64_t page = PAGE_DOWN(offset); page < end; page += PAGE_SIZE) {
        if (!page_tree_slot(&ri->pages, page >> PAGE_SHIFT, false))
            return false;
    }
    return true;
}

ssize_t remote_read_kept(struct remote_inode *ri, uint64_t pos, size_t want, struct iov_iter *to)
{
    size_t done = 0;

    while (done < want) {
        const uintptr_t *slot = page_tree_slot(&ri->pages, (pos + done) >> PAGE_SHIFT, false);
        size_t skip = (pos + done) % PAGE_SIZE, part = MIN(want - done, PAGE_SIZE - skip);
        char step[256];
        if (!slot)
            break;
        /* A mapped page is looked at in small steps: it may be closed, and a copy goes over our stack. */
        if (*slot & PAGE_HOME) {
            part = MIN(part, sizeof(step));
            if (page_read(*slot, skip, step, part))
                return done ? (ssize_t)done : -EFAULT;
        }
        cache.copying = ri;
        ssize_t n = copy_to_iter(to, *slot & PAGE_HOME ? step : (const char *)*slot + skip, part);
        cache.copying = NULL;
        if (n <= 0)
            return done ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < part)
            break;
    }
    return (ssize_t)done;
}

void remote_truncate_pages(struct remote_inode *ri, uint64_t size)
{
    uint64_t before = ri->pages.pages;

    page_tree_truncate(&ri->pages, PAGE_UP(size) >> PAGE_SHIFT);
    cache.pages -= before - ri->pages.pages;
    if (size % PAGE_SIZE) {
        uintptr_t *slot = page_tree_slot(&ri->pages, size >> PAGE_SHIFT, false);
        if (slot)
            page_clear(*slot, size % PAGE_SIZE, PAGE_SIZE - size % PAGE_SIZE);
    }
    if (!ri->pages.pages)
        unlist(ri);
}

/* ---- mapped pages ---- */

static uint64_t hash_page(const void *page)
{
    static uint64_t secret;
    const uint64_t *word = page;
    uint64_t lane[4];

    if (!secret)
        random_bytes(&secret, sizeof(secret));
    for (unsigned i = 0; i < 4; i++)
        lane[i] = secret + i;
    for (size_t i = 0; i < PAGE_SIZE / 8; i += 4) {
        for (unsigned l = 0; l < 4; l++) {
            lane[l] = (lane[l] ^ word[i + l]) * 0x9e3779b97f4a7c15ull;
            lane[l] ^= lane[l] >> 29;
        }
    }
    return (lane[0] ^ lane[1] * 3) + (lane[2] ^ lane[3] * 5) * 0xff51afd7ed558ccdull;
}

static struct mapping *find_mapping(const struct remote_inode *ri, uint64_t index)
{
    struct mapping *m;

    list_for_each(m, &ri->mappings, link) {
        if (index >= m->first && index < m->first + m->count)
            return m;
    }
    return NULL;
}

/* The first page from index on that a mapping may have; end: none. */
static uint64_t next_mapped(const struct remote_inode *ri, uint64_t index, uint64_t end)
{
    struct mapping *m;
    uint64_t next = end;

    list_for_each(m, &ri->mappings, link) {
        if (m->first + m->count > index)
            next = MIN(next, MAX(index, m->first));
    }
    return next;
}

/* All of the range is mapped somewhere already, and in one piece: EEXIST; a part is: ENOMEM; 0. */
static int check_homes(const struct remote_inode *ri, uint64_t first, uint64_t count, void **existing)
{
    uintptr_t begin = 0;
    uint64_t homed = 0;

    for (uint64_t n = 0; n < count; n++) {
        const uintptr_t *slot = page_tree_slot((struct page_tree *)&ri->pages, first + n, false);
        if (!slot || !(*slot & PAGE_HOME))
            continue;
        uintptr_t base = (*slot & ~PAGE_HOME) - (n << PAGE_SHIFT);
        if (homed++ == 0)
            begin = base;
        if (base != begin)
            return -ENOMEM;
    }
    if (!homed)
        return 0;
    *existing = (void *)begin;
    return homed == count ? -EEXIST : -ENOMEM;
}

/* The file's bytes into the mapping: zeros stay where it has none. */
static int fill(struct file *file, uint64_t offset, size_t len, void *home)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    size_t got = 0;

    if (offset >= file->f_inode->i_size)
        return 0;
    len = MIN(len, file->f_inode->i_size - offset);
    if (remote_is_kept(ri, offset, len)) {
        struct iov_iter to;
        iov_iter_kernel(&to, home, len);
        return remote_read_kept(ri, offset, len, &to) == (ssize_t)len ? 0 : -EIO;
    }
    return remote_read_in_place(remote_file(file)->fid, offset, home, len, &got);
}

int remote_share(struct file *file, uint64_t offset, size_t len, void *home, void **existing)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    uint64_t first = offset >> PAGE_SHIFT, count = len >> PAGE_SHIFT;
    int err = check_homes(ri, first, count, existing);

    if (err)
        return err;
    struct mapping *m = kmalloc(sizeof(*m) + count * sizeof(m->hash[0]));
    if (!m)
        return -ENOMEM;
    for (uint64_t n = 0; n < count && !err; n++) {
        if (!page_tree_slot(&ri->pages, first + n, true))
            err = -ENOMEM;
    }
    if (!err)
        err = fill(file, offset, len, home);
    if (err) {
        kfree(m);
        return err;
    }
    m->first = first;
    m->count = m->left = count;
    m->home = home;
    for (uint64_t n = 0; n < count; n++) {
        uint8_t *page = m->home + (n << PAGE_SHIFT);
        uintptr_t *slot = page_tree_slot(&ri->pages, first + n, true);
        if (*slot) {
            page_free((void *)*slot, 1);
            ri->pages.pages--;
            cache.pages--;
        }
        m->hash[n] = hash_page(page);
        *slot = (uintptr_t)page | PAGE_HOME;
    }
    ri->homed += count;
    list_add_tail(&ri->mappings, &m->link);
    return 0;
}

/* Up to `max` changed pages in a row into the window, and how they look there: their number; index is moved to the first. */
static unsigned collect(const struct remote_inode *ri, uint64_t *index, uint64_t end, const struct window *w,
                        uint64_t *hashes)
{
    unsigned n = 0;

    while (*index + n < end && n < WRITE_PAGES) {
        if (!n && (*index = next_mapped(ri, *index, end)) == end)
            break;
        uintptr_t *slot = page_tree_slot((struct page_tree *)&ri->pages, *index + n, false);
        const struct mapping *m = slot && *slot & PAGE_HOME ? find_mapping(ri, *index + n) : NULL;
        uint8_t *copy = (uint8_t *)window_data(w) + n * PAGE_SIZE;
        if (m && !page_read(*slot, 0, copy, PAGE_SIZE)) {
            hashes[n] = hash_page(copy);
            if (hashes[n] != m->hash[*index + n - m->first]) {
                n++;
                continue;
            }
        }
        if (n)
            break;
        ++*index;
    }
    return n;
}

static int write_collected(struct remote_inode *ri, uint64_t index, unsigned n, const struct window *w)
{
    uint64_t offset = index << PAGE_SHIFT, size = ri->inode.i_size;
    remote_reply reply;

    if (offset >= size)
        return 0; /* what lies behind the end is nowhere: mmap(2) */
    remote_request request = remote_request_new(FILES_WRITE, ri->own_fid);
    request.offset = offset;
    request.size = MIN((uint64_t)n * PAGE_SIZE, size - offset);
    request.window = window_offset(w);
    int err = rpc_call(&request, NULL, NULL, &reply);
    if (!err) {
        remote_drop_ahead_of(ri);
        remote_apply(ri, &reply, true);
    }
    return err;
}

static int write_range(struct remote_inode *ri, uint64_t index, uint64_t end, const struct window *w)
{
    uint64_t hashes[WRITE_PAGES];
    unsigned n;

    for (; index < end && (n = collect(ri, &index, end, w, hashes)); index += n) {
        int err = remote_own_handle(ri);
        if (!err)
            err = write_collected(ri, index, n, w);
        if (err)
            return err;
        for (unsigned i = 0; i < n; i++) {
            struct mapping *m = find_mapping(ri, index + i);
            if (m)
                m->hash[index + i - m->first] = hashes[i];
        }
    }
    return 0;
}

int remote_writeback(struct remote_inode *ri, uint64_t offset, uint64_t end)
{
    struct window w;

    if (!ri->homed)
        return 0;
    if (!window_take(&w, WINDOW_UNIT))
        return -EIO;
    uint64_t last = PAGE_UP(MIN(end, ri->inode.i_size));
    int err = write_range(ri, offset >> PAGE_SHIFT, last >> PAGE_SHIFT, &w);
    window_give(&w);
    return err;
}

int remote_unshare(struct file *file, uint64_t offset, size_t len, void *home)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    int err = remote_writeback(ri, offset, offset + len);

    for (size_t at = 0; at < len; at += PAGE_SIZE) {
        uint64_t index = (offset + at) >> PAGE_SHIFT;
        uintptr_t *slot = page_tree_slot(&ri->pages, index, false);
        if (!slot || *slot != (((uintptr_t)home + at) | PAGE_HOME))
            continue;
        struct mapping *m = find_mapping(ri, index);
        *slot = 0;
        ri->homed--;
        if (m && --m->left == 0) {
            list_del(&m->link);
            kfree(m);
        }
    }
    return err;
}
