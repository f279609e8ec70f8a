/* Putting an ELF program and its interpreter into memory. */
#ifndef LINUX_LOADER_ELF_H
#define LINUX_LOADER_ELF_H

#include <linux/elf.h>

#include "lib/types.h"

struct file;
struct mm;

#define ELF_MAX_PHDRS 256u
#define ELF_INTERP_MAX 256u

/* The headers of a program that could be loaded: checked, nothing mapped yet. */
struct elf_program {
    struct file *file; /* borrowed */
    Elf64_Ehdr head;
    Elf64_Phdr *phdrs; /* kmalloc'ed, head.e_phnum */
    uaddr_t min_vaddr, max_vaddr; /* of the PT_LOADs, page-aligned */
    size_t align;
    bool executable_stack;
    char interp[ELF_INTERP_MAX]; /* path, "" if there is none */
};

/* Where it was put. */
struct elf_place {
    uaddr_t bias;  /* added to the file's addresses */
    uaddr_t entry, phdr, end;
    uaddr_t start_code, end_code, start_data, end_data;
};

/* 0; -ENOEXEC if it is none, or one that Linux would refuse; -ENOMEM; what reading said. */
int elf_read(struct file *file, struct elf_program *program);
void elf_free(struct elf_program *program);
/* Maps it: in place from the segments companion if it can be, else copied. -ENOMEM, -ENOEXEC. */
int elf_load(struct mm *mm, const struct elf_program *program, struct elf_place *place);

#endif
