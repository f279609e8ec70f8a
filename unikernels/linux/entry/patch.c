/*
 * Call sites that trap often are changed to jump to the gate.
 *
 * Two shapes, both safe whatever else runs that code, since guest threads share
 * one host thread and stand at instruction borders:
 *
 *   mov $N, %eax; syscall    The mov becomes a jmp to a trampoline, which loads
 *                            eax itself. The syscall instruction stays, for
 *                            those who jump there or are sent back to restart.
 *   syscall                  becomes a two-byte jmp to padding behind a ret or
 *                            jmp nearby, and the padding a jmp to a trampoline.
 *                            Instruction borders are known by decoding forward
 *                            from the syscall itself.
 *
 * Only private mappings that are executable and not writable are changed; a
 * page changed this way is a private copy. A trampoline jumps, it never calls:
 * the program's red zone is below its stack pointer.
 */
#include <asm/mman.h>

#include "boot/layout.h"
#include "entry/entry.h"
#include "entry/insn.h"
#include "lib/string.h"
#include "mm/lazy.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/trampoline.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define HOT 4 /* traps before a site is worth two host calls and a page copied */
#define SITES 4096
#define REL8_REACH 127
#define SYSCALL_BYTES 2
#define JMP_BYTES 5
#define MOV_BYTES 5

enum site_state { SITE_COUNTING, SITE_PATCHED, SITE_HOPELESS };

struct site {
    uaddr_t ip; /* behind the syscall */
    uint16_t traps;
    uint8_t state;
    uint32_t trampoline;
};

static struct site *sites;

static void put_jmp(uint8_t *at, uaddr_t from, uaddr_t to)
{
    int32_t rel = (int32_t)(to - (from + JMP_BYTES));

    at[0] = 0xe9;
    memcpy(at + 1, &rel, sizeof rel);
}

/* Puts code into text that the program cannot write to. Who has the same page and does not execute it keeps it as it is. */
static bool poke(uaddr_t at, const void *code, size_t n, int prot)
{
    struct mm *mm = current->process->mm;
    uaddr_t start = PAGE_DOWN(at), end = PAGE_UP(at + n);

    if (lazy_fill(mm, start, end)) return false;
    bool common = share_is_code(mm, start, end);
    if (common ? !memory_open(start, end, PROT_READ | PROT_WRITE) : share_own(mm, start, end) != 0) return false;
    memcpy((void *)at, code, n);
    if (common) memory_protect(start, end, prot);
    return common || share_protect(mm, start, end, prot);
}

static bool make_trampoline(struct site *s, const uint32_t *nr)
{
    uint8_t code[TRAMPOLINE_BYTES];
    uaddr_t at = trampoline_alloc(&s->trampoline);
    size_t n = 0;

    if (!at) return false;
    if (nr) {
        code[n++] = 0xb8; /* mov $nr, %eax */
        memcpy(code + n, nr, 4);
        n += 4;
    }
    code[n++] = 0xb9; /* mov $ip, %ecx */
    memcpy(code + n, &s->ip, 4);
    n += 4;
    put_jmp(code + n, at + n, (uaddr_t)gate_entry);
    trampoline_write(at, code, n + JMP_BYTES);
    return true;
}

static bool patch_mov(struct site *s, uint32_t nr, int prot)
{
    uint8_t old[9], code[MOV_BYTES + 2];
    uaddr_t start = s->ip - SYSCALL_BYTES - MOV_BYTES;
    size_t n = MOV_BYTES;

    if (copy_from_user(old, s->ip - sizeof old, sizeof old)) return false;
    const uint8_t *mov = old + 2;
    if (mov[0] != 0xb8 || memcmp(mov + 1, &nr, 4)) {
        /* mov $N, %rax with a sign-extended immediate: 48 c7 c0 imm32 */
        if (old[0] != 0x48 || old[1] != 0xc7 || old[2] != 0xc0 || memcmp(old + 3, &nr, 4)) return false;
        start -= 2;
        n += 2;
    } else if ((old[1] & 0xf0) == 0x40) {
        return false; /* a REX prefix: another register or a 64-bit immediate */
    }
    if (!make_trampoline(s, &nr)) return false;
    put_jmp(code, start, trampoline_address(s->trampoline));
    memset(code + JMP_BYTES, 0x90, n - JMP_BYTES);
    return poke(start, code, n, prot);
}

/* Padding of at least a jmp's size that control cannot fall into; 0 if there is none in reach. */
static uaddr_t find_padding(uaddr_t ip)
{
    uint8_t text[REL8_REACH + JMP_BYTES];
    enum insn_kind kind = INSN_OTHER;
    size_t n = sizeof text, at = 0;

    while (n && copy_from_user(text, ip, n)) n /= 2;
    while (at < n) {
        size_t len = insn_decode(text + at, n - at, &kind);
        if (!len) return 0;
        at += len;
        if (kind != INSN_STOP) continue;
        size_t end = at;
        while (end < n && (len = insn_decode(text + end, n - end, &kind)) && kind == INSN_NOP) end += len;
        if (end - at >= JMP_BYTES && at <= REL8_REACH) return ip + at;
    }
    return 0;
}

static bool patch_rel8(struct site *s, int prot)
{
    uint8_t far[JMP_BYTES], near[SYSCALL_BYTES] = {0xeb};
    uaddr_t hole = find_padding(s->ip);

    if (!hole || !make_trampoline(s, NULL)) return false;
    put_jmp(far, hole, trampoline_address(s->trampoline));
    near[1] = (uint8_t)(hole - s->ip);
    /* The way first, then who takes it. */
    return poke(hole, far, sizeof far, prot) && poke(s->ip - SYSCALL_BYTES, near, sizeof near, prot);
}

static struct site *site_of(uaddr_t ip)
{
    if (!sites) {
        sites = page_alloc_zeroed(PAGE_UP(SITES * sizeof *sites) / PAGE_SIZE);
        if (!sites) return NULL;
    }
    struct site *s = &sites[ip * 0x9e3779b97f4a7c15ull >> 52];
    if (s->ip == ip) return s; /* in whatever process: text at one address is common, or this is a hint that costs little */
    /* A patched site no longer traps, but its trampoline must be given back some day. */
    if (s->ip && s->state == SITE_PATCHED) return NULL;
    *s = (struct site){.ip = ip};
    return s;
}

void patch_call_site(uaddr_t ip, uint64_t nr)
{
    const struct vma *v = mm_find(current->process->mm, ip - SYSCALL_BYTES);

    /* Trampolines and gate are in reach of 32 bits only from down here. */
    if (!v || ip >= LOW_END || v->end < ip || v->flags & VMA_SHARED) return;
    if (!(v->prot & PROT_EXEC) || v->prot & PROT_WRITE || v->start > ip - 9) return;
    struct site *s = site_of(ip);
    if (!s || s->state != SITE_COUNTING || ++s->traps < HOT) return;
    bool done = patch_mov(s, (uint32_t)nr, v->prot);
    if (!done && !s->trampoline) done = patch_rel8(s, v->prot);
    s->state = done ? SITE_PATCHED : SITE_HOPELESS;
}

void patch_forget(uaddr_t start, uaddr_t end)
{
    if (!sites) return;
    for (unsigned i = 0; i < SITES; i++) {
        struct site *s = &sites[i];
        if (s->ip <= start || s->ip > end) continue;
        if (s->trampoline) trampoline_free(s->trampoline);
        *s = (struct site){0};
    }
}
