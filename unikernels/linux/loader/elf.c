#include "loader/elf.h"

#include <asm/mman.h>
#include <linux/mman.h>

#include "boot/layout.h"
#include "lib/error.h"
#include "lib/string.h"
#include "loader/elf_in_place.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/lazy.h"
#include "mm/mm.h"
#include "mm/share.h"

#define MAX_ALIGN (2ul << 20) /* huge pages: more is a wish, not a need */

static int read_exactly(struct file *file, void *buf, size_t n, uint64_t offset)
{
    ssize_t r = file_read_at(file, buf, n, offset);

    if (r < 0) return (int)r;
    return (size_t)r == n ? 0 : -ENOEXEC;
}

static int read_interp(struct elf_program *p, const Elf64_Phdr *ph)
{
    if (ph->p_filesz < 2 || ph->p_filesz > sizeof p->interp) return -ENOEXEC;
    int err = read_exactly(p->file, p->interp, ph->p_filesz, ph->p_offset);
    if (!err && p->interp[ph->p_filesz - 1]) err = -ENOEXEC;
    return err;
}

static int check_load(struct elf_program *p, const Elf64_Phdr *ph)
{
    uint64_t end;

    if (ph->p_filesz > ph->p_memsz || (ph->p_vaddr - ph->p_offset) % PAGE_SIZE) return -ENOEXEC;
    if (__builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end) || PAGE_UP(end) < end) return -ENOEXEC;
    if (__builtin_add_overflow(ph->p_offset, ph->p_filesz, &end)) return -ENOEXEC;
    p->min_vaddr = MIN(p->min_vaddr, PAGE_DOWN(ph->p_vaddr));
    p->max_vaddr = MAX(p->max_vaddr, PAGE_UP(ph->p_vaddr + ph->p_memsz));
    if (ph->p_align && !(ph->p_align & (ph->p_align - 1))) p->align = MAX(p->align, MIN(ph->p_align, MAX_ALIGN));
    return 0;
}

int elf_read(struct file *file, struct elf_program *p)
{
    *p = (struct elf_program){.file = file, .min_vaddr = ~0ul, .align = PAGE_SIZE};
    int err = read_exactly(file, &p->head, sizeof p->head, 0);

    if (err) return err;
    if (memcmp(p->head.e_ident, ELFMAG, SELFMAG) || p->head.e_ident[EI_CLASS] != ELFCLASS64 ||
        p->head.e_machine != EM_X86_64 || (p->head.e_type != ET_EXEC && p->head.e_type != ET_DYN) ||
        p->head.e_phentsize != sizeof(Elf64_Phdr) || !p->head.e_phnum || p->head.e_phnum > ELF_MAX_PHDRS)
        return -ENOEXEC;
    size_t bytes = p->head.e_phnum * sizeof *p->phdrs;
    p->phdrs = kmalloc(bytes);
    if (!p->phdrs) return -ENOMEM;
    err = read_exactly(file, p->phdrs, bytes, p->head.e_phoff);
    for (unsigned i = 0; i < p->head.e_phnum && !err; i++) {
        const Elf64_Phdr *ph = &p->phdrs[i];
        if (ph->p_type == PT_LOAD && ph->p_memsz) err = check_load(p, ph);
        if (ph->p_type == PT_INTERP && !p->interp[0]) err = read_interp(p, ph);
        if (ph->p_type == PT_GNU_STACK) p->executable_stack = ph->p_flags & PF_X;
    }
    if (!err && p->max_vaddr <= p->min_vaddr) err = -ENOEXEC;
    if (err) elf_free(p);
    return err;
}

void elf_free(struct elf_program *p)
{
    kfree(p->phdrs);
    p->phdrs = NULL;
}

static int prot_of(const Elf64_Phdr *ph)
{
    return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
           (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

static void note_place(struct elf_place *place, const struct elf_program *p, const Elf64_Phdr *ph)
{
    uaddr_t start = place->bias + ph->p_vaddr;

    if (p->head.e_phoff >= ph->p_offset && p->head.e_phoff < ph->p_offset + ph->p_filesz)
        place->phdr = start + (p->head.e_phoff - ph->p_offset);
    if (ph->p_flags & PF_X) {
        if (!place->start_code) place->start_code = start;
        place->end_code = start + ph->p_filesz;
    } else if (ph->p_flags & PF_W) {
        place->start_data = start;
        place->end_data = start + ph->p_filesz;
    }
    place->end = MAX(place->end, start + ph->p_memsz);
}

/*
 * Whole pages of file bytes are a private mapping of the file, filled as they are
 * touched; the rest, which ends in zeroes, is anonymous.
 */
static int copy_segment(struct mm *mm, const struct elf_program *p, const Elf64_Phdr *ph, uaddr_t bias)
{
    uaddr_t first = bias + ph->p_vaddr, start = PAGE_DOWN(first), end = PAGE_UP(first + ph->p_memsz);
    uaddr_t tail = MAX(PAGE_DOWN(first + ph->p_filesz), start);

    /* Without zeroes behind the bytes, the last page is the file's too, as on Linux: text can be common to its end. */
    if (ph->p_filesz == ph->p_memsz && !(ph->p_flags & PF_W)) tail = end;
    const struct vma *before = mm_find(mm, start);
    long r;

    if (before) {
        /* Two segments in one page: the later one's bytes win, in memory that is there already. */
        r = mm_protect(mm, start, PAGE_SIZE, before->prot | PROT_READ | PROT_WRITE);
        if (!r) r = share_own(mm, start, start + PAGE_SIZE);
        if (r < 0) return (int)r;
        tail = start;
    }
    if (start < tail) {
        r = mm_map(mm, start, tail - start, prot_of(ph), MAP_PRIVATE | MAP_FIXED, p->file, PAGE_DOWN(ph->p_offset));
        if (r < 0) return (int)r;
        if (p->head.e_type == ET_EXEC && !(ph->p_flags & PF_W)) mm_find(mm, start)->flags |= VMA_KEEP;
    }
    if (tail == end) return 0;
    uaddr_t from = before ? start + PAGE_SIZE : tail;
    if (from < end) {
        r = mm_map_anonymous(mm, from, end - from, PROT_READ | PROT_WRITE, 0);
        if (r < 0) return (int)r;
    }
    uaddr_t rest = MAX(tail, first);
    size_t bytes = first + ph->p_filesz - rest;
    int err = lazy_fill(mm, PAGE_DOWN(rest), PAGE_UP(rest + bytes));
    if (err) return err;
    ssize_t n = bytes ? file_read_at(p->file, (void *)rest, bytes, ph->p_offset + (rest - first)) : 0;
    if (n < 0) return (int)n;
    if ((size_t)n != bytes) return -ENOEXEC;
    return tail < end ? (int)mm_protect(mm, tail, end - tail, prot_of(ph)) : 0;
}

static int map_segment_in_place(struct mm *mm, const struct elf_program *p, const Elf64_Phdr *ph, uaddr_t bias)
{
    uaddr_t start = PAGE_DOWN(bias + ph->p_vaddr), end = PAGE_UP(bias + ph->p_vaddr + ph->p_memsz);
    size_t file_bytes = bias + ph->p_vaddr + ph->p_filesz - start;
    long r = mm_map_segment(mm, start, end - start, prot_of(ph), p->file, PAGE_DOWN(ph->p_offset), file_bytes);

    return r < 0 ? (int)r : 0;
}

/* Everything at one bias; on failure what was mapped is taken back. */
static int load_at(struct mm *mm, const struct elf_program *p, struct elf_place *place, bool in_place)
{
    int err = 0;

    for (unsigned i = 0; i < p->head.e_phnum && !err; i++) {
        const Elf64_Phdr *ph = &p->phdrs[i];
        if (ph->p_type != PT_LOAD || !ph->p_memsz) continue;
        err = in_place ? map_segment_in_place(mm, p, ph, place->bias) : copy_segment(mm, p, ph, place->bias);
        if (!err) note_place(place, p, ph);
    }
    if (err) mm_unmap(mm, place->bias + p->min_vaddr, p->max_vaddr - p->min_vaddr);
    return err;
}

int elf_load(struct mm *mm, const struct elf_program *p, struct elf_place *place)
{
    size_t span = p->max_vaddr - p->min_vaddr, held = 0;

    *place = (struct elf_place){0};
    if (p->head.e_type == ET_EXEC) {
        if (p->min_vaddr < USER_START || user_range_max(p->min_vaddr) < span) return -ENOMEM;
    }
    uaddr_t start = file_segments(p->file, &held);
    if (start && held >= span && (p->head.e_type == ET_DYN || start == p->min_vaddr)) {
        place->bias = start - p->min_vaddr;
        int err = load_at(mm, p, place, true);
        if (!err) {
            place->entry = place->bias + p->head.e_entry;
            return 0;
        }
        *place = (struct elf_place){0};
    }
    if (p->head.e_type == ET_DYN) {
        start = mm_find_free(mm, span, p->align, ZONE_LOW_EXEC);
        if (!start) start = mm_find_free(mm, span, p->align, ZONE_HIGH);
        if (!start) return -ENOMEM;
        *place = (struct elf_place){.bias = start - p->min_vaddr};
    }
    int err = load_at(mm, p, place, false);
    place->entry = place->bias + p->head.e_entry;
    return err;
}

uaddr_t elf_in_place(struct file *file, uint64_t offset, size_t len, int flags, uaddr_t addr)
{
    struct elf_program p;
    size_t span;
    uaddr_t start = file_segments(file, &span), found = 0;

    if (!start || elf_read(file, &p)) return 0;
    if (!(flags & MAP_FIXED)) {
        /*
         * A loader maps the whole span of addresses first; who wants to read the file maps its
         * length. Only for the loader are the bytes behind the first segment of no matter.
         */
        size_t wanted = p.max_vaddr - p.min_vaddr;
        bool loader = flags & MAP_DENYWRITE || len != PAGE_UP(file_size(file));
        if (!addr && loader && len == wanted && len <= span && p.phdrs && offset == 0) found = start;
    } else if (addr >= start && addr - start < span && len <= span - (addr - start)) {
        for (unsigned i = 0; i < p.head.e_phnum && !found; i++) {
            const Elf64_Phdr *ph = &p.phdrs[i];
            uaddr_t at = start + (PAGE_DOWN(ph->p_vaddr) - p.min_vaddr);
            if (ph->p_type == PT_LOAD && at == addr && PAGE_DOWN(ph->p_offset) == offset &&
                len <= PAGE_UP(ph->p_vaddr + ph->p_memsz) - PAGE_DOWN(ph->p_vaddr))
                found = addr;
        }
    }
    elf_free(&p);
    return found;
}
