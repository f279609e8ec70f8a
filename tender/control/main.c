/*
 * What `runnc exec` spawns: control.h tells what for. Its arguments are those of the program it stands for.
 *
 * It ends up as two processes: the one that is spawned finds the broker and makes the proxy, as a child of
 * `runnc exec` beside itself, in the container's pid namespace.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

#define NAME "runnc-exec"

/*
 * The kernel kills whoever is in a pid namespace when its first process ends, and lets nobody hear of that end
 * before they are reaped. Callers rely on this order: Docker forgets a container with its first process, and a
 * program of whose end it hears later never ends for it. Without the right to enter (an ordinary user's container)
 * the proxy ends when the broker does, a moment later.
 */
static void enter_pid_namespace(void)
{
    if (setns(CONTAINER_FD, CLONE_NEWPID) != 0 && errno != EPERM)
        report_failure("cannot enter the container's pid namespace");
    close(CONTAINER_FD);
}

/* Only a new process is in it. The one that is left has nothing more to do. */
static void become_proxy(const struct plan *plan)
{
    const long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);

    if (child < 0) report_failure("cannot make the proxy");
    if (child > 0) _exit(0);
    report_here();
    /* By itself, as the broker does: a limit on the number of processes holds up forks, but nobody who moves in. */
    enter_cgroups(plan);
    /* A session of its own: what a terminal sends to the caller's group is the caller's to pass on. */
    if (setsid() < 0) report_failure("setsid");
}

int main(void)
{
    struct plan plan;
    uint64_t session;

    prctl(PR_SET_NAME, NAME);
    if (!plan_read(&plan)) report_problem("the plan is not one of this version");
    /* The runtime had it on, and a socket that has it takes a name when it sends. */
    const int off = 0;
    if (setsockopt(CHANNEL_FD, SOL_SOCKET, SO_PASSCRED, &off, sizeof off) != 0) report_failure("the control channel");
    const int broker = connect_broker(&plan, &session);
    close(FOLDER_FD);
    close(PLAN_FD);
    enter_pid_namespace();
    become_proxy(&plan);
    if (plan.terminal) open_terminal(&plan);
    _exit(proxy_run(&plan, broker, session));
}
