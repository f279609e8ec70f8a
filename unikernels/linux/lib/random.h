/* Random bytes from ChaCha20, keyed by the host's seed and RDRAND, with fast key erasure. */
#ifndef LINUX_LIB_RANDOM_H
#define LINUX_LIB_RANDOM_H

#include "lib/types.h"

/* Mixes the seed into the key; called at boot and again when a snapshot is resumed. */
void random_seed(const void *seed, size_t n);
void random_bytes(void *out, size_t n);

#endif
