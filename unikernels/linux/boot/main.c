/* From the tender's jump to the first instruction of the program. */
#include <asm/mman.h>

#include "boot/config.h"
#include "boot/credentials.h"
#include "boot/host_wait.h"
#include "boot/layout.h"
#include "control/control.h"
#include "entry/entry.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/random.h"
#include "lib/string.h"
#include "loader/exec.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "mm/page_impl.h"
#include "net/inet/inet_init.h"
#include "task/cred_impl.h"
#include "task/fork_hooks.h"
#include "task/rlimits.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task_impl.h"
#include "task/uts.h"
#include "time/vdso_setup.h"

#define NOT_EXECUTABLE 126
#define NOT_FOUND 127
#define BOOT_FAILED 126
#define ARENA_SLACK (64ul << 20)

NORETURN void kernel_main(const struct runnc_boot_info *info);

/* Programs get memory from below, the kernel from above; neither more than the limit. */
static void divide_memory(const struct runnc_boot_info *info)
{
    uint64_t end = PAGE_DOWN(info->mem_size) - TENDER_STACK, limit = boot_config.memory_limit;

    if (end < USER_START + 2 * ARENA_SLACK) fatal(BOOT_FAILED, "guest memory is too small: give --mem=256 or more");
    if (!limit) limit = end;
    uint64_t arena = MIN(limit + ARENA_SLACK, (end - USER_START) / 2) & PAGE_MASK;
    page_init(end - arena + PAGE_SIZE, end, limit);
    mm_init(end - arena);
}

static void first_rlimits(struct process *p)
{
    rlimits_default(p->rlimits);
    for (const struct runnc_record *r = NULL; (r = boot_record_next(RUNNC_REC_RLIMIT, r));) {
        const struct runnc_rec_rlimit *l = (const struct runnc_rec_rlimit *)r->data;
        if (l->resource < RLIM_NLIMITS) p->rlimits[l->resource] = (struct rlimit64){l->soft, l->hard};
    }
}

static struct task *first_process(void)
{
    struct process *p = process_new();
    struct task *t = task_new();

    if (!p || !t) return NULL;
    t->cred = cred_of_record(boot_config.creds, boot_config.flags & RUNNC_BOOT_NO_NEW_PRIVS);
    p->sighand = sighand_new();
    p->mm = mm_new();
    if (!t->cred || !p->sighand || !p->mm) return NULL;
    first_rlimits(p);
    p->oom_score_adj = p->oom_score_adj_min = boot_config.oom_score_adj;
    process_set_init(p, t);
    /* What follows runs as this process: files are looked up with its rights. */
    current = t;
    current_kstack_top = task_kstack_top(t);
    vfs_init();
    p->files = files_new();
    p->fs = fs_new();
    return p->files && p->fs ? t : NULL;
}

static const char *reason(long err)
{
    switch (-err) {
    case ENOENT: return "no such file or directory";
    case EACCES: return "permission denied";
    case ENOEXEC: return "exec format error";
    case ELIBBAD: return "its interpreter is no program";
    case ENOTDIR: return "not a directory";
    case ELOOP: return "too many links or scripts";
    case E2BIG: return "argument list too long";
    case ENOMEM: return "cannot allocate memory";
    default: return "it cannot be run";
    }
}

static void exec_first(void)
{
    struct exec_strings strings = {0};
    int err = fs_chdir(current->process->fs, boot_config.cwd);

    if (err) fatal(NOT_EXECUTABLE, "cannot enter the working directory %s: %s", boot_config.cwd, reason(err));
    for (size_t i = 0; i < boot_config.argc && !err; i++, strings.argc++)
        err = exec_strings_add(&strings, boot_config.argv[i]);
    for (size_t i = 0; i < boot_config.envc && !err; i++, strings.envc++)
        err = exec_strings_add(&strings, boot_config.envp[i]);
    long r = err ? err : exec_program(boot_config.exe, &strings);
    if (r) fatal(r == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "cannot run %s: %s", boot_config.exe, reason(r));
}

void kernel_main(const struct runnc_boot_info *info)
{
    host_init(info);
    dispatch_selector = 1;
    if (info->version != RUNNC_EXTRAS_VERSION)
        fatal(BOOT_FAILED, "the tender speaks version %u of the extras, not %u", info->version, RUNNC_EXTRAS_VERSION);
    boot_config_open();
    clock_init();
    random_seed(info->seed, sizeof info->seed);
    divide_memory(info);
    boot_config_lists();
    uts_init();
    sched_init();
    inet_init();
    control_init();
    if (boot_config.flags & RUNNC_BOOT_STRACE) pending_work |= WORK_STRACE;
    if (boot_config.flags & RUNNC_BOOT_COUNT_CALLS) pending_work |= WORK_COUNT;

    struct task *t = first_process();
    if (!t) fatal(BOOT_FAILED, "no memory to start with");
    exec_first();
    task_prepare_return(t);
    sched_run_first(t);
}
