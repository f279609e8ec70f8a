/*
 * Static data is as C promises: initialised, zero where nothing is said, and
 * writable. The heap is what the start info says, zero, and usable to its ends.
 */
#include "probe.h"

#define BIG (1u << 20)

static volatile uint32_t initialised[4] = {0xdeadbeef, 1, 2, 3};
static volatile uint8_t zero[BIG];
static const char constant[] = "constant";

int solo5_app_main(const struct solo5_start_info *info)
{
    if (initialised[0] != 0xdeadbeef || initialised[3] != 3)
        return fail("initialised data");
    initialised[0] = 5;
    if (initialised[0] != 5)
        return fail("data is not writable");

    for (size_t i = 0; i < BIG; i++)
        if (zero[i] != 0)
            return fail("bss is not zero");
    zero[0] = zero[BIG - 1] = 1;
    if (!word_is(constant, 8, "constant"))
        return fail("constants");

    volatile uint8_t *heap = (volatile uint8_t *)info->heap_start;
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if ((info->heap_start & 4095) != 0)
        return fail("the heap is not page-aligned");
    if (info->heap_start < (uintptr_t)zero + BIG)
        return fail("the heap overlaps static data");
    if (here < info->heap_start || here >= info->heap_start + info->heap_size ||
        info->heap_start + info->heap_size - here > 4096)
        return fail("the stack is not at the top of the heap region");
    for (size_t i = 0; i < info->heap_size - 65536; i += 4096) {
        if (heap[i] != 0)
            return fail("the heap is not zero");
        heap[i] = 1;
    }
    print_field("heap_end", info->heap_start + info->heap_size);
    return pass();
}
