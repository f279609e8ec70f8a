/*
 * addresses SEED STEPS DEPTH: maps, protects, moves, forgets, writes and reads memory at random at addresses where other
 * programs of this kind lie, forks, and executes those; each process knows what it must find at each page, in its own
 * image too, and looks. Ends with 0, or says what was wrong.
 *
 * Compiled with ID, CODE_PAGES, CONSTANT_PAGES, DATA_PAGES and ZERO_PAGES, so that sizes differ. As many of them as OTHERS
 * says lie beside each other in /usr/bin: addresses-0, addresses-1…
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define ARENA 0x400000ul
#define PAGES 4096u /* of the arena */
#define SHARED_FROM 2048u /* behind all of the images: what is shared cannot be put aside for a program */
#define RUN_MAX 200u /* pages that one step deals with: more than what is read at first touch at the latest */
#define CHILDREN_MAX 3
#define RW (PROT_READ | PROT_WRITE)

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* ---- the image: each page says which it is ---- */

__asm__(".section .text\n.balign 4096\ncode:\n.set n, 0\n"
        ".rept " TEXT(CODE_PAGES) "\nmovl $(" TEXT(ID) " * 0x10000 + n), %eax\nret\n.balign 4096, 0xcc\n.set n, n + 1\n.endr\n"
        ".section .rodata\n.balign 4096\nconstants:\n.set n, " TEXT(ID) " * 0x1000000\n"
        ".rept " TEXT(CONSTANT_PAGES) " * 512\n.quad n * 0x9e3779b97f4a7c15\n.set n, n + 1\n.endr\n"
        ".section .data\n.balign 4096\ndata:\n.set n, " TEXT(ID) " * 0x2000000\n"
        ".rept " TEXT(DATA_PAGES) " * 512\n.quad n * 0x9e3779b97f4a7c15\n.set n, n + 1\n.endr\n.text\n");
extern const char code[] __attribute__((visibility("hidden")));
extern const uint64_t constants[] __attribute__((visibility("hidden")));
extern uint64_t data[] __attribute__((visibility("hidden")));
static uint64_t zeroes[ZERO_PAGES * WORDS] __attribute__((aligned(4096)));

/* ---- what every page must hold ---- */

enum content_kind { ZERO, TAGGED, OF_FILE, IMAGE };
struct content {
    uint8_t kind, file;
    uint32_t value; /* tag, page of the file, first word's number in the image */
};
enum page_kind { NOTHING, ANONYMOUS, FILE_PRIVATE, SHARED, TAKEN };
struct page {
    uint8_t kind, prot;
    bool frozen; /* shared with relatives, who may not write to it either */
    uint32_t mapping;
    struct content first, now;
};
static struct page pages[PAGES];
static struct page own_data[DATA_PAGES], own_zeroes[ZERO_PAGES];
static uint32_t mappings, tags, step;
static uint64_t random_state;
static int files[OTHERS], through[2];
static uint32_t file_pages[OTHERS];

static void fail(const char *fmt, ...)
{
    char text[400];
    int n = snprintf(text, sizeof text, "addresses-%d %d, step %u: ", ID, getpid(), step);
    va_list ap;

    va_start(ap, fmt);
    n += vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    va_end(ap);
    text[n++] = '\n';
    if (write(2, text, (size_t)n) < 0) _exit(2);
    _exit(1);
}

static uint32_t pick(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) % below);
}

static char *address(uint32_t page)
{
    return (char *)(ARENA + page * PAGE);
}

static uint64_t tagged_word(uint32_t tag, uint32_t i)
{
    return (tag + 1ull) * 0xd1342543de82ef95ull + i;
}

static bool holds(const uint64_t *at, struct content c)
{
    static uint64_t buffer[WORDS];

    if (c.kind == OF_FILE) {
        memset(buffer, 0, sizeof buffer);
        if (pread(files[c.file], buffer, PAGE, (off_t)(c.value * PAGE)) <= 0) fail("a file cannot be read: %s", strerror(errno));
        return !memcmp(at, buffer, PAGE);
    }
    for (uint32_t i = 0; i < WORDS; i++) {
        uint64_t word = c.kind == ZERO ? 0 : c.kind == TAGGED ? tagged_word(c.value, i) : (c.value + i) * 0x9e3779b97f4a7c15ull;
        if (at[i] != word) return false;
    }
    return true;
}

/* Whose it is, or where it differs, for who looks for the reason. */
static void tell_origin(const uint64_t *at, struct content c)
{
    static uint64_t buffer[WORDS];

    for (int i = 0; i < OTHERS; i++)
        for (uint32_t n = 0; n < file_pages[i]; n++) {
            memset(buffer, 0, sizeof buffer);
            if (pread(files[i], buffer, PAGE, (off_t)(n * PAGE)) > 0 && !memcmp(at, buffer, PAGE))
                dprintf(2, "It is page %u of addresses-%d.\n", n, i);
            if (c.kind != OF_FILE || c.file != i || c.value != n) continue;
            uint32_t wrong = 0, first = 0;
            for (uint32_t w = WORDS; w-- > 0;)
                if (at[w] != buffer[w]) first = w, wrong++;
            dprintf(2, "%u words differ, the first at %u: %lx, not %lx.\n", wrong, first * 8, at[first], buffer[first]);
        }
}

static void check(const char *what, uint32_t n, const char *at, const struct page *p)
{
    if (p->prot & PROT_READ && !holds((const uint64_t *)at, p->now)) tell_origin((const uint64_t *)at, p->now);
    if (p->prot & PROT_READ && !holds((const uint64_t *)at, p->now))
        fail("page %u (%p) of %s, kind %d, protection %d: not what was there, kind %d file %u value %u (first %d file %u value %u); first word %lx", n, at, what, p->kind,
             p->prot, p->now.kind, p->now.file, p->now.value, p->first.kind, p->first.file, p->first.value, *(const uint64_t *)at);
}

static void put_tag(char *at, struct page *p)
{
    uint64_t *words = (uint64_t *)at;

    p->now = (struct content){.kind = TAGGED, .value = tags = tags * 1664525u + 1013904223u};
    for (uint32_t i = 0; i < WORDS; i++) words[i] = tagged_word(p->now.value, i);
}

/* ---- looking ---- */

static sigjmp_buf jump;

static void on_fault(int sig)
{
    siglongjmp(jump, sig);
}

static void must_not_write(uint32_t n)
{
    volatile char *at = address(n);

    if (sigsetjmp(jump, 1)) return;
    *at = *at;
    fail("page %u, kind %d, protection %d, can be written", n, pages[n].kind, pages[n].prot);
}

/* What one may not read, or has nothing at, may be another's and open: processes of one guest are not protected from each other. */
static void check_page(uint32_t n)
{
    const struct page *p = &pages[n];

    if (p->kind == TAKEN || p->kind == NOTHING) return;
    check("the arena", n, address(n), p);
    if (!(p->prot & PROT_WRITE) && p->kind != SHARED && !pick(4)) must_not_write(n);
}

static void check_image_page(void)
{
    uint32_t n = pick(CODE_PAGES);
    int (*function)(void) = (int (*)(void))(code + n * PAGE);

    if (function() != ID * 0x10000 + (int)n) fail("code page %u says %d", n, function());
    n = pick(CONSTANT_PAGES);
    if (!holds(constants + n * WORDS, (struct content){.kind = IMAGE, .value = ID * 0x1000000 + n * WORDS}))
        fail("page %u of the constants (%p), first word %lx", n, constants + n * WORDS, constants[n * WORDS]);
    n = pick(DATA_PAGES);
    check("the data", n, (char *)(data + n * WORDS), &own_data[n]);
    n = pick(ZERO_PAGES);
    check("the zeroes", n, (char *)(zeroes + n * WORDS), &own_zeroes[n]);
}

static void check_all(void)
{
    for (uint32_t n = 0; n < PAGES; n++) check_page(n);
    for (uint32_t n = 0; n < CODE_PAGES + CONSTANT_PAGES + DATA_PAGES + ZERO_PAGES; n++) check_image_page();
}

/* ---- changing ---- */

static uint32_t some(void)
{
    return pick(3) ? 1 + pick(8) : 1 + pick(RUN_MAX);
}

/* A run of pages that are nobody else's; 0: none here. */
static uint32_t free_run(uint32_t *start)
{
    uint32_t n, max = some();

    *start = pick(PAGES);
    for (n = 0; n < max && *start + n < PAGES && pages[*start + n].kind != TAKEN; n++) continue;
    return n;
}

/* A run of one mapping's pages with one protection. */
static uint32_t mapped_run(uint32_t *start)
{
    uint32_t n, max = some();

    for (int tries = 0; tries < 50; tries++) {
        *start = pick(PAGES);
        const struct page *first = &pages[*start];
        if (first->kind == NOTHING || first->kind == TAKEN) continue;
        for (n = 1; n < max && *start + n < PAGES && pages[*start + n].mapping == first->mapping && pages[*start + n].prot == first->prot;
             n++)
            continue;
        return n;
    }
    return 0;
}

static void nothing_at(uint32_t start, uint32_t n)
{
    if (munmap(address(start), n * PAGE)) fail("munmap: %s", strerror(errno));
    memset(&pages[start], 0, n * sizeof pages[0]);
}

static int some_prot(void)
{
    static const int all[] = {RW, RW, RW, PROT_READ, PROT_READ | PROT_EXEC, PROT_NONE};

    return all[pick(6)];
}

static void map(void)
{
    uint32_t start, n = free_run(&start), file = pick(OTHERS), offset = 0;
    int kind = pick(8) ? pick(2) ? FILE_PRIVATE : ANONYMOUS : SHARED, prot = some_prot();

    if (!n || (kind == SHARED && start < SHARED_FROM)) return;
    if (kind == FILE_PRIVATE) {
        /* Often what others may have there too. */
        offset = pick(2) ? start % file_pages[file] : pick(file_pages[file]);
        n = n < file_pages[file] - offset ? n : file_pages[file] - offset;
        /* What others execute there has calls that were patched, and would be had in common. */
        prot &= ~PROT_EXEC;
    }
    int flags = MAP_FIXED | (kind == SHARED ? MAP_SHARED | MAP_ANONYMOUS : kind == ANONYMOUS ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE);
    void *at = mmap(address(start), n * PAGE, prot, flags, kind == FILE_PRIVATE ? files[file] : -1, (off_t)(offset * PAGE));
    if (at == MAP_FAILED) {
        /* One address space: what others share cannot be put aside. */
        if (errno != ENOMEM) fail("mmap: %s", strerror(errno));
        nothing_at(start, n);
        return;
    }
    mappings++;
    for (uint32_t i = 0; i < n; i++) {
        struct content c = {.kind = kind == FILE_PRIVATE ? OF_FILE : ZERO, .file = (uint8_t)file, .value = offset + i};
        pages[start + i] = (struct page){.kind = (uint8_t)kind, .prot = (uint8_t)prot, .mapping = mappings, .first = c, .now = c};
    }
}

static void unmap(void)
{
    uint32_t start, n = free_run(&start);

    if (n) nothing_at(start, n);
}

static void protect(void)
{
    uint32_t start, n = mapped_run(&start);
    int prot = some_prot();

    if (!n) return;
    /* Shared memory has one protection for all who have it; that is no bug that is looked for here. */
    if (pages[start].kind == SHARED) return;
    if (mprotect(address(start), n * PAGE, prot)) fail("mprotect: %s", strerror(errno));
    for (uint32_t i = 0; i < n; i++) pages[start + i].prot = (uint8_t)prot;
}

static void forget(void)
{
    uint32_t start, n = mapped_run(&start);

    if (n) {
        if (madvise(address(start), n * PAGE, MADV_DONTNEED)) fail("madvise: %s", strerror(errno));
        for (uint32_t i = 0; i < n; i++)
            if (pages[start + i].kind != SHARED) pages[start + i].now = pages[start + i].first;
    }
    n = pick(DATA_PAGES);
    if (madvise(data + n * WORDS, PAGE, MADV_DONTNEED)) fail("madvise of data: %s", strerror(errno));
    own_data[n].now = own_data[n].first;
    n = pick(ZERO_PAGES);
    if (madvise(zeroes + n * WORDS, PAGE, MADV_DONTNEED)) fail("madvise of zeroes: %s", strerror(errno));
    own_zeroes[n].now = own_zeroes[n].first;
}

static void move(void)
{
    uint32_t from, to, n = mapped_run(&from), room = free_run(&to);
    struct page moved[RUN_MAX];

    n = n < room ? n : room;
    if (pages[from].kind == SHARED && to < SHARED_FROM) return;
    if (!n || (from < to + n && to < from + n)) return;
    memcpy(moved, &pages[from], n * sizeof moved[0]);
    void *at = mremap(address(from), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, address(to));
    if (at == MAP_FAILED) {
        if (errno != ENOMEM && errno != EFAULT) fail("mremap: %s", strerror(errno));
        nothing_at(to, n);
        return;
    }
    memset(&pages[from], 0, n * sizeof pages[0]);
    mappings++;
    for (uint32_t i = 0; i < n; i++) {
        moved[i].mapping = mappings;
        pages[to + i] = moved[i];
    }
}

static void write_pages(void)
{
    uint32_t start, n = mapped_run(&start);

    for (uint32_t i = 0; i < n; i++)
        if (pages[start + i].prot == RW && !pages[start + i].frozen) put_tag(address(start + i), &pages[start + i]);
    n = pick(DATA_PAGES);
    put_tag((char *)(data + n * WORDS), &own_data[n]);
    n = pick(ZERO_PAGES);
    put_tag((char *)(zeroes + n * WORDS), &own_zeroes[n]);
}

/* The kernel writes and reads. */
static void calls(void)
{
    static uint64_t buffer[WORDS];
    uint32_t start, n = mapped_run(&start);
    struct page *p = &pages[start];

    if (!n) return;
    if (p->prot & PROT_READ) {
        if (write(through[1], address(start), PAGE) != (ssize_t)PAGE || read(through[0], buffer, PAGE) != (ssize_t)PAGE)
            fail("pipe: %s", strerror(errno));
        if (!holds(buffer, p->now)) fail("page %u, kind %d, went wrong through a pipe", start, p->kind);
    }
    if (p->frozen) return;
    uint32_t file = pick(OTHERS), offset = pick(file_pages[file] - 1);
    ssize_t got = pread(files[file], address(start), PAGE, (off_t)(offset * PAGE));
    if (p->prot & PROT_WRITE ? got != (ssize_t)PAGE : got != -1 || errno != EFAULT) fail("pread into page %u: %zd", start, got);
    if (got > 0) p->now = (struct content){.kind = OF_FILE, .file = (uint8_t)file, .value = offset};
}

static void look(void)
{
    for (int i = 0; i < 8; i++) check_page(pick(PAGES));
    check_image_page();
}

/* ---- others ---- */

static int children;

static void wait_for_one(void)
{
    int status;
    pid_t pid = wait(&status);

    if (pid < 0) fail("wait: %s", strerror(errno));
    children--;
    if (status) fail("process %d: status %x", pid, status);
}

/* Of one more of these programs. */
struct command {
    char text[4][32];
    char *words[5];
};

static void some_command(struct command *c, uint32_t steps, uint32_t depth)
{
    *c = (struct command){.words = {c->text[0], c->text[1], c->text[2], c->text[3]}};
    snprintf(c->text[0], sizeof c->text[0], "/usr/bin/addresses-%u", pick(OTHERS));
    snprintf(c->text[1], sizeof c->text[1], "%u", pick(1u << 31));
    snprintf(c->text[2], sizeof c->text[2], "%u", steps);
    snprintf(c->text[3], sizeof c->text[3], "%u", depth);
}

static void new_pipe(void)
{
    if (pipe2(through, O_CLOEXEC)) fail("pipe: %s", strerror(errno));
}

static void work(uint32_t steps, uint32_t depth);

static void have_child(uint32_t steps, uint32_t depth)
{
    struct command c;
    pid_t pid;

    if (!depth || children == CHILDREN_MAX) return;
    some_command(&c, steps / 2, depth - 1);
    uint32_t seed = pick(1u << 31), way = pick(4);
    children++;
    if (!way) {
        int err = posix_spawn(&pid, c.words[0], NULL, NULL, c.words, environ);
        if (err) fail("posix_spawn: %s", strerror(err));
        return;
    }
    for (uint32_t n = 0; n < PAGES; n++) pages[n].frozen |= pages[n].kind == SHARED;
    pid = fork();
    if (pid < 0) fail("fork: %s", strerror(errno));
    if (pid) return;
    close(through[0]);
    close(through[1]);
    new_pipe();
    random_state = seed;
    tags ^= seed;
    children = 0;
    work(steps / 2, depth - 1);
    if (way > 1) _exit(0);
    execv(c.words[0], c.words);
    fail("execv: %s", strerror(errno));
}

static void work(uint32_t steps, uint32_t depth)
{
    static void (*const all[])(void) = {map, map, map, unmap, protect, protect, forget, move, write_pages, write_pages, calls, look};

    for (step = 0; step < steps; step++) {
        all[pick(sizeof all / sizeof all[0])]();
        if (!pick(40)) have_child(steps, depth);
        if (!pick(10)) sched_yield();
        if (children && !pick(60)) wait_for_one();
    }
    while (children) wait_for_one();
    check_all();
}

/* ---- the beginning ---- */

/* What is there already is not ours: the image, the heap. */
static void note_taken(void)
{
    static char maps[65536];
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t n = 0;
    ssize_t got;

    while ((got = read(fd, maps + n, sizeof maps - 1 - n)) > 0) n += (size_t)got;
    close(fd);
    maps[n] = 0;
    for (char *line = maps; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
        unsigned long start = strtoul(line, &line, 16), end = strtoul(line + 1, &line, 16);
        bool heap = !strncmp(line + strcspn(line, "[\n"), "[heap]", 6);
        for (unsigned long at = start; at < end + (heap ? 64 * PAGE : 0); at += PAGE)
            if (at >= ARENA && at < ARENA + PAGES * PAGE) pages[(at - ARENA) / PAGE].kind = TAKEN;
    }
}

static void note_image(void)
{
    for (uint32_t n = 0; n < DATA_PAGES; n++) {
        struct content c = {.kind = IMAGE, .value = ID * 0x2000000 + n * WORDS};
        own_data[n] = (struct page){.prot = RW, .first = c, .now = c};
    }
    for (uint32_t n = 0; n < ZERO_PAGES; n++) own_zeroes[n].prot = RW;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_fault};
    uint32_t seed = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;

    random_state = seed * 0x9e3779b97f4a7c15ull;
    tags = seed ^ ID;
    note_taken();
    note_image();
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    new_pipe();
    for (int i = 0; i < OTHERS; i++) {
        char path[40];
        struct stat st;
        snprintf(path, sizeof path, "/usr/bin/addresses-%d", i);
        files[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (files[i] < 0 || fstat(files[i], &st)) fail("%s: %s", path, strerror(errno));
        file_pages[i] = (uint32_t)((st.st_size + PAGE - 1) / PAGE);
    }
    for (uint32_t i = 0; i < CODE_PAGES + CONSTANT_PAGES; i++) check_image_page();
    work(argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 400, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 3);
    return 0;
}
