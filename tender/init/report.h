/*
 * What init and the runtime say to each other.
 *
 * At create over a SOCK_SEQPACKET pair, one message each; at start over the stream connection that the runtime
 * opens to the container's start socket. The first byte is the kind. src/sandbox/init-messages.ts has the same words.
 *
 * There is one peer at a time: the runtime at create, nobody while waiting, the runtime at start. If the peer is
 * gone before it has what it asked for, init ends: a container that nobody knows of must not stay behind.
 */
#ifndef RUNNC_INIT_REPORT_H
#define RUNNC_INIT_REPORT_H

#include <stdint.h>

#include "plan.h"

enum {
    /* init → runtime */
    MSG_USER_NAMESPACE = 'U', /* made; the sender waits for its maps */
    MSG_NAMESPACES = 'N',     /* u32 pid inside, and a pidfd of the sender */
    MSG_CREATED = 'C',
    MSG_EXECUTING = 'E', /* the last word if all goes well: the tender's execution closes the connection */
    MSG_FAILED = 'F',    /* u8 enum failure, text */
    MSG_FAULT = 'X',     /* kill yourself (fault battery only) */
    /* runtime → init */
    MSG_MAPPED = 'M',
    /* If the plan has hooks, with two descriptors: OCI state for createContainer and startContainer. Then, if the network
     * makes a difference to the tender, its command line (plan_read_tender) and up to LATE_MAX descriptors more. */
    MSG_CONTINUE = 'G',
    MSG_START = 'S', /* with descriptors as MSG_CONTINUE has behind the states, if the network came only now */
};

/* The tender's late descriptors have the numbers from LATE_FIRST on: above all of the plan's, which are 63 block
 * devices and some more. src/sandbox/launch-plan.ts has the same. */
enum { LATE_FIRST = 128, LATE_MAX = 80 };

/* How the runtime shall word it; src/errors.ts has the names. */
enum failure {
    FAILURE_HOST = 'H',
    FAILURE_HOOK = 'K',
    FAILURE_EXEC_DENIED = 'D',
    FAILURE_INVALID = 'I',
};

/* The moments at which the fault battery can strike, each before the step is done; src/sandbox/launch-plan.ts
 * has the same list. */
enum step {
    STEP_USER_NAMESPACE,
    STEP_NAMESPACES,
    STEP_CLONE,
    STEP_REPORT_NAMESPACES,
    STEP_CONFIGURE_NAMESPACES,
    STEP_CREATE_CONTAINER_HOOKS,
    STEP_TERMINAL,
    STEP_FILE_SERVER,
    STEP_ROOT,
    STEP_REPORT_CREATED,
    STEP_START_REQUESTED,
    STEP_START_CONTAINER_HOOKS,
    STEP_JAIL,
    STEP_CREDENTIALS,
    STEP_EXEC,
};

/* The state of init besides its plan. */
struct init {
    struct plan plan;
    /* Connected to the runtime, or -1. */
    int peer;
    /* The host's /proc: after a mount namespace is joined, "/proc" may be anything. -1 once the jail is shut. */
    int proc;
    int dev_null;
    /* memfds with the OCI state for the hooks of each kind; -1 if there are none. */
    int create_state, start_state;
};

void step(const struct init *init, enum step step);

/* Sends `kind`, `length` bytes of `data` and, unless it is -1, a descriptor. Ends init if the peer is gone. */
void send_message(const struct init *init, char kind, const void *data, size_t length, int fd);

/*
 * Waits for a message of one byte and at most `max` descriptors (3 + LATE_MAX are the most there can be). False: the
 * peer is gone, or there were more. `kind` is left alone if nothing came.
 */
bool receive_descriptors(int peer, char *kind, int *fds, int max, int *count);

/* Waits for a message of just `kind` with `n_fds` descriptors. Ends init if the peer is gone. */
void expect_message(const struct init *init, char kind, int *fds, int n_fds);

/* The same for a message of at least `min` and at most `max` descriptors; returns how many it has. */
int expect_descriptors(const struct init *init, char kind, int *fds, int min, int max);

/* Says why and ends init. fail_errno() appends the meaning of errno. */
_Noreturn void fail(const struct init *init, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void fail_errno(const struct init *init, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends init where nobody is left to be told. */
_Noreturn void abandon(void);

#endif
