/*
 * A block device: "info" prints its properties, "check" proves reading, writing
 * and every refusal, "again" that it is acquired once only (Solo5's spt bindings
 * promise that too, but allow more), "read N" and "write N" do one block of number N ("read"
 * prints its bytes, "write" fills it with letters).
 */
#include "probe.h"

#define MAX_BLOCK 65536u

static uint8_t one[MAX_BLOCK], other[MAX_BLOCK];

static void fill(uint8_t *block, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        block[i] = (uint8_t)(seed * 31 + i * 7 + i / 256);
}

static bool same(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static bool refused(solo5_handle_t disk, solo5_off_t offset, size_t size)
{
    return solo5_block_read(disk, offset, one, size) == SOLO5_R_EINVAL &&
           solo5_block_write(disk, offset, one, size) == SOLO5_R_EINVAL;
}

static int check(solo5_handle_t disk, const struct solo5_block_info *info)
{
    const size_t size = info->block_size;
    const uint64_t count = info->capacity / size;
    solo5_handle_t again;
    struct solo5_block_info ignored;
    size_t ignored_size;

    for (uint64_t i = 0; i < count; i++) {
        fill(one, size, i);
        if (solo5_block_write(disk, i * size, one, size) != SOLO5_R_OK)
            return fail("write");
    }
    for (uint64_t i = count; i-- > 0;) {
        fill(one, size, i);
        if (solo5_block_read(disk, i * size, other, size) != SOLO5_R_OK)
            return fail("read");
        if (!same(one, other, size))
            return fail("read something else than was written");
    }
    if (!refused(disk, info->capacity, size) || !refused(disk, info->capacity + size, size))
        return fail("beyond the end");
    if (!refused(disk, -(solo5_off_t)size, size) || !refused(disk, 1ull << 63, size))
        return fail("far beyond the end");
    if (!refused(disk, 1, size) || !refused(disk, size / 2, size))
        return fail("between blocks");
    if (!refused(disk, 0, 0) || !refused(disk, 0, size - 1) || !refused(disk, 0, size / 2) ||
        !refused(disk, 0, size * 2))
        return fail("another size");
    if (!refused(0, 0, size) || !refused(disk + 1, 0, size) || !refused(64, 0, size) || !refused(UINT64_MAX, 0, size))
        return fail("no handle");
    if (solo5_net_read(disk, one, sizeof one, &ignored_size) != SOLO5_R_EINVAL ||
        solo5_net_write(disk, one, 64) != SOLO5_R_EINVAL)
        return fail("a block device is no network device");
    if (solo5_block_acquire("nothing", &again, &ignored) != SOLO5_R_EINVAL ||
        solo5_block_acquire("", &again, &ignored) != SOLO5_R_EINVAL)
        return fail("acquired a device that is not declared");
    return pass();
}

int solo5_app_main(const struct solo5_start_info *start)
{
    const char *rest = start->cmdline;
    size_t len;
    const char *mode = next_word(&rest, &len);
    const uint64_t number = number_or(&rest, 0);
    solo5_handle_t disk;
    struct solo5_block_info info;

    if (solo5_block_acquire("disk", &disk, &info) != SOLO5_R_OK)
        return fail("acquire");
    if (info.block_size > MAX_BLOCK)
        return fail("block size");
    if (word_is(mode, len, "check"))
        return check(disk, &info);
    if (word_is(mode, len, "again"))
        return solo5_block_acquire("disk", &disk, &info) == SOLO5_R_EINVAL ? pass() : fail("acquired twice");
    if (word_is(mode, len, "read")) {
        if (solo5_block_read(disk, number * info.block_size, one, info.block_size) != SOLO5_R_OK)
            return fail("read");
        solo5_console_write((const char *)one, info.block_size);
        return SOLO5_EXIT_SUCCESS;
    }
    if (word_is(mode, len, "write")) {
        for (size_t i = 0; i < info.block_size; i++)
            one[i] = (uint8_t)('a' + i % 26);
        return solo5_block_write(disk, number * info.block_size, one, info.block_size) == SOLO5_R_OK
                   ? pass()
                   : fail("write");
    }
    print_field("capacity", info.capacity);
    print_field("block_size", info.block_size);
    return SOLO5_EXIT_SUCCESS;
}
