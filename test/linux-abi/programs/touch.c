/* touch ADDRESS...: for each (hexadecimal) whether it can be read and written, "rw", "r-" or "--". */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static sigjmp_buf back;

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

static int can(volatile unsigned char *at, int write)
{
    unsigned char byte;

    if (sigsetjmp(back, 1))
        return 0;
    byte = *at;
    if (write)
        *at = byte;
    return 1;
}

int main(int argc, char **argv)
{
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (int i = 1; i < argc; i++) {
        unsigned char *at = (unsigned char *)strtoul(argv[i], NULL, 16);
        printf("%c%c\n", can(at, 0) ? 'r' : '-', can(at, 1) ? 'w' : '-');
    }
    return 0;
}
