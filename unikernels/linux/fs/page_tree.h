/*
 * The pages of a file by number: a radix tree that is as high as the file is
 * long, so that a small file costs one page and a sparse one only its data.
 *
 * A slot holds the address of a page. Bit 0 says that the page is a shared
 * mapping's: it lies in the program's memory, and may be read-only or gone there;
 * it is touched through page_read, page_write and page_clear alone, and never freed
 * here.
 */
#ifndef LINUX_FS_PAGE_TREE_H
#define LINUX_FS_PAGE_TREE_H

#include "lib/types.h"

#define PAGE_HOME 1ul

struct page_tree {
    void *root;
    unsigned height; /* 0: root is page 0 itself, or nothing */
    uint64_t pages;  /* that the tree owns */
};

#define PAGE_INDEX_MAX ((1ull << 51) - 1)

/* The slot of a page; NULL: there is none (and create is false, or there is no memory). */
uintptr_t *page_tree_slot(struct page_tree *tree, uint64_t index, bool create);
/* Frees all pages from `index` on; those of mappings are filled with zeros and stay. */
void page_tree_truncate(struct page_tree *tree, uint64_t index);
/* Frees everything; no page may be a mapping's. */
void page_tree_free(struct page_tree *tree);
/* The first page at or after index that is there; false if none. */
bool page_tree_next(const struct page_tree *tree, uint64_t *index);

/* A mapping's page that nobody has touched yet: it is zero, and takes no memory. */
bool page_is_untouched(uintptr_t page);
/* Copies from or to a page of a slot. 0, or -EFAULT where a mapping forbids it. */
int page_read(uintptr_t page, size_t offset, void *to, size_t n);
int page_write(uintptr_t page, size_t offset, const void *from, size_t n);
int page_clear(uintptr_t page, size_t offset, size_t n);

#endif
