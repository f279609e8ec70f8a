/* The sorted list of an mm's vmas: cutting, joining, finding. Knows nothing of what memory holds. */
#ifndef LINUX_MM_VMA_H
#define LINUX_MM_VMA_H

#include "mm/mm.h"

/* Index of the first vma that ends behind addr; mm->count if there is none. */
unsigned vma_index(const struct mm *mm, uaddr_t addr);
bool vma_range_free(const struct mm *mm, uaddr_t start, uaddr_t end);
/* Every page of the range is in some vma. */
bool vma_range_full(const struct mm *mm, uaddr_t start, uaddr_t end);

/* Makes start and end borders of vmas, so that whole vmas cover what is mapped between. False: no memory. */
bool vma_split(struct mm *mm, uaddr_t start, uaddr_t end);
/* Takes over the reference on vma->file; joins neighbours that fit. False: no memory. */
bool vma_insert(struct mm *mm, const struct vma *vma);
/* Removes one vma and its reference on the file. */
void vma_erase(struct mm *mm, unsigned index);
/* Sets protection with the accounts. */
void vma_set_prot(struct mm *mm, struct vma *vma, int prot);
/* Joins neighbours from the one before start to the one behind end. */
void vma_join(struct mm *mm, uaddr_t start, uaddr_t end);

#endif
