/* --strace: the program's calls, one line each, on standard error. */
#ifndef LINUX_SYSCALL_STRACE_H
#define LINUX_SYSCALL_STRACE_H

#include "entry/regs.h"
#include "lib/types.h"

struct siginfo64;

void strace_enter(const struct regs *r);
void strace_exit(const struct regs *r, uint64_t nr, long result);
void strace_signal(const struct siginfo64 *info);
void strace_killed(int sig);
/* io.runnc.count-calls: one more call; how many there were, at the end. */
void strace_count(void);
void strace_report(void);
/* A call that we do not have, said once for each whether or not --strace is on. */
void strace_unknown(unsigned nr);

#endif
