#include "fs/erofs.h"

#include <linux/errno.h>
#include <linux/stat.h>

#include "lib/string.h"

#define SUPERBLOCK_OFFSET 1024u
#define EROFS_MAGIC 0xe0f5e1e2u
#define NAME_LEN_MAX 255u

/* Set by mkfs.erofs for any image; it says something about compressed data only. */
#define INCOMPAT_ZERO_PADDING 0x01u
#define INCOMPAT_CHUNKED_FILE 0x04u
#define INCOMPAT_XATTR_PREFIXES 0x40u
#define INCOMPAT_KNOWN (INCOMPAT_ZERO_PADDING | INCOMPAT_CHUNKED_FILE | INCOMPAT_XATTR_PREFIXES)

#define LAYOUT_FLAT_PLAIN 0u
#define LAYOUT_FLAT_INLINE 2u
#define LAYOUT_CHUNK_BASED 4u

#define CHUNK_BITS_MASK 0x1fu
#define CHUNK_INDEXES 0x20u
#define CHUNK_KNOWN (CHUNK_BITS_MASK | CHUNK_INDEXES)
#define CHUNK_HOLE 0xffffffffu
/* Looked at to find that they lie in one piece. */
#define CHUNKS_AT_ONCE 256u

#define DIRENT_SIZE 12u

struct superblock {
    uint32_t magic, checksum, feature_compat;
    uint8_t block_bits, extension_slots;
    uint16_t root_nid;
    uint64_t inodes, build_time;
    uint32_t build_time_nsec, blocks, meta_block, xattr_block;
    uint8_t uuid[16], volume_name[16];
    uint32_t feature_incompat;
    uint16_t compression, extra_devices, device_slot_offset;
    uint8_t dir_block_bits, xattr_prefixes;
    uint32_t xattr_prefix_start;
    uint64_t packed_nid;
    uint8_t reserved[24];
};
_Static_assert(sizeof(struct superblock) == 128, "EROFS superblock");

struct inode_compact {
    uint16_t format, xattr_count, mode, nlink;
    uint32_t size, reserved, u, ino;
    uint16_t uid, gid;
    uint32_t reserved2;
};
_Static_assert(sizeof(struct inode_compact) == 32, "EROFS compact inode");

struct inode_extended {
    uint16_t format, xattr_count, mode, reserved;
    uint64_t size;
    uint32_t u, ino, uid, gid;
    uint64_t mtime;
    uint32_t mtime_nsec, nlink;
    uint8_t reserved2[16];
};
_Static_assert(sizeof(struct inode_extended) == 64, "EROFS extended inode");

/* The image's integers are little-endian, as this machine's; they may lie unaligned. */
static bool fetch(const struct erofs *fs, uint64_t offset, void *to, size_t len)
{
    if (offset > fs->size || len > fs->size - offset)
        return false;
    memcpy(to, fs->base + offset, len);
    return true;
}

int erofs_open(struct erofs *fs, const void *image, uint64_t size)
{
    struct superblock sb;

    *fs = (struct erofs){.base = image, .size = size};
    if (!fetch(fs, SUPERBLOCK_OFFSET, &sb, sizeof(sb)) || sb.magic != EROFS_MAGIC)
        return -EINVAL;
    if (sb.feature_incompat & ~INCOMPAT_KNOWN || sb.extra_devices != 0 || sb.dir_block_bits != 0)
        return -EOPNOTSUPP;
    if (sb.block_bits < 9 || sb.block_bits > 16)
        return -EUCLEAN;
    fs->block_bits = sb.block_bits;
    fs->meta = (uint64_t)sb.meta_block << sb.block_bits;
    fs->root_nid = sb.root_nid;
    fs->inodes = sb.inodes;
    fs->blocks = sb.blocks;
    fs->build_time = (int64_t)sb.build_time;
    fs->build_time_nsec = sb.build_time_nsec < 1000000000u ? sb.build_time_nsec : 0;

    struct erofs_inode root;
    int err = erofs_inode(fs, fs->root_nid, &root);
    if (err)
        return err;
    return S_ISDIR(root.mode) ? 0 : -EUCLEAN;
}

static int check_layout(const struct erofs *fs, struct erofs_inode *inode, uint32_t u)
{
    uint32_t format = u & 0xffff;

    switch (inode->layout) {
    case LAYOUT_FLAT_PLAIN:
    case LAYOUT_FLAT_INLINE:
        inode->start = u;
        return 0;
    case LAYOUT_CHUNK_BASED:
        if (format & ~CHUNK_KNOWN)
            return -EOPNOTSUPP;
        inode->chunk_bits = fs->block_bits + (format & CHUNK_BITS_MASK);
        inode->chunk_indexes = format & CHUNK_INDEXES;
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

int erofs_inode(const struct erofs *fs, uint64_t nid, struct erofs_inode *inode)
{
    struct inode_compact compact;
    struct inode_extended extended;
    uint16_t format;
    uint32_t u, xattr_count;

    /* 2^48 inodes of 32 bytes are beyond any image; larger would overflow the product. */
    if (nid >> 48)
        return -EUCLEAN;
    uint64_t offset = fs->meta + nid * sizeof(compact);
    if (!fetch(fs, offset, &format, sizeof(format)))
        return -EUCLEAN;

    *inode = (struct erofs_inode){.nid = nid, .layout = (format >> 1) & 7};
    if (format & 1) {
        if (!fetch(fs, offset, &extended, sizeof(extended)))
            return -EUCLEAN;
        inode->mode = extended.mode;
        inode->size = extended.size;
        inode->uid = extended.uid;
        inode->gid = extended.gid;
        inode->nlink = extended.nlink;
        inode->mtime = (int64_t)extended.mtime;
        inode->mtime_nsec = extended.mtime_nsec < 1000000000u ? extended.mtime_nsec : 0;
        u = extended.u;
        xattr_count = extended.xattr_count;
        offset += sizeof(extended);
    } else {
        if (!fetch(fs, offset, &compact, sizeof(compact)))
            return -EUCLEAN;
        inode->mode = compact.mode;
        inode->size = compact.size;
        inode->uid = compact.uid;
        inode->gid = compact.gid;
        inode->nlink = compact.nlink;
        inode->mtime = fs->build_time;
        inode->mtime_nsec = fs->build_time_nsec;
        u = compact.u;
        xattr_count = compact.xattr_count;
        offset += sizeof(compact);
    }
    inode->after = offset + (xattr_count ? 12 + 4 * (uint64_t)(xattr_count - 1) : 0);
    if (inode->size >> 62)
        return -EUCLEAN;

    switch (inode->mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
        return check_layout(fs, inode, u);
    case S_IFCHR:
    case S_IFBLK:
        inode->rdev = u;
        inode->size = 0;
        return 0;
    case S_IFIFO:
    case S_IFSOCK:
        inode->size = 0;
        return 0;
    default:
        return -EUCLEAN;
    }
}

/* Where the chunk that holds `offset` begins, as a byte offset in the image; *hole if it has no data. */
static int chunk_start(const struct erofs *fs, const struct erofs_inode *inode, uint64_t offset,
                       uint64_t *start, bool *hole)
{
    uint64_t n = offset >> inode->chunk_bits;
    uint32_t block;
    bool found;

    if (inode->chunk_indexes) {
        /* u16 advice, u16 device, u32 block; 8-byte aligned */
        uint64_t at = ((inode->after + 7) & ~7ull) + n * 8;
        uint16_t device;
        found = fetch(fs, at + 2, &device, sizeof(device)) && fetch(fs, at + 4, &block, sizeof(block));
        if (found && device != 0)
            return -EOPNOTSUPP;
    } else {
        found = fetch(fs, ((inode->after + 3) & ~3ull) + n * 4, &block, sizeof(block));
    }
    if (!found)
        return -EUCLEAN;
    *hole = block == CHUNK_HOLE;
    *start = (uint64_t)block << fs->block_bits;
    return 0;
}

/*
 * How many bytes of the next chunks follow in the image upon the one that begins at `offset` of the
 * file and lies at `at`, up to `most` or a bound.
 */
static uint64_t in_one_piece(const struct erofs *fs, const struct erofs_inode *inode, uint64_t offset,
                             uint64_t at, uint64_t most)
{
    const uint64_t size = 1ull << inode->chunk_bits;
    uint64_t found = 0;

    for (unsigned n = 1; n <= CHUNKS_AT_ONCE && found < most; n++) {
        uint64_t next;
        bool hole;

        if (chunk_start(fs, inode, offset + n * size, &next, &hole) || hole || next != at + n * size)
            break;
        found += size;
    }
    return found < most ? found : most;
}

int erofs_map(const struct erofs *fs, const struct erofs_inode *inode, uint64_t offset,
              const uint8_t **data, uint64_t *len)
{
    if (offset >= inode->size)
        return -EINVAL;
    uint64_t block_size = 1ull << fs->block_bits;
    uint64_t left = inode->size - offset;
    uint64_t at;

    switch (inode->layout) {
    case LAYOUT_FLAT_PLAIN:
        at = ((uint64_t)inode->start << fs->block_bits) + offset;
        break;
    case LAYOUT_FLAT_INLINE: {
        /* All blocks but the last, which follows the inode and shares its block. */
        uint64_t tail = (inode->size - 1) & ~(block_size - 1);
        if (offset < tail) {
            at = ((uint64_t)inode->start << fs->block_bits) + offset;
            left = tail - offset;
        } else {
            at = inode->after + (offset - tail);
            if (left > block_size - (at & (block_size - 1)))
                return -EUCLEAN;
        }
        break;
    }
    default: {
        uint64_t in_chunk = offset & ((1ull << inode->chunk_bits) - 1);
        uint64_t rest = (1ull << inode->chunk_bits) - in_chunk;
        bool hole = false;
        int err = chunk_start(fs, inode, offset, &at, &hole);
        if (err)
            return err;
        if (left > rest && !hole)
            rest += in_one_piece(fs, inode, offset - in_chunk, at, left - rest);
        if (left > rest)
            left = rest;
        if (hole) {
            *data = NULL;
            *len = left;
            return 0;
        }
        at += in_chunk;
        break;
    }
    }
    if (at > fs->size || left > fs->size - at)
        return -EUCLEAN;
    *data = fs->base + at;
    *len = left;
    return 0;
}

/* One block of a folder: dirents, sorted by name, then their names. */
struct dir_block {
    const uint8_t *data;
    uint32_t len;
    uint32_t count;
};

static int dir_block(const struct erofs *fs, const struct erofs_inode *dir, uint64_t n,
                     struct dir_block *block)
{
    uint64_t block_size = 1ull << fs->block_bits;
    uint64_t offset = n << fs->block_bits;
    uint64_t len;
    uint16_t first_name;

    int err = erofs_map(fs, dir, offset, &block->data, &len);
    if (err)
        return err;
    uint64_t want = dir->size - offset < block_size ? dir->size - offset : block_size;
    if (!block->data || len < want || want < DIRENT_SIZE)
        return -EUCLEAN;
    block->len = (uint32_t)want;
    memcpy(&first_name, block->data + 8, sizeof(first_name));
    if (first_name < DIRENT_SIZE || first_name > block->len || first_name % DIRENT_SIZE != 0)
        return -EUCLEAN;
    block->count = first_name / DIRENT_SIZE;
    return 0;
}

static uint32_t dirent_type(uint8_t type)
{
    /* EROFS_FT_*: unknown, regular, folder, character, block, fifo, socket, symlink */
    static const uint8_t dt[] = {0, 8, 4, 2, 6, 1, 12, 10};
    return type < sizeof(dt) ? dt[type] : 0;
}

static int dir_entry(const struct dir_block *block, uint32_t n, struct erofs_dirent *entry)
{
    const uint8_t *dirent = block->data + (size_t)n * DIRENT_SIZE;
    uint16_t begin, end;

    memcpy(&entry->nid, dirent, sizeof(entry->nid));
    memcpy(&begin, dirent + 8, sizeof(begin));
    entry->type = dirent_type(dirent[10]);
    if (n + 1 < block->count) {
        memcpy(&end, dirent + DIRENT_SIZE + 8, sizeof(end));
        if (end > block->len || begin >= end)
            return -EUCLEAN;
        entry->len = (uint32_t)end - begin;
    } else {
        if (begin >= block->len)
            return -EUCLEAN;
        /* The last name ends with the block, or with a NUL where the block has space left. */
        entry->len = (uint32_t)strnlen((const char *)block->data + begin, block->len - begin);
    }
    entry->name = (const char *)block->data + begin;
    if (entry->len == 0 || entry->len > NAME_LEN_MAX)
        return -EUCLEAN;
    /* A name that holds a slash or NUL would be a path of its own. */
    if (memchr(entry->name, '/', entry->len) || memchr(entry->name, '\0', entry->len))
        return -EUCLEAN;
    return 0;
}

static int compare(const char *name, size_t len, const struct erofs_dirent *entry)
{
    int order = memcmp(name, entry->name, len < entry->len ? len : entry->len);
    if (order != 0)
        return order;
    return len < entry->len ? -1 : len > entry->len;
}

int erofs_lookup(const struct erofs *fs, const struct erofs_inode *dir, const char *name, size_t len,
                 uint64_t *nid)
{
    struct dir_block block;
    struct erofs_dirent entry;
    int err;

    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    if (dir->size == 0)
        return -ENOENT;

    /* The last block whose first name is not behind ours, then the name in it. */
    uint64_t low = 0, high = ((dir->size - 1) >> fs->block_bits) + 1;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        err = dir_block(fs, dir, middle, &block);
        if (!err)
            err = dir_entry(&block, 0, &entry);
        if (err)
            return err;
        if (compare(name, len, &entry) < 0)
            high = middle;
        else
            low = middle;
    }
    err = dir_block(fs, dir, low, &block);
    if (err)
        return err;
    uint32_t first = 0, end = block.count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        err = dir_entry(&block, middle, &entry);
        if (err)
            return err;
        int order = compare(name, len, &entry);
        if (order == 0) {
            *nid = entry.nid;
            return 0;
        }
        if (order < 0)
            end = middle;
        else
            first = middle + 1;
    }
    return -ENOENT;
}

/* The cursor is the byte offset of the dirent in the folder's data. */
int erofs_readdir(const struct erofs *fs, const struct erofs_inode *dir, uint64_t *cursor,
                  struct erofs_dirent *entry)
{
    uint64_t block_size = 1ull << fs->block_bits;

    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    while (*cursor < dir->size) {
        struct dir_block block;
        int err = dir_block(fs, dir, *cursor >> fs->block_bits, &block);
        if (err)
            return err;
        uint64_t n = (*cursor & (block_size - 1)) / DIRENT_SIZE;
        if (n >= block.count) {
            *cursor = (*cursor | (block_size - 1)) + 1;
            continue;
        }
        err = dir_entry(&block, (uint32_t)n, entry);
        if (err)
            return err;
        *cursor = (*cursor & ~(block_size - 1)) + (n + 1) * DIRENT_SIZE;
        return 1;
    }
    return 0;
}
