/* What uname(2) and /proc/sys/kernel say. */
#ifndef LINUX_TASK_UTS_H
#define LINUX_TASK_UTS_H

#define UTS_LEN 64
#define UTS_SYSNAME "Linux"
/* The Linux whose calls this kernel answers; programs look for features by it. */
#define UTS_RELEASE "6.1.0-runnc"
#define UTS_VERSION "#1 SMP"
#define UTS_MACHINE "x86_64"

struct uts {
    char nodename[UTS_LEN + 1];
    char domainname[UTS_LEN + 1];
};
extern struct uts uts;

struct new_utsname;
void uname_get(struct new_utsname *name);

/* At boot: names from the boot config. */
void uts_init(void);

#endif
