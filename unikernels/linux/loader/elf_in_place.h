/* Does a mapping of an ELF file find its bytes in the segments companion? */
#ifndef LINUX_LOADER_ELF_IN_PLACE_H
#define LINUX_LOADER_ELF_IN_PLACE_H

#include "lib/types.h"

struct file;

/*
 * Where mmap(addr, len, …, flags, file, offset) of a program's loader can be
 * met without copying: the start of the object's span for its first mapping,
 * addr itself for a later MAP_FIXED one whose bytes are there already. 0 if not.
 */
uaddr_t elf_in_place(struct file *file, uint64_t offset, size_t len, int flags, uaddr_t addr);

#endif
