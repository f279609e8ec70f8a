#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jail.h"

/* What a hook says on stderr is for the error message; more than this is read and dropped. */
#define MAX_STDERR_BYTES 4096

_Noreturn static void child_fails(const char *what, int error)
{
    dprintf(STDERR_FILENO, "%s: %s", what, strerror(error));
    _exit(127);
}

_Noreturn static void hook_main(const struct init *init, const struct plan_hook *hook, int state_fd, int stderr_fd,
                                bool confined)
{
    const struct plan *plan = &init->plan;
    /* A session of its own: no controlling terminal to write to, and one group to kill after a timeout. */
    setsid();
    if (lseek(state_fd, 0, SEEK_SET) != 0 || dup2(state_fd, STDIN_FILENO) < 0 ||
        dup2(init->dev_null, STDOUT_FILENO) < 0 || dup2(stderr_fd, STDERR_FILENO) < 0) {
        _exit(127);
    }
    if (confined) {
        umask(plan->hook_umask);
        if (limit_bounding_set(plan->hook_capabilities) != 0) child_fails("bounding set", errno);
        if (setgroups(plan->n_hook_gids, plan->hook_gids) != 0 && errno != EPERM) child_fails("setgroups", errno);
        if (setresgid(plan->hook_gid, plan->hook_gid, plan->hook_gid) != 0) child_fails("setresgid", errno);
        if (setresuid(plan->hook_uid, plan->hook_uid, plan->hook_uid) != 0) child_fails("setresuid", errno);
        /* Another uid than 0 has lost all by now; what exec gives to 0 is within the bounding set. */
        if (set_capabilities(plan->hook_capabilities) != 0) child_fails("capabilities", errno);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) child_fails("no_new_privs", errno);
    }
    execve(hook->path, hook->argv, hook->environment);
    child_fails(hook->path, errno);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads what is there into text[*used..]; false at the end. */
static bool drain(int fd, char *text, size_t *used)
{
    char rest[512];
    bool full = *used >= MAX_STDERR_BYTES;
    ssize_t length = full ? read(fd, rest, sizeof rest) : read(fd, text + *used, MAX_STDERR_BYTES - *used);
    if (length < 0) return errno == EINTR;
    if (!full) *used += (size_t)length;
    return length > 0;
}

/* The hook and all that it started, also when it has not got as far as a group of its own. */
static void kill_hook(pid_t pid)
{
    kill(pid, SIGKILL);
    kill(-pid, SIGKILL);
}

static void run_hook(const struct init *init, const char *kind, uint32_t index, const struct plan_hook *hook,
                     int state_fd, bool confined)
{
    char text[MAX_STDERR_BYTES + 1];
    size_t used = 0;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) fail_errno(init, "%s hook #%u: pipe", kind, index);
    int write_flags = fcntl(pipe_fds[1], F_GETFL);
    fcntl(pipe_fds[1], F_SETFL, write_flags & ~O_NONBLOCK);

    pid_t pid = fork();
    if (pid < 0) fail_errno(init, "%s hook #%u: fork", kind, index);
    if (pid == 0) hook_main(init, hook, state_fd, pipe_fds[1], confined);
    close(pipe_fds[1]);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int error = errno;
        kill_hook(pid);
        errno = error;
        fail_errno(init, "%s hook #%u: pidfd_open", kind, index);
    }

    int64_t deadline = hook->timeout_ms == 0 ? -1 : now_ms() + hook->timeout_ms;
    struct pollfd polled[3] = {{pidfd, POLLIN, 0}, {pipe_fds[0], POLLIN, 0}, {init->peer, 0, 0}};
    bool timed_out = false;
    while (polled[0].revents == 0) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        timed_out = deadline >= 0 && left <= 0;
        if (timed_out) break;
        if (poll(polled, 3, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR) break;
        if (polled[1].revents != 0 && !drain(pipe_fds[0], text, &used)) polled[1].fd = -1;
        if (polled[2].revents != 0) {
            kill_hook(pid);
            abandon();
        }
    }
    if (timed_out) kill_hook(pid);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    /* Only what is there: something the hook left running may hold the other end for ever. */
    while (polled[1].fd >= 0 && drain(pipe_fds[0], text, &used)) {
    }
    close(pipe_fds[0]);
    close(pidfd);

    text[used] = '\0';
    const char *separator = used > 0 ? ", stderr: " : "";
    if (timed_out) {
        fail(init, FAILURE_HOOK, "error running %s hook #%u: %s timed out after %u ms%s%s", kind, index, hook->path,
             hook->timeout_ms, separator, text);
    }
    if (WIFSIGNALED(status)) {
        fail(init, FAILURE_HOOK, "error running %s hook #%u: %s was killed by signal %d%s%s", kind, index, hook->path,
             WTERMSIG(status), separator, text);
    }
    if (WEXITSTATUS(status) != 0) {
        fail(init, FAILURE_HOOK, "error running %s hook #%u: %s: exit status %d%s%s", kind, index, hook->path,
             WEXITSTATUS(status), separator, text);
    }
}

void run_hooks(const struct init *init, const char *kind, const struct plan_hook *hooks, uint32_t count,
               int state_fd, bool confined)
{
    for (uint32_t i = 0; i < count; i++) run_hook(init, kind, i, &hooks[i], state_fd, confined);
}
