/* One of the four functions that GCC may call on its own (GCC manual, "Standards", freestanding). */
#include <stddef.h>

void *memcpy(void *restrict dest, const void *restrict src, size_t n);

void *memcpy(void *restrict dest, const void *restrict src, size_t n)
{
    void *d = dest;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
    return dest;
}
