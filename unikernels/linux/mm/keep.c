#include "mm/keep.h"

#include <asm/mman.h>

#include "boot/layout.h"
#include "mm/charge.h"
#include "mm/file_map.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/vma.h"

#define PART_MIN (16 * PAGE_SIZE) /* less is not worth a mapping */
#define PARTS_MAX 64u
/*
 * Of all memory: what is kept, and touched by those that had it. Who joins it is charged with it, touched again or
 * not, so it is to be little.
 */
#define SHARE_MAX 16u

static struct mm *kept; /* on the list of all memories; no process has it */

/* Somebody has it, nobody could have written to it, and it is the image's: then it is what the next one would read. */
static bool is_text(const struct vma *v)
{
    return v->flags & VMA_KEEP && !(v->flags & (VMA_SHARED | VMA_WRITTEN | VMA_SEGMENT)) && !(v->prot & PROT_WRITE) &&
           v->file && file_is_pristine(v->file);
}

static bool has_room(uaddr_t start, uaddr_t end)
{
    size_t pages = charge_pages(start, end);
    struct page_stats stats;

    for (unsigned i = 0; i < kept->count; i++) pages += charge_pages(kept->vmas[i].start, kept->vmas[i].end);
    page_stats(&stats);
    return kept->count < PARTS_MAX && pages <= stats.total / SHARE_MAX;
}

/* Takes part of a mapping over: another open file of the same, for nobody executes it any more. */
static void keep_part(const struct vma *v, uaddr_t start, uaddr_t end)
{
    if (end - start < PART_MIN || !vma_range_free(kept, start, end) || !has_room(start, end)) return;
    struct vma part = {.start = start, .end = end, .prot = v->prot, .flags = VMA_KEEP, .file = file_twin(v->file),
                       .offset = v->offset + (start - v->start)};
    if (part.file && !vma_insert(kept, &part)) file_put(part.file);
}

void keep_text(const struct mm *mm)
{
    if (!memory_is_closed()) return;
    for (unsigned i = 0; i < mm->count; i++) {
        const struct vma *v = &mm->vmas[i];
        if (!is_text(v)) continue;
        if (!kept) kept = mm_new();
        if (!kept) return;
        /* Pages that others have something else at would be copies in kernel memory. */
        for (uaddr_t at = v->start, to; at < v->end; at = to + PAGE_SIZE) {
            to = share_first_claimed(mm, at, v->end);
            keep_part(v, at, to);
        }
    }
}

static bool same(const struct vma *k, uaddr_t at, const struct file *file, uint64_t offset, int prot)
{
    return file && k->prot == prot && file_is_same(k->file, file) && file_is_pristine(k->file) &&
           k->offset + (at - k->start) == offset;
}

void keep_yield(uaddr_t start, uaddr_t end, const struct file *file, uint64_t offset, int prot)
{
    if (!kept || !kept->count) return;
    for (uaddr_t at = start; at < end;) {
        unsigned i = vma_index(kept, at);
        if (i == kept->count || kept->vmas[i].start >= end) return;
        const struct vma *k = &kept->vmas[i];
        uaddr_t from = MAX(k->start, at), to = MIN(k->end, end);
        if (!same(k, from, file, offset + (from - start), prot)) mm_unmap(kept, from, to - from);
        at = to;
    }
}

bool keep_any(void)
{
    return kept && kept->count;
}

bool keep_drop(void)
{
    if (!keep_any()) return false;
    mm_unmap(kept, USER_START, mm_user_end() - USER_START);
    return true;
}
