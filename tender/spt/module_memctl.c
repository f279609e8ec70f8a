/* The memctl extra: mprotect, and madvise(MADV_DONTNEED), on guest memory. */
#include "tender.h"

#include <sys/mman.h>

static void setup(struct tender *tender)
{
    struct filter *filter = &tender->filter;
    const uint64_t prot = PROT_READ | PROT_WRITE |
                          (is_granted(tender, RUNNC_EXTRA_EXEC_HEAP) ? PROT_EXEC : 0);
    /*
     * A range starts in guest memory and is no longer than the unmapped gap
     * above it, so it cannot end in anything else. Below guest memory nothing
     * is mapped. (A sum of arguments cannot be checked, and libseccomp takes
     * one comparison for each argument, hence no lower bound.)
     */
    const struct scmp_arg_cmp start = SCMP_A0(SCMP_CMP_LT, tender->mem_size);
    const struct scmp_arg_cmp length = SCMP_A1(SCMP_CMP_LE, tender->boot.madvise_max);

    filter_allow(filter, "guard pages", mprotect, start, length, SCMP_A2(SCMP_CMP_LE, prot));
    filter_allow(filter, "return of memory", madvise, start, length,
                 SCMP_A2(SCMP_CMP_EQ, MADV_DONTNEED));
}

const struct module module_memctl = {
    .name = "memctl",
    .extra = RUNNC_EXTRA_MEMCTL,
    .setup = setup,
};
