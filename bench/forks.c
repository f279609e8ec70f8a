/*
 * forks BUSYBOX: microseconds of a fork, exec and wait of `busybox true`, mean of
 * 300; and of a fork and wait of this process once it has touched 100 MB.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXECS 300
#define FORKS 20
#define TOUCHED (100ul << 20)

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Mean of `times`; negative: a child failed. */
static double forks(int times, const char *program)
{
    double start = now_us();

    for (int i = 0; i < times; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid < 0) return -1;
        if (!pid) {
            if (program) execl(program, "busybox", "true", (char *)NULL);
            _exit(program ? 1 : 0);
        }
        if (waitpid(pid, &status, 0) != pid || status) return -1;
    }
    return (now_us() - start) / times;
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    double exec = forks(EXECS, argv[1]);
    char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    memset(memory, 1, TOUCHED);
    double big = forks(FORKS, NULL);
    if (exec < 0 || big < 0) return 1;
    printf("%.1f %.1f\n", exec, big);
    return 0;
}
