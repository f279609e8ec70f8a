#include "loader/exec.h"

#include <asm/mman.h>
#include <linux/auxvec.h>
#include <linux/limits.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "boot/host.h"
#include "entry/entry.h"
#include "entry/offsets.h"
#include "fs/vfs.h"
#include "ipc/shm.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "loader/elf.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/lazy.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/uaccess.h"
#include "task/cred_impl.h"
#include "task/fork_hooks.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task_impl.h"
#include "time/itimer.h"
#include "time/vdso_setup.h"

#define SCRIPT_DEPTH 5
#define SCRIPT_LINE 256
#define STRINGS_MAX (4ul << 20)
#define STRING_MAX (32 * PAGE_SIZE)
#define STACK_MIN (128ul << 10)
#define STACK_MAX (1ul << 30)
#define STACK_DEFAULT (8ul << 20)
#define STACK_FIRST (256ul << 10) /* opened at once: few programs go deeper */
#define STACK_SHARE 8             /* of the container's limit, where the stack counts as a whole */
#define HEAP_HOLE (1ul << 30)
#define PLATFORM "x86_64"
#define AT_MINSIGSTKSZ_ 51
#define CLOCK_TICKS 100

/* ---- strings ---- */

static int reserve(struct exec_strings *s, size_t n)
{
    if (!s->limit) {
        /* A quarter of the stack, at least 128 KiB; the pointers count too. */
        uint64_t stack = task_rlimit(RLIMIT_STACK);
        s->limit = MIN(MAX(stack / 4, 32 * PAGE_SIZE), STRINGS_MAX);
    }
    size_t pointers = (s->argc + s->envc + 1ul) * sizeof(uint64_t);
    if (s->used + n + pointers > s->limit) return -E2BIG;
    if (s->used + n <= s->capacity) return 0;
    size_t capacity = MAX(s->capacity * 2, MAX(s->used + n, PAGE_SIZE));
    char *data = krealloc(s->data, MIN(capacity, STRINGS_MAX));
    if (!data) return -ENOMEM;
    s->data = data;
    s->capacity = MIN(capacity, STRINGS_MAX);
    return 0;
}

int exec_strings_add(struct exec_strings *s, const char *text)
{
    size_t n = strlen(text) + 1;
    int err = n > STRING_MAX ? -E2BIG : reserve(s, n);

    if (err) return err;
    memcpy(s->data + s->used, text, n);
    s->used += n;
    return 0;
}

int exec_strings_add_user(struct exec_strings *s, uaddr_t text)
{
    /* Most are short: try what is left of a page first. */
    size_t room = 128;
    bool tight = false; /* less than was wanted is left: what does not fit now never will */

    for (;;) {
        int err = reserve(s, room);
        if (err) {
            if (err != -E2BIG || room == 1) return err;
            tight = true;
            room = MAX(room / 2, 1ul);
            continue;
        }
        ssize_t n = strncpy_from_user(s->data + s->used, text, room);
        if (n >= 0) {
            s->used += (size_t)n + 1;
            return 0;
        }
        if (n != -ENAMETOOLONG) return (int)n;
        if (tight || room >= STRING_MAX) return -E2BIG;
        room = MIN(room * 4, STRING_MAX);
    }
}

void exec_strings_free(struct exec_strings *s)
{
    kfree(s->data);
    *s = (struct exec_strings){0};
}

/* ---- #! ---- */

/* What comes before the program's own arguments, first to last. */
struct prefix {
    char *words[2 * SCRIPT_DEPTH + 1];
    unsigned count;
};

static void prefix_free(struct prefix *p)
{
    for (unsigned i = 0; i < p->count; i++) kfree(p->words[i]);
    p->count = 0;
}

static int prefix_push(struct prefix *p, const char *word)
{
    char *copy = kstrdup(word);

    if (!copy) return -ENOMEM;
    memmove(p->words + 1, p->words, p->count * sizeof *p->words);
    p->words[0] = copy;
    p->count++;
    return 0;
}

static char *skip_blanks(char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    return s;
}

/* Takes apart "#! interpreter [one argument]": fs/binfmt_script.c of Linux. */
static int parse_script(char *line, size_t n, char **interp, char **arg)
{
    char *end = memchr(line, '\n', n);

    if (!end) {
        /* Cut off: still fine if the interpreter's path is complete. */
        char *p = skip_blanks(line + 2);
        while (*p && *p != ' ' && *p != '\t') p++;
        if (n == SCRIPT_LINE && !*p) return -ENOEXEC;
        end = line + n;
    }
    *end = 0;
    while (end > line + 2 && (end[-1] == ' ' || end[-1] == '\t')) *--end = 0;
    *interp = skip_blanks(line + 2);
    if (!**interp) return -ENOEXEC;
    char *p = *interp;
    while (*p && *p != ' ' && *p != '\t') p++;
    *arg = NULL;
    if (*p) {
        *p = 0;
        p = skip_blanks(p + 1);
        if (*p) *arg = p;
    }
    return 0;
}

/* Follows scripts to the program that runs them. *file is exchanged on the way. */
static int resolve_scripts(const char *path, struct file **file, struct prefix *prefix)
{
    char line[SCRIPT_LINE + 1];
    const char *script = path;

    for (int depth = 0;; depth++) {
        ssize_t n = file_read_at(*file, line, SCRIPT_LINE, 0);
        if (n < 0) return (int)n;
        line[n] = 0;
        if (n < 2 || line[0] != '#' || line[1] != '!') return 0;
        if (depth == SCRIPT_DEPTH) return -ELOOP;

        char *interp, *arg;
        int err = parse_script(line, (size_t)n, &interp, &arg);
        /* The words it is followed by: the script's path replaces argv[0]. */
        if (!err && !depth) err = prefix_push(prefix, script);
        if (!err && arg) err = prefix_push(prefix, arg);
        if (!err) err = prefix_push(prefix, interp);
        if (err) return err;
        struct file *next = vfs_open_exec(prefix->words[0]);
        if (IS_ERR(next)) return (int)PTR_ERR(next);
        file_put(*file);
        *file = next;
    }
}

/* ---- the new stack ---- */

struct stack_writer {
    uaddr_t sp, low;
};

static uaddr_t push_bytes(struct stack_writer *w, const void *data, size_t n)
{
    ASSERT(w->sp - w->low >= n);
    w->sp -= n;
    memcpy((void *)w->sp, data, n);
    return w->sp;
}

static uaddr_t push_text(struct stack_writer *w, const char *s)
{
    return push_bytes(w, s, strlen(s) + 1);
}

static void add_aux(struct mm *mm, uint64_t type, uint64_t value)
{
    size_t n = mm->auxv_bytes / sizeof mm->auxv[0];

    ASSERT(n + 2 <= ARRAY_SIZE(mm->auxv));
    mm->auxv[n] = type;
    mm->auxv[n + 1] = value;
    mm->auxv_bytes += 2 * sizeof mm->auxv[0];
}

static void fill_auxv(struct mm *mm, const struct elf_program *p, const struct elf_place *place, uaddr_t base,
                      uaddr_t random, uaddr_t platform, uaddr_t execfn, bool secure)
{
    const struct runnc_boot_info *info = host_boot_info();
    const struct cred *c = current->cred;

    mm->auxv_bytes = 0;
    if (mm->vdso) add_aux(mm, AT_SYSINFO_EHDR, mm->vdso);
    add_aux(mm, AT_MINSIGSTKSZ_, info->minsigstksz);
    add_aux(mm, AT_HWCAP, info->hwcap);
    add_aux(mm, AT_PAGESZ, PAGE_SIZE);
    add_aux(mm, AT_CLKTCK, CLOCK_TICKS);
    add_aux(mm, AT_PHDR, place->phdr);
    add_aux(mm, AT_PHENT, sizeof(Elf64_Phdr));
    add_aux(mm, AT_PHNUM, p->head.e_phnum);
    add_aux(mm, AT_BASE, base);
    add_aux(mm, AT_FLAGS, 0);
    add_aux(mm, AT_ENTRY, place->entry);
    add_aux(mm, AT_UID, c->uid);
    add_aux(mm, AT_EUID, c->euid);
    add_aux(mm, AT_GID, c->gid);
    add_aux(mm, AT_EGID, c->egid);
    add_aux(mm, AT_SECURE, secure);
    add_aux(mm, AT_RANDOM, random);
    add_aux(mm, AT_HWCAP2, info->hwcap2);
    add_aux(mm, AT_EXECFN, execfn);
    add_aux(mm, AT_PLATFORM, platform);
    add_aux(mm, AT_NULL, 0);
}

static long map_stack(struct mm *mm, bool executable, const struct exec_strings *s, const struct prefix *prefix,
                      struct stack_writer *w)
{
    size_t first = STACK_FIRST + s->used + (s->argc + s->envc) * sizeof(uint64_t);
    uint64_t limit = task_rlimit(RLIMIT_STACK);
    size_t size = limit == RLIM64_INFINITY ? STACK_DEFAULT : PAGE_UP(MIN(MAX(limit, STACK_MIN), STACK_MAX));
    int prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
    struct page_stats stats;

    page_stats(&stats);
    if (!memory_is_closed()) size = MIN(size, MAX(PAGE_DOWN(stats.total * PAGE_SIZE / STACK_SHARE), STACK_MIN + PAGE_UP(first)));
    uaddr_t start = mm_find_stack(mm, size);

    if (!start) return -ENOMEM;
    long r = mm_map_anonymous(mm, start, size, prot, VMA_STACK | VMA_NORESERVE);
    if (r < 0) return r;
    for (unsigned i = 0; i < prefix->count; i++) first += strlen(prefix->words[i]);
    r = lazy_fill(mm, start + size - MIN(PAGE_UP(first), size), start + size);
    if (r < 0) return r;
    w->low = start;
    w->sp = start + size - sizeof(uint64_t);
    mm->start_stack = w->sp;
    return 0;
}

/* The layout that _start finds: x86-64 psABI, "Initial Stack and Register State". Returns the stack pointer. */
static uaddr_t build_stack(struct mm *mm, struct stack_writer *w, const struct exec_strings *s,
                           const struct prefix *prefix, const char *execfn, const struct elf_program *p,
                           const struct elf_place *place, uaddr_t base, bool secure)
{
    uint8_t random[16];
    /* With a prefix, the program's own argv[0] is dropped. */
    size_t dropped = prefix->count && s->argc ? strlen(s->data) + 1 : 0;
    unsigned own = s->argc - (dropped ? 1 : 0), argc = own + prefix->count;

    uaddr_t execfn_at = push_text(w, execfn);
    uaddr_t strings = push_bytes(w, s->data + dropped, s->used - dropped);
    mm->env_end = execfn_at;
    for (unsigned i = prefix->count; i-- > 0;) push_text(w, prefix->words[i]);
    mm->arg_start = w->sp;
    uaddr_t platform = push_text(w, PLATFORM);
    random_bytes(random, sizeof random);
    uaddr_t random_at = push_bytes(w, random, sizeof random);

    fill_auxv(mm, p, place, base, random_at, platform, execfn_at, secure);
    size_t words = 1 + argc + 1 + s->envc + 1 + mm->auxv_bytes / sizeof(uint64_t);
    w->sp = ALIGN_DOWN(w->sp - words * sizeof(uint64_t), 16);
    ASSERT(w->sp > w->low);

    uint64_t *out = (uint64_t *)w->sp;
    *out++ = argc;
    const char *text = (const char *)mm->arg_start;
    for (unsigned i = 0; i < prefix->count; i++, text += strlen(text) + 1) *out++ = (uaddr_t)text;
    text = (const char *)strings;
    for (unsigned i = 0; i < own; i++, text += strlen(text) + 1) *out++ = (uaddr_t)text;
    mm->arg_end = mm->env_start = (uaddr_t)text;
    *out++ = 0;
    for (unsigned i = 0; i < s->envc; i++, text += strlen(text) + 1) *out++ = (uaddr_t)text;
    *out++ = 0;
    memcpy(out, mm->auxv, mm->auxv_bytes);
    return w->sp;
}

static void map_vdso(struct mm *mm)
{
    size_t size = PAGE_UP(vdso_image_bytes());
    uaddr_t at = mm_find_free(mm, size, PAGE_SIZE, ZONE_LOW_EXEC);

    if (!at || mm_map_anonymous(mm, at, size, PROT_READ | PROT_WRITE, VMA_VDSO) < 0) return;
    vdso_install((void *)at);
    mm_protect(mm, at, size, PROT_READ | PROT_EXEC);
    mm->vdso = at;
}

static void place_heap(struct mm *mm, const struct elf_program *p, const struct elf_place *place)
{
    uaddr_t start = PAGE_UP(place->end);

    if (p->head.e_type == ET_DYN) {
        uaddr_t zone = mm_find_free(mm, HEAP_HOLE, PAGE_SIZE, ZONE_HEAP);
        if (!zone) zone = mm_find_free(mm, 16 * PAGE_SIZE, PAGE_SIZE, ZONE_HEAP);
        if (zone) start = zone;
    }
    mm->brk_start = mm->brk = start;
}

/* ---- credentials ---- */

/* set-user-ID, set-group-ID and what happens to capabilities: capabilities(7). True if the program is privileged. */
static bool new_cred(struct file *file, struct cred *c)
{
    const struct inode *inode = file->f_inode;
    bool may = !c->no_new_privs && !(inode->i_sb->s_flags & SB_NOSUID);
    uint32_t uid = c->euid, gid = c->egid;

    if (may && inode->i_mode & S_ISUID) c->euid = inode->i_uid;
    if (may && (inode->i_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) c->egid = inode->i_gid;
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    bool root = !c->euid || !c->uid;
    if (uid != c->euid || gid != c->egid) c->cap_ambient = 0;
    c->cap_permitted = (root ? c->cap_inheritable | c->cap_bounding : 0) | c->cap_ambient;
    c->cap_effective = !c->euid ? c->cap_permitted : c->cap_ambient;
    c->securebits &= ~(1u << 4); /* SECBIT_KEEP_CAPS */
    return c->euid != c->uid || c->egid != c->gid;
}

/* ---- all of it ---- */

static void set_comm(const char *path)
{
    const char *slash = strrchr(path, '/');

    strlcpy(current->comm, slash ? slash + 1 : path, sizeof current->comm);
}

static void start_registers(uaddr_t entry, uaddr_t sp)
{
    *current->regs = (struct regs){.orig_rax = ~0ull, .rip = entry, .cs = USER_CS, .rflags = USER_RFLAGS,
                                   .rsp = sp, .ss = USER_SS};
    xstate_init(current->xstate);
    xstate_load(current->xstate);
    fsbase_write(0);
    gsbase_write(0);
    current->fsbase = current->gsbase = 0;
    pending_work |= WORK_FULL;
}

static void forget_old_program(struct process *p)
{
    if (p->sighand->refs > 1) {
        struct sighand *own = sighand_copy(p->sighand);
        if (own) {
            sighand_put(p->sighand);
            p->sighand = own;
        }
    }
    sighand_reset(p->sighand, false);
    files_close_on_exec(p->files);
    posix_timers_delete(p);
    current->altstack = (struct altstack){.flags = SS_DISABLE};
    current->robust_list = 0;
    current->clear_child_tid = 0;
    current->restart = (struct restart_block){0};
}

/* The point of no return is behind us: what fails now ends the process. */
static int install(struct file *file, const struct elf_program *program, const struct elf_program *interp,
                   const struct exec_strings *strings, const struct prefix *prefix, const char *path, bool secure)
{
    struct process *p = current->process;
    struct elf_place place, interp_place = {0};
    struct stack_writer writer;
    struct mm *mm = p->mm;

    int err = elf_load(mm, program, &place);
    if (!err && interp->file) err = elf_load(mm, interp, &interp_place);
    if (!err) err = (int)map_stack(mm, program->executable_stack, strings, prefix, &writer);
    if (err) return err;
    map_vdso(mm);
    place_heap(mm, program, &place);
    mm->start_code = place.start_code;
    mm->end_code = place.end_code;
    mm->start_data = place.start_data;
    mm->end_data = place.end_data;
    uaddr_t base = interp->file ? interp_place.bias + interp->min_vaddr : 0;
    uaddr_t sp = build_stack(mm, &writer, strings, prefix, path, program, &place, base, secure);
    start_registers(interp->file ? interp_place.entry : place.entry, sp);

    if (p->exe) file_put(p->exe);
    p->exe = file_get(file);
    char *exe_path = file_path(file);
    kfree(p->exe_path);
    p->exe_path = IS_ERR(exe_path) ? NULL : exe_path;
    p->has_execed = true;
    p->dumpable = !secure;
    return 0;
}

long exec_program(const char *path, struct exec_strings *strings)
{
    struct elf_program program = {0}, interp = {0};
    struct prefix prefix = {0};
    struct file *interp_file = NULL;
    struct mm *mm = NULL;
    struct cred *cred = NULL;
    struct process *p = current->process;
    struct file *file = vfs_open_exec(path);

    if (IS_ERR(file)) {
        exec_strings_free(strings);
        return PTR_ERR(file);
    }
    long err = resolve_scripts(path, &file, &prefix);
    if (!err && !strings->argc && !prefix.count) err = prefix_push(&prefix, ""); /* as Linux since 5.18 */
    if (!err) err = elf_read(file, &program);
    if (!err && program.interp[0]) {
        interp_file = vfs_open_exec(program.interp);
        err = IS_ERR(interp_file) ? PTR_ERR(interp_file) : elf_read(interp_file, &interp);
        if (err == -ENOEXEC) err = -ELIBBAD;
    }
    if (err) goto out;
    err = -ENOMEM;
    mm = mm_new();
    cred = cred_copy(current->cred);
    if (!mm || !cred) goto out;
    bool secure = new_cred(file, cred);
    err = process_become_single();
    if (err) goto out;

    struct mm *old = p->mm;
    p->mm = mm;
    share_switch(mm);
    mm = NULL;
    if (old) mm_put(old);
    shm_mappings_changed();
    cred_put(current->cred);
    current->cred = cred;
    cred = NULL;
    forget_old_program(p);
    set_comm(path);
    err = install(file, &program, &interp, strings, &prefix, path, secure);
    process_release_vfork(p);
    if (err && p->pid == 1 && !p->has_execed) goto out; /* boot says why */
    if (err) process_exit_group(p, SIGKILL);
    err = 0;
out:
    if (mm) mm_put(mm);
    cred_put(cred);
    elf_free(&program);
    elf_free(&interp);
    if (interp_file && !IS_ERR(interp_file)) file_put(interp_file);
    file_put(file);
    prefix_free(&prefix);
    exec_strings_free(strings);
    return err;
}
