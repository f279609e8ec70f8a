/* The standard descriptors of the container: a terminal of its own, or what the caller gave. */
#ifndef RUNNC_INIT_TERMINAL_H
#define RUNNC_INIT_TERMINAL_H

#include "report.h"

/* Opens a pty, sends its master over the console socket and makes its slave 0, 1, 2 and the controlling terminal.
 * Needs a session of its own. */
void open_terminal(const struct init *init);

/* Opens pipes and terminals among 0, 1, 2 anew, so that they share no file status flags with the caller's. */
void reopen_stdio(const struct init *init);

#endif
