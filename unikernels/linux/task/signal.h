/*
 * Signals: what is pending, blocked and handled. Numbers, siginfo and frames are
 * Linux's; delivery happens on the way back to the program.
 */
#ifndef LINUX_TASK_SIGNAL_H
#define LINUX_TASK_SIGNAL_H

#include "lib/list.h"
#include "lib/types.h"

struct task;
struct process;
struct regs;
struct wait_queue;

#define SIG_COUNT 64
#define SIGRT_FIRST 32

/* Bit n - 1 is signal n. */
typedef uint64_t sigset64;
#define SIGBIT(n) (1ull << ((n) - 1))
#define UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))

/* struct siginfo of the ABI: 128 bytes; the unions are written by signal.c. */
struct siginfo64 {
    int32_t si_signo, si_errno, si_code, pad0;
    union {
        struct {
            int32_t pid;
            uint32_t uid;
            union {
                uint64_t value; /* sigqueue; SIGCHLD: status */
                struct {
                    int32_t status;
                    int32_t pad;
                    int64_t utime, stime;
                } child;
            };
        } sender;
        struct {
            int32_t timerid, overrun;
            uint64_t value;
        } timer;
        struct {
            uint64_t addr;
        } fault;
        struct {
            int64_t band;
            int32_t fd;
        } poll;
        uint8_t bytes[112];
    };
};
_Static_assert(sizeof(struct siginfo64) == 128, "siginfo is 128 bytes");

struct sigqueue_entry {
    struct list link;
    struct siginfo64 info;
};

struct sigpending {
    sigset64 set;
    struct list queue; /* of sigqueue_entry; a standard signal at most once */
    unsigned count;    /* of its entries */
};

struct altstack {
    uaddr_t sp;
    int flags;
    size_t size;
};

/* Where an interrupted sleep goes on after a stop or an ignored signal. */
struct restart_block {
    long (*restart)(struct restart_block *);
    int64_t deadline_ns;
    int clock;
    uaddr_t arg;
    uint64_t words[3];
};

/* Kernel-made siginfo (SI_KERNEL). 0 or -ESRCH; never fails for lack of memory for standard signals. */
int signal_send_task(struct task *t, int sig);
int signal_send_process(struct process *p, int sig);
int signal_send_group(int pgid, int sig);
int signal_send_info(struct process *p, struct task *only, const struct siginfo64 *info);

/* The siginfo of a POSIX timer's signal that was not taken yet, NULL if there is none. */
struct siginfo64 *signal_find_timer(struct sigpending *p, int sig, int timerid);

/* The running task has something to deliver: sleepers give up with -ERESTARTSYS. */
bool signal_pending(void);

/*
 * signalfd: takes one pending signal of `mask` off the running task (then its
 * process). Returns its number, 0 if none.
 */
int signal_dequeue(sigset64 mask, struct siginfo64 *info);
/* Signals of mask that the running task could dequeue now. */
sigset64 signal_peek(sigset64 mask);
/* The queue woken whenever a signal is sent to the running process (for signalfd's poll). */
struct wait_queue *signal_wait_queue(void);

/*
 * For ppoll, pselect6, epoll_pwait and the like: blocks `mask` until the call
 * is over. Put back by the return path (after a handler has seen it), so call
 * it once and never undo it. The mask is read from the program: 0, -EFAULT,
 * -EINVAL. addr 0 changes nothing.
 */
int signal_set_temporary_mask(uaddr_t mask_addr, size_t mask_size);

#endif
