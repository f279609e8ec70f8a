/* The end of the container's memory. */
#ifndef LINUX_TASK_OOM_KILL_H
#define LINUX_TASK_OOM_KILL_H

#include "lib/types.h"

/*
 * Kills the process that holds most, by mm_resident and oom_score_adj as Linux does,
 * unless one is on its way out already. It is gone once its tasks have run; the
 * running one may be it.
 */
void oom_kill(void);
/* How many were killed, for /proc/vmstat. */
uint64_t oom_kills(void);

#endif
