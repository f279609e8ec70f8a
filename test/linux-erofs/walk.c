/*
 * Runs the guest kernel's EROFS reader on the host.
 *
 *   walk IMAGE           prints each file: path, type, mode, owner, links, mtime, size, hash or target
 *   walk IMAGE SEED N    N times: damages some bytes of the image, walks all of it, looks each name up
 *
 * The image is copied to a block of exactly its size, so that the address
 * sanitizer sees any access outside of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/erofs.h"

static bool quiet;
static uint64_t errors;       /* met while walking a damaged image */
static uint64_t entries_left; /* a damaged image may hold a loop */
static uint64_t bytes_left;

static uint64_t hash_data(const struct erofs *fs, const struct erofs_inode *inode)
{
    uint64_t hash = 0xcbf29ce484222325ull;

    for (uint64_t at = 0; at < inode->size;) {
        const uint8_t *data;
        uint64_t len;
        int err = erofs_map(fs, inode, at, &data, &len);
        if (err) {
            errors++;
            return (uint64_t)err;
        }
        if (len == 0 || len > inode->size - at)
            abort();
        if (len > bytes_left)
            return 0;
        bytes_left -= data ? len : 0;
        if (!data && quiet)
            return 0;
        for (uint64_t i = 0; i < len; i++)
            hash = (hash ^ (data ? data[i] : 0)) * 0x100000001b3ull;
        at += len;
    }
    return hash;
}

static void print_target(const struct erofs *fs, const struct erofs_inode *inode)
{
    printf(" -> ");
    for (uint64_t at = 0; at < inode->size;) {
        const uint8_t *data;
        uint64_t len;
        if (erofs_map(fs, inode, at, &data, &len))
            break;
        fwrite(data, 1, len, stdout);
        at += len;
    }
}

static int walk(const struct erofs *fs, uint64_t nid, const char *path, int depth)
{
    struct erofs_inode inode;
    int err = erofs_inode(fs, nid, &inode);
    if (err)
        return err;
    uint64_t hash = S_ISDIR(inode.mode) ? 0 : hash_data(fs, &inode);
    if (!quiet) {
        printf("%s %o %u:%u links=%u mtime=%lld.%u rdev=%u", path, inode.mode, inode.uid, inode.gid,
               inode.nlink, (long long)inode.mtime, inode.mtime_nsec, inode.rdev);
        if (S_ISREG(inode.mode))
            printf(" size=%llu hash=%016llx", (unsigned long long)inode.size, (unsigned long long)hash);
        if (S_ISLNK(inode.mode))
            print_target(fs, &inode);
        printf("\n");
    }
    if (!S_ISDIR(inode.mode))
        return 0;
    if (depth > 64)
        return -ELOOP;

    struct erofs_dirent entry;
    uint64_t cursor = 0;
    int more;
    while ((more = erofs_readdir(fs, &inode, &cursor, &entry)) == 1) {
        uint64_t found;
        if (entries_left-- == 0)
            return -ELOOP;
        err = erofs_lookup(fs, &inode, entry.name, entry.len, &found);
        errors += err != 0;
        if (!quiet && (err || found != entry.nid)) {
            fprintf(stderr, "look-up of %.*s in %s: %d\n", (int)entry.len, entry.name, path, err);
            exit(1);
        }
        if ((entry.len == 1 && entry.name[0] == '.') || (entry.len == 2 && !memcmp(entry.name, "..", 2)))
            continue;
        char *child;
        if (asprintf(&child, "%s%s%.*s", path, path[1] ? "/" : "", (int)entry.len, entry.name) < 0)
            abort();
        err = walk(fs, entry.nid, child, depth + 1);
        errors += err != 0;
        free(child);
        if (err && !quiet)
            return err;
    }
    if (!quiet) {
        uint64_t none;
        const char *absent[] = {"", "\x01", "\xff\xff", "no such name", "m"};
        for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
            err = erofs_lookup(fs, &inode, absent[i], strlen(absent[i]), &none);
            if (err != -ENOENT)
                return err ? err : -EEXIST;
        }
    }
    return more;
}

static int walk_image(const uint8_t *image, size_t size)
{
    struct erofs fs;
    int err = erofs_open(&fs, image, size);
    entries_left = 100000;
    bytes_left = 64 << 20;
    return err ? err : walk(&fs, fs.root_nid, "/", 0);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    struct stat st;
    if (!file || fstat(fileno(file), &st))
        return perror("image"), 1;
    size_t size = (size_t)st.st_size;
    uint8_t *image = malloc(size);
    if (fread(image, 1, size, file) != size)
        return perror("read"), 1;
    fclose(file);

    if (argc < 4) {
        int err = walk_image(image, size);
        if (err)
            fprintf(stderr, "%s: %s\n", argv[1], strerror(-err));
        free(image);
        return err != 0;
    }

    quiet = true;
    uint64_t state = strtoull(argv[2], NULL, 0) | 1;
    unsigned long rounds = strtoul(argv[3], NULL, 0), refused = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        size_t part = next_random(&state) % 8 == 0 ? 1 + next_random(&state) % size : size;
        uint8_t *damaged = malloc(part);
        memcpy(damaged, image, part);
        for (uint64_t n = next_random(&state) % 24 + 1; n > 0; n--) {
            /* Most damage where it hurts: superblock, inodes and dirents come first in the image. */
            size_t span = next_random(&state) % 4 ? (part < 16384 ? part : 16384) : part;
            size_t low = span > 1024 ? 1024 : 0;
            damaged[low + next_random(&state) % (span - low)] = (uint8_t)next_random(&state);
        }
        errors = 0;
        refused += walk_image(damaged, part) != 0 || errors != 0;
        free(damaged);
    }
    printf("%lu of %lu damaged images refused\n", refused, rounds);
    free(image);
    return 0;
}
