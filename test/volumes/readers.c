/*
 * Large reads of one file by several threads at once, each of which looks whether what comes is what the file has.
 *
 *   readers FILE make BYTES    writes it: each 8 bytes say where they are
 *   readers FILE               reads it: alone on a descriptor and together, on and on, in leaps, into several pieces, into
 *                              memory of which a part is not there, and by sendfile
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER (3u << 20)
#define PAGE 4096u

static const char *path;
static uint64_t size;
static int shared;

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(const char *how, uint64_t offset, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != (uint8_t)((offset + i) / 8 >> (offset + i) % 8 * 8)) {
            printf("%s: byte %llu is %02x\n", how, (unsigned long long)(offset + i), data[i]);
            exit(1);
        }
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33) % below;
}

static size_t expected(uint64_t offset, size_t len)
{
    return offset >= size ? 0 : len < size - offset ? len : size - offset;
}

static void read_on(uint8_t *buffer, size_t step)
{
    int fd = open(path, O_RDONLY);
    uint64_t at = 0;
    ssize_t got;

    if (fd < 0)
        die("open");
    while ((got = read(fd, buffer, step)) > 0) {
        check("on and on", at, buffer, (size_t)got);
        at += (size_t)got;
    }
    if (got < 0 || at != size || close(fd))
        die("on and on");
}

static void leap(int fd, uint8_t *buffer, uint64_t *state, int leaps)
{
    while (leaps-- > 0) {
        uint64_t offset = draw(state, (uint32_t)size);
        size_t len = 1 + draw(state, BUFFER), half = len / 2;
        struct iovec pieces[] = {{buffer + len - half, half}, {buffer, len - half}};

        if (draw(state, 2)) {
            if (pread(fd, buffer, len, (off_t)offset) != (ssize_t)expected(offset, len))
                die("pread");
            check("pread", offset, buffer, expected(offset, len));
        } else {
            size_t all = expected(offset, len), first = half < all ? half : all;
            if (preadv(fd, pieces, 2, (off_t)offset) != (ssize_t)all)
                die("preadv");
            check("first piece", offset, buffer + len - half, first);
            check("second piece", offset + first, buffer, all - first);
        }
    }
}

/* The page behind the good ones is not there: what can be read is, and nothing of the file gets lost. */
static void read_into_a_hole(uint8_t *buffer)
{
    const size_t good = 200 * PAGE;
    uint8_t *map = mmap(NULL, good + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open(path, O_RDONLY);
    uint64_t at = 0;

    if (map == MAP_FAILED || munmap(map + good, PAGE) || fd < 0)
        die("mmap");
    for (int n = 0; n < 4; n++) {
        ssize_t got = read(fd, map, good + PAGE);
        if (got <= 0 || (size_t)got > good)
            die("read into a hole");
        check("before the hole", at, map, (size_t)got);
        at += (size_t)got;
        got = read(fd, map + good - 100, 2 * PAGE);
        if (got < 0 ? errno != EFAULT : got > 100)
            die("read at a hole");
        at += got > 0 ? (size_t)got : 0;
        if (lseek(fd, 0, SEEK_CUR) != (off_t)at)
            die("position");
        got = read(fd, buffer, 300000);
        if (got != (ssize_t)expected(at, 300000))
            die("read behind");
        check("behind the hole", at, buffer, (size_t)got);
        at += (size_t)got;
    }
    void *volatile nowhere = (void *)8;
    if (read(fd, nowhere, 1 << 20) != -1 || errno != EFAULT || close(fd) || munmap(map, good))
        die("bad memory");
}

static void send_on(uint8_t *buffer)
{
    int in = open(path, O_RDONLY), out = memfd_create("copy", 0);
    ssize_t sent;

    if (in < 0 || out < 0)
        die("open");
    while ((sent = sendfile(out, in, NULL, 1 << 20)) > 0) continue;
    for (uint64_t at = 0; at < size;) {
        ssize_t got = pread(out, buffer, BUFFER, (off_t)at);
        if (got <= 0)
            die("sendfile");
        check("sendfile", at, buffer, (size_t)got);
        at += (size_t)got;
    }
    if (sent || close(in) || close(out))
        die("sendfile");
}

static void *reader(void *number)
{
    static const size_t STEPS[] = {1 << 20, 4096, 100000, 65536, 700001};
    uint64_t n = (uintptr_t)number, state = n;
    uint8_t *buffer = malloc(BUFFER);

    if (!buffer)
        die("malloc");
    for (int round = 0; round < 3; round++) {
        read_on(buffer, STEPS[(n + (unsigned)round) % 5]);
        leap(shared, buffer, &state, 8);
        int own = open(path, O_RDONLY);
        leap(own, buffer, &state, 8);
        close(own);
        if (n == 0)
            send_on(buffer);
        if (n == 1)
            read_into_a_hole(buffer);
    }
    free(buffer);
    return NULL;
}

static void make(uint64_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    static uint64_t words[1 << 16];

    for (uint64_t at = 0; at < bytes; at += sizeof words) {
        for (size_t i = 0; i < sizeof words / 8; i++) words[i] = at / 8 + i;
        size_t part = bytes - at < sizeof words ? bytes - at : sizeof words;
        if (write(fd, words, part) != (ssize_t)part)
            die("write");
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    struct stat status;

    path = argv[1];
    if (argc == 4) {
        make(strtoull(argv[3], NULL, 10));
        return 0;
    }
    if ((shared = open(path, O_RDONLY)) < 0 || fstat(shared, &status))
        die(path);
    size = (uint64_t)status.st_size;
    for (uintptr_t n = 0; n < 4; n++)
        if (pthread_create(&threads[n], NULL, reader, (void *)n))
            die("pthread_create");
    for (int n = 0; n < 4; n++) pthread_join(threads[n], NULL);
    printf("read\n");
    return 0;
}
