#ifndef LINUX_TASK_FUTEX_H
#define LINUX_TASK_FUTEX_H

#include "lib/types.h"

/* futex(2); timeout is its fourth argument, a pointer or a number. */
long futex_call(uaddr_t addr, int op, uint32_t value, uaddr_t timeout, uaddr_t addr2, uint32_t value3);

#endif
