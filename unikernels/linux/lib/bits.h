/* Bitmaps in arrays of 64-bit words. */
#ifndef LINUX_LIB_BITS_H
#define LINUX_LIB_BITS_H

#include "lib/types.h"

static inline bool bit_test(const uint64_t *map, size_t i)
{
    return map[i / 64] >> (i % 64) & 1;
}

/* Sets it and says what it was. */
static inline bool bit_test_and_set(uint64_t *map, size_t i)
{
    bool old = bit_test(map, i);

    map[i / 64] |= 1ull << (i % 64);
    return old;
}

#endif
