/*
 * Opcode maps of the Intel SDM, volume 2, appendix A, reduced to what a length
 * needs: is there a ModRM byte, how many bytes of immediate follow.
 */
#include "entry/insn.h"

#define MODRM 1u
#define IMM8 2u
#define IMM16 4u
#define IMMZ 8u     /* 4 bytes, 2 with the operand-size prefix */
#define UNKNOWN 16u

static unsigned map_one_byte(uint8_t op)
{
    if (op < 0x40) {
        static const uint8_t low[8] = {MODRM, MODRM, MODRM, MODRM, IMM8, IMMZ, UNKNOWN, UNKNOWN};
        return low[op & 7];
    }
    if (op < 0x60) return 0;
    if (op >= 0x70 && op < 0x80) return IMM8;
    if (op >= 0x84 && op < 0x90) return MODRM;
    if (op >= 0x90 && op < 0xa0) return op == 0x9a ? UNKNOWN : 0;
    if (op >= 0xb0 && op < 0xb8) return IMM8;
    if (op >= 0xd8 && op < 0xe0) return MODRM;
    switch (op) {
    case 0x63: return MODRM;
    case 0x68: return IMMZ;
    case 0x69: return MODRM | IMMZ;
    case 0x6a: return IMM8;
    case 0x6b: return MODRM | IMM8;
    case 0x6c: case 0x6d: case 0x6e: case 0x6f: return 0;
    case 0x80: case 0x83: case 0xc0: case 0xc1: case 0xc6: return MODRM | IMM8;
    case 0x81: case 0xc7: return MODRM | IMMZ;
    case 0xa4: case 0xa5: case 0xa6: case 0xa7: case 0xaa: case 0xab: case 0xac: case 0xad: case 0xae: case 0xaf:
        return 0;
    case 0xa8: return IMM8;
    case 0xa9: return IMMZ;
    case 0xc2: return IMM16;
    case 0xc3: case 0xc9: case 0xcb: case 0xcc: case 0xcf: return 0;
    case 0xc8: return IMM16 | IMM8;
    case 0xcd: return IMM8;
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: case 0xfe: case 0xff: return MODRM;
    case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xeb: return IMM8;
    case 0xe8: case 0xe9: return IMMZ;
    case 0xf4: case 0xf5: case 0xf8: case 0xf9: case 0xfa: case 0xfb: case 0xfc: case 0xfd: return 0;
    case 0xf6: case 0xf7: return MODRM; /* and an immediate for TEST: see the caller */
    default: return UNKNOWN;
    }
}

static unsigned map_two_bytes(uint8_t op)
{
    if (op >= 0x80 && op < 0x90) return IMMZ;
    if (op >= 0x30 && op < 0x38) return 0;
    if (op >= 0x70 && op < 0x74) return MODRM | IMM8;
    if (op >= 0xc8 && op < 0xd0) return 0;
    switch (op) {
    case 0x05: case 0x06: case 0x08: case 0x09: case 0x0b: case 0x77: case 0xa0: case 0xa1: case 0xa2: case 0xa8:
    case 0xa9: return 0;
    case 0xa4: case 0xac: case 0xba: case 0xc2: case 0xc4: case 0xc5: case 0xc6: return MODRM | IMM8;
    case 0x04: case 0x07: case 0x0a: case 0x0c: case 0x0e: case 0x0f: case 0x24: case 0x25: case 0x26: case 0x27:
        return UNKNOWN;
    default: return MODRM;
    }
}

/* ModRM, SIB and displacement. 0: cut off. */
static size_t modrm_bytes(const uint8_t *p, size_t n)
{
    if (!n) return 0;
    unsigned mod = p[0] >> 6, rm = p[0] & 7;
    size_t len = 1;

    if (mod == 3) return 1;
    if (rm == 4) {
        if (n < 2) return 0;
        len++;
        if (!mod && (p[1] & 7) == 5) len += 4;
    }
    if (!mod && rm == 5) len += 4;
    if (mod == 1) len++;
    if (mod == 2) len += 4;
    return len;
}

static enum insn_kind kind_of(bool two_bytes, uint8_t op, uint8_t modrm)
{
    if (two_bytes) return op == 0x0b ? INSN_STOP : op == 0x1f ? INSN_NOP : INSN_OTHER;
    switch (op) {
    case 0x90: case 0xcc: return INSN_NOP;
    case 0xc3: case 0xc2: case 0xeb: case 0xe9: case 0xf4: return INSN_STOP;
    case 0xff: return (modrm >> 3 & 6) == 4 ? INSN_STOP : INSN_OTHER;
    default: return INSN_OTHER;
    }
}

size_t insn_decode(const uint8_t *p, size_t n, enum insn_kind *kind)
{
    size_t i = 0;
    bool operand16 = false, rex_w = false, repeat = false;

    for (; i < n; i++) {
        uint8_t b = p[i];
        if (b == 0x66) operand16 = true;
        else if (b == 0xf2 || b == 0xf3) repeat = true;
        else if (b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65 && b != 0xf0 && b != 0x67)
            break;
    }
    if (i < n && (p[i] & 0xf0) == 0x40) rex_w = p[i++] & 8;
    if (i >= n) return 0;

    uint8_t op = p[i++];
    bool two_bytes = op == 0x0f;
    unsigned shape;
    if (two_bytes) {
        if (i >= n) return 0;
        op = p[i++];
        if (op == 0x38 || op == 0x3a) {
            if (i >= n) return 0;
            i++;
            shape = op == 0x3a ? MODRM | IMM8 : MODRM;
        } else {
            shape = map_two_bytes(op);
        }
    } else if (op >= 0xb8 && op < 0xc0) {
        i += rex_w ? 8 : operand16 ? 2 : 4;
        *kind = INSN_OTHER;
        return i <= n ? i : 0;
    } else {
        shape = map_one_byte(op);
    }
    if (shape & UNKNOWN) return 0;

    uint8_t modrm = i < n ? p[i] : 0;
    if (shape & MODRM) {
        size_t m = modrm_bytes(p + i, n - i);
        if (!m) return 0;
        i += m;
        if (!two_bytes && (op == 0xf6 || op == 0xf7) && !(modrm >> 3 & 6)) shape |= op == 0xf6 ? IMM8 : IMMZ;
    }
    if (shape & IMM8) i += 1;
    if (shape & IMM16) i += 2;
    /* Branches keep 4 bytes in 64-bit mode whatever the prefix. */
    if (shape & IMMZ) i += operand16 && !two_bytes && op != 0xe8 && op != 0xe9 ? 2 : 4;
    *kind = kind_of(two_bytes, op, modrm);
    if (op == 0x90 && repeat) *kind = INSN_OTHER; /* pause */
    return i <= n ? i : 0;
}
