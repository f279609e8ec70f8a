#include "mm/memory.h"

#include <asm/mman.h>

#include "boot/host_wait.h"
#include "boot/layout.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/page.h"
#include "mm/rangeset.h"
#include "mm/trampoline.h"
#include "tender/common/abi/runnc_segments.h"

#define COUNTED_END (1ul << 40) /* page tables for what lies above are not counted: images of a tebibyte */

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
    /* With it: what is closed until it is touched; what was opened, or emptied, and may not have been touched since. */
    struct rangeset deferred, untouched;
} memory;

/* Memory is opened at once if it takes no more than this part of what is left, and leaves that part of the limit. */
#define EAGER_SHARE 2
#define LOW_SHARE 8

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

/* The images lie above guest memory. */
static uaddr_t images_end(const struct runnc_boot_info *info, uaddr_t end)
{
    end = MAX(end, info->rootfs + info->rootfs_size);
    for (uint64_t i = 0; i < info->images_count; i++) end = MAX(end, info->images[i].address + info->images[i].size);
    return end;
}

void memory_init(uaddr_t user_end)
{
    const struct runnc_boot_info *info = host_boot_info();
    const uintptr_t image = (uintptr_t)kernel_start, info_start = PAGE_DOWN((uintptr_t)info);

    memory.memctl = host_has_memctl();
    charge_init(MIN(images_end(info, user_end), COUNTED_END));
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

void memory_image_use(const void *data, size_t n)
{
    charge_tables_always((uaddr_t)data, (uaddr_t)data + n);
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

void memory_wipe(uaddr_t start, uaddr_t end)
{
    for (uaddr_t a = start; a < end; a += PAGE_SIZE)
        if (!page_is_zero((const void *)a)) memset((void *)a, 0, PAGE_SIZE);
}

bool memory_defer(uaddr_t start, uaddr_t end)
{
    return rangeset_add(&memory.deferred, start, end);
}

bool memory_close(uaddr_t start, uaddr_t end)
{
    if (!memory_defer(start, end)) return false;
    host_discard(start, end - start);
    host_mprotect(start, end - start, PROT_NONE);
    uncharge(start, end);
    return true;
}

bool memory_deferred(uaddr_t start, uaddr_t end, struct range *found)
{
    return rangeset_first(&memory.deferred, start, end, found);
}

void memory_note_untouched(uaddr_t start, uaddr_t end)
{
    rangeset_add(&memory.untouched, start, end); /* a hint */
}

struct rangeset memory_take_untouched(void)
{
    struct rangeset all = memory.untouched;

    memory.untouched = (struct rangeset){0};
    return all;
}

static bool ample_room(size_t pages)
{
    struct page_stats stats;
    size_t room = page_room();

    page_stats(&stats);
    return pages <= room / EAGER_SHARE && room - pages >= stats.total / LOW_SHARE;
}

/* Nothing of [start, end) is deferred yet. closed: the host lets nobody in there. */
static bool protect(uaddr_t start, uaddr_t end, int prot, bool closed)
{
    size_t cost = prot == PROT_NONE ? 0 : charge_cost(start, end, !(prot & PROT_WRITE));
    struct range r;

    if (!cost) return (closed && prot == PROT_NONE) || host_mprotect(start, end - start, prot);
    if (ample_room(cost)) {
        if (!(prot & PROT_WRITE)) return charge_tables(start, end) && host_mprotect(start, end - start, prot);
        if (!charge(start, end)) return false;
        memory_note_untouched(start, end);
        return host_mprotect(start, end - start, prot);
    }
    for (uaddr_t a = start; a < end; a = r.end) {
        if (!charge_first(a, end, &r)) r = (struct range){end, end};
        if (a < r.start) {
            if (!closed && !host_mprotect(a, r.start - a, PROT_NONE)) return false;
            if (!memory_defer(a, r.start)) return false;
        }
        if (r.start < r.end && !host_mprotect(r.start, r.end - r.start, prot)) return false;
    }
    return true;
}

static bool protect_others(uaddr_t start, uaddr_t end, int prot, bool closed)
{
    struct range r;

    for (uaddr_t a = start; a < end; a = r.end) {
        if (!rangeset_first(&memory.deferred, a, end, &r)) r = (struct range){end, end};
        if (a < r.start && !protect(a, r.start, prot, closed)) return false;
    }
    return true;
}

bool memory_protect(uaddr_t start, uaddr_t end, int prot)
{
    if (memory.memctl) return protect_others(start, end, prot, false);
    return !(prot & PROT_WRITE) || (charge(start, end) && rangeset_add(&memory.dirty, start, end));
}

bool memory_claim(uaddr_t start, uaddr_t end, int prot)
{
    if (!(prot & PROT_WRITE ? charge(start, end) : charge_tables(start, end))) return false;
    return rangeset_remove(&memory.deferred, start, end);
}

bool memory_open(uaddr_t start, uaddr_t end, int prot)
{
    if (!memory.memctl) return memory_protect(start, end, prot);
    return memory_claim(start, end, prot) && host_mprotect(start, end - start, prot);
}

void memory_open_always(uaddr_t start, uaddr_t end, int prot)
{
    charge_always(start, end);
    if (!memory.memctl) {
        rangeset_add(&memory.dirty, start, end);
        return;
    }
    if (!rangeset_remove(&memory.deferred, start, end) || !host_mprotect(start, end - start, prot))
        panic("the host refuses to open guest memory");
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
        if (!memory_open(start, end, PROT_READ | PROT_WRITE)) return false;
        memory_wipe(start, end);
        return prot == (PROT_READ | PROT_WRITE) || host_mprotect(start, end - start, prot);
    }
    return protect_others(start, end, prot, true);
}

void memory_discard(uaddr_t start, uaddr_t end)
{
    if (memory.memctl) {
        host_discard(start, end - start);
        memory_note_untouched(start, end);
    } else {
        wipe_dirty(start, end);
    }
}

void memory_release(uaddr_t start, uaddr_t end)
{
    if (!memory.memctl) return;
    host_discard(start, end - start);
    host_mprotect(start, end - start, PROT_NONE);
    uncharge(start, end);
    rangeset_remove(&memory.untouched, start, end);
    /* If that fails, the next mapping there is opened by its first touch. */
    rangeset_remove(&memory.deferred, start, end);
}
