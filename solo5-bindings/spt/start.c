/*
 * _start: from the tender's jump to solo5_app_main(), and the ELF notes by which
 * a tender knows the binary.
 */
#include <stdbool.h>

#include "boot.h"
#include "solo5.h"
#include "sys.h"

#define PAGE_SIZE 4096u
/* Below this much heap and stack even a hello could overrun itself; upstream has the same limit. */
#define MIN_HEAP 0x80000u

const struct spt_boot_info *spt_boot;

/* Read by compiler-generated code (-mstack-protector-guard=global). */
uintptr_t __stack_chk_guard;

_Noreturn void __stack_chk_fail(void);
_Noreturn void _start(const struct spt_boot_info *boot);

/* The frame is not to be trusted any more: say it and go. */
_Noreturn void __stack_chk_fail(void)
{
    static const char message[] = "Solo5: ABORT: stack corruption detected\n";

    sys_write(SYS_STDOUT, message, sizeof message - 1);
    sys_exit_group(SOLO5_EXIT_ABORT);
}

/*
 * The ABI gives a guest no random bytes, so the canary comes from the processor:
 * RDRAND where there is one, mixed with the time stamp counter. The lowest byte
 * stays zero, so that a string that runs over its end cannot copy the canary.
 */
__attribute__((always_inline)) static inline uintptr_t random_canary(void)
{
    uint32_t lo, hi, eax = 1, ebx, ecx = 0, edx;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    uint64_t value = ((uint64_t)hi << 32 | lo) * 0x9e3779b97f4a7c15ull;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (ecx & 1u << 30) {
        uint64_t word;
        bool ok = false;

        for (int tries = 0; !ok && tries < 10; tries++)
            __asm__ volatile("rdrand %0" : "=r"(word), "=@ccc"(ok));
        if (ok)
            value ^= word;
    }
    return value & ~(uintptr_t)0xff;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Skips leading "--solo5:quiet" and the like. They set how much Solo5 says about
 * itself; these bindings say nothing at any level.
 */
static const char *skip_own_options(const char *s)
{
    static const char prefix[] = "--solo5:";

    for (;;) {
        while (is_space(*s))
            s++;
        for (unsigned i = 0; i < sizeof prefix - 1; i++)
            if (s[i] != prefix[i])
                return s;
        while (*s != '\0' && !is_space(*s))
            s++;
    }
}

/* No canary of its own: it changes the canary. It never returns, so that nothing ever checks. */
__attribute__((optimize("no-stack-protector"))) _Noreturn void _start(const struct spt_boot_info *boot)
{
    extern char _end[];
    static struct solo5_start_info info;

    __stack_chk_guard = random_canary();
    spt_boot = boot;
    /* Whatever the tender left in %fs is its own; a __thread variable touched before the program has set
     * a base is to fault, not to work by chance. */
    if (sys_set_fs(0) != 0)
        spt_panic("the host refused to clear the TLS base\n");

    info.cmdline = skip_own_options(boot->cmdline);
    info.heap_start = ((uintptr_t)_end + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1);
    if (boot->mem_size < info.heap_start + MIN_HEAP)
        spt_panic("not enough memory: give the tender a larger --mem\n");
    info.heap_size = boot->mem_size - info.heap_start;

    solo5_exit(solo5_app_main(&info));
}

/* The host kernel must never run a unikernel as a program: no interpreter has this name, nor can have. */
__attribute__((section(".interp"), used)) static const char interp[] = "/nonexistent/solo5/";

__attribute__((section(".note.solo5.abi"), used, aligned(4))) static const struct {
    struct solo5_note_header header;
    struct solo5_abi_note desc;
} abi_note = {
    .header = {
        .n_namesz = sizeof SOLO5_NOTE_NAME,
        .n_descsz = sizeof(struct solo5_abi_note),
        .n_type = SOLO5_NOTE_ABI1,
        .n_name = SOLO5_NOTE_NAME,
    },
    .desc = {.target = SOLO5_ABI_TARGET_SPT, .version = SOLO5_SPT_ABI_VERSION},
};
