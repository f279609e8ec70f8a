/*
 * As many devices as a manifest can hold. Each must be the one of its name: the
 * test has put a number into the first byte of each, and finds its complement
 * in the second afterwards.
 */
#include "probe.h"

#define DEVICES 63u

int solo5_app_main(const struct solo5_start_info *start)
{
    static uint8_t block[512];
    solo5_handle_set_t seen = 0;

    (void)start;
    for (unsigned i = 0; i < DEVICES; i++) {
        char name[] = "disk00";
        solo5_handle_t disk;
        struct solo5_block_info info;

        name[4] = (char)('0' + (i < 10 ? i : i / 10));
        name[5] = i < 10 ? '\0' : (char)('0' + i % 10);
        if (solo5_block_acquire(name, &disk, &info) != SOLO5_R_OK)
            return fail("acquire");
        if (disk > 63 || (seen & 1ull << disk) != 0)
            return fail("handle");
        seen |= 1ull << disk;
        if (solo5_block_read(disk, 0, block, sizeof block) != SOLO5_R_OK)
            return fail("read");
        if (block[0] != i)
            return fail("another device than named");
        block[1] = (uint8_t)~i;
        if (solo5_block_write(disk, 0, block, sizeof block) != SOLO5_R_OK)
            return fail("write");
    }
    return pass();
}
