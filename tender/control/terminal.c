#include <fcntl.h>
#include <unistd.h>

#include "control.h"
#include "tender/common/pty.h"

void open_terminal(const struct plan *plan)
{
    const struct winsize size = {plan->window.rows, plan->window.columns, plan->window.xpixel, plan->window.ypixel};
    const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (master < 0) report_failure("terminal: /dev/ptmx");
    /* Raw: the guest has the line discipline. */
    const char *failed = pty_take(master, &size, true, CONSOLE_FD);
    if (failed != NULL) report_failure(failed);
    close(CONSOLE_FD);
}
