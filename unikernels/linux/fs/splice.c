#include "fs/splice.h"

#include <linux/fcntl.h>

#include "fs/pipe.h"
#include "mm/page.h"

#define BUFFER_PAGES 16u
#define BUFFER_SIZE (BUFFER_PAGES * PAGE_SIZE)

static bool waits(const struct file *file, bool nonblock)
{
    return !nonblock && !(file->f_flags & O_NONBLOCK);
}

/* What could not be written goes back into the pipe. */
static int64_t from_pipe(struct file *in, struct file *out, uint64_t *out_pos, size_t len, bool nonblock, void *buf)
{
    int64_t done = 0;

    while (len > 0) {
        /* Only for the first byte: what is there is passed on. */
        int ready = pipe_wait_data(in, done > 0 || !waits(in, nonblock));
        if (ready <= 0)
            return done ? done : ready;
        struct iov_iter from;
        size_t taken = pipe_take(in, buf, MIN(len, BUFFER_SIZE));
        iov_iter_kernel(&from, buf, taken);
        int64_t put = vfs_write(out, &from, out_pos, 0);
        pipe_put_back(in, buf, taken, put > 0 ? taken - (size_t)put : taken);
        if (put <= 0)
            return done ? done : put;
        done += put;
        len -= (size_t)put;
        if ((size_t)put < taken)
            break;
    }
    return done;
}

static int64_t to_pipe(struct file *in, uint64_t *in_pos, struct file *out, size_t len, bool nonblock, void *buf)
{
    int err = pipe_wait_room(out, !waits(out, nonblock));

    if (err)
        return err;
    size_t room = MIN(len, BUFFER_SIZE);
    err = pipe_reserve(out, &room);
    if (err)
        return err;
    struct iov_iter to;
    iov_iter_kernel(&to, buf, room);
    int64_t got = vfs_read(in, &to, in_pos, 0);
    pipe_fill(out, buf, room, got > 0 ? (size_t)got : 0);
    return got;
}

int64_t splice_files(struct file *in, uint64_t *in_pos, struct file *out, uint64_t *out_pos, size_t len, bool nonblock)
{
    void *buf = page_alloc(BUFFER_PAGES);
    int64_t done;

    if (!buf)
        return -ENOMEM;
    if (!is_pipe(in)) {
        done = to_pipe(in, in_pos, out, len, nonblock, buf);
    } else if (!is_pipe(out)) {
        done = from_pipe(in, out, out_pos, len, nonblock, buf);
    } else {
        /* Between two pipes: as much as there is and has room, waiting for both. */
        done = pipe_wait_data(in, !waits(in, nonblock));
        if (done > 0)
            done = pipe_wait_room(out, !waits(out, nonblock));
        size_t room = MIN(len, BUFFER_SIZE);
        if (done == 0 && pipe_wait_data(in, true) > 0)
            done = pipe_reserve(out, &room);
        else
            room = 0;
        if (done == 0 && room > 0) {
            size_t taken = pipe_take(in, buf, room);
            pipe_put_back(in, buf, taken, 0);
            pipe_fill(out, buf, room, taken);
            done = (int64_t)taken;
        }
    }
    page_free(buf, BUFFER_PAGES);
    return done;
}

int64_t splice_tee(struct file *in, struct file *out, size_t len, bool nonblock)
{
    int ready = pipe_wait_data(in, !waits(in, nonblock));

    if (ready <= 0)
        return ready;
    int err = pipe_wait_room(out, !waits(out, nonblock));
    if (err)
        return err;
    void *buf = page_alloc(BUFFER_PAGES);
    if (!buf)
        return -ENOMEM;
    size_t room = MIN(len, BUFFER_SIZE), copied = 0;
    err = pipe_reserve(out, &room);
    if (!err) {
        copied = pipe_peek(in, buf, room);
        pipe_fill(out, buf, room, copied);
    }
    page_free(buf, BUFFER_PAGES);
    return err ? err : (int64_t)copied;
}
