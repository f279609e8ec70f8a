#include "task/oom_kill.h"

#include <linux/oom.h>
#include <linux/signal.h>

#include "lib/print.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "task/task_impl.h"

static uint64_t kills;

uint64_t oom_kills(void)
{
    return kills;
}

/* As Linux's oom_badness(): pages, and a thousandth of all memory for each point of oom_score_adj. */
static long badness(const struct process *p)
{
    struct page_stats stats;

    page_stats(&stats);
    return (long)mm_resident(p->mm) + p->oom_score_adj * (long)(stats.total / OOM_SCORE_ADJ_MAX);
}

int oom_score(const struct process *p)
{
    struct page_stats stats;

    if (p->dead || !p->mm || p->oom_score_adj == OOM_SCORE_ADJ_MIN) return 0;
    page_stats(&stats);
    /* As proc_oom_score(): a process that holds nothing, and has not said anything, is in the middle of the scale. */
    long points = OOM_SCORE_ADJ_MAX + badness(p) * OOM_SCORE_ADJ_MAX / (long)stats.total;
    return (int)MAX(points * 2 / 3, 0l);
}

static struct process *victim(void)
{
    struct process *p, *found = NULL;
    long most = 0;

    list_for_each(p, process_all(), all_link) {
        if (p->dead || !p->mm || p->oom_score_adj == OOM_SCORE_ADJ_MIN) continue;
        long points = badness(p);
        if (found && points < most) continue; /* of equals the youngest */
        found = p;
        most = points;
    }
    return found ? found : current->process;
}

/* Somebody else will give back what it has. */
static bool one_is_leaving(void)
{
    const struct process *p;

    list_for_each(p, process_all(), all_link)
        if (p != current->process && p->exiting && !p->dead && p->mm) return true;
    return false;
}

void oom_kill_process(struct process *chosen)
{
    const struct mm *mm = chosen->mm;
    struct process *p;

    if (chosen->exiting) return;
    kills++;
    klog("out of memory: killed process %d (%s), which holds %lu KiB", chosen->pid,
         list_first(&chosen->tasks, struct task, process_link)->comm, mm_resident(mm) * (PAGE_SIZE / 1024));
    list_for_each(p, process_all(), all_link)
        if (!p->dead && p->mm == mm) process_exit_group(p, SIGKILL);
}

void oom_kill(void)
{
    if (!current->process->exiting && !one_is_leaving()) oom_kill_process(victim());
}
