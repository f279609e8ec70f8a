#include "time/vdso_setup.h"

#include <linux/elf.h>

#include "boot/host.h"
#include "lib/print.h"
#include "lib/string.h"
#include "time/vdso/vdso.h"

extern const char vdso_image[], vdso_image_end[];

uintptr_t host_vdso_symbol(uintptr_t image, const char *name)
{
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)image;
    const Elf64_Dyn *dyn = NULL;
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    const uint32_t *hash = NULL;
    uintptr_t bias = 0;

    if (!image || memcmp(head->e_ident, ELFMAG, SELFMAG)) return 0;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(image + head->e_phoff);
    for (int i = 0; i < head->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD) bias = image + ph[i].p_offset - ph[i].p_vaddr;
        if (ph[i].p_type == PT_DYNAMIC) dyn = (const Elf64_Dyn *)(image + ph[i].p_offset);
    }
    for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
        if (dyn->d_tag == DT_SYMTAB) symbols = (const Elf64_Sym *)(bias + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_STRTAB) strings = (const char *)(bias + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_HASH) hash = (const uint32_t *)(bias + dyn->d_un.d_ptr);
    }
    if (!symbols || !strings) return 0;
    /* Without DT_HASH (hosts with DT_GNU_HASH alone) the string table that follows ends the symbols. */
    size_t count = hash ? hash[1] : ((uintptr_t)strings - (uintptr_t)symbols) / sizeof *symbols;
    for (size_t i = 1; i < count; i++)
        if (symbols[i].st_shndx && !strcmp(strings + symbols[i].st_name, name)) return bias + symbols[i].st_value;
    return 0;
}

size_t vdso_image_bytes(void)
{
    return (size_t)(vdso_image_end - vdso_image);
}

void vdso_install(void *copy)
{
    const struct runnc_boot_info *info = host_boot_info();

    memcpy(copy, vdso_image, vdso_image_bytes());
    struct vdso_data *data = (struct vdso_data *)host_vdso_symbol((uintptr_t)copy, "__vdso_runnc_data");
    ASSERT(data);
    data->host_clock_gettime = host_vdso_symbol(info->vdso, "__vdso_clock_gettime");
    data->monotonic_offset_ns = info->epoch_offset_ns;
}
