#include "control/answer.h"

#include "console/tty.h"
#include "fs/proc.h"
#include "fs/remote.h"
#include "fs/tmpfs.h"
#include "lib/error.h"
#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/keep.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/reclaim.h"
#include "mm/share.h"
#include "task/oom_kill.h"
#include "task/task.h"
#include "time/clock.h"

/* ---- memory ---- */

static void show_memory(struct seq_file *seq)
{
    const struct process *process = NULL;
    struct page_stats pages;
    unsigned processes = 0;

    page_stats(&pages);
    for (int pid = 0; (process = process_next(pid)); pid = process->pid) processes++;
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"limit", pages.total * PAGE_SIZE},
        {"used", (pages.kernel + pages.user) * PAGE_SIZE},
        {"programs", pages.user * PAGE_SIZE},
        {"files", (tmpfs_pages() + remote_kept_pages()) * PAGE_SIZE},
        {"kernel", (pages.kernel - MIN(pages.kernel, tmpfs_pages() + remote_kept_pages())) * PAGE_SIZE},
        {"committed", pages.committed * PAGE_SIZE},
        {"oom_kills", oom_kills()},
        {"processes", processes},
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        seq_printf(seq, "%s %llu\n", lines[i].name, (unsigned long long)lines[i].value);
}

static int set_limit(uint64_t bytes)
{
    if (page_set_limit(bytes)) return 0;
    /* All that somebody might do without. */
    keep_drop();
    file_cache_drop();
    dcache_shrink();
    reclaim_untouched();
    return page_set_limit(bytes) ? 0 : -EBUSY;
}

/* ---- processes ---- */

static const struct task *first_task(const struct process *process)
{
    return list_empty(&process->tasks) ? NULL : list_first(&process->tasks, struct task, process_link);
}

static size_t read_command(const struct process *process, char *command)
{
    const struct mm *mm = process->mm;
    size_t size = mm ? MIN(mm->arg_end - mm->arg_start, RUNNC_CONTROL_COMMAND_MAX) : 0;
    size_t got = size ? share_peek(process->mm, mm->arg_start, command, size) : 0;
    const struct task *task = first_task(process);

    if (got) return got;
    return (size_t)snprintf(command, RUNNC_CONTROL_COMMAND_MAX, "[%s]", task ? task->comm : process->dead_comm);
}

static void show_process(struct seq_file *seq, const struct process *process)
{
    static char command[RUNNC_CONTROL_COMMAND_MAX];
    const struct task *task = first_task(process);
    const struct tty *tty = tty_of_session(process->sid);
    size_t length = read_command(process, command);

    seq_printf(seq, "%d %d %u %c %llu %lld %lld %lu %d %lu\n", process->pid, process->parent ? process->parent->pid : 0,
               task ? task->cred->euid : 0, proc_state(process, task), tty ? (unsigned long long)tty->number : 0ull,
               (long long)(process_cpu_ns(process) / NSEC_PER_MSEC),
               (long long)((clock_monotonic() - process->start_ns) / NSEC_PER_MSEC),
               process->mm ? mm_resident(process->mm) * (PAGE_SIZE / 1024) : 0ul, process->ntasks, length);
    seq_write(seq, command, length);
    seq_puts(seq, "\n");
}

static void show_processes(struct seq_file *seq)
{
    struct process *process;

    for (int pid = 0; (process = process_next(pid)); pid = process->pid) show_process(seq, process);
}

/* ---- the answer ---- */

static int ask_kernel(struct seq_file *seq, const struct runnc_control_ask *ask)
{
    switch (ask->what) {
    case RUNNC_CONTROL_ASK_MEMORY: show_memory(seq); return 0;
    case RUNNC_CONTROL_ASK_PROCESSES: show_processes(seq); return 0;
    case RUNNC_CONTROL_ASK_MEMORY_LIMIT: return set_limit(ask->value);
    default: return -EINVAL;
    }
}

int answer_make(struct answer *answer, const struct runnc_control_ask *ask)
{
    /* Looking into a process's memory may have to bring a page there, and we may be about to idle. */
    atomic_begin();
    int err = ask_kernel(&answer->text, ask);
    atomic_end();
    if (!err && answer->text.failed) err = -ENOMEM;
    if (err) answer_free(answer);
    return err;
}

size_t answer_fetch(struct answer *answer, void *buf, size_t max)
{
    size_t size = MIN(max, answer->text.len - answer->sent);

    memcpy(buf, answer->text.buf + answer->sent, size);
    answer->sent += size;
    return size;
}

bool answer_is_sent(const struct answer *answer)
{
    return answer->sent == answer->text.len;
}

void answer_free(struct answer *answer)
{
    seq_free(&answer->text);
    answer->sent = 0;
}
