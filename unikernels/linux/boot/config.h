/* The boot config, checked and taken apart. Strings point into the read-only blob. */
#ifndef LINUX_BOOT_CONFIG_H
#define LINUX_BOOT_CONFIG_H

#include "lib/types.h"
#include "tender/common/abi/runnc_boot_config.h"

struct boot_config {
    const char **argv; /* NULL at the end */
    const char **envp;
    size_t argc, envc;
    const char *cwd;
    const char *exe;
    const char *hostname;
    const char *domainname;
    const struct runnc_rec_creds *creds;
    const struct runnc_rec_tty *tty; /* NULL without a terminal */
    uint64_t memory_limit;           /* bytes; 0: none given */
    uint32_t flags;                  /* enum runnc_boot_flags */
    int32_t oom_score_adj;           /* -1000 to 1000 */
};

extern struct boot_config boot_config;

/* At boot: checks and takes apart all but the lists, which need kmalloc. One line and exit if it is bad. */
void boot_config_open(void);
void boot_config_lists(void);

/*
 * Walks all records of a type, or of all: start with NULL; NULL at the end. Lengths and
 * inner strings of the records have been checked at boot.
 */
#define RUNNC_REC_ANY 0u
const struct runnc_record *boot_record_next(uint32_t type, const struct runnc_record *after);

/* What config.json sets a setting of sysctl(8) to ("net.core.somaxconn"); NULL: nothing. */
const char *boot_sysctl(const char *name);

#endif
