/*
 * Sending and queueing. A signal that its receiver ignores is dropped here, so
 * whatever is pending and not blocked will do something.
 */
#include "task/signal.h"

#include <asm/siginfo.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "entry/entry.h"
#include "lib/error.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "task/sched.h"
#include "task/signal_deliver.h"
#include "task/task_impl.h"

#define STOP_SIGNALS (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define DEFAULT_IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))

/* Everyone who waits for signals of whatever process: signalfd. They look again. */
static struct wait_queue signalfd_queue = {{&signalfd_queue.entries, &signalfd_queue.entries}};

struct wait_queue *signal_wait_queue(void)
{
    return &signalfd_queue;
}

struct sighand *sighand_new(void)
{
    struct sighand *s = kzalloc(sizeof *s);

    if (s) s->refs = 1;
    return s;
}

struct sighand *sighand_get(struct sighand *s)
{
    s->refs++;
    return s;
}

struct sighand *sighand_copy(const struct sighand *from)
{
    struct sighand *s = kmalloc(sizeof *s);

    if (!s) return NULL;
    *s = *from;
    s->refs = 1;
    return s;
}

void sighand_put(struct sighand *s)
{
    if (!--s->refs) kfree(s);
}

void sighand_reset(struct sighand *s, bool all)
{
    for (int i = 0; i < SIG_COUNT; i++) {
        if (!all && s->action[i].handler == SIGACTION_IGNORE) {
            s->action[i] = (struct sigaction64){.handler = SIGACTION_IGNORE};
            continue;
        }
        s->action[i] = (struct sigaction64){0};
    }
}

void sigpending_init(struct sigpending *p)
{
    p->set = 0;
    p->count = 0;
    list_init(&p->queue);
}

void sigpending_drop(struct sigpending *p, sigset64 mask)
{
    struct sigqueue_entry *e, *next;

    p->set &= ~mask;
    list_for_each_safe(e, next, &p->queue, link) {
        if (!(mask & SIGBIT(e->info.si_signo))) continue;
        list_del(&e->link);
        p->count--;
        kfree(e);
    }
}

void sigpending_clear(struct sigpending *p)
{
    sigpending_drop(p, ~0ull);
}

/*
 * Queues it. Without memory or room a standard signal stays pending with plain
 * siginfo, and so does what kill(2) sent; sigqueue(3) and timers are told.
 */
static int sigpending_add(struct sigpending *p, const struct siginfo64 *info, bool room)
{
    int sig = info->si_signo;

    if (sig < SIGRT_FIRST && p->set & SIGBIT(sig)) return 0;
    struct sigqueue_entry *e = room || sig < SIGRT_FIRST ? kmalloc(sizeof *e) : NULL;
    if (!e && sig >= SIGRT_FIRST && info->si_code != SI_USER) return -EAGAIN;
    p->set |= SIGBIT(sig);
    if (!e) return 0;
    e->info = *info;
    list_add_tail(&p->queue, &e->link);
    p->count++;
    return 0;
}

struct siginfo64 *signal_find_timer(struct sigpending *p, int sig, int timerid)
{
    struct sigqueue_entry *e;

    list_for_each(e, &p->queue, link)
        if (e->info.si_signo == sig && e->info.si_code == SI_TIMER && e->info.timer.timerid == timerid) return &e->info;
    return NULL;
}

/* Takes the oldest entry of a signal. */
static void sigpending_take(struct sigpending *p, int sig, struct siginfo64 *info)
{
    struct sigqueue_entry *e, *found = NULL;
    bool more = false;

    list_for_each(e, &p->queue, link) {
        if (e->info.si_signo != sig) continue;
        if (found) more = true;
        else found = e;
    }
    if (!more) p->set &= ~SIGBIT(sig);
    *info = (struct siginfo64){.si_signo = sig, .si_code = SI_USER};
    if (!found) return;
    *info = found->info;
    list_del(&found->link);
    p->count--;
    kfree(found);
}

static bool ignored(const struct process *p, const struct siginfo64 *info)
{
    int sig = info->si_signo;
    uaddr_t h = p->sighand->action[sig - 1].handler;

    if (h == SIGACTION_IGNORE) return true;
    if (h != SIGACTION_DEFAULT) return false;
    /* The kernel itself can kill and stop any process: a limit that was exceeded. */
    if (p->unkillable && !(info->si_code == SI_KERNEL && UNBLOCKABLE & SIGBIT(sig))) return true;
    return DEFAULT_IGNORED & SIGBIT(sig);
}

bool signal_fatal_pending(void)
{
    const struct process *p = current->process;

    return p->exiting || (p->exec_task && p->exec_task != current) ||
           (current->pending.set | p->pending.set) & SIGBIT(SIGKILL);
}

bool signal_pending(void)
{
    const struct process *p = current->process;

    return (current->pending.set | p->pending.set) & ~current->blocked || p->stopped || signal_fatal_pending();
}

void signal_update_work(void)
{
    if (current->process && (signal_pending() || current->restore_blocked))
        pending_work |= WORK_SIGNAL;
    else
        pending_work &= ~(uint32_t)WORK_SIGNAL;
}

void signal_interrupt(struct task *t)
{
    if (t->state == TASK_STOPPED) {
        t->state = TASK_SLEEPING; /* it looks at its process again */
    }
    task_wake(t);
    if (t == current) pending_work |= WORK_SIGNAL;
}

void signal_set_blocked(sigset64 mask)
{
    current->blocked = mask & ~UNBLOCKABLE;
    signal_update_work();
}

static struct task *wants_signal(struct process *p, int sig)
{
    struct task *t;

    if (current && current->process == p && !(current->blocked & SIGBIT(sig))) return current;
    list_for_each(t, &p->tasks, process_link)
        if (!(t->blocked & SIGBIT(sig))) return t;
    return NULL;
}

static void continue_process(struct process *p)
{
    struct task *t;

    if (!p->stopped) return;
    p->stopped = false;
    p->continued_unreported = true;
    list_for_each(t, &p->tasks, process_link) signal_interrupt(t);
    if (p->parent) {
        signal_child(p->parent, p, SIGCHLD);
        wake_up(&p->parent->child_wait);
    }
}

/* What happens at once, whether or not the signal is blocked or ignored. */
static void side_effects(struct process *p, int sig)
{
    struct task *t;

    if (sig == SIGCONT || sig == SIGKILL) {
        sigpending_drop(&p->pending, STOP_SIGNALS);
        list_for_each(t, &p->tasks, process_link) sigpending_drop(&t->pending, STOP_SIGNALS);
        continue_process(p);
    } else if (STOP_SIGNALS & SIGBIT(sig)) {
        sigpending_drop(&p->pending, SIGBIT(SIGCONT));
        list_for_each(t, &p->tasks, process_link) sigpending_drop(&t->pending, SIGBIT(SIGCONT));
    }
}

static bool is_awaited(const struct process *p, const struct task *only, int sig)
{
    const struct task *t;

    if (only) return only->awaited & SIGBIT(sig);
    list_for_each(t, &p->tasks, process_link)
        if (t->awaited & SIGBIT(sig)) return true;
    return false;
}

int signal_send_info(struct process *p, struct task *only, const struct siginfo64 *info)
{
    int sig = info->si_signo;
    struct task *t = only;

    if (p->dead || p->exiting) return 0;
    side_effects(p, sig);
    bool blocked = only ? only->blocked & SIGBIT(sig) : !wants_signal(p, sig);
    /* An ignored signal can still be waited for by sigtimedwait, if it is blocked. */
    if (ignored(p, info) && !blocked && !is_awaited(p, only, sig)) return 0;
    unsigned queued = p->pending.count + (only ? only->pending.count : 0);
    bool room = queued < p->rlimits[RLIMIT_SIGPENDING].rlim_cur;
    int err = sigpending_add(only ? &only->pending : &p->pending, info, room);
    if (err) return err;
    wake_up(&signalfd_queue);
    if (!t) t = wants_signal(p, sig);
    if (t && !blocked) signal_interrupt(t);
    if (sig == SIGKILL) list_for_each(t, &p->tasks, process_link) signal_interrupt(t);
    return 0;
}

static int send_kernel(struct process *p, struct task *only, int sig)
{
    struct siginfo64 info = {.si_signo = sig, .si_code = SI_KERNEL};

    return signal_send_info(p, only, &info);
}

int signal_send_task(struct task *t, int sig)
{
    return t->process ? send_kernel(t->process, t, sig) : -ESRCH;
}

int signal_send_process(struct process *p, int sig)
{
    return send_kernel(p, NULL, sig);
}

int signal_send_group(int pgid, int sig)
{
    struct process *p;
    int result = -ESRCH;

    for (int pid = 0; (p = process_next(pid)); pid = p->pid)
        if (p->pgid == pgid && !signal_send_process(p, sig)) result = 0;
    return result;
}

void host_signals_take(void)
{
    uint64_t set = __atomic_exchange_n(&host_signals_pending, 0, __ATOMIC_RELAXED);
    struct process *init = process_find(1);

    pending_work &= ~(uint32_t)WORK_HOST;
    for (int sig = 1; set && init; sig++) {
        if (!(set & SIGBIT(sig))) continue;
        set &= ~SIGBIT(sig);
        struct siginfo64 info = {.si_signo = sig, .si_code = SI_USER};
        signal_send_info(init, NULL, &info);
    }
}

void signal_child(struct process *parent, struct process *child, int sig)
{
    struct siginfo64 info = {.si_signo = sig};
    const struct sigaction64 *sa = &parent->sighand->action[SIGCHLD - 1];

    if (!child->dead && sig == SIGCHLD && sa->flags & SA_NOCLDSTOP) return;
    info.sender.pid = child->pid;
    info.sender.uid = current && current->cred ? current->cred->uid : 0;
    info.sender.child.utime = process_cpu_ns(child) / 10000000;
    if (child->dead) {
        bool signaled = WIFSIGNALED64(child->exit_status);
        info.si_code = signaled ? (child->exit_status & 0x80 ? CLD_DUMPED : CLD_KILLED) : CLD_EXITED;
        info.sender.child.status = signaled ? child->exit_status & 0x7f : child->exit_status >> 8 & 0xff;
    } else {
        info.si_code = child->stopped ? CLD_STOPPED : CLD_CONTINUED;
        info.sender.child.status = child->stopped ? child->stop_signal : SIGCONT;
    }
    signal_send_info(parent, NULL, &info);
}

sigset64 signal_peek(sigset64 mask)
{
    return (current->pending.set | current->process->pending.set) & mask;
}

int signal_dequeue(sigset64 mask, struct siginfo64 *info)
{
    struct sigpending *own = &current->pending, *shared = &current->process->pending;
    /* Faults first: their frame must be made before another handler moves rip away. */
    const sigset64 synchronous = SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) |
                                 SIGBIT(SIGFPE) | SIGBIT(SIGSYS);
    sigset64 set = own->set & mask;

    if (set & synchronous) set &= synchronous;
    struct sigpending *from = own;
    if (!set) {
        set = shared->set & mask;
        from = shared;
    }
    if (!set) return 0;
    int sig = __builtin_ctzll(set) + 1;
    sigpending_take(from, sig, info);
    signal_update_work();
    return sig;
}

int signal_set_temporary_mask(uaddr_t mask_addr, size_t mask_size)
{
    sigset64 mask;

    if (!mask_addr) return 0;
    if (mask_size != sizeof mask) return -EINVAL;
    int err = copy_from_user(&mask, mask_addr, sizeof mask);
    if (err) return err;
    current->saved_blocked = current->blocked;
    current->restore_blocked = true;
    signal_set_blocked(mask);
    return 0;
}
