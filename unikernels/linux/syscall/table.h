/*
 * The table of system calls. One line per call in core.def (tasks, memory,
 * signals, time, identity) or files.def (everything on files):
 *
 *     SYSCALL3(__NR_read, read, "fbz")
 *
 * declares long sys_read(long, long, long) and puts it in the table. Arguments
 * come as they are in the registers; the function narrows them as Linux does
 * (an int argument: cast to int). Results are values or negative errno.
 *
 * The string is for --strace, one letter for each argument:
 *     d int   u unsigned   l long   x hex   o octal   p pointer   s string
 *     f descriptor   a directory descriptor (AT_FDCWD)   z size   O open flags
 *     b buffer (printed as pointer)   g signal number   P mmap prot   M mmap flags
 */
#ifndef LINUX_SYSCALL_TABLE_H
#define LINUX_SYSCALL_TABLE_H

#define SYSCALL0(nr, name, fmt) long sys_##name(void);
#define SYSCALL1(nr, name, fmt) long sys_##name(long);
#define SYSCALL2(nr, name, fmt) long sys_##name(long, long);
#define SYSCALL3(nr, name, fmt) long sys_##name(long, long, long);
#define SYSCALL4(nr, name, fmt) long sys_##name(long, long, long, long);
#define SYSCALL5(nr, name, fmt) long sys_##name(long, long, long, long, long);
#define SYSCALL6(nr, name, fmt) long sys_##name(long, long, long, long, long, long);
#include "syscall/core.def"
#include "syscall/files.def"
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef SYSCALL6

#endif
