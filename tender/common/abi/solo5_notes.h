/*
 * ELF notes by which a guest says what it is: the Solo5 ABI and manifest notes
 * (Solo5 0.12, documented in its include/elf_abi.h and mft_abi.h), and the one
 * note of ours that asks for extras (see runnc_extras.h).
 *
 * All integers are little-endian. A note is 4-byte aligned, as the ELF
 * specification asks, has a PT_NOTE program header of its own, and starts with
 * the 20 bytes of struct solo5_note_header. Its descriptor begins with as many
 * zero bytes as bring what follows to a multiple of its C alignment, counted
 * from the start of the note, and these bytes count in n_descsz. So the ABI note has
 * none, manifest and extras notes have 4. In C, `struct { struct
 * solo5_note_header h; struct solo5_mft m; }` does it.
 */
#ifndef RUNNC_ABI_SOLO5_NOTES_H
#define RUNNC_ABI_SOLO5_NOTES_H

#include <stdint.h>

#define SOLO5_NOTE_NAME "Solo5"

/* Elf64_Nhdr with the owner's name, which is 5 letters and a NUL in all our notes. */
struct solo5_note_header {
    uint32_t n_namesz; /* 6 */
    uint32_t n_descsz; /* bytes behind this header, padding in front included */
    uint32_t n_type;
    char n_name[8];
};

/* .note.solo5.abi: which tender the guest was linked for. */
#define SOLO5_NOTE_ABI1 0x31494241u
/* .note.solo5.manifest: the devices the guest declares. */
#define SOLO5_NOTE_MFT1 0x3154464du

#define SOLO5_ABI_TARGET_HVT 1u
#define SOLO5_ABI_TARGET_SPT 2u
#define SOLO5_SPT_ABI_VERSION 2u

struct solo5_abi_note {
    uint32_t target;
    uint32_t version;
    uint32_t reserved[2];
};

/*
 * The manifest. Entry 0 is SOLO5_MFT_RESERVED_FIRST with an empty name; up to
 * 63 devices follow. Names are 1 to 67 ASCII letters or digits, NUL-padded.
 * The tender fills in the union, host_fd and attached before the jump; in the
 * file they are zero.
 */
#define SOLO5_MFT_VERSION 1u
#define SOLO5_MFT_MAX_ENTRIES 64u
#define SOLO5_MFT_NAME_SIZE 68u

enum solo5_mft_type {
    SOLO5_MFT_BLOCK_BASIC = 1,
    SOLO5_MFT_NET_BASIC = 2,
    SOLO5_MFT_RESERVED_FIRST = 1 << 30,
};

struct solo5_mft_block {
    uint64_t capacity;   /* bytes */
    uint16_t block_size; /* bytes: a power of two, at least 512 */
};

struct solo5_mft_net {
    uint8_t mac[6];
    uint16_t mtu; /* bytes, without the Ethernet header */
};

struct solo5_mft_entry {
    char name[SOLO5_MFT_NAME_SIZE];
    uint32_t type; /* enum solo5_mft_type */
    union {
        struct solo5_mft_block block_basic;
        struct solo5_mft_net net_basic;
    } u;
    union {
        int hostfd;
        uint64_t pad;
    } b;
    uint8_t attached; /* bool */
};

struct solo5_mft {
    uint32_t version;
    uint32_t entries;
    struct solo5_mft_entry e[];
};

_Static_assert(sizeof(struct solo5_note_header) == 20, "note header layout");
_Static_assert(sizeof(struct solo5_abi_note) == 16, "ABI note layout");
_Static_assert(sizeof(struct solo5_mft_entry) == 104, "manifest entry layout");
_Static_assert(sizeof(struct solo5_mft) == 8, "manifest layout");

#endif
