/*
 * faults FILE: maps it, says "mapped", and when it gets SIGUSR1 touches it; meanwhile another thread says
 * "others run". Then what was there: "touched x".
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (1u << 20)

static atomic_bool begins;

static void *other(void *unused)
{
    while (!begins) usleep(1000);
    usleep(50000);
    puts("others run");
    return unused;
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    const volatile char *map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    pthread_t thread;
    sigset_t set;
    int got;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (map == MAP_FAILED || pthread_create(&thread, NULL, other, NULL))
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("mapped");
    sigwait(&set, &got);
    begins = 1;
    printf("touched %c\n", map[SIZE / 2]);
    pthread_join(thread, NULL);
    return 0;
}
