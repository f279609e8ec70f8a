#include "time/cpu_clock.h"

#include <linux/time.h>

#include "lib/error.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/timer.h"

/* Ids of other processes' and threads' clocks: ~pid << 3, bit 2 says thread, the low bits which clock. */
#define CPUCLOCK_PER_THREAD 4
#define CPUCLOCK_CLOCK_MASK 3
#define CLOCKFD 3

static int read_dynamic(int clock, int64_t *ns)
{
    int id = ~(clock >> 3);

    if ((clock & CPUCLOCK_CLOCK_MASK) == CLOCKFD) return -EINVAL;
    if (clock & CPUCLOCK_PER_THREAD) {
        const struct task *t = id ? task_find(id) : current;
        if (!t || t->process != current->process) return -EINVAL;
        *ns = task_cpu_ns(t);
        return 0;
    }
    const struct process *p = id ? process_find(id) : current->process;
    if (!p) return -EINVAL;
    *ns = process_cpu_ns(p);
    return 0;
}

int clock_read(int clock, int64_t *ns)
{
    if (clock < 0) return read_dynamic(clock, ns);
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: *ns = clock_realtime(); return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: *ns = clock_monotonic(); return 0;
    case CLOCK_PROCESS_CPUTIME_ID: *ns = process_cpu_ns(current->process); return 0;
    case CLOCK_THREAD_CPUTIME_ID: *ns = task_cpu_ns(current); return 0;
    default: return -EINVAL;
    }
}

bool clock_is_cpu(int clock, int *tid)
{
    int64_t ns;

    *tid = clock == CLOCK_THREAD_CPUTIME_ID ? current->tid : 0;
    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID) return true;
    if (clock >= 0 || read_dynamic(clock, &ns)) return false;
    int id = ~(clock >> 3);
    if (clock & CPUCLOCK_PER_THREAD) *tid = id ? id : current->tid;
    return *tid || !id || id == current->process->pid;
}

bool clock_is_realtime(int clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_TAI;
}

bool clock_is_wall(int clock)
{
    return clock_is_realtime(clock) || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_BOOTTIME_ALARM;
}

int64_t clock_deadline(int clock, int64_t ns, bool absolute)
{
    if (!absolute) return deadline_after(ns);
    return clock_is_realtime(clock) ? timer_deadline_realtime(ns) : ns;
}
