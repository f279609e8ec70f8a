/*
 * Pipes by which the file server sends the data of large reads: pages of the host's cache, which
 * are copied once, to where the program wants them. One belongs to one request, from
 * when it is sent until all that came has been taken, or thrown away.
 */
#include "boot/host.h"
#include "fs/remote.h"
#include "mm/mm.h"

#define SCRATCH_BYTES (16u << 10)

static struct {
    const struct runnc_channel_pipes *of;
    uint32_t free; /* bit n: pipe n is there and empty */
} pipes;

void remote_pipes(uint32_t channel, uint64_t usable)
{
    pipes.of = &host_boot_info()->channel_pipes[channel];
    pipes.free = (1u << MIN(MIN(usable, pipes.of->count), RUNNC_FILES_PIPES)) - 1;
}

void window_take_pipe(struct window *w)
{
    if (!pipes.free) return;
    w->pipe = 1 + (uint32_t)__builtin_ctz(pipes.free);
    pipes.free &= pipes.free - 1;
}

static ssize_t take(struct window *w, void *to, size_t size)
{
    ssize_t n = host_read(pipes.of->fd[w->pipe - 1], to, MIN(size, w->piped));

    if (n > 0) w->piped -= (size_t)n;
    return n == 0 || n == -EAGAIN ? -EIO : n; /* less than the server said */
}

/* Into the program's memory, as far as the current piece of it goes, where the host checks the rest of what is good about it. */
static ssize_t to_user(struct window *w, uaddr_t at, size_t len)
{
    if (!user_range_ok(at, len, true)) len = MIN(len, PAGE_SIZE - at % PAGE_SIZE);
    if (!user_range_ok(at, len, true)) return -EFAULT;
    for (bool touched = false;; touched = true) {
        ssize_t n = take(w, (void *)at, len);
        /* What is closed to be opened by its first touch: ours, not the host's. */
        if (n != -EFAULT || touched || user_touch(at, len, true)) return n;
    }
}

ssize_t remote_pipe_to_iter(struct window *w, size_t want, struct iov_iter *to)
{
    size_t done = 0;
    ssize_t n = 0;

    want = MIN(want, w->piped);
    while (done < want && to->count > 0) {
        size_t len;
        uaddr_t at = iov_iter_piece(to, &len);
        len = MIN(len, want - done);
        n = to->kernel ? take(w, (void *)at, len) : to_user(w, at, len);
        if (n < 0) break;
        iov_iter_advance(to, (size_t)n);
        done += (size_t)n;
    }
    return done ? (ssize_t)done : n;
}

void remote_pipe_give(struct window *w)
{
    static uint8_t scratch[SCRATCH_BYTES];

    while (w->piped && take(w, scratch, sizeof(scratch)) > 0) continue;
    /* Empty again; or never used again, for a server that said more than it did. */
    if (!w->piped) pipes.free |= 1u << (w->pipe - 1);
    w->pipe = 0;
}
