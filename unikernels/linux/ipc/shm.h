/*
 * System V shared memory: shmget(2), shmop(2), shmctl(2).
 *
 * A segment is a file without a name, and attaching it a shared mapping of that
 * file. So like any such mapping it is at one place for all: attached twice, it
 * has the same address twice, and at an address that it is not at, ENOMEM.
 * Attachments are counted by looking at who maps the file.
 */
#ifndef LINUX_IPC_SHM_H
#define LINUX_IPC_SHM_H

#include <asm/shmbuf.h>

#include "lib/types.h"

struct shm_usage {
    uint64_t segments, pages, resident;
};

/* Results and errors as the system calls'. */
long shm_get(int32_t key, size_t size, int flags);
long shm_attach(int id, uaddr_t addr, int flags);
long shm_detach(uaddr_t addr);
/* place: id is a place in the table and the answer the identifier, else 0. rights are asked for if `any` is not set. */
long shm_stat(int id, bool place, bool any, struct shmid64_ds *ds);
long shm_set(int id, const struct shmid64_ds *ds);
long shm_remove(int id);
/* Accepted: there is no swap. */
long shm_lock(int id, bool lock);
/* The highest place in use. */
int shm_info(struct shminfo64 *limits, struct shm_usage *usage);

/* The current process has forked, executed or ended: what is attached where is another thing now. */
void shm_mappings_changed(void);

#endif
