/*
 * What a program may do with as much memory as its container has, and what becomes of one that wants more: one way
 * for each run. A way that goes to its end prints "done", and before that what it found wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define PAGE 4096ul
/* The container of these runs has 64 MiB. */
#define MOST (40 * MIB)
#define TOO_MUCH (100 * MIB)
#define RESERVATION (1024 * MIB)

static void check(int line, const char *what, int good)
{
    if (!good) printf("line %d: %s\n", line, what);
}
#define CHECK(x) check(__LINE__, #x, !!(x))

static char *map(size_t size, int prot)
{
    char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p != MAP_FAILED) return p;
    printf("mmap: %s\n", strerror(errno));
    exit(1);
}

static char *map_rw(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE);
}

/* One word in each step, which says where it is. */
static void touch(char *p, size_t size, size_t step)
{
    for (size_t i = 0; i < size; i += step) *(volatile uint64_t *)(p + i) = i ^ 0x5a5a;
}

static int is_touched(const char *p, size_t size, size_t step)
{
    for (size_t i = 0; i < size; i += step)
        if (*(const uint64_t *)(p + i) != (i ^ 0x5a5a)) return 0;
    return 1;
}

/* How it ends in a child: the signal that killed it, or 0. */
static int in_child(void (*work)(void))
{
    int status;
    pid_t pid = fork();

    if (pid < 0) return -errno;
    if (!pid) {
        work();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void too_much(void)
{
    touch(map_rw(TOO_MUCH), TOO_MUCH, PAGE);
}

static void as_much_as_there_is(void)
{
    char *p = map_rw(MOST);

    touch(p, MOST, PAGE);
    CHECK(is_touched(p, MOST, PAGE));
    munmap(p, MOST);
}

static void the_child_alone_dies(void)
{
    char *mine = map_rw(8 * MIB);

    touch(mine, 8 * MIB, PAGE);
    for (int i = 0; i < 5; i++) CHECK(in_child(too_much) == SIGKILL);
    CHECK(is_touched(mine, 8 * MIB, PAGE));
    munmap(mine, 8 * MIB);
    as_much_as_there_is();
}

static void allocates_in_a_loop(void)
{
    for (char *p; (p = malloc(50000));) memset(p, 1, 50000);
}

static void a_reservation_costs_what_is_touched(void)
{
    char *p = map_rw(RESERVATION);

    touch(p, RESERVATION, RESERVATION / 2000);
    CHECK(is_touched(p, RESERVATION, RESERVATION / 2000));
    char *q = map(RESERVATION, PROT_NONE);
    for (size_t i = 0; i < 100; i++) {
        CHECK(!mprotect(q + i * 10 * MIB, 8 * MIB, PROT_READ | PROT_WRITE));
        touch(q + i * 10 * MIB, 64 * PAGE, PAGE);
    }
    for (size_t i = 0; i < 100; i++) CHECK(is_touched(q + i * 10 * MIB, 64 * PAGE, PAGE));
    CHECK(calloc(1, 512 * MIB));
}

static void reading_costs_nothing(void)
{
    const char *p = map(512 * MIB, PROT_READ);
    uint64_t sum = 0;

    for (size_t i = 0; i < 512 * MIB; i += PAGE) sum += (uint64_t)p[i];
    CHECK(!sum);
    p = map_rw(512 * MIB);
    for (size_t i = 0; i < 512 * MIB; i += PAGE) sum += (uint64_t)p[i];
    CHECK(!sum);
}

static void hardly_used_pieces(void)
{
    char *pieces[200];

    for (int i = 0; i < 200; i++) {
        pieces[i] = map_rw(2 * MIB);
        touch(pieces[i], 2 * MIB, MIB);
    }
    as_much_as_there_is();
    for (int i = 0; i < 200; i++) CHECK(is_touched(pieces[i], 2 * MIB, MIB));
}

static void what_is_given_back_can_be_had_again(void)
{
    char *p = map_rw(MOST), *q = map_rw(MOST);

    for (int i = 0; i < 5; i++) {
        touch(p, MOST, PAGE);
        CHECK(!madvise(p, MOST, MADV_DONTNEED));
        touch(q, MOST, PAGE);
        CHECK(!madvise(q, MOST, MADV_DONTNEED));
        CHECK(!p[MOST / 2] && !q[MOST / 2]);
        as_much_as_there_is();
        char *heap = sbrk(MOST);
        touch(heap, MOST, PAGE);
        sbrk(-(long)MOST);
    }
}

static void grows_by_moving(void)
{
    size_t size = MIB;
    char *p = map_rw(size);

    touch(p, size, PAGE);
    while (size < MOST) {
        char *in_the_way = mmap(p + size, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        char *q = mremap(p, size, size + 3 * MIB, MREMAP_MAYMOVE);
        if (q == MAP_FAILED) {
            printf("mremap to %zu MiB: %s\n", size / MIB + 3, strerror(errno));
            return;
        }
        if (in_the_way != MAP_FAILED) munmap(in_the_way, PAGE);
        p = q;
        CHECK(is_touched(p, size, PAGE));
        size += 3 * MIB;
        touch(p, size, PAGE);
    }
}

static char *inherited;

static void write_all_of_it(void)
{
    memset(inherited, 7, MOST);
}

static void copies_for_a_child_count(void)
{
    inherited = map_rw(MOST);
    touch(inherited, MOST, PAGE);
    CHECK(in_child(write_all_of_it) == SIGKILL);
    CHECK(is_touched(inherited, MOST, PAGE));
}

static void many_want_much(void)
{
    int killed = 0, status, ready[2], go[2];
    char byte;

    CHECK(!pipe(ready) && !pipe(go));
    for (int i = 0; i < 8; i++) {
        if (fork()) continue;
        close(go[1]);
        touch(map_rw(20 * MIB), 20 * MIB, PAGE);
        close(ready[1]);
        read(go[0], &byte, 1);
        _exit(0);
    }
    close(ready[1]);
    read(ready[0], &byte, 1); /* all have what they want, or are gone */
    close(go[1]);
    for (int i = 0; i < 8; i++) {
        CHECK(wait(&status) > 0);
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    CHECK(killed >= 5 && killed < 8);
    as_much_as_there_is();
}

static void files_fill_memory(void)
{
    static char data[64 * 1024] = {1};
    ssize_t n;
    size_t all = 0;
    int fd = open("/file", O_CREAT | O_RDWR, 0600);

    while ((n = write(fd, data, sizeof data)) > 0) all += (size_t)n;
    CHECK(n == -1 && errno == ENOSPC);
    CHECK(all > 40 * MIB && all < 64 * MIB);
    CHECK(!ftruncate(fd, 0));
    as_much_as_there_is();
    CHECK(write(fd, data, sizeof data) == sizeof data);
}

static size_t recurse(size_t depth)
{
    char frame[8000];

    memset(frame, (int)depth, sizeof frame);
    __asm__ volatile("" : : "r"(frame) : "memory");
    return depth ? recurse(depth - 1) + (frame[0] == (char)depth) : 0;
}

static void the_stack_grows(void)
{
    CHECK(recurse(900) == 900);
    as_much_as_there_is();
}

static void deep_in_little_memory(void)
{
    char *p = map_rw(56 * MIB);

    touch(p, 56 * MIB, PAGE);
    recurse(900);
}

static void calls_find_it_open(void)
{
    /* Neither the kernel nor, where it hands the address on, the host stumbles over what nobody has touched. */
    char *p = map_rw(RESERVATION), *at = p + 5 * MIB + 100;
    int ends[2];

    CHECK(read(0, at, 300000) > 0);
    CHECK(at[0] == 'x');
    CHECK(write(2, p + 9 * MIB, 3) == 3);
    CHECK(!pipe(ends) && write(ends[1], p + 20 * MIB, PAGE) == PAGE && read(ends[0], p + 30 * MIB + 1, PAGE) == PAGE);
    CHECK(getcwd(p + 40 * MIB, 100) == p + 40 * MIB && !strcmp(p + 40 * MIB, "/"));
    if (!fork()) _exit(read(0, at, 1) == 1 ? 3 : 4);
    int status;
    CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 3);
}

static void shared_files(void)
{
    int fd = memfd_create("m", 0);
    char word[8];

    CHECK(!ftruncate(fd, 1024 * MIB));
    CHECK(pwrite(fd, "file", 4, 7 * MIB) == 4);
    char *p = mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && !memcmp(p + 7 * MIB, "file", 4));
    touch(p, 1024 * MIB, MIB);
    CHECK(pread(fd, word, 8, 9 * MIB) == 8 && *(uint64_t *)word == (9 * MIB ^ 0x5a5a));
    CHECK(pread(fd, word, 8, 9 * MIB + 3 * PAGE) == 8 && !*(uint64_t *)word);
    CHECK(pwrite(fd, "late", 4, 11 * MIB + 5 * PAGE) == 4 && !memcmp(p + 11 * MIB + 5 * PAGE, "late", 4));
    CHECK(!munmap(p, 1024 * MIB));
    CHECK(pread(fd, word, 8, 9 * MIB) == 8 && *(uint64_t *)word == (9 * MIB ^ 0x5a5a));
    close(fd);

    char *shared = mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    if (!fork()) {
        touch(shared, 1024 * MIB, MIB);
        _exit(0);
    }
    wait(&status);
    CHECK(is_touched(shared, 1024 * MIB, MIB));
}

static void set_score(const char *score)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);

    CHECK(write(fd, score, strlen(score)) == (ssize_t)strlen(score));
    close(fd);
}

static void the_one_that_says_so_dies(void)
{
    int ends[2], status;
    char byte = 0;

    CHECK(!pipe(ends));
    pid_t small = fork();
    if (!small) {
        set_score("1000");
        touch(map_rw(MIB), MIB, PAGE);
        write(ends[1], &byte, 1);
        pause();
    }
    read(ends[0], &byte, 1);
    set_score("-500");
    char *p = map_rw(TOO_MUCH);
    for (size_t i = 0; i < TOO_MUCH && waitpid(small, &status, WNOHANG) == 0; i += MIB) touch(p + i, MIB, PAGE);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static size_t field(const char *file, const char *name)
{
    char line[200];
    size_t value = 0;
    FILE *f = fopen(file, "r");

    while (fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) value = strtoul(line + strlen(name) + 1, NULL, 10);
    fclose(f);
    return value;
}

static int about(size_t kib, size_t wanted_mib)
{
    return kib + 2048 > wanted_mib * 1024 && kib < wanted_mib * 1024 + 2048;
}

static void accounts_agree(void)
{
    struct sysinfo before, after;
    size_t rss = field("/proc/self/status", "VmRSS:"), free = field("/proc/meminfo", "MemFree:");

    CHECK(about(field("/proc/meminfo", "MemTotal:"), 64));
    sysinfo(&before);
    char *p = map_rw(RESERVATION);
    CHECK(about(field("/proc/self/status", "VmRSS:") - rss, 0));
    touch(p, 20 * MIB, PAGE);
    sysinfo(&after);
    CHECK(about((before.freeram - after.freeram) / 1024, 20));
    CHECK(about(field("/proc/self/status", "VmRSS:") - rss, 20));
    CHECK(about(free - field("/proc/meminfo", "MemFree:"), 20));
    CHECK(field("/proc/meminfo", "Committed_AS:") >= RESERVATION / 1024);
    munmap(p, RESERVATION);
    CHECK(about(field("/proc/self/status", "VmRSS:") - rss + 1024, 1));
    CHECK(in_child(too_much) == SIGKILL);
    CHECK(field("/proc/vmstat", "oom_kill") == 1);
}

/* Regions that come, change and go at random, a shadow of what each page has to hold, and children that look too. */
#define REGIONS 12
#define REGION_PAGES 600u
#define MAX_TOUCHED 7000u /* pages: half of the container's */

static struct region {
    char *at;
    size_t pages;
    uint32_t value[REGION_PAGES * 8]; /* 0: not touched */
    int readonly;
} regions[REGIONS];
static uint32_t seed = 12345, touched, next_value = 1;

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void forget_from(struct region *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        touched -= r->value[i] != 0;
        r->value[i] = 0;
    }
}

static void write_page(struct region *r, size_t i)
{
    if (r->readonly || (!r->value[i] && touched >= MAX_TOUCHED)) return;
    touched += !r->value[i];
    r->value[i] = next_value++;
    *(volatile uint32_t *)(r->at + i * PAGE + i % 1000 * 4) = r->value[i];
}

static int region_is_right(const struct region *r)
{
    for (size_t i = 0; i < r->pages; i++)
        if (*(volatile uint32_t *)(r->at + i * PAGE + i % 1000 * 4) != r->value[i]) return 0;
    return 1;
}

static void change(struct region *r)
{
    size_t from, n;

    if (!r->at) {
        r->pages = 1 + pick(REGION_PAGES * (pick(4) ? 1 : 8));
        r->readonly = !pick(3);
        r->at = map(r->pages * PAGE, r->readonly ? PROT_READ : PROT_READ | PROT_WRITE);
        return;
    }
    from = pick(r->pages);
    n = 1 + pick(r->pages - from);
    switch (pick(9)) {
    case 0:
        CHECK(!munmap(r->at, r->pages * PAGE));
        forget_from(r, 0, r->pages);
        r->at = NULL;
        break;
    case 1:
        CHECK(!madvise(r->at + from * PAGE, n * PAGE, MADV_DONTNEED));
        forget_from(r, from, from + n);
        break;
    case 2:
        CHECK(!mprotect(r->at, r->pages * PAGE, PROT_READ | (r->readonly ? PROT_WRITE : 0)));
        r->readonly = !r->readonly;
        break;
    case 3: {
        size_t pages = 1 + pick(REGION_PAGES * 8);
        char *moved = mremap(r->at, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
        CHECK(moved != MAP_FAILED);
        if (moved == MAP_FAILED) break;
        if (pages < r->pages) forget_from(r, pages, r->pages);
        r->at = moved;
        r->pages = pages;
        break;
    }
    case 4: CHECK(region_is_right(r)); break;
    case 5:
        for (size_t i = from; i < from + n; i++) write_page(r, i);
        break;
    default:
        for (int i = 0; i < 20; i++) write_page(r, pick(r->pages));
    }
}

static void look_and_write(void)
{
    for (int i = 0; i < REGIONS; i++)
        if (regions[i].at && !region_is_right(&regions[i])) _exit(1);
    for (int i = 0; i < 30; i++) {
        struct region *r = &regions[pick(REGIONS)];
        if (r->at && r->readonly && !pick(3)) {
            mprotect(r->at, r->pages * PAGE, PROT_READ | PROT_WRITE);
            r->readonly = 0;
        }
        if (r->at) write_page(r, pick(r->pages));
    }
    for (int i = 0; i < REGIONS; i++)
        if (regions[i].at && !region_is_right(&regions[i])) _exit(2);
}

static void random_work(void)
{
    for (int i = 0; i < 4000; i++) {
        change(&regions[pick(REGIONS)]);
        if (pick(100)) continue;
        int status;
        pid_t pid = fork();
        if (!pid) {
            look_and_write();
            _exit(0);
        }
        for (int j = 0; j < 5; j++) change(&regions[pick(REGIONS)]);
        CHECK(waitpid(pid, &status, 0) == pid && !status);
    }
    for (int i = 0; i < REGIONS; i++) CHECK(!regions[i].at || region_is_right(&regions[i]));
}

static void refused_at_once(void)
{
    CHECK(mmap(NULL, TOO_MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    CHECK(map(TOO_MUCH, PROT_NONE));
    as_much_as_there_is();
    as_much_as_there_is();
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
#define WAY(name) {#name, name}
    WAY(too_much), WAY(as_much_as_there_is), WAY(the_child_alone_dies), WAY(allocates_in_a_loop),
    WAY(a_reservation_costs_what_is_touched), WAY(reading_costs_nothing), WAY(hardly_used_pieces),
    WAY(what_is_given_back_can_be_had_again), WAY(grows_by_moving), WAY(copies_for_a_child_count),
    WAY(many_want_much), WAY(files_fill_memory), WAY(the_stack_grows), WAY(deep_in_little_memory),
    WAY(calls_find_it_open), WAY(shared_files), WAY(the_one_that_says_so_dies), WAY(accounts_agree),
    WAY(random_work), WAY(refused_at_once),
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 2) seed = (uint32_t)atoi(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(ways[i].name, argv[1])) continue;
        ways[i].run();
        puts("done");
        return 0;
    }
    return 2;
}
