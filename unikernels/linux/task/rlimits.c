#include "task/rlimits.h"

#include "lib/types.h"

#define NOFILE_DEFAULT 1024
#define NOFILE_MAX 1048576
#define STACK_DEFAULT (8ul << 20)
#define MEMLOCK_DEFAULT (8ul << 20)
#define MSGQUEUE_DEFAULT 819200

void rlimits_default(struct rlimit64 limits[static RLIM_NLIMITS])
{
    for (int i = 0; i < RLIM_NLIMITS; i++) limits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    limits[RLIMIT_STACK].rlim_cur = STACK_DEFAULT;
    limits[RLIMIT_NOFILE] = (struct rlimit64){NOFILE_DEFAULT, NOFILE_MAX};
    limits[RLIMIT_MEMLOCK] = (struct rlimit64){MEMLOCK_DEFAULT, MEMLOCK_DEFAULT};
    limits[RLIMIT_CORE].rlim_cur = 0;
    limits[RLIMIT_NICE] = limits[RLIMIT_RTPRIO] = (struct rlimit64){0, 0};
    limits[RLIMIT_MSGQUEUE] = (struct rlimit64){MSGQUEUE_DEFAULT, MSGQUEUE_DEFAULT};
}
