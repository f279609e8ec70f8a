/*
 * The sandboxed process tender: what its parts know of each other.
 *
 * main.c reads as the order of events. A module is one device or one privilege
 * of the guest: its options, its set-up and its filter rules stand in one file,
 * and modules.c is the only list of them.
 *
 * The tender keeps nothing after the jump: launch.S unmaps all of it but one
 * page of code and the signal stack.
 */
#ifndef RUNNC_TENDER_H
#define RUNNC_TENDER_H

#include "abi/runnc_extras.h"
#include "abi/solo5_notes.h"
#include "kernel_elf.h"
#include "filter.h"
#include "manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest memory is [GUEST_MEMORY_BASE, mem_size): the host refuses mappings lower down. */
#define GUEST_MEMORY_BASE 0x10000ull
/* Lowest address of a kernel's segments. */
#define GUEST_KERNEL_BASE 0x100000ull
#define GUEST_BOOT_INFO 0x11000ull
#define GUEST_CMDLINE_SIZE 8192u /* bytes, NUL included */

#define MIB (1ull << 20)
#define GUEST_MEMORY_DEFAULT (512 * MIB)
#define GUEST_MEMORY_MAX (64ull << 30)
/* For guests with the extras note: the Linux guest reserves address space, not memory. */
#define GUEST_MEMORY_MAX_EXTRAS (1ull << 40)

/* epoll data of the timer that ABI 2 guests sleep with. */
#define SPT_EPOLL_TIMER ((uint64_t)~1u)

/* A device of the manifest, beside its manifest entry. */
struct device {
    int fd;             /* -1 until set up */
    const char *source; /* as given: path, interface or @FD; NULL: not attached */
    bool readonly;      /* block */
    bool has_mac;       /* net */
    uint32_t mtu;       /* net: as given, 0 if not */
    uint32_t block_size; /* block: as given, 0 if not */
};

/* A file that an extra maps. */
struct mapped_file {
    const char *source; /* as given: path or @FD; NULL: none */
};

/* Part of a file that goes inside guest memory; all page-aligned. */
struct mapped_part {
    const char *source; /* as given: path or @FD; NULL: none */
    uint64_t base;      /* where the plan wants it, 0: anywhere */
    uint64_t offset;    /* in the file */
    uint64_t size;      /* 0: up to the file's end */
};

/* Part of the segments that goes to an address of its own; all page-aligned. */
struct program_place {
    uint64_t offset, size, address; /* size 0: none */
};

/* Where exec put the command line, and how much of it is still in use: for ps. */
struct command_line {
    uint64_t start;
    uint64_t used; /* bytes */
};

struct tender {
    /* The command line. */
    const char *kernel_path;
    char **guest_args; /* NULL-terminated */
    bool dump_filter;
    bool trace;
    bool no_fsgsbase; /* --x-no-fsgsbase */
    bool exec_heap; /* --x-exec-heap */
    uint32_t allowed_extras;
    struct mapped_file config, rootfs;
    struct mapped_part segments;
    struct program_place program;
    const char *vnet_sources[RUNNC_VNET_MAX]; /* as given: interface or @FD */
    unsigned vnet_count;
    const char *channels[RUNNC_CHANNELS_MAX]; /* as given: NAME=@FD[,window=@FD][,pipe=@FD]... */
    unsigned channel_count;
    int kept_fd; /* --keep; -1: none */
    struct mapped_file images[RUNNC_IMAGES_MAX]; /* the rest have no source */

    /* The kernel. */
    struct elf_image kernel;
    union manifest manifest;
    struct device devices[SOLO5_MFT_MAX_ENTRIES]; /* by manifest index */
    bool has_extras_note;
    struct runnc_extras_note extras;
    uint32_t granted; /* enum runnc_extra */

    /* What the guest gets. */
    uint64_t mem_size;  /* bytes */
    uint64_t above;     /* next free address above guest memory and its gap */
    struct runnc_boot_info boot;
    struct filter filter;
    struct command_line command_line; /* set by confine */
};

struct module {
    const char *name;
    /* The extra that the module is, 0 if it is for every guest. name is then its name in
     * --allow-extras, and setup is called only if it is granted. */
    uint32_t extra;
    /* What --help prints: lines indented by two blanks, NULL if it has no options. */
    const char *usage;
    /* Takes an option ("--name" or "--name=value"); false if it is another's. NULL: has none. */
    bool (*option)(struct tender *tender, const char *option);
    /* Makes ready what the module gives to the guest: after all options, with guest memory mapped
     * and the kernel loaded. Adds the filter rules. */
    void (*setup)(struct tender *tender);
};

/* NULL-terminated. */
extern const struct module *const modules[];

static inline bool is_granted(const struct tender *tender, uint32_t extra)
{
    return (tender->granted & extra) != 0;
}

/* boot.c: the guest may use the processor's FSGSBASE instructions. */
bool has_fsgsbase(const struct tender *tender);

/* The value behind "--name=", NULL if the option is another one. */
const char *option_value(const char *option, const char *name);

/*
 * Opens PATH, or takes the descriptor of "@FD" as it is. Flags as in open(2),
 * O_CLOEXEC is added. Ends through fail(), with what ("kernel", "block
 * 'storage'") in the message. open_source_try leaves errno and returns -1 where
 * the path cannot be opened.
 */
int open_source(const char *source, int flags, const char *what);
int open_source_try(const char *source, int flags, const char *what);
/* The same for what can only be "@FD". */
int open_descriptor(const char *source, const char *what);

/* Puts a descriptor into the guest's epoll set; edge-triggered for guests with the stdio extra.
 * Returns 0 or an errno (EPERM: a file, always ready). */
int watch(struct tender *tender, int fd, uint32_t events, uint64_t data);

/*
 * Maps an open file for the guest, prot and flags as for mmap: at the next
 * address above guest memory, or inside guest memory at address if that is not
 * 0. Returns the address.
 */
uint64_t map_file(struct tender *tender, int fd, uint64_t size, int prot, int flags,
                  uint64_t address, const char *what);
/* The same for a part of the file, inside guest memory. */
void map_file_part(int fd, uint64_t offset, uint64_t size, int prot, int flags, uint64_t address,
                   const char *what);

/* Bytes of a regular file or block device; ends through fail() for anything else. */
uint64_t file_size(int fd, const char *source, const char *what);

/* memory.c: reserves guest memory, as large as mem_size says. */
void memory_map(struct tender *tender);
/* memory.c: makes guest memory beyond the kernel image executable. */
void memory_make_heap_executable(const struct tender *tender);

/* extras.c: reads and checks the note, if there is one. */
void extras_read(struct tender *tender);
/* extras.c: takes --allow-extras=LIST. */
void extras_allow(struct tender *tender, const char *list);
/* extras.c: decides what is granted, after all options. */
void extras_grant(struct tender *tender);
/* extras.c: the name of one extra. */
const char *extra_name(uint32_t extra);

/* boot.c: writes boot info, manifest and command line into guest memory. */
void boot_info_write(struct tender *tender);

/* confine.c: takes from the process what the guest must not have. argv is main's. */
void confine(struct tender *tender, char **argv);

/* signals.c: who gets which signal. */
void signals_block_all(void);
void signals_setup(const struct tender *tender);

/* trace.c: forks. The child returns to become the guest; the parent prints the guest's calls and
 * ends as it ends. */
void trace_fork(void);
/* trace.c: in the child, right before the launch. */
void trace_ready(void);

/* run.c: installs the filter and jumps. */
_Noreturn void run(struct tender *tender);

#endif
