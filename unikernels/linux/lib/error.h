/*
 * Errors are negative errno values, as in Linux. A pointer that may be an error
 * carries it in its last page.
 */
#ifndef LINUX_LIB_ERROR_H
#define LINUX_LIB_ERROR_H

#include <asm/errno.h>

#include "lib/types.h"

/*
 * Never seen by programs: signal delivery turns them into a restart or EINTR
 * (signal(7), "Interruption of system calls and library functions").
 */
#define ERESTARTSYS 512          /* restart if SA_RESTART, or if no handler runs */
#define ERESTARTNOINTR 513       /* restart always */
#define ERESTARTNOHAND 514       /* restart only if no handler runs */
#define ERESTART_RESTARTBLOCK 516 /* as NOHAND, through restart_syscall(2) */

#define MAX_ERRNO 4095

static inline void *ERR_PTR(long error) { return (void *)error; }
static inline long PTR_ERR(const void *p) { return (long)p; }
static inline bool IS_ERR(const void *p) { return (unsigned long)p >= (unsigned long)-MAX_ERRNO; }

#endif
