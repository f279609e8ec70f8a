/*
 * CLOCK_MONOTONIC, nanoseconds, as of the first instructions of a program: no C library, nothing before main. Where
 * "first COMMAND ARG..." is started with arguments it prints the time and executes the command in its place, so that
 * the difference of two lines is what lies between an exec and a program's beginning.
 */
typedef long word;

enum { SYS_WRITE = 1, SYS_EXECVE = 59, SYS_EXIT_GROUP = 231, SYS_CLOCK_GETTIME = 228, CLOCK_MONOTONIC_ = 1 };

static word call(word nr, word a, word b, word c)
{
    word result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

_Noreturn void begin(word *stack)
{
    struct {
        word seconds, nanoseconds;
    } now;
    char line[24];
    int at = sizeof line;

    call(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC_, (word)&now, 0);
    line[--at] = '\n';
    for (word ns = now.seconds * 1000000000 + now.nanoseconds; ns > 0; ns /= 10)
        line[--at] = (char)('0' + ns % 10);
    call(SYS_WRITE, 1, (word)(line + at), (word)sizeof line - at);
    if (stack[0] > 1)
        call(SYS_EXECVE, stack[2], (word)(stack + 2), (word)(stack + stack[0] + 2));
    for (;;)
        call(SYS_EXIT_GROUP, stack[0] > 1 ? 127 : 0, 0, 0);
}

__asm__(".globl _start\n_start:\n    mov %rsp, %rdi\n    and $-16, %rsp\n    call begin\n");
