/* Small pieces of code between patched call sites and the gate: slots in a region below 2 GiB. */
#ifndef LINUX_MM_TRAMPOLINE_H
#define LINUX_MM_TRAMPOLINE_H

#include "lib/types.h"

#define TRAMPOLINE_BYTES 16u
#define TRAMPOLINE_REGION (2ul << 20)

/* Where the region begins: at boot, below the lower of 2 GiB and the end of memory. */
void trampoline_init(uaddr_t start);
uaddr_t trampoline_start(void);

/* A slot, never 0 in *index; its address, 0 if there is none left. */
uaddr_t trampoline_alloc(uint32_t *index);
uaddr_t trampoline_address(uint32_t index);
/* Code of at most TRAMPOLINE_BYTES. */
void trampoline_write(uaddr_t at, const void *code, size_t n);
/* It is used again only after all others, for a thread may still stand in it. */
void trampoline_free(uint32_t index);

#endif
