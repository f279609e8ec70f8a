/* The note by which a guest asks for more than Solo5's ABI, and what it gets of that. */
#include "fail.h"
#include "tender.h"

#include <stdio.h>
#include <string.h>

const char *extra_name(uint32_t extra)
{
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->extra == extra)
            return (*m)->name;
    return NULL;
}

void extras_read(struct tender *tender)
{
    struct runnc_extras_note *note = &tender->extras;
    const char *kernel = tender->kernel_path;
    const size_t size = elf_note(&tender->kernel, RUNNC_NOTE_NAME, RUNNC_NOTE_EXTRAS,
                                 _Alignof(struct runnc_extras_note), note, sizeof *note);

    if (size == 0)
        return;
    /* The version first: another one may have another size. */
    if (size >= sizeof note->version && note->version != RUNNC_EXTRAS_VERSION)
        fail("%s: its extras note has version %u; this tender knows %u", kernel, note->version,
             RUNNC_EXTRAS_VERSION);
    if (size != sizeof *note)
        fail("%s: its extras note has %zu bytes, not %zu", kernel, size, sizeof *note);
    if (note->reserved != 0)
        fail("%s: its extras note has %#x where 0 is reserved", kernel, note->reserved);
    for (unsigned bit = 0; bit < 32; bit++)
        if (((note->needed | note->wanted) >> bit & 1) != 0 && extra_name(1u << bit) == NULL)
            fail("%s: asks for an extra that this tender does not know (bit %u)", kernel, bit);
    tender->has_extras_note = true;
}

void extras_allow(struct tender *tender, const char *list)
{
    while (*list != '\0') {
        const size_t length = strcspn(list, ",");
        const struct module *const *m = modules;

        while (*m != NULL && ((*m)->extra == 0 || strlen((*m)->name) != length ||
                              memcmp((*m)->name, list, length) != 0))
            m++;
        if (*m == NULL)
            fail("--allow-extras: there is no extra '%.*s'; see tender-spt --help", (int)length,
                 list);
        tender->allowed_extras |= (*m)->extra;
        list += length;
        if (*list == ',')
            list++;
    }
}

/* A file or tap on the command line that the guest would never see is a mistake. */
static void check_use(const struct tender *tender, bool given, const char *option, uint32_t extra)
{
    if (given && !is_granted(tender, extra))
        fail("%s: %s has not the extra %s (it must ask for it, and --allow-extras must name it)",
             option, tender->kernel_path, extra_name(extra));
}

void extras_grant(struct tender *tender)
{
    const struct runnc_extras_note *note = &tender->extras;
    const uint32_t denied = note->needed & ~tender->allowed_extras;

    if (denied != 0) {
        const char *name = extra_name(denied & -denied);

        fail("%s: needs the extra %s, which is not allowed; give --allow-extras=%s",
             tender->kernel_path, name, name);
    }
    tender->granted = (note->needed | note->wanted) & tender->allowed_extras;
    if (tender->config.source == NULL && !(note->needed & RUNNC_EXTRA_BOOT_CONFIG))
        tender->granted &= ~RUNNC_EXTRA_BOOT_CONFIG;
    check_use(tender, tender->config.source != NULL, "--boot-config", RUNNC_EXTRA_BOOT_CONFIG);
    check_use(tender, tender->rootfs.source != NULL, "--rootfs", RUNNC_EXTRA_ROOTFS_MAP);
    check_use(tender, tender->images[0].source != NULL, "--image", RUNNC_EXTRA_ROOTFS_MAP);
    check_use(tender, tender->segments.source != NULL, "--segments", RUNNC_EXTRA_ROOTFS_MAP);
    check_use(tender, tender->vnet_count > 0, "--vnet", RUNNC_EXTRA_VNET);
    check_use(tender, tender->channel_count > 0, "--channel", RUNNC_EXTRA_CHANNEL);
}
