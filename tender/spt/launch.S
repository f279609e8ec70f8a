/*
 * From here on no library code runs, and no stack is used: the tender unmaps
 * itself, drops its signal mask, installs the filter, clears the registers and
 * jumps. The page of launch_code stays mapped for the signal handlers; the
 * system calls in it are of no use under the filter.
 */
#include "launch.h"

#define SYS_write 1
#define SYS_munmap 11
#define SYS_rt_sigprocmask 14
#define SYS_arch_prctl 158
#define SYS_exit_group 231
#define SYS_seccomp 317

#define SIG_SETMASK 2
#define SECCOMP_SET_MODE_FILTER 1
#define ARCH_SET_FS 0x1002
#define STDERR 2

#define SIGINFO_CODE 8     /* offset of si_code in siginfo_t */
#define SIGINFO_SYSCALL 24 /* offset of si_syscall */
#define SYS_SECCOMP 1      /* si_code: the filter said so */

    .section .text.launch, "ax", @progbits
    .balign 4096
    .globl launch_code
launch_code:

    .globl launch
    .type launch, @function
launch:
    mov %rdi, %rbx
    mov LAUNCH_RANGE_COUNT(%rbx), %r12
    lea LAUNCH_RANGES(%rbx), %r13
1:  test %r12, %r12
    jz 2f
    mov (%r13), %rdi
    mov 8(%r13), %rsi
    mov $SYS_munmap, %eax
    syscall
    test %rax, %rax
    jnz launch_failed
    add $16, %r13
    dec %r12
    jmp 1b

2:  cld
    lea LAUNCH_CLEAR(%rbx), %r13
    mov $LAUNCH_CLEAR_COUNT, %r12d
3:  mov (%r13), %rdi
    mov 8(%r13), %rcx
    xor %eax, %eax
    rep stosb
    add $16, %r13
    dec %r12
    jnz 3b

    /* The thread area is gone; a guest that uses %fs unset must fault. */
    mov $ARCH_SET_FS, %edi
    xor %esi, %esi
    mov $SYS_arch_prctl, %eax
    syscall

    /* All signals were blocked while the tender worked. What comes between here and the jump
     * finds the guest's memory complete and its handlers installed. */
    mov LAUNCH_STACK(%rbx), %rsp
    mov $SIG_SETMASK, %edi
    lea empty_mask(%rip), %rsi
    xor %edx, %edx
    mov $8, %r10d
    mov $SYS_rt_sigprocmask, %eax
    syscall

    mov $SECCOMP_SET_MODE_FILTER, %edi
    xor %esi, %esi
    lea LAUNCH_FPROG(%rbx), %rdx
    mov $SYS_seccomp, %eax
    syscall
    test %rax, %rax
    jnz launch_failed

    mov LAUNCH_ENTRY(%rbx), %r8
    mov LAUNCH_ARGUMENT(%rbx), %r9
    mov LAUNCH_WIPE_WORDS(%rbx), %rcx
    mov %rbx, %rdi
    xor %eax, %eax
    rep stosq

    pxor %xmm0, %xmm0
    pxor %xmm1, %xmm1
    pxor %xmm2, %xmm2
    pxor %xmm3, %xmm3
    pxor %xmm4, %xmm4
    pxor %xmm5, %xmm5
    pxor %xmm6, %xmm6
    pxor %xmm7, %xmm7
    pxor %xmm8, %xmm8
    pxor %xmm9, %xmm9
    pxor %xmm10, %xmm10
    pxor %xmm11, %xmm11
    pxor %xmm12, %xmm12
    pxor %xmm13, %xmm13
    pxor %xmm14, %xmm14
    pxor %xmm15, %xmm15
    mov %r9, %rdi
    mov %r8, %rax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    jmp *%rax

launch_failed:
    mov $STDERR, %edi
    lea launch_failed_text(%rip), %rsi
    mov $launch_failed_text_end - launch_failed_text, %edx
    mov $SYS_write, %eax
    syscall
    mov $1, %edi
    mov $SYS_exit_group, %eax
    syscall
    hlt
    .size launch, . - launch

    /* A host signal ends a Solo5 guest with 128 + its number, also as pid 1 of a namespace, whose
     * default is to ignore it. Nothing of the interrupted state may be relied on. */
    .globl signal_ends_guest
    .type signal_ends_guest, @function
signal_ends_guest:
    add $128, %edi
    mov $SYS_exit_group, %eax
    syscall
    hlt
    .size signal_ends_guest, . - signal_ends_guest

    /* SIGSYS. The filter raises it for an exit status that a process cannot have; anything else
     * came from another process. */
    .globl status_out_of_range
    .type status_out_of_range, @function
status_out_of_range:
    cmpl $SYS_SECCOMP, SIGINFO_CODE(%rsi)
    jne signal_ends_guest
    cmpl $SYS_exit_group, SIGINFO_SYSCALL(%rsi)
    jne signal_ends_guest
    mov $STDERR, %edi
    lea status_text(%rip), %rsi
    mov $status_text_end - status_text, %edx
    mov $SYS_write, %eax
    syscall
    mov $255, %edi
    mov $SYS_exit_group, %eax
    syscall
    hlt
    .size status_out_of_range, . - status_out_of_range

    .balign 8
empty_mask:
    .quad 0
launch_failed_text:
    .ascii "tender-spt: cannot install the seccomp filter: needs Linux 4.14 or newer with CONFIG_SECCOMP_FILTER\n"
launch_failed_text_end:
status_text:
    .ascii "tender-spt: the guest's exit status is not within 0 to 255; it ends with 255\n"
status_text_end:

    .balign 4096
    .globl launch_code_end
launch_code_end:

    .section .bss.launch, "aw", @nobits
    .balign 4096
    .globl launch_area
    .type launch_area, @object
    .size launch_area, LAUNCH_AREA_SIZE
launch_area:
    .skip LAUNCH_AREA_SIZE

    .section .note.GNU-stack, "", @progbits
