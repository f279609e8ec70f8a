/*
 * Private file mappings that are filled when they are touched.
 *
 * A mapping that nobody has touched is closed to everyone; the first touch
 * faults, and a piece of the file is copied in. Needs memctl: without it memory
 * cannot be closed, and mappings are filled at once.
 */
#ifndef LINUX_MM_LAZY_H
#define LINUX_MM_LAZY_H

#include "lib/types.h"

struct mm;
struct range;

/* [start, end) has just become (part of) a vma of a file and is closed. False: no memory, fill it now. */
bool lazy_add(uaddr_t start, uaddr_t end);
/* It is about to be unmapped or replaced. */
void lazy_drop(uaddr_t start, uaddr_t end);
/* The first part of [start, end) that is to be filled. */
bool lazy_missing(uaddr_t start, uaddr_t end, struct range *found);
/* Fills what is missing of the range, which is in mm: before its protection changes or it is moved. 0, -ENOMEM, -EIO. */
int lazy_fill(struct mm *mm, uaddr_t start, uaddr_t end);
/* A fault at addr: true if there was something to fill, and the instruction can be tried again. */
bool lazy_fault(struct mm *mm, uaddr_t addr);

#endif
