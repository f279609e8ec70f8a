/*
 * The host's end of the control channel (docs/control.md): one program, two roles.
 *
 * A proxy stands for one program that runs in the guest beside the container's
 * own. It is the process whose pid `runnc exec` writes down: it moves the standard
 * streams, passes on signals and the window's size, and ends as the program ends.
 *
 * The broker reads what the guest sends, which only one may do, and hands each
 * message to the proxy that it is for. The first proxy starts it, and it ends with
 * the last one. What proxies send goes to the guest without it: a message is
 * written whole or not at all.
 *
 * The guest is hostile. Whoever reads a byte from it has confined itself before.
 */
#ifndef RUNNC_CONTROL_H
#define RUNNC_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tender/common/abi/runnc_control.h"

/* What `runnc exec` decided: src/container/exec-plan.ts writes the same. */
struct plan {
    bool drop_ids; /* uid and gid below become ours; else the caller's stay */
    uint32_t uid, gid;
    bool terminal; /* a new one; its master goes to console_fd */
    struct runnc_control_size window;
    unsigned task_fds; /* cgroup files to enter by */
    const void *request;
    size_t request_size;
};

/* Descriptors that the program finds open beside 0, 1 and 2. */
enum {
    REPORT_FD = 3,  /* to `runnc exec`: report.c */
    FOLDER_FD = 4,  /* the container's */
    CHANNEL_FD = 5, /* the runtime's end */
    PLAN_FD = 6,
    CONTAINER_FD = 7, /* a pidfd of its process */
    CONSOLE_FD = 8, /* with a terminal */
    FIRST_TASK_FD = 9,
};

/* plan.c. False if it is not exactly one plan of this version. */
bool plan_read(struct plan *plan);

/* report.c: how it went, for `runnc exec`, which waits for exactly one of these after report_here(). */
/* First of all, so that our parent knows whom to bury whatever comes: the kernel says who sent it. */
void report_here(void);
void report_started(void);
/* The guest could not: enum runnc_control_stage and errno. */
void report_refused(unsigned stage, unsigned error);
/* We could not; errno is added. Ends the process. */
_Noreturn void report_failure(const char *what);
/* The same without errno. */
_Noreturn void report_problem(const char *what);

/* terminal.c: a pty becomes 0, 1, 2 and the controlling terminal; its master is sent to the console socket. */
void open_terminal(const struct plan *plan);

/* connect.c: to the container's broker, which is started if there is none. The socket, and the id it gave us. */
int connect_broker(const struct plan *plan, uint64_t *session);

/* broker.c: in a process of its own. Ends with its last connection or with the guest. */
_Noreturn void broker_run(const struct plan *plan, int listening_fd);

/* proxy.c. Returns the status to exit with. */
int proxy_run(const struct plan *plan, int broker_fd, uint64_t session);

/* confine.c: nothing is left but the calls of the role. Before the guest is listened to. */
enum role { ROLE_PROXY, ROLE_BROKER };
void confine(const struct plan *plan, enum role role);
void enter_cgroups(const struct plan *plan);

#endif
