#include "fileserver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/runnc_files.h"
#include "jail.h"

/* Its descriptors, in the order of tender/fileserver/server.h: channel, window, /proc/self/fd, the mounts, the pipes. */
#define FIRST_FD 3
#define OWN_FDS 3
/* While they are put in place: above all that init has. */
#define ASIDE 400

/* tender/fileserver/confine.c says what each is for. */
#define CAPABILITIES                                                                                              \
    (1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_SETGID | \
     1ull << CAP_SETUID)

/* A mount of its own that is nowhere: reached by its descriptor alone, and nothing above it. */
static int open_mount(const struct init *init, const struct plan_served *served)
{
    struct stat planned, found;
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, served->path,
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | (served->recursive ? AT_RECURSIVE : 0));
    if (tree < 0) fail_errno(init, "mount of %s", served->path);
    if (fstat(served->fd, &planned) != 0 || fstat(tree, &found) != 0) fail_errno(init, "mount of %s: fstat", served->path);
    if (planned.st_dev != found.st_dev || planned.st_ino != found.st_ino) {
        fail(init, FAILURE_INVALID, "mount of %s: it was exchanged while the container was created", served->path);
    }
    /* The host's devices are not for the guest, not even by a mistake of the server's. */
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
    if (served->readonly) attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (served->noatime) {
        attributes.attr_set |= MOUNT_ATTR_NOATIME;
        attributes.attr_clr |= MOUNT_ATTR__ATIME;
    }
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
        fail_errno(init, "mount of %s: mount_setattr", served->path);
    }
    return tree;
}

/* This process's descriptors as a file system with nothing above it: through it an inode that is known can be opened. */
static int open_descriptors(const struct init *init)
{
    struct stat known, found;
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0) fail_errno(init, "file server: /proc/self/fd");
    /* By its path, for mounts of another namespace cannot be cloned; in one that was joined that may be anything. */
    if (fstatat(init->proc, "self/fd", &known, 0) != 0 || fstat(tree, &found) != 0 || known.st_dev != found.st_dev ||
        known.st_ino != found.st_ino) {
        fail(init, FAILURE_HOST, "file server: /proc of the mount namespace is not this host's");
    }
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
        fail_errno(init, "file server: mount_setattr");
    }
    return tree;
}

static int aside(const struct init *init, int fd, uint32_t position)
{
    if (dup3(fd, ASIDE + (int)position, O_CLOEXEC) < 0) {
        fail_errno(init, "file server: descriptors (is RLIMIT_NOFILE below %d?)", ASIDE + OWN_FDS + RUNNC_FILES_MOUNTS_MAX + RUNNC_FILES_PIPES);
    }
    return ASIDE + (int)position;
}

static void place_descriptors(const struct init *init, uint32_t count)
{
    for (int fd = 0; fd < FIRST_FD; fd++) {
        if (dup2(init->dev_null, fd) < 0) fail_errno(init, "file server: /dev/null");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (dup2(ASIDE + (int)i, FIRST_FD + (int)i) < 0) fail_errno(init, "file server: descriptors");
    }
}

/* As the container's process, but for the rights over files that the guest's root has to have. */
static void take_credentials(const struct init *init)
{
    const struct plan *plan = &init->plan;

    /* Without the fix-up: setfsuid is not to take the rights away. */
    drop_groups(init, SECBIT_NO_SETUID_FIXUP);
    if (limit_bounding_set(CAPABILITIES) != 0) fail_errno(init, "file server: bounding set");
    if (setresuid(plan->jail_uid, plan->jail_uid, plan->jail_uid) != 0) {
        fail_errno(init, "file server: uid %u", plan->jail_uid);
    }
    if (set_capabilities(CAPABILITIES) != 0 || inherit_capabilities() != 0) fail_errno(init, "file server: capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail_errno(init, "file server: no_new_privs");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail_errno(init, "file server: dumpable");
}

/* Until the guest asks for something. Nothing is open meanwhile but what the server gets, and its program as the last one. */
static void wait_for_request(const struct init *init, uint32_t count)
{
    const int program = FIRST_FD + (int)count;
    struct pollfd channel = {.fd = FIRST_FD, .events = POLLIN};

    if (dup3(init->plan.server_fd, program, O_CLOEXEC) < 0) abandon();
    if (syscall(SYS_close_range, program + 1, ~0u, 0) != 0) abandon();
    while (poll(&channel, 1, -1) < 0 && errno == EINTR) continue;
    if ((channel.revents & POLLIN) == 0) _exit(0);
}

_Noreturn static void become_file_server(const struct init *init, pid_t parent)
{
    const struct plan *plan = &init->plan;
    char *argv[1 + RUNNC_FILES_MOUNTS_MAX + RUNNC_FILES_PIPES + 1] = {"runnc-fileserver"};
    const uint32_t count = OWN_FDS + plan->n_served + plan->n_pipes;
    char *const no_environment[] = {NULL};

    prctl(PR_SET_NAME, RUNNC_FILES_PROCESS, 0, 0, 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_errno(init, "file server: mounts");
    aside(init, plan->channel_fd, 0);
    aside(init, plan->window_fd, 1);
    aside(init, open_descriptors(init), 2);
    for (uint32_t i = 0; i < plan->n_served; i++) {
        aside(init, open_mount(init, &plan->served[i]), OWN_FDS + i);
        argv[1 + i] = plan->served[i].readonly ? "ro" : "rw";
    }
    for (uint32_t i = 0; i < plan->n_pipes; i++) {
        aside(init, plan->pipe_fds[i], OWN_FDS + plan->n_served + i);
        argv[1 + plan->n_served + i] = "pipe";
    }
    enter_empty_root(init);
    if (set_core_limit() != 0) fail_errno(init, "file server: RLIMIT_CORE");
    take_credentials(init);
    place_descriptors(init, count);
    /* After the change of ids, which takes it back. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) abandon();
    int program = plan->server_fd;
    if (plan->server_on_demand) {
        wait_for_request(init, count);
        program = FIRST_FD + (int)count;
    }
    syscall(SYS_execveat, program, "", argv, no_environment, AT_EMPTY_PATH);
    fail_errno(init, "cannot execute the file server");
}

void start_file_server(const struct init *init)
{
    const struct plan *plan = &init->plan;
    /* No signal if it ends before it is executed: the runtime is told. Execution makes it SIGCHLD. */
    struct clone_args arguments = {.flags = CLONE_NEWNS};
    int alive[2] = {-1, -1};
    char nothing;

    if (plan->n_served == 0) return;
    if (plan->n_served > RUNNC_FILES_MOUNTS_MAX) fail(init, FAILURE_INVALID, "too many mounts to serve");
    if (plan->n_pipes > RUNNC_FILES_PIPES) fail(init, FAILURE_INVALID, "too many pipes for the file server");
    if (!plan->server_on_demand && pipe2(alive, O_CLOEXEC) != 0) fail_errno(init, "file server: pipe");
    const pid_t self = getpid();
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) fail_errno(init, "cannot start the file server (does linux.resources.pids.limit leave it room?)");
    if (pid == 0) {
        struct init own = *init;
        if (plan->server_on_demand) {
            /* Nobody waits for it: the container is made and started meanwhile. */
            close(own.peer);
            own.peer = -1;
        } else {
            close(alive[0]);
        }
        become_file_server(&own, self);
    }
    if (plan->server_on_demand) goto out;
    /* Its execution, or its end, closes the other one. A failure it has told the runtime before. */
    close(alive[1]);
    while (read(alive[0], &nothing, 1) < 0 && errno == EINTR) continue;
    close(alive[0]);
out:
    close(plan->server_fd);
    close(plan->channel_fd);
    close(plan->window_fd);
    for (uint32_t i = 0; i < plan->n_pipes; i++) close(plan->pipe_fds[i]);
}
