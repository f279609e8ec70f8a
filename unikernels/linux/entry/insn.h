/* Length of x86-64 instructions, as far as compilers emit them around system calls. */
#ifndef LINUX_ENTRY_INSN_H
#define LINUX_ENTRY_INSN_H

#include "lib/types.h"

enum insn_kind {
    INSN_OTHER,
    INSN_NOP,  /* padding: nop of any length, int3 */
    INSN_STOP, /* control never goes on behind it: ret, jmp, ud2, hlt */
};

/* Bytes of the instruction at p, of which n can be read; 0 if unknown (VEX, EVEX, cut off). */
size_t insn_decode(const uint8_t *p, size_t n, enum insn_kind *kind);

#endif
