/*
 * What the server keeps is the calls below and six capabilities, all of them rights
 * over files that it can only have from its mounts: the guest decides what its
 * users may do (CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID), its root may give files
 * away (CAP_CHOWN), and what a user makes is that user's from the first moment on
 * (CAP_SETUID, CAP_SETGID, for setfsuid and setfsgid alone: the calls that change
 * who a process is are not allowed).
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The ambient set brought the capabilities over execve; nothing is to be handed on. */
static bool keep_capabilities_here(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return false;
    if (syscall(SYS_capget, &header, sets) != 0)
        return false;
    for (int half = 0; half < 2; half++) {
        sets[half].effective = sets[half].permitted;
        sets[half].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) == 0;
}

static bool allow_calls(scmp_filter_ctx filter, const struct server *server)
{
    static const int CALLS[] = {
        SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(exit),
        /* names.c */
        SCMP_SYS(openat2), SCMP_SYS(openat), SCMP_SYS(mkdirat), SCMP_SYS(symlinkat), SCMP_SYS(linkat),
        SCMP_SYS(unlinkat), SCMP_SYS(renameat2), SCMP_SYS(readlinkat), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid),
        /* data.c */
        SCMP_SYS(pread64), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(getdents64), SCMP_SYS(lseek),
        SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(syncfs), SCMP_SYS(fallocate), SCMP_SYS(flock),
        /* attributes.c */
        SCMP_SYS(statx), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(ftruncate), SCMP_SYS(fchownat),
        SCMP_SYS(fchmodat), SCMP_SYS(utimensat), SCMP_SYS(fstatfs), SCMP_SYS(getxattr), SCMP_SYS(setxattr),
        SCMP_SYS(listxattr), SCMP_SYS(removexattr),
        /* workers.c */
        SCMP_SYS(futex),
        /* libseccomp, which tidies up */
        SCMP_SYS(munmap),
    };
    static const int FCNTL[] = {F_DUPFD_CLOEXEC, F_OFD_SETLK, F_OFD_GETLK};
    static const unsigned MKNOD[] = {0010000u /* S_IFIFO */, 0140000u /* S_IFSOCK */};
    bool done = true;

    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
        done &= seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, CALLS[i], 0) == 0;
    for (size_t i = 0; i < sizeof FCNTL / sizeof FCNTL[0]; i++)
        done &= seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                       SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)FCNTL[i])) == 0;
    for (size_t i = 0; i < sizeof MKNOD / sizeof MKNOD[0]; i++)
        done &= seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, SCMP_SYS(mknodat), 1,
                                       SCMP_A2(SCMP_CMP_MASKED_EQ, 0170000, MKNOD[i])) == 0;
    for (unsigned i = 0; i < server->pipes; i++)
        done &= seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, SCMP_SYS(splice), 2,
                                       SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)pipe_fd(server, i)),
                                       SCMP_A5(SCMP_CMP_EQ, SPLICE_F_NONBLOCK)) == 0;
    return done;
}

void confine(const struct server *server)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (filter == NULL || !keep_capabilities_here() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        _exit(1);
    /* The workers are there already. */
    if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 || !allow_calls(filter, server) ||
        seccomp_load(filter) != 0)
        _exit(1);
    seccomp_release(filter);
}
