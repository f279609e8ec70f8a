/* Guest memory: one mapping, at the addresses that the guest sees. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Mappings above guest memory start on this border, so that one page table serves each. */
#define ABOVE_ALIGN (2 * MIB)
/*
 * Unmapped addresses between guest memory and what lies above, at least. Also the
 * longest range of one mprotect or madvise by the guest: the filter sees start
 * and length but not their sum, so a range that starts in guest memory must not
 * be able to reach beyond this gap. Addresses cost nothing, so for guests that
 * can make these calls it is as large as their memory: one call does for all.
 */
#define ABOVE_GAP_MIN (1024 * MIB)

void memory_map(struct tender *tender)
{
    void *const base = (void *)GUEST_MEMORY_BASE;
    void *got = mmap(base, tender->mem_size - GUEST_MEMORY_BASE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED && errno == EPERM)
        fail("the host does not let guest memory start at %#llx: set the sysctl "
             "vm.mmap_min_addr to 65536 or less",
             GUEST_MEMORY_BASE);
    if (got == MAP_FAILED)
        fail_errno("cannot reserve %llu MB of guest memory; lower --mem, or check ulimit -v and "
                   "vm.overcommit_memory",
                   (unsigned long long)(tender->mem_size >> 20));
    if (got != base)
        fail("cannot place guest memory at %#llx: the address is taken", GUEST_MEMORY_BASE);
    const uint64_t gap = is_granted(tender, RUNNC_EXTRA_MEMCTL) && tender->mem_size > ABOVE_GAP_MIN
                             ? tender->mem_size
                             : ABOVE_GAP_MIN;

    tender->above = (tender->mem_size + gap + ABOVE_ALIGN - 1) & ~(ABOVE_ALIGN - 1);
    tender->boot.madvise_max = gap;
}

void memory_make_heap_executable(const struct tender *tender)
{
    if (tender->kernel.end == tender->mem_size)
        return;
    if (mprotect((void *)(uintptr_t)tender->kernel.end, tender->mem_size - tender->kernel.end,
                 PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        fail_errno("cannot make guest memory executable");
}

uint64_t map_file(struct tender *tender, int fd, uint64_t size, int prot, int flags,
                  uint64_t address, const char *what)
{
    const uint64_t at = address != 0 ? address : tender->above;
    /* Inside guest memory the file takes the place of what is there. */
    const int place = address != 0 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    void *got;

    if (size > GUEST_MEMORY_MAX_EXTRAS)
        fail("%s: larger than 1 TiB", what);
    got = mmap((void *)(uintptr_t)at, size, prot, flags | place, fd, 0);
    if (got == MAP_FAILED)
        fail_errno("%s: cannot map it at %#llx", what, (unsigned long long)at);
    if ((uintptr_t)got != at)
        fail("%s: the address %#llx is taken", what, (unsigned long long)at);
    if (address == 0)
        /* At least one unmapped page behind each, so that overruns fault. */
        tender->above = (at + size + 2 * ELF_PAGE_SIZE + ABOVE_ALIGN - 1) & ~(ABOVE_ALIGN - 1);
    return at;
}

void map_file_part(int fd, uint64_t offset, uint64_t size, int prot, int flags, uint64_t address,
                   const char *what)
{
    void *const at = (void *)(uintptr_t)address;

    if (mmap(at, size, prot, flags | MAP_FIXED, fd, (off_t)offset) != at)
        fail_errno("%s: cannot map it at %#llx", what, (unsigned long long)address);
}
