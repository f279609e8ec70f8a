/*
 * Nanoseconds of one system call that does nothing: from where a C library makes it, and from memory that is
 * writable, where the Linux guest never changes a call site. Prints both, and that of a read of 4 KiB of itself. With an
 * argument it makes the first kind of call and reads, and nothing else.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WARMUP = 100, HOT_CALLS = 2000000, COLD_CALLS = 200000, READS = 100000 };

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double time_calls(pid_t (*call)(void), int count)
{
    for (int i = 0; i < WARMUP; i++)
        call();
    const double start = now_ns();
    for (int i = 0; i < count; i++)
        call();
    return (now_ns() - start) / count;
}

static double time_reads(const char *path)
{
    static char page[4096];
    const int fd = open(path, O_RDONLY);

    if (fd < 0)
        return -1;
    const double start = now_ns();
    for (int i = 0; i < READS; i++)
        if (pread(fd, page, sizeof page, 0) != (ssize_t)sizeof page)
            return -1;
    const double ns = (now_ns() - start) / READS;
    close(fd);
    return ns;
}

int main(int argc, char **argv)
{
    /* mov $110 (getppid), %eax; syscall; ret */
    static const unsigned char code[] = {0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED || argc < 1)
        return 1;
    memcpy(page, code, sizeof code);
    const double hot = time_calls(getppid, HOT_CALLS);
    const double cold = argc > 1 ? 0 : time_calls((pid_t(*)(void))page, COLD_CALLS);
    printf("%.2f %.2f %.2f\n", hot, cold, time_reads(argv[0]));
    return 0;
}
