#include "fs/page_tree.h"

#include <linux/mman.h>

#include "boot/host.h"
#include "lib/string.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/rangeset.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define FANOUT_BITS 9
#define FANOUT (1u << FANOUT_BITS)

static uint64_t reach(unsigned height)
{
    return 1ull << (FANOUT_BITS * height);
}

uintptr_t *page_tree_slot(struct page_tree *tree, uint64_t index, bool create)
{
    if (index > PAGE_INDEX_MAX)
        return NULL;
    while (index >= reach(tree->height)) {
        if (!create)
            return NULL;
        if (tree->root) {
            uintptr_t *node = page_alloc_zeroed(1);
            if (!node)
                return NULL;
            node[0] = (uintptr_t)tree->root;
            tree->root = node;
        }
        tree->height++;
    }
    uintptr_t *slot = (uintptr_t *)&tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        if (!*slot) {
            if (!create)
                return NULL;
            *slot = (uintptr_t)page_alloc_zeroed(1);
            if (!*slot)
                return NULL;
        }
        slot = (uintptr_t *)*slot + (index >> (FANOUT_BITS * (level - 1)) & (FANOUT - 1));
    }
    return create || *slot ? slot : NULL;
}

/* True: the slot is empty now, with all below it. */
static bool truncate_slot(struct page_tree *tree, uintptr_t *slot, unsigned level, uint64_t first,
                          uint64_t from)
{
    if (!*slot)
        return true;
    if (level == 0) {
        if (first < from)
            return false;
        if (*slot & PAGE_HOME) {
            page_clear(*slot, 0, PAGE_SIZE);
            /* Behind the file's end: touching it is SIGBUS until the file grows again. */
            memory_protect(*slot & ~PAGE_HOME, (*slot & ~PAGE_HOME) + PAGE_SIZE, PROT_NONE);
            return false;
        }
        page_free((void *)*slot, 1);
        tree->pages--;
        *slot = 0;
        return true;
    }
    uint64_t step = reach(level - 1);
    uintptr_t *node = (uintptr_t *)*slot;
    bool empty = true;
    for (uint64_t n = 0; n < FANOUT; n++) {
        if (first + (n + 1) * step <= from)
            empty &= node[n] == 0;
        else
            empty &= truncate_slot(tree, &node[n], level - 1, first + n * step, from);
    }
    if (!empty)
        return false;
    page_free(node, 1);
    *slot = 0;
    return true;
}

void page_tree_truncate(struct page_tree *tree, uint64_t index)
{
    if (truncate_slot(tree, (uintptr_t *)&tree->root, tree->height, 0, index))
        tree->height = 0;
}

void page_tree_free(struct page_tree *tree)
{
    page_tree_truncate(tree, 0);
}

static bool next_in(uintptr_t slot, unsigned level, uint64_t first, uint64_t *index)
{
    if (!slot)
        return false;
    if (level == 0)
        return true;
    uint64_t step = reach(level - 1);
    for (uint64_t n = *index > first ? (*index - first) / step : 0; n < FANOUT; n++) {
        uint64_t begin = first + n * step;
        if (*index < begin)
            *index = begin;
        if (next_in(((uintptr_t *)slot)[n], level - 1, begin, index))
            return true;
    }
    return false;
}

bool page_tree_next(const struct page_tree *tree, uint64_t *index)
{
    return *index < reach(tree->height) && next_in((uintptr_t)tree->root, tree->height, 0, index);
}

/*
 * A mapping's page that its program may not read or write itself: read(2) and
 * write(2) on the file still may. Opened for the moment; a page is copied within
 * one call, so that no program runs meanwhile.
 */
static int open_home(uintptr_t addr, void *to, const void *from, size_t n)
{
    const struct vma *vma = mm_find(current->process->mm, addr);
    uintptr_t page = addr & PAGE_MASK;

    if (!memory_open(page, page + PAGE_SIZE, PROT_READ | PROT_WRITE) && !vma)
        return -EFAULT;
    memcpy(to, from, n);
    host_mprotect(page, PAGE_SIZE, vma ? vma->prot : PROT_READ);
    return 0;
}

bool page_is_untouched(uintptr_t page)
{
    uaddr_t at = page & ~PAGE_HOME;
    struct range r;

    return page & PAGE_HOME && memory_deferred(at, at + PAGE_SIZE, &r);
}

int page_read(uintptr_t page, size_t offset, void *to, size_t n)
{
    uintptr_t at = (page & ~PAGE_HOME) + offset;

    if (page_is_untouched(page)) {
        memset(to, 0, n);
        return 0;
    }
    if (page & PAGE_HOME)
        return copy_from_user(to, at, n) ? open_home(at, to, (const void *)at, n) : 0;
    memcpy(to, (const void *)at, n);
    return 0;
}

int page_write(uintptr_t page, size_t offset, const void *from, size_t n)
{
    uintptr_t at = (page & ~PAGE_HOME) + offset;

    if (page & PAGE_HOME)
        return copy_to_user(at, from, n) ? open_home(at, (void *)at, from, n) : 0;
    memcpy((void *)at, from, n);
    return 0;
}

int page_clear(uintptr_t page, size_t offset, size_t n)
{
    static const char zeros[256];

    if (!(page & PAGE_HOME)) {
        memset((char *)page + offset, 0, n);
        return 0;
    }
    if (page_is_untouched(page))
        return 0;
    while (n > 0) {
        size_t part = MIN(n, sizeof(zeros));
        int err = page_write(page, offset, zeros, part);
        if (err)
            return err;
        offset += part;
        n -= part;
    }
    return 0;
}
