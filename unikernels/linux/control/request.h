/* What the runtime asks for, as checked records. */
#ifndef LINUX_CONTROL_REQUEST_H
#define LINUX_CONTROL_REQUEST_H

#include "lib/types.h"
#include "tender/common/abi/runnc_boot_config.h"
#include "tender/common/abi/runnc_control.h"

struct request {
    char *bytes; /* kmalloc'ed */
    size_t size, capacity;
    /* After request_check(). */
    const char *cwd;
    const struct runnc_rec_creds *creds;
    const struct runnc_rec_tty *tty; /* NULL: no terminal */
    uint32_t flags;
    const struct runnc_control_ask *ask; /* NULL: it is for a program; else the rest is not there */
};

/* Adds what came. -E2BIG, -ENOMEM. */
int request_add(struct request *r, const void *data, size_t size);
/* All has come. -EINVAL: it is not one. */
int request_check(struct request *r);
/* The next record of a type behind `after`, which is NULL for the first; NULL: none. */
const struct runnc_record *request_next(const struct request *r, uint32_t type, const struct runnc_record *after);
void request_free(struct request *r);

#endif
