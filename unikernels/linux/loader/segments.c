/* Look-up in the segments companion: tender/common/abi/runnc_segments.h. */
#include "tender/common/abi/runnc_segments.h"

#include "boot/host.h"
#include "fs/tmpfs.h"
#include "mm/file_map.h"

static const struct runnc_segments_object *find(const struct runnc_segments *s, uint64_t nid)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (s->objects[mid].nid == nid) return &s->objects[mid];
        if (s->objects[mid].nid < nid)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* The header is closed to everyone but us, and read again each time: nothing here trusts it beyond the mapping. */
static const struct runnc_segments *header(uint64_t *size)
{
    const struct runnc_boot_info *info = host_boot_info();
    const struct runnc_segments *s = (const struct runnc_segments *)info->segments;

    *size = info->segments_size;
    if (!s || *size < sizeof *s || s->magic != RUNNC_SEGMENTS_MAGIC || s->version != RUNNC_SEGMENTS_VERSION) return NULL;
    return s->count <= (*size - sizeof *s) / sizeof s->objects[0] ? s : NULL;
}

bool segments_index_overlaps(uaddr_t start, uaddr_t end)
{
    uint64_t size;
    const struct runnc_segments *s = header(&size);

    return s && start < PAGE_UP((uaddr_t)&s->objects[s->count]) && end > (uaddr_t)s;
}

bool file_is_same(const struct file *a, const struct file *b)
{
    return a->f_inode == b->f_inode;
}

bool file_is_pristine(struct file *file)
{
    uint64_t nid;

    return tmpfs_image_nid(file, &nid);
}

/* A program that can run at one address alone is of use there: if it is the one that the tender was told to map. */
static uintptr_t fixed_place(const struct runnc_segments_object *o, size_t *len)
{
    const struct runnc_boot_info *info = host_boot_info();

    if (!info->program_size || info->program_offset != o->offset || info->program != o->min_vaddr) return 0;
    *len = MIN(o->span, info->program_size);
    return info->program;
}

uintptr_t file_segments(struct file *file, size_t *len)
{
    uint64_t size;
    const struct runnc_segments *s = header(&size);

    uint64_t nid;

    if (!s || !tmpfs_image_nid(file, &nid)) return 0;
    /* Other images have numbers of their own, and no companion. */
    if ((uintptr_t)tmpfs_of(file->f_inode)->lower->base != host_boot_info()->rootfs) return 0;
    const struct runnc_segments_object *o = find(s, nid);
    if (!o || o->offset % PAGE_SIZE || o->span % PAGE_SIZE || o->offset > size || o->span > size - o->offset) return 0;
    if (o->fixed_size) return fixed_place(o, len);
    *len = o->span;
    return (uintptr_t)s + o->offset;
}
