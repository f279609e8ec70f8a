/*
 * Who a task is. Immutable and shared once made (as Linux's): a change makes a
 * new one with cred_copy and swaps the pointer.
 */
#ifndef LINUX_TASK_CRED_H
#define LINUX_TASK_CRED_H

#include <linux/capability.h>

#include "lib/types.h"

struct cred {
    int refs;
    uint32_t uid, gid, suid, sgid, euid, egid, fsuid, fsgid;
    uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
    uint32_t securebits;
    bool no_new_privs;
    uint32_t ngroups;
    uint32_t *groups; /* sorted */
};

struct cred *cred_get(struct cred *);
void cred_put(struct cred *);

/* CAP_* in the effective set. */
bool cred_capable(const struct cred *, int cap);
/* gid is fsgid or one of the groups. */
bool cred_in_group(const struct cred *, uint32_t gid);

#endif
