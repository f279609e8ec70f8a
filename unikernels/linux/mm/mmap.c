/*
 * Mapping, unmapping and changing mappings: the objects behind mmap(2) and its
 * family. Errors are those of the man pages.
 */
#include <asm/mman.h>
#include <linux/mman.h>

#include "boot/layout.h"
#include "entry/entry.h"
#include "lib/error.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/file_map.h"
#include "mm/keep.h"
#include "mm/lazy.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/rangeset.h"
#include "mm/reclaim.h"
#include "mm/share.h"
#include "mm/vma.h"
#include "loader/elf_in_place.h"
#include "task/task.h"

#define MOVE_STEP (1ul << 20) /* mremap has so much twice, for a moment */

#define UNSHARE_STEP (128ul << 10) /* and munmap of a shared file */

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

/* PROT_WRITE means readable too on x86; PROT_EXEC alone stays. */
static int host_prot(int prot)
{
    return prot & PROT_ALL;
}

static bool range_valid(uaddr_t addr, size_t len)
{
    return user_range_max(addr) >= len && len;
}

/*
 * Would the program exceed its limits with this much more? The container's limit is not among them: as on Linux a
 * program may reserve more than that (Go, V8 and the JVM do), and what it touches counts.
 */
static bool over_limits(struct mm *mm, size_t len, int prot, int flags)
{
    size_t pages = len / PAGE_SIZE;

    if (mm->pages + pages > task_rlimit(RLIMIT_AS) / PAGE_SIZE) return true;
    if (!(prot & PROT_WRITE) || flags & MAP_SHARED) return false;
    return mm->data_pages + pages > task_rlimit(RLIMIT_DATA) / PAGE_SIZE;
}

/* Zeroed and open for the kernel to write to. */
static bool commit_now(uaddr_t start, uaddr_t end)
{
    if (memory_is_closed() && !memory_in_companion(start, end)) return memory_open(start, end, PROT_READ | PROT_WRITE);
    return memory_commit(start, end, PROT_READ | PROT_WRITE);
}

/*
 * Opens a range, fills it from the file and gives it its protection; a big one, or one that there is no room for, is
 * left to be filled as it is touched. Pages behind the end stay closed: SIGBUS; where nothing can be, they are zeroes.
 */
static int fill_from_file(uaddr_t start, uaddr_t end, int prot, struct file *file, uint64_t offset)
{
    uint64_t size = file_size(file);
    uaddr_t filled = offset >= size ? start : start + MIN(PAGE_UP(size - offset), end - start);

    if (!memory_is_closed() && filled < end && !memory_commit(filled, end, host_prot(prot))) return -ENOMEM;
    if (filled == start) return 0;
    if (filled - start >= MM_LAZY_MIN && memory_is_closed() && memory_defer(start, filled)) return 0;
    if (!commit_now(start, filled)) return memory_is_closed() && memory_defer(start, filled) ? 0 : -ENOMEM;
    for (uaddr_t a = start; a < filled;) {
        ssize_t n = file_read_at(file, (void *)a, filled - a, offset + (a - start));
        if (n < 0) return (int)n;
        if (!n) break;
        a += (size_t)n;
    }
    if (prot != (PROT_READ | PROT_WRITE) && !memory_protect(start, filled, host_prot(prot))) return -ENOMEM;
    return 0;
}

/* What others have there too: in common with them if it is the same, else put aside. */
static int populate_common(struct mm *mm, uaddr_t start, uaddr_t end, int prot, struct file *file, uint64_t offset)
{
    if (file && !(prot & PROT_WRITE)) {
        uaddr_t to = share_join(mm, start, end, file, offset, prot, false);
        offset += to - start;
        start = to;
    }
    if (start == end) return 0;
    int err = share_claim(mm, start, end);
    for (uaddr_t a = start; file && a < end && !err;) {
        ssize_t n = file_read_at(file, (void *)a, end - a, offset + (a - start));
        if (n < 0) err = (int)n;
        if (n <= 0) break;
        a += (size_t)n;
    }
    if (!err && !share_protect(mm, start, end, host_prot(prot))) err = -ENOMEM;
    return err;
}

/* The first content of [start, end), where mm has nothing yet: the file's or zeroes. */
static int populate(struct mm *mm, uaddr_t start, uaddr_t end, int prot, struct file *file, uint64_t offset)
{
    struct range alone;
    int err = 0;

    for (uaddr_t a = start; a < end && !err; a = alone.end) {
        if (!share_alone(mm, a, end, &alone)) alone = (struct range){end, end};
        if (a < alone.start) err = populate_common(mm, a, alone.start, prot, file, offset + (a - start));
        if (err || alone.start == alone.end) continue;
        if (file)
            err = fill_from_file(alone.start, alone.end, prot, file, offset + (alone.start - start));
        else if (!memory_commit(alone.start, alone.end, host_prot(prot)))
            err = -ENOMEM;
    }
    return err;
}

/* mm has nothing at [start, end) any more: what nobody else has is gone. */
static void give_back(struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct range alone;

    share_drop(mm, start, end);
    for (uaddr_t a = start; share_alone(mm, a, end, &alone); a = alone.end) {
        memory_release(alone.start, alone.end);
    }
}

/* What has to be done before a vma's memory is given back, as far as nobody else has it. */
static void leave(struct mm *mm, const struct vma *v)
{
    struct range alone;

    if (!(v->prot & PROT_EXEC) && !(v->flags & VMA_HOME)) return;
    for (uaddr_t a = v->start; share_alone(mm, a, v->end, &alone); a = alone.end) {
        if (v->prot & PROT_EXEC) patch_forget(alone.start, alone.end);
        if (!(v->flags & VMA_HOME)) continue;
        memory_protect(alone.start, alone.end, PROT_READ | PROT_WRITE);
        for (uaddr_t at = alone.start; at < alone.end; at += UNSHARE_STEP) {
            size_t step = MIN(UNSHARE_STEP, alone.end - at);
            file_unshare_pages(v->file, v->offset + (at - v->start), step, (void *)at);
            memory_release(at, at + step);
        }
    }
}

/* Unmaps what is there; the range may have holes. */
static int unmap_range(struct mm *mm, uaddr_t start, uaddr_t end)
{
    unsigned i = vma_index(mm, start);

    if (i == mm->count || mm->vmas[i].start >= end) return 0;
    if (!vma_split(mm, start, end)) return -ENOMEM;
    i = vma_index(mm, start);
    /* Neighbours go back to the host in one piece: [from, to) is what waits for it. */
    uaddr_t from = start, to = start;
    while (i < mm->count && mm->vmas[i].start < end) {
        struct vma *v = &mm->vmas[i];
        if (v->aliases && v->start >= start && v->end <= end) {
            /* The same place was handed out more than once: this takes one of them back. */
            v->aliases--;
            i++;
            continue;
        }
        leave(mm, v);
        if (v->start != to) {
            give_back(mm, from, to);
            from = v->start;
        }
        to = v->end;
        vma_erase(mm, i);
    }
    give_back(mm, from, to);
    mm->search_top = MAX(mm->search_top, MIN(end, mm_user_end()));
    return 0;
}

/* The shared pages of a file that someone mapped before have their place; go there too. */
static long map_existing_home(struct mm *mm, uaddr_t wanted, bool fixed, uaddr_t home, size_t len, int prot,
                              struct file *file, uint64_t offset)
{
    if (fixed && wanted != home) return -ENOMEM;
    struct vma *v = mm_find(mm, home);
    if (v) {
        if (!(v->flags & VMA_HOME) || v->start != home || v->end - v->start < len) return -ENOMEM;
        v->aliases++;
        if ((prot | v->prot) != v->prot) {
            vma_set_prot(mm, v, prot | v->prot);
            memory_protect(v->start, v->end, host_prot(v->prot));
        }
        return (long)home;
    }
    struct vma add = {.start = home, .end = home + len, .prot = prot, .flags = VMA_SHARED | VMA_HOME,
                      .file = file_get(file), .offset = offset};
    if (!vma_insert(mm, &add)) {
        file_put(file);
        return -ENOMEM;
    }
    memory_protect(home, home + len, host_prot(prot));
    return (long)home;
}

static long map_home(struct mm *mm, uaddr_t addr, size_t len, int prot, bool fixed, struct file *file,
                     uint64_t offset)
{
    void *existing = NULL;

    keep_yield(addr, addr + len, NULL, 0, 0);
    /* Only at a place that was asked for: the file's pages can be nowhere else, and others' not be put aside. */
    if (mm_mapped_elsewhere(mm, addr, addr + len)) return -ENOMEM;
    if (!memory_commit(addr, addr + len, PROT_READ | PROT_WRITE)) return -ENOMEM;
    int err = file_share_pages(file, offset, len, (void *)addr, &existing);
    if (err) {
        memory_release(addr, addr + len);
        if (err == -EEXIST) return map_existing_home(mm, addr, fixed, (uaddr_t)existing, len, prot, file, offset);
        return err;
    }
    struct vma add = {.start = addr, .end = addr + len, .prot = prot, .flags = VMA_SHARED | VMA_HOME,
                      .file = file_get(file), .offset = offset};
    if (!vma_insert(mm, &add)) {
        file_unshare_pages(file, offset, len, (void *)addr);
        memory_release(addr, addr + len);
        file_put(file);
        return -ENOMEM;
    }
    uint64_t size = file_size(file);
    uaddr_t filled = addr + (offset >= size ? 0 : MIN(PAGE_UP(size - offset), len));
    memory_protect(addr, filled, host_prot(prot));
    if (filled < addr + len) memory_protect(filled, addr + len, PROT_NONE);
    return (long)addr;
}

static long map_at(struct mm *mm, uaddr_t addr, size_t len, int prot, uint32_t vma_flags, struct file *file,
                   uint64_t offset)
{
    struct vma add = {.start = addr, .end = addr + len, .prot = prot, .flags = vma_flags,
                      .file = file ? file_get(file) : NULL, .offset = offset};
    int err = 0;

    keep_yield(addr, addr + len, vma_flags & VMA_SHARED ? NULL : file, offset, prot);
    if (prot & PROT_WRITE) add.flags |= VMA_WRITTEN;
    if (vma_flags & VMA_SHARED && mm_mapped_elsewhere(mm, addr, addr + len)) err = -ENOMEM;
    /* A first stack is reserved as a whole, and little of it is ever touched. */
    if (!err && vma_flags & VMA_STACK && memory_is_closed())
        err = memory_defer(addr, addr + len) ? 0 : -ENOMEM;
    else if (!err)
        err = populate(mm, addr, addr + len, prot, file, offset);
    if (!err && !vma_insert(mm, &add)) err = -ENOMEM;
    if (!err) return (long)addr;
    give_back(mm, addr, addr + len);
    if (file) file_put(file);
    return err;
}

long mm_map_anonymous(struct mm *mm, uaddr_t addr, size_t len, int prot, uint32_t vma_flags)
{
    if (!range_valid(addr, len)) return -ENOMEM;
    if (!vma_range_free(mm, addr, addr + len)) return -EEXIST;
    return map_at(mm, addr, len, prot, vma_flags, NULL, 0);
}

/* Bytes of the file into pages that mm has claimed: [start, end) begins with file_bytes of it from offset on. */
static int fill_claimed(struct mm *mm, uaddr_t start, uaddr_t end, struct file *file, uint64_t offset, size_t file_bytes)
{
    uaddr_t bytes_end = MIN(start + file_bytes, end);

    for (uaddr_t page; (page = share_first_claimed(mm, start, bytes_end)) < bytes_end; offset += page + PAGE_SIZE - start,
                 start = page + PAGE_SIZE) {
        int err = share_own(mm, page, page + PAGE_SIZE);
        ssize_t n = err ? err : file_read_at(file, (void *)page, MIN(PAGE_SIZE, bytes_end - page), offset + (page - start));
        if (n < 0) return (int)n;
    }
    return 0;
}

static int populate_segment(struct mm *mm, uaddr_t start, uaddr_t end, int prot, struct file *file)
{
    struct range alone;

    for (uaddr_t a = start; a < end; a = alone.end) {
        if (!share_alone(mm, a, end, &alone)) alone = (struct range){end, end};
        for (uaddr_t at = a, to; at < alone.start; at = to) {
            to = prot & PROT_WRITE ? at : share_join(mm, at, alone.start, file, 0, prot, true);
            if (to > at) continue;
            int err = share_claim(mm, at, alone.start);
            if (err) return err;
            to = alone.start;
        }
        if (alone.start < alone.end && !memory_companion_pristine(alone.start, alone.end)) return -EEXIST;
    }
    return 0;
}

/* [start, end) of which is in place: what begins with bytes of the file, and what holds zeroes. */
static bool insert_segment(struct mm *mm, uaddr_t start, uaddr_t end, uaddr_t bytes_end, int prot, struct file *file,
                           uint64_t offset)
{
    uint32_t written = prot & PROT_WRITE ? VMA_WRITTEN : 0;
    struct vma bytes = {.start = start, .end = bytes_end, .prot = prot, .flags = VMA_SEGMENT | written, .file = file,
                        .offset = offset};
    struct vma zeroes = {.start = bytes_end, .end = end, .prot = prot, .flags = written};

    if (start < bytes_end) {
        file_get(file);
        if (!vma_insert(mm, &bytes)) {
            file_put(file);
            return false;
        }
    }
    return bytes_end == end || vma_insert(mm, &zeroes);
}

long mm_map_segment(struct mm *mm, uaddr_t addr, size_t len, int prot, struct file *file, uint64_t offset,
                    size_t file_bytes)
{
    uaddr_t end = addr + len;

    if (!range_valid(addr, len)) return -ENOMEM;
    if (!vma_range_free(mm, addr, end)) return -EEXIST;
    keep_yield(addr, end, NULL, 0, 0);
    int err = populate_segment(mm, addr, end, prot, file);
    if (!err) err = fill_claimed(mm, addr, end, file, offset, file_bytes);
    if (!err && (!share_protect(mm, addr, end, host_prot(prot)) ||
                 !insert_segment(mm, addr, end, MIN(PAGE_UP(addr + file_bytes), end), prot, file, offset)))
        err = -ENOMEM;
    if (!err) return (long)addr;
    unmap_range(mm, addr, end);
    give_back(mm, addr, end);
    return err;
}

/*
 * ld.so maps a library in two steps: its whole span from the file's start, then
 * each segment over it. If the companion has the file, the first goes to its
 * place there and the others find their bytes already lying where they want them.
 */
static long map_in_place(struct mm *mm, uaddr_t addr, size_t len, int prot, int flags, struct file *file,
                         uint64_t offset)
{
    uaddr_t place = elf_in_place(file, offset, len, flags, addr);

    if (!place) return -ENOEXEC;
    if (!(flags & MAP_FIXED)) return mm_map_segment(mm, place, len, prot, file, offset, len);
    /* Over what the first step mapped. */
    if (!vma_range_full(mm, addr, addr + len) || !vma_split(mm, addr, addr + len)) return -ENOEXEC;
    for (unsigned i = vma_index(mm, addr); i < mm->count && mm->vmas[i].start < addr + len; i++) {
        struct vma *v = &mm->vmas[i];
        if (!(v->flags & VMA_SEGMENT) || v->file != file || v->prot & PROT_WRITE) return -ENOEXEC;
    }
    int err = fill_claimed(mm, addr, addr + len, file, offset, len);
    if (err) return err;
    for (unsigned i = vma_index(mm, addr); i < mm->count && mm->vmas[i].start < addr + len; i++) {
        struct vma *v = &mm->vmas[i];
        v->offset = offset + (v->start - addr);
        vma_set_prot(mm, v, prot);
    }
    if (!share_protect(mm, addr, addr + len, host_prot(prot))) return -ENOMEM;
    vma_join(mm, addr, addr + len + 1);
    return (long)addr;
}

static uaddr_t choose_place(struct mm *mm, uaddr_t hint, size_t len, int flags, struct file *file, int prot)
{
    struct range taken;

    hint = PAGE_DOWN(hint);
    if (hint && range_valid(hint, len) && vma_range_free(mm, hint, hint + len) &&
        !mm_mapped_elsewhere(mm, hint, hint + len) && !memory_set_apart(hint, hint + len, &taken))
        return hint;
    if (flags & MAP_STACK) return mm_find_stack(mm, len);
    /* Code goes where a patched call site can reach the gate. */
    bool low = flags & MAP_32BIT || (file && (prot & PROT_EXEC || flags & MAP_DENYWRITE));
    uaddr_t found = low ? mm_find_free(mm, len, PAGE_SIZE, ZONE_LOW_EXEC) : 0;
    if (!found && !(flags & MAP_32BIT)) found = mm_find_free(mm, len, PAGE_SIZE, ZONE_HIGH);
    return found;
}

long mm_map(struct mm *mm, uaddr_t addr, size_t len, int prot, int flags, struct file *file, uint64_t offset)
{
    bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    uint32_t vma_flags = (flags & MAP_SHARED ? VMA_SHARED : 0) | (flags & MAP_GROWSDOWN ? VMA_GROWSDOWN : 0) |
                         (flags & MAP_NORESERVE ? VMA_NORESERVE : 0);

    if (!len) return -EINVAL;
    if (offset & ~PAGE_MASK) return -EINVAL;
    len = PAGE_UP(len);
    if (!len || len > mm_user_end()) return -ENOMEM;
    if (offset + len < offset) return -EOVERFLOW;
    prot &= PROT_ALL;
    if (fixed && addr & ~PAGE_MASK) return -EINVAL;
    if (fixed && addr < USER_START) return -EPERM;
    if (fixed && (!range_valid(addr, len) || mm_is_reserved(addr, addr + len))) return -ENOMEM;
    if (flags & MAP_FIXED_NOREPLACE && !vma_range_free(mm, addr, addr + len)) return -EEXIST;
    if (over_limits(mm, len, prot, flags)) return -ENOMEM;

    if (file && !(flags & MAP_SHARED)) {
        long r = map_in_place(mm, addr, len, prot, flags, file, offset);
        if (r != -ENOEXEC && r != -EEXIST) return r;
    }
    if (fixed) {
        int err = unmap_range(mm, addr, addr + len);
        if (err) return err;
    } else {
        addr = choose_place(mm, addr, len, flags, file, prot);
        if (!addr) return -ENOMEM;
    }
    if (file && flags & MAP_SHARED && file_is_shareable(file))
        return map_home(mm, addr, len, prot, fixed, file, offset);
    return map_at(mm, addr, len, prot, vma_flags, file, offset);
}

long mm_unmap(struct mm *mm, uaddr_t addr, size_t len)
{
    if (addr & ~PAGE_MASK || !len || PAGE_UP(len) < len) return -EINVAL;
    len = PAGE_UP(len);
    if (addr + len < addr) return -EINVAL;
    /* Nothing of the program's can be outside of its part. */
    uaddr_t start = MAX(addr, USER_START), end = MIN(addr + len, mm_user_end());
    return start < end ? unmap_range(mm, start, end) : 0;
}

/*
 * The range is mapped. What is shared with the world keeps what others may do with it: it has one protection. Pages
 * behind a file's end stay closed. Private neighbours are changed in one piece.
 */
static bool protect_range(struct mm *mm, uaddr_t start, uaddr_t end, int prot)
{
    uaddr_t from = start, to = start;

    for (unsigned i = vma_index(mm, start); i < mm->count && mm->vmas[i].start < end; i++) {
        const struct vma *v = &mm->vmas[i];
        uaddr_t v_start = MAX(v->start, start), v_end = MAX(MIN(mm_file_end(v), end), v_start);
        if (v->flags & VMA_SHARED && mm_mapped_elsewhere(mm, v_start, v_end)) {
            if (!memory_protect(v_start, v_end, host_prot(share_union_prot(mm, v_start, prot)))) return false;
            continue;
        }
        if (v_start != to) {
            if (from < to && !share_protect(mm, from, to, host_prot(prot))) return false;
            from = v_start;
        }
        to = v_end;
    }
    return from == to || share_protect(mm, from, to, host_prot(prot));
}

long mm_protect(struct mm *mm, uaddr_t addr, size_t len, int prot)
{
    bool growsdown = prot & PROT_GROWSDOWN;

    if (addr & ~PAGE_MASK) return -EINVAL;
    if (prot & ~(PROT_ALL | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
    if ((prot & PROT_GROWSDOWN) && (prot & PROT_GROWSUP)) return -EINVAL;
    if (!len) return 0;
    len = PAGE_UP(len);
    if (!range_valid(addr, len)) return -ENOMEM;
    prot &= PROT_ALL;
    uaddr_t end = addr + len;
    if (growsdown) {
        struct vma *v = mm_find(mm, addr);
        if (!v || !(v->flags & (VMA_GROWSDOWN | VMA_STACK))) return -EINVAL;
        addr = v->start;
    }
    bool full = vma_range_full(mm, addr, end);
    if (!vma_split(mm, addr, end)) return -ENOMEM;

    uaddr_t done = addr;
    for (unsigned i = vma_index(mm, addr); i < mm->count && mm->vmas[i].start < end; i++) {
        struct vma *v = &mm->vmas[i];
        if (v->start > done) break; /* a hole: Linux changes what is before it */
        if (v->file && v->flags & VMA_SHARED && prot & PROT_WRITE) {
            int err = file_may_map(v->file, prot, MAP_SHARED);
            if (err) return -EACCES;
        }
        if ((prot & PROT_WRITE) && !(v->prot & PROT_WRITE) && !(v->flags & VMA_SHARED) &&
            over_limits(mm, v->end - v->start, prot, MAP_NORESERVE | MAP_PRIVATE))
            return -ENOMEM;
        done = v->end;
    }
    if (done > addr && !protect_range(mm, addr, done, prot)) return -ENOMEM;
    for (unsigned i = vma_index(mm, addr); i < mm->count && mm->vmas[i].start < done; i++)
        vma_set_prot(mm, &mm->vmas[i], prot);
    vma_join(mm, addr, done + 1);
    return full ? 0 : -ENOMEM;
}

/* Where others have the same place: pages of one's own, with what a first touch would find. */
static int forget_common(struct mm *mm, const struct vma *v, uaddr_t start, uaddr_t end)
{
    int err = lazy_fill(mm, start, end);

    if (!err) err = share_own(mm, start, end);
    if (err) return err;
    memset((void *)start, 0, end - start);
    if (v->file) file_read_at(v->file, (void *)start, end - start, v->offset + (start - v->start));
    return share_protect(mm, start, end, host_prot(v->prot)) ? 0 : -ENOMEM;
}

/* madvise(MADV_DONTNEED) where nobody else has anything. */
static int forget_alone(struct mm *mm, const struct vma *v, uaddr_t start, uaddr_t end)
{
    share_drop(mm, start, end); /* left from when somebody had */
    if (v->file && v->prot & PROT_EXEC) patch_forget(start, end);
    if (v->file && !(v->flags & VMA_SEGMENT)) {
        memory_release(start, end);
        return fill_from_file(start, end, v->prot, v->file, v->offset + (start - v->start));
    }
    memory_discard(start, end);
    if (!v->file && memory_in_companion(start, end)) return memory_commit(start, end, host_prot(v->prot)) ? 0 : -ENOMEM;
    /* Where it cannot be discarded it was wiped. */
    if (v->file && !memory_is_closed() && !memory_companion_pristine(start, end))
        file_read_at(v->file, (void *)start, end - start, v->offset + (start - v->start));
    return 0;
}

/* madvise(MADV_DONTNEED) of one vma: back to what a first touch would find. */
static int forget(struct mm *mm, const struct vma *v, uaddr_t start, uaddr_t end)
{
    struct range alone;
    int err = 0;

    if (v->flags & VMA_SHARED) return 0; /* the pages belong to the object, not to the mapping */
    for (uaddr_t a = start; a < end && !err; a = alone.end) {
        if (!share_alone(mm, a, end, &alone)) alone = (struct range){end, end};
        if (a < alone.start) err = forget_common(mm, v, a, alone.start);
        if (!err && alone.start < alone.end) err = forget_alone(mm, v, alone.start, alone.end);
    }
    return err;
}

static bool all_same(struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct vma *v = mm_find(mm, start);

    return v && v->end >= end;
}

/* The file's pages live in the mapping: they go home to the file and move in again elsewhere. */
static long move_home(struct mm *mm, const struct vma *old, uaddr_t from, size_t old_len, size_t new_len, uaddr_t to)
{
    struct vma source = *old;

    if (source.start != from || source.end != from + old_len || source.aliases ||
        mm_mapped_elsewhere(mm, from, from + old_len))
        return -ENOMEM;
    file_get(source.file);
    long r = unmap_range(mm, from, from + old_len);
    if (!r) r = map_home(mm, to, new_len, source.prot, true, source.file, source.offset);
    if (r < 0) map_home(mm, from, old_len, source.prot, true, source.file, source.offset);
    file_put(source.file);
    return r;
}

/* What a grown mapping of a file shows behind its old end; pages behind the file's stay closed. */
static int fill_tail(struct mm *mm, uaddr_t start, uaddr_t end, const struct vma *v)
{
    if (start == end) return 0;
    give_back(mm, start, end);
    return populate(mm, start, end, v->prot, v->file, v->offset + (start - v->start));
}

/* The next piece of [start, end) that may hold something but zeroes, MOVE_STEP long at most. */
static bool next_contents(uaddr_t start, uaddr_t end, struct range *piece)
{
    struct range r;

    for (; charge_first(start, end, &r); start = r.end) {
        while (r.start < r.end && page_is_zero((const void *)r.start)) r.start += PAGE_SIZE;
        if (r.start == r.end) continue;
        *piece = (struct range){r.start, r.start};
        while (piece->end < MIN(r.end, r.start + MOVE_STEP) && !page_is_zero((const void *)piece->end))
            piece->end += PAGE_SIZE;
        return true;
    }
    return false;
}

static bool open_for_move(uaddr_t start, uaddr_t end)
{
    return memory_open(start, end, PROT_READ | PROT_WRITE) ||
           (reclaim_untouched() && memory_open(start, end, PROT_READ | PROT_WRITE));
}

/*
 * Copies [from, from + len), which is readable. sparse: what is not copied is zero at both ends. give: nobody else has
 * the source, which goes back to the account piece by piece, so that a mapping as large as all of the container's memory
 * can move.
 */
static int move_contents(uaddr_t from, uaddr_t to, size_t len, bool sparse, bool give)
{
    bool given = false;
    struct range r;

    for (uaddr_t a = from, end = from + len; a < end; a = r.end) {
        if (!sparse)
            r = (struct range){a, MIN(a + MOVE_STEP, end)};
        else if (!next_contents(a, end, &r))
            break;
        uaddr_t at = to + (r.start - from);
        if (!open_for_move(at, at + (r.end - r.start))) {
            if (!given) return -ENOMEM;
            memory_open_always(at, at + (r.end - r.start), PROT_READ | PROT_WRITE);
        }
        memcpy((void *)at, (const void *)r.start, r.end - r.start);
        if (give) memory_release(r.start, r.end);
        given = give;
    }
    return 0;
}

static long move_mapping(struct mm *mm, const struct vma *old, uaddr_t from, size_t old_len, size_t new_len,
                         uaddr_t to, int flags)
{
    size_t keep = MIN(old_len, new_len);
    int prot = old->prot;
    struct vma source = *old;

    if (source.flags & VMA_HOME)
        return flags & MREMAP_DONTUNMAP ? -ENOMEM : move_home(mm, old, from, old_len, new_len, to);
    /* What others share with us cannot be at two places. */
    if (source.flags & VMA_SHARED && mm_mapped_elsewhere(mm, from, from + old_len)) return -ENOMEM;
    bool anonymous = !source.file && !(source.flags & VMA_SEGMENT) && memory_is_closed();
    int err = anonymous ? 0 : lazy_fill(mm, from, from + keep);
    if (err) return err;
    if (source.file) file_get(source.file);
    long r = map_at(mm, to, new_len, PROT_READ | PROT_WRITE, source.flags & ~(uint32_t)VMA_SEGMENT, NULL, 0);
    if (r < 0) goto out;
    /* Also for pages behind a file's end, which are closed. */
    if (!(prot & PROT_READ) || source.file) {
        bool open = source.flags & VMA_SHARED ? memory_protect(from, from + keep, PROT_READ)
                                              : share_protect(mm, from, from + keep, PROT_READ);
        if (!open) {
            unmap_range(mm, to, to + new_len);
            r = -ENOMEM;
            goto out;
        }
    }
    err = move_contents(from, to, keep, anonymous,
                        anonymous && !(flags & MREMAP_DONTUNMAP) && !mm_mapped_elsewhere(mm, from, from + old_len));
    if (err) {
        share_protect(mm, from, from + keep, host_prot(prot));
        unmap_range(mm, to, to + new_len);
        r = err;
        goto out;
    }
    unsigned i = vma_index(mm, to);
    if (!vma_split(mm, to, to + new_len)) {
        r = -ENOMEM;
        goto out;
    }
    i = vma_index(mm, to);
    mm->vmas[i].file = source.file;
    mm->vmas[i].offset = source.offset + (from - source.start);
    source.file = NULL;
    vma_set_prot(mm, &mm->vmas[i], prot);
    if (prot != (PROT_READ | PROT_WRITE)) share_protect(mm, to, to + new_len, host_prot(prot));
    if (mm->vmas[i].file) fill_tail(mm, to + keep, to + new_len, &mm->vmas[i]);
    vma_join(mm, to, to + new_len + 1);
    if (flags & MREMAP_DONTUNMAP) {
        share_protect(mm, from, from + old_len, host_prot(prot));
        forget(mm, mm_find(mm, from), from, from + old_len);
    } else {
        unmap_range(mm, from, from + old_len);
    }
    r = (long)to;
out:
    if (source.file) file_put(source.file);
    return r;
}

long mm_remap(struct mm *mm, uaddr_t old, size_t old_len, size_t new_len, int flags, uaddr_t new_addr)
{
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) return -EINVAL;
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE)) return -EINVAL;
    if (old & ~PAGE_MASK || !new_len) return -EINVAL;
    old_len = PAGE_UP(old_len);
    new_len = PAGE_UP(new_len);
    if (!new_len || (flags & MREMAP_DONTUNMAP && old_len != new_len)) return -EINVAL;
    if (!old_len) return -EINVAL; /* duplicating a shared mapping needs two places for one page */
    if (!range_valid(old, old_len)) return -EFAULT;
    if (new_len > mm_user_end()) return -ENOMEM;

    struct vma *v = mm_find(mm, old);
    if (!v) return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (new_addr & ~PAGE_MASK || !range_valid(new_addr, new_len)) return -EINVAL;
        if (mm_is_reserved(new_addr, new_addr + new_len)) return -ENOMEM;
        if (new_addr < old + old_len && old < new_addr + new_len) return -EINVAL;
    } else if (!(flags & MREMAP_DONTUNMAP) && new_len <= old_len) {
        if (new_len < old_len) {
            int err = unmap_range(mm, old + new_len, old + old_len);
            if (err) return err;
        }
        return (long)old;
    }
    if (!all_same(mm, old, old + old_len)) return -EFAULT;
    if (new_len > old_len && over_limits(mm, new_len - old_len, v->prot, MAP_PRIVATE)) return -ENOMEM;

    uaddr_t end = old + old_len, new_end = old + new_len;
    struct range taken;
    if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && v->end == end && range_valid(end, new_len - old_len) &&
        !v->file && !(v->flags & VMA_SEGMENT) && vma_range_free(mm, end, new_end) &&
        !mm_mapped_elsewhere(mm, end, new_end) && !memory_set_apart(end, new_end, &taken)) {
        struct vma more = *v;
        more.start = end;
        more.end = new_end;
        if (!memory_commit(end, new_end, host_prot(more.prot)) || !vma_insert(mm, &more)) return -ENOMEM;
        return (long)old;
    }
    if (v->flags & VMA_HOME && !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && v->end == end &&
        range_valid(end, new_len - old_len) && vma_range_free(mm, end, new_end) &&
        !mm_mapped_elsewhere(mm, end, new_end) && !memory_set_apart(end, new_end, &taken) &&
        map_home(mm, end, new_len - old_len, v->prot, true, v->file, v->offset + (end - v->start)) >= 0)
        return (long)old;
    if (!(flags & MREMAP_MAYMOVE)) return -ENOMEM;
    if (flags & MREMAP_FIXED) {
        int err = unmap_range(mm, new_addr, new_addr + new_len);
        if (err) return err;
    } else {
        new_addr = choose_place(mm, new_addr, new_len, 0, NULL, 0);
        if (!new_addr) return -ENOMEM;
    }
    v = mm_find(mm, old); /* the list may have moved */
    return move_mapping(mm, v, old, old_len, new_len, new_addr, flags);
}

static int change_flags(struct mm *mm, uaddr_t start, uaddr_t end, uint32_t set, uint32_t clear)
{
    if (!vma_split(mm, start, end)) return -ENOMEM;
    for (unsigned i = vma_index(mm, start); i < mm->count && mm->vmas[i].start < end; i++) {
        struct vma *v = &mm->vmas[i];
        /* Only anonymous private memory can be wiped. */
        if (set & VMA_WIPEONFORK && (v->file || v->flags & VMA_SHARED)) return -EINVAL;
        v->flags = (v->flags | set) & ~clear;
    }
    vma_join(mm, start, end + 1);
    return 0;
}

long mm_advise(struct mm *mm, uaddr_t addr, size_t len, int advice)
{
    bool drop = false;
    uint32_t set = 0, clear = 0;

    switch (advice) {
    case MADV_DONTNEED:
    case MADV_FREE: drop = true; break;
    case MADV_DONTFORK: set = VMA_DONTFORK; break;
    case MADV_DOFORK: clear = VMA_DONTFORK; break;
    case MADV_WIPEONFORK: set = VMA_WIPEONFORK; break;
    case MADV_KEEPONFORK: clear = VMA_WIPEONFORK; break;
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE: break;
    default: return -EINVAL;
    }
    if (addr & ~PAGE_MASK || PAGE_UP(len) < len) return -EINVAL;
    len = PAGE_UP(len);
    if (addr + len < addr) return -EINVAL;
    if (!len) return 0;
    if (!range_valid(addr, len)) return -ENOMEM;
    if (drop) {
        for (unsigned i = vma_index(mm, addr); i < mm->count && mm->vmas[i].start < addr + len; i++) {
            struct vma *v = &mm->vmas[i];
            if (v->flags & VMA_LOCKED) return -EINVAL;
            if (advice == MADV_FREE && (v->file || v->flags & VMA_SHARED)) return -EINVAL;
            int err = forget(mm, v, MAX(addr, v->start), MIN(addr + len, v->end));
            if (err == -ENOMEM && (keep_drop() | file_cache_drop() | (reclaim_untouched() > 0)))
                err = forget(mm, v, MAX(addr, v->start), MIN(addr + len, v->end));
            if (err) return err;
        }
    }
    if (set | clear) {
        int err = change_flags(mm, addr, addr + len, set, clear);
        if (err) return err;
    }
    return vma_range_full(mm, addr, addr + len) ? 0 : -ENOMEM;
}

long mm_set_brk(struct mm *mm, uaddr_t brk)
{
    uaddr_t old = PAGE_UP(mm->brk), new = PAGE_UP(brk);
    struct range taken;

    if (brk < mm->brk_start || !user_range_max(brk)) return (long)mm->brk;
    if (brk - mm->brk_start > task_rlimit(RLIMIT_DATA)) return (long)mm->brk;
    if (new > old) {
        if (over_limits(mm, new - old, PROT_READ | PROT_WRITE, MAP_PRIVATE)) return (long)mm->brk;
        if (!vma_range_free(mm, old, new) || memory_set_apart(old, new, &taken)) return (long)mm->brk;
        if (map_at(mm, old, new - old, PROT_READ | PROT_WRITE, VMA_HEAP, NULL, 0) < 0) return (long)mm->brk;
    } else if (new < old && unmap_range(mm, new, old)) {
        return (long)mm->brk;
    }
    mm->brk = brk;
    return (long)brk;
}
