/* The system's names, for uname(2) and /proc/sys/kernel. */
#ifndef LINUX_TASK_UTS_H
#define LINUX_TASK_UTS_H

struct new_utsname;

void uname_get(struct new_utsname *name);

#endif
