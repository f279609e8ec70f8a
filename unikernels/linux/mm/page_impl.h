/* The page table of the allocator, for page.c and kmalloc.c alone. */
#ifndef LINUX_MM_PAGE_IMPL_H
#define LINUX_MM_PAGE_IMPL_H

#include "mm/page.h"

enum page_kind { PAGE_NEVER, PAGE_FREE, PAGE_USED, PAGE_SLAB };

/* Describes a block by its first page. */
struct page {
    uint32_t next, prev; /* on a free list or a slab list: indices */
    uint8_t kind;        /* enum page_kind */
    uint8_t order;
    uint16_t dirty;      /* free: at most so many of its pages may be resident, and not zero */
    uint8_t slab_class;
    uint16_t slab_used;
    uint16_t slab_total;
    void *slab_free;     /* first free object */
    struct page *slab_next, *slab_prev;
};

struct page *page_of(const void *p);

/* At boot: the arena is [start, end), the limit is of kernel and programs together. */
void page_init(uintptr_t start, uintptr_t end, uint64_t limit_bytes);
/*
 * The other accounts, in pages: programs' memory, what they could write to, the
 * host's page tables; and the number of its mappings, which cost less than a page each.
 */
void page_account_user(ssize_t pages);
void page_account_committed(ssize_t pages);
void page_account_tables(size_t pages);
void page_account_mappings(ssize_t n);

#endif
