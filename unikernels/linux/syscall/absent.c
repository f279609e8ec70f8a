/*
 * Calls that programs try and do without. They are in the table so that they are
 * not reported as unknown. The comment above a group is why, and goes into
 * docs/guest-linux.md (scripts/guest-linux.ts).
 */
#include "lib/error.h"
#include "syscall/table.h"

#define ABSENT(name, error) \
    long sys_##name(void)   \
    {                       \
        return -error;      \
    }

/* saves atomic instructions on many processors; there is one */
ABSENT(rseq, ENOSYS)

/* asynchronous I/O: programs fall back to epoll, and a ring of requests would be a second kernel entry */
ABSENT(io_uring_setup, ENOSYS)
ABSENT(io_uring_enter, ENOSYS)
ABSENT(io_uring_register, ENOSYS)
ABSENT(io_setup, ENOSYS)
ABSENT(io_destroy, ENOSYS)
ABSENT(io_submit, ENOSYS)
ABSENT(io_cancel, ENOSYS)
ABSENT(io_getevents, ENOSYS)
ABSENT(io_pgetevents, ENOSYS)

/* wait on several futexes: as on Linux before 5.16 */
ABSENT(futex_waitv, ENOSYS)

/* page tables and processor tables are the host's: there is one address space and nothing of that kind to set */
ABSENT(pkey_alloc, ENOSYS)
ABSENT(pkey_free, ENOSYS)
ABSENT(pkey_mprotect, ENOSYS)
ABSENT(userfaultfd, ENOSYS)
ABSENT(modify_ldt, ENOSYS)
ABSENT(set_thread_area, ENOSYS)
ABSENT(get_thread_area, ENOSYS)
ABSENT(memfd_secret, ENOSYS)
ABSENT(remap_file_pages, ENOSYS)

/* one memory node */
ABSENT(set_mempolicy, ENOSYS)
ABSENT(get_mempolicy, ENOSYS)
ABSENT(mbind, ENOSYS)
ABSENT(set_mempolicy_home_node, ENOSYS)
ABSENT(migrate_pages, ENOSYS)
ABSENT(move_pages, ENOSYS)

/* the sandbox is around the guest, and filters within it are not there */
ABSENT(seccomp, ENOSYS)
ABSENT(landlock_create_ruleset, ENOSYS)
ABSENT(landlock_add_rule, ENOSYS)
ABSENT(landlock_restrict_self, ENOSYS)

/* nothing is read from a disk, so nothing is put in order */
ABSENT(ioprio_get, ENOSYS)
ABSENT(ioprio_set, ENOSYS)

/* rarely used, or left from long ago */
ABSENT(kcmp, ENOSYS)
ABSENT(process_madvise, ENOSYS)
ABSENT(process_mrelease, ENOSYS)
ABSENT(_sysctl, ENOSYS)
ABSENT(ustat, ENOSYS)
ABSENT(sysfs, ENOSYS)
ABSENT(uselib, ENOSYS)

/* other processes' insides, and tracing: as Docker's seccomp profile has them */
ABSENT(ptrace, EPERM)
ABSENT(pidfd_getfd, EPERM)
ABSENT(perf_event_open, EPERM)
ABSENT(bpf, EPERM)
ABSENT(lookup_dcookie, EPERM)

/* keys of the kernel: as Docker's seccomp profile */
ABSENT(keyctl, EPERM)
ABSENT(add_key, EPERM)
ABSENT(request_key, EPERM)

/* mounts: what CAP_SYS_ADMIN is for, which a container does not have; they are what config.json says */
ABSENT(mount, EPERM)
ABSENT(umount2, EPERM)
ABSENT(pivot_root, EPERM)
ABSENT(mount_setattr, EPERM)
ABSENT(move_mount, EPERM)
ABSENT(open_tree, EPERM)
ABSENT(fsopen, EPERM)
ABSENT(fsconfig, EPERM)
ABSENT(fsmount, EPERM)
ABSENT(fspick, EPERM)
ABSENT(setns, EPERM)

/* watching whole file systems takes CAP_SYS_ADMIN; inotify is there */
ABSENT(fanotify_init, EPERM)
ABSENT(fanotify_mark, EPERM)

/* of the machine, not of a container */
ABSENT(acct, EPERM)
ABSENT(delete_module, EPERM)
ABSENT(finit_module, EPERM)
ABSENT(init_module, EPERM)
ABSENT(ioperm, EPERM)
ABSENT(iopl, EPERM)
ABSENT(kexec_load, EPERM)
ABSENT(kexec_file_load, EPERM)
ABSENT(quotactl, EPERM)
ABSENT(quotactl_fd, EPERM)
ABSENT(swapon, EPERM)
ABSENT(swapoff, EPERM)
ABSENT(vhangup, EPERM)

/* handles of files would get around folders' permissions */
ABSENT(open_by_handle_at, EPERM)

/* handles of files: as on overlayfs, which an image usually is */
ABSENT(name_to_handle_at, EOPNOTSUPP)
