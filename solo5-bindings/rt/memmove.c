/* One of the four functions that GCC may call on its own (GCC manual, "Standards", freestanding). */
#include <stddef.h>
#include <stdint.h>

void *memmove(void *dest, const void *src, size_t n);

void *memmove(void *dest, const void *src, size_t n)
{
    unsigned char *d = dest;
    const unsigned char *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= n) { /* the start of dest is not inside src: forwards is safe */
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        return dest;
    }
    while (n-- > 0)
        d[n] = s[n];
    return dest;
}
