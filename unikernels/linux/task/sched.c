#include "task/sched.h"

#include <asm/hwcap2.h>
#include <linux/signal.h>

#include "boot/host_wait.h"
#include "control/control.h"
#include "entry/entry.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/keep.h"
#include "mm/memory.h"
#include "mm/mm.h"
#include "mm/share.h"
#include "mm/uaccess.h"
#include "task/oom_kill.h"
#include "task/signal_deliver.h"
#include "task/task.h"
#include "task/task_impl.h"
#include "time/itimer_impl.h"
#include "time/timer_impl.h"

#define TIDY_AFTER_NS NSEC_PER_SEC /* idle for so long: the image's pages and what is kept of programs are given back */

struct task *current;

static struct {
    struct list run;       /* runnable tasks but the running one */
    struct task *dead;     /* to be freed by whoever runs next */
    size_t xstate_size;
    uint64_t xstate_mask;
    bool fsgsbase;
    uint64_t slow_fsbase;
    bool started;
    unsigned atomic; /* depth */
} sched;

int xstate_restore_checked(const void *area); /* entry/gate.S */

void sched_init(void)
{
    uint32_t a = 13, b, c = 0, d;

    list_init(&sched.run);
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    sched.xstate_size = b;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    sched.xstate_mask = a | (uint64_t)d << 32;
    sched.fsgsbase = host_boot_info()->hwcap2 & HWCAP2_FSGSBASE;
}

size_t xstate_size(void)
{
    return sched.xstate_size;
}

uint64_t xstate_mask(void)
{
    return sched.xstate_mask;
}

void xstate_save(void *area)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

void xstate_load(const void *area)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

bool xstate_load_checked(const void *area)
{
    return !xstate_restore_checked(area);
}

void xstate_init(void *area)
{
    uint8_t *p = area;

    /* An empty XSTATE_BV: all components take their initial values, MXCSR from here. */
    memset(p, 0, sched.xstate_size);
    *(uint16_t *)p = 0x37f;
    *(uint32_t *)(p + 24) = 0x1f80;
}

uint64_t fsbase_read(void)
{
    uint64_t v;

    if (!sched.fsgsbase) return sched.slow_fsbase;
    __asm__ volatile("rdfsbase %0" : "=r"(v));
    return v;
}

void fsbase_write(uint64_t base)
{
    if (sched.fsgsbase) {
        __asm__ volatile("wrfsbase %0" : : "r"(base));
        return;
    }
    sched.slow_fsbase = base;
    host_set_fsbase(base);
}

uint64_t gsbase_read(void)
{
    uint64_t v;

    if (!sched.fsgsbase) return 0;
    __asm__ volatile("rdgsbase %0" : "=r"(v));
    return v;
}

bool gsbase_write(uint64_t base)
{
    if (!sched.fsgsbase) return !base;
    __asm__ volatile("wrgsbase %0" : : "r"(base));
    return true;
}

bool sched_contended(void)
{
    return !list_empty(&sched.run);
}

void sched_start(struct task *t)
{
    t->state = TASK_RUNNING;
    list_add_tail(&sched.run, &t->run_link);
}

void sched_start_now(struct task *t)
{
    t->state = TASK_RUNNING;
    list_add(&sched.run, &t->run_link);
    schedule();
}

void task_wake(struct task *t)
{
    if (t->state == TASK_SLEEPING) sched_start(t);
}

static void set_current(struct task *t)
{
    current = t;
    current_kstack_top = task_kstack_top(t);
    t->slice_start_ns = clock_monotonic();
}

/* First thing of whoever runs next: on its own stack, with its own state. */
void task_switched(void)
{
    if (sched.dead) {
        task_free(sched.dead);
        sched.dead = NULL;
    }
    if (current->set_child_tid) {
        put_user_u32(current->set_child_tid, (uint32_t)current->tid);
        current->set_child_tid = 0;
    }
    struct process *p = current->process;
    if (p && p->mm && p->mm->out_of_memory) oom_kill_process(p);
    signal_update_work();
}

static void switch_to(struct task *next)
{
    struct task *prev = current;

    task_check_kstack(prev);
    prev->cpu_ns += clock_monotonic() - prev->slice_start_ns;
    if (prev->state == TASK_DEAD) {
        sched.dead = prev;
    } else {
        xstate_save(prev->xstate);
        prev->fsbase = fsbase_read();
        prev->gsbase = gsbase_read();
    }
    if (next->process && next->process->mm) share_switch(next->process->mm);
    set_current(next);
    fsbase_write(next->fsbase);
    gsbase_write(next->gsbase);
    xstate_load(next->xstate);
    task_switch_stacks(&prev->ksp, next->ksp);
    task_switched();
}

static struct task *pick(void)
{
    if (list_empty(&sched.run)) return NULL;
    struct task *t = list_first(&sched.run, struct task, run_link);
    list_del(&t->run_link);
    return t;
}

static void idle(void)
{
    int64_t deadline = timers_next();

    if (deadline != WAIT_FOREVER) deadline = MAX(deadline - clock_monotonic(), 0);
    /* Once in a long sleep, and never where work comes in all the time. */
    bool tidy = (memory_image_used() || keep_any()) && (deadline == WAIT_FOREVER || deadline > TIDY_AFTER_NS);
    if (!host_wait(tidy ? TIDY_AFTER_NS : deadline) && tidy) {
        memory_image_release();
        keep_drop();
    }
    host_signals_take();
}

void schedule(void)
{
    struct task *next;

    pending_work &= ~(uint32_t)WORK_RESCHED;
    if (current->state == TASK_RUNNING) {
        list_add_tail(&sched.run, &current->run_link);
        current->switches_involuntary++;
    } else {
        current->switches_voluntary++;
    }
    timers_run();
    if (host_signals_pending) host_signals_take();
    int64_t idle_from = clock_monotonic();
    bool idled = false;
    for (;;) {
        if (pending_work & WORK_CONTROL) control_work();
        next = pick();
        if (next) break;
        idle();
        idled = true;
        timers_run();
    }
    if (idled) current->slice_start_ns += clock_monotonic() - idle_from;
    if (next != current)
        switch_to(next);
    else
        signal_update_work();
}

void sched_tick(void)
{
    pending_work &= ~(uint32_t)WORK_RESCHED;
    timers_run();
    if (current->process) itimers_tick(current->process);
    if (host_has_sources()) host_wait(0);
    if (sched_contended()) schedule();
}

void sched_exit(void)
{
    current->state = TASK_DEAD;
    schedule();
    panic("a dead task runs");
}

void sched_run_first(struct task *t)
{
    uintptr_t nowhere;

    sched.started = true;
    t->state = TASK_RUNNING;
    set_current(t);
    fsbase_write(t->fsbase);
    gsbase_write(t->gsbase);
    xstate_load(t->xstate);
    task_switch_stacks(&nowhere, t->ksp);
    panic("the boot stack is used again");
}

/* ---- sleeping (task/wait.h) ---- */

void wait_add(struct wait_queue *q, struct wait_entry *entry)
{
    list_add_tail(&q->entries, &entry->link);
}

void wait_remove(struct wait_entry *entry)
{
    if (entry->link.next) list_del(&entry->link);
}

void wait_wake_task(struct wait_entry *entry, uint32_t events)
{
    (void)events;
    task_wake(entry->task);
}

void wake_up_events(struct wait_queue *q, uint32_t events)
{
    struct wait_entry *e, *next;

    list_for_each_safe(e, next, &q->entries, link) e->wake(e, events);
}

static void sleep_timed_out(struct timer *timer)
{
    struct task *t = container_of(timer, struct task, wake_timer);

    t->timed_out = true;
    task_wake(t);
}

static bool interrupted(void)
{
    return current->killable ? signal_fatal_pending() : signal_pending();
}

bool may_sleep(void)
{
    return sched.started && !sched.atomic;
}

void atomic_begin(void)
{
    sched.atomic++;
}

void atomic_end(void)
{
    sched.atomic--;
}

void sleep_uninterruptible(void)
{
    current->state = TASK_SLEEPING;
    schedule();
}

int wait_sleep(int64_t deadline_ns)
{
    if (interrupted()) return -ERESTARTSYS;
    if (deadline_ns != WAIT_FOREVER) {
        if (clock_monotonic() >= deadline_ns) return -ETIMEDOUT;
        current->timed_out = false;
        timer_init(&current->wake_timer, sleep_timed_out);
        timer_arm(&current->wake_timer, deadline_ns);
    }
    current->state = TASK_SLEEPING;
    schedule();
    if (deadline_ns != WAIT_FOREVER) {
        timer_cancel(&current->wake_timer);
        if (current->timed_out) return -ETIMEDOUT;
    }
    return interrupted() ? -ERESTARTSYS : 0;
}
