#include "mm/trampoline.h"

#include <asm/mman.h>

#include "lib/string.h"
#include "mm/memory.h"

#define SLOTS (TRAMPOLINE_REGION / TRAMPOLINE_BYTES)

static struct {
    uaddr_t start;
    uint32_t fresh;      /* slots from here on were never used; slot 0 is not used */
    uint32_t head, tail; /* of the queue of free slots, 0 if empty; each holds the next one's index */
} region;

void trampoline_init(uaddr_t start)
{
    region.start = start;
    region.fresh = 1;
}

uaddr_t trampoline_start(void)
{
    return region.start;
}

uaddr_t trampoline_address(uint32_t index)
{
    return region.start + (uaddr_t)index * TRAMPOLINE_BYTES;
}

void trampoline_write(uaddr_t at, const void *code, size_t n)
{
    uaddr_t page = PAGE_DOWN(at);

    memory_open_always(page, page + PAGE_SIZE, PROT_READ | PROT_WRITE);
    memcpy((void *)at, code, n);
    memory_protect(page, page + PAGE_SIZE, PROT_READ | PROT_EXEC);
}

uaddr_t trampoline_alloc(uint32_t *index)
{
    if (region.fresh < SLOTS) {
        *index = region.fresh++;
        return trampoline_address(*index);
    }
    if (!region.head) return 0;
    *index = region.head;
    memcpy(&region.head, (const void *)trampoline_address(*index), sizeof region.head);
    if (!region.head) region.tail = 0;
    return trampoline_address(*index);
}

void trampoline_free(uint32_t index)
{
    const uint32_t none = 0;

    trampoline_write(trampoline_address(index), &none, sizeof none);
    if (region.tail)
        trampoline_write(trampoline_address(region.tail), &index, sizeof index);
    else
        region.head = index;
    region.tail = index;
}
