/* Hooks that belong into the container's namespaces: createContainer and startContainer. */
#ifndef RUNNC_INIT_HOOKS_H
#define RUNNC_INIT_HOOKS_H

#include "report.h"

/*
 * Runs the hooks one after the other, each with `state_fd` as its stdin; ends init at the first that fails
 * (spec, "Lifecycle"), and, with the hook, if the runtime is gone.
 *
 * confined: the program is the image's, so it gets the ids and no more than the capabilities that config's
 * `process` has, and no_new_privs. Else it is the host's and runs with init's own rights.
 */
void run_hooks(const struct init *init, const char *kind, const struct plan_hook *hooks, uint32_t count,
               int state_fd, bool confined);

#endif
