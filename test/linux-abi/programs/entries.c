/* Ways into the kernel that are not the syscall instruction, and a program that has nothing to do. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define VSYSCALL_GETTIMEOFDAY 0xffffffffff600000ul
#define THREADS 50

static int int80(void)
{
    /* Numbers of the 32-bit table: exit, write, mmap, getpid, exit_group; in the 64-bit one they are others. */
    static const long numbers[] = {1, 4, 90, 20, 252, 0x40000027, -1};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        long result = numbers[i];
        __asm__ volatile("int $0x80" : "+a"(result) : "b"(1l), "c"(0l), "d"(0l) : "memory", "r8", "r9", "r10", "r11");
        printf("%ld: %d\n", numbers[i], (int)result);
    }
    return 0;
}

static void *sleeper(void *arg)
{
    pause();
    return arg;
}

static int idle(void)
{
    pthread_t thread;

    for (int i = 0; i < THREADS; i++) pthread_create(&thread, NULL, sleeper, NULL);
    puts("ready");
    fflush(stdout);
    return pause();
}

int main(int argc, char **argv)
{
    struct timeval tv = {0, 0};

    if (argc < 2) return 2;
    if (!strcmp(argv[1], "int80")) return int80();
    if (!strcmp(argv[1], "idle")) return idle();
    puts("before");
    fflush(stdout);
    ((int (*)(struct timeval *, void *))VSYSCALL_GETTIMEOFDAY)(&tv, NULL);
    puts("after");
    return 0;
}
