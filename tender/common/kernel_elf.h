/*
 * The ELF file of a guest kernel, which is hostile input.
 *
 * Everything is read with pread into memory of our own and checked there, so
 * that a file that changes while we look cannot make a checked value differ
 * from the used one. The file is never mapped. Every function ends the process
 * through fail() if the file is not what it must be.
 */
#ifndef RUNNC_KERNEL_ELF_H
#define RUNNC_KERNEL_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_PAGE_SIZE 4096u
/* Solo5's linker script makes 9 program headers. */
#define ELF_MAX_HEADERS 64u

struct elf_segment {
    uint64_t vaddr;    /* first byte */
    uint64_t filesz;   /* bytes taken from the file; the rest up to memsz is zero */
    uint64_t memsz;    /* bytes */
    uint64_t offset;   /* in the file */
    uint64_t start;    /* vaddr rounded down to the segment's alignment */
    uint64_t end;      /* vaddr + memsz rounded up to it */
    int prot;          /* PROT_*; never PROT_WRITE with PROT_EXEC */
};

struct elf_image {
    int fd;
    const char *name; /* for messages */
    uint64_t file_size;
    uint64_t entry;
    uint64_t end; /* first page after the last segment; set by elf_place */
    unsigned segment_count;
    struct elf_segment segments[ELF_MAX_HEADERS];
    unsigned header_count;
    Elf64_Phdr headers[ELF_MAX_HEADERS];
};

/* Reads and checks the file header and the program headers: a static x86-64
 * ET_EXEC whose interpreter, if it names one, is Solo5's. */
void elf_open(struct elf_image *image, int fd, const char *name);

/*
 * Copies the descriptor of the note with that owner and type to buffer and
 * returns its size in bytes, 0 if there is no such note. A note that occurs
 * twice or exceeds capacity bytes is an error. Each note has a PT_NOTE of its
 * own, as Solo5's linker scripts make them; only the first note of a PT_NOTE is
 * looked at.
 *
 * As Solo5 does, the descriptor starts at the first multiple of align bytes
 * (a power of two) behind the note's header; the padding counts in n_descsz.
 */
size_t elf_note(const struct elf_image *image, const char *owner, uint32_t type, size_t align,
                void *buffer, size_t capacity);

/*
 * Checks where the segments go: inside [min_address, mem_size), ascending, not
 * overlapping when rounded to their alignment, never writable and executable,
 * and the entry point in an executable one. Fills in segments and end.
 */
void elf_place(struct elf_image *image, uint64_t min_address, uint64_t mem_size);

/* Copies the placed segments to their addresses and sets their protection. The
 * memory there is zero, mapped and writable. */
void elf_load(const struct elf_image *image);

/* Is [address, address + size) inside one segment that has all of prot? */
bool elf_contains(const struct elf_image *image, uint64_t address, uint64_t size, int prot);

#endif
