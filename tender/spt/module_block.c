/* Block devices: --block:NAME=PATH|@FD[,ro] and --block-sector-size:NAME=N. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTOR_DEFAULT 512u
#define SECTOR_MAX 32768u /* the largest power of two in the manifest's 16 bits */

static void describe(char what[static SOLO5_MFT_NAME_SIZE + 16], const char *name)
{
    snprintf(what, SOLO5_MFT_NAME_SIZE + 16, "block device '%s'", name);
}

static void take_source(struct tender *tender, unsigned index, const char *value)
{
    struct device *device = &tender->devices[index];
    char *source = strdup(value);
    const size_t length = source == NULL ? 0 : strlen(source);

    if (source == NULL)
        fail_errno("--block");
    if (device->source != NULL)
        fail("block device '%s' is attached twice", tender->manifest.m.e[index].name);
    if (length > 3 && strcmp(source + length - 3, ",ro") == 0) {
        source[length - 3] = '\0';
        device->readonly = true;
    }
    device->source = source;
}

static void set_sector_size(struct tender *tender, unsigned index, const char *value)
{
    char *end;
    unsigned long size;

    errno = 0;
    size = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || size < SECTOR_DEFAULT ||
        size > SECTOR_MAX || (size & (size - 1)) != 0)
        fail("block device '%s': sector size %s is not a power of two from %u to %u",
             tender->manifest.m.e[index].name, value, SECTOR_DEFAULT, SECTOR_MAX);
    tender->devices[index].block_size = (uint32_t)size;
}

static bool option(struct tender *tender, const char *option)
{
    static const char BLOCK[] = "--block:", SECTOR[] = "--block-sector-size:";
    const char *value;
    unsigned index;

    if (strncmp(option, BLOCK, sizeof BLOCK - 1) == 0) {
        index = manifest_option(&tender->manifest, option, BLOCK, SOLO5_MFT_BLOCK_BASIC, &value);
        take_source(tender, index, value);
        return true;
    }
    if (strncmp(option, SECTOR, sizeof SECTOR - 1) == 0) {
        index = manifest_option(&tender->manifest, option, SECTOR, SOLO5_MFT_BLOCK_BASIC, &value);
        set_sector_size(tender, index, value);
        return true;
    }
    return false;
}

/* Opens for writing if the file lets us, for reading otherwise. */
static void attach(struct device *device, const char *what)
{
    int mode;

    device->fd = open_source_try(device->source, device->readonly ? O_RDONLY : O_RDWR, what);
    if (device->fd < 0 && !device->readonly &&
        (errno == EACCES || errno == EPERM || errno == EROFS)) {
        device->readonly = true;
        device->fd = open_source_try(device->source, O_RDONLY, what);
    }
    if (device->fd < 0)
        fail_errno("%s: cannot open %s", what, device->source);
    mode = fcntl(device->fd, F_GETFL) & (O_ACCMODE | O_PATH);
    if (mode != O_RDONLY && mode != O_RDWR)
        fail("%s: %s is not open for reading", what, device->source);
    if (mode == O_RDONLY)
        device->readonly = true;
}

static void setup_device(struct tender *tender, struct solo5_mft_entry *entry,
                         struct device *device)
{
    const uint32_t sector = device->block_size != 0 ? device->block_size : SECTOR_DEFAULT;
    char what[SOLO5_MFT_NAME_SIZE + 16];
    uint64_t capacity;

    describe(what, entry->name);
    attach(device, what);
    capacity = file_size(device->fd, device->source, what);
    if (capacity % sector != 0)
        fail("%s: the %llu bytes of %s are not a multiple of the sector size %u; pad it or give "
             "--block-sector-size:%s=N",
             what, (unsigned long long)capacity, device->source, sector, entry->name);
    entry->u.block_basic.capacity = capacity;
    entry->u.block_basic.block_size = (uint16_t)sector;
    entry->b.hostfd = device->fd;
    entry->attached = 1;

    /* Exactly one sector a call (Solo5's API), and not beyond the capacity: a regular file would
     * grow. */
    const struct scmp_arg_cmp within[] = {
        SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)device->fd),
        SCMP_A2(SCMP_CMP_EQ, sector),
        SCMP_A3(SCMP_CMP_LE, capacity - sector),
    };
    filter_add(&tender->filter, SCMP_ACT_ALLOW, entry->name, SYS_pread64, 3, within);
    /* A write to a read-only device fails, as on any system: it is no reason to be killed. */
    filter_add(&tender->filter, device->readonly ? SCMP_ACT_ERRNO(EROFS) : SCMP_ACT_ALLOW,
               entry->name, SYS_pwrite64, 3, within);
}

static void setup(struct tender *tender)
{
    for (unsigned i = 1; i < tender->manifest.m.entries; i++)
        if (tender->manifest.m.e[i].type == SOLO5_MFT_BLOCK_BASIC)
            setup_device(tender, &tender->manifest.m.e[i], &tender->devices[i]);
}

const struct module module_block = {
    .name = "block",
    .usage = "  --block:NAME=PATH|@FD[,ro]  attach a file or block device as block device NAME\n"
             "                              (,ro: read-only; also if it is not writable)\n"
             "  --block-sector-size:NAME=N  its sector size in bytes, a power of two (512)\n",
    .option = option,
    .setup = setup,
};
