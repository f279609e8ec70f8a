/* One of the four functions that GCC may call on its own (GCC manual, "Standards", freestanding). */
#include <stddef.h>

int memcmp(const void *left, const void *right, size_t n);

int memcmp(const void *left, const void *right, size_t n)
{
    const unsigned char *l = left, *r = right;

    for (; n > 0; n--, l++, r++)
        if (*l != *r)
            return *l - *r;
    return 0;
}
