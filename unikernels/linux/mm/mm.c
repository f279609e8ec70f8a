#include "mm/mm.h"

#include <asm/mman.h>
#include <asm/siginfo.h>
#include <linux/signal.h>

#include "boot/host_wait.h"
#include "boot/layout.h"
#include "entry/entry.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/file_map.h"
#include "mm/keep.h"
#include "mm/kmalloc.h"
#include "mm/lazy.h"
#include "mm/memory.h"
#include "mm/rangeset.h"
#include "mm/reclaim.h"
#include "mm/share.h"
#include "mm/trampoline.h"
#include "mm/vma.h"
#include "task/oom_kill.h"
#include "task/task.h"

#define STACK_GUARD_GAP (256 * PAGE_SIZE) /* as Linux's stack_guard_gap */
/* Of the processor's error code. */
#define FAULT_WRITE 2
#define FAULT_EXEC 16
#define HEAP_ZONE_START 0x100000000ul

static struct {
    uaddr_t user_end;
    struct list all;
} mms;

void mm_init(uaddr_t user_end)
{
    mms.user_end = user_end;
    list_init(&mms.all);
    memory_init(user_end);
    trampoline_init(MIN(TRAMPOLINE_START, PAGE_DOWN(user_end) - TRAMPOLINE_REGION));
}

uaddr_t mm_user_end(void)
{
    return mms.user_end;
}

struct mm *mm_new(void)
{
    struct mm *mm = kzalloc(sizeof *mm);

    if (!mm) return NULL;
    mm->refs = 1;
    mm->search_top = mms.user_end;
    list_add_tail(&mms.all, &mm->all_link);
    return mm;
}

void mm_copy_layout(struct mm *mm, const struct mm *from)
{
    mm->brk_start = from->brk_start;
    mm->brk = from->brk;
    mm->search_top = from->search_top;
    mm->start_code = from->start_code;
    mm->end_code = from->end_code;
    mm->start_data = from->start_data;
    mm->end_data = from->end_data;
    mm->start_stack = from->start_stack;
    mm->arg_start = from->arg_start;
    mm->arg_end = from->arg_end;
    mm->env_start = from->env_start;
    mm->env_end = from->env_end;
    mm->vdso = from->vdso;
    memcpy(mm->auxv, from->auxv, from->auxv_bytes);
    mm->auxv_bytes = from->auxv_bytes;
}

struct list *mm_all(void)
{
    return &mms.all;
}

struct mm *mm_get(struct mm *mm)
{
    mm->refs++;
    return mm;
}

void mm_put(struct mm *mm)
{
    if (--mm->refs) return;
    keep_text(mm);
    if (mm->count) mm_unmap(mm, USER_START, mms.user_end - USER_START);
    share_forget(mm);
    list_del(&mm->all_link);
    kfree(mm->vmas);
    kfree(mm);
}

bool mm_mapped_elsewhere(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct mm *other;

    list_for_each(other, &mms.all, all_link)
        if (other != mm && !vma_range_free(other, start, end)) return true;
    return false;
}

/* A stack keeps its distance from what is below. */
static uaddr_t vma_low(const struct vma *v)
{
    return v->flags & (VMA_GROWSDOWN | VMA_STACK) ? v->start - MIN(v->start, STACK_GUARD_GAP) : v->start;
}

/* Some vma that overlaps [start, end), NULL if none does. */
static const struct vma *overlapping(uaddr_t start, uaddr_t end)
{
    struct mm *mm;

    list_for_each(mm, &mms.all, all_link) {
        unsigned i = vma_index(mm, start);
        if (i < mm->count && vma_low(&mm->vmas[i]) < end) return &mm->vmas[i];
    }
    return NULL;
}

static uaddr_t find_upwards(uaddr_t from, uaddr_t to, size_t len, size_t align)
{
    uaddr_t start = ALIGN_UP(from, align);

    while (start < to && len <= to - start) {
        const struct vma *v = overlapping(start, start + len);
        struct range taken;
        if (v)
            start = ALIGN_UP(v->end, align);
        else if (memory_set_apart(start, start + len, &taken))
            start = ALIGN_UP(taken.end, align);
        else
            return start;
    }
    return 0;
}

static uaddr_t find_downwards(uaddr_t from, uaddr_t to, size_t len, size_t align)
{
    uaddr_t end = to;

    while (end > from && len <= end - from) {
        uaddr_t start = ALIGN_DOWN(end - len, align);
        if (start < from) break;
        const struct vma *v = overlapping(start, start + len);
        struct range taken;
        /* The highest of the overlapping ones would save steps, the lowest is as right. */
        if (v)
            end = vma_low(v);
        else if (memory_set_apart(start, start + len, &taken))
            end = taken.start;
        else
            return start;
    }
    return 0;
}

uaddr_t mm_find_free(struct mm *mm, size_t len, size_t align, enum mm_zone zone)
{
    uaddr_t low_end = trampoline_start(), found = 0;
    uaddr_t high_start = MIN(LOW_END, mms.user_end);

    align = MAX(align, PAGE_SIZE);
    if (len > mms.user_end) return 0;
    switch (zone) {
    case ZONE_LOW_EXEC: return find_upwards(MIN(LOW_EXEC_START, low_end), low_end, len, align);
    case ZONE_HEAP:
        if (mms.user_end > 2 * HEAP_ZONE_START)
            found = find_upwards(HEAP_ZONE_START, mms.user_end / 2, len, align);
        if (found) return found;
        break;
    case ZONE_HIGH: break;
    }
    found = find_downwards(high_start, mm->search_top, len, align);
    if (!found && mm->search_top < mms.user_end) found = find_downwards(high_start, mms.user_end, len, align);
    if (!found) found = find_downwards(USER_START, low_end, len, align);
    else mm->search_top = found;
    return found;
}

uaddr_t mm_find_stack(struct mm *mm, size_t len)
{
    const struct runnc_boot_info *info = host_boot_info();

    for (uint32_t i = 0; i < info->stack_slots_count; i++) {
        uaddr_t start = info->stack_slots + i * RUNNC_STACK_SLOT_BYTES + RUNNC_STACK_GUARD_BYTES;
        if (len <= RUNNC_STACK_SLOT_BYTES - RUNNC_STACK_GUARD_BYTES && !overlapping(start, start + len)) return start;
    }
    return mm_find_free(mm, len, PAGE_SIZE, ZONE_HIGH);
}

bool mm_is_reserved(uaddr_t start, uaddr_t end)
{
    return (start < trampoline_start() + TRAMPOLINE_REGION && end > trampoline_start()) ||
           memory_in_stack_guard(start, end) || segments_index_overlaps(start, end);
}

size_t user_range_max(uaddr_t addr)
{
    return addr >= USER_START && addr < mms.user_end ? mms.user_end - addr : 0;
}

bool user_range_ok(uaddr_t addr, size_t n, bool write)
{
    if (addr < USER_START || addr > mms.user_end || n > mms.user_end - addr) return false;
    if (likely(host_has_memctl()) || !n) return true;
    /* Strict: the host would let everything through. */
    for (uaddr_t a = addr, end = addr + n; a < end;) {
        const struct vma *v = mm_find(current->process->mm, a);
        if (!v || !(v->prot & (write ? PROT_WRITE : PROT_READ | PROT_WRITE))) return false;
        a = v->end;
    }
    return true;
}

/* mmap(MAP_GROWSDOWN): a fault in the gap below grows it by whole pages down to the fault. */
static bool grow_down(struct mm *mm, uaddr_t addr)
{
    unsigned i = vma_index(mm, addr);

    if (i == mm->count || !(mm->vmas[i].flags & VMA_GROWSDOWN)) return false;
    struct vma *v = &mm->vmas[i];
    uaddr_t start = PAGE_DOWN(addr);
    uaddr_t floor = i ? mm->vmas[i - 1].end + STACK_GUARD_GAP : USER_START;
    if (addr >= v->start || start < floor) return false;
    if (v->end - start > task_rlimit(RLIMIT_STACK) || mm_mapped_elsewhere(mm, start, v->start)) return false;
    if (mm_is_reserved(start, v->start)) return false;
    struct vma more = {.start = start, .end = v->start, .prot = v->prot, .flags = v->flags};
    if (!memory_commit(more.start, more.end, more.prot)) return false;
    return vma_insert(mm, &more);
}

static bool allows(const struct vma *v, uint64_t err)
{
    int needed = err & FAULT_EXEC ? PROT_EXEC : err & FAULT_WRITE ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;

    return v->prot & needed;
}

/* A shared mapping whose file has grown: the page was closed while it lay behind the end. */
static bool open_grown(struct mm *mm, uaddr_t addr, uint64_t err)
{
    const struct vma *v = mm_find(mm, addr);

    /* What its protection forbids is a fault whatever the file's size. */
    if (!v || !(v->flags & VMA_HOME) || !allows(v, err)) return false;
    uaddr_t page = PAGE_DOWN(addr);
    if (v->offset + (page - v->start) >= PAGE_UP(file_size(v->file))) return false;
    return memory_protect(page, page + PAGE_SIZE, v->prot);
}

/* 1: mended; 0: the program's fault; -ENOMEM, -EIO. */
static int fault_once(struct mm *mm, uaddr_t addr, uint64_t err, bool always)
{
    int needed = err & FAULT_EXEC ? PROT_EXEC : err & FAULT_WRITE ? PROT_WRITE : PROT_READ;
    int r = lazy_fault(mm, addr, needed, always);

    if (!r) r = share_fault(mm, addr, needed);
    return r ? r : grow_down(mm, addr) || open_grown(mm, addr, err);
}

static enum fault_result result(int r)
{
    return r > 0 ? FAULT_RETRY : r == -EIO ? FAULT_BUS : FAULT_SIGNAL;
}

/* Once: what cannot be kept meanwhile is waited for in place. */
static bool must_fetch(struct mm *mm, uaddr_t addr)
{
    struct fetch *fetch = &current->fetch;

    if (!fetch->done) fetch->file = lazy_missing(mm, addr, &fetch->offset, &fetch->len);
    fetch->done = fetch->file;
    return fetch->file;
}

void mm_fault_fetch(void)
{
    struct fetch *fetch = &current->fetch;

    if (!fetch->file) return;
    file_fetch(fetch->file, fetch->offset, fetch->len);
    file_put(fetch->file);
    fetch->file = NULL;
}

enum fault_result mm_fault_in(uaddr_t addr, uint64_t err, bool in_kernel)
{
    if (!current || !current->process || !current->process->mm) return FAULT_SIGNAL;
    struct mm *mm = current->process->mm;
    if (!user_range_max(addr)) return FAULT_SIGNAL;
    if (!in_kernel && must_fetch(mm, addr)) return FAULT_FETCH;

    int r = fault_once(mm, addr, err, false);
    if (r == -ENOMEM && (keep_drop() | file_cache_drop() | (reclaim_untouched() > 0))) r = fault_once(mm, addr, err, false);
    if (r != -ENOMEM) return result(r);
    oom_kill();
    /* The kernel goes on with what it has begun, with a page over the limit; a program waits until somebody is gone. */
    if (!in_kernel) return FAULT_AGAIN;
    return result(fault_once(mm, addr, err, true));
}

int mm_fault_signal(struct mm *mm, uaddr_t addr, uint64_t err, int *code)
{
    const struct vma *v = mm_find(mm, addr);

    if (v && addr >= mm_file_end(v) && allows(v, err)) {
        *code = BUS_ADRERR;
        return SIGBUS;
    }
    *code = v ? SEGV_ACCERR : SEGV_MAPERR;
    return SIGSEGV;
}

uaddr_t mm_file_end(const struct vma *v)
{
    if (!v->file || v->flags & VMA_SEGMENT) return v->end;
    uint64_t size = PAGE_UP(file_size(v->file));

    return v->offset >= size ? v->start : MIN(v->end, v->start + (size - v->offset));
}

bool mm_beyond_file(struct mm *mm, uaddr_t addr)
{
    const struct vma *v = mm_find(mm, addr);

    return v && addr >= mm_file_end(v);
}

size_t mm_resident(const struct mm *mm)
{
    size_t pages = 0;

    for (unsigned i = 0; i < mm->count; i++) pages += charge_pages(mm->vmas[i].start, mm->vmas[i].end);
    return pages + (size_t)share_difference(mm);
}
