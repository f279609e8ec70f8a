/*
 * A standard stream of a session: the kernel's end of a pipe or terminal, and
 * what may be sent of it. A terminal is one file for two streams.
 */
#ifndef LINUX_CONTROL_STREAM_H
#define LINUX_CONTROL_STREAM_H

#include "fs/vfs.h"
#include "tender/common/abi/runnc_control.h"

#define STREAM_QUEUES 2 /* that a file's poll may name */

struct stream {
    /* Held; NULL: there is nothing any more, or there never was. */
    struct file *file;
    struct wait_entry waits[STREAM_QUEUES];
    unsigned n_waits;
    bool close_due; /* the other side is to be told that this is closed */
    uint32_t credit; /* output: what may still be sent. Input: what the other side may be given back */

    /* Output. */
    bool discard; /* nobody listens any more */
    bool drained; /* nothing was left when we last looked */

    /* Input: what came and did not yet fit into the file. A ring. */
    char *buf;
    uint32_t head, len;
    bool last; /* nothing will follow */
};

/* Takes the file's reference. Whatever happens to it raises WORK_CONTROL. */
void stream_open(struct stream *s, struct file *file);
/* Drops it: programs see the end of file, or nobody to read. */
void stream_close(struct stream *s);

/* Bytes from the other side; more than it may send are dropped. */
void stream_take(struct stream *s, const void *data, size_t size);
/* Moves what fits into the file. */
void stream_feed(struct stream *s);
/* What is worth giving back to the other side now, 0 if nothing. */
uint32_t stream_freed(struct stream *s);

/* Bytes of output that credit allows in one message, at most max; 0: not now. What is sent uses it up. */
size_t stream_may_send(const struct stream *s, size_t max);
void stream_sent(struct stream *s, size_t size);
/* Reads output into buf as far as credit goes: bytes, 0 if there is none now. At its end the file is closed. */
size_t stream_fetch(struct stream *s, void *buf, size_t size);

#endif
