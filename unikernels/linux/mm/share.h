/*
 * Memory of several processes at one address.
 *
 * All processes live in one address space and the host gives us one page for
 * each address, so what two of them have at one address is either the same or
 * has to be exchanged when the other one runs. This is how fork(2) copies
 * memory, how two processes use one program or library in place, and how two
 * programs that are linked to the same address run side by side.
 *
 * - A private page is *common* to all processes that map its address, as long as
 *   they agree on its content. Nothing is noted for it. With memctl the host lets
 *   nobody write to it, so that the first write is seen (share_fault).
 * - Where contents differ the page has a `struct place`, and *every* process that
 *   maps the page has an entry: the frame, a counted piece of content. One frame
 *   of a place is in place, the others are in kernel memory.
 * - A running process has all its frames in place (share_switch). A switch costs
 *   one copy or exchange for each page whose content differs, nothing for others.
 * - A frame in place that two processes count is write-protected like a common page.
 * - Shared mappings (VMA_SHARED) have the same memory for all and never a place.
 *   Nothing else may be mapped over them while another process has them.
 *
 * Without memctl writes are not seen: fork gives each process frames of its own
 * for all that is writable, at once, and each switch exchanges those that differ.
 *
 * Host protections of common pages are those of whoever asked last, never with
 * write access and always with read access if somebody may read; a process that may
 * do more has them put right by its fault.
 */
#ifndef LINUX_MM_SHARE_H
#define LINUX_MM_SHARE_H

#include "mm/rangeset.h"

struct file;
struct mm;

/* fork(2): a process's memory once more; mm is the running process's. NULL: ENOMEM. */
struct mm *share_fork(struct mm *mm);
/* Brings mm's frames in place. Called before a task of another mm runs. */
void share_switch(struct mm *mm);

/* The first part of [start, end) that no other process maps; false if there is none. */
bool share_alone(const struct mm *mm, uaddr_t start, uaddr_t end, struct range *alone);

/*
 * mm, which has nothing at [start, end), is about to have memory of its own there,
 * zeroed and writable, and others keep theirs aside. 0, -ENOMEM: no memory, or one
 * of the others shares its mapping with the world. Parts that nobody else maps are
 * left alone.
 */
int share_claim(struct mm *mm, uaddr_t start, uaddr_t end);
/*
 * mm, which has nothing at [start, end), is to map what others have there: the same
 * bytes of the same file with the same protection, never written to. The end of what
 * it has now, start if that is not so. in_place: the segments companion, where the
 * address says which bytes, and protections may differ.
 */
uaddr_t share_join(struct mm *mm, uaddr_t start, uaddr_t end, struct file *file, uint64_t offset, int prot,
                   bool in_place);
/* mm's pages of [start, end), which it maps, become its own and writable, whatever others have: 0, -ENOMEM. */
int share_own(struct mm *mm, uaddr_t start, uaddr_t end);
/* Others that map [start, end) execute it too: to them it is code, not bytes. */
bool share_is_code(const struct mm *mm, uaddr_t start, uaddr_t end);
/* mm does not map [start, end) any more. */
void share_drop(struct mm *mm, uaddr_t start, uaddr_t end);
/* Pages of [start, end) whose content differs between processes: mm has claimed them. First one, or end. */
uaddr_t share_first_claimed(const struct mm *mm, uaddr_t start, uaddr_t end);

/* As memory_protect for private memory of mm, but without write access to what is not its own. */
bool share_protect(struct mm *mm, uaddr_t start, uaddr_t end, int prot);
/* What all who share the mapping at addr may do with it together, mm by prot: it has one protection. */
int share_union_prot(const struct mm *mm, uaddr_t addr, int prot);
/* A page fault at addr that mm's mappings allow: 1 if it can be tried again; 0; -ENOMEM: no memory for a copy. */
int share_fault(struct mm *mm, uaddr_t addr, int needed);

/* Pages that mm has more than are in place for what it maps: its frames in kernel memory, less what is another's. */
ssize_t share_difference(const struct mm *mm);
/* What mm has at addr, whoever runs: bytes read into kernel memory, up to n; 0 if nothing is there. */
size_t share_peek(struct mm *mm, uaddr_t addr, void *buf, size_t n);
/* Writes to it as mm itself could, from kernel memory: bytes written. The running process's memory is in place again then. */
size_t share_poke(struct mm *mm, uaddr_t addr, const void *buf, size_t n);

/* mm goes away; it maps nothing any more. */
void share_forget(const struct mm *mm);

#endif
