/* What lwIP asks of a compiler and a platform. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "lib/types.h"
#include "net/lwip/pool.h"

#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_UNISTD_H 1
#define SSIZE_MAX LONG_MAX /* lib/types.h has ssize_t */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

/* A state of lwIP's that cannot be ends the container, rather than let a neighbour's frame corrupt it. */
#define LWIP_PLATFORM_ASSERT(text) panic("lwIP: %s", text)
#define LWIP_PLATFORM_DIAG(x) do { } while (0)

static inline uint32_t lwip_random(void)
{
    uint32_t value;

    random_bytes(&value, sizeof(value));
    return value;
}
#define LWIP_RAND() lwip_random()

/* Sums in words of 64 bits: see checksum.c. */
uint16_t net_checksum(const void *data, int len);
#define LWIP_CHKSUM net_checksum

#define PACK_STRUCT_STRUCT __attribute__((packed))

#endif
