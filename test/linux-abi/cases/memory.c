/* Memory: mappings, their protection and their end. */
#include "case.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul

static sigjmp_buf jump;
static volatile int fault_signal, fault_code;
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = sig;
    fault_code = info->si_code;
    siglongjmp(jump, 1);
}

static void catch_faults(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
}

/* Says what reading or writing there does. */
static void touch(const char *what, volatile char *at, bool write_it)
{
    if (sigsetjmp(jump, 1)) {
        say("%s: signal %d code %d", what, fault_signal, fault_code);
        return;
    }
    if (write_it)
        *at = 1;
    else
        (void)*at;
    say("%s: ok", what);
}

static void map_anonymous(void)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int sum = 0;

    for (unsigned i = 0; i < 3 * PAGE; i++)
        sum += p[i];
    say("zero %d", sum);
    memset(p, 1, 3 * PAGE);
    T(munmap(p + PAGE, PAGE));
    catch_faults();
    touch("first", p, true);
    touch("hole", p + PAGE, false);
    touch("last", p + 2 * PAGE, true);
    char *again = mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    say("the same place %d, zero %d", again == p + PAGE, again[0] + again[100]);
    T(munmap(p, 3 * PAGE));
    T(munmap(p, 3 * PAGE));
}

static void map_errors(void)
{
    OK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0));
    OK(mmap((void *)123, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    OK(munmap((void *)123, PAGE));
    T(munmap((void *)PAGE, 0));
    put_file("f", "x");
    int r = open("f", O_RDONLY), w = open("f", O_WRONLY), d = open(".", O_RDONLY);
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, r, 1));
    OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0));
    OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, d, 0));
    OK(mmap(NULL, 1ul << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    int p[2];
    pipe(p);
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0));
}

static void map_noreplace(void)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    munmap(p, PAGE);
    char *q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    say("%d", q == p);
    q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("elsewhere %d", q != p && q != MAP_FAILED);
}

static void map_file_private(void)
{
    put_file("f", "file content");
    int fd = open("f", O_RDWR);
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    say("%.12s %d", p, p[12]);
    memcpy(p, "FILE", 4);
    show_file("f");
    say("%.12s", p);
    close(fd);
    say("%.12s", p);
    char *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/data/big", O_RDONLY), PAGE);
    say("%.7s", q);
}

static void map_file_shared(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    char buf[8] = {0};

    ftruncate(fd, 3 * PAGE);
    pwrite(fd, "before", 6, 0);
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    say("%.6s", p);
    memcpy(p, "mapped", 6);
    T(pread(fd, buf, 6, 0));
    say("%s", buf);
    pwrite(fd, "written", 7, PAGE);
    say("%.7s", p + PAGE);
    T(msync(p, 3 * PAGE, MS_SYNC));
    char *q = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    q[2 * PAGE] = 'z';
    say("%c", p[2 * PAGE]);
    T(munmap(p, 3 * PAGE));
    q[0] = 'M';
    T(munmap(q, 3 * PAGE));
    show_file("f");
    T(pread(fd, buf, 1, 2 * PAGE));
    say("%c", buf[0]);
}

static void map_shared_readonly_written(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    ftruncate(fd, PAGE);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    T(pwrite(fd, "seen", 4, 0));
    say("%.4s", p);
    catch_faults();
    touch("write", p, true);
    T(pwrite(fd, "more", 4, 4));
    say("%.8s", p);
}

static void map_memfd(void)
{
    int fd = (int)syscall(SYS_memfd_create, "x", 0);

    ftruncate(fd, 2 * PAGE);
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(p + PAGE, "in memory");
    char buf[16] = {0};
    pread(fd, buf, 9, PAGE);
    say("%s", buf);
    close(fd);
    say("%s", p + PAGE);
    T(munmap(p, 2 * PAGE));
}

static void protection(void)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    catch_faults();
    memset(p, 7, 3 * PAGE);
    T(mprotect(p + PAGE, PAGE, PROT_READ));
    touch("read", p + PAGE, false);
    touch("write", p + PAGE, true);
    T(mprotect(p + PAGE, PAGE, PROT_NONE));
    touch("none", p + PAGE, false);
    T(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE));
    say("kept %d", p[PAGE]);
    touch("write", p + PAGE, true);
    T(mprotect(p + 1, PAGE, PROT_READ));
    munmap(p + PAGE, PAGE);
    T(mprotect(p, 3 * PAGE, PROT_READ));
    T(mprotect(p, 0, PROT_READ));
    T(mprotect(p, PAGE, 0x40));
}

static void null_and_wild(void)
{
    catch_faults();
    touch("null", (char *)8, false);
    touch("null write", (char *)16, true);
    touch("not canonical", (char *)0x7000000000000000, false);
    touch("kernel half", (char *)0xffffffff80000000, false);
}

static void bad_pointers(void)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("f", O_RDWR | O_CREAT, 0644), q[2];
    struct stat st;

    munmap(p + PAGE, PAGE);
    memset(p, 'x', PAGE);
    T(write(fd, p + PAGE, 10));
    T(stat(p + PAGE, &st));
    T(stat("f", (struct stat *)(p + PAGE)));
    T(pipe((int *)(p + PAGE - 4)));
    T(open(p + PAGE - 3, O_RDONLY));
    mprotect(p, PAGE, PROT_READ);
    pipe(q);
    write(q[1], "abc", 3);
    T(read(q[0], p, 3));
    T(write(q[1], (void *)0xffff800000000000, 3));
    T(syscall(SYS_nanosleep, 8, 0));
    T(syscall(SYS_clock_gettime, 0, 8));
    T(syscall(SYS_getcwd, 16, 100));
    T(syscall(SYS_uname, 8));
    T(syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
}

static void remapping(void)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    strcpy(p, "start");
    strcpy(p + PAGE, "second");
    char *q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    say("%s %s %d", q, q + PAGE, q[63 * PAGE]);
    q[63 * PAGE] = 9;
    q = mremap(q, 64 * PAGE, PAGE, 0);
    say("%s", q);
    catch_faults();
    touch("cut off", q + PAGE, false);
    OK(mremap(q, PAGE, 0, 0));
    OK(mremap(q + 1, PAGE, PAGE, 0));
    OK(mremap(q + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    char *target = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *r = mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE);
    say("%d %s", r == target + PAGE, r);
    touch("old place", q, false);
    OK(mremap(r, PAGE, PAGE, MREMAP_FIXED, target));
}

static void program_break(void)
{
    char *now = sbrk(0), *p = sbrk(100000);

    say("%d %d", p == now, p[0] + p[99999]);
    memset(p, 1, 100000);
    T(sbrk(-100000) == p + 100000);
    p = sbrk(100000);
    say("zero again %d", p[5000] + p[90000]);
    T(syscall(SYS_brk, 0) == (long)sbrk(0));
}

static void advice(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(p, 5, 4 * PAGE);
    T(madvise(p, 2 * PAGE, MADV_DONTNEED));
    say("%d %d", p[0] + p[PAGE], p[2 * PAGE]);
    T(madvise(p, PAGE, MADV_WILLNEED));
    T(madvise(p, PAGE, MADV_SEQUENTIAL));
    T(madvise(p, PAGE, MADV_FREE));
    T(madvise(p, PAGE, 12345));
    T(madvise(p + 1, PAGE, MADV_DONTNEED));
    T(madvise(p, 0, MADV_DONTNEED));
    munmap(p + PAGE, PAGE);
    T(madvise(p, 4 * PAGE, MADV_DONTNEED));
    T(mlock(p, PAGE));
    T(munlock(p, PAGE));
    unsigned char vec[2];
    T(mincore(p + 2 * PAGE, PAGE, vec));
    T(mincore(p + PAGE, PAGE, vec));
}

static void big_reservation(void)
{
    char *p = mmap(NULL, 1ul << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    say("%d", p != MAP_FAILED);
    catch_faults();
    touch("inside", p + (1ul << 31), false);
    T(mprotect(p + (1ul << 31), PAGE, PROT_READ | PROT_WRITE));
    touch("opened", p + (1ul << 31), true);
    T(munmap(p, 1ul << 32));
}

static int depth(int n)
{
    volatile char block[4096];

    block[0] = (char)n;
    return n == 0 ? 0 : depth(n - 1) + block[0] - (char)n + 1;
}

static void stack_grows(void)
{
    say("%d", depth(1000));
}

static volatile int overflow_depth;
static int endless(int n)
{
    volatile char block[4096];

    overflow_depth = n;
    block[0] = (char)n;
    return endless(n + 1) + block[0];
}

static void stack_overflow(void)
{
    static char alternate[32768];
    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, off = {.ss_flags = SS_DISABLE};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    T(sigaltstack(&ss, NULL));
    sigaction(SIGSEGV, &sa, NULL);
    if (!sigsetjmp(jump, 1))
        endless(0);
    say("signal %d, deep: %d", fault_signal, overflow_depth > 1000);
    T(sigaltstack(&off, NULL));
}

static void execute_written_code(void)
{
    unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42,%eax; ret */
    unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memcpy(p, code, sizeof(code));
    T(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
    T(((int (*)(void))p)());
    T(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    catch_faults();
    if (sigsetjmp(jump, 1))
        say("signal %d code %d", fault_signal, fault_code);
    else
        ((int (*)(void))p)();
}

static void memory_limit(void)
{
    struct rlimit old, tight;

    getrlimit(RLIMIT_AS, &old);
    tight = old;
    tight.rlim_cur = 200ul << 20;
    T(setrlimit(RLIMIT_AS, &tight));
    OK(mmap(NULL, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(mmap(NULL, 1ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    T(setrlimit(RLIMIT_AS, &old));
}

const struct test_case cases[] = {
    CASE(map_anonymous), CASE(map_errors), CASE(map_noreplace), CASE(map_file_private), CASE(map_file_shared),
    CASE(map_shared_readonly_written), CASE(map_memfd), CASE(protection), CASE(null_and_wild), CASE(bad_pointers),
    CASE(remapping), CASE(program_break), CASE(advice), CASE(big_reservation), CASE(stack_grows),
    CASE(stack_overflow), CASE(execute_written_code), CASE(memory_limit), {NULL, NULL},
};
