#include "manifest.h"

#include "fail.h"

#include <stdbool.h>
#include <string.h>

size_t manifest_size(const union manifest *manifest)
{
    return sizeof(struct solo5_mft) + manifest->m.entries * sizeof(struct solo5_mft_entry);
}

const char *manifest_type_name(uint32_t type)
{
    return type == SOLO5_MFT_BLOCK_BASIC ? "BLOCK_BASIC" : "NET_BASIC";
}

/* Locale-free, and a name must not be read beyond its field. */
static bool name_is_valid(const char name[SOLO5_MFT_NAME_SIZE])
{
    size_t length = strnlen(name, SOLO5_MFT_NAME_SIZE);

    if (length == 0 || length == SOLO5_MFT_NAME_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
              (name[i] >= '0' && name[i] <= '9')))
            return false;
    return true;
}

static void check_device(const union manifest *manifest, unsigned index, const char *kernel)
{
    const struct solo5_mft_entry *entry = &manifest->m.e[index];

    if (!name_is_valid(entry->name))
        fail("%s: manifest: the name of device %u is not 1 to %u letters and digits", kernel, index,
             SOLO5_MFT_NAME_SIZE - 1);
    if (entry->type != SOLO5_MFT_BLOCK_BASIC && entry->type != SOLO5_MFT_NET_BASIC)
        fail("%s: manifest: device '%s' is of unknown type %#x", kernel, entry->name, entry->type);
    if (entry->attached)
        fail("%s: manifest: device '%s' claims to be attached already", kernel, entry->name);
    for (unsigned i = 1; i < index; i++)
        if (strcmp(manifest->m.e[i].name, entry->name) == 0)
            fail("%s: manifest: device '%s' is declared twice", kernel, entry->name);
}

void manifest_check(union manifest *manifest, size_t size, const char *kernel)
{
    struct solo5_mft *m = &manifest->m;

    if (size < sizeof *m)
        fail("%s: manifest: only %zu bytes", kernel, size);
    if (m->version != SOLO5_MFT_VERSION)
        fail("%s: manifest: version %u is not %u", kernel, m->version, SOLO5_MFT_VERSION);
    if (m->entries < 1 || m->entries > SOLO5_MFT_MAX_ENTRIES)
        fail("%s: manifest: %u entries; 1 to %u (the reserved first one counts) are valid", kernel,
             m->entries, SOLO5_MFT_MAX_ENTRIES);
    if (size != manifest_size(manifest))
        fail("%s: manifest: %zu bytes, where %u entries take %zu", kernel, size, m->entries,
             manifest_size(manifest));
    if (m->e[0].type != SOLO5_MFT_RESERVED_FIRST || m->e[0].name[0] != '\0')
        fail("%s: manifest: the first entry is not the reserved one", kernel);
    for (unsigned i = 1; i < m->entries; i++)
        check_device(manifest, i, kernel);

    for (unsigned i = 0; i < m->entries; i++) {
        memset(&m->e[i].u, 0, sizeof m->e[i].u);
        memset(&m->e[i].b, 0, sizeof m->e[i].b);
        m->e[i].attached = 0;
    }
}

unsigned manifest_option(const union manifest *manifest, const char *option, const char *prefix,
                         uint32_t type, const char **value)
{
    const char *name = option + strlen(prefix);
    const char *equals = strchr(name, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - name);

    if (length == 0)
        fail("%s: expected %sNAME=VALUE", option, prefix);
    for (unsigned i = 1; i < manifest->m.entries; i++) {
        const struct solo5_mft_entry *entry = &manifest->m.e[i];

        if (entry->type == type && strlen(entry->name) == length &&
            memcmp(entry->name, name, length) == 0) {
            *value = equals + 1;
            return i;
        }
    }
    fail("%s: the kernel's manifest declares no device '%.*s' of type %s", option, (int)length,
         name, manifest_type_name(type));
}
