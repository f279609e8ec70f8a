/*
 * Whole pages of kernel memory: page cache, kernel stacks, big tables.
 *
 * A buddy allocator over the kernel's arena at the top of guest memory. Pages
 * count against the container's memory limit while they are held, or free but
 * not given back to the host. Big free blocks are, where it grants memctl.
 */
#ifndef LINUX_MM_PAGE_H
#define LINUX_MM_PAGE_H

#include "lib/types.h"

#define PAGE_ALLOC_MAX (1024ul) /* pages in one allocation: 4 MiB */

/* n pages in a row (rounded up to a power of two); content undefined; NULL if none. */
void *page_alloc(size_t n);
void *page_alloc_zeroed(size_t n);
void page_free(void *p, size_t n);
bool page_is_zero(const void *page);

/* Memory accounting in pages, for sysinfo, /proc/meminfo and tmpfs' size. */
struct page_stats {
    size_t total;     /* the limit */
    size_t kernel;    /* page cache, stacks, tables; and what the host needs to map all of it and programs' memory */
    size_t user;      /* programs' memory that may be resident: mm/charge.h */
    size_t committed; /* what each process may write to privately, touched or not */
};
void page_stats(struct page_stats *out);
/* Pages that programs and files may still take: the last few are for the kernel's own tables. */
size_t page_room(void);
/* Another limit of kernel and programs together. False: they have more, and it stays as it was. */
bool page_set_limit(uint64_t bytes);
/* There is room for n: now, or once all that is free has been given back to the host. */
bool page_make_room(size_t n);

#endif
