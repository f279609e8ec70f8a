/*
 * Reads an ISO 9660 image with Rock Ridge (ECMA-119; SUSP 1.12 and RRIP 1.12)
 * from its block device, as a nabla guest does.
 *
 *   list        each entry: path, mode in octal, uid:gid, links, size, the FNV-1a
 *               of its content in hexadecimal, for a link its target
 *   cat PATH    the content of one file
 *
 * The image is trusted as far as a probe goes: lengths are checked, loops are not
 * looked for.
 */
#include "probe.h"

#define SECTOR 2048u
#define FIRST_DESCRIPTOR 16u
#define MAX_PATH 8192u
#define MAX_NAME 256u
#define MAX_TARGET 4096u
#define MAX_DEPTH 64u

#define S_IFMT 0170000u
#define S_IFDIR 0040000u
#define S_IFREG 0100000u
#define S_IFLNK 0120000u

/* Flags of a directory record (ECMA-119, 9.1.6), of NM and of SL (RRIP 4.1.4, 4.1.3). */
#define RECORD_MULTI_EXTENT 0x80u
#define NM_CONTINUE 0x01u
#define SL_CONTINUE 0x01u
#define SL_CURRENT 0x02u
#define SL_PARENT 0x04u
#define SL_ROOT 0x08u

struct disk {
    solo5_handle_t handle;
    struct solo5_block_info info;
};

struct entry {
    uint32_t mode, links, uid, gid;
    uint64_t extent; /* sector */
    uint64_t size;   /* of this extent */
    bool more;       /* the next record is the file's next extent */
    char name[MAX_NAME];
    size_t name_len;
    char target[MAX_TARGET];
    size_t target_len;
    bool target_joined; /* the last component goes on */
};

struct walk {
    const struct disk *disk;
    const char *wanted; /* cat: the path, NULL for list */
    size_t wanted_len;
    bool found;
    char path[MAX_PATH];
    size_t path_len;
};

static void die(const char *what)
{
    fail(what);
    solo5_exit(SOLO5_EXIT_FAILURE);
}

static void read_sector(const struct disk *disk, uint64_t sector, uint8_t *to)
{
    const size_t block = disk->info.block_size;

    for (size_t at = 0; at < SECTOR; at += block)
        if (solo5_block_read(disk->handle, sector * SECTOR + at, to + at, block) != SOLO5_R_OK)
            die("read");
}

/* Numbers stand twice, little-endian first. */
static uint32_t u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void append(char *to, size_t *len, size_t max, const void *from, size_t count)
{
    if (count > max - *len)
        die("a name is too long");
    for (size_t i = 0; i < count; i++)
        to[(*len)++] = ((const char *)from)[i];
}

static void read_link(struct entry *entry, const uint8_t *field, size_t len)
{
    for (size_t at = 5; at + 2 <= len; at += 2u + field[at + 1]) {
        const uint8_t flags = field[at], count = field[at + 1];

        if (at + 2u + count > len)
            die("SL");
        if (entry->target_len > 0 && !entry->target_joined && entry->target[entry->target_len - 1] != '/')
            append(entry->target, &entry->target_len, MAX_TARGET, "/", 1);
        if (flags & SL_ROOT)
            append(entry->target, &entry->target_len, MAX_TARGET, "/", 1);
        else if (flags & SL_CURRENT)
            append(entry->target, &entry->target_len, MAX_TARGET, ".", 1);
        else if (flags & SL_PARENT)
            append(entry->target, &entry->target_len, MAX_TARGET, "..", 2);
        else
            append(entry->target, &entry->target_len, MAX_TARGET, field + at + 2, count);
        entry->target_joined = flags & SL_CONTINUE;
    }
}

/* The system use fields of one area; a continuation area is followed. */
static void read_fields(const struct disk *disk, struct entry *entry, const uint8_t *area, size_t len)
{
    uint8_t continued[SECTOR];

    for (;;) {
        uint32_t next_sector = 0, next_offset = 0, next_len = 0;

        for (size_t at = 0; at + 4 <= len;) {
            const uint8_t *field = area + at;
            const size_t field_len = field[2];

            if (field_len < 4 || field_len > len - at)
                break;
            if (field[0] == 'P' && field[1] == 'X' && field_len >= 36) {
                entry->mode = u32(field + 4);
                entry->links = u32(field + 12);
                entry->uid = u32(field + 20);
                entry->gid = u32(field + 28);
            } else if (field[0] == 'N' && field[1] == 'M' && field_len >= 5) {
                append(entry->name, &entry->name_len, MAX_NAME, field + 5, field_len - 5);
            } else if (field[0] == 'S' && field[1] == 'L' && field_len >= 5) {
                read_link(entry, field, field_len);
            } else if (field[0] == 'C' && field[1] == 'E' && field_len >= 28) {
                next_sector = u32(field + 4);
                next_offset = u32(field + 12);
                next_len = u32(field + 20);
            }
            at += field_len;
        }
        if (next_len == 0)
            return;
        if (next_offset >= SECTOR || next_len > SECTOR - next_offset)
            die("CE");
        read_sector(disk, next_sector, continued);
        area = continued + next_offset;
        len = next_len;
    }
}

/* The directory record at `record`, which lies in one sector up to `end`. */
static void read_record(const struct disk *disk, struct entry *entry, const uint8_t *record, const uint8_t *end)
{
    const size_t len = record[0], id_len = record[32];
    /* The identifier is padded to an even length with its length byte. */
    const size_t system_use = 33 + id_len + (id_len % 2 == 0 ? 1 : 0);

    if (len < 34 || len > (size_t)(end - record) || system_use > len)
        die("directory record");
    entry->mode = entry->links = entry->uid = entry->gid = 0;
    entry->name_len = entry->target_len = 0;
    entry->target_joined = false;
    entry->extent = u32(record + 2) + (uint64_t)record[1];
    entry->size = u32(record + 10);
    entry->more = record[25] & RECORD_MULTI_EXTENT;
    read_fields(disk, entry, record + system_use, len - system_use);
}

static uint64_t hash_extent(const struct disk *disk, uint64_t hash, const struct entry *entry)
{
    uint8_t sector[SECTOR];

    for (uint64_t at = 0; at < entry->size; at += SECTOR) {
        const uint64_t left = entry->size - at;

        read_sector(disk, entry->extent + at / SECTOR, sector);
        for (size_t i = 0; i < SECTOR && i < left; i++)
            hash = (hash ^ sector[i]) * 0x100000001b3ull;
    }
    return hash;
}

static void print_extent(const struct disk *disk, const struct entry *entry)
{
    uint8_t sector[SECTOR];

    for (uint64_t at = 0; at < entry->size; at += SECTOR) {
        const uint64_t left = entry->size - at;

        read_sector(disk, entry->extent + at / SECTOR, sector);
        solo5_console_write((const char *)sector, left < SECTOR ? left : SECTOR);
    }
}

static void print_entry(const struct walk *walk, const struct entry *entry, uint64_t size, uint64_t hash)
{
    if (walk->path_len == 0)
        print("/");
    solo5_console_write(walk->path, walk->path_len);
    print(" ");
    print_number(entry->mode, 8);
    print(" ");
    print_number(entry->uid, 10);
    print(":");
    print_number(entry->gid, 10);
    print(" ");
    print_number(entry->links, 10);
    if ((entry->mode & S_IFMT) == S_IFREG) {
        print(" ");
        print_number(size, 10);
        print(" ");
        print_number(hash, 16);
    } else if ((entry->mode & S_IFMT) == S_IFLNK) {
        print(" ");
        solo5_console_write(entry->target, entry->target_len);
    }
    print("\n");
}

static bool is_wanted(const struct walk *walk)
{
    if (walk->wanted == NULL || walk->wanted_len != walk->path_len)
        return false;
    for (size_t i = 0; i < walk->path_len; i++)
        if (walk->wanted[i] != walk->path[i])
            return false;
    return true;
}

static void visit_folder(struct walk *walk, const struct entry *folder, unsigned depth)
{
    const size_t path_len = walk->path_len;
    uint8_t sector[SECTOR];
    struct entry entry;
    uint64_t size = 0, hash = 0xcbf29ce484222325ull;

    if (depth > MAX_DEPTH)
        die("nested too deep");
    for (uint64_t at = 0; at < folder->size; at += SECTOR) {
        read_sector(walk->disk, folder->extent + at / SECTOR, sector);
        /* Records do not cross sectors; a zero length ends those of one. */
        for (size_t offset = 0; offset < SECTOR && sector[offset] != 0; offset += sector[offset]) {
            const uint8_t *record = sector + offset;
            const bool is_self_or_parent = record[32] == 1 && record[33] <= 1;

            if (is_self_or_parent)
                continue;
            read_record(walk->disk, &entry, record, sector + SECTOR);
            append(walk->path, &walk->path_len, MAX_PATH, "/", 1);
            append(walk->path, &walk->path_len, MAX_PATH, entry.name, entry.name_len);
            if (is_wanted(walk)) {
                print_extent(walk->disk, &entry);
                walk->found = true;
            }
            if (walk->wanted == NULL && (entry.mode & S_IFMT) == S_IFREG)
                hash = hash_extent(walk->disk, hash, &entry);
            size += entry.size;
            if (!entry.more) {
                if (walk->wanted == NULL)
                    print_entry(walk, &entry, size, hash);
                size = 0;
                hash = 0xcbf29ce484222325ull;
                if ((entry.mode & S_IFMT) == S_IFDIR)
                    visit_folder(walk, &entry, depth + 1);
            }
            walk->path_len = path_len;
        }
    }
}

int solo5_app_main(const struct solo5_start_info *start)
{
    const char *rest = start->cmdline;
    static struct walk walk;
    uint8_t sector[SECTOR];
    struct disk disk;
    struct entry root;
    size_t mode_len;
    const char *mode = next_word(&rest, &mode_len);

    if (solo5_block_acquire("rootfs", &disk.handle, &disk.info) != SOLO5_R_OK)
        return fail("acquire");
    if (disk.info.block_size > SECTOR || SECTOR % disk.info.block_size != 0)
        return fail("block size");
    if (disk.info.capacity < (FIRST_DESCRIPTOR + 1) * SECTOR)
        return fail("the image is too small");
    read_sector(&disk, FIRST_DESCRIPTOR, sector);
    if (sector[0] != 1 || sector[1] != 'C' || sector[2] != 'D' || sector[3] != '0' || sector[4] != '0' ||
        sector[5] != '1')
        return fail("no ISO 9660 image");

    /* The root's own fields are those of its "." record. */
    read_record(&disk, &root, sector + 156, sector + SECTOR);
    read_sector(&disk, root.extent, sector);
    read_record(&disk, &root, sector, sector + SECTOR);
    walk.disk = &disk;
    if (mode_len == 3 && mode[0] == 'c') {
        while (*rest == ' ')
            rest++;
        walk.wanted = rest;
        walk.wanted_len = text_length(rest);
    } else {
        print_entry(&walk, &root, 0, 0);
    }
    visit_folder(&walk, &root, 0);
    if (walk.wanted != NULL && !walk.found)
        return fail("not found");
    return SOLO5_EXIT_SUCCESS;
}
