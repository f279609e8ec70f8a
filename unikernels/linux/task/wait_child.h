#ifndef LINUX_TASK_WAIT_CHILD_H
#define LINUX_TASK_WAIT_CHILD_H

#include "task/signal_deliver.h"
#include "task/task.h"

struct wait_for {
    int type, id;  /* P_ALL, P_PID, P_PGID */
    int options;   /* WEXITED, WSTOPPED, WCONTINUED, WNOHANG, WNOWAIT, __WALL, __WCLONE */
    /* Results; pid 0: WNOHANG and nothing happened. */
    int pid, status, code;
    int64_t cpu_ns;
};

/* 0, -ECHILD, -ERESTARTSYS. */
int wait_for_child(struct wait_for *w);

#endif
