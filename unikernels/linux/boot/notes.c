/*
 * The notes by which the tender knows what this kernel is and needs. A note's
 * descriptor starts at the alignment of its structure, as Solo5 has it; the
 * padding before it counts in its size.
 */
#include <elf.h>

#include "boot/layout.h"
#include "tender/common/abi/runnc_extras.h"
#include "tender/common/abi/solo5_notes.h"

__attribute__((section(".interp"), used)) static const char interp[] = "/nonexistent/solo5/";

static const struct {
    Elf64_Nhdr head;
    char name[8];
    struct solo5_abi_note abi;
} abi_note __attribute__((section(".note.solo5.abi"), used, aligned(4))) = {
    .head = {sizeof SOLO5_NOTE_NAME, sizeof(struct solo5_abi_note), SOLO5_NOTE_ABI1},
    .name = SOLO5_NOTE_NAME,
    .abi = {.target = SOLO5_ABI_TARGET_SPT, .version = SOLO5_SPT_ABI_VERSION},
};

struct manifest_one {
    uint32_t version, entries;
    struct solo5_mft_entry reserved;
};
/* const only for the assembler, which knows notes as read-only: the linker script puts it where the tender can mark
 * devices as attached. */
static const struct {
    Elf64_Nhdr head;
    char name[8];
    uint32_t pad;
    struct manifest_one manifest;
} manifest_note __attribute__((section(".note.solo5.manifest"), used, aligned(8))) = {
    .head = {sizeof SOLO5_NOTE_NAME, 4 + sizeof(struct manifest_one), SOLO5_NOTE_MFT1},
    .name = SOLO5_NOTE_NAME,
    .manifest = {SOLO5_MFT_VERSION, 1, {.type = SOLO5_MFT_RESERVED_FIRST}},
};

static const struct {
    Elf64_Nhdr head;
    char name[8];
    uint32_t pad;
    struct runnc_extras_note extras;
} extras_note __attribute__((section(".note.runnc.extras"), used, aligned(8))) = {
    .head = {sizeof RUNNC_NOTE_NAME, 4 + sizeof(struct runnc_extras_note), RUNNC_NOTE_EXTRAS},
    .name = RUNNC_NOTE_NAME,
    .extras =
        {
            .version = RUNNC_EXTRAS_VERSION,
            .needed = RUNNC_EXTRA_EXEC_HEAP | RUNNC_EXTRA_BOOT_CONFIG | RUNNC_EXTRA_SUD |
                      RUNNC_EXTRA_ROOTFS_MAP | RUNNC_EXTRA_VTIMER | RUNNC_EXTRA_STDIO,
            .wanted = RUNNC_EXTRA_MEMCTL | RUNNC_EXTRA_VNET | RUNNC_EXTRA_CHANNEL,
            .gate_start = (uintptr_t)gate_start,
            .gate_len = GATE_BYTES,
            .selector = (uintptr_t)&dispatch_selector,
            .signal_entry = (uintptr_t)signal_entry,
            .sigstack = (uintptr_t)signal_stack,
            .sigstack_size = SIGNAL_STACK_BYTES,
        },
};
