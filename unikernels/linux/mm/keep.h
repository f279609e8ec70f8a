/*
 * Text of programs that have ended.
 *
 * A program that runs at one address alone, and does not lie there in the
 * companion, is copied as it is executed, and its calls are patched. What of it
 * nobody writes to, of a file of the image, stays mapped by a memory of nobody's
 * when its last process goes: the next one that executes it joins that (share.h).
 * It goes when its addresses are wanted for something else, when memory is short,
 * and when the guest sleeps for long.
 *
 * Needs memctl: memory that nobody has is closed there, and stays as it is.
 */
#ifndef LINUX_MM_KEEP_H
#define LINUX_MM_KEEP_H

#include "lib/types.h"

struct file;
struct mm;

/* mm, which may have VMA_KEEP mappings, is about to go away. */
void keep_text(const struct mm *mm);
/* [start, end) is about to be mapped with what (file, offset) says, privately: what is kept there and is not that, goes. */
void keep_yield(uaddr_t start, uaddr_t end, const struct file *file, uint64_t offset, int prot);
bool keep_any(void);
/* All of it goes; false: there was nothing. */
bool keep_drop(void);

#endif
