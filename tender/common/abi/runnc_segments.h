/*
 * The segments of an EROFS rootfs image (also: its companion): the programs and shared
 * objects of the image, their PT_LOAD segments laid out by virtual address. An area of the image
 * itself, from byte RUNNC_SEGMENTS_OFFSET on; whole pages of it are blocks of the files, too. Made by
 * src/rootfs/segments.ts, mapped by the tender
 * MAP_PRIVATE at a page-aligned address of guest memory (rootfs-map), read by
 * the Linux guest's ELF loader, which runs a program where it lies: text is
 * shared through the page cache, data is copied on write, exec copies nothing.
 *
 * A program that is not position-independent can run only at its own address.
 * The tender maps the span of one such program there as well, if the plan names
 * it (--program): there is no mmap once the guest runs.
 *
 * A header, the index, then the load spans. All integers are little-endian,
 * all offsets count from the start of the segments.
 *
 * The span of an object is the range of its virtual addresses from min_vaddr
 * (its lowest p_vaddr rounded down to a page) to the end of its highest
 * segment rounded up. Byte p_vaddr - min_vaddr + i of the span is byte
 * p_offset + i of the file for i < p_filesz; everything else is zero: bss, and
 * the gaps between segments. Protections are not in here: the loader reads
 * p_flags from the program headers in the image.
 *
 * Not every ELF of the image is in the index: files that cannot be executed and have no name of a
 * library (src/rootfs/elf-objects.ts), those that are not ET_DYN or
 * ET_EXEC for x86-64, have program headers Linux would refuse, or spread over more than
 * RUNNC_SEGMENTS_MAX_SPAN are left out. The loader copies them.
 *
 * The file comes from runnc, not from the image's author; still the guest
 * trusts nothing in it that could take it outside of the mapping.
 */
#ifndef RUNNC_ABI_SEGMENTS_H
#define RUNNC_ABI_SEGMENTS_H

#include <stdint.h>

#define RUNNC_SEGMENTS_MAGIC 0x474553434e4e5552ull /* "RUNNCSEG" */
#define RUNNC_SEGMENTS_VERSION 2u
#define RUNNC_SEGMENTS_OFFSET 4096u /* bytes, in the image */
#define RUNNC_SEGMENTS_MAX_SPAN 0x40000000ull /* bytes */

struct runnc_segments {
    uint64_t magic;
    uint32_t version;
    uint32_t count; /* of objects */
    uint64_t size;  /* bytes, of the whole companion: a multiple of 4096 */
    uint64_t reserved;
    struct runnc_segments_object {
        uint64_t nid;       /* EROFS inode number; the index is sorted by it, each at most once */
        uint64_t offset;    /* of the span: page-aligned, and aligned to the object's largest p_align up to 2 MiB */
        uint64_t span;      /* bytes: a multiple of 4096 */
        uint64_t min_vaddr; /* page-aligned */
        /* ET_EXEC: bytes of the file, by which the runtime finds the program it is going to run; ET_DYN: 0. */
        uint64_t fixed_size;
    } objects[];
};

#endif
