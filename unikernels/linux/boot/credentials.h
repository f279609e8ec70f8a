/* Whom the runtime wants a process to be. */
#ifndef LINUX_BOOT_CREDENTIALS_H
#define LINUX_BOOT_CREDENTIALS_H

#include "task/cred.h"
#include "tender/common/abi/runnc_boot_config.h"

/* The record's size has been checked. NULL: ENOMEM. */
struct cred *cred_of_record(const struct runnc_rec_creds *record, bool no_new_privs);

#endif
