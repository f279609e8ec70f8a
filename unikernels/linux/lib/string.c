#include "lib/string.h"

/*
 * The kernel may not touch vector registers. What is short is copied in words: a string instruction begins late, after
 * 20 ns of what often takes one. What is long is copied by a string instruction, to where it is fastest: a multiple of 32
 * bytes. Some processors (Zen) take one byte at a time if the destination is, within its page, less than 32 bytes behind
 * the source; then words are 20 times as fast.
 */
#define STRING_MIN 2048u /* bytes */
#define CLOSE 64u        /* bytes */

/* Of any alignment. */
struct word {
    uint64_t value;
} __attribute__((packed, may_alias));
struct half {
    uint32_t value;
} __attribute__((packed, may_alias));

static void copy_words(uint8_t *d, const uint8_t *s, size_t n)
{
    for (; n >= 32; n -= 32, d += 32, s += 32) {
        const struct word *from = (const void *)s;
        struct word *to = (void *)d;
        const struct word a = from[0], b = from[1], c = from[2], e = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = e;
    }
    for (; n >= 8; n -= 8, d += 8, s += 8) *(struct word *)(void *)d = *(const struct word *)(const void *)s;
    if (n >= 4) {
        *(struct half *)(void *)d = *(const struct half *)(const void *)s;
        d += 4, s += 4, n -= 4;
    }
    while (n--) *d++ = *s++;
}

void *memcpy(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;

    if (n >= STRING_MIN && ((uintptr_t)d - (uintptr_t)s) % PAGE_SIZE >= CLOSE) {
        const size_t first = 32 - (uintptr_t)d % 32;
        copy_words(d, s, 32);
        d += first, s += first, n -= first;
        size_t words = n / 8;
        __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
        n %= 8;
    }
    copy_words(d, s, n);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= n && (uintptr_t)s - (uintptr_t)d >= 32) return memcpy(dst, src, n);
    if (d < s) {
        for (; n >= 8 && s - d >= 8; n -= 8, d += 8, s += 8)
            *(struct word *)(void *)d = *(const struct word *)(const void *)s;
        while (n--) *d++ = *s++;
        return dst;
    }
    for (; n >= 8; n -= 8) *(struct word *)(void *)(d + n - 8) = *(const struct word *)(const void *)(s + n - 8);
    while (n--) d[n] = s[n];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;
    const struct word word = {(uint8_t)c * 0x0101010101010101ul};

    if (n >= STRING_MIN) {
        __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
        return dst;
    }
    for (; n >= 8; n -= 8, d += 8) *(struct word *)(void *)d = word;
    while (n--) *d++ = (uint8_t)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n >= 8; n -= 8, x += 8, y += 8)
        if (((const struct word *)(const void *)x)->value != ((const struct word *)(const void *)y)->value) break;
    for (; n; n--, x++, y++)
        if (*x != *y) return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    const unsigned char *p = s;

    for (; n; n--, p++)
        if (*p == (unsigned char)c) return (void *)(uintptr_t)p;
    return NULL;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n]) n++;
    return n;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n]) n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b) return (unsigned char)*a - (unsigned char)*b;
        if (!*a) return 0;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c) return (char *)(uintptr_t)s;
        if (!*s) return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;

    for (;; s++) {
        if (*s == (char)c) last = s;
        if (!*s) return (char *)(uintptr_t)last;
    }
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);

    if (size) {
        size_t c = MIN(n, size - 1);
        memcpy(dst, src, c);
        dst[c] = 0;
    }
    return n;
}

bool str_starts(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}
