/* fork(2): whose memory is whose. What one process writes, no other may see, unless they share it. */
#include "case.h"

#include <linux/futex.h>
#include <sched.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PAGE 4096ul

static long data_word = 1;
static long bss_words[4096];

static int finish(pid_t pid)
{
    int status = -1;

    if (waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Two processes take turns: one byte through a pipe hands the turn over. */
struct turns {
    int to_child[2], to_parent[2];
};

static struct turns take_turns(void)
{
    struct turns t;

    if (pipe(t.to_child) || pipe(t.to_parent))
        say("pipe: %s", strerror(errno));
    return t;
}

static void give(int fd)
{
    if (write(fd, "x", 1) != 1)
        say("give: %s", strerror(errno));
}

static void wait_for(int fd)
{
    char c;

    if (read(fd, &c, 1) != 1)
        say("wait_for: %s", strerror(errno));
}

static void data_bss_stack_heap(void)
{
    long local = 1;
    long *heap = malloc(100000);
    struct turns t = take_turns();

    heap[0] = heap[10000] = 1;
    pid_t pid = fork();
    if (!pid) {
        wait_for(t.to_child[0]);
        say("child: %ld %ld %ld %ld %ld", local, data_word, bss_words[4000], heap[0], heap[10000]);
        local = data_word = bss_words[4000] = heap[0] = heap[10000] = 3;
        give(t.to_parent[1]);
        wait_for(t.to_child[0]);
        say("child again: %ld %ld %ld %ld %ld", local, data_word, bss_words[4000], heap[0], heap[10000]);
        _exit(7);
    }
    local = data_word = bss_words[4000] = heap[0] = heap[10000] = 2;
    give(t.to_child[1]);
    wait_for(t.to_parent[0]);
    say("parent: %ld %ld %ld %ld %ld", local, data_word, bss_words[4000], heap[0], heap[10000]);
    local = data_word = bss_words[4000] = heap[0] = heap[10000] = 4;
    give(t.to_child[1]);
    T(finish(pid));
    say("parent at last: %ld %ld %ld %ld %ld", local, data_word, bss_words[4000], heap[0], heap[10000]);
    free(heap);
}

/* A checksum of memory that each process fills with its own pattern, page by page, over many turns. */
static void patterns_over_many_turns(void)
{
    enum { PAGES = 300, TURNS = 40 };
    volatile uint32_t *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct turns t = take_turns();
    bool good = true;

    for (int i = 0; i < PAGES; i += 2)
        p[i * 1024] = 5;
    pid_t pid = fork();
    uint32_t me = pid ? 0x10000 : 0x20000;
    uint32_t expected[PAGES];
    for (int i = 0; i < PAGES; i++)
        expected[i] = i % 2 ? 0 : 5;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        if (!pid)
            wait_for(t.to_child[0]);
        for (uint32_t i = 0; i < PAGES; i++) {
            good &= p[i * 1024] == expected[i];
            if ((i * 7 + turn * 13 + me) % 5 == 0)
                p[i * 1024] = expected[i] = me + turn * PAGES + i;
        }
        give(pid ? t.to_child[1] : t.to_parent[1]);
        if (pid)
            wait_for(t.to_parent[0]);
    }
    if (!pid)
        _exit(good ? 0 : 1);
    T(finish(pid));
    say("parent's is %s", good ? "its own" : "mixed up");
}

static void both_grow_the_heap(void)
{
    struct turns t = take_turns();
    char *start = (char *)syscall(SYS_brk, 0); /* musl's sbrk moves nothing */
    pid_t pid = fork();

    bool grown = (char *)syscall(SYS_brk, start + 64 * PAGE) == start + 64 * PAGE;
    if (!pid)
        wait_for(t.to_child[0]);
    bool zero = true;
    for (size_t i = 0; i < 64 * PAGE && grown; i++)
        zero &= !start[i];
    memset(start, pid ? 'p' : 'c', 64 * PAGE);
    if (!pid) {
        give(t.to_parent[1]);
        wait_for(t.to_child[0]);
        say("child: %d, %s, %c %c", grown, zero ? "zeroes" : "dirt", start[0], start[64 * PAGE - 1]);
        _exit(0);
    }
    give(t.to_child[1]);
    wait_for(t.to_parent[0]);
    say("parent: %d, %s, %c %c", grown, zero ? "zeroes" : "dirt", start[0], start[64 * PAGE - 1]);
    give(t.to_child[1]);
    T(finish(pid));
    T((char *)syscall(SYS_brk, start) == start);
}

static void shared_memory_stays_shared(void)
{
    volatile int *anon = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    T(ftruncate(fd, PAGE));
    volatile char *file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char text[8] = "";

    anon[0] = 1;
    pid_t pid = fork();
    if (!pid) {
        anon[0] += 10;
        anon[1024] = 5;
        memcpy((char *)file, "child", 6);
        _exit(0);
    }
    T(finish(pid));
    say("%d %d %s", anon[0], anon[1024], (const char *)file);
    T(pread(fd, text, 6, 0));
    say("%s", text);
    munmap((void *)anon, 2 * PAGE);
    munmap((void *)file, PAGE);
}

static void shared_memory_outlives_its_maker(void)
{
    volatile int *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct turns t = take_turns();
    pid_t pid = fork();

    if (!pid) {
        *p = 42;
        give(t.to_parent[1]);
        wait_for(t.to_child[0]);
        _exit(*p);
    }
    wait_for(t.to_parent[0]);
    say("%d", *p);
    T(munmap((void *)p, PAGE));
    give(t.to_child[1]);
    T(finish(pid));
}

static long futex(volatile int *word, int op, int value)
{
    return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void futex_between_processes(void)
{
    volatile int *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();

    if (!pid) {
        while (!p[0])
            futex(p, FUTEX_WAIT, 0);
        p[1] = 1;
        futex(p + 1, FUTEX_WAKE, 1);
        _exit(0);
    }
    p[0] = 1;
    futex(p, FUTEX_WAKE, 1);
    while (!p[1])
        futex(p + 1, FUTEX_WAIT, 0);
    T(finish(pid));
}

static void child_unmaps_and_maps_again(void)
{
    char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct turns t = take_turns();

    memset(p, 'a', 16 * PAGE);
    pid_t pid = fork();
    if (!pid) {
        T(munmap(p + 4 * PAGE, 4 * PAGE));
        char *q = mmap(p + 4 * PAGE, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        say("child: %s, %d %d %c", q == p + 4 * PAGE ? "there" : "elsewhere", q[0], q[6 * PAGE - 1], p[10 * PAGE]);
        memset(q, 'c', 6 * PAGE);
        give(t.to_parent[1]);
        wait_for(t.to_child[0]);
        say("child: %c %c %c", p[3 * PAGE], p[4 * PAGE], p[10 * PAGE]);
        _exit(0);
    }
    wait_for(t.to_parent[0]);
    say("parent: %c %c %c %c", p[0], p[4 * PAGE], p[9 * PAGE], p[10 * PAGE]);
    p[4 * PAGE] = p[10 * PAGE] = 'P';
    give(t.to_child[1]);
    T(finish(pid));
    say("parent: %c %c", p[4 * PAGE], p[4 * PAGE + 1]);
    munmap(p, 16 * PAGE);
}

static void child_maps_a_file_over_memory(void)
{
    put_file("file", "bytes of the file");
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 'a', 4 * PAGE);
    pid_t pid = fork();
    if (!pid) {
        int fd = open("file", O_RDONLY);
        mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
        say("child: %c %.17s %c", p[0], p + PAGE, p[2 * PAGE]);
        _exit(0);
    }
    T(finish(pid));
    say("parent: %c %c %c", p[0], p[PAGE], p[2 * PAGE]);
    munmap(p, 4 * PAGE);
}

static sig_atomic_t volatile faults;

static void count_fault(int sig)
{
    (void)sig;
    faults++;
    _exit(50);
}

static void protections_are_each_ones_own(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 'a', 4 * PAGE);
    signal(SIGSEGV, count_fault);
    pid_t pid = fork();
    if (!pid) {
        T(mprotect(p, PAGE, PROT_READ));
        say("child reads %c", p[0]);
        p[PAGE] = 'c';
        p[0] = 'c'; /* faults: 50 */
        _exit(0);
    }
    T(finish(pid));
    p[0] = 'P';
    say("parent: %c %c", p[0], p[PAGE]);
    pid = fork();
    if (!pid) {
        T(mprotect(p, PAGE, PROT_NONE));
        T(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
        p[0]++;
        say("child: %c", p[0]);
        T(mprotect(p, PAGE, PROT_NONE));
        _exit(p[0]); /* faults: 50 */
    }
    T(finish(pid));
    say("parent: %c", p[0]);
    p[0] = 'Q';
    say("parent: %c", p[0]);
    signal(SIGSEGV, SIG_DFL);
    munmap(p, 4 * PAGE);
}

static void a_write_that_is_not_allowed_still_faults(void)
{
    pid_t pid = fork();

    if (!pid) {
        *(volatile char *)(uintptr_t)"constant" = 'x';
        _exit(0);
    }
    T(finish(pid));
    pid = fork();
    if (!pid) {
        *(volatile char *)16 = 'x';
        _exit(0);
    }
    T(finish(pid));
}

static void advice_for_forks(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(p, 'a', 8 * PAGE);
    T(madvise(p, PAGE, MADV_DONTFORK));
    T(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
    T(madvise(p + 4 * PAGE, PAGE, MADV_WIPEONFORK));
    T(madvise(p + 4 * PAGE, PAGE, MADV_KEEPONFORK));
    signal(SIGSEGV, count_fault);
    pid_t pid = fork();
    if (!pid) {
        say("child: %c %d %c %c", p[PAGE], p[2 * PAGE], p[3 * PAGE], p[4 * PAGE]);
        p[2 * PAGE] = 'c';
        if (!fork())
            _exit(p[2 * PAGE]);
        int status;
        wait(&status);
        say("grandchild: %d", WEXITSTATUS(status));
        T(mincore(p, PAGE, (unsigned char[1]){0}));
        _exit(0);
    }
    T(finish(pid));
    say("parent: %c %c", p[0], p[2 * PAGE]);
    signal(SIGSEGV, SIG_DFL);
    munmap(p, 8 * PAGE);
}

static void child_throws_memory_away(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct turns t = take_turns();

    memset(p, 'a', 8 * PAGE);
    pid_t pid = fork();
    if (!pid) {
        T(madvise(p, 4 * PAGE, MADV_DONTNEED));
        say("child: %d %c", p[0], p[4 * PAGE]);
        p[0] = 'c';
        give(t.to_parent[1]);
        wait_for(t.to_child[0]);
        say("child: %c %d", p[0], p[PAGE]);
        _exit(0);
    }
    wait_for(t.to_parent[0]);
    say("parent: %c %c", p[0], p[PAGE]);
    T(madvise(p + PAGE, PAGE, MADV_DONTNEED));
    say("parent: %d %c", p[PAGE], p[2 * PAGE]);
    give(t.to_child[1]);
    T(finish(pid));
    munmap(p, 8 * PAGE);
}

static void child_moves_memory(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(p, 'a', 4 * PAGE);
    pid_t pid = fork();
    if (!pid) {
        char *q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
        say("child: %c %c %d", q[0], q[4 * PAGE - 1], q[4 * PAGE]);
        memset(q, 'c', 64 * PAGE);
        _exit(0);
    }
    T(finish(pid));
    say("parent: %c %c", p[0], p[4 * PAGE - 1]);
    munmap(p, 4 * PAGE);
}

static void private_file_mapping(void)
{
    char text[3 * PAGE];

    memset(text, 'f', sizeof(text));
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    T(write(fd, text, sizeof(text)));
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    p[0] = '1';
    pid_t pid = fork();
    if (!pid) {
        p[1] = '2';
        p[PAGE] = '2';
        say("child: %.3s %.3s %.3s", p, p + PAGE, p + 2 * PAGE);
        _exit(0);
    }
    T(finish(pid));
    p[2 * PAGE] = '3';
    say("parent: %.3s %.3s %.3s", p, p + PAGE, p + 2 * PAGE);
    munmap(p, 3 * PAGE);
}

static int tree(int depth, int *leaves)
{
    int before = *leaves;

    for (int i = 0; i < 2 && depth; i++) {
        pid_t pid = fork();
        if (!pid) {
            *leaves = 0;
            _exit(tree(depth - 1, leaves));
        }
        *leaves += finish(pid);
    }
    return depth ? *leaves - before : 1;
}

static void a_tree_of_forks(void)
{
    int leaves = 0;

    T(tree(5, &leaves));
}

static void a_deep_chain(void)
{
    volatile long depth = 0;
    int fds[2];

    T(pipe(fds));
    for (; depth < 60; depth++) {
        pid_t pid = fork();
        if (pid) {
            int status = finish(pid);
            long mine = depth;
            if (write(fds[1], &mine, sizeof(mine)) != sizeof(mine))
                status = 99;
            if (depth)
                _exit(status);
            say("ended with %d", status);
            break;
        }
    }
    if (depth == 60)
        _exit(17);
    bool good = true;
    for (long i = 59; i >= 0; i--) {
        long said = -1;
        good &= read(fds[0], &said, sizeof(said)) == sizeof(said) && said == i;
    }
    say("each saw %s depth", good ? "its own" : "another's");
}

static void two_hundred_at_once(void)
{
    enum { N = 200 };
    static int number;
    int go[2], done[2];
    bool seen[N] = {false};
    int wrong = 0, exits = 0;

    T(pipe(go));
    T(pipe(done));
    for (number = 0; number < N; number++) {
        pid_t pid = fork();
        if (pid < 0) {
            say("fork: %s", strerror(errno));
            return;
        }
        if (!pid) {
            char c;
            close(go[1]);
            bss_words[number] = number;
            if (read(go[0], &c, 1)) /* until the parent closes it */
                _exit(1);
            uint8_t mine = (uint8_t)number;
            if (bss_words[number] != number || write(done[1], &mine, 1) != 1)
                _exit(2);
            _exit(0);
        }
    }
    close(go[1]);
    for (int i = 0; i < N; i++) {
        uint8_t who;
        if (read(done[0], &who, 1) != 1 || seen[who])
            wrong++;
        else
            seen[who] = true;
    }
    for (int i = 0, status; i < N; i++)
        exits += wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
    say("%d wrong, %d ended well", wrong, exits);
}

static void *add_up(void *arg)
{
    volatile long *stop = arg;
    long n = 0;

    while (!stop[0])
        stop[1] = ++n;
    return (void *)(n > 0 ? 1l : 0);
}

static void fork_beside_threads(void)
{
    static volatile long shared[2];
    pthread_t thread;

    shared[0] = shared[1] = 0;
    T(pthread_create(&thread, NULL, add_up, (void *)shared));
    while (!shared[1])
        sched_yield();
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (!pid) {
            long before = shared[1];
            for (int n = 0; n < 3; n++)
                sched_yield();
            _exit(shared[1] == before ? 3 : 4); /* the thread is not in the child */
        }
        int status = finish(pid);
        if (status != 3)
            say("child %d: %d", i, status);
    }
    shared[0] = 1;
    void *result;
    pthread_join(thread, &result);
    say("thread: %ld", (long)result);
}

static void child_starts_threads(void)
{
    pid_t pid = fork();

    if (!pid) {
        static volatile long shared[2];
        pthread_t thread;
        void *result;
        shared[0] = shared[1] = 0;
        pthread_create(&thread, NULL, add_up, (void *)shared);
        while (!shared[1])
            sched_yield();
        shared[0] = 1;
        pthread_join(thread, &result);
        _exit(30 + (int)(long)result);
    }
    T(finish(pid));
}

static void a_child_on_another_stack(void)
{
    char *stack = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t tid_seen = 0;

    stack[63 * PAGE] = 'p';
    pid_t pid = (pid_t)syscall(SYS_clone, 0x01000000 /* CLONE_CHILD_SETTID */ | SIGCHLD, 0, NULL, &tid_seen, 0);
    if (!pid) {
        stack[63 * PAGE] = 'c';
        _exit(tid_seen == getpid() ? 5 : 6);
    }
    T(finish(pid));
    say("the parent's is %d, %c", tid_seen, stack[63 * PAGE]);
    munmap(stack, 64 * PAGE);
}

/* The kernel reads and writes memory for the process: it must be that process's. */
static void kernel_reads_and_writes(void)
{
    static char buffer[3 * PAGE];
    int fds[2];
    struct turns t = take_turns();

    T(pipe(fds));
    memset(buffer, 'a', sizeof(buffer));
    pid_t pid = fork();
    if (!pid) {
        wait_for(t.to_child[0]);
        T(read(fds[0], buffer + 100, 2 * PAGE)); /* into pages that are still common */
        say("child: %c %c %c", buffer[99], buffer[100], buffer[100 + 2 * PAGE]);
        give(t.to_parent[1]);
        _exit(0);
    }
    static char other[2 * PAGE];
    memset(other, 'w', sizeof(other));
    T(write(fds[1], other, sizeof(other)));
    give(t.to_child[1]);
    wait_for(t.to_parent[0]);
    say("parent: %c %c %c", buffer[99], buffer[100], buffer[PAGE]);
    T(finish(pid));
}

static void vfork_in_a_forked_child(void)
{
    pid_t pid = fork();

    if (!pid) {
        volatile int seen = 1;
        pid_t grandchild = vfork();
        if (!grandchild) {
            seen = 2;
            _exit(9);
        }
        int status = finish(grandchild);
        _exit(status * 10 + seen);
    }
    T(finish(pid));
}

static void fork_in_a_vforked_child(void)
{
    pid_t pid = vfork();

    if (!pid) {
        pid_t grandchild = fork();
        if (!grandchild)
            _exit(11);
        _exit(finish(grandchild));
    }
    T(finish(pid));
}

/* clone(2): the parent waits, and has its memory to itself. */
static pid_t vfork_apart(uint64_t flags, int *parent_tid)
{
    return (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD | flags, 0, parent_tid, 0, 0);
}

static void vforked_with_memory_of_its_own(void)
{
    int fds[2], value = 1;
    char said[8] = "";

    T(pipe(fds));
    pid_t pid = vfork_apart(0, NULL);
    if (!pid) {
        value = 2;
        for (int i = 0; i < 20; i++)
            usleep(500);
        _exit(write(fds[1], "child", 5) == 5 ? 12 : 13);
    }
    T(write(fds[1], "parent", 6) == 6);
    T(read(fds[0], said, 5));
    say("%s first, value %d", said, value);
    T(finish(pid));

    /* Gone, and nobody's any more, before the parent goes on. */
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 100; i++) {
        pid = vfork_apart(0, NULL);
        if (!pid)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != -1)
            say("%d: %d", i, pid > 0);
    }
    signal(SIGCHLD, SIG_DFL);
    pid = vfork_apart(CLONE_PARENT_SETTID, (int *)8);
    if (!pid)
        _exit(14);
    T(finish(pid));
}

static void on_fault_count(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    faults++;
    mprotect((void *)((uintptr_t)info->si_addr & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
}

/* Write barriers by mprotect, as garbage collectors have them, before and after a fork. */
static void write_barriers(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction sa = {.sa_sigaction = on_fault_count, .sa_flags = SA_SIGINFO}, old;

    memset(p, 'a', 8 * PAGE);
    sigaction(SIGSEGV, &sa, &old);
    faults = 0;
    T(mprotect(p, 8 * PAGE, PROT_READ));
    pid_t pid = fork();
    for (int i = 0; i < 8; i += 2)
        p[(unsigned)i * PAGE] = 'b';
    if (!pid)
        _exit(faults);
    T(finish(pid));
    T(faults);
    p[0] = 'c';
    T(faults);
    sigaction(SIGSEGV, &old, NULL);
    munmap(p, 8 * PAGE);
}

static void a_signal_handler_in_both(void)
{
    struct turns t = take_turns();
    pid_t pid = fork();

    signal(SIGUSR1, count_fault);
    if (!pid) {
        give(t.to_parent[1]);
        for (;;)
            pause();
    }
    wait_for(t.to_parent[0]);
    T(kill(pid, SIGUSR1));
    T(finish(pid));
    signal(SIGUSR1, SIG_DFL);
}

static volatile sig_atomic_t children_ended;
static void on_child(int sig)
{
    (void)sig;
    children_ended++;
}

/* The signal that ends the wait and the child that ends it come together: the child is reported, not lost. */
static void a_handled_sigchld_while_waiting(void)
{
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};

    T(sigaction(SIGCHLD, &action, NULL));
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (!pid)
            _exit(3 + i);
        T(finish(pid));
    }
    say("handler ran: %d", children_ended > 0);
    T(wait(NULL));
}

const struct test_case cases[] = {
    CASE(data_bss_stack_heap),
    CASE(patterns_over_many_turns),
    CASE(both_grow_the_heap),
    CASE(shared_memory_stays_shared),
    CASE(shared_memory_outlives_its_maker),
    CASE(futex_between_processes),
    CASE(child_unmaps_and_maps_again),
    CASE(child_maps_a_file_over_memory),
    CASE(protections_are_each_ones_own),
    CASE(a_write_that_is_not_allowed_still_faults),
    CASE(advice_for_forks),
    CASE(child_throws_memory_away),
    CASE(child_moves_memory),
    CASE(private_file_mapping),
    CASE(a_tree_of_forks),
    CASE(a_deep_chain),
    CASE(two_hundred_at_once),
    CASE(fork_beside_threads),
    CASE(child_starts_threads),
    CASE(a_child_on_another_stack),
    CASE(kernel_reads_and_writes),
    CASE(vfork_in_a_forked_child),
    CASE(fork_in_a_vforked_child),
    CASE(vforked_with_memory_of_its_own),
    CASE(write_barriers),
    CASE(a_signal_handler_in_both),
    CASE(a_handled_sigchld_while_waiting),
    {NULL, NULL},
};
