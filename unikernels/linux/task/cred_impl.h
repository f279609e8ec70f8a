/* Changing credentials: for task/, syscall/ and the loader. */
#ifndef LINUX_TASK_CRED_IMPL_H
#define LINUX_TASK_CRED_IMPL_H

#include "task/cred.h"

struct cred *cred_copy(const struct cred *); /* NULL: ENOMEM */
bool cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t n); /* false: ENOMEM */
/* After ids of a new cred were changed from old's. */
void cred_fix_capabilities(struct cred *c, const struct cred *old);

#endif
