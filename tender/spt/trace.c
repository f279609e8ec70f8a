/*
 * --trace: a parent process that prints each host call of the guest, with
 * ptrace from outside. The guest runs under the same filter as without.
 */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How the arguments of the calls a guest may make are shown: d decimal, x hexadecimal. */
static const struct {
    int call;
    const char *arguments;
} FORMATS[] = {
    {SYS_read, "dxd"},          {SYS_write, "dxd"},           {SYS_pread64, "dxdd"},
    {SYS_pwrite64, "dxdd"},     {SYS_clock_gettime, "dx"},    {SYS_epoll_pwait, "dxdd"},
    {SYS_exit_group, "d"},      {SYS_timerfd_settime, "ddx"}, {SYS_arch_prctl, "xx"},
    {SYS_mprotect, "xxx"},      {SYS_madvise, "xxd"},         {SYS_ioctl, "dxx"},
    {SYS_epoll_pwait2, "dxdx"},
};
#define UNKNOWN_CALL "xxxxxx"

/* For the handler that passes signals on. */
static volatile pid_t guest;

static void pass_on(int signal)
{
    kill(guest, signal);
}

static void pass_signals_on(void)
{
    static const int SIGNALS[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
                                  SIGWINCH};
    const struct sigaction action = {.sa_handler = pass_on};
    sigset_t none;

    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++)
        sigaction(SIGNALS[i], &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void print_call(const struct __ptrace_syscall_info *entry, const char *result)
{
    const int call = (int)entry->entry.nr;
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
    const char *format = UNKNOWN_CALL;
    char line[256];
    int used;

    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++)
        if (FORMATS[i].call == call)
            format = FORMATS[i].arguments;
    if (name != NULL)
        used = snprintf(line, sizeof line, "trace: %s(", name);
    else
        used = snprintf(line, sizeof line, "trace: %d(", call);
    /* 6 arguments of 20 characters, name and result: the line is long enough. */
    for (unsigned i = 0; format[i] != '\0'; i++) {
        const unsigned long long value = entry->entry.args[i];

        used += snprintf(line + used, sizeof line - (size_t)used,
                         format[i] == 'd' ? "%s%lld" : "%s%#llx", i == 0 ? "" : ", ", value);
    }
    used += snprintf(line + used, sizeof line - (size_t)used, ") = %s\n", result);
    if (write(STDERR_FILENO, line, (size_t)used) < 0)
        return; /* nobody looks */
    free(name);
}

static void print_result(const struct __ptrace_syscall_info *entry,
                         const struct __ptrace_syscall_info *exit_info)
{
    char result[64];

    if (exit_info->exit.is_error)
        snprintf(result, sizeof result, "%lld (%s)", (long long)exit_info->exit.rval,
                 strerror((int)-exit_info->exit.rval));
    else
        snprintf(result, sizeof result, "%lld", (long long)exit_info->exit.rval);
    print_call(entry, result);
}

/* Ends as the guest ended. */
static _Noreturn void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        const int signal_number = WTERMSIG(status);

        signal(signal_number, SIG_DFL);
        raise(signal_number);
        _exit(128 + signal_number); /* as pid 1 of a namespace no signal of our own kills us */
    }
    _exit(WEXITSTATUS(status));
}

static _Noreturn void trace(void)
{
    struct __ptrace_syscall_info entry = {0}, result = {0}, info;
    bool stopped_first = false, launched = false, in_call = false, returned = false;

    for (;;) {
        int deliver = 0, status;

        if (waitpid(guest, &status, __WALL) < 0) {
            if (errno == EINTR)
                continue;
            fail_errno("cannot wait for the traced guest");
        }
        const bool killed_by_filter = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        /* A forbidden call appears to return before the signal comes: so wait what follows. */
        if (returned && !killed_by_filter)
            print_result(&entry, &result);
        else if ((returned || in_call) && launched && !WIFSTOPPED(status))
            print_call(&entry, killed_by_filter ? "? (forbidden)" : "?");
        returned = false;
        if (!WIFSTOPPED(status))
            end_as(status);

        if (!stopped_first) {
            stopped_first = true;
            if (ptrace(PTRACE_SETOPTIONS, guest, NULL,
                       PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
                fail_errno("cannot trace the guest");
        } else if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            deliver = WSTOPSIG(status);
        } else if (ptrace(PTRACE_GET_SYSCALL_INFO, guest, sizeof info, &info) > 0) {
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                entry = info;
                in_call = true;
            } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && in_call) {
                in_call = false;
                result = info;
                if (launched)
                    returned = true;
                else
                    /* The launch ends with the installation of the filter. */
                    launched = entry.entry.nr == SYS_seccomp && info.exit.rval == 0;
            }
        }
        if (ptrace(PTRACE_SYSCALL, guest, NULL, deliver) < 0 && errno != ESRCH)
            fail_errno("cannot go on tracing the guest");
    }
}

void trace_fork(void)
{
    guest = fork();
    if (guest < 0)
        fail_errno("cannot fork the traced guest");
    if (guest > 0) {
        pass_signals_on();
        trace();
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail_errno("cannot tie the guest to its tracer");
}

void trace_ready(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        fail_errno("cannot be traced");
    raise(SIGSTOP);
}
