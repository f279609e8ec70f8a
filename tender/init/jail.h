/* The steps that take something away: the root, the limits, the credentials. */
#ifndef RUNNC_INIT_JAIL_H
#define RUNNC_INIT_JAIL_H

#include "report.h"

/* The bundle's rootfs becomes the root, nosuid and nodev; nothing else is mounted any more. */
void enter_rootfs(const struct init *init);

/* An empty read-only file system becomes the root; nothing else is mounted any more. */
void enter_empty_root(const struct init *init);

/* No groups, no way to get a capability by exec or setuid, and the gid: what comes before the uid. */
void drop_groups(const struct init *init, int securebits);

/* setrlimit, sched_setattr and ioprio_set as planned; core dumps off. Some need capabilities. */
void apply_limits(const struct init *init);

/* The jail's ids, no groups, no capability and no way to get one. */
void drop_credentials(const struct init *init);

/* Of the bounding set only `mask` stays, of the ambient set nothing. 0 or -1 (errno). */
int limit_bounding_set(uint64_t mask);

/* The permitted set becomes inheritable and ambient too, so that it stays over execve. 0 or -1 (errno). */
int inherit_capabilities(void);

/* No core dumps, which would hold memory. 0 or -1 (errno). */
int set_core_limit(void);

/* Of the permitted and effective sets only `mask` stays, of the inheritable set nothing. 0 or -1 (errno). */
int set_capabilities(uint64_t mask);

#endif
