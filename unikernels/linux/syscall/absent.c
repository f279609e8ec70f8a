/*
 * Calls that programs try and do without. They are in the table so that they are
 * not reported as unknown.
 */
#include "lib/error.h"
#include "syscall/table.h"

#define ABSENT(name, error) \
    long sys_##name(void)   \
    {                       \
        return -error;      \
    }

ABSENT(rseq, ENOSYS) /* saves atomic instructions on many processors; there is one */
ABSENT(io_uring_setup, ENOSYS)
ABSENT(pkey_alloc, ENOSYS)
ABSENT(pkey_free, ENOSYS)
ABSENT(pkey_mprotect, ENOSYS)
ABSENT(landlock_create_ruleset, ENOSYS)
ABSENT(userfaultfd, ENOSYS)
ABSENT(set_mempolicy, ENOSYS)
ABSENT(get_mempolicy, ENOSYS)
ABSENT(mbind, ENOSYS)
ABSENT(seccomp, ENOSYS)
ABSENT(ioprio_get, ENOSYS)
ABSENT(ioprio_set, ENOSYS)
/* As Docker's seccomp profile has them. */
ABSENT(ptrace, EPERM)
ABSENT(perf_event_open, EPERM)
ABSENT(bpf, EPERM)
ABSENT(process_vm_readv, EPERM)
ABSENT(process_vm_writev, EPERM)
ABSENT(keyctl, EPERM)
ABSENT(add_key, EPERM)
ABSENT(request_key, EPERM)
