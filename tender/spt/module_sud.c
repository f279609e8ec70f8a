/*
 * The sud extra: Syscall User Dispatch. System calls from the guest's gate go
 * to the host, as far as the filter allows them; those of the programs it runs
 * raise SIGSYS in the guest's handler (signals.c installs it).
 */
#include "fail.h"
#include "tender.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
#define DISPATCH_ALLOW 0 /* SYSCALL_DISPATCH_FILTER_ALLOW */

static void check(const struct tender *tender, const char *what, uint64_t address, uint64_t size,
                  int prot)
{
    if (!elf_contains(&tender->kernel, address, size, prot))
        fail("%s: its extras note puts %s at %#llx (%llu bytes), which is not in %s memory of the "
             "kernel image",
             tender->kernel_path, what, (unsigned long long)address, (unsigned long long)size,
             prot & PROT_EXEC ? "executable" : "writable");
}

static void setup(struct tender *tender)
{
    const struct runnc_extras_note *note = &tender->extras;

    check(tender, "the gate", note->gate_start, note->gate_len, PROT_EXEC);
    check(tender, "the selector", note->selector, 1, PROT_WRITE);
    check(tender, "the signal handler", note->signal_entry, 1, PROT_EXEC);
    check(tender, "the signal stack", note->sigstack, note->sigstack_size, PROT_WRITE);
    /* Or the tender's own calls between here and the jump would be dispatched. */
    *(volatile uint8_t *)(uintptr_t)note->selector = DISPATCH_ALLOW;
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, note->gate_start, note->gate_len,
              note->selector) < 0)
        fail_errno("cannot turn on Syscall User Dispatch (needs Linux 5.11)");
}

const struct module module_sud = {
    .name = "sud",
    .extra = RUNNC_EXTRA_SUD,
    .setup = setup,
};
