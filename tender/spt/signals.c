#include "launch.h"
#include "tender.h"

#include "fail.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's struct, not libc's: the handlers are in launch.S, and libc's restorer would be
 * unmapped. rt_sigreturn is not allowed anyhow; handlers do not return. */
struct kernel_sigaction {
    uint64_t handler;
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};
#define KERNEL_SIGSET_BYTES 8
#define KERNEL_SA_RESTORER 0x04000000u /* without it the kernel delivers no signal on x86-64 */
#define FIRST_REALTIME 32 /* the kernel's; libc keeps some for itself */
#define LAST_SIGNAL 64

void signals_block_all(void)
{
    uint64_t all = ~0ull;

    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, KERNEL_SIGSET_BYTES);
}

static void handle(int signal, uint64_t handler, uint64_t flags)
{
    struct kernel_sigaction action = {
        .handler = handler, .flags = flags | KERNEL_SA_RESTORER, .restorer = 0};

    if (syscall(SYS_rt_sigaction, signal, &action, NULL, KERNEL_SIGSET_BYTES) < 0)
        fail_errno("cannot set the action of signal %d", signal);
}

static void use_signal_stack(uint64_t address, uint64_t size)
{
    stack_t stack = {.ss_sp = (void *)(uintptr_t)address, .ss_size = size};

    if (syscall(SYS_sigaltstack, &stack, NULL) < 0)
        fail_errno("cannot set the signal stack at %#llx", (unsigned long long)address);
}

/* nohup and background jobs of a shell: who started us wants them ignored. */
static bool is_ignored(int signal)
{
    struct kernel_sigaction old;

    return syscall(SYS_rt_sigaction, signal, NULL, &old, KERNEL_SIGSET_BYTES) == 0 &&
           old.handler == (uintptr_t)SIG_IGN;
}

/*
 * A Solo5 guest knows no signals. Those that end a process by default end it
 * with exit_group(128 + n); its own faults stay with the kernel, which kills
 * the process by SIGSEGV and the like, pid 1 or not.
 */
static void signals_end_guest(void)
{
    static const uint8_t ENDING[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,   SIGPIPE,
                                     SIGALRM, SIGTERM, SIGXCPU, SIGPROF, SIGSTKFLT, SIGIO,
                                     SIGPWR,  SIGABRT, SIGXFSZ, SIGVTALRM};
    const uint64_t flags = SA_ONSTACK;

    use_signal_stack((uintptr_t)launch_area + LAUNCH_SIGNAL_STACK,
                     LAUNCH_AREA_SIZE - LAUNCH_SIGNAL_STACK);
    for (size_t i = 0; i < sizeof ENDING; i++) {
        const int signal = ENDING[i];

        if ((signal == SIGHUP || signal == SIGINT || signal == SIGQUIT) && is_ignored(signal))
            continue;
        handle(signal, (uintptr_t)signal_ends_guest, flags);
    }
    for (int signal = FIRST_REALTIME; signal <= LAST_SIGNAL; signal++)
        handle(signal, (uintptr_t)signal_ends_guest, flags);
    handle(SIGSYS, (uintptr_t)status_out_of_range, flags | SA_SIGINFO);
    static const uint8_t FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof FAULTS; i++)
        handle(FAULTS[i], (uintptr_t)SIG_DFL, 0);
}

/*
 * A guest with sud gets everything that can be caught in one handler: its
 * programs' system calls and faults, its timer, and the host's signals. A
 * broken pipe is an error of the write to it. The terminal's job control stays
 * the host's.
 */
static void signals_to_guest(const struct runnc_extras_note *note)
{
    use_signal_stack(note->sigstack, note->sigstack_size);
    for (int signal = 1; signal <= LAST_SIGNAL; signal++) {
        if (signal == SIGKILL || signal == SIGSTOP || signal == SIGTTIN || signal == SIGTTOU)
            continue;
        if (signal == SIGPIPE)
            handle(signal, (uintptr_t)SIG_IGN, 0);
        else
            handle(signal, note->signal_entry, SA_SIGINFO | SA_ONSTACK | SA_NODEFER);
    }
}

void signals_setup(const struct tender *tender)
{
    if (is_granted(tender, RUNNC_EXTRA_SUD))
        signals_to_guest(&tender->extras);
    else
        signals_end_guest();
}
