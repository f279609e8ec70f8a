/* Places in the kernel image (link.ld, boot/start.S, entry/gate.S) and in guest memory. */
#ifndef LINUX_BOOT_LAYOUT_H
#define LINUX_BOOT_LAYOUT_H

#define GATE_BYTES 4096
#define SIGNAL_STACK_BYTES 65536
#define TENDER_STACK 0x100000ul /* at the top of guest memory: where the tender has us begin */

#define USER_START 0x400000ul /* non-PIE programs begin here */
#define LOW_EXEC_START 0x40000000ul /* PIE programs and libraries: in reach of a rel32 jump */
#define TRAMPOLINE_START 0x7fe00000ul
#define LOW_END 0x80000000ul

#ifndef __ASSEMBLY__
#include <stdint.h>

/* The image: text from kernel_start to gate_end, all of it to kernel_end. */
extern char kernel_start[], gate_start[], gate_end[], kernel_end[];
extern char signal_stack[];
extern uint8_t dispatch_selector; /* 1: system calls from outside of the gate raise SIGSYS */
void signal_entry(void);
#endif

#endif
