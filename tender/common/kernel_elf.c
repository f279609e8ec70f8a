#include "kernel_elf.h"

#include "fail.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The interpreter that Solo5's bindings name, so that a host kernel will not run the file. */
static const char SOLO5_INTERP[] = "/nonexistent/solo5/";

/* Longest owner that elf_note compares, NUL included, padded as in the file. */
#define NOTE_OWNER_MAX 8u

/* Reads exactly size bytes at offset; a file that ends before is an error. */
static void read_exactly(const struct elf_image *image, void *buffer, uint64_t size,
                         uint64_t offset, const char *what)
{
    uint8_t *to = buffer;

    /* file_size is an off_t that is not negative, so what lies within it fits one too. */
    if (offset > image->file_size || size > image->file_size - offset)
        fail("%s: truncated: the %s at offset %llu (%llu bytes) ends beyond the file's %llu bytes",
             image->name, what, (unsigned long long)offset, (unsigned long long)size,
             (unsigned long long)image->file_size);
    while (size > 0) {
        ssize_t got = pread(image->fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail_errno("%s: cannot read the %s", image->name, what);
        if (got == 0)
            fail("%s: the file shrank while it was read", image->name);
        to += got;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
}

static void check_file_header(const struct elf_image *image, const Elf64_Ehdr *header)
{
    const char *name = image->name;

    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        fail("%s: not an ELF file; KERNEL must be a Solo5 unikernel for the spt target", name);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64)
        fail("%s: not for x86-64 (class %u, data %u, machine %u)", name,
             header->e_ident[EI_CLASS], header->e_ident[EI_DATA], header->e_machine);
    if (header->e_ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT)
        fail("%s: unknown ELF version %u", name, header->e_version);
    if (header->e_type != ET_EXEC)
        fail("%s: ELF type %u is not ET_EXEC; a unikernel is linked statically at a fixed address "
             "(no -pie)",
             name, header->e_type);
    if (header->e_ehsize != sizeof(Elf64_Ehdr) || header->e_phentsize != sizeof(Elf64_Phdr))
        fail("%s: the ELF header gives wrong sizes (e_ehsize %u, e_phentsize %u)", name,
             header->e_ehsize, header->e_phentsize);
    if (header->e_phnum < 1 || header->e_phnum > ELF_MAX_HEADERS)
        fail("%s: %u program headers; 1 to %u are accepted", name, header->e_phnum,
             ELF_MAX_HEADERS);
}

static void check_interpreter(const struct elf_image *image, const Elf64_Phdr *header)
{
    char interpreter[64] = {0};

    if (header->p_filesz < sizeof SOLO5_INTERP || header->p_filesz >= sizeof interpreter)
        fail("%s: its interpreter is not %s: not a unikernel", image->name, SOLO5_INTERP);
    read_exactly(image, interpreter, header->p_filesz, header->p_offset, "interpreter");
    if (strcmp(interpreter, SOLO5_INTERP) != 0)
        fail("%s: its interpreter is \"%s\", not %s: a dynamically linked program, not a unikernel",
             image->name, interpreter, SOLO5_INTERP);
}

void elf_open(struct elf_image *image, int fd, const char *name)
{
    Elf64_Ehdr header;
    struct stat status;

    *image = (struct elf_image){.fd = fd, .name = name};
    if (fstat(fd, &status) < 0)
        fail_errno("%s: cannot examine it", name);
    if (!S_ISREG(status.st_mode))
        fail("%s: not a regular file", name);
    image->file_size = (uint64_t)status.st_size;
    if (image->file_size < sizeof header)
        fail("%s: not an ELF file: only %llu bytes", name, (unsigned long long)image->file_size);

    read_exactly(image, &header, sizeof header, 0, "ELF header");
    check_file_header(image, &header);
    image->entry = header.e_entry;
    image->header_count = header.e_phnum;
    read_exactly(image, image->headers, header.e_phnum * sizeof(Elf64_Phdr), header.e_phoff,
                 "program header table");

    for (unsigned i = 0; i < image->header_count; i++) {
        if (image->headers[i].p_type == PT_INTERP)
            check_interpreter(image, &image->headers[i]);
        if (image->headers[i].p_type == PT_DYNAMIC && image->headers[i].p_filesz != 0)
            fail("%s: program header %u is PT_DYNAMIC; a unikernel is linked statically", name, i);
    }
}

size_t elf_note(const struct elf_image *image, const char *owner, uint32_t type, size_t align,
                void *buffer, size_t capacity)
{
    const size_t owner_size = strlen(owner) + 1;
    const size_t owner_padded = (owner_size + 3) & ~(size_t)3;
    const size_t head_size = sizeof(Elf64_Nhdr) + owner_padded;
    const size_t content = (head_size + align - 1) & ~(align - 1);
    const size_t padding = content - head_size;
    size_t found = 0;

    for (unsigned i = 0; i < image->header_count; i++) {
        const Elf64_Phdr *header = &image->headers[i];
        struct {
            Elf64_Nhdr h;
            char owner[NOTE_OWNER_MAX];
        } head;

        if (header->p_type != PT_NOTE || header->p_filesz < head_size)
            continue;
        read_exactly(image, &head, head_size, header->p_offset, "note");
        if (head.h.n_namesz != owner_size || memcmp(head.owner, owner, owner_size) != 0 ||
            head.h.n_type != type)
            continue;
        if (found != 0)
            fail("%s: the %s note of type %#x occurs twice", image->name, owner, type);
        /* n_descsz is 32 bits wide: the sums below are 64-bit and cannot overflow. */
        if (head.h.n_descsz <= padding || head.h.n_descsz - padding > capacity)
            fail("%s: the %s note of type %#x has a descriptor of %u bytes; %zu to %zu are valid",
                 image->name, owner, type, head.h.n_descsz, padding + 1, padding + capacity);
        if (header->p_filesz < head_size + (uint64_t)head.h.n_descsz)
            fail("%s: the %s note of type %#x is longer than its program header says", image->name,
                 owner, type);
        if (header->p_offset > image->file_size)
            fail("%s: the %s note lies beyond the end of the file", image->name, owner);
        found = head.h.n_descsz - padding;
        read_exactly(image, buffer, found, header->p_offset + content, "note");
    }
    return found;
}

/* Fills in a segment from its program header; all arithmetic is checked. */
static void place_segment(const struct elf_image *image, unsigned index, uint64_t min_address,
                          uint64_t mem_size, struct elf_segment *segment)
{
    const Elf64_Phdr *header = &image->headers[index];
    const char *name = image->name;
    uint64_t top;

    *segment = (struct elf_segment){
        .vaddr = header->p_vaddr,
        .filesz = header->p_filesz,
        .memsz = header->p_memsz,
        .offset = header->p_offset,
        .prot = (header->p_flags & PF_R ? PROT_READ : 0) |
                (header->p_flags & PF_W ? PROT_WRITE : 0) |
                (header->p_flags & PF_X ? PROT_EXEC : 0),
    };
    if (header->p_align == 0 || (header->p_align & (header->p_align - 1)) != 0 ||
        header->p_align % ELF_PAGE_SIZE != 0)
        fail("%s: segment %u: alignment %#llx is not a power of two of at least %u", name, index,
             (unsigned long long)header->p_align, ELF_PAGE_SIZE);
    if (segment->memsz < segment->filesz)
        fail("%s: segment %u: larger in the file (%llu bytes) than in memory (%llu bytes)", name,
             index, (unsigned long long)segment->filesz, (unsigned long long)segment->memsz);
    if ((segment->prot & PROT_WRITE) && (segment->prot & PROT_EXEC))
        fail("%s: segment %u: both writable and executable; link text and data apart", name, index);

    segment->start = segment->vaddr & ~(header->p_align - 1);
    if (segment->start < min_address)
        fail("%s: segment %u: starts at %#llx, below %#llx where guests begin", name, index,
             (unsigned long long)segment->start, (unsigned long long)min_address);
    if (__builtin_add_overflow(segment->vaddr, segment->memsz, &top) ||
        __builtin_add_overflow(top, header->p_align - 1, &segment->end))
        fail("%s: segment %u: its end exceeds 64 bits", name, index);
    segment->end &= ~(header->p_align - 1);
    if (segment->end > mem_size)
        fail("%s: segment %u: ends at %#llx, beyond the %llu MB of guest memory; raise --mem", name,
             index, (unsigned long long)segment->end, (unsigned long long)(mem_size >> 20));
    if (segment->offset > image->file_size ||
        segment->filesz > image->file_size - segment->offset)
        fail("%s: truncated: segment %u ends beyond the file's %llu bytes", name, index,
             (unsigned long long)image->file_size);
}

void elf_place(struct elf_image *image, uint64_t min_address, uint64_t mem_size)
{
    image->segment_count = 0;
    image->end = 0;
    for (unsigned i = 0; i < image->header_count; i++) {
        struct elf_segment *segment = &image->segments[image->segment_count];

        /* GNU ld leaves empty ones behind, at any address. */
        if (image->headers[i].p_type != PT_LOAD ||
            (image->headers[i].p_memsz == 0 && image->headers[i].p_filesz == 0))
            continue;
        place_segment(image, i, min_address, mem_size, segment);
        if (segment->start < image->end)
            fail("%s: segment %u: starts at %#llx, inside or below the one before it "
                 "(which ends at %#llx)",
                 image->name, i, (unsigned long long)segment->start,
                 (unsigned long long)image->end);
        image->end = segment->end;
        image->segment_count++;
    }
    if (image->segment_count == 0)
        fail("%s: no segment to load", image->name);
    if (!elf_contains(image, image->entry, 1, PROT_EXEC))
        fail("%s: the entry point %#llx is not in an executable segment", image->name,
             (unsigned long long)image->entry);
}

void elf_load(const struct elf_image *image)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];

        if (segment->filesz > 0)
            read_exactly(image, (void *)(uintptr_t)segment->vaddr, segment->filesz,
                         segment->offset, "segment");
        if (mprotect((void *)(uintptr_t)segment->start, segment->end - segment->start,
                     segment->prot) < 0)
            fail_errno("%s: cannot protect the segment at %#llx", image->name,
                       (unsigned long long)segment->start);
    }
}

bool elf_contains(const struct elf_image *image, uint64_t address, uint64_t size, int prot)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];

        if (address >= segment->vaddr && address - segment->vaddr <= segment->memsz &&
            size <= segment->memsz - (address - segment->vaddr) &&
            (segment->prot & prot) == prot)
            return size > 0;
    }
    return false;
}
