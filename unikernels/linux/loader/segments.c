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

uintptr_t file_segments(struct file *file, size_t *len)
{
    uint64_t size;
    const struct runnc_segments *s = header(&size);

    if (!s || file->f_op != &tmpfs_file_operations) return 0;
    const struct tmpfs_inode *inode = tmpfs_inode(file->f_inode);
    if (!inode->has_lower || inode->dirty) return 0;
    const struct runnc_segments_object *o = find(s, inode->lower.nid);
    if (!o || o->offset % PAGE_SIZE || o->span % PAGE_SIZE || o->offset > size || o->span > size - o->offset) return 0;
    *len = o->span;
    return (uintptr_t)s + o->offset;
}
