#include "mm/memory.h"

#include <asm/mman.h>

#include "boot/host_wait.h"
#include "boot/layout.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/rangeset.h"
#include "mm/trampoline.h"
#include "tender/common/abi/runnc_segments.h"

static struct {
    bool memctl, image_used;
    /* Private mappings of the companion's file: all of it, and one program's part again at its own address. */
    struct range companion, program;
    struct range stacks; /* places for stacks, see runnc_extras.h */
    /*
     * Without memctl: what may hold something. Memory is wiped when it is
     * mapped again and not when it is unmapped, so that a big reservation that
     * was hardly touched costs nothing to drop.
     */
    struct rangeset dirty;
} memory;

/* The companion's header and index are for the kernel to read. */
static void open_index(const struct runnc_boot_info *info)
{
    const struct runnc_segments *s = (const struct runnc_segments *)info->segments;

    host_mprotect(info->segments, PAGE_SIZE, PROT_READ);
    uint64_t size = sizeof *s + s->count * sizeof s->objects[0];
    host_mprotect(info->segments, PAGE_UP(MIN(size, info->segments_size)), PROT_READ);
}

static void close_memory(uaddr_t start, uaddr_t end, int prot)
{
    if (start < end && !host_mprotect(start, end - start, prot)) panic("the host refuses to close guest memory");
}

void memory_init(uaddr_t user_end)
{
    const struct runnc_boot_info *info = host_boot_info();
    const uintptr_t image = (uintptr_t)kernel_start, info_start = PAGE_DOWN((uintptr_t)info);

    memory.memctl = host_has_memctl();
    if (info->segments)
        memory.companion = (struct range){info->segments, PAGE_UP(info->segments + info->segments_size)};
    if (info->program) memory.program = (struct range){info->program, info->program + info->program_size};
    memory.stacks = (struct range){info->stack_slots,
                                   info->stack_slots + info->stack_slots_count * RUNNC_STACK_SLOT_BYTES};
    if (memory.memctl) {
        /* Programs' part and all that is free around it; a page more guards the kernel's arena. */
        close_memory((uintptr_t)kernel_end, user_end + PAGE_SIZE, PROT_NONE);
        close_memory(PAGE_UP(info->mem_size) - TENDER_STACK, PAGE_UP(info->mem_size), PROT_NONE);
        close_memory(info_start, image, PROT_READ);
        close_memory((uintptr_t)signal_stack - PAGE_SIZE, (uintptr_t)signal_stack, PROT_NONE);
    }
    if (info->segments) open_index(info);
}

void memory_image_use(void)
{
    memory.image_used = true;
}

bool memory_image_used(void)
{
    return memory.memctl && memory.image_used;
}

void memory_image_release(void)
{
    host_discard_image();
    memory.image_used = false;
}

bool memory_is_closed(void)
{
    return memory.memctl;
}

static bool overlap(const struct range *r, uaddr_t start, uaddr_t end)
{
    return start < r->end && end > r->start;
}

bool memory_in_companion(uaddr_t start, uaddr_t end)
{
    return overlap(&memory.companion, start, end) || overlap(&memory.program, start, end);
}

bool memory_set_apart(uaddr_t start, uaddr_t end, struct range *taken)
{
    const struct range trampolines = {trampoline_start(), trampoline_start() + TRAMPOLINE_REGION};
    const struct range *all[] = {&memory.companion, &memory.program, &memory.stacks, &trampolines};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!overlap(all[i], start, end)) continue;
        *taken = *all[i];
        return true;
    }
    return false;
}

bool memory_in_stack_guard(uaddr_t start, uaddr_t end)
{
    if (!overlap(&memory.stacks, start, end)) return false;
    uaddr_t from = MAX(start, memory.stacks.start) - memory.stacks.start;

    return from % RUNNC_STACK_SLOT_BYTES < RUNNC_STACK_GUARD_BYTES ||
           ALIGN_UP(from, RUNNC_STACK_SLOT_BYTES) < MIN(end, memory.stacks.end) - memory.stacks.start;
}

bool memory_companion_pristine(uaddr_t start, uaddr_t end)
{
    struct range r;

    return memory.memctl || !rangeset_first(&memory.dirty, start, end, &r);
}

static bool page_is_zero(const uint64_t *p)
{
    for (size_t i = 0; i < PAGE_SIZE / 8; i += 4)
        if (p[i] | p[i + 1] | p[i + 2] | p[i + 3]) return false;
    return true;
}

void memory_wipe(uaddr_t start, uaddr_t end)
{
    for (uaddr_t a = start; a < end; a += PAGE_SIZE)
        if (!page_is_zero((const uint64_t *)a)) memset((void *)a, 0, PAGE_SIZE);
}

bool memory_protect(uaddr_t start, uaddr_t end, int prot)
{
    if (memory.memctl) return host_mprotect(start, end - start, prot);
    return !(prot & PROT_WRITE) || rangeset_add(&memory.dirty, start, end);
}

static void wipe_dirty(uaddr_t start, uaddr_t end)
{
    struct range r;

    for (uaddr_t a = start; rangeset_first(&memory.dirty, a, end, &r); a = r.end) memory_wipe(r.start, r.end);
}

bool memory_commit(uaddr_t start, uaddr_t end, int prot)
{
    if (!memory.memctl) {
        wipe_dirty(start, end);
        rangeset_remove(&memory.dirty, start, end);
        if (memory_in_companion(start, end)) memory_wipe(start, end);
        return memory_protect(start, end, prot);
    }
    if (memory_in_companion(start, end)) {
        if (!host_mprotect(start, end - start, PROT_READ | PROT_WRITE)) return false;
        memory_wipe(start, end);
        return prot == (PROT_READ | PROT_WRITE) || host_mprotect(start, end - start, prot);
    }
    return prot == PROT_NONE || host_mprotect(start, end - start, prot);
}

void memory_discard(uaddr_t start, uaddr_t end)
{
    if (memory.memctl)
        host_discard(start, end - start);
    else
        wipe_dirty(start, end);
}

void memory_release(uaddr_t start, uaddr_t end)
{
    if (!memory.memctl) return;
    host_discard(start, end - start);
    host_mprotect(start, end - start, PROT_NONE);
}
