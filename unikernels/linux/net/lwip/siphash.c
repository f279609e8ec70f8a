#include "net/lwip/siphash.h"

#include "lib/random.h"

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
}

uint64_t net_siphash(const uint64_t *words, size_t n)
{
    static uint64_t key[2];
    static bool keyed;

    if (!keyed) {
        random_bytes(key, sizeof(key));
        keyed = true;
    }
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull, key[0] ^ 0x6c7967656e657261ull,
                     key[1] ^ 0x7465646279746573ull};
    for (size_t i = 0; i < n; i++) {
        v[3] ^= words[i];
        rounds(v, 2);
        v[0] ^= words[i];
    }
    uint64_t last = (uint64_t)(n * 8) << 56;
    v[3] ^= last;
    rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
