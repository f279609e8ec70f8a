/* One of the four functions that GCC may call on its own (GCC manual, "Standards", freestanding). */
#include <stddef.h>

void *memset(void *dest, int c, size_t n);

void *memset(void *dest, int c, size_t n)
{
    void *d = dest;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dest;
}
