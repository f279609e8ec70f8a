/*
 * Whole pages of kernel memory: page cache, kernel stacks, big tables.
 *
 * A buddy allocator over the kernel's arena at the top of guest memory. Pages
 * count against the container's memory limit while they are held. Big free
 * blocks go back to the host where it grants memctl.
 */
#ifndef LINUX_MM_PAGE_H
#define LINUX_MM_PAGE_H

#include "lib/types.h"

#define PAGE_ALLOC_MAX (1024ul) /* pages in one allocation: 4 MiB */

/* n pages in a row (rounded up to a power of two); content undefined; NULL if none. */
void *page_alloc(size_t n);
void *page_alloc_zeroed(size_t n);
void page_free(void *p, size_t n);

/* Memory accounting in pages, for sysinfo, /proc/meminfo and tmpfs' size. */
struct page_stats {
    size_t total;  /* the limit */
    size_t kernel; /* held by the kernel: page cache, stacks, tables */
    size_t user;   /* mapped writable by programs (an upper bound of what is resident) */
};
void page_stats(struct page_stats *out);

#endif
