#include "syscall/strace.h"

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/signal.h>

#include "boot/host.h"
#include "entry/entry.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/uaccess.h"
#include "task/task.h"

#define TABLE_SIZE 512
#define LINE_BYTES 512
#define TEXT_SHOWN 64

struct shape {
    const char *name, *args;
};

#define SHAPE(nr, name, fmt) [nr] = {#name, fmt},
#define SYSCALL0(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL1(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL2(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL3(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL4(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL5(nr, name, fmt) SHAPE(nr, name, fmt)
#define SYSCALL6(nr, name, fmt) SHAPE(nr, name, fmt)
static const struct shape shapes[TABLE_SIZE] = {
#include "syscall/core.def"
#include "syscall/files.def"
};

static const char *const error_names[] = {
    [EPERM] = "EPERM", [ENOENT] = "ENOENT", [ESRCH] = "ESRCH", [EINTR] = "EINTR", [EIO] = "EIO",
    [ENXIO] = "ENXIO", [E2BIG] = "E2BIG", [ENOEXEC] = "ENOEXEC", [EBADF] = "EBADF", [ECHILD] = "ECHILD",
    [EAGAIN] = "EAGAIN", [ENOMEM] = "ENOMEM", [EACCES] = "EACCES", [EFAULT] = "EFAULT", [EBUSY] = "EBUSY",
    [EEXIST] = "EEXIST", [EXDEV] = "EXDEV", [ENODEV] = "ENODEV", [ENOTDIR] = "ENOTDIR", [EISDIR] = "EISDIR",
    [EINVAL] = "EINVAL", [ENFILE] = "ENFILE", [EMFILE] = "EMFILE", [ENOTTY] = "ENOTTY", [ETXTBSY] = "ETXTBSY",
    [EFBIG] = "EFBIG", [ENOSPC] = "ENOSPC", [ESPIPE] = "ESPIPE", [EROFS] = "EROFS", [EMLINK] = "EMLINK",
    [EPIPE] = "EPIPE", [EDOM] = "EDOM", [ERANGE] = "ERANGE", [EDEADLK] = "EDEADLK",
    [ENAMETOOLONG] = "ENAMETOOLONG", [ENOSYS] = "ENOSYS", [ENOTEMPTY] = "ENOTEMPTY", [ELOOP] = "ELOOP",
    [ENODATA] = "ENODATA", [EOVERFLOW] = "EOVERFLOW", [ENOTSOCK] = "ENOTSOCK", [EOPNOTSUPP] = "EOPNOTSUPP",
    [EAFNOSUPPORT] = "EAFNOSUPPORT", [ETIMEDOUT] = "ETIMEDOUT", [EINPROGRESS] = "EINPROGRESS",
};

struct line {
    char text[LINE_BYTES];
    size_t n;
};

static void PRINTF_LIKE(2, 3) add(struct line *l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    l->n += (size_t)vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, ap);
    va_end(ap);
    l->n = MIN(l->n, sizeof l->text - 2);
}

static void flush(struct line *l)
{
    l->text[l->n++] = '\n';
    host_log(l->text, l->n);
}

static void add_text(struct line *l, uaddr_t at)
{
    char c;

    if (!at) {
        add(l, "NULL");
        return;
    }
    add(l, "\"");
    for (int i = 0;; i++) {
        if (i == TEXT_SHOWN) {
            add(l, "\"...");
            return;
        }
        if (copy_from_user(&c, at + (uaddr_t)i, 1)) {
            add(l, "\"?");
            return;
        }
        if (!c) break;
        if (c == '\n')
            add(l, "\\n");
        else if (c == '"' || c == '\\')
            add(l, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            add(l, "\\%o", (unsigned char)c);
        else
            add(l, "%c", c);
    }
    add(l, "\"");
}

static void add_flags(struct line *l, unsigned long v, const char *const *names, const unsigned *bits, size_t n)
{
    const char *between = "";

    for (size_t i = 0; i < n; i++) {
        if (!(v & bits[i]) || (v & bits[i]) != bits[i]) continue;
        add(l, "%s%s", between, names[i]);
        between = "|";
        v &= ~(unsigned long)bits[i];
    }
    if (v || !*between) add(l, "%s%#lx", between, v);
}

static void add_open_flags(struct line *l, unsigned long v)
{
    static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
    static const char *const names[] = {"O_CREAT", "O_EXCL", "O_NOCTTY", "O_TRUNC", "O_APPEND", "O_NONBLOCK",
                                        "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_PATH"};
    static const unsigned bits[] = {O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK,
                                    O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_PATH};

    add(l, "%s", access[v & O_ACCMODE]);
    v &= ~(unsigned long)O_ACCMODE;
    if (v) {
        add(l, "|");
        add_flags(l, v, names, bits, ARRAY_SIZE(bits));
    }
}

static void add_prot(struct line *l, unsigned long v)
{
    static const char *const names[] = {"PROT_READ", "PROT_WRITE", "PROT_EXEC"};
    static const unsigned bits[] = {1, 2, 4};

    if (!v)
        add(l, "PROT_NONE");
    else
        add_flags(l, v, names, bits, ARRAY_SIZE(bits));
}

static void add_map_flags(struct line *l, unsigned long v)
{
    static const char *const names[] = {"MAP_SHARED_VALIDATE", "MAP_SHARED", "MAP_PRIVATE", "MAP_FIXED",
                                        "MAP_ANONYMOUS", "MAP_GROWSDOWN", "MAP_DENYWRITE", "MAP_NORESERVE",
                                        "MAP_POPULATE", "MAP_STACK", "MAP_FIXED_NOREPLACE"};
    static const unsigned bits[] = {3, 1, 2, 0x10, 0x20, 0x100, 0x800, 0x4000, 0x8000, 0x20000, 0x100000};

    add_flags(l, v, names, bits, ARRAY_SIZE(bits));
}

static void add_argument(struct line *l, char kind, unsigned long v)
{
    switch (kind) {
    case 'd': case 'f': case 'g': add(l, "%d", (int)v); break;
    case 'u': add(l, "%u", (unsigned)v); break;
    case 'l': add(l, "%ld", (long)v); break;
    case 'z': add(l, "%lu", v); break;
    case 'o': add(l, "%#o", (unsigned)v); break;
    case 's': add_text(l, v); break;
    case 'a':
        if ((int)v == AT_FDCWD)
            add(l, "AT_FDCWD");
        else
            add(l, "%d", (int)v);
        break;
    case 'O': add_open_flags(l, v); break;
    case 'P': add_prot(l, v); break;
    case 'M': add_map_flags(l, v); break;
    case 'p': case 'b':
        if (!v) {
            add(l, "NULL");
            break;
        }
        /* fall through */
    default: add(l, "%#lx", v); break;
    }
}

static void add_call(struct line *l, const struct regs *r, uint64_t nr)
{
    const unsigned long args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};

    add(l, "[%d] ", current->tid);
    if (nr >= TABLE_SIZE || !shapes[nr].name) {
        add(l, "syscall_%lu(%#lx, %#lx, %#lx)", (unsigned long)nr, args[0], args[1], args[2]);
        return;
    }
    add(l, "%s(", shapes[nr].name);
    for (size_t i = 0; i < 6 && shapes[nr].args[i]; i++) {
        if (i) add(l, ", ");
        add_argument(l, shapes[nr].args[i], args[i]);
    }
    add(l, ")");
}

void strace_enter(const struct regs *r)
{
    uint64_t nr = r->orig_rax;
    struct line l = {.n = 0};

    /* Calls that do not come back, or with other registers, are shown when they begin. */
    if (nr != __NR_exit && nr != __NR_exit_group && nr != __NR_execve && nr != __NR_execveat && nr != __NR_rt_sigreturn)
        return;
    add_call(&l, r, nr);
    flush(&l);
}

void strace_exit(const struct regs *r, uint64_t nr, long result)
{
    struct line l = {.n = 0};

    if (nr == __NR_execve && !result) return;
    if (nr == __NR_rt_sigreturn) return;
    add_call(&l, r, nr);
    if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
        add(&l, " = ? (to be restarted)");
    else if (result < 0 && result >= -MAX_ERRNO && -result < (long)ARRAY_SIZE(error_names) && error_names[-result])
        add(&l, " = -1 %s", error_names[-result]);
    else if (result < 0 && result >= -MAX_ERRNO)
        add(&l, " = -1 errno %ld", -result);
    else if ((unsigned long)result > 0xffffff)
        add(&l, " = %#lx", (unsigned long)result);
    else
        add(&l, " = %ld", result);
    flush(&l);
}

void strace_signal(const struct siginfo64 *info)
{
    struct line l = {.n = 0};

    add(&l, "[%d] --- signal %d, code %d ---", current->tid, info->si_signo, info->si_code);
    flush(&l);
}

void strace_killed(int sig)
{
    struct line l = {.n = 0};

    add(&l, "[%d] +++ killed by signal %d +++", current->tid, sig);
    flush(&l);
}

void strace_unknown(unsigned nr)
{
    klog("system call %u is not there (ENOSYS), first asked for by %s", nr, current->comm);
}

static uint64_t counted_calls;

void strace_count(void)
{
    counted_calls++;
}

void strace_report(void)
{
    klog("%lu system calls, %lu of them trapped", counted_calls, trapped_calls);
}
