#include <asm/mman.h>
#include <asm/unistd.h>
#include <linux/mman.h>

#include "boot/layout.h"
#include "lib/error.h"
#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "mm/vma.h"
#include "syscall/table.h"
#include "task/task.h"

#define MAP_TYPE_MASK 0x0f
/* What MAP_SHARED_VALIDATE knows. */
#define MAP_KNOWN                                                                                     \
    (MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN | MAP_DENYWRITE | \
     MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_FIXED_NOREPLACE)

/* Of a mapping, before it is made: more is waited for in place. */
#define FETCH_MAX (16ul << 20)

static struct mm *mm(void)
{
    return current->process->mm;
}

long sys_mmap(long addr, long len, long prot, long flags, long fd, long offset)
{
    struct file *file = NULL;
    int type = (int)flags & MAP_TYPE_MASK, f = (int)flags & ~MAP_TYPE_MASK;

    if (offset & (long)~PAGE_MASK) return -EINVAL;
    if (type == MAP_SHARED_VALIDATE) {
        if (f & MAP_ANONYMOUS) return -EINVAL;
        if (f & ~MAP_KNOWN) return -EOPNOTSUPP;
        type = MAP_SHARED;
    }
    if (type != MAP_SHARED && type != MAP_PRIVATE) return -EINVAL;
    if (f & MAP_GROWSDOWN && type == MAP_SHARED) return -EINVAL;
    if (f & MAP_HUGETLB) return f & MAP_ANONYMOUS ? -ENOMEM : -EINVAL; /* a host without huge pages set aside */
    if (!(f & MAP_ANONYMOUS)) {
        file = file_from_fd((int)fd);
        if (!file) return -EBADF;
        int err = len ? file_may_map(file, (int)prot, type | f) : -EINVAL;
        if (err) {
            file_put(file);
            return err;
        }
        if (file_is_zeros(file)) {
            file_put(file);
            file = NULL;
            offset = 0;
        } else {
            /* While memory is changed nobody else may run, so what would be waited for then comes before. */
            if (type == MAP_SHARED || (size_t)len < MM_LAZY_MIN) file_fetch(file, (uint64_t)offset, MIN((size_t)len, FETCH_MAX));
        }
    } else {
        offset = 0;
    }
    long r = mm_map(mm(), (uaddr_t)addr, (size_t)len, (int)prot, type | f, file, (uint64_t)offset);
    if (file) file_put(file);
    return r;
}

long sys_mprotect(long addr, long len, long prot)
{
    return mm_protect(mm(), (uaddr_t)addr, (size_t)len, (int)prot);
}

long sys_munmap(long addr, long len)
{
    return mm_unmap(mm(), (uaddr_t)addr, (size_t)len);
}

long sys_brk(long addr)
{
    return mm_set_brk(mm(), (uaddr_t)addr);
}

long sys_mremap(long old, long old_len, long new_len, long flags, long new_addr)
{
    return mm_remap(mm(), (uaddr_t)old, (size_t)old_len, (size_t)new_len, (int)flags, (uaddr_t)new_addr);
}

long sys_madvise(long addr, long len, long advice)
{
    return mm_advise(mm(), (uaddr_t)addr, (size_t)len, (int)advice);
}

/* A range of pages that must all be mapped: 0, -EINVAL, -ENOMEM. */
static int mapped_range(uaddr_t addr, size_t len, bool align)
{
    if (align && addr & ~PAGE_MASK) return -EINVAL;
    uaddr_t start = PAGE_DOWN(addr), end = PAGE_UP(addr + len);
    if (addr + len < addr) return align ? -ENOMEM : -EINVAL;
    if (start == end) return 0;
    if (user_range_max(start) < end - start || !vma_range_full(mm(), start, end)) return -ENOMEM;
    return 0;
}

/* What was stored in shared pages of [start, end) goes to files that are elsewhere. Mappings may change meanwhile. */
static int write_back(uaddr_t start, uaddr_t end)
{
    int err = 0;

    while (start < end) {
        unsigned i = vma_index(mm(), start);
        if (i == mm()->count || mm()->vmas[i].start >= end) break;
        struct vma v = mm()->vmas[i];
        uaddr_t from = MAX(start, v.start), to = MIN(end, v.end);
        start = to;
        if (!(v.flags & VMA_HOME)) continue;
        file_get(v.file);
        int failed = file_write_back(v.file, v.offset + (from - v.start), to - from);
        file_put(v.file);
        if (failed) err = failed;
    }
    return err;
}

/* Pages of files in memory are the files' own. */
long sys_msync(long addr, long len, long flags)
{
    if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) return -EINVAL;
    if (flags & MS_ASYNC && flags & MS_SYNC) return -EINVAL;
    int err = mapped_range((uaddr_t)addr, (size_t)len, true);
    return err ? err : write_back((uaddr_t)addr, PAGE_UP((uaddr_t)addr + (size_t)len));
}

/* All that is mapped counts as resident: the host does not tell. */
long sys_mincore(long addr, long len, long vec)
{
    static const uint8_t resident[64] = {[0 ... 63] = 1};
    size_t pages = ((size_t)len + PAGE_SIZE - 1) / PAGE_SIZE;

    int err = mapped_range((uaddr_t)addr, (size_t)len, true);
    if (err) return err;
    for (size_t i = 0; i < pages; i += sizeof resident) {
        err = copy_to_user((uaddr_t)vec + i, resident, MIN(pages - i, sizeof resident));
        if (err) return err;
    }
    return 0;
}

/* Locking is accepted: there is no swap to be kept from. */
long sys_mlock(long addr, long len)
{
    return mapped_range((uaddr_t)addr, (size_t)len, false);
}

long sys_mlock2(long addr, long len, long flags)
{
    return flags & ~MLOCK_ONFAULT ? -EINVAL : mapped_range((uaddr_t)addr, (size_t)len, false);
}

long sys_munlock(long addr, long len)
{
    return mapped_range((uaddr_t)addr, (size_t)len, false);
}

long sys_mlockall(long flags)
{
    if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT) return -EINVAL;
    return 0;
}

long sys_munlockall(void)
{
    return 0;
}
