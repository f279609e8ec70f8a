/*
 * init: the sandbox's first stage. It turns itself into the container's process, in this order and no other.
 *
 * The runtime is a threaded program and cannot do these things to itself: setns refuses mount and user namespaces
 * to threads, and a fork of it would inherit memory that holds the host's environment. So it executes this small
 * static program from a sealed memfd (a container must not be able to overwrite, through /proc/PID/exe, what the
 * next container will be started with: CVE-2019-5736), with a plan on a descriptor. init does what the plan says.
 *
 * Stage 1, in the host's namespaces, a child of the runtime:
 *   1. read the plan; everything not standard input, output or error becomes close-on-exec
 *   2. oom_score_adj, while /proc/self is still ours
 *   3. join the namespaces that are given
 *   4. make the user namespace, and wait until the runtime has written its maps
 *   5. make the time namespace and set its clocks
 *   6. clone the container's process into the other new namespaces and its cgroup v2, as a child of the runtime,
 *      and end
 * Stage 2, the container's process, pid 1 if the pid namespace is new:
 *   7. enter the cgroups v1; tell the runtime its pid, and wait until the runtime has run the hooks of the host's side
 *      and set up the network (and, where 6 and 7 could not, put it into its cgroups)
 *   8. cgroup namespace, hostname, sysctls, keyring
 *   9. createContainer hooks: the container's namespaces, the host's files
 *  10. terminal, or standard descriptors of its own
 *  11. the file server, if anything is to be served: a process of its own, which ends with the container
 *  12. the root: if there are startContainer hooks, the bundle's rootfs for now; else at once steps 15 and 16
 *  13. tell the runtime that the container is created, let go of it, and wait for start
 *  14. startContainer hooks: the container's namespaces and files
 *  15. the jail: an empty root and the limits
 *  16. the credentials: an unprivileged user without capabilities
 *  17. execute the tender
 *
 * Up to step 13 a runtime that is gone means the end: nobody would know of this process. Failures are reported in one
 * message (report.h), and nothing needs to be undone: namespaces, mounts and descriptors go with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fileserver.h"
#include "hooks.h"
#include "jail.h"
#include "report.h"
#include "terminal.h"

static void write_file(const struct init *init, int fd, const char *name, const char *value)
{
    if (fd < 0) fail_errno(init, "%s", name);
    size_t length = strlen(value);
    if (write(fd, value, length) != (ssize_t)length) fail_errno(init, "%s: cannot set \"%s\"", name, value);
    close(fd);
}

static void set_oom_score_adj(const struct init *init)
{
    char value[16];
    if (!init->plan.has_oom_score_adj) return;
    snprintf(value, sizeof value, "%d", init->plan.oom_score_adj);
    int fd = openat(init->proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    write_file(init, fd, "process.oomScoreAdj", value);
}

/* Nobody but the host's root may look into us from here on: a process of a namespace that we join might try. */
static void hide(const struct init *init)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail_errno(init, "PR_SET_DUMPABLE");
}

static const char *namespace_name(uint32_t flag)
{
    switch (flag) {
    case CLONE_NEWUSER: return "user";
    case CLONE_NEWPID: return "pid";
    case CLONE_NEWNET: return "network";
    case CLONE_NEWNS: return "mount";
    case CLONE_NEWIPC: return "ipc";
    case CLONE_NEWUTS: return "uts";
    case CLONE_NEWCGROUP: return "cgroup";
    case CLONE_NEWTIME: return "time";
    default: return "unknown";
    }
}

/* The kernel refuses to join the user namespace one is in already. */
static bool is_own_user_namespace(const struct init *init, int fd)
{
    struct stat own, other;
    return fstatat(init->proc, "self/ns/user", &own, 0) == 0 && fstat(fd, &other) == 0 &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

static void join_namespaces(const struct init *init)
{
    const struct plan *plan = &init->plan;
    uint64_t refused = 0; /* by position; a plan has at most one of each kind */
    /* With the rights that we came with, if those suffice ... */
    for (uint32_t i = 0; i < plan->n_joins; i++) {
        const struct plan_join *join = &plan->joins[i];
        if (join->flag == CLONE_NEWUSER || setns(join->fd, (int)join->flag) == 0) continue;
        if (errno != EPERM) fail_errno(init, "cannot join the %s namespace", namespace_name(join->flag));
        refused |= 1ull << (i & 63);
    }
    for (uint32_t i = 0; i < plan->n_joins; i++) {
        const struct plan_join *join = &plan->joins[i];
        if (join->flag != CLONE_NEWUSER || is_own_user_namespace(init, join->fd)) continue;
        if (setns(join->fd, CLONE_NEWUSER) != 0) fail_errno(init, "cannot join the user namespace");
    }
    /* ... else with those that the user namespace gives over its own. */
    for (uint32_t i = 0; i < plan->n_joins; i++) {
        const struct plan_join *join = &plan->joins[i];
        if ((refused >> (i & 63) & 1) != 0 && setns(join->fd, (int)join->flag) != 0) {
            fail_errno(init, "cannot join the %s namespace", namespace_name(join->flag));
        }
    }
}

static bool joins(const struct plan *plan, uint32_t flag)
{
    for (uint32_t i = 0; i < plan->n_joins; i++) {
        if (plan->joins[i].flag == flag) return true;
    }
    return false;
}

/* Root of the user namespace, if it has one: files that we make or open there are to be its. */
static void become_namespace_root(const struct init *init)
{
    if (setresgid(0, 0, 0) != 0 && errno != EINVAL) fail_errno(init, "user namespace: setresgid");
    if (setresuid(0, 0, 0) != 0 && errno != EINVAL) fail_errno(init, "user namespace: setresuid");
}

static void make_user_namespace(const struct init *init)
{
    if (unshare(CLONE_NEWUSER) != 0) fail_errno(init, "cannot make a user namespace");
    send_message(init, MSG_USER_NAMESPACE, NULL, 0, -1);
    expect_message(init, MSG_MAPPED, NULL, 0);
}

/* `offsets`: /proc/self/timens_offsets, opened while it was still ours. */
static void make_time_namespace(const struct init *init, int offsets)
{
    const struct plan *plan = &init->plan;
    if (unshare(CLONE_NEWTIME) != 0) fail_errno(init, "cannot make a time namespace");
    char lines[256]; /* one write, the kernel takes no second; a plan has at most one line for each of two clocks */
    size_t length = 0;
    for (uint32_t i = 0; i < plan->n_time_offsets && length < sizeof lines; i++) {
        const struct plan_time_offset *offset = &plan->time_offsets[i];
        length += (size_t)snprintf(lines + length, sizeof lines - length, "%s %lld %u\n",
                                   offset->boottime ? "boottime" : "monotonic", (long long)offset->seconds,
                                   offset->nanoseconds);
    }
    if (length >= sizeof lines) fail(init, FAILURE_INVALID, "linux.timeOffsets: too many");
    if (length > 0 && write(offsets, lines, length) != (ssize_t)length) fail_errno(init, "linux.timeOffsets");
}

/* 0 in the new process, its pid in the old one. */
static pid_t clone_container_process(const struct init *init)
{
    /* cgroup: not before the runtime has moved us. user, time: made by now. */
    uint64_t flags = init->plan.new_namespaces & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWUSER | CLONE_NEWTIME);
    /* A child of the runtime, not ours: the runtime, or later its subreaper, waits for the container's exit status.
     * With CLONE_PARENT the exit signal is that of this process, SIGCHLD. */
    struct clone_args arguments = {.flags = flags | CLONE_PARENT};
    if (init->plan.has_cgroup_clone) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)init->plan.cgroup_clone_fd;
    }
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) fail_errno(init, "cannot make the namespaces");
    return (pid_t)pid;
}

/* By itself and through `tasks`: for anybody else, or through cgroup.procs, the kernel holds off all forks and exits
 * and waits for an RCU grace period first. Not in stage 1: a pids limit of 1 would then forbid the clone. */
static void enter_cgroups(const struct init *init)
{
    const struct plan *plan = &init->plan;
    for (uint32_t i = 0; i < plan->n_cgroup_tasks; i++) {
        int fd = (int)plan->cgroup_tasks[i];
        if (write(fd, "0", 1) != 1) fail_errno(init, "linux.cgroupsPath: cannot enter the cgroup");
        close(fd);
    }
    if (plan->has_cgroup_clone) close(plan->cgroup_clone_fd);
}

static void report_namespaces(const struct init *init)
{
    /* The runtime sees another pid than we do: the kernel tells it, with the message. The pidfd is for good. */
    uint32_t pid = (uint32_t)getpid();
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) fail_errno(init, "pidfd_open");
    send_message(init, MSG_NAMESPACES, &pid, sizeof pid, pidfd);
    close(pidfd);
}

/* What the tender gets of the network, which is there only now: its command line and descriptors. */
static void take_late(struct init *init, const int *fds, int count)
{
    struct plan *plan = &init->plan;
    if (!plan_read_tender(plan, fds[0])) fail(init, FAILURE_HOST, "init does not understand the network's part");
    close(fds[0]);
    for (int i = 1; i < count; i++, plan->late_fds++) {
        if (dup3(fds[i], LATE_FIRST + (int)plan->late_fds, O_CLOEXEC) < 0) fail_errno(init, "network: descriptor of the tender");
        close(fds[i]);
    }
}

/* The hooks' states, and what comes of the network. */
static void await_continue(struct init *init)
{
    struct plan *plan = &init->plan;
    int fds[3 + LATE_MAX];
    int states = plan->n_create_hooks + plan->n_start_hooks > 0 ? 2 : 0;
    int count = expect_descriptors(init, MSG_CONTINUE, fds, states, states + 1 + LATE_MAX);
    if (states > 0) {
        init->create_state = fds[0];
        init->start_state = fds[1];
    }
    if (count > states) take_late(init, fds + states, count - states);
}

static void set_sysctls(const struct init *init)
{
    const struct plan *plan = &init->plan;
    if (plan->n_sysctls == 0) return;
    int folder = openat(init->proc, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) fail_errno(init, "/proc/sys");
    for (uint32_t i = 0; i < plan->n_sysctls; i++) {
        struct open_how how = {
            .flags = O_WRONLY | O_CLOEXEC,
            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        int fd = (int)syscall(SYS_openat2, folder, plan->sysctls[i].path, &how, sizeof how);
        char name[256];
        snprintf(name, sizeof name, "linux.sysctl %s", plan->sysctls[i].path);
        write_file(init, fd, name, plan->sysctls[i].value);
    }
    close(folder);
}

static void configure_namespaces(const struct init *init)
{
    const struct plan *plan = &init->plan;
    if ((plan->new_namespaces & CLONE_NEWCGROUP) != 0 && unshare(CLONE_NEWCGROUP) != 0) {
        fail_errno(init, "cannot make a cgroup namespace");
    }
    if (plan->hostname != NULL && sethostname(plan->hostname, strlen(plan->hostname)) != 0) {
        fail_errno(init, "hostname");
    }
    if (plan->domainname != NULL && setdomainname(plan->domainname, strlen(plan->domainname)) != 0) {
        fail_errno(init, "domainname");
    }
    set_sysctls(init);
    /* Without a name: one with a name could be somebody else's. */
    if (plan->new_keyring && syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS) {
        fail_errno(init, "cannot make a session keyring (see --no-new-keyring)");
    }
    /* What hooks and we mount must not show in the host. A joined mount namespace is others' and stays as it is. */
    if ((plan->new_namespaces & CLONE_NEWNS) != 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fail_errno(init, "cannot make the mounts private");
    }
}

static void run_create_container_hooks(const struct init *init)
{
    const struct plan *plan = &init->plan;
    if (plan->n_create_hooks == 0) return;
    if (fchdir(plan->rootfs_fd) != 0) fail_errno(init, "rootfs: fchdir");
    run_hooks(init, "createContainer", plan->create_hooks, plan->n_create_hooks, init->create_state, false);
}

/* From here on the mounts are ours alone, whatever the plan says of mount namespaces. */
static void own_mounts(const struct init *init)
{
    if ((init->plan.new_namespaces & CLONE_NEWNS) != 0) return;
    if (unshare(CLONE_NEWNS) != 0) fail_errno(init, "cannot make the jail's mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_errno(init, "cannot make the mounts private");
}

static void jail(const struct init *init)
{
    step(init, STEP_JAIL);
    enter_empty_root(init);
    apply_limits(init);
    step(init, STEP_CREDENTIALS);
    drop_credentials(init);
}

static void end_by_signal(int signal_number)
{
    _exit(128 + signal_number);
}

/* To pid 1 of a namespace a signal without a handler does nothing, and `kill ID TERM` must end a created container
 * as it ends others. Execution takes the handlers away. */
static void die_of_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    struct sigaction action = {.sa_handler = end_by_signal};
    if (getpid() != 1) return;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}

/* Until start is asked for; init->peer is who asked. The network may have come only after create: then with its part. */
static void wait_for_start(struct init *init, int listener)
{
    int fds[1 + LATE_MAX], count;
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            abandon();
        }
        char request = 0;
        bool whole = receive_descriptors(connection, &request, fds, 1 + LATE_MAX, &count);
        init->peer = connection;
        if (whole && request == MSG_START) break;
        for (int i = 0; i < count; i++) close(fds[i]);
        init->peer = -1;
        close(connection); /* a caller that died before it could ask */
    }
    if (count > 0) take_late(init, fds, count);
}

static void execute_tender(const struct init *init)
{
    const struct plan *plan = &init->plan;
    char *const no_environment[] = {NULL};
    /* Between the end of our handlers and the first of the tender's a signal would do nothing to pid 1 and be lost.
     * Blocked it waits; the tender lets signals in when it can take them. */
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (uint32_t i = 0; i < plan->tender_fds; i++) {
        if (fcntl(3 + (int)i, F_SETFD, 0) != 0) fail_errno(init, "descriptor %u of the tender", 3 + i);
    }
    for (uint32_t i = 0; i < plan->late_fds; i++) {
        if (fcntl(LATE_FIRST + (int)i, F_SETFD, 0) != 0) fail_errno(init, "descriptor %u of the tender", LATE_FIRST + i);
    }
    send_message(init, MSG_EXECUTING, NULL, 0, -1);
    syscall(SYS_execveat, plan->executable_fd, "", plan->argv, no_environment, AT_EMPTY_PATH);
    fail_errno(init, "cannot execute the tender");
}

int main(int argc, char **argv)
{
    struct init init = {.peer = -1, .proc = -1, .dev_null = -1, .create_state = -1, .start_state = -1};
    struct plan *plan = &init.plan;

    int plan_fd = argc == 2 ? atoi(argv[1]) : -1;
    if (!plan_read(plan, plan_fd)) {
        static const char message[] = "init: this program is started by runnc with a plan\n";
        ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
        return written < 0 ? 2 : 1;
    }
    close(plan_fd);
    init.peer = plan->sync_fd;
    if (syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) fail_errno(&init, "close_range");
    prctl(PR_SET_NAME, "runnc-init", 0, 0, 0);
    init.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    init.dev_null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (init.proc < 0 || init.dev_null < 0) fail_errno(&init, "cannot open /proc and /dev/null");

    set_oom_score_adj(&init);
    int offsets = -1;
    if ((plan->new_namespaces & CLONE_NEWTIME) != 0) {
        offsets = openat(init.proc, "self/timens_offsets", O_WRONLY | O_CLOEXEC);
        if (offsets < 0) fail_errno(&init, "linux.timeOffsets: this kernel has no time namespaces");
    }

    step(&init, STEP_USER_NAMESPACE);
    if ((plan->new_namespaces & CLONE_NEWUSER) != 0) {
        join_namespaces(&init);
        /* Hidden only afterwards: an ordinary user's runtime could not write the maps of a hidden process. */
        make_user_namespace(&init);
        become_namespace_root(&init);
    } else if (joins(plan, CLONE_NEWUSER)) {
        hide(&init);
        join_namespaces(&init);
        become_namespace_root(&init);
    } else {
        join_namespaces(&init);
    }
    /* After the last change of ids, each of which sets it to fs.suid_dumpable. */
    hide(&init);
    step(&init, STEP_NAMESPACES);
    if (offsets >= 0) {
        make_time_namespace(&init, offsets);
        close(offsets);
    }
    step(&init, STEP_CLONE);
    if (clone_container_process(&init) != 0) return 0;

    enter_cgroups(&init);
    if (setsid() < 0) fail_errno(&init, "setsid");
    step(&init, STEP_REPORT_NAMESPACES);
    report_namespaces(&init);
    await_continue(&init);

    step(&init, STEP_CONFIGURE_NAMESPACES);
    configure_namespaces(&init);
    step(&init, STEP_CREATE_CONTAINER_HOOKS);
    run_create_container_hooks(&init);
    step(&init, STEP_TERMINAL);
    if (plan->has_terminal) {
        open_terminal(&init);
    } else if (plan->reopen_stdio) {
        reopen_stdio(&init);
    }
    step(&init, STEP_FILE_SERVER);
    start_file_server(&init);
    step(&init, STEP_ROOT);
    own_mounts(&init);
    if (plan->n_start_hooks > 0) enter_rootfs(&init);
    /* What leads to the host's files, or keeps its mounts busy, is gone from here on. */
    close(init.proc);
    close(plan->rootfs_fd);
    for (uint32_t i = 0; i < plan->n_joins; i++) close(plan->joins[i].fd);
    for (uint32_t i = 0; i < plan->n_served; i++) close(plan->served[i].fd);
    init.proc = -1;
    if (plan->n_start_hooks == 0) {
        jail(&init);
    }
    die_of_signals();
    step(&init, STEP_REPORT_CREATED);
    send_message(&init, MSG_CREATED, NULL, 0, -1);
    close(init.peer);
    init.peer = -1;

    wait_for_start(&init, plan->start_fd);
    step(&init, STEP_START_REQUESTED);
    if (plan->n_start_hooks > 0) {
        step(&init, STEP_START_CONTAINER_HOOKS);
        run_hooks(&init, "startContainer", plan->start_hooks, plan->n_start_hooks, init.start_state, true);
        jail(&init);
    }
    step(&init, STEP_EXEC);
    execute_tender(&init);
}
