#include "mm/vma.h"

#include <asm/mman.h>

#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/page_impl.h"

/*
 * A first stack is reserved as a whole where Linux lets it grow, so it does not count: neither limit would be
 * Linux's, and a usual one of 8 MiB is larger than many a program.
 */
static ssize_t counted_pages(const struct vma *v)
{
    return v->flags & VMA_STACK ? 0 : (ssize_t)((v->end - v->start) / PAGE_SIZE);
}

static ssize_t data_pages(const struct vma *v)
{
    return (v->prot & PROT_WRITE) && !(v->flags & VMA_SHARED) ? counted_pages(v) : 0;
}

static void account(struct mm *mm, const struct vma *v, int sign)
{
    ssize_t data = sign * data_pages(v);

    mm->pages += (size_t)(sign * counted_pages(v));
    mm->data_pages += (size_t)data;
    page_account_committed(data);
}

unsigned vma_index(const struct mm *mm, uaddr_t addr)
{
    unsigned low = 0, high = mm->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (mm->vmas[mid].end <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct vma *mm_find(struct mm *mm, uaddr_t addr)
{
    unsigned i = vma_index(mm, addr);

    return i < mm->count && mm->vmas[i].start <= addr ? &mm->vmas[i] : NULL;
}

bool vma_range_free(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    unsigned i = vma_index(mm, start);

    return i == mm->count || mm->vmas[i].start >= end;
}

bool vma_range_full(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    for (unsigned i = vma_index(mm, start); start < end; start = mm->vmas[i++].end)
        if (i == mm->count || mm->vmas[i].start > start) return false;
    return true;
}

static bool make_room(struct mm *mm, unsigned at)
{
    if (mm->count == mm->capacity) {
        unsigned capacity = mm->capacity ? mm->capacity * 2 : 64;
        struct vma *vmas = krealloc(mm->vmas, capacity * sizeof *vmas);
        if (!vmas) return false;
        mm->vmas = vmas;
        mm->capacity = capacity;
    }
    memmove(mm->vmas + at + 1, mm->vmas + at, (mm->count - at) * sizeof *mm->vmas);
    mm->count++;
    page_account_mappings(1);
    return true;
}

static void drop(struct mm *mm, unsigned i)
{
    memmove(mm->vmas + i, mm->vmas + i + 1, (mm->count - i - 1) * sizeof *mm->vmas);
    mm->count--;
    page_account_mappings(-1);
}

static bool split_at(struct mm *mm, uaddr_t addr)
{
    unsigned i = vma_index(mm, addr);

    if (i == mm->count || mm->vmas[i].start >= addr) return true;
    if (!make_room(mm, i)) return false;
    struct vma *low = &mm->vmas[i], *high = low + 1;
    low->end = addr;
    high->start = addr;
    if (high->file) {
        file_get(high->file);
        high->offset += addr - low->start;
    }
    return true;
}

bool vma_split(struct mm *mm, uaddr_t start, uaddr_t end)
{
    return split_at(mm, start) && split_at(mm, end);
}

static bool can_join(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->file == b->file &&
           !a->aliases && !b->aliases && (!a->file || a->offset + (a->end - a->start) == b->offset);
}

void vma_join(struct mm *mm, uaddr_t start, uaddr_t end)
{
    unsigned i = vma_index(mm, start ? start - 1 : 0);

    while (i + 1 < mm->count && mm->vmas[i].start < end) {
        struct vma *a = &mm->vmas[i], *b = a + 1;
        if (!can_join(a, b)) {
            i++;
            continue;
        }
        a->end = b->end;
        if (b->file) file_put(b->file);
        drop(mm, i + 1);
    }
}

bool vma_insert(struct mm *mm, const struct vma *vma)
{
    unsigned i = vma_index(mm, vma->start);

    if (!make_room(mm, i)) return false;
    mm->vmas[i] = *vma;
    account(mm, vma, 1);
    vma_join(mm, vma->start, vma->end + 1);
    return true;
}

void vma_erase(struct mm *mm, unsigned i)
{
    struct file *file = mm->vmas[i].file;

    account(mm, &mm->vmas[i], -1);
    drop(mm, i);
    if (file) file_put(file);
}

void vma_set_prot(struct mm *mm, struct vma *vma, int prot)
{
    account(mm, vma, -1);
    vma->prot = prot;
    if (prot & PROT_WRITE) vma->flags |= VMA_WRITTEN;
    account(mm, vma, 1);
}
