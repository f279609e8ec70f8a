#include "mm/share.h"

#include <asm/mman.h>

#include "lib/error.h"
#include "lib/string.h"
#include "mm/charge.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/lazy.h"
#include "mm/memory.h"
#include "mm/page_impl.h"
#include "mm/reclaim.h"
#include "mm/vma.h"
#include "task/task.h"

#define BUCKETS_LOG 14
#define BUCKETS (1ul << BUCKETS_LOG)

struct place;

struct frame {
    unsigned refs;
    struct place *place;
    void *data; /* a page; NULL if it is in place */
};

struct place {
    struct place *next; /* in its bucket */
    uaddr_t page;
    struct frame *in;   /* NULL: what lies there is nobody's */
    unsigned users;     /* processes that have an entry for it */
    int prot;           /* the host's, now */
};

struct page_entry {
    uaddr_t page;
    struct frame *frame;
};

static struct {
    struct place **buckets;
    const struct mm *resident; /* all its frames are in place */
} share;

/* The data of frames that hold nothing but zeroes. */
static const uint8_t zero_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
#define ZEROES ((void *)(uintptr_t)zero_page)

/* ---- contents ---- */

static bool equal(uaddr_t page, const void *data)
{
    const uint64_t *a = (const uint64_t *)page, *b = data;

    for (size_t i = 0; i < PAGE_SIZE / 8; i += 2)
        if ((a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1])) return false;
    return true;
}

static void exchange(uaddr_t page, void *data)
{
    uint64_t *a = (uint64_t *)page, *b = data;

    for (size_t i = 0; i < PAGE_SIZE / 8; i += 2) {
        uint64_t x = a[i], y = a[i + 1];
        a[i] = b[i];
        a[i + 1] = b[i + 1];
        b[i] = x;
        b[i + 1] = y;
    }
}

/* A copy of what lies in place; NULL: no memory. */
static void *save(uaddr_t page)
{
    if (page_is_zero((const void *)page)) return ZEROES;
    void *data = page_alloc(1);
    return data ? memcpy(data, (const void *)page, PAGE_SIZE) : NULL;
}

static void free_data(void *data)
{
    if (data && data != ZEROES) page_free(data, 1);
}

/* ---- places, frames, entries ---- */

static struct place **bucket(uaddr_t page)
{
    return &share.buckets[(page >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> (64 - BUCKETS_LOG)];
}

static struct place *place_find(uaddr_t page)
{
    struct place *p = share.buckets ? *bucket(page) : NULL;

    while (p && p->page != page) p = p->next;
    return p;
}

static struct place *place_new(uaddr_t page, int prot)
{
    if (!share.buckets) {
        share.buckets = page_alloc_zeroed(BUCKETS * sizeof *share.buckets / PAGE_SIZE);
        if (!share.buckets) return NULL;
    }
    struct place *p = kmalloc(sizeof *p);
    if (!p) return NULL;
    *p = (struct place){.next = *bucket(page), .page = page, .prot = prot};
    *bucket(page) = p;
    page_account_mappings(1);
    return p;
}

static void place_free(struct place *p)
{
    struct place **at = bucket(p->page);

    while (*at != p) at = &(*at)->next;
    *at = p->next;
    page_account_mappings(-1);
    kfree(p);
}

static struct frame *frame_new(struct place *place)
{
    struct frame *f = kmalloc(sizeof *f);

    if (f) *f = (struct frame){.refs = 1, .place = place};
    return f;
}

static void frame_put(struct frame *f)
{
    if (--f->refs) return;
    if (f->place->in == f) f->place->in = NULL;
    free_data(f->data);
    kfree(f);
}

/* Index of the first entry of page or behind it. */
static unsigned entry_index(const struct mm *mm, uaddr_t page)
{
    unsigned low = 0, high = mm->npages;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (mm->page_entries[mid].page < page)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct page_entry *entry_find(const struct mm *mm, uaddr_t page)
{
    unsigned i = entry_index(mm, page);

    return i < mm->npages && mm->page_entries[i].page == page ? &mm->page_entries[i] : NULL;
}

static bool entries_reserve(struct mm *mm, unsigned n)
{
    if (n <= mm->pages_capacity) return true;
    unsigned capacity = MAX(mm->pages_capacity * 2, MAX(n, 64u));
    struct page_entry *e = krealloc(mm->page_entries, capacity * sizeof *e);
    if (!e) return false;
    mm->page_entries = e;
    mm->pages_capacity = capacity;
    return true;
}

/* Takes over a reference on frame. */
static bool entry_add(struct mm *mm, uaddr_t page, struct frame *frame)
{
    if (!entries_reserve(mm, mm->npages + 1)) return false;
    unsigned i = entry_index(mm, page);
    memmove(mm->page_entries + i + 1, mm->page_entries + i, (mm->npages - i) * sizeof *mm->page_entries);
    mm->page_entries[i] = (struct page_entry){page, frame};
    mm->npages++;
    frame->place->users++;
    return true;
}

/* The frame goes, and the place with its last user. */
static void entry_release(const struct page_entry *e)
{
    struct place *place = e->frame->place;

    frame_put(e->frame);
    if (!--place->users) place_free(place);
}

static void entries_remove(struct mm *mm, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) entry_release(&mm->page_entries[i]);
    memmove(mm->page_entries + from, mm->page_entries + to, (mm->npages - to) * sizeof *mm->page_entries);
    mm->npages -= to - from;
    if (mm->npages) return;
    kfree(mm->page_entries);
    mm->page_entries = NULL;
    mm->pages_capacity = 0;
}

void share_drop(struct mm *mm, uaddr_t start, uaddr_t end)
{
    unsigned from = entry_index(mm, start), to = entry_index(mm, end);

    if (from < to) entries_remove(mm, from, to);
}

/* ---- who maps what ---- */

/* Do others map addr? *end is cut (or left) to how far that holds. */
static bool mapped_by_others(const struct mm *mm, uaddr_t addr, uaddr_t *end)
{
    const struct mm *other;
    uaddr_t mapped_to = addr, free_to = *end;

    list_for_each(other, mm_all(), all_link) {
        if (other == mm) continue;
        unsigned i = vma_index(other, addr);
        if (i == other->count) continue;
        if (other->vmas[i].start <= addr)
            mapped_to = MAX(mapped_to, other->vmas[i].end);
        else
            free_to = MIN(free_to, other->vmas[i].start);
    }
    *end = mapped_to > addr ? MIN(mapped_to, *end) : free_to;
    return mapped_to > addr;
}

bool share_alone(const struct mm *mm, uaddr_t start, uaddr_t end, struct range *alone)
{
    while (start < end) {
        uaddr_t to = end;
        if (!mapped_by_others(mm, start, &to)) {
            *alone = (struct range){start, to};
            return true;
        }
        start = to;
    }
    return false;
}

/* The first part of [start, end) that others map too. */
static bool common(const struct mm *mm, uaddr_t start, uaddr_t end, struct range *found)
{
    while (start < end) {
        uaddr_t to = end;
        if (mapped_by_others(mm, start, &to)) {
            *found = (struct range){start, to};
            return true;
        }
        start = to;
    }
    return false;
}

uaddr_t share_first_claimed(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    unsigned i = entry_index(mm, start);

    return i < mm->npages ? MIN(mm->page_entries[i].page, end) : end;
}

/*
 * Gives a common page a place and all who map it entries for the one frame, which
 * is in place. NULL: no memory, and nothing has changed.
 */
static struct place *make_place(uaddr_t page, int prot)
{
    struct place *place = place_new(page, prot);
    struct mm *mm;

    if (!place) return NULL;
    place->in = frame_new(place);
    if (!place->in) {
        place_free(place);
        return NULL;
    }
    place->users = 1; /* ours, until all have theirs */
    list_for_each(mm, mm_all(), all_link) {
        if (!mm_find(mm, page)) continue;
        if (!entry_add(mm, page, place->in)) goto undo;
        place->in->refs++;
    }
    place->in->refs--;
    place->users--;
    return place;
undo:
    list_for_each(mm, mm_all(), all_link) {
        struct page_entry *e = entry_find(mm, page);
        if (e) entries_remove(mm, (unsigned)(e - mm->page_entries), (unsigned)(e - mm->page_entries) + 1);
    }
    frame_put(place->in);
    place_free(place);
    return NULL;
}

/* mm's frame, in place and counted by others too, becomes one of its own; others keep a copy. */
static bool split_frame(struct page_entry *e)
{
    struct frame *old = e->frame, *own = frame_new(old->place);

    if (!own) return false;
    old->data = save(e->page);
    if (!old->data) {
        kfree(own);
        return false;
    }
    old->refs--;
    old->place->in = own;
    e->frame = own;
    return true;
}

/* Makes one page of the running mm its own, in place. *exclusive: nobody else maps it at all. */
static bool separate(struct mm *mm, uaddr_t page, bool *exclusive)
{
    struct page_entry *e = entry_find(mm, page);
    uaddr_t end = page + PAGE_SIZE;

    *exclusive = false;
    if (!e) {
        if (!mapped_by_others(mm, page, &end)) {
            *exclusive = true;
            return true;
        }
        if (!make_place(page, PROT_READ)) return false;
        e = entry_find(mm, page);
    }
    return e->frame->refs == 1 || split_frame(e);
}

/* ---- protections ---- */

/* Without write access; what could be written could be read. */
static int read_only(int prot)
{
    return prot & PROT_WRITE ? (prot & ~PROT_WRITE) | PROT_READ : prot;
}

/* Changes the host's protection where the pages of [start, end) have places. */
static void note_prot(struct mm *mm, uaddr_t start, uaddr_t end, int prot)
{
    for (unsigned i = entry_index(mm, start); i < mm->npages && mm->page_entries[i].page < end; i++)
        mm->page_entries[i].frame->place->prot = prot;
}

/* A page that has a place is never deferred: what is noted of its protection would not be so. */
static void charge_places(struct mm *mm, uaddr_t start, uaddr_t end)
{
    for (unsigned i = entry_index(mm, start); i < mm->npages && mm->page_entries[i].page < end; i++)
        charge_always(mm->page_entries[i].page, mm->page_entries[i].page + PAGE_SIZE);
}

static bool protect_noted(struct mm *mm, uaddr_t start, uaddr_t end, int prot)
{
    if (prot & PROT_WRITE && memory_is_closed()) charge_places(mm, start, end);
    if (!memory_protect(start, end, prot)) return false;
    note_prot(mm, start, end, prot);
    return true;
}

/* Somebody else may read there. */
static bool read_by_others(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    const struct mm *other;

    list_for_each(other, mm_all(), all_link) {
        if (other == mm) continue;
        for (unsigned i = vma_index(other, start); i < other->count && other->vmas[i].start < end; i++)
            if (other->vmas[i].prot & (PROT_READ | PROT_WRITE)) return true;
    }
    return false;
}

/* May mm write to what begins at addr? *to is how far that holds. */
static bool is_own(const struct mm *mm, uaddr_t addr, uaddr_t end, uaddr_t *to)
{
    unsigned i = entry_index(mm, addr);

    *to = end;
    if (!mapped_by_others(mm, addr, to)) return true;
    if (i < mm->npages && mm->page_entries[i].page == addr) {
        *to = addr + PAGE_SIZE;
        return mm->page_entries[i].frame->refs == 1;
    }
    if (i < mm->npages) *to = MIN(*to, mm->page_entries[i].page);
    return false;
}

/* The host has this protection already: known of pages that have places. */
static bool is_noted(const struct mm *mm, uaddr_t start, uaddr_t end, int prot)
{
    unsigned i = entry_index(mm, start);

    for (uaddr_t page = start; page < end; page += PAGE_SIZE, i++)
        if (i >= mm->npages || mm->page_entries[i].page != page || mm->page_entries[i].frame->place->prot != prot)
            return false;
    return true;
}

bool share_protect(struct mm *mm, uaddr_t start, uaddr_t end, int prot)
{
    struct range r;

    if (!(prot & (PROT_READ | PROT_WRITE)) && memory_is_closed()) {
        /* What others may read cannot be closed: a page of one's own can. */
        for (uaddr_t a = start; common(mm, a, end, &r); a = r.end)
            if (read_by_others(mm, r.start, r.end) && share_own(mm, r.start, r.end)) return false;
    }
    if (!(prot & PROT_WRITE)) return protect_noted(mm, start, end, prot);
    if (!memory_is_closed()) {
        for (uaddr_t a = start; common(mm, a, end, &r); a = r.end)
            if (share_own(mm, r.start, r.end)) return false;
        return protect_noted(mm, start, end, prot);
    }
    bool writable = false;
    for (uaddr_t a = start, to; a < end; a = to) {
        to = a;
        for (uaddr_t next; to < end; to = next) {
            bool w = is_own(mm, to, end, &next);
            if (to == a) writable = w;
            if (w != writable) break;
        }
        int wanted = writable ? prot : read_only(prot);
        if (!is_noted(mm, a, to, wanted) && !protect_noted(mm, a, to, wanted)) return false;
    }
    return true;
}

/* ---- faults ---- */

/* As far as it is open at all. */
static bool protect_whole(struct mm *mm, const struct vma *v, int prot)
{
    uaddr_t end = mm_file_end(v);

    return v->start == end || protect_noted(mm, v->start, end, prot);
}

/* What has been write-protected for others, that are gone now, is open again. */
static void reopen(struct mm *mm)
{
    struct range r;
    bool left = false;

    for (unsigned i = 0; i < mm->count; i++) {
        const struct vma *v = &mm->vmas[i];
        if (v->flags & VMA_SHARED) continue;
        if (common(mm, v->start, v->end, &r)) {
            left |= v->prot & PROT_WRITE;
            continue;
        }
        share_drop(mm, v->start, v->end);
        if (v->prot & PROT_WRITE) protect_whole(mm, v, v->prot);
    }
    mm->write_protected = left;
    mm->write_faults = 0;
}

/* How many pages a fault separates at once: more, the more there are, for each one costs host calls and a mapping. */
static size_t cluster(const struct mm *mm)
{
    return mm->write_faults < 16 ? 1 : mm->write_faults < 64 ? 4 : mm->write_faults < 256 ? 16 : 64;
}

static bool write_fault(struct mm *mm, const struct vma *v, uaddr_t addr)
{
    size_t size = cluster(mm) * PAGE_SIZE;
    uaddr_t start = ALIGN_DOWN(addr, size), end = start + size, page = PAGE_DOWN(addr);
    struct range deferred;
    bool exclusive;

    if (!memory_claim(page, page + PAGE_SIZE, PROT_WRITE) || !separate(mm, page, &exclusive)) return false;
    if (exclusive && mm->write_protected) reopen(mm);
    start = MAX(start, v->start);
    end = MIN(end, v->end);
    if (v->file && !(v->flags & VMA_SEGMENT)) {
        start = page;
        end = page + PAGE_SIZE;
    }
    mm->write_faults++;
    if (memory_deferred(start, end, &deferred)) {
        start = page;
        end = page + PAGE_SIZE;
    }
    /* Neighbours are a guess; without memory for them they are left as they are. */
    for (uaddr_t a = start; a < end; a += PAGE_SIZE)
        if (a != page && (!memory_claim(a, a + PAGE_SIZE, PROT_WRITE) || !separate(mm, a, &exclusive))) break;
    return share_protect(mm, start, end, v->prot);
}

int share_union_prot(const struct mm *mm, uaddr_t addr, int prot)
{
    struct mm *other;

    list_for_each(other, mm_all(), all_link) {
        const struct vma *v = other == mm ? NULL : mm_find(other, addr);
        if (v && v->flags & VMA_SHARED) prot |= v->prot;
    }
    return prot;
}

int share_fault(struct mm *mm, uaddr_t addr, int needed)
{
    const struct vma *v = mm_find(mm, addr);
    uaddr_t page = PAGE_DOWN(addr);
    bool done;

    /* What can be written can be read. */
    int enough = needed == PROT_READ ? PROT_READ | PROT_WRITE : needed;

    if (!memory_is_closed() || !v || !(v->prot & enough) || mm_beyond_file(mm, addr)) return 0;
    if (v->flags & VMA_SHARED)
        done = memory_protect(page, page + PAGE_SIZE, share_union_prot(mm, page, v->prot));
    else if (needed == PROT_WRITE)
        done = write_fault(mm, v, addr);
    else if (v->file && !(v->flags & VMA_SEGMENT))
        done = share_protect(mm, page, page + PAGE_SIZE, v->prot);
    else
        done = share_protect(mm, v->start, v->end, v->prot);
    return done ? 1 : -ENOMEM;
}

bool share_is_code(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    const struct mm *other;

    list_for_each(other, mm_all(), all_link) {
        if (other == mm) continue;
        for (unsigned i = vma_index(other, start); i < other->count && other->vmas[i].start < end; i++)
            if (!(other->vmas[i].prot & PROT_EXEC)) return false;
    }
    return true;
}

/* ---- having memory of one's own ---- */

int share_own(struct mm *mm, uaddr_t start, uaddr_t end)
{
    bool exclusive;

    int err = lazy_fill(mm, start, end);
    if (err) return err;
    if (!memory_open(start, end, PROT_READ | PROT_WRITE)) return -ENOMEM;
    for (uaddr_t page = start; page < end && !err; page += PAGE_SIZE)
        if (!separate(mm, page, &exclusive)) err = -ENOMEM;
    note_prot(mm, start, end, PROT_READ | PROT_WRITE);
    if (err) share_protect(mm, start, end, PROT_READ);
    return err;
}

/* A frame of mm's in place of what is there; the holders of that keep it. */
static bool claim_page(struct mm *mm, uaddr_t page)
{
    struct place *place = place_find(page);

    if (!place) place = make_place(page, PROT_READ | PROT_WRITE);
    if (!place) return false;
    struct frame *own = frame_new(place), *old = place->in;
    if (!own) return false;
    if (old) {
        old->data = save(page);
        if (!old->data) goto fail;
        place->in = NULL;
    }
    if (!entry_add(mm, page, own)) goto fail;
    place->in = own;
    place->prot = PROT_READ | PROT_WRITE;
    if (old && old->data == ZEROES) return true;
    memset((void *)page, 0, PAGE_SIZE);
    return true;
fail:
    kfree(own);
    return false;
}

/* May what the others have in [start, end) be put aside? Fills in what they have not touched yet. */
static int prepare_claim(const struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct mm *other;

    list_for_each(other, mm_all(), all_link) {
        if (other == mm) continue;
        unsigned first = vma_index(other, start);
        for (unsigned i = first; i < other->count && other->vmas[i].start < end; i++)
            if (other->vmas[i].flags & VMA_SHARED) return -ENOMEM;
        if (first == other->count || other->vmas[first].start >= end) continue;
        int err = lazy_fill(other, start, end);
        if (err) return err;
    }
    return 0;
}

/* What could not be claimed is common again, as far as it was: nobody may write to it unseen. */
static void close_unclaimed(uaddr_t start, uaddr_t end)
{
    memory_protect(start, end, PROT_READ);
    for (uaddr_t page = start; page < end; page += PAGE_SIZE) {
        struct place *place = place_find(page);
        if (place) place->prot = PROT_READ;
    }
}

int share_claim(struct mm *mm, uaddr_t start, uaddr_t end)
{
    struct range r;

    for (uaddr_t a = start; common(mm, a, end, &r); a = r.end) {
        uaddr_t page = r.start;
        int err = prepare_claim(mm, r.start, r.end);
        bool open = !err && memory_open(r.start, r.end, PROT_READ | PROT_WRITE);
        if (!err && !open) err = -ENOMEM;
        share.resident = mm;
        while (!err && page < r.end) {
            if (claim_page(mm, page))
                page += PAGE_SIZE;
            else
                err = -ENOMEM;
        }
        if (!err) continue;
        if (open) close_unclaimed(page, r.end);
        share_drop(mm, start, end);
        return err;
    }
    return 0;
}

static void load(struct page_entry *e, bool writable);
static unsigned open_row(const struct mm *mm, unsigned first, uaddr_t end);

/* Has other, from addr on, what (file, offset) says, unwritten? The end of it, addr if not. */
static uaddr_t same_to(const struct mm *other, uaddr_t addr, const struct file *file, uint64_t offset, int prot,
                       bool in_place)
{
    unsigned i = vma_index(other, addr);
    const struct vma *v = i < other->count && other->vmas[i].start <= addr ? &other->vmas[i] : NULL;

    if (!v || !v->file || v->flags & (VMA_SHARED | VMA_WRITTEN) || !file_is_same(v->file, file)) return addr;
    /* A segment's last page ends in zeroes in the companion, and in what is next in the file. */
    if (in_place != !!(v->flags & VMA_SEGMENT)) return addr;
    if (in_place) return v->end;
    if (v->prot != prot || v->offset + (addr - v->start) != offset || !file_is_pristine(v->file)) return addr;
    return v->end;
}

/* Common pages need no entry: those of the others' entries that lie in [start, end) are mm's too. The end of what it has. */
static uaddr_t join_entries(struct mm *mm, const struct mm *other, uaddr_t start, uaddr_t end, bool *loaded)
{
    for (unsigned i = entry_index(other, start); i < other->npages && other->page_entries[i].page < end; i++) {
        struct page_entry e = other->page_entries[i];
        if (!entry_add(mm, e.page, e.frame)) return e.page;
        e.frame->refs++;
        if (e.frame->place->in == e.frame) continue;
        open_row(other, i, end);
        share.resident = mm;
        load(entry_find(mm, e.page), false);
        *loaded = true;
    }
    return end;
}

uaddr_t share_join(struct mm *mm, uaddr_t start, uaddr_t end, struct file *file, uint64_t offset, int prot,
                   bool in_place)
{
    struct mm *other;
    bool loaded = false;

    list_for_each(other, mm_all(), all_link) {
        if (other == mm) continue;
        uaddr_t to = MIN(same_to(other, start, file, offset, prot, in_place), end);
        if (to <= start) continue;
        to = join_entries(mm, other, start, to, &loaded);
        /* What had to be opened for that is nobody's to write to. Those who cannot do that later get it by faults. */
        if (loaded) protect_noted(mm, start, to, read_only(prot));
        return to;
    }
    return start;
}

/* ---- switching ---- */

/* Content was lost for lack of memory: whoever had it is killed before it runs again. */
static void lose(struct frame *f)
{
    struct mm *mm;

    list_for_each(mm, mm_all(), all_link) {
        const struct page_entry *e = entry_find(mm, f->place->page);
        if (e && e->frame == f) mm->out_of_memory = true;
    }
    f->data = ZEROES;
}

/* Two processes that only read a page and have the same in it can as well have the same frame. */
static bool merge(struct page_entry *e, const struct vma *v)
{
    struct place *place = e->frame->place;

    if (!place->in && place->prot & PROT_READ && e->frame->refs == 1 && equal(place->page, e->frame->data)) {
        /* Who left it there had the same. */
        free_data(e->frame->data);
        e->frame->data = NULL;
        place->in = e->frame;
        return true;
    }
    if (v->prot & PROT_WRITE || !place->in || place->prot & PROT_WRITE || !(place->prot & PROT_READ)) return false;
    if (!equal(place->page, e->frame->data)) return false;
    place->in->refs++;
    frame_put(e->frame);
    e->frame = place->in;
    return true;
}

/* Brings a frame in place, where the host allows writing. */
static void load(struct page_entry *e, bool writable)
{
    struct frame *f = e->frame, *own = f;
    struct place *place = f->place;
    struct frame *old = place->in;

    if (old == f) return;
    if (f->refs > 1 && writable) {
        /* Others keep it: a copy of one's own now saves a fault later. */
        own = frame_new(place);
        if (own)
            f->refs--;
        else
            own = f;
    }
    if (own == f && old && f->data != ZEROES) {
        exchange(place->page, f->data);
        old->data = f->data;
    } else {
        if (old) {
            old->data = save(place->page);
            if (!old->data && reclaim_untouched()) old->data = save(place->page);
            if (!old->data) lose(old);
        }
        if (f->data == ZEROES)
            memset((void *)place->page, 0, PAGE_SIZE);
        else
            memcpy((void *)place->page, f->data, PAGE_SIZE);
        if (own == f) free_data(f->data);
    }
    own->data = NULL;
    place->in = own;
    e->frame = own;
}

static bool is_open(const struct place *place)
{
    return (place->prot & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE);
}

/* Opens what is to be loaded of mm's entries from `first` on and lies in a row, up to end, in one host call. How many. */
static unsigned open_row(const struct mm *mm, unsigned first, uaddr_t end)
{
    uaddr_t from = mm->page_entries[first].page, to = from;
    unsigned i = first;

    for (; i < mm->npages && mm->page_entries[i].page == to && to < end; i++, to += PAGE_SIZE) {
        const struct frame *f = mm->page_entries[i].frame;
        if (f->place->in == f || is_open(f->place)) break;
        f->place->prot = PROT_READ | PROT_WRITE;
    }
    if (from < to) memory_open_always(from, to, PROT_READ | PROT_WRITE);
    return i - first;
}

static void open_for_loading(struct mm *mm)
{
    for (unsigned i = 0; i < mm->npages;) i += MAX(open_row(mm, i, UINT64_MAX), 1u);
}

static int wanted_prot(const struct page_entry *e, const struct vma *v)
{
    return e->frame->refs > 1 ? read_only(v->prot) : v->prot;
}

static void protect_loaded(uaddr_t start, uaddr_t end, int prot)
{
    if (start == end) return;
    if (prot & PROT_WRITE) charge_always(start, end);
    memory_protect(start, end, prot);
}

/* Protections of what was loaded, in as few host calls as can be. */
static void close_after_loading(struct mm *mm)
{
    unsigned v = 0;
    uaddr_t from = 0, to = 0;
    int prot = 0;

    for (unsigned i = 0; i < mm->npages; i++) {
        const struct page_entry *e = &mm->page_entries[i];
        struct place *place = e->frame->place;
        while (v < mm->count && mm->vmas[v].end <= e->page) v++;
        if (v == mm->count) break;
        int wanted = wanted_prot(e, &mm->vmas[v]);
        if (place->prot == wanted) continue;
        place->prot = wanted;
        if (e->page != to || wanted != prot) {
            protect_loaded(from, to, prot);
            from = e->page;
            prot = wanted;
        }
        to = e->page + PAGE_SIZE;
    }
    protect_loaded(from, to, prot);
}

void share_switch(struct mm *mm)
{
    if (mm == share.resident) return;
    share.resident = mm;
    if (!mm->npages) return;
    for (unsigned i = 0, v = 0; i < mm->npages; i++) {
        struct page_entry *e = &mm->page_entries[i];
        while (v < mm->count && mm->vmas[v].end <= e->page) v++;
        if (v < mm->count && e->frame->place->in != e->frame) merge(e, &mm->vmas[v]);
    }
    if (memory_is_closed()) open_for_loading(mm);
    for (unsigned i = 0, v = 0; i < mm->npages; i++) {
        while (v < mm->count && mm->vmas[v].end <= mm->page_entries[i].page) v++;
        load(&mm->page_entries[i], v < mm->count && mm->vmas[v].prot & PROT_WRITE);
    }
    if (memory_is_closed()) close_after_loading(mm);
}

void share_forget(const struct mm *mm)
{
    kfree(mm->page_entries);
    if (share.resident == mm) share.resident = NULL;
}

/* ---- fork ---- */

static bool copy_vmas(struct mm *child, const struct mm *mm)
{
    for (unsigned i = 0; i < mm->count; i++) {
        struct vma v = mm->vmas[i];
        if (v.flags & VMA_DONTFORK) continue;
        if (v.file) file_get(v.file);
        if (!vma_insert(child, &v)) {
            if (v.file) file_put(v.file);
            return false;
        }
    }
    return true;
}

static bool copy_entries(struct mm *child, const struct mm *mm)
{
    if (!entries_reserve(child, mm->npages)) return false;
    for (unsigned i = 0, v = 0; i < mm->npages; i++) {
        struct page_entry e = mm->page_entries[i];
        while (v < child->count && child->vmas[v].end <= e.page) v++;
        if (v == child->count) break;
        if (child->vmas[v].start > e.page) continue;
        e.frame->refs++;
        e.frame->place->users++;
        child->page_entries[child->npages++] = e;
    }
    return true;
}

/* MADV_WIPEONFORK: the child, which shares nothing of it, finds zeroes. */
static bool wipe(struct mm *child, struct mm *mm, const struct vma *v)
{
    bool exclusive;

    if (lazy_fill(mm, v->start, v->end)) return false;
    for (uaddr_t page = v->start; page < v->end; page += PAGE_SIZE) {
        if (!separate(mm, page, &exclusive)) return false;
        struct page_entry *e = entry_find(child, page);
        struct frame *f = frame_new(e->frame->place);
        if (!f) return false;
        f->data = ZEROES;
        frame_put(e->frame);
        e->frame = f;
    }
    return true;
}

/* Without memctl: both have all of their own from now on. */
static bool separate_all(struct mm *mm, const struct vma *v)
{
    bool exclusive;

    for (uaddr_t page = v->start; page < v->end; page += PAGE_SIZE)
        if (!separate(mm, page, &exclusive)) return false;
    return true;
}

struct mm *share_fork(struct mm *mm)
{
    struct mm *child = mm_new();

    if (!child) return NULL;
    mm_copy_layout(child, mm);
    if (!copy_vmas(child, mm) || !copy_entries(child, mm)) goto fail;
    mm->write_faults = 0;
    mm->write_protected = child->write_protected = true;
    for (unsigned i = 0; i < mm->count; i++) {
        const struct vma *v = &mm->vmas[i];
        if (v->flags & (VMA_SHARED | VMA_DONTFORK) || !(v->prot & PROT_WRITE)) continue;
        if (!(memory_is_closed() ? protect_whole(mm, v, read_only(v->prot)) : separate_all(mm, v))) goto fail;
        if (v->flags & VMA_WIPEONFORK && !wipe(child, mm, v)) goto fail;
    }
    return child;
fail:
    mm_put(child); /* protections heal by faults */
    return NULL;
}

/* ---- the memory of others ---- */

ssize_t share_difference(const struct mm *mm)
{
    ssize_t n = 0;

    for (unsigned i = 0; i < mm->npages; i++) {
        const struct frame *f = mm->page_entries[i].frame;
        if (f->place->in == f) continue;
        n += f->data != ZEROES;
        n -= (ssize_t)charge_pages(mm->page_entries[i].page, mm->page_entries[i].page + PAGE_SIZE);
    }
    return n;
}

int user_copy(void *dst, const void *src, size_t n); /* entry/gate.S */

size_t share_peek(struct mm *mm, uaddr_t addr, void *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        uaddr_t at = addr + done, page = PAGE_DOWN(at);
        size_t part = MIN(n - done, page + PAGE_SIZE - at);
        const struct vma *v = mm_find(mm, at);
        if (!v || !(v->prot & (PROT_READ | PROT_WRITE)) || mm_beyond_file(mm, at)) break;
        if (lazy_fill(mm, page, page + PAGE_SIZE)) break;
        const struct page_entry *e = entry_find(mm, page);
        if (e && e->frame->data)
            memcpy((char *)buf + done, (const char *)e->frame->data + (at - page), part);
        else if (user_copy((char *)buf + done, (const void *)at, part))
            break;
        done += part;
    }
    return done;
}

/* Part of one page. */
static bool poke(struct mm *mm, const struct vma *v, uaddr_t at, const void *buf, size_t n)
{
    uaddr_t page = PAGE_DOWN(at);

    if (lazy_fill(mm, page, page + PAGE_SIZE)) return false;
    if (v->flags & VMA_SHARED) return !user_copy((void *)at, buf, n);
    share_switch(mm);
    if (share_own(mm, page, page + PAGE_SIZE)) return false;
    memcpy((void *)at, buf, n);
    return share_protect(mm, page, page + PAGE_SIZE, v->prot);
}

size_t share_poke(struct mm *mm, uaddr_t addr, const void *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        uaddr_t at = addr + done;
        size_t part = MIN(n - done, PAGE_DOWN(at) + PAGE_SIZE - at);
        const struct vma *v = mm_find(mm, at);
        if (!v || !(v->prot & PROT_WRITE) || mm_beyond_file(mm, at)) break;
        if (!poke(mm, v, at, (const char *)buf + done, part)) break;
        done += part;
    }
    share_switch(current->process->mm);
    return done;
}
