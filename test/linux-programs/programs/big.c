/* big READ [WRITE]: reads so many MiB of its constants, writes so many of its memory. */
#include <stdio.h>
#include <stdlib.h>

#define MIB (1ul << 20)

__asm__(".section .rodata\nconstants: .fill 30 << 20, 1, 7\n.text");
extern const volatile char constants[];

int main(int argc, char **argv)
{
    unsigned long read = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, write = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

    for (unsigned long at = 0; at < read * MIB; at += 4096)
        if (constants[at] != 7)
            return 1;
    printf("read %lu MiB\n", read);
    volatile char *memory = write ? malloc(write * MIB) : NULL;
    for (unsigned long at = 0; memory && at < write * MIB; at += 4096)
        memory[at] = 1;
    if (write)
        printf("wrote %lu MiB\n", write);
    return 0;
}
