/* Numbers that gate.S needs of C's and the host's structures; checked in entry/event.c. */
#ifndef LINUX_ENTRY_OFFSETS_H
#define LINUX_ENTRY_OFFSETS_H

#define USER_CS 0x33
#define USER_SS 0x2b
#define USER_RFLAGS 0x202 /* interrupts enabled: what a program has between system calls */
#define SIGSYS_NR 31

/* struct ucontext with struct sigcontext_64 at 40. */
#define UC_R8 40
#define UC_R9 48
#define UC_R10 56
#define UC_R11 64
#define UC_R12 72
#define UC_R13 80
#define UC_R14 88
#define UC_R15 96
#define UC_RDI 104
#define UC_RSI 112
#define UC_RBP 120
#define UC_RBX 128
#define UC_RDX 136
#define UC_RAX 144
#define UC_RCX 152
#define UC_RSP 160
#define UC_RIP 168
#define UC_RFLAGS 176
#define UC_FPSTATE 224

#endif
