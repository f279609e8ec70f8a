/* The tender jumps here with the boot info in rdi, on a stack of its own choice at the top of guest memory. */
    .section .text.start, "ax"
    .globl _start
_start:
    xor %ebp, %ebp
    lea boot_stack_top(%rip), %rsp
    call kernel_main
    ud2

    .bss
    .p2align 12
    .globl boot_stack
boot_stack:
    .skip 16384
boot_stack_top:

    /* For host signals, SIGSYS among them. Nested ones go further down, to a page that is closed. */
    .globl signal_stack
    .p2align 12
    .skip 4096
signal_stack:
    .skip 65536

    .section .note.GNU-stack, "", @progbits
