#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)

static ucontext_t loop, tasks[TASKS];

void wrong(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
    _exit(1);
}

void *memory(size_t n)
{
    return malloc(n);
}

void memory_free(void *p)
{
    free(p);
}

void stage_task(unsigned i, void (*live)(void))
{
    getcontext(&tasks[i]);
    tasks[i].uc_stack.ss_sp = malloc(STACK_BYTES);
    tasks[i].uc_stack.ss_size = STACK_BYTES;
    makecontext(&tasks[i], live, 0);
}

void stage_run(unsigned i)
{
    swapcontext(&loop, &tasks[i]);
}

void stage_leave(unsigned i)
{
    swapcontext(&tasks[i], &loop);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    uint64_t seed = strtoull(argv[1], NULL, 0), count = strtoull(argv[2], NULL, 0);
    for (uint64_t end = seed + count; seed < end; seed++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            scenario(seed);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("seed %llu\n", (unsigned long long)seed);
            return 1;
        }
    }
    return 0;
}
