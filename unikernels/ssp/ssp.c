/*
 * The stack protector: "smash" runs over a buffer's end, which must end in an
 * abort before the function returns; "canary" prints the value it is found by.
 */
#include "probe.h"

extern uintptr_t __stack_chk_guard;

static void __attribute__((noinline)) fill(volatile char *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = 'x';
}

static void __attribute__((noinline)) smash(size_t size)
{
    volatile char buffer[16];

    fill(buffer, size);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    if (mode_is(info->cmdline, "smash")) {
        smash(64);
        return fail("the function returned");
    }
    print("canary=");
    print_number(__stack_chk_guard, 16);
    print("\n");
    return SOLO5_EXIT_SUCCESS;
}
