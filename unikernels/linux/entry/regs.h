/* The program's registers as the gate pushes them; entry/gate.S and entry/offsets follow this order. */
#ifndef LINUX_ENTRY_REGS_H
#define LINUX_ENTRY_REGS_H

#include <stdint.h>

struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; /* number of the system call, -1 outside of one */
    uint64_t rip, cs, rflags, rsp, ss; /* as iretq takes them */
};

#endif
