/*
 * Milliseconds of processor time for work that makes no system calls: arithmetic, memory that is touched for the first
 * time, and memory in no order.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STEPS = 100000000, WORDS = 4 << 20, VISITS = 4000000 };

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static uint64_t arithmetic(void)
{
    uint64_t x = 88172645463325252u, sum = 0;

    for (int i = 0; i < STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += x;
    }
    return sum;
}

int main(void)
{
    const double start = now_ms();
    volatile uint64_t sink = arithmetic();
    const double counted = now_ms();
    uint64_t *words = malloc(WORDS * sizeof *words);

    if (words == NULL)
        return 1;
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = i * 2654435761u;
    const double touched = now_ms();
    uint64_t at = 1;
    for (uint64_t i = 0; i < VISITS; i++)
        at = words[(at ^ i * 0x9e3779b97f4a7c15u) % WORDS] + i;
    sink = at;
    printf("%.3f %.3f %.3f\n", counted - start, touched - counted, now_ms() - touched);
    free(words);
    return sink == 0;
}
