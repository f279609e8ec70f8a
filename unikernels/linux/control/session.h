/* A program that the runtime started, and its standard streams. */
#ifndef LINUX_CONTROL_SESSION_H
#define LINUX_CONTROL_SESSION_H

#include "control/answer.h"
#include "control/request.h"
#include "control/stream.h"
#include "lib/list.h"
#include "task/outside.h"

struct session {
    struct list link;
    uint64_t id; /* 0: the runtime knows it no more */
    struct request request;
    struct outside outside;
    struct process *process; /* held from its start to its end */
    int pid;
    struct stream streams[RUNNC_CONTROL_STREAMS];
    bool terminal;
    struct answer answer; /* in place of a process and its streams */

    /* What the runtime is still to be told. */
    bool started_due, failed_due, exit_due;
    int error, stage; /* of failed_due */
    int status;       /* of exit_due, as wait(2) has it */
    uint32_t sent_after_exit; /* bytes */
};

/* A message for the session `id`, from the runtime. */
void session_message(const struct runnc_control *message, size_t data_size);

/* Moves what can be moved and says what is to be said; a message at most of each stream. False: nothing changed. */
bool session_work(struct session *s);

/* All of them, in the order in which they get their turn. */
extern struct list sessions;

/* The runtime that knew them is gone. */
void sessions_hang_up(void);

/* launch.c: makes the process, which goes its way from there. -ENOMEM, -EAGAIN. */
int session_launch(struct session *s);

#endif
