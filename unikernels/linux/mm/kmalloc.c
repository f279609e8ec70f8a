/*
 * Objects up to half a page come from slabs of one page per size class, bigger
 * ones are whole pages. A slab that is empty goes back, but for one per class.
 */
#include "mm/kmalloc.h"

#include "lib/print.h"
#include "lib/string.h"
#include "mm/page_impl.h"

static const uint16_t class_bytes[] = {16, 32, 48, 64, 96, 128, 192, 256, 336, 512, 672, 1024, 1360, 2048};
#define CLASSES ARRAY_SIZE(class_bytes)
#define SLAB_MAX_BYTES 2048

static struct {
    struct page *partial[CLASSES]; /* slabs with room; full ones are on no list */
} slabs;

static unsigned class_of(size_t n)
{
    unsigned c = 0;

    while (class_bytes[c] < n) c++;
    return c;
}

static void *slab_memory(const void *p)
{
    return (void *)((uintptr_t)p & PAGE_MASK);
}

static void partial_add(struct page *slab)
{
    struct page **head = &slabs.partial[slab->slab_class];

    slab->slab_prev = NULL;
    slab->slab_next = *head;
    if (*head) (*head)->slab_prev = slab;
    *head = slab;
}

static void partial_remove(struct page *slab)
{
    if (slab->slab_prev)
        slab->slab_prev->slab_next = slab->slab_next;
    else
        slabs.partial[slab->slab_class] = slab->slab_next;
    if (slab->slab_next) slab->slab_next->slab_prev = slab->slab_prev;
}

static bool slab_new(unsigned c)
{
    char *memory = page_alloc(1);

    if (!memory) return false;
    struct page *slab = page_of(memory);
    slab->kind = PAGE_SLAB;
    slab->slab_class = (uint8_t)c;
    slab->slab_used = 0;
    slab->slab_total = (uint16_t)(PAGE_SIZE / class_bytes[c]);
    slab->slab_free = NULL;
    for (unsigned i = slab->slab_total; i-- > 0;) {
        void **object = (void **)(memory + (size_t)i * class_bytes[c]);
        *object = slab->slab_free;
        slab->slab_free = object;
    }
    partial_add(slab);
    return true;
}

void *kmalloc(size_t n)
{
    if (n > SLAB_MAX_BYTES) return page_alloc((n + PAGE_SIZE - 1) / PAGE_SIZE);

    unsigned c = class_of(n);
    if (!slabs.partial[c] && !slab_new(c)) return NULL;
    struct page *slab = slabs.partial[c];
    void **object = slab->slab_free;
    slab->slab_free = *object;
    if (++slab->slab_used == slab->slab_total) partial_remove(slab);
    return object;
}

void *kzalloc(size_t n)
{
    void *p = kmalloc(n);

    if (p) memset(p, 0, n);
    return p;
}

void kfree(void *p)
{
    if (!p) return;
    struct page *slab = page_of(p);
    if (slab->kind != PAGE_SLAB) {
        page_free(p, 1ul << slab->order);
        return;
    }
    if (slab->slab_used == slab->slab_total) partial_add(slab);
    *(void **)p = slab->slab_free;
    slab->slab_free = p;
    if (--slab->slab_used || (slabs.partial[slab->slab_class] == slab && !slab->slab_next)) return;
    partial_remove(slab);
    slab->kind = PAGE_USED;
    page_free(slab_memory(p), 1);
}

void *krealloc(void *p, size_t n)
{
    if (!p) return kmalloc(n);
    const struct page *page = page_of(p);
    size_t old = page->kind == PAGE_SLAB ? class_bytes[page->slab_class] : PAGE_SIZE << page->order;
    if (n <= old && n > old / 4) return p;
    void *q = kmalloc(n);
    if (!q) return NULL;
    memcpy(q, p, MIN(old, n));
    kfree(p);
    return q;
}

char *kstrndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = kmalloc(len + 1);

    if (!copy) return NULL;
    memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

char *kstrdup(const char *s)
{
    return kstrndup(s, strlen(s));
}
