/*
 * Processes that no process of the guest made: the runtime asked for them over
 * the control channel. Their parent is outside (getppid gives 0), each leads a
 * session of its own, and their end is told to whoever asked, not waited for.
 */
#ifndef LINUX_TASK_OUTSIDE_H
#define LINUX_TASK_OUTSIDE_H

#include "task/task.h"

struct outside {
    /*
     * The process's first steps, as itself, on its own kernel stack: it executes a
     * program and returns, or does not (task_exit). May sleep. Files, credentials
     * and working folder are its own to set before; descriptors there are none.
     */
    void (*start)(struct outside *outside);
    /* It is dead; status as wait(2) reports it. The process goes away after this. */
    void (*ended)(struct outside *outside, int status);
};

/* In the container's root and with its first process's umask; cred is taken over on success. -ENOMEM, -EAGAIN. */
int outside_start(struct outside *outside, struct cred *cred, struct process **started);

#endif
