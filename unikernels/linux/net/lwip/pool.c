/*
 * Size classes over chunks of 64 KiB. Packets come and go in bursts, so a class
 * keeps a few empty chunks: going to the page allocator for each burst would
 * give memory to the host and fault it in again.
 */
#include "net/lwip/pool.h"

#include "lib/list.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/page.h"

#define CHUNK_PAGES 16u
#define CHUNK_BYTES (CHUNK_PAGES * PAGE_SIZE)
#define HEADER_BYTES 64u
#define EMPTY_KEPT 64u

static const uint32_t class_bytes[] = {64, 128, 208, 320, 512, 1024, 1680, 2176, 4352, 8704, 16368, 32736};
#define CLASSES ARRAY_SIZE(class_bytes)
#define LARGE CLASSES /* a chunk of its own, of any number of pages */

struct chunk {
    struct list link; /* in its class, if it has room */
    void *free;
    uint32_t class, used, pages, pad;
};

static struct {
    struct list room[CLASSES]; /* chunks with room, those in use first */
    uint32_t empty[CLASSES];
    size_t limit, held; /* bytes */
} pool;

void net_pool_init(size_t limit)
{
    for (size_t i = 0; i < CLASSES; i++) list_init(&pool.room[i]);
    pool.limit = limit;
}

size_t net_pool_used(void)
{
    return pool.held;
}

bool net_pool_tight(void)
{
    return pool.held > pool.limit - pool.limit / 4;
}

static struct chunk *chunk_new(uint32_t class, uint32_t pages)
{
    size_t bytes = pages * PAGE_SIZE;

    if (pool.held + bytes > pool.limit) return NULL;
    /* Blocks of page_alloc lie on a multiple of their own size, so an object finds its chunk by a mask. */
    struct chunk *chunk = page_alloc(pages);
    if (!chunk) return NULL;
    pool.held += bytes;
    *chunk = (struct chunk){.class = class, .pages = pages};
    list_init(&chunk->link);
    return chunk;
}

static void chunk_free(struct chunk *chunk)
{
    pool.held -= chunk->pages * PAGE_SIZE;
    page_free(chunk, chunk->pages);
}

static struct chunk *class_grow(uint32_t class)
{
    struct chunk *chunk = chunk_new(class, CHUNK_PAGES);
    uint32_t size = class_bytes[class];

    if (!chunk) return NULL;
    for (uint32_t i = (CHUNK_BYTES - HEADER_BYTES) / size; i-- > 0;) {
        void **object = (void **)((char *)chunk + HEADER_BYTES + (size_t)i * size);
        *object = chunk->free;
        chunk->free = object;
    }
    list_add(&pool.room[class], &chunk->link);
    pool.empty[class]++;
    return chunk;
}

static void *large_alloc(size_t n)
{
    uint32_t pages = CHUNK_PAGES;

    while (pages * PAGE_SIZE < n + HEADER_BYTES) pages *= 2;
    if (pages > 2 * CHUNK_PAGES) return NULL;
    struct chunk *chunk = chunk_new(LARGE, pages);
    return chunk ? (char *)chunk + HEADER_BYTES : NULL;
}

void *net_pool_alloc(size_t n)
{
    uint32_t class = 0;

    while (class < CLASSES && class_bytes[class] < n) class++;
    if (class == LARGE) return large_alloc(n);
    struct chunk *chunk = list_empty(&pool.room[class]) ? class_grow(class)
                                                        : list_first(&pool.room[class], struct chunk, link);
    if (!chunk) return NULL;
    void **object = chunk->free;
    chunk->free = *object;
    if (chunk->used++ == 0) pool.empty[class]--;
    if (!chunk->free) list_del(&chunk->link);
    return object;
}

void *net_pool_calloc(size_t n, size_t size)
{
    void *p = net_pool_alloc(n * size);

    if (p) memset(p, 0, n * size);
    return p;
}

void net_pool_free(void *p)
{
    if (!p) return;
    struct chunk *chunk = (struct chunk *)((uintptr_t)p & ~(CHUNK_BYTES - 1));
    uint32_t class = chunk->class;
    if (class == LARGE) {
        chunk_free(chunk);
        return;
    }
    ASSERT(class < CLASSES && chunk->used > 0);
    if (!chunk->free) list_add(&pool.room[class], &chunk->link);
    *(void **)p = chunk->free;
    chunk->free = p;
    if (--chunk->used > 0) return;
    list_del(&chunk->link);
    if (pool.empty[class] >= EMPTY_KEPT) {
        chunk_free(chunk);
        return;
    }
    pool.empty[class]++;
    list_add_tail(&pool.room[class], &chunk->link);
}
