/*
 * The way to the container's broker. A lock file in the container's folder lets
 * one proxy at a time look for it and start it; it goes with whoever holds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"

#define LOCK "control.lock"
#define SOCKET "control.sock"
#define BACKLOG 128
/* A broker may end just as we come; that it happens again and again cannot be. */
#define TRIES 50

static const struct sockaddr_un ADDRESS = {.sun_family = AF_UNIX, .sun_path = SOCKET};

static int new_socket(void)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0) report_failure("cannot make a socket");
    return fd;
}

static void start_broker(const struct plan *plan, int listening)
{
    const pid_t child = fork();

    if (child < 0) report_failure("cannot start the broker");
    if (child > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
        return;
    }
    /* Not our child: its end is not for us to see, and ours not to be waited for by it. */
    const pid_t broker = fork();
    if (broker != 0) _exit(broker < 0);
    setsid();
    broker_run(plan, listening);
}

static void listen_and_start(const struct plan *plan)
{
    const int listening = new_socket();

    if (unlink(SOCKET) != 0 && errno != ENOENT) report_failure("cannot remove " SOCKET);
    if (bind(listening, (const struct sockaddr *)&ADDRESS, sizeof ADDRESS) != 0 || listen(listening, BACKLOG) != 0)
        report_failure("cannot listen on " SOCKET " in the container's folder");
    start_broker(plan, listening);
    close(listening);
}

static int connect_or_start(const struct plan *plan)
{
    const int fd = new_socket();
    const int lock = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (lock < 0) report_failure("cannot open " LOCK " in the container's folder");
    while (flock(lock, LOCK_EX) != 0)
        if (errno != EINTR) report_failure("cannot lock " LOCK);
    if (connect(fd, (const struct sockaddr *)&ADDRESS, sizeof ADDRESS) != 0) {
        if (errno != ECONNREFUSED && errno != ENOENT) report_failure("cannot connect to " SOCKET);
        listen_and_start(plan);
        if (connect(fd, (const struct sockaddr *)&ADDRESS, sizeof ADDRESS) != 0)
            report_failure("cannot connect to " SOCKET);
    }
    close(lock);
    return fd;
}

/* False: the broker has ended. */
static bool receive_id(int fd, uint64_t *session)
{
    struct runnc_control welcome;
    ssize_t got;

    do got = recv(fd, &welcome, sizeof welcome, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof welcome || welcome.type != RUNNC_CONTROL_HELLO) return false;
    if (welcome.session == 0) report_problem("the guest does not answer on its control channel");
    *session = welcome.session;
    return true;
}

int connect_broker(const struct plan *plan, uint64_t *session)
{
    if (fchdir(FOLDER_FD) != 0) report_failure("cannot enter the container's folder");
    for (int i = 0; i < TRIES; i++) {
        const int fd = connect_or_start(plan);
        if (receive_id(fd, session)) {
            if (chdir("/") != 0) report_failure("cannot leave the container's folder");
            return fd;
        }
        close(fd);
    }
    report_problem("the container's broker ends again and again");
}
