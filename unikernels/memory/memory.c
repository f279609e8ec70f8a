/*
 * What memory must not allow, one by one: each mode does it and then reports
 * that it could, which is the failure. "allowed" does what it must allow.
 */
#include "probe.h"

static const uint8_t constant[16] = {0xc3}; /* ret */
static volatile uint8_t data[16] = {0xc3};

/* Not inlined: the compiler must not see what the address is, and conclude that this cannot happen. */
static void __attribute__((noinline)) run(uintptr_t address)
{
    ((void (*)(void))address)();
}

static void __attribute__((noinline)) write_byte(uintptr_t address)
{
    __asm__("" : "+r"(address));
    *(volatile uint8_t *)address = 0xc3;
}

static void __attribute__((noinline)) read_byte(uintptr_t address)
{
    __asm__("" : "+r"(address));
    (void)*(volatile uint8_t *)address;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *mode = info->cmdline;
    const uintptr_t heap = info->heap_start;
    const uintptr_t end = info->heap_start + info->heap_size;
    volatile uint8_t on_stack[16] = {0xc3};

    if (mode_is(mode, "null-read"))
        read_byte(0);
    else if (mode_is(mode, "null-write"))
        write_byte(0);
    else if (mode_is(mode, "null-page-end"))
        read_byte(4095);
    else if (mode_is(mode, "null-exec"))
        run(0);
    else if (mode_is(mode, "text-write"))
        write_byte((uintptr_t)run);
    else if (mode_is(mode, "constant-write"))
        write_byte((uintptr_t)constant);
    else if (mode_is(mode, "constant-exec"))
        run((uintptr_t)constant);
    else if (mode_is(mode, "data-exec"))
        run((uintptr_t)data);
    else if (mode_is(mode, "heap-exec")) {
        write_byte(heap);
        run(heap);
    } else if (mode_is(mode, "stack-exec"))
        run((uintptr_t)on_stack);
    else if (mode_is(mode, "beyond-read"))
        read_byte(end);
    else if (mode_is(mode, "beyond-write"))
        write_byte(end);
    else if (mode_is(mode, "kernel-read"))
        read_byte(0xffffffff81000000u);
    else if (mode_is(mode, "allowed")) {
        read_byte((uintptr_t)constant);
        write_byte((uintptr_t)data);
        write_byte(heap);
        read_byte(end - 1);
        return pass();
    } else
        return fail("unknown mode");
    return fail("memory allowed it");
}
