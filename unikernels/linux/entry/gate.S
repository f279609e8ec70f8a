/*
 * The border between program and kernel.
 *
 * A program's system call arrives at gate_entry with Linux's register layout
 * and the return address in rcx: from the SIGSYS handler, or by a jump from a
 * patched call site. Everything else (faults, ticks, host signals) arrives at
 * event_entry, with the program's registers already on the kernel stack.
 *
 * The kernel is left by a jump (system calls) or by iretq (everything that
 * restores all registers). The host's rt_sigreturn is never used.
 *
 * This is the only code whose system calls reach the host (see link.ld).
 */
#include "entry/offsets.h"

    .section .gate, "ax"
    .p2align 4

/* long host_call(long nr, long a, long b, long c, long d, long e, long f) */
    .globl host_call
host_call:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret

/*
 * long host_idle(long nr, long epfd, void *events, long n, void *timeout)
 *
 * The wait of an idle guest. A host signal between the look at
 * host_signals_pending and the system call would be slept over: the handler
 * moves an interrupted rip between idle_begin and idle_end to idle_abort.
 */
    .globl host_idle, idle_begin, idle_end, idle_abort
host_idle:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    xor %r8d, %r8d
    mov $8, %r9d
idle_begin:
    cmpl $0, host_signals_pending(%rip)
    jne idle_abort
    syscall
idle_end:
    ret
idle_abort:
    mov $-4, %rax /* EINTR */
    ret

    .p2align 6
    .globl gate_entry
gate_entry:
    mov %rsp, gate_user_rsp(%rip)
gate_entry_rsp_saved:
    mov current_kstack_top(%rip), %rsp
    push $USER_SS
    push gate_user_rsp(%rip)
    push $USER_RFLAGS
    push $USER_CS
    push %rcx
    push %rax
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    cld
    call syscall_dispatch
    test %eax, %eax
    jnz return_full
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    mov 8(%rsp), %rcx
    mov 32(%rsp), %rsp
    .globl gate_return_jump
gate_return_jump:
    jmp *%rcx

    .globl return_full
return_full:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $8, %rsp
    .globl return_full_iret
return_full_iret:
    iretq

/* rsp: struct regs on the kernel stack; what happened is in entry/event.c's record. */
    .globl event_entry
event_entry:
    mov %rsp, %rdi
    cld
    call event_dispatch
    jmp return_full

/* void task_switch_stacks(uintptr_t *save, uintptr_t load): sleeps in save, wakes up in load. */
    .globl task_switch_stacks
task_switch_stacks:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

/* Where a new task wakes up: registers of the program are next on its stack. */
    .globl task_first_return
task_first_return:
    call task_switched
    jmp return_full

/*
 * The handler of every host signal: rdi signal, rsi siginfo, rdx ucontext. The
 * host has put the vector state away and started the handler with a fresh one,
 * so it is loaded from the frame before going on.
 */
    .globl signal_entry
signal_entry:
    cld
    push %rdx
    cmp $SIGSYS_NR, %edi
    jne 1f
    call signal_syscall
    pop %rsi
    test %eax, %eax
    jz 2f
    mov UC_FPSTATE(%rsi), %rdi
    mov $-1, %eax
    mov $-1, %edx
    xrstor64 (%rdi)
    mov UC_R8(%rsi), %r8
    mov UC_R9(%rsi), %r9
    mov UC_R10(%rsi), %r10
    mov UC_R11(%rsi), %r11
    mov UC_R12(%rsi), %r12
    mov UC_R13(%rsi), %r13
    mov UC_R14(%rsi), %r14
    mov UC_R15(%rsi), %r15
    mov UC_RDI(%rsi), %rdi
    mov UC_RBP(%rsi), %rbp
    mov UC_RBX(%rsi), %rbx
    mov UC_RDX(%rsi), %rdx
    mov UC_RAX(%rsi), %rax
    mov UC_RSP(%rsi), %rcx
    mov %rcx, gate_user_rsp(%rip)
    mov UC_RCX(%rsi), %rcx
    /* Still on the signal stack: off it, the next host signal would overwrite what is read here. */
    mov UC_RSI(%rsi), %rsi
    jmp gate_entry_rsp_saved

1:  call signal_event
    pop %rsi
2:  mov UC_FPSTATE(%rsi), %rdi
    mov $-1, %eax
    mov $-1, %edx
    xrstor64 (%rdi)
    pushq $USER_SS
    pushq UC_RSP(%rsi)
    pushq UC_RFLAGS(%rsi)
    pushq $USER_CS
    pushq UC_RIP(%rsi)
    mov UC_R8(%rsi), %r8
    mov UC_R9(%rsi), %r9
    mov UC_R10(%rsi), %r10
    mov UC_R11(%rsi), %r11
    mov UC_R12(%rsi), %r12
    mov UC_R13(%rsi), %r13
    mov UC_R14(%rsi), %r14
    mov UC_R15(%rsi), %r15
    mov UC_RDI(%rsi), %rdi
    mov UC_RBP(%rsi), %rbp
    mov UC_RBX(%rsi), %rbx
    mov UC_RDX(%rsi), %rdx
    mov UC_RAX(%rsi), %rax
    mov UC_RCX(%rsi), %rcx
    mov UC_RSI(%rsi), %rsi
    iretq

/*
 * User copies. Each instruction that may fault has an entry in the fix-up
 * table: where to go on instead.
 */
.macro fixup at, to
    .pushsection .fixups, "a"
    .quad \at, \to
    .popsection
.endm

/* 32 bytes from rsi to rdi, in words. */
.macro copy_32
    .irp place, 0, 16
71: mov \place(%rsi), %rax
72: mov \place + 8(%rsi), %r8
73: mov %rax, \place(%rdi)
74: mov %r8, \place + 8(%rdi)
    fixup 71b, copy_bytes
    fixup 72b, copy_bytes
    fixup 73b, copy_bytes
    fixup 74b, copy_bytes
    .endr
.endm

/* So many of the rcx bytes that are left, if there are, by a register that is as large. */
.macro copy_part bytes, register
    cmp $\bytes, %rcx
    jb 73f
71: mov (%rsi), \register
72: mov \register, (%rdi)
    fixup 71b, copy_bytes
    fixup 72b, copy_bytes
    add $\bytes, %rsi
    add $\bytes, %rdi
    sub $\bytes, %rcx
73:
.endm

/*
 * int user_copy(void *dst, const void *src, size_t n): 0 or -EFAULT, with everything copied up to what cannot be, as by
 * Linux. As memcpy() in lib/string.c, which says why.
 */
#define STRING_MIN 2048
#define CLOSE 64
    .globl user_copy
user_copy:
    mov %rdx, %rcx
    cmp $STRING_MIN, %rcx
    jae copy_long
copy_words:
    cmp $32, %rcx
    jb copy_rest
    copy_32
    add $32, %rsi
    add $32, %rdi
    sub $32, %rcx
    jmp copy_words
copy_rest:
    .rept 3
    copy_part 8, %rax
    .endr
    copy_part 4, %eax
    copy_part 2, %ax
    copy_part 1, %al
    xor %eax, %eax
    ret
copy_long:
    mov %edi, %eax
    sub %esi, %eax
    and $4095, %eax
    cmp $CLOSE, %eax
    jb copy_words
    copy_32
    mov %edi, %eax
    and $31, %eax
    sub $32, %rax
    sub %rax, %rsi
    sub %rax, %rdi
    add %rax, %rcx
    mov %ecx, %edx
    and $7, %edx
    shr $3, %rcx
10: rep movsq
    fixup 10b, copy_words_faulted
    mov %rdx, %rcx
    jmp copy_rest
copy_words_faulted:
    lea (%rdx, %rcx, 8), %rcx
copy_bytes:
    rep movsb
    fixup copy_bytes, user_fault
    xor %eax, %eax
    ret

/* size_t user_clear(void *dst, size_t n): bytes NOT cleared. */
    .globl user_clear
user_clear:
    mov %rsi, %rcx
    xor %eax, %eax
12: rep stosb
13: mov %rcx, %rax
    ret

/* int user_read_u32(uint32_t *v, const void *src), …u64, user_write_u32(void *dst, uint32_t v), …u64: 0 or -EFAULT. */
    .globl user_read_u32
user_read_u32:
14: mov (%rsi), %eax
    mov %eax, (%rdi)
    xor %eax, %eax
    ret
    .globl user_read_u64
user_read_u64:
15: mov (%rsi), %rax
    mov %rax, (%rdi)
    xor %eax, %eax
    ret
    .globl user_write_u32
user_write_u32:
16: mov %esi, (%rdi)
    xor %eax, %eax
    ret
    .globl user_write_u64
user_write_u64:
17: mov %rsi, (%rdi)
    xor %eax, %eax
    ret
/* int user_cmpxchg_u32(void *dst, uint32_t *expected, uint32_t new): 0 with *expected updated, or -EFAULT. */
    .globl user_cmpxchg_u32
user_cmpxchg_u32:
    mov (%rsi), %eax
18: lock cmpxchg %edx, (%rdi)
    mov %eax, (%rsi)
    xor %eax, %eax
    ret
user_fault:
    mov $-14, %eax /* EFAULT */
    ret

/*
 * ssize_t user_strlen(const char *s, size_t max): as strnlen; -EFAULT.
 */
    .globl user_strlen
user_strlen:
    xor %eax, %eax
1:  cmp %rsi, %rax
    jae 2f
19: cmpb $0, (%rdi,%rax)
    je 2f
    inc %rax
    jmp 1b
2:  ret
user_fault_long:
    mov $-14, %rax
    ret

/* int xstate_restore_checked(const void *area): 0, or -EFAULT where the processor refuses it. */
    .globl xstate_restore_checked
xstate_restore_checked:
    mov $-1, %eax
    mov $-1, %edx
20: xrstor64 (%rdi)
    xor %eax, %eax
    ret

    fixup 12b, 13b
    fixup 14b, user_fault
    fixup 15b, user_fault
    fixup 16b, user_fault
    fixup 17b, user_fault
    fixup 18b, user_fault
    fixup 19b, user_fault_long
    fixup 20b, user_fault

    .bss
    .p2align 3
gate_user_rsp:
    .skip 8
    .globl current_kstack_top
current_kstack_top:
    .skip 8
    .globl host_signals_pending
host_signals_pending:
    .skip 8

    .data
    .globl dispatch_selector
dispatch_selector:
    .byte 0 /* set to 1 (block) by kernel_main */

    .section .note.GNU-stack, "", @progbits
