/* Threads as programs use them: the library's primitives, preemption, and what belongs to each thread. */
#include "case.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static atomic_int counter, stop;

static void spawn(pthread_t *t, int n, void *(*body)(void *))
{
    for (long i = 0; i < n; i++)
        if (pthread_create(&t[i], NULL, body, (void *)i))
            say("no thread %ld", i);
}

/* Sum of what they return. */
static long gather(const pthread_t *t, int n)
{
    long sum = 0;
    void *result;

    for (int i = 0; i < n; i++) {
        pthread_join(t[i], &result);
        sum += (long)result;
    }
    return sum;
}

static void *give_back(void *arg)
{
    return arg;
}

static void one_after_the_other(void)
{
    long sum = 0;

    for (int i = 0; i < 2000; i++) {
        pthread_t t;
        spawn(&t, 1, give_back);
        sum += gather(&t, 1) + 1;
    }
    say("%ld", sum);
}

static void *count_and_end(void *arg)
{
    atomic_fetch_add(&counter, 1);
    return arg;
}

static void detached(void)
{
    pthread_attr_t attr;
    pthread_t t;

    counter = 0;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 100; i++)
        pthread_create(&t, &attr, count_and_end, NULL);
    while (counter < 100)
        sched_yield();
    say("%d", counter);
}

static void *own_errno(void *arg)
{
    bool own = errno == 0;

    for (int i = 0; i < 100; i++) {
        if ((long)arg % 2)
            close(-1);
        else
            open("/missing", O_RDONLY);
        sched_yield();
        own &= errno == ((long)arg % 2 ? EBADF : ENOENT);
    }
    return (void *)(long)own;
}

static void errno_of_each(void)
{
    pthread_t t[6];

    spawn(t, 6, own_errno);
    say("%ld", gather(t, 6));
}

static pthread_barrier_t barrier;
static void *rounds(void *arg)
{
    long serial = 0;

    for (int i = 0; i < 50; i++)
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    return (void *)(serial + 0 * (long)arg);
}

static void barriers(void)
{
    pthread_t t[6];

    pthread_barrier_init(&barrier, NULL, 6);
    spawn(t, 6, rounds);
    say("%ld", gather(t, 6));
    T(pthread_barrier_destroy(&barrier));
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long shared_a, shared_b;
static void *read_or_write(void *arg)
{
    long same = 1;

    for (int i = 0; i < 300; i++) {
        if ((long)arg < 2) {
            pthread_rwlock_wrlock(&rwlock);
            shared_a++;
            sched_yield();
            shared_b++;
        } else {
            pthread_rwlock_rdlock(&rwlock);
            same &= shared_a == shared_b;
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return (void *)same;
}

static void readers_and_writers(void)
{
    pthread_t t[6];

    spawn(t, 6, read_or_write);
    say("%ld", gather(t, 6));
    say("%ld %ld", shared_a, shared_b);
}

static pthread_spinlock_t spinlock;
static long spun;
static void *spin_and_count(void *arg)
{
    for (int i = 0; i < 50000; i++) {
        pthread_spin_lock(&spinlock);
        spun++;
        pthread_spin_unlock(&spinlock);
    }
    return arg;
}

static void spinlocks(void)
{
    pthread_t t[4];

    pthread_spin_init(&spinlock, 0);
    spawn(t, 4, spin_and_count);
    gather(t, 4);
    say("%ld", spun);
}

static atomic_int ball;
static void *play(void *arg)
{
    for (int i = 0; i < 500; i++) {
        while (ball != (int)(long)arg)
            sched_yield();
        ball = !ball;
    }
    return arg;
}

static void ping_pong(void)
{
    pthread_t t[2];

    spawn(t, 2, play);
    gather(t, 2);
    say("%d", ball);
}

static void *burn_until_stopped(void *arg)
{
    while (!stop)
        ;
    return arg;
}

static volatile sig_atomic_t signalled;
static void set_stop(int sig)
{
    signalled = sig;
    stop = 1;
}

static void a_signal_reaches_a_spinning_thread(void)
{
    pthread_t t[3];

    signal(SIGUSR1, set_stop);
    stop = signalled = 0;
    spawn(t, 3, burn_until_stopped);
    T(pthread_kill(t[1], SIGUSR1));
    say("%ld", gather(t, 3));
    say("signal %d", signalled);
}

static pthread_key_t keys[2];
static atomic_int destroyed;
static void destroy(void *value)
{
    destroyed += (int)(long)value;
}

static void *use_keys(void *arg)
{
    pthread_setspecific(keys[0], (void *)1);
    pthread_setspecific(keys[1], (void *)(10 * ((long)arg + 1)));
    sched_yield();
    return (void *)(long)(pthread_getspecific(keys[0]) == (void *)1);
}

static void thread_specific_data(void)
{
    pthread_t t[3];

    pthread_key_create(&keys[0], destroy);
    pthread_key_create(&keys[1], destroy);
    spawn(t, 3, use_keys);
    say("%ld", gather(t, 3));
    say("%d", destroyed);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int initialised;
static void initialise(void)
{
    usleep(2000);
    initialised++;
}

static void *call_once(void *arg)
{
    (void)arg;
    pthread_once(&once, initialise);
    return (void *)(long)initialised;
}

static void only_once(void)
{
    pthread_t t[5];

    spawn(t, 5, call_once);
    say("%ld", gather(t, 5));
}

static atomic_int cleaned;
static void clean(void *arg)
{
    cleaned += (int)(long)arg;
}

static void *sleep_to_be_cancelled(void *arg)
{
    pthread_cleanup_push(clean, (void *)1);
    pthread_cleanup_push(clean, (void *)10);
    counter = 1;
    sleep(100);
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return arg;
}

static void *spin_to_be_cancelled(void *arg)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    counter = 1;
    for (;;)
        ;
    return arg;
}

static void *wait_to_be_cancelled(void *arg)
{
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push((void (*)(void *))pthread_mutex_unlock, &mutex);
    counter = 1;
    for (;;)
        pthread_cond_wait(&cond, &mutex);
    pthread_cleanup_pop(0);
    return arg;
}

static void cancelled_in_all_ways(void)
{
    static void *(*const bodies[])(void *) = {sleep_to_be_cancelled, spin_to_be_cancelled, wait_to_be_cancelled};
    pthread_t t;
    void *result;

    for (int i = 0; i < 3; i++) {
        counter = 0;
        pthread_create(&t, NULL, bodies[i], NULL);
        while (!counter)
            sched_yield();
        T(pthread_cancel(t));
        pthread_join(t, &result);
        say("%d", result == PTHREAD_CANCELED);
    }
    say("cleaned %d", cleaned);
    T(pthread_mutex_trylock(&mutex));
    pthread_mutex_unlock(&mutex);
}

static void *round_own_way(void *arg)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    bool kept = true;
    int mode = modes[(long)arg % 4];
    volatile double d;

    fesetround(mode);
    for (int i = 0; i < 3000000; i++) {
        d = (double)i / 3;
        if (i % 100000 == 0)
            kept &= fegetround() == mode;
    }
    (void)d;
    return (void *)(long)(kept && fegetround() == mode);
}

static void rounding_of_each(void)
{
    pthread_t t[8];

    spawn(t, 8, round_own_way);
    say("%ld, here %d", gather(t, 8), fegetround() == FE_TONEAREST);
}

/* All general registers, the flags and the x87 stack, while others run. */
static void *keep_registers(void *arg)
{
    uint64_t n = (uint64_t)(long)arg + 1, bad = 0;

    for (int i = 0; i < 40; i++) {
        uint64_t loops = 300000;
        __asm__ volatile("mov %1, %%rax; lea 1(%%rax), %%rbx; lea 2(%%rax), %%rcx; lea 3(%%rax), %%rdx; lea 4(%%rax), %%r8;"
                         "lea 5(%%rax), %%r9; lea 6(%%rax), %%r10; lea 7(%%rax), %%r11; lea 8(%%rax), %%r12;"
                         "lea 9(%%rax), %%r13; lea 10(%%rax), %%r14; lea 11(%%rax), %%r15; fninit; fld1; fldpi; movq %%rax, %%xmm9;"
                         "1: decq %2; jnz 1b;"
                         "movq %%xmm9, %%rsi; sub %%rax, %%rsi; sub %%rax, %%rbx; sub $1, %%rbx; or %%rbx, %%rsi;"
                         "sub %%rax, %%rcx; sub $2, %%rcx; or %%rcx, %%rsi; sub %%rax, %%rdx; sub $3, %%rdx; or %%rdx, %%rsi;"
                         "sub %%rax, %%r8; sub $4, %%r8; or %%r8, %%rsi; sub %%rax, %%r9; sub $5, %%r9; or %%r9, %%rsi;"
                         "sub %%rax, %%r10; sub $6, %%r10; or %%r10, %%rsi; sub %%rax, %%r11; sub $7, %%r11; or %%r11, %%rsi;"
                         "sub %%rax, %%r12; sub $8, %%r12; or %%r12, %%rsi; sub %%rax, %%r13; sub $9, %%r13; or %%r13, %%rsi;"
                         "sub %%rax, %%r14; sub $10, %%r14; or %%r14, %%rsi; sub %%rax, %%r15; sub $11, %%r15; or %%r15, %%rsi;"
                         "fldpi; fcomip; jne 2f; fstp %%st(0); fld1; fcomip; je 3f; 2: or $1, %%rsi; 3: fninit; or %%rsi, %0"
                         : "+m"(bad), "+m"(n), "+m"(loops)::"rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11",
                           "r12", "r13", "r14", "r15", "xmm9", "cc", "memory");
    }
    return (void *)(long)(bad == 0);
}

static void registers_of_each(void)
{
    pthread_t t[4];

    spawn(t, 4, keep_registers);
    say("%ld", gather(t, 4));
}

__attribute__((target("avx512f"))) static void *keep_wide_registers(void *arg)
{
    uint64_t in[8], out[8], loops = 30000000, mask = 0;

    for (int i = 0; i < 8; i++)
        in[i] = (uint64_t)(long)arg * 100 + (uint64_t)i;
    __asm__ volatile("vmovdqu64 %2, %%zmm29; kmovw %%ecx, %%k3; 1: decq %3; jnz 1b; vmovdqu64 %%zmm29, %0; kmovw %%k3, %%eax; mov %%rax, %1"
                     : "=m"(out), "=m"(mask) : "m"(in), "m"(loops), "c"((uint32_t)(long)arg + 1) : "rax", "xmm29", "memory", "cc");
    return (void *)(long)(!memcmp(in, out, sizeof(in)) && (mask & 0xffff) == (uint64_t)(long)arg + 1);
}

static void wide_registers_of_each(void)
{
    pthread_t t[4];

    if (!__builtin_cpu_supports("avx512f")) {
        say("4");
        return;
    }
    spawn(t, 4, keep_wide_registers);
    say("%ld", gather(t, 4));
}

static void *name_itself(void *arg)
{
    char name[16], path[64], text[32] = "";

    snprintf(name, sizeof(name), "thread %ld", (long)arg);
    pthread_setname_np(pthread_self(), name);
    sched_yield();
    snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", syscall(SYS_gettid));
    int fd = open(path, O_RDONLY);
    read(fd, text, sizeof(text) - 1);
    close(fd);
    char own[17] = "";
    prctl(PR_GET_NAME, own);
    return (void *)(long)(!strncmp(text, name, strlen(name)) && !strcmp(own, name));
}

static void names(void)
{
    pthread_t t[4];
    char own[16] = "";

    spawn(t, 4, name_itself);
    say("%ld", gather(t, 4));
    pthread_getname_np(pthread_self(), own, sizeof(own));
    say("%s", own);
}

static pid_t tids[100];
static void *note_tid(void *arg)
{
    tids[(long)arg] = (pid_t)syscall(SYS_gettid);
    while (!stop)
        usleep(1000);
    return NULL;
}

static void ids_of_all(void)
{
    pthread_t t[100];
    int same = 0;

    stop = 0;
    spawn(t, 100, note_tid);
    for (int i = 0; i < 100; i++)
        while (!((volatile pid_t *)tids)[i])
            sched_yield();
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < i; j++)
            same += tids[i] == tids[j];
    say("the same %d", same);
    T(syscall(SYS_tgkill, getpid(), tids[50], 0));
    stop = 1;
    gather(t, 100);
    /* A thread is joined a little before the kernel has forgotten it. */
    while (syscall(SYS_tgkill, getpid(), tids[50], 0) == 0)
        sched_yield();
    T(syscall(SYS_tgkill, getpid(), tids[50], 0));
}

static int pipe_ends[2];
static void *produce(void *arg)
{
    char block[3000];

    for (int i = 0; i < 400; i++) {
        memset(block, i, sizeof(block));
        write(pipe_ends[1], block, sizeof(block));
    }
    close(pipe_ends[1]);
    return arg;
}

static void through_a_pipe(void)
{
    pthread_t t;
    char block[1000];
    long total = 0, sum = 0, n;

    pipe(pipe_ends);
    spawn(&t, 1, produce);
    while ((n = read(pipe_ends[0], block, sizeof(block))) > 0) {
        total += n;
        for (long i = 0; i < n; i++)
            sum += (unsigned char)block[i];
    }
    gather(&t, 1);
    say("%ld %ld", total, sum);
}

static void timed_conditions(void)
{
    pthread_condattr_t attr;
    pthread_cond_t c;
    struct timespec ts;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c, &attr);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += 20000000;
    if (ts.tv_nsec >= 1000000000)
        ts.tv_sec++, ts.tv_nsec -= 1000000000;
    int64_t begin = now_ms();
    pthread_mutex_lock(&mutex);
    say("%s", strerror(pthread_cond_timedwait(&c, &mutex, &ts)));
    say("waited %d", now_ms() - begin >= 19);
    say("%s", strerror(pthread_mutex_trylock(&mutex)));
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec--;
    say("%s", strerror(pthread_mutex_timedlock(&mutex, &ts)));
    pthread_mutex_unlock(&mutex);
}

static struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int value;
} *in_shared_memory;

static void *wait_in_shared_memory(void *arg)
{
    pthread_mutex_lock(&in_shared_memory->mutex);
    while (!in_shared_memory->value)
        pthread_cond_wait(&in_shared_memory->cond, &in_shared_memory->mutex);
    pthread_mutex_unlock(&in_shared_memory->mutex);
    return arg;
}

static void process_shared(void)
{
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pthread_t t[3];

    in_shared_memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&ma);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&in_shared_memory->mutex, &ma);
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&in_shared_memory->cond, &ca);
    spawn(t, 3, wait_in_shared_memory);
    pthread_mutex_lock(&in_shared_memory->mutex);
    in_shared_memory->value = 1;
    pthread_cond_broadcast(&in_shared_memory->cond);
    pthread_mutex_unlock(&in_shared_memory->mutex);
    say("%ld", gather(t, 3));
}

static void kinds_of_mutexes(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m, &attr);
    for (int i = 0; i < 2; i++)
        say("lock: %s", strerror(pthread_mutex_lock(&m)));
    for (int i = 0; i < 3; i++)
        say("unlock: %s", strerror(pthread_mutex_unlock(&m)));
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m, &attr);
    for (int i = 0; i < 2; i++)
        say("lock: %s", strerror(pthread_mutex_lock(&m)));
}

static _Alignas(256) __thread char aligned_local[300];
static __thread long initialised_local = 4711;
static void *look_at_locals(void *arg)
{
    bool good = (uintptr_t)aligned_local % 256 == 0 && initialised_local == 4711 && !aligned_local[299];

    initialised_local = (long)arg;
    aligned_local[299] = 1;
    sched_yield();
    return (void *)(long)(good && initialised_local == (long)arg);
}

static void aligned_thread_locals(void)
{
    pthread_t t[20];

    spawn(t, 20, look_at_locals);
    say("%ld, here %ld", gather(t, 20), initialised_local);
}

static void stack_attributes(void)
{
    pthread_attr_t attr;
    size_t size = 0, guard = 0;
    void *stack = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    pthread_t t;

    pthread_attr_init(&attr);
    T(pthread_attr_setstack(&attr, stack, 1 << 20));
    pthread_create(&t, &attr, give_back, (void *)5);
    say("%ld", gather(&t, 1));
    T(pthread_getattr_np(pthread_self(), &attr));
    T(pthread_attr_getstack(&attr, &stack, &size));
    pthread_attr_getguardsize(&attr, &guard);
    say("ours is in it %d", (char *)&attr >= (char *)stack && (char *)&attr < (char *)stack + size);
}

static void *own_priority(void *arg)
{
    setpriority(PRIO_PROCESS, 0, 3 + (int)(long)arg);
    sched_yield();
    return (void *)(long)getpriority(PRIO_PROCESS, 0);
}

static void priority_of_each(void)
{
    pthread_t t[3];

    spawn(t, 3, own_priority);
    say("%ld, here %d", gather(t, 3), getpriority(PRIO_PROCESS, 0));
}

const struct test_case cases[] = {
    CASE(one_after_the_other), CASE(detached), CASE(errno_of_each), CASE(barriers), CASE(readers_and_writers),
    CASE(spinlocks), CASE(ping_pong), CASE(a_signal_reaches_a_spinning_thread), CASE(thread_specific_data),
    CASE(only_once), CASE(cancelled_in_all_ways), CASE(rounding_of_each), CASE(registers_of_each),
    CASE(wide_registers_of_each), CASE(names), CASE(ids_of_all), CASE(through_a_pipe), CASE(timed_conditions),
    CASE(process_shared), CASE(kinds_of_mutexes), CASE(aligned_thread_locals), CASE(stack_attributes),
    CASE(priority_of_each), {NULL, NULL},
};
