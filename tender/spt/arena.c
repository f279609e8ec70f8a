/*
 * malloc from a fixed arena in place of libc's. libseccomp is the only heavy
 * user, the process is a few hundred microseconds old when it jumps, and what
 * the tender leaves behind must be known exactly: with the arena all of its
 * memory lies within its own image, which launch.S unmaps. It also saves the
 * brk and mmap calls.
 *
 * Blocks are powers of two, kept on a list of free ones by size.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (4u << 20) /* libseccomp takes 27 KiB for a simple guest, 550 KiB for 63 disks */
#define SMALLEST_SHIFT 5u
#define CLASSES 18u /* 32 bytes to 4 MiB */
#define HEADER_BYTES 16u /* keeps what follows 16-byte aligned, as malloc promises */

struct block {
    size_t class;
    struct block *next_free;
};

static struct {
    size_t used;
    struct block *free[CLASSES];
    _Alignas(16) unsigned char bytes[ARENA_BYTES];
} arena;

void *malloc(size_t size)
{
    size_t class = 0;
    struct block *block;

    while (class < CLASSES && ((size_t)1 << (class + SMALLEST_SHIFT)) - HEADER_BYTES < size)
        class++;
    if (class == CLASSES) {
        errno = ENOMEM;
        return NULL;
    }
    block = arena.free[class];
    if (block != NULL)
        arena.free[class] = block->next_free;
    else {
        const size_t bytes = (size_t)1 << (class + SMALLEST_SHIFT);

        if (bytes > sizeof arena.bytes - arena.used) {
            errno = ENOMEM;
            return NULL;
        }
        block = (struct block *)(arena.bytes + arena.used);
        arena.used += bytes;
        block->class = class;
    }
    return (unsigned char *)block + HEADER_BYTES;
}

void free(void *pointer)
{
    struct block *block;

    if (pointer == NULL)
        return;
    block = (struct block *)((unsigned char *)pointer - HEADER_BYTES);
    block->next_free = arena.free[block->class];
    arena.free[block->class] = block;
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    void *pointer;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    pointer = malloc(bytes);
    return pointer == NULL ? NULL : memset(pointer, 0, bytes);
}

void *realloc(void *pointer, size_t size)
{
    struct block *block;
    size_t room;
    void *moved;

    if (pointer == NULL)
        return malloc(size);
    block = (struct block *)((unsigned char *)pointer - HEADER_BYTES);
    room = ((size_t)1 << (block->class + SMALLEST_SHIFT)) - HEADER_BYTES;
    if (size <= room)
        return pointer;
    moved = malloc(size);
    if (moved != NULL) {
        memcpy(moved, pointer, room);
        free(pointer);
    }
    return moved;
}
