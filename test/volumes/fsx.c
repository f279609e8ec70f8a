/*
 * Random operations on one file against a model in memory, in the way of fsx: each
 * operation follows from the seed alone, and what is read must be what the model has.
 *
 *   fsx FILE SEED OPERATIONS [crash]
 *   fsx - SEED OPERATIONS crash FIRST
 *                                    the model alone: a line "N HASH SIZE" after each operation from FIRST on
 *   fsx FILE                         "HASH SIZE" of a file
 *
 * crash: no shared mappings, whose stores nobody has promised to keep, and no write that a
 * server may do in two; a line "kept N" for each fsync: operation N and all before are to be there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define PAGE 4096u

static uint8_t model[FILE_MAX], buffer[FILE_MAX];
static size_t size;
static uint64_t state;
static const char *path;
static int fd = -1;
static bool crash;
static unsigned long operation;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 11) % below;
}

static void die(const char *what)
{
    printf("operation %lu: %s: %s\n", operation, what, strerror(errno));
    exit(1);
}

static void differ(const char *how, size_t offset, const uint8_t *found, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (found[i] != model[offset + i]) {
            printf("operation %lu: %s at %zu+%zu: byte %zu is %02x, not %02x (size %zu)\n", operation, how, offset, len,
                   offset + i, found[i], model[offset + i], size);
            exit(1);
        }
}

static uint32_t length(void)
{
    static const uint32_t LARGE[] = {1, 100, 5000, 70000, 300000};
    const uint32_t max = LARGE[draw(crash ? 4 : 5)];

    return 1 + draw(max < 65536 || !crash ? max : 60000);
}

static void op_write(bool append)
{
    size_t offset = append ? size : draw(FILE_MAX), len = length();

    if (len > FILE_MAX - offset)
        len = FILE_MAX - offset;
    if (!len)
        return;
    for (size_t i = 0; i < len; i++) buffer[i] = (uint8_t)(operation * 31 + i * 7 + (i >> 8));
    if (offset > size)
        memset(model + size, 0, offset - size);
    memcpy(model + offset, buffer, len);
    if (offset + len > size)
        size = offset + len;
    if (fd < 0)
        return;
    if (append) {
        int a = open(path, O_WRONLY | O_APPEND);
        if (a < 0 || write(a, buffer, len) != (ssize_t)len || close(a))
            die("append");
    } else if (pwrite(fd, buffer, len, (off_t)offset) != (ssize_t)len) {
        die("pwrite");
    }
}

static void op_read(void)
{
    size_t offset = draw(FILE_MAX), len = length();
    size_t expected = offset < size ? (len < size - offset ? len : size - offset) : 0;

    if (len > FILE_MAX)
        len = FILE_MAX;
    if (fd < 0)
        return;
    ssize_t got = pread(fd, buffer, len, (off_t)offset);
    if (got != (ssize_t)expected) {
        printf("operation %lu: read %zd at %zu+%zu, not %zu (size %zu)\n", operation, got, offset, len, expected, size);
        exit(1);
    }
    differ("read", offset, buffer, expected);
}

/* From the beginning on, in even steps: read-ahead. */
static void op_read_all(void)
{
    size_t step = length(), at = 0;
    ssize_t got;

    if (fd < 0)
        return;
    if (lseek(fd, 0, SEEK_SET))
        die("lseek");
    while ((got = read(fd, buffer, step < FILE_MAX ? step : FILE_MAX)) > 0) {
        differ("read on", at, buffer, (size_t)got);
        at += (size_t)got;
        if (step < 4096 && at > 100000)
            return;
    }
    if (got < 0 || at != size)
        die("read to the end");
}

static void op_truncate(void)
{
    size_t to = draw(4) ? draw(FILE_MAX) : size;

    if (to > size)
        memset(model + size, 0, to - size);
    size = to;
    if (fd >= 0 && (draw(2) ? ftruncate(fd, (off_t)to) : truncate(path, (off_t)to)))
        die("truncate");
    else if (fd < 0)
        draw(2);
}

static void op_punch(void)
{
    size_t offset = draw(FILE_MAX), len = length(), end = offset + len < size ? offset + len : size;
    const bool zero = draw(2);

    if (offset < end)
        memset(model + offset, 0, end - offset);
    if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE | (zero ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE), (off_t)offset,
                             (off_t)len)) {
        if (errno != EOPNOTSUPP)
            die("fallocate");
        if (offset < end && pwrite(fd, model + offset, end - offset, (off_t)offset) != (ssize_t)(end - offset))
            die("pwrite");
    }
}

static void op_map(bool shared)
{
    size_t pages = (size + PAGE - 1) / PAGE, first, len;

    if (!pages)
        return;
    first = draw((uint32_t)pages);
    len = 1 + draw(16);
    if (len > pages - first)
        len = pages - first;
    size_t offset = first * PAGE, bytes = offset + len * PAGE < size ? len * PAGE : size - offset;
    uint8_t *map = mmap(NULL, len * PAGE, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd, (off_t)offset);
    if (map == MAP_FAILED)
        die("mmap");
    differ(shared ? "shared mapping" : "private mapping", offset, map, bytes);
    for (size_t i = bytes; i < len * PAGE; i++)
        if (map[i])
            die("bytes behind the end");
    size_t from = draw((uint32_t)bytes), count = 1 + draw((uint32_t)(bytes - from));
    memset(map + from, (int)operation, count);
    if (shared) {
        memset(model + offset + from, (int)operation, count);
        switch (draw(3)) {
        case 0:
            if (msync(map, len * PAGE, MS_SYNC))
                die("msync");
            break;
        case 1:
            if (pread(fd, buffer, bytes, (off_t)offset) != (ssize_t)bytes)
                die("read of a mapping");
            differ("read of a mapping", offset, buffer, bytes);
            break;
        }
    }
    if (munmap(map, len * PAGE))
        die("munmap");
}

static void op_reopen(void)
{
    if (fd < 0)
        return;
    if (close(fd) || (fd = open(path, O_RDWR)) < 0)
        die("reopen");
}

static void op_sync(void)
{
    if (fd < 0)
        return;
    if (draw(2) ? fsync(fd) : fdatasync(fd))
        die("fsync");
    if (crash) {
        printf("kept %lu\n", operation);
        fflush(stdout);
    }
}

static void step(void)
{
    switch (draw(crash ? 60 : 100)) {
    case 0 ... 19: op_write(false); break;
    case 20 ... 24: op_write(true); break;
    case 25 ... 44: op_read(); break;
    case 45 ... 47: op_read_all(); break;
    case 48 ... 51: op_truncate(); break;
    case 52 ... 54: op_punch(); break;
    case 55 ... 56: op_reopen(); break;
    case 57: if (fd < 0) draw(2); op_sync(); break;
    case 58 ... 59: if (!crash && fd >= 0) op_map(false); break;
    case 60 ... 89: op_map(true); break;
    default: op_map(false); break;
    }
}

static uint64_t hash(void)
{
    uint64_t h = 1469598103934665603ull;

    for (size_t i = 0; i < size; i++) h = (h ^ model[i]) * 1099511628211ull;
    return h;
}

int main(int argc, char **argv)
{
    path = argv[1];
    if (argc == 2) {
        ssize_t got = read(open(path, O_RDONLY), model, FILE_MAX);
        if (got < 0)
            die("read");
        size = (size_t)got;
        printf("%016llx %zu\n", (unsigned long long)hash(), size);
        return 0;
    }
    if (argc < 4)
        return 2;
    state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
    crash = argc > 4;
    const unsigned long first = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
    const unsigned long count = strtoul(argv[3], NULL, 10);
    if (strcmp(path, "-") != 0 && (fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644)) < 0)
        die("open");
    for (operation = 1; operation <= count; operation++) {
        step();
        if (fd < 0 && operation >= first)
            printf("%lu %016llx %zu\n", operation, (unsigned long long)hash(), size);
    }
    if (fd >= 0) {
        if (fsync(fd) || pread(fd, buffer, FILE_MAX, 0) != (ssize_t)size)
            die("the end");
        differ("the end", 0, buffer, size);
        printf("%016llx %zu\n", (unsigned long long)hash(), size);
    }
    return 0;
}
