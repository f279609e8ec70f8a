/*
 * A buddy allocator that grows: the arena is reserved address space, and only
 * what lies below the frontier has been handed to the free lists, so that an
 * unused arena costs neither memory nor time.
 *
 * Invariants: a free block of order n is aligned to 2^n pages of the arena; its
 * buddy is not free with the same order. Free blocks of RELEASE_ORDER and more
 * have been given back to the host, and read as zero where the host does that.
 */
#include "mm/page_impl.h"

#include "boot/host_wait.h"
#include "lib/print.h"
#include "lib/string.h"

#define MAX_ORDER 10
#define RELEASE_ORDER 5 /* 128 KiB */
#define NONE 0xffffffffu

static struct {
    uintptr_t base;        /* of page 0 */
    uint32_t total;        /* pages of the arena */
    uint32_t frontier;     /* pages below have been in use or are on a list */
    uint32_t free_head[MAX_ORDER + 1];
    struct page *pages;
    size_t limit;          /* pages, of kernel and programs together */
    size_t held;           /* pages given out */
    size_t user;
} arena;

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
    arena.limit = limit_bytes / PAGE_SIZE;
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

static void list_push(uint32_t i, unsigned order)
{
    struct page *p = &arena.pages[i];
    uint32_t head = arena.free_head[order];

    *p = (struct page){.kind = PAGE_FREE, .order = (uint8_t)order, .next = head, .prev = NONE};
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
    p->kind = PAGE_USED;
}

static bool grow(void)
{
    if (arena.frontier + (1u << MAX_ORDER) > arena.total) return false;
    list_push(arena.frontier, MAX_ORDER);
    arena.pages[arena.frontier].clean = true;
    arena.frontier += 1u << MAX_ORDER;
    return true;
}

static unsigned order_of(size_t n)
{
    unsigned order = 0;

    while (1ul << order < n) order++;
    return order;
}

static void *take(size_t n, bool *clean)
{
    unsigned order = order_of(n), from = order;

    if (!n || n > PAGE_ALLOC_MAX || arena.held + (1ul << order) > arena.limit) return NULL;
    while (from <= MAX_ORDER && arena.free_head[from] == NONE) from++;
    if (from > MAX_ORDER) {
        if (!grow()) return NULL;
        from = MAX_ORDER;
    }
    uint32_t i = arena.free_head[from];
    *clean = arena.pages[i].clean;
    list_remove(i);
    while (from > order) {
        from--;
        list_push(i + (1u << from), from);
        arena.pages[i + (1u << from)].clean = *clean;
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
    bool clean = false;

    ASSERT(page->kind != PAGE_FREE && page->order == order);
    arena.held -= 1ul << order;
    for (; order < MAX_ORDER; order++) {
        uint32_t buddy = i ^ 1u << order;
        if (buddy >= arena.frontier || arena.pages[buddy].kind != PAGE_FREE || arena.pages[buddy].order != order)
            break;
        list_remove(buddy);
        arena.pages[i < buddy ? buddy : i].kind = PAGE_USED; /* inside of a block now */
        i = MIN(i, buddy);
    }
    if (order >= RELEASE_ORDER) clean = host_discard((uintptr_t)address(i), PAGE_SIZE << order);
    list_push(i, order);
    arena.pages[i].clean = clean;
}

void page_account_user(ssize_t pages)
{
    arena.user += (size_t)pages;
}

void page_stats(struct page_stats *out)
{
    *out = (struct page_stats){.total = arena.limit, .kernel = arena.held, .user = arena.user};
}
