/*
 * Closed gaps between places for stacks, for a guest with the extras note that is not granted
 * memctl and so cannot close anything itself: a stack that grows too far faults, instead of
 * running through the memory of everything below it.
 */
#include "fail.h"
#include "tender.h"

#include <sys/mman.h>

/* Up to 4 GiB of addresses in the lower half of memory, where the guest has its programs. */
#define ZONE_MAX (4096 * MIB)
#define MEM_SIZE_MIN (8192 * MIB)

static void setup(struct tender *tender)
{
    const uint64_t top = (tender->mem_size / 2) & ~(RUNNC_STACK_SLOT_BYTES - 1);
    const uint64_t size = tender->mem_size / 4 < ZONE_MAX ? tender->mem_size / 4 : ZONE_MAX;

    if (!is_granted(tender, RUNNC_EXTRA_SUD) || is_granted(tender, RUNNC_EXTRA_MEMCTL) ||
        tender->mem_size < MEM_SIZE_MIN)
        return;
    tender->boot.stack_slots_count = (uint32_t)(size / RUNNC_STACK_SLOT_BYTES);
    tender->boot.stack_slots = top - tender->boot.stack_slots_count * RUNNC_STACK_SLOT_BYTES;
    for (uint64_t at = tender->boot.stack_slots; at < top; at += RUNNC_STACK_SLOT_BYTES)
        if (mprotect((void *)(uintptr_t)at, RUNNC_STACK_GUARD_BYTES, PROT_NONE) < 0)
            fail_errno("cannot close the gaps between the guest's stacks");
}

const struct module module_stack_guards = {
    .name = "stack-guards",
    .setup = setup,
};
