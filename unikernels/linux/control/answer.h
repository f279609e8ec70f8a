/* What the kernel itself says to the runtime's questions (tender/common/abi/runnc_control.h): text, made at once. */
#ifndef LINUX_CONTROL_ANSWER_H
#define LINUX_CONTROL_ANSWER_H

#include "fs/seq_file.h"
#include "tender/common/abi/runnc_control.h"

struct answer {
    struct seq_file text;
    size_t sent; /* bytes of it */
};

/* Does what is asked. -EINVAL: that is no question; -ENOMEM; others as the question says. Never sleeps. */
int answer_make(struct answer *answer, const struct runnc_control_ask *ask);
/* The next bytes, at most max of them; 0: there are none. */
size_t answer_fetch(struct answer *answer, void *buf, size_t max);
bool answer_is_sent(const struct answer *answer);
void answer_free(struct answer *answer);

#endif
