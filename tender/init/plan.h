/*
 * The launch plan as init sees it.
 *
 * src/sandbox/launch-plan.ts says what each field means; src/sandbox/encode-plan.ts writes the bytes and
 * plan_read() reads them, field by field in the same order. All integers are little-endian; a string is its
 * length (u32, without the NUL), its bytes and a NUL; a list is its count (u32) and its elements; an optional
 * field is a u32 0 or 1 and, if 1, its value. Descriptors are numbers in init.
 *
 * The plan is written by the runtime and sealed, so it is trusted; lengths are checked all the same. Strings
 * point into the plan's mapping, which stays for the life of the process.
 */
#ifndef RUNNC_INIT_PLAN_H
#define RUNNC_INIT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_MAGIC 0x504e5552u /* "RUNP" */
#define PLAN_VERSION 1u

struct plan_join {
    uint32_t flag; /* one of CLONE_NEW* */
    int fd;
};

struct plan_time_offset {
    bool boottime;
    int64_t seconds;
    uint32_t nanoseconds;
};

struct plan_sysctl {
    const char *path; /* below /proc/sys */
    const char *value;
};

struct plan_hook {
    const char *path;
    char **argv;        /* ends with NULL */
    char **environment; /* ends with NULL */
    uint32_t timeout_ms; /* 0: none */
};

struct plan_rlimit {
    uint32_t resource;
    uint64_t soft, hard;
};

/* A folder or file that the file server serves. */
struct plan_served {
    int fd; /* O_PATH: what the path must still lead to */
    const char *path;
    bool recursive, readonly, noatime;
};

struct plan {
    /* Descriptors 3 to 3 + tender_fds - 1 are the tender's, and LATE_FIRST to LATE_FIRST + late_fds - 1. */
    uint32_t tender_fds;
    uint32_t late_fds; /* 0 in the plan */
    int executable_fd;
    int sync_fd;
    int start_fd;
    int rootfs_fd;
    const char *rootfs_path;
    char **argv; /* ends with NULL */
    bool reopen_stdio;

    bool has_terminal;
    int console_fd;
    uint32_t columns, rows;
    bool raw;

    uint32_t *cgroup_tasks; /* descriptors */
    uint32_t n_cgroup_tasks;
    bool has_cgroup_clone;
    int cgroup_clone_fd;

    uint32_t new_namespaces; /* CLONE_NEW* */
    struct plan_join *joins;
    uint32_t n_joins;
    struct plan_time_offset *time_offsets;
    uint32_t n_time_offsets;
    const char *hostname;   /* or NULL */
    const char *domainname; /* or NULL */
    struct plan_sysctl *sysctls;
    uint32_t n_sysctls;

    struct plan_hook *create_hooks;
    uint32_t n_create_hooks;
    struct plan_hook *start_hooks;
    uint32_t n_start_hooks;
    uint32_t hook_uid, hook_gid;
    uint32_t *hook_gids;
    uint32_t n_hook_gids;
    uint64_t hook_capabilities;
    uint32_t hook_umask;

    struct plan_served *served;
    uint32_t n_served; /* 0: no file server */
    int server_fd;     /* its program */
    bool server_on_demand;
    int channel_fd;    /* its end of the channel */
    int window_fd;
    int *pipe_fds; /* to put data in */
    uint32_t n_pipes;

    bool has_oom_score_adj;
    int32_t oom_score_adj;
    struct plan_rlimit *rlimits;
    uint32_t n_rlimits;
    bool has_scheduler;
    uint32_t sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime_ns, sched_deadline_ns, sched_period_ns;
    bool has_io_priority;
    uint32_t io_priority; /* class << 13 | priority */
    bool new_keyring;
    uint32_t jail_uid, jail_gid;
    bool no_pivot;

    uint32_t fault_step; /* enum step + 1; 0: none */
    bool fault_is_runtime;
};

/* Maps the sealed plan in `fd` and reads it. False if it is not exactly one plan of this version. */
bool plan_read(struct plan *plan, int fd);

/* Maps a sealed list of strings and makes it the tender's command line. False if it is nothing else. */
bool plan_read_tender(struct plan *plan, int fd);

#endif
