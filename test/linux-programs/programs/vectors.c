/*
 * Threads that hold values in vector registers, x87 and MXCSR while they are
 * preempted again and again: whoever mixes them up is found out.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { THREADS = 8 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Spins with the values in registers; false if they are others afterwards. */
__attribute__((target("avx2"), noinline)) static int held(unsigned seed)
{
    unsigned expected[8], got[8];
    long count = 2000000;

    for (int i = 0; i < 8; i++)
        expected[i] = seed * 2654435761u + (unsigned)i;
    __asm__ volatile("vmovdqu %[in], %%ymm7\n\t"
                     "vmovdqa %%ymm7, %%ymm15\n"
                     "1: decq %[count]\n\t"
                     "jnz 1b\n\t"
                     "vpxor %%ymm15, %%ymm7, %%ymm6\n\t"
                     "vptest %%ymm6, %%ymm6\n\t"
                     "jz 2f\n\t"
                     "vpxor %%ymm15, %%ymm15, %%ymm15\n"
                     "2: vmovdqu %%ymm15, %[out]\n\t"
                     "vzeroupper"
                     : [out] "=m"(got), [count] "+r"(count)
                     : [in] "m"(expected)
                     : "xmm6", "xmm7", "xmm15", "cc", "memory");
    for (int i = 0; i < 8; i++)
        if (got[i] != expected[i]) return 0;
    return 1;
}

/* The same with what only AVX-512 has: the upper registers, all of their width, and a mask. */
__attribute__((target("avx512f"), noinline)) static int held_512(unsigned seed)
{
    unsigned expected[16], got[16], mask = seed * 40503u & 0xffff, got_mask;
    long count = 2000000;

    for (int i = 0; i < 16; i++)
        expected[i] = seed * 2654435761u + (unsigned)i;
    __asm__ volatile("vmovdqu64 %[in], %%zmm31\n\t"
                     "kmovw %[mask], %%k5\n"
                     "1: decq %[count]\n\t"
                     "jnz 1b\n\t"
                     "vmovdqu64 %%zmm31, %[out]\n\t"
                     "kmovw %%k5, %[got_mask]\n\t"
                     "vzeroupper"
                     : [out] "=m"(got), [got_mask] "=r"(got_mask), [count] "+r"(count)
                     : [in] "m"(expected), [mask] "r"(mask)
                     : "xmm31", "k5", "cc", "memory");
    for (int i = 0; i < 16; i++)
        if (got[i] != expected[i]) return 0;
    return got_mask == mask;
}

static void *run(void *arg)
{
    const unsigned thread = (unsigned)(long)arg;
    const unsigned rounding = (thread & 3) << 13;
    const double until = seconds() + 0.4;
    const int wide = __builtin_cpu_supports("avx512f");
    long wrong = 0;

    _mm_setcsr((_mm_getcsr() & ~0x6000u) | rounding);
    for (unsigned i = 0; seconds() < until; i++) {
        wrong += !held(thread << 16 | (i & 0xffff));
        if (wide) wrong += !held_512(thread << 16 | (i & 0xffff));
        wrong += (_mm_getcsr() & 0x6000u) != rounding;
    }
    return (void *)wrong;
}

int main(void)
{
    pthread_t threads[THREADS];
    long wrong = 0;

    if (!__builtin_cpu_supports("avx2")) {
        printf("this processor has no AVX2\n");
        return 2;
    }
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *value;
        pthread_join(threads[i], &value);
        wrong += (long)value;
    }
    printf("wrong %ld\n", wrong);
    return wrong != 0;
}
