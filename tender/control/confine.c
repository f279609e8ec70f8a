#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

void enter_cgroups(const struct plan *plan)
{
    for (unsigned i = 0; i < plan->task_fds; i++) {
        const int fd = FIRST_TASK_FD + (int)i;

        if (write(fd, "0", 1) != 1) report_failure("cannot enter the container's cgroup");
        close(fd);
    }
}

static void drop_ids(const struct plan *plan)
{
    if (setgroups(0, NULL) != 0) report_failure("credentials: setgroups");
    if (setresgid(plan->gid, plan->gid, plan->gid) != 0) report_failure("credentials: gid");
    if (setresuid(plan->uid, plan->uid, plan->uid) != 0) report_failure("credentials: uid");
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};

    if (syscall(SYS_capset, &header, none) != 0) report_failure("credentials: capabilities");
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW(call)                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)
/* With the second argument's lower half as it says; the upper one means nothing to ioctl. */
#define ALLOW_IOCTL(request)                                                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4), LOAD(args[1]),                              \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, request, 0, 1), RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS)
#define BEGIN                                                                                     \
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),                     \
        RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr)
#define END RETURN(SECCOMP_RET_KILL_PROCESS)

/* No path, no process, no memory can be named with these. */
static struct sock_filter PROXY_FILTER[] = {
    BEGIN,
    ALLOW(poll),
    ALLOW(restart_syscall), /* a poll that the freezer interrupted */
    ALLOW(read),
    ALLOW(write),
    ALLOW(recvfrom),
    ALLOW(sendto),
    ALLOW(close),
    ALLOW_IOCTL(TIOCGWINSZ),
    ALLOW(exit_group),
    END,
};

static struct sock_filter BROKER_FILTER[] = {
    BEGIN,
    ALLOW(epoll_wait),
    ALLOW(epoll_pwait),
    ALLOW(epoll_ctl),
    ALLOW(accept4),
    ALLOW(recvfrom),
    ALLOW(sendto),
    ALLOW(close),
    ALLOW(exit_group),
    END,
};

void confine(const struct plan *plan, enum role role)
{
    const struct sock_fprog programs[] = {
        [ROLE_PROXY] = {sizeof PROXY_FILTER / sizeof PROXY_FILTER[0], PROXY_FILTER},
        [ROLE_BROKER] = {sizeof BROKER_FILTER / sizeof BROKER_FILTER[0], BROKER_FILTER},
    };
    const struct rlimit no_core = {0, 0};

    if (plan->drop_ids) drop_ids(plan);
    drop_capabilities();
    if (setrlimit(RLIMIT_CORE, &no_core) != 0) report_failure("cannot forbid core files");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) report_failure("cannot become non-dumpable");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) report_failure("no_new_privs");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[role]) != 0) report_failure("seccomp");
}
