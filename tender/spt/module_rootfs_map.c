/*
 * The rootfs-map extra: --rootfs=PATH|@FD, the image, shared with all who map
 * it and never writable; --image=PATH|@FD, once for each further image, the
 * same; --segments=PATH|@FD[,offset=BYTES][,size=BYTES][,base=ADDR], the part of
 * an image that holds programs as they lie in memory, inside guest memory and
 * private, so that they run from it in place; --program=OFFSET,SIZE,ADDR,
 * the part of the segments with a program that can run at one address alone, at
 * that address.
 */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Unless the plan says where: so high that memory below stays in one piece, but in reach of 32-bit
 * jumps to the trampolines that the guest keeps in the last 2 MiB below 2 GiB, and with room for
 * the first stack above. */
#define SEGMENTS_TOP (2046 * MIB)
#define SEGMENTS_STACK_ROOM (16 * MIB)
#define SEGMENTS_ALIGN (2 * MIB)

/* The value of "NAME=VALUE" if that is its name: a number of bytes in whole pages, above 0. */
static bool take_setting(const char *setting, const char *name, uint64_t *value)
{
    const size_t length = strlen(name);
    const char *const number = setting + length + 1;
    char *end;

    if (strncmp(setting, name, length) != 0 || setting[length] != '=')
        return false;
    errno = 0;
    *value = strtoull(number, &end, 0);
    if (number[0] < '0' || number[0] > '9' || *end != '\0' || errno != 0 || *value == 0 ||
        *value % ELF_PAGE_SIZE != 0)
        fail("--segments: %s is not a multiple of the page size %u", setting, ELF_PAGE_SIZE);
    return true;
}

static void take_segments(struct mapped_part *part, const char *value)
{
    char *const source = strdup(value);
    char *setting, *rest;

    if (source == NULL)
        fail_errno("--segments");
    part->source = source;
    rest = strchr(source, ',');
    while (rest != NULL) {
        *rest = '\0';
        setting = rest + 1;
        rest = strchr(setting, ',');
        if (rest != NULL)
            *rest = '\0';
        if (!take_setting(setting, "base", &part->base) &&
            !take_setting(setting, "offset", &part->offset) &&
            !take_setting(setting, "size", &part->size))
            fail("--segments: expected offset=, size= or base=, got '%s'", setting);
    }
}

/* A number of bytes in whole pages, up to `end`. */
static uint64_t take_pages(const char **value, char end)
{
    const char *const text = *value;
    char *rest;

    errno = 0;
    const uint64_t number = strtoull(text, &rest, 0);
    if (text[0] < '0' || text[0] > '9' || *rest != end || errno != 0 || number % ELF_PAGE_SIZE != 0)
        fail("--program: expected OFFSET,SIZE,ADDR, all multiples of the page size %u",
             ELF_PAGE_SIZE);
    *value = rest + 1;
    return number;
}

static void take_program(struct program_place *program, const char *value)
{
    program->offset = take_pages(&value, ',');
    program->size = take_pages(&value, ',');
    program->address = take_pages(&value, '\0');
    if (program->size == 0)
        fail("--program: its SIZE is 0");
}

static void take_image(struct tender *tender, const char *value)
{
    for (size_t i = 0; i < RUNNC_IMAGES_MAX; i++)
        if (tender->images[i].source == NULL) {
            tender->images[i].source = value;
            return;
        }
    fail("--image: given more than %u times", RUNNC_IMAGES_MAX);
}

static bool option(struct tender *tender, const char *option)
{
    const char *value = option_value(option, "--rootfs");

    if (value != NULL) {
        tender->rootfs.source = value;
        return true;
    }
    value = option_value(option, "--image");
    if (value != NULL) {
        take_image(tender, value);
        return true;
    }
    value = option_value(option, "--segments");
    if (value != NULL) {
        take_segments(&tender->segments, value);
        return true;
    }
    value = option_value(option, "--program");
    if (value != NULL) {
        take_program(&tender->program, value);
        return true;
    }
    return false;
}

static uint64_t place_segments(const struct tender *tender, uint64_t size)
{
    const uint64_t lowest = tender->kernel.end, mem_size = tender->mem_size;
    uint64_t base = tender->segments.base;

    if (base == 0) {
        uint64_t top = mem_size > SEGMENTS_STACK_ROOM ? mem_size - SEGMENTS_STACK_ROOM : 0;

        if (top > SEGMENTS_TOP)
            top = SEGMENTS_TOP;
        base = top > size ? (top - size) & ~(SEGMENTS_ALIGN - 1) : 0;
    }
    if (base < lowest || base > mem_size || size > mem_size - base)
        fail("segments: the %llu bytes of %s do not fit into guest memory between %#llx and "
             "%#llx; raise --mem%s",
             (unsigned long long)size, tender->segments.source, (unsigned long long)lowest,
             (unsigned long long)mem_size, tender->segments.base != 0 ? " or change base=" : "");
    return base;
}

/* Below the segments: the kernel knows nothing of mappings that overlap. */
static void map_program(struct tender *tender, int fd, int prot)
{
    const struct program_place *program = &tender->program;
    struct runnc_boot_info *boot = &tender->boot;

    if (program->offset > boot->segments_size ||
        program->size > boot->segments_size - program->offset)
        fail("--program: not within the %llu bytes of %s",
             (unsigned long long)boot->segments_size, tender->segments.source);
    if (program->address < tender->kernel.end || program->address > boot->segments ||
        program->size > boot->segments - program->address)
        fail("--program: %llu bytes at %#llx are not between the kernel's end at %#llx and the "
             "segments at %#llx",
             (unsigned long long)program->size, (unsigned long long)program->address,
             (unsigned long long)tender->kernel.end, (unsigned long long)boot->segments);
    map_file_part(fd, tender->segments.offset + program->offset, program->size, prot, MAP_PRIVATE | MAP_NORESERVE,
                  program->address, "program");
    boot->program = program->address;
    boot->program_size = program->size;
    boot->program_offset = program->offset;
}

static struct runnc_image map_image(struct tender *tender, const char *source, const char *what)
{
    const int fd = open_source(source, O_RDONLY, what);
    const uint64_t size = file_size(fd, source, what);
    const uint64_t address = map_file(tender, fd, size, PROT_READ, MAP_SHARED, 0, what);

    /* A look at one inode would map 2 MiB where the page cache has huge pages, all of them counted as the
     * container's. A kernel without huge pages refuses, and is as well. */
    madvise((void *)(uintptr_t)address, size, MADV_NOHUGEPAGE);
    return (struct runnc_image){.address = address, .size = size};
}

static void map_segments(struct tender *tender)
{
    static const char WHAT[] = "segments";
    const struct mapped_part *part = &tender->segments;
    struct runnc_boot_info *boot = &tender->boot;
    const int prot = PROT_READ | PROT_WRITE |
                     (is_granted(tender, RUNNC_EXTRA_EXEC_HEAP) ? PROT_EXEC : 0);
    const int fd = open_source(part->source, O_RDONLY, WHAT);
    const uint64_t end = file_size(fd, part->source, WHAT);

    if (part->offset >= end || part->size > end - part->offset)
        fail("segments: offset %llu and size %llu are not within the %llu bytes of %s",
             (unsigned long long)part->offset, (unsigned long long)part->size,
             (unsigned long long)end, part->source);
    boot->segments_size = part->size != 0 ? part->size : end - part->offset;
    boot->segments = place_segments(tender, boot->segments_size);
    /* Guest memory is there already: this takes its place. */
    map_file_part(fd, part->offset, boot->segments_size, prot, MAP_PRIVATE | MAP_NORESERVE,
                  boot->segments, WHAT);
    if (tender->program.size > 0)
        map_program(tender, fd, prot);
}

static void setup(struct tender *tender)
{
    struct runnc_boot_info *boot = &tender->boot;

    if (tender->rootfs.source != NULL) {
        const struct runnc_image image = map_image(tender, tender->rootfs.source, "rootfs");

        boot->rootfs = image.address;
        boot->rootfs_size = image.size;
        if (is_granted(tender, RUNNC_EXTRA_MEMCTL))
            filter_allow(&tender->filter, "return of the rootfs image", madvise,
                         SCMP_A0(SCMP_CMP_EQ, boot->rootfs),
                         SCMP_A1(SCMP_CMP_EQ, boot->rootfs_size),
                         SCMP_A2(SCMP_CMP_EQ, MADV_DONTNEED));
    }
    for (size_t i = 0; i < RUNNC_IMAGES_MAX && tender->images[i].source != NULL; i++)
        boot->images[boot->images_count++] =
            map_image(tender, tender->images[i].source, "image");
    if (tender->segments.source != NULL) {
        map_segments(tender);
    } else if (tender->program.size > 0) {
        fail("--program: it is a part of the segments; give --segments=PATH|@FD");
    }
}

const struct module module_rootfs_map = {
    .name = "rootfs-map",
    .extra = RUNNC_EXTRA_ROOTFS_MAP,
    .usage = "  --rootfs=PATH|@FD           extra rootfs-map: the rootfs image\n"
             "  --image=PATH|@FD            a further image; for several, once for each\n"
             "  --segments=PATH|@FD[,offset=BYTES][,size=BYTES][,base=ADDR]\n"
             "                              programs as they lie in memory, at ADDR there\n"
             "  --program=OFFSET,SIZE,ADDR  a part of the segments, at ADDR as well\n",
    .option = option,
    .setup = setup,
};
