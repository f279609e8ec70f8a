/* Compiles the filter, plans the launch, and goes. */
#include "launch.h"
#include "tender.h"

#include "fail.h"

#include <string.h>
#include <sys/auxv.h>

_Static_assert(offsetof(struct launch_plan, entry) == LAUNCH_ENTRY, "launch.h");
_Static_assert(offsetof(struct launch_plan, stack) == LAUNCH_STACK, "launch.h");
_Static_assert(offsetof(struct launch_plan, argument) == LAUNCH_ARGUMENT, "launch.h");
_Static_assert(offsetof(struct launch_plan, wipe_words) == LAUNCH_WIPE_WORDS, "launch.h");
_Static_assert(offsetof(struct launch_plan, filter) == LAUNCH_FPROG, "launch.h");
_Static_assert(offsetof(struct launch_plan, range_count) == LAUNCH_RANGE_COUNT, "launch.h");
_Static_assert(offsetof(struct launch_plan, ranges) == LAUNCH_RANGES, "launch.h");
_Static_assert(offsetof(struct launch_plan, clear) == LAUNCH_CLEAR, "launch.h");
_Static_assert(sizeof(struct launch_plan) <= LAUNCH_SIGNAL_STACK, "the plan reaches the stack");

#define PAGE 4096ull
#define PAGE_DOWN(address) ((address) & ~(PAGE - 1))
#define PAGE_UP(address) PAGE_DOWN((address) + PAGE - 1)
/* How far below the current stack pointer the stack may have been used: generous, and within
 * the gap of 1 MiB that the kernel keeps free below a stack. */
#define STACK_DEPTH (768ull << 10)

/* The linker's: first byte of the tender's image, and the end of its bss. */
extern const char __ehdr_start[], _end[];

static void unmap(struct launch_plan *plan, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (plan->range_count == LAUNCH_MAX_RANGES)
        fail("internal: no room for another range to unmap");
    plan->ranges[plan->range_count].start = start;
    plan->ranges[plan->range_count++].size = end - start;
}

/* The image but for launch_code and launch_area, in this order; the page at zero that an inherited
 * personality may have mapped; the stack, with the environment on it. */
static void plan_unmapping(struct launch_plan *plan, const struct command_line *command_line)
{
    const uint64_t image = PAGE_DOWN((uintptr_t)__ehdr_start);
    const uint64_t image_end = PAGE_UP((uintptr_t)_end);
    const uint64_t code = (uintptr_t)launch_code, code_end = (uintptr_t)launch_code_end;
    const uint64_t area = (uintptr_t)launch_area, area_end = area + LAUNCH_AREA_SIZE;
    /* The kernel puts the name of the executed file at the very top of the stack. */
    const char *top = (const char *)getauxval(AT_EXECFN);
    const uint64_t here = (uintptr_t)__builtin_frame_address(0);
    const uint64_t kept = command_line->start, kept_end = kept + command_line->used;

    if (top == NULL || code >= area)
        fail("internal: unexpected layout of the tender");
    unmap(plan, 0, GUEST_MEMORY_BASE);
    unmap(plan, image, code);
    unmap(plan, code_end, area);
    unmap(plan, area_end, image_end);
    unmap(plan, PAGE_DOWN(here) - STACK_DEPTH, PAGE_DOWN(kept));
    unmap(plan, PAGE_UP(kept_end), PAGE_UP((uintptr_t)top + strlen(top) + 1));
    plan->clear[0] = (struct launch_range){PAGE_DOWN(kept), kept - PAGE_DOWN(kept)};
    plan->clear[1] = (struct launch_range){kept_end, PAGE_UP(kept_end) - kept_end};
}

void run(struct tender *tender)
{
    struct launch_plan *plan = (struct launch_plan *)launch_area;

    plan->entry = tender->kernel.entry;
    /* As behind a call instruction, where the ABI has the stack 8 bytes off 16. */
    plan->stack = tender->mem_size - 8;
    plan->argument = GUEST_BOOT_INFO;
    plan->filter.len = (unsigned short)filter_compile(&tender->filter, plan->program,
                                                      LAUNCH_MAX_INSTRUCTIONS);
    plan->filter.filter = plan->program;
    plan->wipe_words = (offsetof(struct launch_plan, program) +
                        plan->filter.len * sizeof(struct sock_filter)) /
                       8;
    plan_unmapping(plan, &tender->command_line);
    if (tender->trace)
        trace_ready();
    launch(plan);
}
