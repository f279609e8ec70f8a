#include "mm/lazy.h"

#include <asm/mman.h>

#include "lib/error.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/file_map.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/rangeset.h"
#include "mm/share.h"

/*
 * A touch opens more than its page, for each costs two host calls: the more, the
 * longer touches come in a row; less where the limit is near; and more where the
 * host is about to run out of mappings.
 */
#define CHUNK_MIN (64ul << 10)
#define CHUNK_MAX (2ul << 20)
#define ROOM_SHARE 16      /* of what is left */
#define CROWD_PIECES 8192u /* of them: a chunk grows fourfold for each so many */

/* What the last touch opened, and what it would have: a power of two of pages. */
static struct {
    uaddr_t start, end;
    size_t size;
} last;

static bool from_file(const struct vma *v)
{
    return v->file && !(v->flags & (VMA_SEGMENT | VMA_HOME));
}

/*
 * Nobody has read the file there: what has been is charged. So it is with a page that lay behind the file's end and does
 * not any more, and with one that could not be read when it was asked for.
 */
static bool is_unread(const struct vma *v, uaddr_t page)
{
    return from_file(v) && page < mm_file_end(v) && !charge_pages(page, page + PAGE_SIZE);
}

/* One piece that lies in one vma and is deferred as a whole. */
static int fill(struct mm *mm, const struct vma *v, uaddr_t start, uaddr_t end, bool always)
{
    if (always) {
        memory_open_always(start, end, PROT_READ | PROT_WRITE);
    } else if (from_file(v)) {
        if (!memory_open(start, end, PROT_READ | PROT_WRITE)) return -ENOMEM;
    } else if (!memory_claim(start, end, v->prot)) {
        return -ENOMEM;
    }
    for (uaddr_t a = start; from_file(v) && a < end;) {
        ssize_t n = file_read_at(v->file, (void *)a, end - a, v->offset + (a - v->start));
        if (n < 0) {
            memory_close(start, end);
            return -EIO;
        }
        if (!n) {
            memset((void *)a, 0, end - a); /* the file's last page ends in zeroes, also where the companion is below */
            break;
        }
        a += (size_t)n;
    }
    if (v->flags & VMA_SHARED) return memory_protect(start, end, share_union_prot(mm, start, v->prot)) ? 0 : -ENOMEM;
    return share_protect(mm, start, end, v->prot) ? 0 : -ENOMEM;
}

static int fill_deferred(struct mm *mm, uaddr_t start, uaddr_t end, bool always)
{
    struct range r;

    while (memory_deferred(start, end, &r)) {
        const struct vma *v = mm_find(mm, r.start);
        start = r.end;
        if (!v) continue; /* another process's */
        start = MIN(r.end, v->end);
        int err = fill(mm, v, r.start, start, always);
        if (err) return err;
    }
    return 0;
}

int lazy_fill(struct mm *mm, uaddr_t start, uaddr_t end)
{
    return fill_deferred(mm, start, end, false);
}

static size_t chunk(uaddr_t page)
{
    bool in_a_row = page == last.end || page + PAGE_SIZE == last.start;
    size_t size = in_a_row ? MIN(last.size * 2, CHUNK_MAX) : CHUNK_MIN;
    size_t least = PAGE_SIZE, most = MAX(page_room() / ROOM_SHARE, 1ul) * PAGE_SIZE;

    size = MAX(size, CHUNK_MIN);
    while (size > most) size /= 2;
    for (unsigned n = charge_pieces(); n > CROWD_PIECES; n -= CROWD_PIECES) least = MAX(least * 4, CHUNK_MIN);
    return MIN(MAX(size, least), CHUNK_MAX);
}

static bool is_here(const struct vma *v, uaddr_t start, uaddr_t end)
{
    return !from_file(v) || file_is_here(v->file, v->offset + (start - v->start), end - start);
}

struct file *lazy_missing(struct mm *mm, uaddr_t addr, uint64_t *offset, size_t *len)
{
    struct range r;
    uaddr_t page = PAGE_DOWN(addr);
    const struct vma *v = memory_is_closed() ? mm_find(mm, addr) : NULL;

    if (!v || !from_file(v) || addr >= mm_file_end(v) || is_here(v, page, page + PAGE_SIZE)) return NULL;
    if (!memory_deferred(page, page + PAGE_SIZE, &r) && !is_unread(v, page)) return NULL;
    size_t size = chunk(page);
    uaddr_t start = MAX(ALIGN_DOWN(addr, size), v->start), end = MIN(ALIGN_DOWN(addr, size) + size, mm_file_end(v));
    *offset = v->offset + (start - v->start);
    *len = end - start;
    return file_get(v->file);
}

int lazy_fault(struct mm *mm, uaddr_t addr, int needed, bool always)
{
    struct range r;
    uaddr_t page = PAGE_DOWN(addr);
    /* What can be written or executed can be read, unless the processor knows better: it says so by another fault. */
    int enough = needed == PROT_READ ? PROT_READ | PROT_WRITE | PROT_EXEC : needed;

    if (!memory_is_closed()) return 0;
    const struct vma *v = mm_find(mm, addr);
    if (!v || !(v->prot & enough) || addr >= mm_file_end(v)) return 0;
    if (!memory_deferred(page, page + PAGE_SIZE, &r)) {
        if (!is_unread(v, page)) return 0;
        if (!memory_defer(page, page + PAGE_SIZE)) return -ENOMEM;
    }
    size_t size = always ? PAGE_SIZE : chunk(page);
    for (;; size /= 2) {
        uaddr_t start = MAX(ALIGN_DOWN(addr, size), v->start), end = MIN(ALIGN_DOWN(addr, size) + size, mm_file_end(v));
        /* What would have to be waited for is not read by the way. */
        if (size > PAGE_SIZE && !is_here(v, start, end)) continue;
        int err = fill_deferred(mm, start, end, always);
        if (err == -ENOMEM && size > PAGE_SIZE) continue;
        if (err) return err;
        last.start = start;
        last.end = end;
        last.size = size;
        if (size > PAGE_SIZE && !from_file(v)) memory_note_untouched(start, end);
        return 1;
    }
}
