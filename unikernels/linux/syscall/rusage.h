#ifndef LINUX_SYSCALL_RUSAGE_H
#define LINUX_SYSCALL_RUSAGE_H

#include <linux/resource.h>

#include "lib/types.h"

/* Processor time is not told apart: most of it is the program's own, all of it shows as user time. */
void rusage_set_cpu(struct rusage *ru, int64_t cpu_ns);

#endif
