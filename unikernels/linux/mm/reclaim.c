/*
 * Memory is opened in larger pieces than it is touched, and charged with that.
 * Whether somebody has touched a page since, the host does not say; but a page
 * that holds nothing but zeroes can be closed again whoever has, for whoever
 * touches it next finds zeroes.
 */
#include "mm/reclaim.h"

#include <asm/mman.h>

#include "mm/charge.h"
#include "mm/kmalloc.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/vma.h"

/*
 * A hole between pages that are in use costs the host two mappings, of which a process may have 65530: holes are
 * larger, the more there are, and there is an end to them.
 */
#define PIECES_PER_PAGE 4096u
#define PIECES_MAX 16384u

/* Memory of v that can be closed without anybody noticing: its first touch finds zeroes, and it is readable where it lies. */
static bool can_close(const struct vma *v)
{
    return (!v->file || v->flags & VMA_HOME) && !(v->flags & VMA_VDSO) && v->prot & (PROT_READ | PROT_WRITE);
}

/* Closes the pages of [start, end), a part of a charged piece, that hold nothing. */
static size_t close_zeroes(const struct range *piece, uaddr_t start, uaddr_t end)
{
    size_t closed = 0;

    for (uaddr_t a = start, to; a < end; a = to + PAGE_SIZE) {
        for (to = a; to < end && page_is_zero((const void *)to); to += PAGE_SIZE) continue;
        if (to == a) continue;
        bool hole = a != piece->start && to != piece->end;
        unsigned pieces = charge_pieces();
        if (hole && (pieces >= PIECES_MAX || (to - a) / PAGE_SIZE <= pieces / PIECES_PER_PAGE)) continue;
        if (!memory_close(a, to)) break;
        closed += (to - a) / PAGE_SIZE;
    }
    return closed;
}

/* Whoever has something at [start, end) could not tell the difference either. */
static bool all_can_close(uaddr_t start, uaddr_t end)
{
    const struct mm *mm;

    if (memory_in_companion(start, end)) return false; /* what is discarded there is the file again */
    list_for_each(mm, mm_all(), all_link)
        for (unsigned i = vma_index(mm, start); i < mm->count && mm->vmas[i].start < end; i++)
            if (!can_close(&mm->vmas[i])) return false;
    return true;
}

/* A part of a mapping of mm's. What processes have in common is in place for all; what differs between them is left. */
static size_t reclaim_mapping(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct range charged, deferred;
    size_t closed = 0;

    if (!all_can_close(start, end)) return 0;
    for (; charge_first(start, end, &charged); start = charged.end) {
        for (uaddr_t from = charged.start, to; from < charged.end; from = to + PAGE_SIZE) {
            to = share_first_claimed(mm, from, charged.end);
            if (!memory_deferred(from, to, &deferred)) closed += close_zeroes(&charged, from, to);
        }
    }
    return closed;
}

size_t reclaim_untouched(void)
{
    struct rangeset all = memory_take_untouched();
    const struct mm *mm;
    size_t closed = 0;

    for (unsigned n = 0; n < all.count; n++) {
        const struct range *r = &all.ranges[n];
        list_for_each(mm, mm_all(), all_link) {
            for (unsigned i = vma_index(mm, r->start); i < mm->count && mm->vmas[i].start < r->end; i++) {
                const struct vma *v = &mm->vmas[i];
                closed += reclaim_mapping(mm, MAX(v->start, r->start), MIN(v->end, r->end));
            }
        }
    }
    kfree(all.ranges);
    return closed;
}
