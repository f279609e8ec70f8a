/*
 * What hostile code in the guest can do at most: jump to the kernel's own way to
 * the host with a number of its choice. gate ADDRESS NUMBER
 */
#include <stdio.h>
#include <stdlib.h>

typedef long (*host_call)(long nr, long a, long b, long c, long d, long e, long f);

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    host_call call = (host_call)strtoul(argv[1], NULL, 16);
    puts("before");
    fflush(stdout);
    call(atol(argv[2]), 1, 0, 0, 0, 0, 0);
    puts("after");
    return 0;
}
