/*
 * volumes write FILE MIB    writes it anew, 1 MiB at a time
 * volumes read FILE         reads it, 1 MiB at a time
 * volumes stat FILE COUNT   asks for its attributes
 * volumes small FOLDER      opens, looks at, reads and closes each file in it
 *
 * Each prints the seconds it took.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1u << 20)

static char block[BLOCK];

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void write_file(const char *path, int mib)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    check(fd >= 0, path);
    for (int i = 0; i < mib; i++) check(write(fd, block, BLOCK) == BLOCK, "write");
    check(close(fd) == 0, "close");
}

static void read_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t got;

    check(fd >= 0, path);
    while ((got = read(fd, block, BLOCK)) > 0) continue;
    check(got == 0 && close(fd) == 0, "read");
}

static void stat_file(const char *path, long count)
{
    struct stat st;

    for (long i = 0; i < count; i++) check(stat(path, &st) == 0, path);
}

static void read_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;

    check(dir != NULL, path);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
        check(fd >= 0 && fstat(fd, &st) == 0, entry->d_name);
        while (read(fd, block, BLOCK) > 0) continue;
        check(close(fd) == 0, "close");
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    memset(block, 'x', sizeof block);
    const double begin = now();
    if (strcmp(argv[1], "write") == 0)
        write_file(argv[2], atoi(argv[3]));
    else if (strcmp(argv[1], "read") == 0)
        read_file(argv[2]);
    else if (strcmp(argv[1], "stat") == 0)
        stat_file(argv[2], atol(argv[3]));
    else
        read_folder(argv[2]);
    printf("%.6f\n", now() - begin);
    return 0;
}
