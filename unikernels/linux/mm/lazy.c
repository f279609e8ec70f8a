#include "mm/lazy.h"

#include <asm/mman.h>

#include "lib/error.h"
#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/rangeset.h"
#include "mm/share.h"

#define CHUNK (64ul << 10) /* filled at a touch: two host calls for each */

/* What is mapped but not filled yet. Processes that both map an address with something missing map the same file there. */
static struct rangeset missing;

bool lazy_add(uaddr_t start, uaddr_t end)
{
    return rangeset_add(&missing, start, end);
}

void lazy_drop(uaddr_t start, uaddr_t end)
{
    rangeset_remove(&missing, start, end);
}

bool lazy_missing(uaddr_t start, uaddr_t end, struct range *found)
{
    return rangeset_first(&missing, start, end, found);
}

/* One piece that lies in one vma and is missing as a whole. */
static int fill(struct mm *mm, const struct vma *v, uaddr_t start, uaddr_t end)
{
    if (!memory_protect(start, end, PROT_READ | PROT_WRITE)) return -ENOMEM;
    for (uaddr_t a = start; a < end;) {
        ssize_t n = file_read_at(v->file, (void *)a, end - a, v->offset + (a - v->start));
        if (n < 0) return -EIO;
        if (!n) break; /* the file's last page ends in zeroes */
        a += (size_t)n;
    }
    rangeset_remove(&missing, start, end);
    return share_protect(mm, start, end, v->prot) ? 0 : -ENOMEM;
}

int lazy_fill(struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct range r;

    while (rangeset_first(&missing, start, end, &r)) {
        const struct vma *v = mm_find(mm, r.start);
        start = r.end;
        if (!v || !v->file) continue; /* another process's */
        start = MIN(r.end, v->end);
        int err = fill(mm, v, r.start, start);
        if (err) return err;
    }
    return 0;
}

bool lazy_fault(struct mm *mm, uaddr_t addr)
{
    struct range r;
    uaddr_t page = PAGE_DOWN(addr);

    if (!rangeset_first(&missing, page, page + PAGE_SIZE, &r)) return false;
    const struct vma *v = mm_find(mm, addr);
    if (!v || !v->file || !v->prot) return false;
    uaddr_t start = MAX(ALIGN_DOWN(addr, CHUNK), v->start), end = MIN(ALIGN_DOWN(addr, CHUNK) + CHUNK, v->end);
    return !lazy_fill(mm, start, end);
}
