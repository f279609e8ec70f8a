#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/sched/types.h and linux/ioprio.h, which clash with libc's headers. */
struct scheduler_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};
#define IOPRIO_WHO_PROCESS 1

/* Puts the detached mount `tree` on top of the root and makes it the root. */
static void switch_root(const struct init *init, int tree)
{
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        fail_errno(init, "root: move_mount");
    }
    if (fchdir(tree) != 0) fail_errno(init, "root: fchdir");
    if (init->plan.no_pivot) {
        if (chroot(".") != 0) fail_errno(init, "root: chroot");
    } else {
        /* Both in one place: the old root ends up on top of the new one, where the next call takes it off with
         * everything below it, pivot_root(2). */
        if (syscall(SYS_pivot_root, ".", ".") != 0) {
            fail_errno(init, "root: pivot_root (a host that runs from an initramfs needs --no-pivot)");
        }
        if (umount2(".", MNT_DETACH) != 0) fail_errno(init, "root: umount");
    }
    if (chdir("/") != 0) fail_errno(init, "root: chdir");
    close(tree);
}

void enter_rootfs(const struct init *init)
{
    const struct plan *plan = &init->plan;
    /* The plan's descriptor belongs to the mounts of the host's namespace and cannot be mounted here, the path can;
     * it must still lead to the same folder. */
    struct stat planned, found;
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, plan->rootfs_path,
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
    if (tree < 0) fail_errno(init, "rootfs %s", plan->rootfs_path);
    if (fstat(plan->rootfs_fd, &planned) != 0 || fstat(tree, &found) != 0) fail_errno(init, "rootfs: fstat");
    if (planned.st_dev != found.st_dev || planned.st_ino != found.st_ino) {
        fail(init, FAILURE_INVALID, "rootfs %s was exchanged while the container was created", plan->rootfs_path);
    }
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
        fail_errno(init, "rootfs: mount_setattr");
    }
    switch_root(init, tree);
}

void enter_empty_root(const struct init *init)
{
    int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0) fail_errno(init, "jail: fsopen tmpfs");
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0) != 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) != 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0 ||
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        fail_errno(init, "jail: fsconfig tmpfs");
    }
    int tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
                            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (tree < 0) fail_errno(init, "jail: fsmount tmpfs");
    close(fs);
    switch_root(init, tree);
}

/* In the kernel's numbering; all of the 16 that Linux has. */
static const char *const limit_names[16] = {
    "RLIMIT_CPU",     "RLIMIT_FSIZE", "RLIMIT_DATA",       "RLIMIT_STACK",    "RLIMIT_CORE", "RLIMIT_RSS",
    "RLIMIT_NPROC",   "RLIMIT_NOFILE", "RLIMIT_MEMLOCK",   "RLIMIT_AS",       "RLIMIT_LOCKS", "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO",     "RLIMIT_RTTIME",
};

/* The kernel's own call: the plan's numbers are the kernel's, where all ones are no limit. */
static int set_limit(uint32_t resource, uint64_t soft, uint64_t hard)
{
    uint64_t limit[2] = {soft, hard};
    return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

int set_core_limit(void)
{
    return set_limit(RLIMIT_CORE, 0, 0);
}

void apply_limits(const struct init *init)
{
    const struct plan *plan = &init->plan;
    for (uint32_t i = 0; i < plan->n_rlimits; i++) {
        const struct plan_rlimit *limit = &plan->rlimits[i];
        if (set_limit(limit->resource, limit->soft, limit->hard) != 0) {
            fail_errno(init, "process.rlimits: error setting %s", limit_names[limit->resource & 15]);
        }
    }
    if (set_core_limit() != 0) fail_errno(init, "error setting RLIMIT_CORE");

    if (plan->has_scheduler) {
        struct scheduler_attributes attributes = {
            sizeof attributes,    plan->sched_policy,     plan->sched_flags,
            plan->sched_nice,     plan->sched_priority,   plan->sched_runtime_ns,
            plan->sched_deadline_ns, plan->sched_period_ns,
        };
        if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) fail_errno(init, "process.scheduler");
    }
    if (plan->has_io_priority && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, plan->io_priority) != 0) {
        fail_errno(init, "process.ioPriority");
    }
}

int limit_bounding_set(uint64_t mask)
{
    for (unsigned capability = 0; capability < 64; capability++) {
        int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (has < 0) break; /* the kernel knows no more */
        bool wanted = (mask >> capability & 1) != 0;
        if (has == 1 && !wanted && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return -1;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int set_capabilities(uint64_t mask)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) return -1;
    for (int half = 0; half < 2; half++) {
        uint32_t bits = (uint32_t)(mask >> (32 * half));
        sets[half].permitted &= bits;
        sets[half].effective &= bits;
        sets[half].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, sets);
}

int inherit_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) return -1;
    for (int half = 0; half < 2; half++) sets[half].inheritable = sets[half].permitted;
    if (syscall(SYS_capset, &header, sets) != 0) return -1;
    for (unsigned capability = 0; capability < 64; capability++) {
        bool has = (sets[capability / 32].permitted >> (capability % 32) & 1) != 0;
        if (has && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return -1;
    }
    return 0;
}

static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    return syscall(SYS_capget, &header, sets) == 0 && (sets[capability / 32].effective >> (capability % 32) & 1) != 0;
}

void drop_groups(const struct init *init, int securebits)
{
    const struct plan *plan = &init->plan;

    /* Uid 0 is to mean nothing (in a rootless container it may be the only id), and no later exec or capset is to
     * find a way back. Before the bounding set goes, because it takes the capability that this needs. */
    if (prctl(PR_SET_SECUREBITS,
              SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | securebits,
              0, 0, 0) != 0) {
        fail_errno(init, "credentials: securebits");
    }
    /* Groups before gid before uid: each needs what the next one gives up. A user namespace made by an ordinary user, by
     * us or by who calls us, denies setgroups even to who has the capability; the groups that stay are that user's own,
     * and there is no file here they could open. */
    if (setgroups(0, NULL) != 0 && !(errno == EPERM && has_capability(CAP_SETGID))) {
        fail_errno(init, "credentials: setgroups");
    }
    if (setresgid(plan->jail_gid, plan->jail_gid, plan->jail_gid) != 0) {
        fail_errno(init, "credentials: gid %u", plan->jail_gid);
    }
}

void drop_credentials(const struct init *init)
{
    const struct plan *plan = &init->plan;

    drop_groups(init, SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
    /* With the uid the kernel takes the capabilities, CAP_SETPCAP too, which the bounding set needs: so that first. */
    if (limit_bounding_set(0) != 0) fail_errno(init, "credentials: bounding set");
    if (setresuid(plan->jail_uid, plan->jail_uid, plan->jail_uid) != 0) {
        fail_errno(init, "credentials: uid %u", plan->jail_uid);
    }
    if (set_capabilities(0) != 0) fail_errno(init, "credentials: capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail_errno(init, "credentials: no_new_privs");
    /* A changed uid has set it to fs.suid_dumpable, which may be anything. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail_errno(init, "credentials: dumpable");
}
