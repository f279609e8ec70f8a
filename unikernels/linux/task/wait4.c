/* wait4(2) and waitid(2): a parent looks at its children. */
#include "task/wait_child.h"

#include <linux/signal.h>
#include <linux/wait.h>

#include "lib/error.h"
#include "task/task_impl.h"

#define STOPPED_STATUS(sig) ((sig) << 8 | 0x7f)
#define CONTINUED_STATUS 0xffff

static bool wanted(const struct process *child, const struct wait_for *w)
{
    bool clone_child = child->exit_signal != SIGCHLD;

    if (!(w->options & __WALL) && clone_child != !!(w->options & __WCLONE)) return false;
    switch (w->type) {
    case P_PID: return child->pid == w->id;
    case P_PGID: return child->pgid == w->id;
    default: return true;
    }
}

/* Something to report about this child? Fills in w's results. */
static bool report(struct process *child, struct wait_for *w)
{
    bool keep = w->options & WNOWAIT;

    if (child->dead && w->options & WEXITED) {
        w->status = child->exit_status;
        w->code = WIFSIGNALED64(child->exit_status) ? (child->exit_status & 0x80 ? CLD_DUMPED : CLD_KILLED)
                                                    : CLD_EXITED;
    } else if (child->stopped && !child->stop_reported && w->options & WSTOPPED) {
        w->status = STOPPED_STATUS(child->stop_signal);
        w->code = CLD_STOPPED;
        if (!keep) child->stop_reported = true;
    } else if (child->continued_unreported && w->options & WCONTINUED) {
        w->status = CONTINUED_STATUS;
        w->code = CLD_CONTINUED;
        if (!keep) child->continued_unreported = false;
    } else {
        return false;
    }
    w->pid = child->pid;
    w->cpu_ns = child->dead_cpu_ns + child->children_cpu_ns;
    if (child->dead && !keep) process_reap(child);
    return true;
}

/* True if a child was reported; *any: there is one to wait for. */
static bool look(struct process *parent, struct wait_for *w, bool *any)
{
    struct process *child, *next;

    *any = false;
    list_for_each_safe(child, next, &parent->children, sibling_link) {
        if (!wanted(child, w)) continue;
        *any = true;
        if (report(child, w)) return true;
    }
    return false;
}

int wait_for_child(struct wait_for *w)
{
    struct process *p = current->process;
    bool any = false, found = false;

    /* A look that finds one reaps it, and the condition may be asked again (its SIGCHLD ends the sleep). */
    int err = wait_event(&p->child_wait, found || (found = look(p, w, &any)) || !any || w->options & WNOHANG);
    if (err) return err;
    if (!found && !any) return -ECHILD;
    if (!found) w->pid = 0;
    return 0;
}
