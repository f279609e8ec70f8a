/* SipHash-2-4 with a key of this boot: what peers must not be able to foresee or to make collide. */
#ifndef LINUX_NET_LWIP_SIPHASH_H
#define LINUX_NET_LWIP_SIPHASH_H

#include "lib/types.h"

/* n: words of 64 bits. */
uint64_t net_siphash(const uint64_t *words, size_t n);

#endif
