/*
 * A process's memory: its mappings (vma) in the one address space.
 *
 * There are no page tables of ours. Guest memory is mapped once by the tender;
 * what an mm has is a sorted list of ranges of it. Where the host grants memctl,
 * protections are the host's and memory without a mapping is inaccessible and
 * reads as zero once it is mapped; without (strict), protections are kept on
 * paper and memory is wiped when it is mapped again (`dirty`).
 *
 * Invariant: with memctl, memory of programs outside of any vma is PROT_NONE and
 * holds nothing.
 */
#ifndef LINUX_MM_MM_H
#define LINUX_MM_MM_H

#include "lib/list.h"
#include "lib/types.h"

struct file;

enum vma_flags {
    VMA_SHARED = 1u << 0,
    VMA_GROWSDOWN = 1u << 1,
    VMA_STACK = 1u << 2,   /* the program's first stack */
    VMA_HEAP = 1u << 3,    /* brk */
    VMA_VDSO = 1u << 4,
    VMA_SEGMENT = 1u << 5, /* the companion's bytes in place; other mappings may lie there without being this */
    VMA_HOME = 1u << 6,    /* the pages of a shared file mapping live here */
    VMA_NORESERVE = 1u << 7,
    VMA_LOCKED = 1u << 8,
    VMA_WRITTEN = 1u << 9, /* has been writable: what it holds may not be the file's any more */
    VMA_DONTFORK = 1u << 10,
    VMA_WIPEONFORK = 1u << 11,
    VMA_KEEP = 1u << 12, /* text of a program that runs here alone: mm/keep.h */
};

struct vma {
    uaddr_t start, end;
    int prot;            /* PROT_READ | PROT_WRITE | PROT_EXEC */
    uint32_t flags;      /* enum vma_flags */
    struct file *file;   /* counted; NULL: anonymous */
    uint64_t offset;     /* of start in the file */
    uint32_t aliases;    /* further mmap calls that were given this same place */
};

struct page_entry;

struct mm {
    int refs;
    struct list all_link;
    struct vma *vmas; /* sorted by address, not overlapping */
    unsigned count, capacity;
    size_t pages;      /* mapped but for the first stack, for RLIMIT_AS and /proc */
    size_t data_pages; /* private and writable, for RLIMIT_DATA */
    uaddr_t brk_start, brk;
    uaddr_t search_top; /* no hole worth a look above: where find_free starts */

    /* Pages whose content differs between processes, by address: mm/share.h. */
    struct page_entry *page_entries;
    unsigned npages, pages_capacity;
    unsigned write_faults; /* since the last fork */
    bool write_protected;  /* by a fork: something may be closed that is not shared any more */
    bool out_of_memory;    /* its content could not be kept: its processes are to be killed */

    /* For /proc and prctl(PR_SET_MM). */
    uaddr_t start_code, end_code, start_data, end_data, start_stack;
    uaddr_t arg_start, arg_end, env_start, env_end;
    uaddr_t vdso;
    uint64_t auxv[48];
    size_t auxv_bytes;
};

/* At boot: programs have [USER_START, user_end). */
void mm_init(uaddr_t user_end);
uaddr_t mm_user_end(void);

struct mm *mm_new(void); /* NULL: ENOMEM */
/* Everything of from that is not memory: the heap's border, what /proc shows. */
void mm_copy_layout(struct mm *mm, const struct mm *from);
/* All of them, linked by all_link. */
struct list *mm_all(void);
struct mm *mm_get(struct mm *);
void mm_put(struct mm *);

/* The vma that holds addr, NULL if none. Valid until the next change. */
struct vma *mm_find(struct mm *mm, uaddr_t addr);

/*
 * The mapping calls; results and errors as the system calls'. mm is the running
 * process's, or one being built by execve.
 */
long mm_map(struct mm *mm, uaddr_t addr, size_t len, int prot, int flags, struct file *file, uint64_t offset);
long mm_unmap(struct mm *mm, uaddr_t addr, size_t len);
long mm_protect(struct mm *mm, uaddr_t addr, size_t len, int prot);
long mm_remap(struct mm *mm, uaddr_t old, size_t old_len, size_t new_len, int flags, uaddr_t new_addr);
long mm_advise(struct mm *mm, uaddr_t addr, size_t len, int advice);
long mm_set_brk(struct mm *mm, uaddr_t brk);

/* Like mm_map with MAP_FIXED_NOREPLACE of zeroed anonymous memory, with vma flags. */
long mm_map_anonymous(struct mm *mm, uaddr_t addr, size_t len, int prot, uint32_t vma_flags);
/*
 * Maps a range of the companion where it lies, which begins with file_bytes of the
 * file from offset on (they are read if somebody else has changed the range).
 * -EEXIST if it cannot be had there.
 */
long mm_map_segment(struct mm *mm, uaddr_t addr, size_t len, int prot, struct file *file, uint64_t offset,
                    size_t file_bytes);

enum mm_zone {
    ZONE_LOW_EXEC, /* below 2 GiB, from the bottom: programs and libraries */
    ZONE_HIGH,     /* from the top */
    ZONE_HEAP,     /* brk of position-independent programs */
};
/* A free range of all processes; 0 if there is none. */
uaddr_t mm_find_free(struct mm *mm, size_t len, size_t align, enum mm_zone zone);
/* For a stack: where memory cannot be closed, right above a gap that the tender has closed. */
uaddr_t mm_find_stack(struct mm *mm, size_t len);

/*
 * The program's memory for uaccess.c: is [addr, addr + n) in the programs' part of
 * guest memory? Without memctl, also mapped with the right protection.
 */
bool user_range_ok(uaddr_t addr, size_t n, bool write);
/* Bytes from addr to the end of the programs' part; 0 if addr is outside. */
size_t user_range_max(uaddr_t addr);

/* Smaller private mappings of files are filled at once: a fault costs more than copying this much. */
#define MM_LAZY_MIN (128ul << 10)

enum fault_result {
    FAULT_SIGNAL, /* the program's own */
    FAULT_BUS,    /* a mapped file that cannot be read: SIGBUS */
    FAULT_RETRY,  /* mended: the instruction can be tried again */
    FAULT_FETCH,  /* bytes of a file are to come: when mm_fault_fetch() has returned */
    FAULT_AGAIN,  /* memory has run out and some process is being killed for it: when others have run */
};
/*
 * A fault at addr, err being the processor's error code: memory that nobody had
 * touched, a page that processes shared, a stack or a file that grew. in_kernel:
 * the kernel touched it, and cannot wait.
 */
enum fault_result mm_fault_in(uaddr_t addr, uint64_t err, bool in_kernel);
/* Waits for what the current task's last fault lacked. */
void mm_fault_fetch(void);
/* A mapping of a file is open up to the file's last page. */
uaddr_t mm_file_end(const struct vma *vma);
/* The page lies in a file mapping behind that. */
bool mm_beyond_file(struct mm *mm, uaddr_t addr);
/* The kernel keeps this part of the address space for itself. */
bool mm_is_reserved(uaddr_t start, uaddr_t end);
/* Another process has something at [start, end). */
bool mm_mapped_elsewhere(const struct mm *mm, uaddr_t start, uaddr_t end);
/* Pages that it costs: what it maps and somebody may have touched, as the account has it, and its own copies. */
size_t mm_resident(const struct mm *mm);
/* What a fault that cannot be mended is to the program: SIGSEGV or SIGBUS, and its code. err: the processor's. */
int mm_fault_signal(struct mm *mm, uaddr_t addr, uint64_t err, int *code);

#endif
