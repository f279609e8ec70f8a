/* Threads, futexes, scheduling. */
#include "case.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int flag;
static long counter;
static int turn;

static void *count_up(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

static void mutex_counts(void)
{
    pthread_t t[8];
    void *result;

    for (long i = 0; i < 8; i++)
        T(pthread_create(&t[i], NULL, count_up, (void *)i));
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &result);
        say("joined %ld", (long)result);
    }
    say("%ld", counter);
}

static void *take_turns(void *arg)
{
    long id = (long)arg;

    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != id)
            pthread_cond_wait(&cond, &mutex);
        turn = (turn + 1) % 4;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void conditions(void)
{
    pthread_t t[4];

    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, take_turns, (void *)i);
    for (int i = 0; i < 4; i++)
        T(pthread_join(t[i], NULL));
    say("turn %d", turn);
}

static void *spin(void *arg)
{
    while (!flag)
        ;
    return arg;
}

static void preemption(void)
{
    pthread_t t;
    void *result;

    flag = 0;
    pthread_create(&t, NULL, spin, (void *)7);
    usleep(20000);
    flag = 1;
    pthread_join(t, &result);
    say("%ld", (long)result);
    /* And the other way: the creator spins. */
    flag = 0;
    pthread_create(&t, NULL, spin, (void *)8);
    for (volatile long i = 0; i < 30000000; i++)
        ;
    flag = 1;
    pthread_join(t, &result);
    say("%ld", (long)result);
}

__attribute__((target("avx2"))) static void *vector_work(void *arg)
{
    __m256d x = _mm256_set1_pd((double)(long)arg);
    double out[4];

    for (long i = 0; i < 20000000; i++) {
        __asm__("" : "+x"(x));
        x = _mm256_add_pd(x, _mm256_set1_pd(1.0));
    }
    _mm256_storeu_pd(out, x);
    for (int i = 0; i < 4; i++)
        if (out[i] != (double)(long)arg + 20000000)
            return (void *)0;
    return (void *)1;
}

static void vector_state(void)
{
    pthread_t t[4];
    void *result;
    long ok = 0;

    if (!__builtin_cpu_supports("avx2")) {
        say("intact 4");
        return;
    }
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, vector_work, (void *)(i * 1000));
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &result);
        ok += (long)result;
    }
    say("intact %ld", ok);
}

static __thread int local_value;
static void *use_local(void *arg)
{
    local_value = (int)(long)arg;
    usleep(1000);
    sched_yield();
    return (void *)(long)(local_value == (int)(long)arg);
}

static void thread_local_storage(void)
{
    pthread_t t[20];
    void *result;
    long ok = 0;

    for (long i = 0; i < 20; i++)
        pthread_create(&t[i], NULL, use_local, (void *)(i + 1));
    for (int i = 0; i < 20; i++) {
        pthread_join(t[i], &result);
        ok += (long)result;
    }
    say("%ld", ok);
}

static void *wait_for_start(void *arg)
{
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_cond_broadcast(&cond);
    while (!flag)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

static void thousand_threads(void)
{
    static pthread_t t[1000];
    pthread_attr_t attr;
    int made = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    flag = 0;
    counter = 0;
    for (int i = 0; i < 1000; i++)
        made += pthread_create(&t[i], &attr, wait_for_start, NULL) == 0;
    pthread_mutex_lock(&mutex);
    while (counter < made)
        pthread_cond_wait(&cond, &mutex);
    flag = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < made; i++)
        pthread_join(t[i], NULL);
    say("%d", made);
}

static long futex(void *addr, int op, uint32_t value, void *timeout, void *addr2, uint32_t value3)
{
    return syscall(SYS_futex, addr, op, value, timeout, addr2, value3);
}

static void futex_errors(void)
{
    uint32_t word = 5;
    struct timespec ts = {.tv_nsec = 10000000}, bad = {.tv_nsec = -1};

    T(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAIT, 5, &ts, NULL, 0));
    T(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0));
    T(futex((char *)&word + 1, FUTEX_WAIT, 5, &ts, NULL, 0));
    T(futex((void *)8, FUTEX_WAIT, 5, &ts, NULL, 0));
    T(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAKE_BITSET, 5, NULL, NULL, 0));
    T(futex(&word, 99, 5, NULL, NULL, 0));
    T(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &word, 4));
    struct timespec past;
    clock_gettime(CLOCK_MONOTONIC, &past);
    T(futex(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, 1));
}

static uint32_t words[2];
static void *futex_sleeper(void *arg)
{
    (void)arg;
    return (void *)futex(&words[0], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void futex_requeue(void)
{
    pthread_t t[3];
    long woken;

    words[0] = words[1] = 0;
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, futex_sleeper, NULL);
    usleep(30000);
    woken = futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &words[1], 0);
    say("requeue %ld", woken);
    say("at second %ld", futex(&words[1], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    say("at first %ld", futex(&words[0], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

static void semaphores(void)
{
    sem_t sem;
    struct timespec ts;

    T(sem_init(&sem, 0, 2));
    T(sem_wait(&sem));
    T(sem_trywait(&sem));
    T(sem_trywait(&sem));
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 20000000;
    if (ts.tv_nsec >= 1000000000)
        ts.tv_sec++, ts.tv_nsec -= 1000000000;
    T(sem_timedwait(&sem, &ts));
    T(sem_post(&sem));
    T(sem_wait(&sem));
}

static void *hold_robust(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

static void robust_mutex(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;
    pthread_t t;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m, &attr);
    pthread_create(&t, NULL, hold_robust, &m);
    pthread_join(t, NULL);
    say("%s", strerror(pthread_mutex_lock(&m)));
    T(pthread_mutex_consistent(&m));
    T(pthread_mutex_unlock(&m));
    T(pthread_mutex_lock(&m));
}

static void locks_and_barriers(void)
{
    pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;

    T(pthread_rwlock_rdlock(&rw));
    T(pthread_rwlock_tryrdlock(&rw));
    say("%s", strerror(pthread_rwlock_trywrlock(&rw)));
    T(pthread_rwlock_unlock(&rw));
    T(pthread_rwlock_unlock(&rw));
    T(pthread_rwlock_trywrlock(&rw));
    say("%s", strerror(pthread_mutex_trylock(&mutex)));
    say("%s", strerror(pthread_mutex_trylock(&mutex)));
    pthread_mutex_unlock(&mutex);
    struct timespec ts = {0};
    pthread_mutex_lock(&mutex);
    say("%s", strerror(pthread_cond_timedwait(&cond, &mutex, &ts)));
    pthread_mutex_unlock(&mutex);
}

static void *cancelled(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void cancellation(void)
{
    pthread_t t;
    void *result;

    pthread_create(&t, NULL, cancelled, NULL);
    usleep(5000);
    T(pthread_cancel(t));
    pthread_join(t, &result);
    say("%d", result == PTHREAD_CANCELED);
}

static void scheduling(void)
{
    struct sched_param param = {0};
    cpu_set_t set;
    struct timespec ts;

    T(sched_yield());
    T(sched_getscheduler(0));
    T(sched_getparam(0, &param));
    say("%d", param.sched_priority);
    T(sched_get_priority_max(SCHED_FIFO));
    T(sched_get_priority_min(SCHED_FIFO));
    T(sched_get_priority_max(SCHED_OTHER));
    T(sched_get_priority_max(77));
    T(sched_getaffinity(0, sizeof(set), &set));
    say("some processor: %d", CPU_COUNT(&set) > 0);
    T(sched_getaffinity(0, 1, &set));
    T(sched_setaffinity(0, sizeof(set), &set));
    CPU_ZERO(&set);
    T(sched_setaffinity(0, sizeof(set), &set));
    T(sched_rr_get_interval(0, &ts));
    T(sched_getscheduler(-1));
    T(sched_getscheduler(999999));
}

static pid_t child_tid;
static void *tid_of(void *arg)
{
    child_tid = (pid_t)syscall(SYS_gettid);
    return (void *)(long)(getpid() == *(pid_t *)arg);
}

static void thread_ids(void)
{
    pthread_t t;
    void *same;
    pid_t pid = getpid();

    say("main %d", pid == syscall(SYS_gettid));
    pthread_create(&t, NULL, tid_of, &pid);
    pthread_join(t, &same);
    say("same process %ld, other thread %d", (long)same, child_tid != pid);
    T(syscall(SYS_tgkill, pid, child_tid, 0));
    T(syscall(SYS_tgkill, pid, pid, 0));
    T(syscall(SYS_tgkill, -1, pid, 0));
    T(syscall(SYS_tkill, 999999, 0));
    T(syscall(SYS_tkill, 0, 0));
}

const struct test_case cases[] = {
    CASE(mutex_counts), CASE(conditions), CASE(preemption), CASE(vector_state), CASE(thread_local_storage),
    CASE(thousand_threads), CASE(futex_errors), CASE(futex_requeue), CASE(semaphores), CASE(robust_mutex),
    CASE(locks_and_barriers), CASE(cancellation), CASE(scheduling), CASE(thread_ids), {NULL, NULL},
};
