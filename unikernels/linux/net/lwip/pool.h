/*
 * Memory of the network: packets, connections, what sockets hold. Bounded, so
 * that no peer can take the programs' memory away: an allocation fails beyond
 * the limit, and a packet is lost.
 */
#ifndef LINUX_NET_LWIP_POOL_H
#define LINUX_NET_LWIP_POOL_H

#include "lib/types.h"

/* At boot; limit in bytes. */
void net_pool_init(size_t limit);
/* 16-byte aligned, at most 128 KiB; NULL beyond the limit. */
void *net_pool_alloc(size_t n);
void *net_pool_calloc(size_t n, size_t size);
void net_pool_free(void *p); /* NULL is fine */
/* Bytes in use, as allocated from the kernel's pages. */
size_t net_pool_used(void);
/* More than three quarters of the limit is in use: take nothing that can be refused. */
bool net_pool_tight(void);

#endif
