/* What the guest finds in low memory when it starts. */
#include "fail.h"
#include "tender.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>

/* Upstream's struct spt_boot_info is the beginning of ours. */
#define SPT_BOOT_INFO_SIZE 40u
_Static_assert(offsetof(struct runnc_boot_info, version) == SPT_BOOT_INFO_SIZE,
               "boot info does not begin as upstream's");
_Static_assert(GUEST_BOOT_INFO + sizeof(struct runnc_boot_info) + sizeof(union manifest) +
                       GUEST_CMDLINE_SIZE <
                   GUEST_KERNEL_BASE,
               "low memory is too small");

/* asm/hwcap2.h, which musl's headers do not have. */
#define HWCAP2_FSGSBASE (1u << 1)

static uint32_t hwcap2(const struct tender *tender)
{
    const uint32_t features = (uint32_t)getauxval(AT_HWCAP2);

    return tender->no_fsgsbase ? features & ~HWCAP2_FSGSBASE : features;
}

bool has_fsgsbase(const struct tender *tender)
{
    return hwcap2(tender) & HWCAP2_FSGSBASE;
}

static void write_cmdline(char *to, char *const *args)
{
    size_t used = 0;

    to[0] = '\0';
    for (; *args != NULL; args++) {
        const size_t length = strlen(*args);

        if (length + 1 > GUEST_CMDLINE_SIZE - used)
            fail("the guest's arguments exceed %u bytes", GUEST_CMDLINE_SIZE - 1);
        if (used > 0)
            to[used - 1] = ' ';
        memcpy(to + used, *args, length + 1);
        used += length + 1;
    }
}

/* Only for guests that know the rest of the structure. */
static void fill_extras(struct tender *tender)
{
    struct runnc_boot_info *boot = &tender->boot;

    boot->version = RUNNC_EXTRAS_VERSION;
    boot->granted = tender->granted;
    if (!is_granted(tender, RUNNC_EXTRA_MEMCTL))
        boot->madvise_max = 0;
    boot->vdso = getauxval(AT_SYSINFO_EHDR);
    boot->hwcap = (uint32_t)getauxval(AT_HWCAP);
    boot->hwcap2 = hwcap2(tender);
    boot->minsigstksz = (uint32_t)getauxval(AT_MINSIGSTKSZ);
    if (getrandom(boot->seed, sizeof boot->seed, 0) != (ssize_t)sizeof boot->seed)
        fail_errno("cannot get random bytes for the guest's seed");
}

void boot_info_write(struct tender *tender)
{
    struct runnc_boot_info *boot = &tender->boot;
    const size_t boot_size = tender->has_extras_note ? sizeof *boot : SPT_BOOT_INFO_SIZE;
    const size_t mft_size = manifest_size(&tender->manifest);
    uint64_t at = GUEST_BOOT_INFO + boot_size;

    boot->mem_size = tender->mem_size;
    boot->kernel_end = tender->kernel.end;
    boot->mft = at;
    memcpy((void *)(uintptr_t)at, &tender->manifest, mft_size);
    at += mft_size;
    boot->cmdline = at;
    write_cmdline((char *)(uintptr_t)at, tender->guest_args);
    if (tender->has_extras_note)
        fill_extras(tender);
    memcpy((void *)GUEST_BOOT_INFO, boot, boot_size);
}
