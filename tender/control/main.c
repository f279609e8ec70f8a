/* What `runnc exec` spawns: control.h tells what for. Its name and arguments are those of the program it stands for. */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"

#define NAME "runnc-exec"

int main(void)
{
    struct plan plan;
    uint64_t session;

    prctl(PR_SET_NAME, NAME);
    if (!plan_read(&plan)) report_problem("the plan is not one of this version");
    /* A session of its own: what a terminal sends to the caller's group is the caller's to pass on. */
    if (setsid() < 0) report_failure("setsid");
    /* The runtime had it on, and a socket that has it takes a name when it sends. */
    const int off = 0;
    if (setsockopt(CHANNEL_FD, SOL_SOCKET, SO_PASSCRED, &off, sizeof off) != 0) report_failure("the control channel");
    enter_cgroups(&plan);
    if (plan.terminal) open_terminal(&plan);
    const int broker = connect_broker(&plan, &session);
    close(FOLDER_FD);
    close(PLAN_FD);
    _exit(proxy_run(&plan, broker, session));
}
