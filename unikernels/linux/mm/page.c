/*
 * A buddy allocator that grows: the arena is reserved address space, and only
 * what lies below the frontier has been handed to the free lists, so that an
 * unused arena costs neither memory nor time.
 *
 * Invariants: a free block of order n is aligned to 2^n pages of the arena; its
 * buddy is not free with the same order. Of free blocks of RELEASE_ORDER and more
 * no more than RELEASE_DIRTY pages have not been given back to the host, so that a
 * page that comes and goes costs no host call. What has been reads as zero.
 */
#include "mm/page_impl.h"

#include "boot/host_wait.h"
#include "entry/entry.h"
#include "lib/print.h"
#include "lib/string.h"

#define MAX_ORDER 10
#define RELEASE_ORDER 5 /* 128 KiB */
#define RELEASE_DIRTY 16
#define NONE 0xffffffffu
#define MAPPING_BYTES 512 /* of the host's memory for one of its mappings: a vm_area_struct, nodes of trees, its anon_vma */
#define RESERVE_MAX 512   /* pages that are left to the kernel when programs have taken all others */
#define RESERVE_SHARE 16  /* of the limit, where that is less */
#define LOW_SHARE 8       /* less left than this part of the limit: what nobody touched is to be given back */

static struct {
    uintptr_t base;        /* of page 0 */
    uint32_t total;        /* pages of the arena */
    uint32_t frontier;     /* pages below have been in use or are on a list */
    uint32_t free_head[MAX_ORDER + 1];
    struct page *pages;
    size_t limit;          /* pages, of kernel and programs together */
    size_t reserve;
    size_t held;           /* pages given out */
    size_t dirty;          /* pages that are free and may be resident */
    size_t low_at;         /* held when memory was found to be low, or some more */
    size_t user, committed, tables, mappings; /* page_account_* */
} arena;

/* Describing one more piece of the arena: its entries in `pages`, and the host's page tables for it and for them. */
#define GROW_TABLES (PAGE_UP((sizeof(struct page) << MAX_ORDER)) / PAGE_SIZE + (1u << MAX_ORDER) / 512)

void page_init(uintptr_t start, uintptr_t end, uint64_t limit_bytes)
{
    size_t pages = (end - start) / PAGE_SIZE;
    size_t table = PAGE_UP(pages * sizeof(struct page));
    uintptr_t base = ALIGN_UP(start + table, PAGE_SIZE << MAX_ORDER);

    ASSERT(base < end);
    host_mprotect(start, end - start, 3);
    arena.pages = (struct page *)start;
    arena.base = base;
    arena.total = (uint32_t)((end - base) / PAGE_SIZE) & ~((1u << MAX_ORDER) - 1);
    for (int i = 0; i <= MAX_ORDER; i++) arena.free_head[i] = NONE;
    page_set_limit(limit_bytes);
}

static size_t kernel_pages(void)
{
    return arena.held + arena.tables + arena.mappings * MAPPING_BYTES / PAGE_SIZE;
}

size_t page_room(void)
{
    size_t used = kernel_pages() + arena.dirty + arena.user + arena.reserve;

    return arena.limit - MIN(arena.limit, used);
}

struct page *page_of(const void *p)
{
    uintptr_t a = (uintptr_t)p;

    ASSERT(a >= arena.base && (a - arena.base) / PAGE_SIZE < arena.frontier);
    return &arena.pages[(a - arena.base) / PAGE_SIZE];
}

static void *address(uint32_t i)
{
    return (void *)(arena.base + (uintptr_t)i * PAGE_SIZE);
}

static void list_push(uint32_t i, unsigned order, size_t dirty)
{
    struct page *p = &arena.pages[i];
    uint32_t head = arena.free_head[order];

    *p = (struct page){.kind = PAGE_FREE, .order = (uint8_t)order, .next = head, .prev = NONE,
                      .dirty = (uint16_t)dirty};
    arena.dirty += dirty;
    if (head != NONE) arena.pages[head].prev = i;
    arena.free_head[order] = i;
}

static void list_remove(uint32_t i)
{
    struct page *p = &arena.pages[i];

    if (p->prev != NONE)
        arena.pages[p->prev].next = p->next;
    else
        arena.free_head[p->order] = p->next;
    if (p->next != NONE) arena.pages[p->next].prev = p->prev;
    arena.dirty -= p->dirty;
    p->kind = PAGE_USED;
}

static bool grow(void)
{
    if (arena.frontier + (1u << MAX_ORDER) > arena.total) return false;
    list_push(arena.frontier, MAX_ORDER, 0);
    arena.frontier += 1u << MAX_ORDER;
    arena.tables += GROW_TABLES;
    return true;
}

static unsigned order_of(size_t n)
{
    unsigned order = 0;

    while (1ul << order < n) order++;
    return order;
}

/* Gives back to the host what is free. */
static void trim(void)
{
    for (unsigned order = 0; order <= MAX_ORDER && arena.dirty; order++) {
        for (uint32_t i = arena.free_head[order]; i != NONE; i = arena.pages[i].next) {
            struct page *p = &arena.pages[i];
            if (!p->dirty || !host_discard((uintptr_t)address(i), PAGE_SIZE << order)) continue;
            arena.dirty -= p->dirty;
            p->dirty = 0;
        }
    }
}

bool page_make_room(size_t n)
{
    if (likely(n <= page_room())) return true;
    trim();
    return n <= page_room();
}

bool page_set_limit(uint64_t bytes)
{
    size_t limit = bytes / PAGE_SIZE, used = kernel_pages() + arena.user;

    if (used + arena.dirty > limit) trim();
    if (used + arena.dirty > limit) return false;
    arena.limit = limit;
    arena.reserve = MIN(limit / RESERVE_SHARE, RESERVE_MAX);
    arena.low_at = 0;
    return true;
}

/* May so many pages of free block i be given out, out of the reserve if need be? What is dirty counts already. */
static bool fits(uint32_t i, size_t pages)
{
    size_t more = pages - MIN(pages, arena.pages[i].dirty);

    return kernel_pages() + arena.dirty + arena.user + more <= arena.limit;
}

/* What programs have and do not need is looked for before the next return to one; again when we have taken more. */
static void low(size_t more)
{
    pending_work |= WORK_MEMORY;
    arena.low_at = arena.held + more;
}

static void *take(size_t n, bool *clean)
{
    unsigned order = order_of(n), from = order;

    if (!n || n > PAGE_ALLOC_MAX) return NULL;
    if (unlikely(page_room() < arena.limit / LOW_SHARE && arena.held > arena.low_at)) low(arena.limit / LOW_SHARE / 8);
    while (from <= MAX_ORDER && arena.free_head[from] == NONE) from++;
    if (from > MAX_ORDER) {
        if (!grow()) return NULL;
        from = MAX_ORDER;
    }
    uint32_t i = arena.free_head[from];
    if (!fits(i, 1ul << order)) {
        trim();
        if (!fits(i, 1ul << order)) {
            low(0);
            return NULL;
        }
    }
    size_t dirty = arena.pages[i].dirty;
    *clean = !dirty;
    list_remove(i);
    while (from > order) {
        from--;
        /* Which half they are in is not known: at most so many in both. */
        list_push(i + (1u << from), from, MIN(dirty, 1ul << from));
    }
    arena.pages[i] = (struct page){.kind = PAGE_USED, .order = (uint8_t)order};
    arena.held += 1ul << order;
    return address(i);
}

void *page_alloc(size_t n)
{
    bool clean;

    return take(n, &clean);
}

void *page_alloc_zeroed(size_t n)
{
    bool clean;
    void *p = take(n, &clean);

    if (p && !clean) memset(p, 0, n * PAGE_SIZE);
    return p;
}

void page_free(void *p, size_t n)
{
    unsigned order = order_of(n);
    struct page *page = page_of(p);
    uint32_t i = (uint32_t)(page - arena.pages);
    size_t dirty = 1ul << order;

    ASSERT(page->kind != PAGE_FREE && page->order == order);
    arena.held -= 1ul << order;
    for (; order < MAX_ORDER; order++) {
        uint32_t buddy = i ^ 1u << order;
        if (buddy >= arena.frontier || arena.pages[buddy].kind != PAGE_FREE || arena.pages[buddy].order != order)
            break;
        dirty += arena.pages[buddy].dirty;
        list_remove(buddy);
        arena.pages[i < buddy ? buddy : i].kind = PAGE_USED; /* inside of a block now */
        i = MIN(i, buddy);
    }
    if (order >= RELEASE_ORDER && dirty >= RELEASE_DIRTY && host_discard((uintptr_t)address(i), PAGE_SIZE << order))
        dirty = 0;
    list_push(i, order, dirty);
}

bool page_is_zero(const void *page)
{
    const uint64_t *p = page;

    for (size_t i = 0; i < PAGE_SIZE / 8; i += 4)
        if (p[i] | p[i + 1] | p[i + 2] | p[i + 3]) return false;
    return true;
}

void page_account_user(ssize_t pages)
{
    arena.user += (size_t)pages;
}

void page_account_committed(ssize_t pages)
{
    arena.committed += (size_t)pages;
}

void page_account_tables(size_t pages)
{
    arena.tables += pages;
}

void page_account_mappings(ssize_t n)
{
    arena.mappings += (size_t)n;
}

void page_stats(struct page_stats *out)
{
    *out = (struct page_stats){
        .total = arena.limit, .kernel = kernel_pages(), .user = arena.user, .committed = arena.committed};
}
