/* Raw futexes and what the kernel does with the words of threads that end. */
#include "case.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>

#define PAGE 4096ul

static long futex(void *addr, int op, uint32_t value, const void *timeout, void *addr2, uint32_t value3)
{
    return syscall(SYS_futex, addr, op, value, timeout, addr2, value3);
}

struct sleeper {
    pthread_t thread;
    volatile pid_t tid;
    uint32_t *word, bits;
    int op;
    long result;
};

static void *sleep_on(void *arg)
{
    struct sleeper *s = arg;

    s->tid = (pid_t)syscall(SYS_gettid);
    s->result = futex(s->word, s->op, 0, NULL, NULL, s->bits);
    return NULL;
}

static bool asleep(pid_t tid)
{
    char path[64], text[256] = "", *state;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY);
    read(fd, text, sizeof(text) - 1);
    close(fd);
    state = strrchr(text, ')');
    return state && state[1] && state[2] == 'S';
}

static void put_to_sleep(struct sleeper *s, uint32_t *word, int op, uint32_t bits)
{
    *s = (struct sleeper){.word = word, .op = op, .bits = bits};
    pthread_create(&s->thread, NULL, sleep_on, s);
    while (!s->tid || !asleep(s->tid))
        sched_yield();
}

static void join(struct sleeper *s, int n)
{
    long sum = 0;

    for (int i = 0; i < n; i++) {
        pthread_join(s[i].thread, NULL);
        sum += s[i].result;
    }
    say("results %ld", sum);
}

static uint32_t word, second;
static void wake_some(void)
{
    struct sleeper s[5];

    word = 0;
    for (int i = 0; i < 5; i++)
        put_to_sleep(&s[i], &word, FUTEX_WAIT_PRIVATE, 0);
    T(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    join(s, 5);
}

static void wake_by_bits(void)
{
    struct sleeper s[4];

    word = 0;
    for (int i = 0; i < 4; i++)
        put_to_sleep(&s[i], &word, FUTEX_WAIT_BITSET_PRIVATE, 1u << i);
    T(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 0x10));
    T(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2));
    T(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0xd));
    T(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    join(s, 4);
}

static void requeue(void)
{
    struct sleeper s[5];

    word = second = 0;
    for (int i = 0; i < 5; i++)
        put_to_sleep(&s[i], &word, FUTEX_WAIT_PRIVATE, 0);
    T(futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)2, &second, 0));
    T(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1, &second, 1));
    T(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1, &second, 0));
    T(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)-1, &second, 0));
    T(futex(&second, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    join(s, 5);
}

static void wake_by_operation(void)
{
    static const int ops[] = {FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_OR, FUTEX_OP_ANDN, FUTEX_OP_XOR};

    for (int op = 0; op < 5; op++) {
        for (int shift = 0; shift < 2; shift++) {
            second = 6;
            uint32_t code = FUTEX_OP((uint32_t)ops[op] | (shift ? 8u : 0), 2, FUTEX_OP_CMP_EQ, 0);
            T(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, code));
            say("operation %d shift %d: %u", ops[op], shift, second);
        }
    }
    static const int cmps[] = {FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_NE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_LE, FUTEX_OP_CMP_GT, FUTEX_OP_CMP_GE};
    for (int cmp = 0; cmp < 6; cmp++) {
        struct sleeper s[2];
        word = second = 0;
        put_to_sleep(&s[0], &word, FUTEX_WAIT_PRIVATE, 0);
        put_to_sleep(&s[1], &second, FUTEX_WAIT_PRIVATE, 0);
        long n = futex(&word, FUTEX_WAKE_OP_PRIVATE, 5, (void *)5, &second, FUTEX_OP(FUTEX_OP_ADD, 1, (uint32_t)cmps[cmp], 0));
        say("comparison %d: %ld", cmps[cmp], n);
        futex(&second, FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0);
        join(s, 2);
    }
    T(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(7, 1, 0, 0)));
    T(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(0, 1, 9, 0)));
    T(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (void *)8, FUTEX_OP(0, 1, 0, 0)));
    T(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (char *)&second + 2, FUTEX_OP(0, 1, 0, 0)));
}

static struct timespec soon(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    ts.tv_nsec += 30000000;
    if (ts.tv_nsec >= 1000000000)
        ts.tv_sec++, ts.tv_nsec -= 1000000000;
    return ts;
}

static void timeouts(void)
{
    struct timespec relative = {0, 30000000}, at, zero = {0, 0};
    int64_t begin = now_ms();

    word = 0;
    T(futex(&word, FUTEX_WAIT_PRIVATE, 0, &relative, NULL, 0));
    say("waited %d", now_ms() - begin >= 30);
    begin = now_ms();
    at = soon(CLOCK_MONOTONIC);
    T(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &at, NULL, 1));
    say("waited %d", now_ms() - begin >= 29);
    begin = now_ms();
    at = soon(CLOCK_REALTIME);
    T(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &at, NULL, 1));
    say("waited %d", now_ms() - begin >= 25);
    T(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &zero, NULL, 1));
    T(futex(&word, FUTEX_WAIT_PRIVATE, 0, &zero, NULL, 0));
    T(futex(&word, FUTEX_WAIT_PRIVATE, 1, &zero, NULL, 0));
    T(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &zero, NULL, 1));
    T(futex(&word, FUTEX_WAKE_PRIVATE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAIT_PRIVATE, 0, (void *)8, NULL, 0));
}

static void odd_calls(void)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    T(futex(p, FUTEX_FD, 0, NULL, NULL, 0));
    mprotect(p + PAGE, PAGE, PROT_READ);
    T(futex(p + PAGE, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
    T(futex(p + PAGE, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    T(futex(p, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, p + PAGE, FUTEX_OP(FUTEX_OP_ADD, 1, 0, 0)));
    munmap(p + PAGE, PAGE);
    T(futex(p + PAGE, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    T(futex(p + 2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    T(futex(p, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, p + 2, 0));
    T(futex(p, FUTEX_CMP_REQUEUE_PRIVATE, (uint32_t)-1, (void *)1, p + 4, 0));
}

static void shared_words(void)
{
    struct sleeper s[2];
    uint32_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = memfd_create("f", 0);

    put_to_sleep(&s[0], p, FUTEX_WAIT, 0);
    T(futex(p, FUTEX_WAKE, 1, NULL, NULL, 0));
    ftruncate(fd, PAGE);
    uint32_t *a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    put_to_sleep(&s[1], a + 5, FUTEX_WAIT, 0);
    T(futex(b + 5, FUTEX_WAKE, 1, NULL, NULL, 0));
    join(s, 2);
}

/*
 * A thread made by hand: no library of threads cleans up behind it. The word behind *tid is not 0
 * from before its birth until its end.
 */
static char stacks[2][65536] __attribute__((aligned(64)));
static int bare_thread(int n, int (*body)(void *), void *arg, int *tid)
{
    return clone(body, stacks[n] + sizeof(stacks[n]) - 64,
                 CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
                     CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID,
                 arg, tid, NULL, tid + 1);
}

static volatile int body_saw;
static int bare_body(void *arg)
{
    body_saw = ((volatile int *)arg)[1] == syscall(SYS_gettid);
    syscall(SYS_exit, 0);
    return 0;
}

static void child_tid_is_cleared(void)
{
    static volatile int tids[2] = {-1, -1};
    int tid = bare_thread(0, bare_body, (void *)tids, (int *)tids);

    OK(tid);
    while (tids[1])
        syscall(SYS_futex, &tids[1], FUTEX_WAIT, tid, NULL, NULL, 0);
    say("parent's %d, the thread saw its own %d, then %d", tids[0] == tid, body_saw, tids[1]);
}

static volatile uint32_t exit_word = 7;
static int body_with_other_address(void *arg)
{
    (void)arg;
    syscall(SYS_set_tid_address, &exit_word);
    syscall(SYS_exit, 0);
    return 0;
}

static void set_tid_address_moves_it(void)
{
    static volatile int tids[2] = {-1, -1};

    bare_thread(1, body_with_other_address, NULL, (int *)tids);
    while (exit_word)
        syscall(SYS_futex, &exit_word, FUTEX_WAIT, 7, NULL, NULL, 0);
    say("%u, the old one untouched %d", exit_word, tids[1] != 0);
}

static struct held {
    struct robust_list list;
    uint32_t word;
} held[3];
static struct robust_list_head head;

static int body_with_locks(void *arg)
{
    uint32_t tid = (uint32_t)syscall(SYS_gettid);

    (void)arg;
    head.futex_offset = offsetof(struct held, word) - offsetof(struct held, list);
    head.list.next = &held[0].list;
    held[0].list.next = &held[1].list;
    held[1].list.next = &head.list;
    held[0].word = tid;
    held[1].word = tid | FUTEX_WAITERS;
    held[2].word = tid;
    head.list_op_pending = &held[2].list;
    syscall(SYS_set_robust_list, &head, sizeof(head));
    syscall(SYS_exit, 0);
    return 0;
}

static void robust_words(void)
{
    static volatile int tids[2] = {-1, -1};
    int tid = bare_thread(0, body_with_locks, NULL, (int *)tids);

    while (tids[1])
        syscall(SYS_futex, &tids[1], FUTEX_WAIT, tid, NULL, NULL, 0);
    for (int i = 0; i < 3; i++)
        say("%d: died %d waiters %d tid %d", i, held[i].word >> 30 & 1, held[i].word >> 31, held[i].word & FUTEX_TID_MASK);
    T(syscall(SYS_set_robust_list, &head, sizeof(head) - 1));
    void *h;
    size_t len;
    T(syscall(SYS_get_robust_list, 0, &h, &len));
    say("%zu", len);
    T(syscall(SYS_get_robust_list, 999999, &h, &len));
    T(syscall(SYS_get_robust_list, 0, 8, &len));
}

static int body_with_a_ring(void *arg)
{
    (void)arg;
    /* A list that never ends, and one that leads nowhere: the kernel gives up. */
    head.list.next = &held[0].list;
    held[0].list.next = &held[1].list;
    held[1].list.next = &held[0].list;
    head.list_op_pending = (void *)64;
    syscall(SYS_set_robust_list, &head, sizeof(head));
    syscall(SYS_exit, 0);
    return 0;
}

static void endless_robust_list(void)
{
    static volatile int tids[2] = {-1, -1};
    int tid = bare_thread(1, body_with_a_ring, NULL, (int *)tids);

    while (tids[1])
        syscall(SYS_futex, &tids[1], FUTEX_WAIT, tid, NULL, NULL, 0);
    say("ended");
}

static void clone_errors(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup, more;
    } args = {0};

    T(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
    T(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
    T(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
    T(syscall(SYS_clone3, &args, 8));
    T(syscall(SYS_clone3, 8, 88));
    T(syscall(SYS_clone3, &args, 1 << 20));
    args.more = 1;
    T(syscall(SYS_clone3, &args, sizeof(args)));
    args.more = 0;
    args.flags = 0xff;
    T(syscall(SYS_clone3, &args, 88));
    args.flags = CLONE_THREAD;
    T(syscall(SYS_clone3, &args, 88));
    args.flags = CLONE_VM;
    args.stack = 4096;
    T(syscall(SYS_clone3, &args, 88));
    args.flags = 1ull << 40;
    args.stack = 0;
    T(syscall(SYS_clone3, &args, 88));
    args.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    args.exit_signal = SIGCHLD;
    T(syscall(SYS_clone3, &args, 88));
}

static void wait_for_several(void)
{
    struct {
        uint64_t val, uaddr;
        uint32_t flags, reserved;
    } waiters[2] = {{.val = 0, .uaddr = (uintptr_t)&word, .flags = 2 | FUTEX_PRIVATE_FLAG},
                    {.val = 1, .uaddr = (uintptr_t)&second, .flags = 2 | FUTEX_PRIVATE_FLAG}};
    struct timespec past = {0, 0};

    word = second = 0;
    T(syscall(449, waiters, 2, 0, NULL, CLOCK_MONOTONIC));
    waiters[1].val = 0;
    T(syscall(449, waiters, 2, 0, &past, CLOCK_MONOTONIC));
    T(syscall(449, waiters, 0, 0, NULL, CLOCK_MONOTONIC));
}

static void priority_inheritance(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    say("%s", strerror(pthread_mutex_init(&m, &attr)));
    word = 0;
    T(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    T(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

const struct test_case cases[] = {
    CASE(wake_some), CASE(wake_by_bits), CASE(requeue), CASE(wake_by_operation), CASE(timeouts), CASE(odd_calls),
    CASE(shared_words), CASE(child_tid_is_cleared), CASE(set_tid_address_moves_it), CASE(robust_words),
    CASE(endless_robust_list), CASE(clone_errors), CASE(wait_for_several), CASE(priority_inheritance), {NULL, NULL},
};
