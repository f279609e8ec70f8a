/*
 * Host calls: the only place in the kernel that issues them. All of them are in
 * the tender's filter for a guest with our extras; results are negative errno.
 */
#ifndef LINUX_BOOT_HOST_H
#define LINUX_BOOT_HOST_H

#include "lib/types.h"
#include "task/wait.h"
#include "tender/common/abi/runnc_boot_config.h"
#include "tender/common/abi/runnc_extras.h"

struct winsize;

/* -EAGAIN where the descriptor would block (stdio is non-blocking). EINTR is retried. */
ssize_t host_write(int fd, const void *buf, size_t n);
ssize_t host_read(int fd, void *buf, size_t n);
void host_exit(int status) NORETURN;
/* A line for the operator on standard error: waits for room, ignores failure. */
void host_log(const char *text, size_t n);
/* Only with a terminal (boot info stdio_tty). 0 or negative errno. */
int host_winsize(struct winsize *ws);

/* memctl; both do nothing and return false where it is not granted. Page-aligned, any length. */
bool host_mprotect(uintptr_t start, size_t len, int prot);
bool host_discard(uintptr_t start, size_t len);

/*
 * A host descriptor in the epoll set. It is edge-triggered: `ready` collects
 * EPOLL* bits and stays set until the driver clears those for which the
 * descriptor said EAGAIN; then it waits on the queue. Descriptors that epoll
 * refuses (files) are always ready; all start out ready.
 */
struct host_source {
    uint32_t tag; /* epoll data: RUNNC_EPOLL_STDIN … or a manifest index */
    uint32_t ready;
    struct wait_queue queue;
    struct list link;
};
void host_source_register(struct host_source *s, uint32_t tag);

/* A socket to a helper outside of the sandbox, by its name; NULL: there is none. `tag` is its host_source's. */
const struct runnc_channel *host_channel(const char *name, uint32_t *tag);

/* What the host gave at boot. */
const struct runnc_boot_info *host_boot_info(void);

#endif
