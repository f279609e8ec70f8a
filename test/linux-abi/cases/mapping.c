/* Memory, the finer points: what happens at the edges of mappings, and to those that change under a program. */
#include "case.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf jump;
static volatile int fault_signal, fault_code;
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = sig;
    fault_code = info->si_code;
    siglongjmp(jump, 1);
}

/* 0, or the signal that reading (or writing) there raises. */
static int probe(volatile char *at, bool write_it)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    if (sigsetjmp(jump, 1))
        return fault_signal;
    if (write_it)
        *at = 1;
    else
        (void)*at;
    return 0;
}

static void touch(const char *what, char *at, bool write_it)
{
    int sig = probe(at, write_it);

    if (sig)
        say("%s: signal %d code %d", what, sig, fault_code);
    else
        say("%s: ok", what);
}

static char *map(size_t pages, int prot, int flags)
{
    return mmap(NULL, pages * PAGE, prot, flags, -1, 0);
}

static bool all_are(const char *p, size_t n, char c)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c)
            return false;
    return true;
}

/* A file of so many pages; each is filled with a letter of its own. */
static int lettered_file(const char *path, int pages)
{
    char page[PAGE];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    for (int i = 0; i < pages; i++) {
        memset(page, 'a' + i, PAGE);
        pwrite(fd, page, PAGE, i * (off_t)PAGE);
    }
    return fd;
}

static void fixed_over_the_middle(void)
{
    char *p = map(5, RW, ANON);

    memset(p, 'x', 5 * PAGE);
    char *q = mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    say("there %d, zero %d", q == p + 2 * PAGE, all_are(q, PAGE, 0));
    say("around %d %d", all_are(p, 2 * PAGE, 'x'), all_are(p + 3 * PAGE, 2 * PAGE, 'x'));
    T(munmap(p, 5 * PAGE));
}

static void fixed_over_a_file(void)
{
    int fd = lettered_file("f", 4);
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);

    mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    p[PAGE] = 'Z';
    say("%c %c %c", p[0], p[PAGE], p[2 * PAGE]);
    if (mmap(p + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 3 * PAGE) == MAP_FAILED) {
        say("a page cannot be at two places");
        return;
    }
    say("%c", p[PAGE]);
    p[PAGE] = 'D';
    say("%c", p[3 * PAGE]);
    char c;
    pread(fd, &c, 1, PAGE);
    say("the file's second page %c", c);
}

/* Nor does a place that a program asks for, by a hint or by moving a mapping there, disturb what goes on elsewhere. */
static void any_hint_will_do(void)
{
    char *moved = map(1, RW, ANON);
    unsigned mapped = 0, calls = 0;

    for (uintptr_t at = 0x70000000; at < 0x80000000; at += 1 << 20) {
        char *p = mmap((void *)at, PAGE, RW, ANON, -1, 0);
        if (p == MAP_FAILED)
            continue;
        mapped++;
        memset(p, 0xcc, PAGE);
        calls += getppid() >= 0 && getuid() == 0;
        munmap(p, PAGE);
        char *to = mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at);
        if (to != MAP_FAILED)
            memset(moved = to, 0xcc, PAGE);
        calls += getppid() >= 0 && getuid() == 0;
    }
    say("%u mappings, %u calls", mapped, calls);
}

static void hint_is_taken(void)
{
    char *p = map(4, RW, ANON);

    munmap(p, 4 * PAGE);
    say("%d", mmap(p + PAGE, PAGE, RW, ANON, -1, 0) == p + PAGE);
    say("rounded down %d", mmap(p + 2 * PAGE + 5, PAGE, RW, ANON, -1, 0) == p + 2 * PAGE);
}

static void unmap_across_holes(void)
{
    char *p = map(7, RW, ANON);

    munmap(p + PAGE, PAGE);
    munmap(p + 4 * PAGE, PAGE);
    mprotect(p + 2 * PAGE, PAGE, PROT_READ);
    T(munmap(p, 6 * PAGE));
    for (int i = 0; i < 7; i++)
        say("%d: %d", i, probe(p + i * PAGE, false));
    T(munmap(p + 6 * PAGE, 1)); /* the length is rounded up */
    say("%d", probe(p + 6 * PAGE, false));
}

static void shared_anonymous(void)
{
    char *p = map(3, RW, MAP_SHARED | MAP_ANONYMOUS);

    say("zero %d", all_are(p, 3 * PAGE, 0));
    memset(p, 's', 3 * PAGE);
    T(madvise(p, 3 * PAGE, MADV_DONTNEED));
    say("kept %d", all_are(p, 3 * PAGE, 's'));
    T(mprotect(p, PAGE, PROT_READ));
    touch("write", p, true);
    T(munmap(p, 3 * PAGE));
}

static void duplicate_shared(void)
{
    char *p = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);

    strcpy(p + PAGE, "twice");
    char *q = mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE);
    OK(q);
    if (q == MAP_FAILED)
        return;
    say("%s", q + PAGE);
    q[PAGE] = 'T';
    say("%s", p + PAGE);
    char *private = map(1, RW, ANON);
    OK(mremap(private, 0, PAGE, MREMAP_MAYMOVE));
}

static void private_maps_are_apart(void)
{
    int fd = lettered_file("f", 1);
    char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0), *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0), c;

    p[0] = '1';
    q[0] = '2';
    pread(fd, &c, 1, 0);
    say("%c %c %c", p[0], q[0], c);
}

static void the_file_s_last_page(void)
{
    put_file("f", "short");
    int fd = open("f", O_RDWR);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);

    say("zero behind the end %d", all_are(p + 5, PAGE - 5, 0));
    p[6] = 'x';
    T(lseek(fd, 0, SEEK_END));
    show_file("f");
    touch("beyond", p + PAGE, false);
    touch("beyond", p + PAGE, true);
    char *q = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    touch("beyond, private", q + PAGE, false);
    touch("beyond, private", q + PAGE, true);
    char buf[4];
    T(read(fd, buf, 4));
    lseek(fd, 0, SEEK_SET);
    T(read(fd, p + PAGE, 4)); /* no signal in a call */
    T(write(fd, p + PAGE, 4));
}

static void truncated_under_a_mapping(void)
{
    int fd = lettered_file("f", 3);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

    say("%c", p[2 * PAGE]);
    T(ftruncate(fd, PAGE + 10));
    touch("cut off", p + 2 * PAGE, false);
    say("%c %d", p[PAGE + 9], p[PAGE + 10]);
    T(ftruncate(fd, 3 * PAGE));
    touch("back", p + 2 * PAGE, false);
    say("zero %d %d", all_are(p + PAGE + 10, PAGE - 10, 0), all_are(p + 2 * PAGE, PAGE, 0));
    p[2 * PAGE] = 'n';
    char c;
    pread(fd, &c, 1, 2 * PAGE);
    say("%c", c);
}

static void grown_under_a_mapping(void)
{
    int fd = lettered_file("f", 1);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

    touch("before", p + PAGE, false);
    pwrite(fd, "new", 3, 2 * PAGE);
    touch("after", p + PAGE, false);
    say("%.3s", p + 2 * PAGE);
}

static void offsets_follow_the_pieces(void)
{
    int fd = lettered_file("f", 6);
    char *p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);

    T(munmap(p + PAGE, PAGE));
    T(mprotect(p + 2 * PAGE, PAGE, RW));
    say("%c %c %c", p[0], p[2 * PAGE], p[3 * PAGE]);
    p[2 * PAGE] = 'W';
    char *q = mremap(p + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    say("%c %c", q[0], q[PAGE]);
}

static void mapped_and_unlinked(void)
{
    int fd = lettered_file("f", 2);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);

    close(fd);
    unlink("f");
    p[0] = 'A';
    say("%c %c", p[0], p[PAGE]);
    put_file("f", "another");
    say("%c", p[0]);
    T(munmap(p, 2 * PAGE));
}

static void device_of_zeros(void)
{
    int fd = open("/dev/zero", O_RDWR);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0), *q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);

    OK(p);
    OK(q);
    if (p != MAP_FAILED && q != MAP_FAILED) {
        say("%d %d", all_are(p, 2 * PAGE, 0), all_are(q, PAGE, 0));
        p[0] = q[0] = 5;
        say("%d %d", p[0], q[0]);
    }
    fd = open("/dev/null", O_RDWR);
    OK(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
}

static void image_file_read_and_written(void)
{
    int fd = open("/data/big", O_RDONLY);
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);

    say("%.7s", p + 7 * 100);
    p[0] = 'Z';
    say("%.7s, zero behind the end %d", p, all_are(p + 12345, 4 * PAGE - 12345, 0));
    char c;
    pread(fd, &c, 1, 0);
    say("%c", c);
    T(madvise(p, PAGE, MADV_DONTNEED));
    say("%.7s", p);
    OK(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
    char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    say("%.7s", shared);
    T(mprotect(shared, PAGE, RW));
}

static void image_file_copied_up_under_a_mapping(void)
{
    int r = open("/data/hello", O_RDONLY);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, r, 0);

    say("%.5s", p);
    int w = open("/data/hello", O_RDWR);
    char *q = mmap(NULL, PAGE, RW, MAP_SHARED, w, 0);
    OK(q);
    if (q == MAP_FAILED)
        return;
    memcpy(q, "HELLO", 5);
    show_file("/data/hello");
}

static void reservation_filled_in_parts(void)
{
    const size_t size = 1ul << 30, step = 64ul << 20;
    char *p = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    int good = 0, bad = 0;

    for (size_t at = 0; at < size; at += step) {
        good += mprotect(p + at, PAGE, RW) == 0 && probe(p + at, true) == 0;
        bad += probe(p + at + PAGE, true) == SIGSEGV;
    }
    say("%d open, %d closed", good, bad);
    for (size_t at = 0; at < size; at += 2 * step)
        good -= munmap(p + at, step) == 0;
    say("%d", good);
    say("%d", p[step]);
    T(munmap(p, size));
}

static void grows_down(void)
{
    char *p = map(2048, PROT_NONE, ANON);

    munmap(p, 2048 * PAGE);
    char *top = p + 2000 * PAGE;
    char *q = mmap(top, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    say("there %d", q == top);
    touch("next page below", top - 1, true);
    touch("some below", top - 40 * PAGE, true);
    say("zero %d", all_are(top - 39 * PAGE, 37 * PAGE, 0));
}

static void grow_where_it_stands(void)
{
    char *p = map(4, RW, ANON);

    strcpy(p, "stays");
    munmap(p + 2 * PAGE, 2 * PAGE);
    char *q = mremap(p, 2 * PAGE, 4 * PAGE, 0);
    say("%d %s zero %d", q == p, q == p ? q : "", q == p && all_are(q + 2 * PAGE, 2 * PAGE, 0));
    munmap(p + PAGE, 3 * PAGE);
    mmap(p + PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    OK(mremap(p, PAGE, 2 * PAGE, 0));
    q = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    say("moved %d %s", q != p && q != MAP_FAILED, q);
}

static void move_onto_something(void)
{
    char *p = map(2, RW, ANON), *target = map(3, RW, ANON);

    memset(p, 'p', 2 * PAGE);
    memset(target, 't', 3 * PAGE);
    char *q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    say("%d %d %d", q == target, all_are(target, 2 * PAGE, 'p'), all_are(target + 2 * PAGE, PAGE, 't'));
    touch("left", p, false);
    OK(mremap(target, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE));
    OK(mremap(target, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + 1));
    OK(mremap(target, 2 * PAGE, PAGE, 64));
}

static void move_and_leave(void)
{
    char *p = map(2, RW, ANON);

    memset(p, 'p', 2 * PAGE);
    char *q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    OK(q);
    if (q == MAP_FAILED)
        return;
    say("elsewhere %d %d, zero %d", q != p, all_are(q, 2 * PAGE, 'p'), all_are(p, 2 * PAGE, 0));
    OK(mremap(p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
    OK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_DONTUNMAP, NULL));
}

static void remap_a_file(void)
{
    int fd = lettered_file("f", 4);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
    char *q = mremap(p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);

    say("%c %c %c", q[0], q[PAGE], q[2 * PAGE]);
    q[2 * PAGE] = 'D';
    char c;
    pread(fd, &c, 1, 3 * PAGE);
    say("%c", c);
    q = mremap(q, 3 * PAGE, PAGE, MREMAP_MAYMOVE);
    say("%c", q[0]);
    touch("cut off", q + PAGE, false);
}

static void remap_across_two(void)
{
    char *p = map(4, RW, ANON);

    mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ);
    OK(mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    munmap(p + PAGE, PAGE);
    OK(mremap(p, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    OK(mremap(p + PAGE, PAGE, PAGE, MREMAP_MAYMOVE));
}

static void protect_across_a_hole(void)
{
    char *p = map(3, RW, ANON);

    munmap(p + PAGE, PAGE);
    T(mprotect(p, 3 * PAGE, PROT_READ));
    touch("before the hole", p, true);
    touch("behind it", p + 2 * PAGE, true);
    T(mprotect(p + PAGE, PAGE, PROT_READ));
}

static void protect_what_may_not_be_written(void)
{
    int fd = lettered_file("f", 1);
    int r = open("f", O_RDONLY);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 0), *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, r, 0);

    T(mprotect(p, PAGE, RW));
    T(mprotect(q, PAGE, RW));
    q[0] = 'Q';
    say("%c %c", p[0], q[0]);
    close(fd);
}

static void write_alone_reads_too(void)
{
    char *p = map(1, PROT_WRITE, ANON);

    touch("write", p, true);
    touch("read", p, false);
    say("%d", p[0]);
}

static void fence_of_guard_pages(void)
{
    char *p = map(400, RW, ANON);
    int faults = 0;

    for (int i = 0; i < 400; i += 2)
        mprotect(p + i * PAGE, PAGE, PROT_NONE);
    for (int i = 0; i < 400; i++)
        faults += probe(p + i * PAGE, true) == SIGSEGV;
    say("%d", faults);
    T(mprotect(p, 400 * PAGE, RW));
    for (int i = 0; i < 400; i++)
        faults += probe(p + i * PAGE, true) == SIGSEGV;
    say("%d", faults);
    T(munmap(p, 400 * PAGE));
}

static void forget_a_file_s_private_pages(void)
{
    int fd = lettered_file("f", 2);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);

    memset(p, 'x', 2 * PAGE);
    T(madvise(p, PAGE, MADV_DONTNEED));
    say("%c %c", p[0], p[PAGE]);
}

/* Pages of the program's own: where they lie in the file's place, and what a first touch finds there. */
#define OWN_PAGES 6
static char own_data[OWN_PAGES * PAGE] __attribute__((aligned(4096))) = {[0] = 'a', [PAGE] = 'b', [5 * PAGE + 7] = 'f'};
static char own_zeroes[OWN_PAGES * PAGE] __attribute__((aligned(4096)));

static void forget_and_show(const char *who)
{
    memset(own_data, 'x', sizeof own_data);
    memset(own_zeroes, 'x', sizeof own_zeroes);
    madvise(own_data, 2 * PAGE, MADV_DONTNEED);
    madvise(own_data + 4 * PAGE, 2 * PAGE, MADV_DONTNEED);
    madvise(own_zeroes + PAGE, 4 * PAGE, MADV_DONTNEED);
    say("%s: data %d %d %d %d, left alone %d, untouched %d", who, own_data[0], own_data[PAGE], own_data[5 * PAGE + 7],
        own_data[4 * PAGE], all_are(own_data + 2 * PAGE, 2 * PAGE, 'x'), all_are(own_data + 1, PAGE - 1, 0));
    say("%s: zeroes %d, left alone %d %d", who, all_are(own_zeroes + PAGE, 4 * PAGE, 0), own_zeroes[0], own_zeroes[5 * PAGE]);
}

static void forget_the_program_s_own_pages(void)
{
    forget_and_show("alone");
    pid_t child = fork();
    if (!child) {
        forget_and_show("child");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    say("parent: %d %d", own_data[2 * PAGE], own_zeroes[0]);
    if (!(child = fork())) {
        usleep(1000);
        say("child: %d %d", own_data[2 * PAGE], own_zeroes[0]);
        _exit(0);
    }
    forget_and_show("parent of one that has it too");
    waitpid(child, NULL, 0);
}

static void protect_behind_the_end(void)
{
    int fd = lettered_file("f", 2);
    char *p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    T(mprotect(p, 4 * PAGE, RW));
    touch("the file's last page", p + PAGE, true);
    touch("behind it", p + 2 * PAGE, false);
    touch("at the end", p + 3 * PAGE, true);
    T(mprotect(p, 4 * PAGE, PROT_NONE));
    touch("closed", p + PAGE, false);
    touch("closed behind", p + 2 * PAGE, false);
    T(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
    touch("behind it", p + 2 * PAGE, false);
}

static void privately_mapped_and_grown(void)
{
    int fd = lettered_file("f", 1);
    char *p = mmap(NULL, 200 * PAGE, RW, MAP_PRIVATE, fd, 0), *q = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    touch("before", p + PAGE, false);
    touch("before", q + PAGE, false);
    pwrite(fd, "one", 3, PAGE);
    pwrite(fd, "two", 3, 2 * PAGE);
    say("%.3s %.3s, %.3s %.3s", p + PAGE, p + 2 * PAGE, q + PAGE, q + 2 * PAGE);
    p[PAGE] = 'O';
    say("%.3s %.3s", p + PAGE, q + PAGE);
    touch("behind the new end", p + 3 * PAGE, true);
}

/* Of a size that is read when it is touched. */
static void a_large_file_in_pieces(void)
{
    enum { PAGES = 300 };
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char page[PAGE];

    for (int i = 0; i < PAGES; i++) {
        memset(page, i % 251, PAGE);
        if (write(fd, page, PAGE) != (ssize_t)PAGE)
            say("write: %s", strerror(errno));
    }
    char *p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    T(mprotect(p + 100 * PAGE, 50 * PAGE, RW));
    T(mprotect(p + 200 * PAGE, 50 * PAGE, PROT_NONE));
    T(munmap(p + 10 * PAGE, 10 * PAGE));
    memset(p + 120 * PAGE, 'w', PAGE);
    T(madvise(p + 90 * PAGE, 60 * PAGE, MADV_DONTNEED));
    T(mprotect(p + 200 * PAGE, 50 * PAGE, RW));
    char *q = mremap(p + 220 * PAGE, 20 * PAGE, 60 * PAGE, MREMAP_MAYMOVE);
    say("moved %d", q != p + 220 * PAGE);
    pid_t child = fork();
    int wrong = 0, moved_wrong = 0;
    for (int i = 0; i < PAGES; i++)
        if ((i < 10 || i >= 20) && (i < 220 || i >= 240))
            wrong += !all_are(p + i * PAGE, PAGE, (char)(i % 251));
    for (int i = 0; i < 60; i++)
        moved_wrong += !all_are(q + i * PAGE, PAGE, (char)((220 + i) % 251));
    if (!child)
        _exit(wrong + moved_wrong);
    int status;
    waitpid(child, &status, 0);
    say("wrong pages: %d, %d; the child's %d", wrong, moved_wrong, status);
}

static void free_and_write_again(void)
{
    char *p = map(2, RW, ANON);

    memset(p, 'x', 2 * PAGE);
    T(madvise(p, 2 * PAGE, MADV_FREE));
    p[0] = 'y';
    say("%c %d", p[0], p[PAGE] == 'x' || p[PAGE] == 0);
    char *shared = map(1, RW, MAP_SHARED | MAP_ANONYMOUS);
    T(madvise(shared, PAGE, MADV_FREE));
}

static void punch_by_advice(void)
{
    int fd = lettered_file("f", 3);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

    T(madvise(p + PAGE, PAGE, MADV_REMOVE));
    say("%d %d %d", p[0], p[PAGE], p[2 * PAGE]);
    T(madvise(map(1, RW, ANON), PAGE, MADV_REMOVE));
}

static void forget_what_is_not_there(void)
{
    char *p = map(3, RW, ANON);

    memset(p, 'x', 3 * PAGE);
    mprotect(p, PAGE, PROT_NONE);
    T(madvise(p, PAGE, MADV_DONTNEED));
    mprotect(p, PAGE, RW);
    say("%d", p[0]);
    munmap(p + PAGE, PAGE);
    T(madvise(p, 3 * PAGE, MADV_DONTNEED));
    say("behind the hole %d", p[2 * PAGE]);
    T(madvise(p, ~0ul, MADV_DONTNEED));
    T(madvise(p, ~0ul << 12, MADV_DONTNEED));
}

static void break_and_fault(void)
{
    char *end = sbrk(0);

    end = (char *)(((uintptr_t)end + PAGE - 1) & ~(PAGE - 1));
    brk(end);
    T(brk(end + 10 * PAGE));
    memset(end, 1, 10 * PAGE);
    T(brk(end + 2 * PAGE));
    touch("kept", end + PAGE, false);
    touch("given back", end + 2 * PAGE, false);
    T(mmap(end + 4 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == end + 4 * PAGE);
    T(brk(end + 8 * PAGE));
    T(sbrk(0) == end + 2 * PAGE);
    T(munmap(end + 4 * PAGE, PAGE));
    T(brk(end + 8 * PAGE));
    say("zero %d", all_are(end + 2 * PAGE, 6 * PAGE, 0));
    T(brk(end));
    T(brk((void *)PAGE));
}

static void fresh_memory_is_zero(void)
{
    const size_t size = 8ul << 20;
    bool zero = true;

    for (int i = 0; i < 8; i++) {
        char *p = mmap(NULL, size, RW, i % 2 ? ANON : MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        zero &= all_are(p, size, 0);
        memset(p, 0xff, size);
        munmap(p, size);
    }
    say("%d", zero);
}

static void resident(void)
{
    unsigned char vec[4] = {0};
    char *p = map(3, RW, ANON);

    memset(p, 1, 3 * PAGE);
    T(mincore(p, 3 * PAGE, vec));
    say("%d %d %d %d", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3]);
    T(mincore(p + 1, PAGE, vec));
    T(mincore(p, 3 * PAGE, (unsigned char *)8));
    T(mincore(p, 0, vec));
}

static void locking(void)
{
    char *p = map(3, RW, ANON);

    T(mlock(p + 5, 10));
    T(mlock2(p, PAGE, MLOCK_ONFAULT));
    T(mlock2(p, PAGE, 77));
    T(munlock(p, 3 * PAGE));
    munmap(p + PAGE, PAGE);
    T(mlock(p, 3 * PAGE));
    T(mlock((void *)~0xffful, PAGE * 2));
    T(mlockall(0));
    T(mlockall(64));
    T(mlockall(MCL_CURRENT));
    T(munlockall());
}

static void synchronising(void)
{
    int fd = lettered_file("f", 3);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

    T(msync(p, 3 * PAGE, MS_SYNC | MS_INVALIDATE));
    T(msync(p, 3 * PAGE, MS_ASYNC));
    T(msync(p, PAGE, MS_ASYNC | MS_SYNC));
    T(msync(p, PAGE, 64));
    T(msync(p + 1, PAGE, MS_SYNC));
    T(msync(p, 0, MS_SYNC));
    munmap(p + PAGE, PAGE);
    T(msync(p, 3 * PAGE, MS_SYNC));
}

static void sealed(void)
{
    int fd = memfd_create("s", MFD_ALLOW_SEALING);

    T(ftruncate(fd, PAGE));
    T(fcntl(fd, F_GET_SEALS));
    char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    T(munmap(p, PAGE));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
    T(pwrite(fd, "x", 1, 0));
    T(ftruncate(fd, 0));
    T(ftruncate(fd, 2 * PAGE));
    OK(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
    OK(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    T(fcntl(fd, F_GET_SEALS));
    T(fcntl(memfd_create("plain", 0), F_ADD_SEALS, F_SEAL_WRITE));
    T(memfd_create("flags", 0x4000));
}

static void validated_flags(void)
{
    int fd = lettered_file("f", 1);

    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x200000, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | 0x200000, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(mmap((void *)PAGE, 0, PROT_READ, ANON, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1l << 62));
    OK(mmap((void *)(~0ul << 12), PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
}

static void below_two_gigabytes(void)
{
    char *p = mmap(NULL, 16 * PAGE, RW, ANON | MAP_32BIT, -1, 0);

    say("%d", p != MAP_FAILED && (uintptr_t)p + 16 * PAGE <= 1ul << 31);
    touch("usable", p, true);
}

static void thousands_of_mappings(void)
{
    enum { COUNT = 3000 };
    static char *p[COUNT];
    int made = 0, good = 0;

    for (int i = 0; i < COUNT; i++) {
        p[i] = map(1 + i % 3, i % 2 ? RW : PROT_READ, ANON);
        made += p[i] != MAP_FAILED;
    }
    for (int i = 1; i < COUNT; i += 2)
        p[i][0] = (char)i;
    for (int i = 1; i < COUNT; i += 2)
        good += p[i][0] == (char)i;
    for (int i = 0; i < COUNT; i++)
        made -= munmap(p[i], (1 + (size_t)i % 3) * PAGE) == 0;
    say("%d %d", made, good);
}

/* The line of /proc/self/maps that holds an address. */
static void show_permissions(const char *what, void *at)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], perms[8];
    unsigned long start, end, offset;

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &offset) == 4 && start <= (uintptr_t)at &&
            (uintptr_t)at < end)
            say("%s: %s offset %lx", what, perms, offset);
    if (f)
        fclose(f);
}

static void maps_file(void)
{
    int fd = lettered_file("f", 4), on_stack;
    char *p = map(3, RW, ANON), *q = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
    char line[512];
    bool stack = false, vdso = false, file = false;

    mprotect(p + PAGE, PAGE, PROT_NONE);
    mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC);
    show_permissions("first", p);
    show_permissions("second", p + PAGE);
    show_permissions("third", p + 2 * PAGE);
    show_permissions("file", q + PAGE);
    show_permissions("stack", &on_stack);
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof(line), f)) {
        stack |= strstr(line, "[stack]") != NULL;
        vdso |= strstr(line, "[vdso]") != NULL;
        file |= strstr(line, "/box/maps_file/f\n") != NULL;
    }
    say("stack %d vdso %d file %d", stack, vdso, file);
}

static void data_limit(void)
{
    struct rlimit old, tight;

    getrlimit(RLIMIT_DATA, &old);
    tight = old;
    tight.rlim_cur = 64ul << 20;
    T(setrlimit(RLIMIT_DATA, &tight));
    OK(mmap(NULL, 128ul << 20, RW, ANON, -1, 0));
    OK(mmap(NULL, 128ul << 20, PROT_READ, ANON, -1, 0));
    OK(sbrk(128 << 20));
    T(setrlimit(RLIMIT_DATA, &old));
}

const struct test_case cases[] = {
    CASE(fixed_over_the_middle), CASE(fixed_over_a_file), CASE(hint_is_taken), CASE(any_hint_will_do), CASE(unmap_across_holes),
    CASE(shared_anonymous), CASE(duplicate_shared), CASE(private_maps_are_apart), CASE(the_file_s_last_page),
    CASE(truncated_under_a_mapping), CASE(grown_under_a_mapping), CASE(offsets_follow_the_pieces),
    CASE(mapped_and_unlinked), CASE(device_of_zeros), CASE(image_file_read_and_written),
    CASE(image_file_copied_up_under_a_mapping), CASE(reservation_filled_in_parts), CASE(grows_down),
    CASE(grow_where_it_stands), CASE(move_onto_something), CASE(move_and_leave), CASE(remap_a_file),
    CASE(remap_across_two), CASE(protect_across_a_hole), CASE(protect_what_may_not_be_written),
    CASE(write_alone_reads_too), CASE(fence_of_guard_pages), CASE(forget_a_file_s_private_pages),
    CASE(forget_the_program_s_own_pages), CASE(protect_behind_the_end),
    CASE(privately_mapped_and_grown), CASE(a_large_file_in_pieces), CASE(free_and_write_again), CASE(punch_by_advice), CASE(forget_what_is_not_there), CASE(break_and_fault),
    CASE(fresh_memory_is_zero), CASE(resident), CASE(locking), CASE(synchronising), CASE(sealed),
    CASE(validated_flags), CASE(below_two_gigabytes), CASE(thousands_of_mappings), CASE(maps_file),
    CASE(data_limit), {NULL, NULL},
};
