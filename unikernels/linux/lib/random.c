/*
 * ChaCha20 (RFC 8439) as the generator, with fast key erasure: each block's
 * first half becomes the next key, so that a later look at memory tells nothing
 * of what was handed out.
 */
#include "lib/random.h"

#include "lib/string.h"

#define KEY_WORDS 8
#define BLOCK_WORDS 16
#define USABLE_BYTES 32 /* of each block; the other half is the next key */

static struct {
    uint32_t key[KEY_WORDS];
    bool has_rdrand, probed;
} rng;

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 7);
}

static void chacha20_block(const uint32_t key[KEY_WORDS], uint32_t counter, uint32_t out[BLOCK_WORDS])
{
    uint32_t in[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memcpy(in + 4, key, KEY_WORDS * 4);
    in[12] = counter;
    memcpy(out, in, sizeof in);
    for (int i = 0; i < 10; i++) {
        quarter(out, 0, 4, 8, 12);
        quarter(out, 1, 5, 9, 13);
        quarter(out, 2, 6, 10, 14);
        quarter(out, 3, 7, 11, 15);
        quarter(out, 0, 5, 10, 15);
        quarter(out, 1, 6, 11, 12);
        quarter(out, 2, 7, 8, 13);
        quarter(out, 3, 4, 9, 14);
    }
    for (int i = 0; i < BLOCK_WORDS; i++) out[i] += in[i];
}

static bool rdrand64(uint64_t *v)
{
    bool ok = false;

    for (int i = 0; i < 10 && !ok; i++) __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok) : : "cc");
    return ok;
}

static void mix_rdrand(void)
{
    if (!rng.probed) {
        uint32_t a = 1, b, c, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
        rng.has_rdrand = c >> 30 & 1;
        rng.probed = true;
    }
    if (!rng.has_rdrand) return;
    for (int i = 0; i < KEY_WORDS; i += 2) {
        uint64_t v;
        if (!rdrand64(&v)) continue;
        rng.key[i] ^= (uint32_t)v;
        rng.key[i + 1] ^= (uint32_t)(v >> 32);
    }
}

static void rekey(void)
{
    uint32_t block[BLOCK_WORDS];

    chacha20_block(rng.key, 0, block);
    memcpy(rng.key, block, sizeof rng.key);
}

void random_seed(const void *seed, size_t n)
{
    const unsigned char *p = seed;

    while (n) {
        unsigned char *key = (unsigned char *)rng.key;
        size_t c = MIN(n, sizeof rng.key);
        for (size_t i = 0; i < c; i++) key[i] ^= p[i];
        rekey();
        p += c;
        n -= c;
    }
    mix_rdrand();
    rekey();
}

void random_bytes(void *out, size_t n)
{
    uint32_t block[BLOCK_WORDS], key[KEY_WORDS];
    unsigned char *p = out;

    /* Block 0 gives the next key and the first bytes; the old key makes the rest. */
    memcpy(key, rng.key, sizeof key);
    chacha20_block(key, 0, block);
    memcpy(rng.key, block, sizeof rng.key);
    size_t c = MIN(n, (size_t)USABLE_BYTES);
    memcpy(p, block + KEY_WORDS, c);
    p += c;
    n -= c;
    for (uint32_t i = 1; n; i++) {
        chacha20_block(key, i, block);
        c = MIN(n, sizeof block);
        memcpy(p, block, c);
        p += c;
        n -= c;
    }
    memset(key, 0, sizeof key);
    memset(block, 0, sizeof block);
    __asm__ volatile("" : : "r"(key), "r"(block) : "memory"); /* the wiping stays */
}
