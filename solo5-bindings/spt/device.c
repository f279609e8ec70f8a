/* Manifest look-ups, shared by the kinds of device. */
#include <stdbool.h>

#include "boot.h"

static bool same_name(const char *entry, const char *name)
{
    for (unsigned i = 0; i < SOLO5_MFT_NAME_SIZE; i++) {
        if (entry[i] != name[i])
            return false;
        if (name[i] == '\0')
            return true;
    }
    return false;
}

const struct solo5_mft_entry *spt_device(uint64_t handle, uint32_t type)
{
    const struct solo5_mft *mft = spt_boot->mft;

    if (handle >= mft->entries || mft->e[handle].type != type || !mft->e[handle].attached)
        return NULL;
    return &mft->e[handle];
}

const struct solo5_mft_entry *spt_acquire(const char *name, uint32_t type, uint64_t *handle)
{
    static uint64_t acquired;
    const struct solo5_mft *mft = spt_boot->mft;

    for (uint64_t i = 0; i < mft->entries; i++) {
        const struct solo5_mft_entry *e = spt_device(i, type);

        if (e == NULL || !same_name(e->name, name))
            continue;
        if (acquired & 1ull << i)
            return NULL;
        acquired |= 1ull << i;
        *handle = i;
        return e;
    }
    return NULL;
}
