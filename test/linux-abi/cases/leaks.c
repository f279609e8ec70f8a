/* Makes and drops everything that files are made of, many times: the kernel must not keep any of it. */
#include "case.h"

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static long kernel_kib(void)
{
    char text[4096];
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    const char *slab = strstr(text, "Slab:");
    return slab ? atol(slab + 5) : -1;
}

static void one_round(int n)
{
    char name[64], text[128];
    int p[2];

    snprintf(name, sizeof(name), "file-with-a-name-of-some-length-that-is-not-inline-%d", n % 7);
    int fd = open(name, O_RDWR | O_CREAT, 0644);
    pwrite(fd, "x", 1, 20000);
    ftruncate(fd, 30000);
    char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m[0] = 1;
    munmap(m, 8192);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = n % 10, .l_len = 5};
    fcntl(fd, F_SETLK, &lock);
    flock(fd, LOCK_EX);
    link(name, "link");
    rename("link", "renamed");
    unlink("renamed");
    unlink(name);
    close(fd);
    mkdir("d", 0755);
    symlink("target", "d/s");
    readlink("d/s", text, sizeof(text));
    unlink("d/s");
    rename("d", "e");
    rmdir("e");
    pipe(p);
    write(p[1], name, sizeof(name));
    int ep = epoll_create1(0), ev = eventfd(0, 0), tf = timerfd_create(CLOCK_MONOTONIC, 0);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e);
    epoll_wait(ep, &e, 1, 0);
    struct itimerspec spec = {.it_value = {100, 0}};
    timerfd_settime(tf, 0, &spec, NULL);
    sigset_t set;
    sigemptyset(&set);
    int sf = signalfd(-1, &set, 0);
    int mf = (int)syscall(SYS_memfd_create, "m", 0);
    ftruncate(mf, 100000);
    m = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, mf, 0);
    m[50000] = 1;
    close(mf);
    munmap(m, 100000);
    fd = open("/proc/self/status", O_RDONLY);
    read(fd, text, sizeof(text));
    close(fd);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
    readlink(name, text, sizeof(text));
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    write(fd, "x", 1);
    close(fd);
    close(open("/data/hello", O_RDONLY));
    access("/data/none", F_OK);
    close(p[0]), close(p[1]), close(ep), close(ev), close(tf), close(sf);
}

static void nothing_is_kept(void)
{
    for (int i = 0; i < 2000; i++)
        one_round(i);
    long before = kernel_kib();
    for (int i = 0; i < 10000; i++)
        one_round(i);
    /* Of the kernel's memory as a whole, in KiB. Natively other processes have a share in it: see leaks.test.ts. */
    fprintf(stderr, "grew by %ld KiB from %ld KiB\n", kernel_kib() - before, before);
}

const struct test_case cases[] = {CASE(nothing_is_kept), {NULL, NULL}};
