/*
 * The first touch of deferred memory: private file mappings that are filled
 * when somebody reads them, and memory for which the container's limit had no
 * ample room when it was mapped (mm/memory.h).
 *
 * Processes that both map an address that is deferred map the same there: the
 * same file, or nothing yet. Needs memctl: without it memory cannot be closed,
 * and mappings are filled at once.
 */
#ifndef LINUX_MM_LAZY_H
#define LINUX_MM_LAZY_H

#include "lib/types.h"

struct file;
struct mm;

/* Opens what is deferred of the range, which is in mm, for the kernel to read or write. 0, -ENOMEM, -EIO. */
int lazy_fill(struct mm *mm, uaddr_t start, uaddr_t end);
/* What a fault at addr would have to wait for, of a file: counted, with the range of it. NULL: nothing. */
struct file *lazy_missing(struct mm *mm, uaddr_t addr, uint64_t *offset, size_t *len);
/*
 * A fault at addr: 1 if there was something to open, and the instruction can be
 * tried again; 0; -ENOMEM: the limit is reached. always: not for that reason; -EIO:
 * the file cannot be read.
 */
int lazy_fault(struct mm *mm, uaddr_t addr, int needed, bool always);

#endif
