/* What processes may use before anyone says otherwise. */
#ifndef LINUX_TASK_RLIMITS_H
#define LINUX_TASK_RLIMITS_H

#include <linux/resource.h>

void rlimits_default(struct rlimit64 limits[static RLIM_NLIMITS]);

#endif
