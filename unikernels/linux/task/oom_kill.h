/* The end of the container's memory. */
#ifndef LINUX_TASK_OOM_KILL_H
#define LINUX_TASK_OOM_KILL_H

#include "lib/types.h"

struct process;

/*
 * Kills the process that holds most, by mm_resident and oom_score_adj as Linux does,
 * unless one is on its way out already. It is gone once its tasks have run; the
 * running one may be it.
 */
void oom_kill(void);
/* p, and whoever shares its memory. */
void oom_kill_process(struct process *p);
/* For /proc: how many were killed; how likely a process is the next, 0 to 2000 and by Linux's measure. */
uint64_t oom_kills(void);
int oom_score(const struct process *p);

#endif
