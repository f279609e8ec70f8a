/*
 * What guest memory holds and who may touch it: the host side of mappings.
 * Ranges are page-aligned and belong to programs.
 */
#ifndef LINUX_MM_MEMORY_H
#define LINUX_MM_MEMORY_H

#include "lib/types.h"

struct range;
struct rangeset;

/* At boot: of all memory only the kernel's image, what the tender told it, and its arena stay accessible. */
void memory_init(uaddr_t user_end);

/*
 * Reads as zero, with protection prot; memory_protect keeps what is there. Where
 * the limit has no ample room for all of it, parts are *deferred*: closed until
 * somebody touches them, and not charged (mm/charge.h). A deferred part stays so,
 * whatever protection is asked for: the fault (mm/lazy.h) gives it what its
 * mapping says. Without memctl nothing can be deferred, and it fails at the limit.
 * False: no memory, or the host has no room for another mapping.
 */
bool memory_commit(uaddr_t start, uaddr_t end, int prot);
bool memory_protect(uaddr_t start, uaddr_t end, int prot);
/* Charged and open at once, for the kernel to write to. memory_open_always: over the limit, for single pages. */
bool memory_open(uaddr_t start, uaddr_t end, int prot);
void memory_open_always(uaddr_t start, uaddr_t end, int prot);
/* As memory_open without the host's protection: the caller gives it. */
bool memory_claim(uaddr_t start, uaddr_t end, int prot);
/* To be opened by its first touch: memory that is closed, and memory that holds nothing and is closed by this. */
bool memory_defer(uaddr_t start, uaddr_t end); /* false: no memory */
bool memory_close(uaddr_t start, uaddr_t end);
/* The first part of [start, end) that is deferred. */
bool memory_deferred(uaddr_t start, uaddr_t end, struct range *found);
/* It was opened, or emptied, without anybody having touched it since: memory_take_untouched hands these out, once. */
void memory_note_untouched(uaddr_t start, uaddr_t end);
struct rangeset memory_take_untouched(void);
/* Forgets what the range holds, which reads as zero again (in the companion: as the file). Protection stays. */
void memory_discard(uaddr_t start, uaddr_t end);
/* Discards and closes; nothing is charged or deferred any more. */
void memory_release(uaddr_t start, uaddr_t end);
/* Zeroes, for writable memory in the companion. */
void memory_wipe(uaddr_t start, uaddr_t end);

/* Memory without a mapping is inaccessible: the host grants memctl. */
bool memory_is_closed(void);

/*
 * The rootfs image is read where it is mapped, and what was read is counted as
 * resident though nobody needs it twice. image_use: n bytes are about to be read
 * (the host needs page tables for it). image_used: some of it has been read since
 * the last image_release, which forgets it all.
 */
void memory_image_use(const void *data, size_t n);
bool memory_image_used(void);
void memory_image_release(void);

/* The segments companion's places in guest memory. */
bool memory_in_companion(uaddr_t start, uaddr_t end); /* they overlap */
/* Overlaps with what is not for just any mapping: the companion, places for stacks, trampolines. *taken is all of that. */
bool memory_set_apart(uaddr_t start, uaddr_t end, struct range *taken);
/* Overlaps with a gap below a place for a stack, which stays closed. */
bool memory_in_stack_guard(uaddr_t start, uaddr_t end);
/* True if the companion's bytes there are as in the file: nobody has written to them. */
bool memory_companion_pristine(uaddr_t start, uaddr_t end);

#endif
