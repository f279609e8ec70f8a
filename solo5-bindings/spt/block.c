/*
 * Block devices: a file of the host, one block a call.
 *
 * The tender's filter checks descriptor, size and offset once more and kills the
 * unikernel on a mistake; here it is caught first, as the API promises.
 */
#include <stdbool.h>

#include "boot.h"
#include "solo5.h"
#include "sys.h"

solo5_result_t solo5_block_acquire(const char *name, solo5_handle_t *handle, struct solo5_block_info *info)
{
    const struct solo5_mft_entry *e = spt_acquire(name, SOLO5_MFT_BLOCK_BASIC, handle);

    if (e == NULL)
        return SOLO5_R_EINVAL;
    info->capacity = e->u.block_basic.capacity;
    info->block_size = e->u.block_basic.block_size;
    return SOLO5_R_OK;
}

static bool one_block(const struct solo5_mft_entry *e, solo5_off_t offset, size_t size)
{
    const uint64_t block_size = e->u.block_basic.block_size;

    return size == block_size && (offset & (block_size - 1)) == 0 &&
           offset <= e->u.block_basic.capacity - block_size;
}

solo5_result_t solo5_block_write(solo5_handle_t handle, solo5_off_t offset, const uint8_t *buf, size_t size)
{
    const struct solo5_mft_entry *e = spt_device(handle, SOLO5_MFT_BLOCK_BASIC);

    if (e == NULL || !one_block(e, offset, size))
        return SOLO5_R_EINVAL;
    return sys_pwrite64(e->b.hostfd, buf, size, offset) == (long)size ? SOLO5_R_OK : SOLO5_R_EUNSPEC;
}

solo5_result_t solo5_block_read(solo5_handle_t handle, solo5_off_t offset, uint8_t *buf, size_t size)
{
    const struct solo5_mft_entry *e = spt_device(handle, SOLO5_MFT_BLOCK_BASIC);

    if (e == NULL || !one_block(e, offset, size))
        return SOLO5_R_EINVAL;
    return sys_pread64(e->b.hostfd, buf, size, offset) == (long)size ? SOLO5_R_OK : SOLO5_R_EUNSPEC;
}
