/*
 * Open files of the remote file system.
 *
 * Small reads are served from the cache, which is filled 64 KiB at a time. Large ones, and those
 * that go on where the first 64 KiB end, go past it: several requests are under way, a sequential reader's reach
 * beyond what was asked for, and data is copied once, from a pipe or the window to the program. Writes go
 * through, several at a time, and change what is cached on their way back.
 */
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "fs/remote.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define WRITE_BYTES (256u << 10) /* a piece of a large write */
#define READ_BYTES RUNNC_FILES_PIPED_MAX /* of a large read, at most */
#define CACHED_BYTES WINDOW_UNIT
#define DIRECT_MIN (64u << 10)
#define AHEAD_FIRST (128u << 10) /* the first piece that is read ahead; each further one has twice as much */
#define WRITES_AT_ONCE 8
/* The end of a file is looked at again if it is known for longer than this. */
#define END_AGE_NS (5 * NSEC_PER_MSEC)

static struct list with_ahead = {&with_ahead, &with_ahead}; /* remote_file.ahead_link: last used last */
static struct wait_queue write_wait = {{&write_wait.entries, &write_wait.entries}};

/* ---- opening ---- */

/* Looked up in this very call, most likely: there is no need to ask again. */
#define JUST_NOW_NS (1 * NSEC_PER_MSEC)

/*
 * Close-to-open goes for names, too: another file may have come in the place of the one
 * that is known (written beside it and renamed). So the server opens what has the name now.
 */
static bool open_by_name(const struct dentry *dentry)
{
    return dentry->d_flags & DENTRY_HASHED && !dentry->d_mounted && dentry->d_parent != dentry &&
           clock_monotonic() > dentry->d_valid_until - REMOTE_TTL_NS + JUST_NOW_NS;
}

static int open_handle(struct file *file, uint32_t *fid)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    remote_request request = remote_request_new(FILES_OPEN, ri->fid);
    bool by_name = open_by_name(file->f_dentry);
    remote_reply reply;

    *fid = request.new_fid = fid_alloc();
    if (!*fid)
        return -ENFILE;
    request.flags = file->f_flags & (O_ACCMODE | O_SYNC | O_DSYNC);
    if (by_name)
        request.fid = remote_inode(file->f_dentry->d_parent->d_inode)->fid;
    int err = rpc_call(&request, by_name ? &file->f_dentry->d_name : NULL, NULL, &reply);
    bool other = !err && (reply.attr.ino != ri->inode.i_ino || reply.attr.dev != ri->dev);
    /* ENXIO: it has another type now. */
    if (by_name && (other || err == -ENOENT || err == -ENXIO || err == -ENOTDIR)) {
        if (err)
            fid_unused(*fid);
        else
            fid_clunk(*fid);
        d_drop(file->f_dentry);
        return -ESTALE;
    }
    if (err) {
        fid_unused(*fid);
        return err;
    }
    remote_apply(ri, &reply, false);
    return 0;
}

int remote_open(struct inode *inode, struct file *file)
{
    struct remote_inode *ri = remote_inode(inode);
    struct remote_file *rf = kzalloc(sizeof(*rf));

    if (!rf)
        return -ENOMEM;
    list_init(&rf->ahead_link);
    rf->file = file;
    if (ri->made_fid && clock_monotonic() >= ri->made_until) {
        fid_clunk(ri->made_fid);
        ri->made_fid = 0;
    }
    if (ri->made_fid && !(file->f_flags & (O_SYNC | O_DSYNC)) && (ri->made_writable || !file->f_write)) {
        rf->fid = ri->made_fid;
        ri->made_fid = 0;
    } else {
        int err = open_handle(file, &rf->fid);
        if (err) {
            kfree(rf);
            return err;
        }
    }
    file->f_private = rf;
    return 0;
}

static void drop_ahead(struct remote_file *rf)
{
    for (unsigned i = 0; i < rf->ahead_count; i++) {
        struct read_ahead *a = &rf->ahead[i];
        if (a->rpc)
            rpc_abandon(a->rpc, &a->window);
        else
            window_give(&a->window);
    }
    rf->ahead_count = 0;
    list_del(&rf->ahead_link);
    list_init(&rf->ahead_link);
}

bool remote_drop_ahead_of(const struct remote_inode *ri)
{
    struct remote_file *rf, *next;
    bool any = false;

    list_for_each_safe(rf, next, &with_ahead, ahead_link) {
        if (ri && rf->file->f_inode != &ri->inode)
            continue;
        drop_ahead(rf);
        any = true;
    }
    return any;
}

void remote_release(struct file *file)
{
    struct remote_file *rf = remote_file(file);

    drop_ahead(rf);
    fid_clunk(rf->fid);
    kfree(rf->entries);
    kfree(rf);
}

/* ---- reading ---- */

static struct rpc *start_read(uint32_t fid, uint64_t offset, size_t size, const struct window *w)
{
    remote_request request = remote_request_new(FILES_READ, fid);

    request.offset = offset;
    request.size = size;
    request.window = window_offset(w);
    request.flags = w->pipe;
    return rpc_start(&request, NULL, NULL);
}

int remote_read_in_place(uint32_t fid, uint64_t offset, void *to, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        size_t part = MIN(size - *got, CACHED_BYTES);
        remote_reply reply;
        struct window w;
        if (!window_take(&w, part))
            return -EIO;
        int err = rpc_wait(start_read(fid, offset + *got, part, &w), &reply);
        size_t n = MIN(reply.value, part);
        if (!err)
            memcpy((uint8_t *)to + *got, window_data(&w), n);
        window_give(&w);
        if (err)
            return err;
        *got += n;
        if (n < part)
            break;
    }
    return 0;
}

/* Into the cache what is around pos, and to the reader what he wants of it. */
static ssize_t read_cached(struct file *file, uint64_t pos, size_t want, struct iov_iter *to)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    uint64_t begin = PAGE_DOWN(pos);
    size_t size = MIN(CACHED_BYTES, PAGE_UP(ri->inode.i_size) - begin), skip = pos - begin;
    uint32_t known = ri->sequence;
    remote_reply reply;
    struct window w;

    if (!window_take(&w, size))
        return -EIO;
    ssize_t done = rpc_wait(start_read(remote_file(file)->fid, begin, size, &w), &reply);
    size_t got = MIN(reply.value, size);
    if (!done && got > skip) {
        /* If a write came between, the bytes may be those before it. */
        if (known == ri->sequence && !ri->writing)
            remote_keep(ri, begin, window_data(&w), got);
        done = copy_to_iter(to, (uint8_t *)window_data(&w) + skip, MIN(want, got - skip));
    }
    window_give(&w);
    return done;
}

/* Attributes that are older are asked for before anything is read. */
static bool is_fresh(const struct remote_inode *ri)
{
    return clock_monotonic() < ri->fresh_until;
}

static bool is_here(struct file *file, uint64_t offset, size_t len)
{
    struct remote_inode *ri = remote_inode(file->f_inode);

    return is_fresh(ri) && remote_is_kept(ri, offset, len);
}

#define FETCHES 4

/* Into the cache, several requests at once. What is in it already, or cannot be had, is left as it is. */
static void fetch(struct file *file, uint64_t offset, size_t len)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    struct {
        struct rpc *rpc;
        struct window window;
        uint64_t offset;
        size_t size;
    } under_way[FETCHES];
    unsigned first = 0, count = 0;
    uint64_t next = ALIGN_DOWN(offset, CACHED_BYTES);
    uint32_t known;

    if (remote_refresh(ri, REMOTE_TTL_NS))
        return;
    known = ri->sequence;
    uint64_t end = MIN(offset + len, ri->inode.i_size);
    while (count || next < end) {
        for (; count < FETCHES && next < end; next += CACHED_BYTES) {
            size_t size = MIN(CACHED_BYTES, ri->inode.i_size - next);
            struct window w;
            if (remote_is_kept(ri, next, size))
                continue;
            if (!window_take_now(&w, size) && (count || !window_take(&w, size)))
                break;
            unsigned n = (first + count++) % FETCHES;
            under_way[n].rpc = start_read(remote_file(file)->fid, next, size, &w);
            under_way[n].window = w;
            under_way[n].offset = next;
            under_way[n].size = size;
        }
        if (!count)
            break;
        remote_reply reply;
        int err = rpc_wait(under_way[first].rpc, &reply);
        struct window *w = &under_way[first].window;
        size_t got = window_filled(w, &reply, under_way[first].size);
        if (!err && got && known == ri->sequence && !ri->writing)
            remote_keep(ri, under_way[first].offset, window_data(w), got);
        window_give(w);
        first = (first + 1) % FETCHES;
        count--;
    }
}

/* One who goes on where the last read ended, and has read before. */
static bool is_sequential(const struct remote_file *rf, uint64_t pos)
{
    return rf->expected == pos && pos > 0;
}

/* How much the next request asks for: what is wanted, and for who reads on and on more and more at a time. */
static size_t piece_size(struct remote_file *rf, size_t wanted, bool on)
{
    wanted = MIN(wanted, READ_BYTES);
    if (!on)
        return wanted;
    size_t size = MAX(MAX(wanted, rf->ahead_bytes), AHEAD_FIRST);
    rf->ahead_bytes = MIN(size * 2, READ_BYTES);
    return size;
}

/* Requests for what is wanted from pos on, and beyond it for who reads on and on: then so many that others are under way. */
static bool top_up(struct remote_file *rf, uint64_t pos, size_t want)
{
    uint64_t size = rf->file->f_inode->i_size, next = pos, end = pos + want;
    bool on = is_sequential(rf, pos);

    if (rf->ahead_count) {
        const struct read_ahead *last = &rf->ahead[rf->ahead_count - 1];
        next = last->offset + last->size;
        if (rf->ahead_count > READ_AHEAD_MAX / 2 && next >= end)
            return true;
    }
    while (rf->ahead_count < READ_AHEAD_MAX && next < size) {
        size_t piece = piece_size(rf, next < end ? end - next : 0, on);
        struct read_ahead a = {.offset = next, .size = MIN(piece, size - next), .since = clock_monotonic()};
        if (!a.size)
            break;
        if (!window_take_now(&a.window, a.size) && (rf->ahead_count || !window_take(&a.window, a.size)))
            break;
        window_take_pipe(&a.window);
        a.rpc = start_read(rf->fid, a.offset, a.size, &a.window);
        if (!a.rpc || rf->ahead_count == READ_AHEAD_MAX) {
            if (a.rpc)
                rpc_abandon(a.rpc, &a.window);
            else
                window_give(&a.window);
            break;
        }
        rf->ahead[rf->ahead_count++] = a;
        next = a.offset + a.size;
    }
    if (rf->ahead_count) {
        list_del(&rf->ahead_link);
        list_add_tail(&with_ahead, &rf->ahead_link);
    }
    return rf->ahead_count > 0;
}

static struct read_ahead pop_ahead(struct remote_file *rf)
{
    struct read_ahead first = rf->ahead[0];

    rf->ahead_count--;
    memmove(&rf->ahead[0], &rf->ahead[1], rf->ahead_count * sizeof(rf->ahead[0]));
    if (!rf->ahead_count) {
        list_del(&rf->ahead_link);
        list_init(&rf->ahead_link);
    }
    return first;
}

/* The unused rest goes back to the front, if nothing came between. */
static void push_back(struct remote_file *rf, const struct read_ahead *rest)
{
    if (rf->ahead_count == READ_AHEAD_MAX || (rf->ahead_count && rf->ahead[0].offset != rest->offset + rest->size)) {
        struct window w = rest->window;
        window_give(&w);
        return;
    }
    memmove(&rf->ahead[1], &rf->ahead[0], rf->ahead_count * sizeof(rf->ahead[0]));
    rf->ahead[0] = *rest;
    if (!rf->ahead_count++)
        list_add_tail(&with_ahead, &rf->ahead_link);
}

/* One piece of a large read. 0: the file ends here. */
static ssize_t read_piece(struct remote_file *rf, uint64_t pos, size_t want, struct iov_iter *to)
{
    if (rf->ahead_count &&
        (rf->ahead[0].offset != pos || clock_monotonic() - rf->ahead[0].since > REMOTE_TTL_NS))
        drop_ahead(rf);
    if (!is_sequential(rf, pos))
        rf->ahead_bytes = 0;
    if (!top_up(rf, pos, want))
        return -EIO;
    struct read_ahead a = pop_ahead(rf);
    bool ended = false;
    if (a.rpc) {
        remote_reply reply;
        int err = rpc_wait(a.rpc, &reply);
        a.rpc = NULL;
        if (err) {
            window_give(&a.window);
            return err;
        }
        ended = reply.value < a.size;
        a.size = window_filled(&a.window, &reply, a.size);
    }
    if (a.offset != pos) {
        window_give(&a.window); /* two read at one position: this was the other's */
        return read_cached(rf->file, pos, want, to);
    }
    ssize_t copied = window_to_iter(&a.window, a.skip, MIN(a.size, want), to);
    if (ended)
        drop_ahead(rf);
    if (copied > 0 && (size_t)copied < a.size && !ended) {
        a.skip += (uint32_t)copied;
        a.offset += (uint64_t)copied;
        a.size -= (size_t)copied;
        push_back(rf, &a);
    } else {
        window_give(&a.window);
    }
    return copied;
}

/* relatime: a first read behind a change has set atime on the host. */
static void accessed(struct remote_inode *ri)
{
    const struct __kernel_timespec *atime = &ri->inode.i_atime, *mtime = &ri->inode.i_mtime, *ctime = &ri->inode.i_ctime;

    if (ri->inode.i_sb->s_flags & (SB_RDONLY | SB_NOATIME))
        return;
    if (atime->tv_sec < mtime->tv_sec || (atime->tv_sec == mtime->tv_sec && atime->tv_nsec <= mtime->tv_nsec) ||
        atime->tv_sec < ctime->tv_sec || (atime->tv_sec == ctime->tv_sec && atime->tv_nsec <= ctime->tv_nsec))
        ri->fresh_until = 0;
}

/* Is there anything to read at pos? Asks again what was known to be the end some time ago. */
static int at_end(struct remote_inode *ri, uint64_t pos, bool *end)
{
    int err = 0;

    if (pos >= ri->inode.i_size)
        err = remote_refresh(ri, END_AGE_NS);
    *end = pos >= ri->inode.i_size;
    return err;
}

/* Past the cache: much at once, or on and on beyond the beginning. What is mapped is not with the server. */
static bool is_direct(const struct remote_file *rf, uint64_t pos, size_t want)
{
    return (want >= DIRECT_MIN || (pos >= CACHED_BYTES && is_sequential(rf, pos))) &&
           !remote_inode(rf->file->f_inode)->homed && may_sleep();
}

static int64_t remote_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct remote_file *rf = remote_file(kiocb->file);
    struct remote_inode *ri = remote_inode(kiocb->file->f_inode);
    bool asked = false;
    int64_t done = 0;
    ssize_t got = remote_refresh(ri, REMOTE_TTL_NS);

    if (got)
        return got;
    while (to->count > 0) {
        bool end;
        got = at_end(ri, kiocb->pos, &end);
        if (got || end)
            break;
        size_t want = MIN(to->count, ri->inode.i_size - kiocb->pos);
        got = remote_read_kept(ri, kiocb->pos, want, to);
        if (!got) {
            asked = true;
            got = is_direct(rf, kiocb->pos, want) ? read_piece(rf, kiocb->pos, want, to)
                                                  : read_cached(kiocb->file, kiocb->pos, want, to);
        }
        if (got <= 0)
            break;
        if (rf->expected == kiocb->pos)
            rf->expected += (uint64_t)got;
        kiocb->pos += (uint64_t)got;
        done += got;
        /* The end was reached: a size that others have changed since is not looked for within one call. */
        if (done > 0 && kiocb->pos >= ri->inode.i_size)
            break;
    }
    if (done > 0) {
        rf->expected = kiocb->pos;
        if (asked)
            accessed(ri);
    }
    return done > 0 ? done : got;
}

/* ---- writing ---- */

void remote_begin_write(struct remote_inode *ri)
{
    if (may_sleep())
        wait_uninterruptible(&write_wait, !ri->writing);
    ri->writing = true;
}

void remote_end_write(struct remote_inode *ri)
{
    ri->writing = false;
    wake_up(&write_wait);
}

struct piece {
    struct rpc *rpc;
    struct window window;
    uint64_t pos;
    size_t len;
};

/* The next piece on its way. Its length; 0: no room for it yet; negative: the program's memory is bad. */
static ssize_t start_piece(struct kiocb *kiocb, uint64_t pos, struct iov_iter *from, bool wait, struct piece *p)
{
    remote_request request = remote_request_new(FILES_WRITE, remote_file(kiocb->file)->fid);
    size_t len = MIN(from->count, WRITE_BYTES);

    if (!window_take_now(&p->window, len) && (!wait || !window_take(&p->window, len)))
        return wait ? -EIO : 0;
    ssize_t n = copy_from_iter(from, window_data(&p->window), len);
    if (n <= 0) {
        window_give(&p->window);
        return n ? n : -EFAULT;
    }
    p->pos = pos;
    p->len = (size_t)n;
    request.offset = pos;
    request.size = p->len;
    request.window = window_offset(&p->window);
    request.flags = kiocb->append ? FILES_APPEND : 0;
    p->rpc = rpc_start(&request, NULL, NULL);
    return n;
}

static ssize_t finish_piece(struct kiocb *kiocb, struct piece *p)
{
    struct remote_inode *ri = remote_inode(kiocb->file->f_inode);
    remote_reply reply;
    int err = rpc_wait(p->rpc, &reply);
    size_t n = MIN(reply.value, p->len);

    if (!err) {
        if (kiocb->append)
            p->pos = reply.attr.size - n;
        remote_drop_ahead_of(ri);
        remote_update(ri, p->pos, window_data(&p->window), n);
        remote_apply(ri, &reply, true);
        kiocb->pos = p->pos + n;
    }
    window_give(&p->window);
    return err ? err : (ssize_t)n;
}

static int64_t write_pieces(struct kiocb *kiocb, struct iov_iter *from)
{
    struct piece pieces[WRITES_AT_ONCE];
    unsigned first = 0, count = 0;
    uint64_t next = kiocb->pos;
    ssize_t result = 0;
    int64_t done = 0;
    bool stop = false;

    while (count || (from->count && !stop)) {
        while (from->count && !stop && count < WRITES_AT_ONCE) {
            ssize_t n = start_piece(kiocb, next, from, !count, &pieces[(first + count) % WRITES_AT_ONCE]);
            if (n == 0)
                break;
            if (n < 0) {
                stop = true;
                if (!result)
                    result = n;
                break;
            }
            next += (uint64_t)n;
            count++;
        }
        if (!count)
            break;
        struct piece *p = &pieces[first];
        size_t len = p->len;
        ssize_t n = finish_piece(kiocb, p);
        first = (first + 1) % WRITES_AT_ONCE;
        count--;
        /* Behind a piece that failed nothing counts, though it may have been written. */
        if (!stop || result == 0) {
            if (n > 0)
                done += n;
            else if (!result)
                result = n;
        }
        if (n < (ssize_t)len)
            stop = true;
    }
    return done > 0 ? done : result;
}

static int64_t remote_write(struct kiocb *kiocb, struct iov_iter *from)
{
    struct inode *inode = kiocb->file->f_inode;
    struct remote_inode *ri = remote_inode(inode);

    if (from->count == 0)
        return 0;
    remote_begin_write(ri);
    int64_t done = write_pieces(kiocb, from);
    remote_end_write(ri);
    if (done > 0)
        inode_remove_privs(inode);
    return done;
}

/* ---- positions, space, the disk ---- */

static int64_t remote_llseek(struct file *file, int64_t offset, int whence)
{
    remote_request request = remote_request_new(FILES_SEEK, remote_file(file)->fid);
    remote_reply reply;
    int err = whence == SEEK_END ? remote_refresh(remote_inode(file->f_inode), END_AGE_NS) : 0;

    if (err)
        return err;
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return generic_llseek(file, offset, whence);
    if (offset < 0)
        return -ENXIO;
    request.offset = (uint64_t)offset;
    request.flags = (uint32_t)whence;
    err = rpc_call(&request, NULL, NULL, &reply);
    if (err)
        return err;
    file->f_pos = reply.value;
    return (int64_t)reply.value;
}

static int remote_fallocate(struct file *file, int mode, uint64_t offset, uint64_t len)
{
    struct remote_inode *ri = remote_inode(file->f_inode);
    remote_request request = remote_request_new(FILES_FALLOCATE, remote_file(file)->fid);
    remote_reply reply;

    request.flags = (uint32_t)mode;
    request.offset = offset;
    request.size = len;
    remote_begin_write(ri);
    int err = rpc_call(&request, NULL, NULL, &reply);
    if (!err) {
        /* Holes, zeros, shifted ranges: what is kept may not be so any more. */
        if (mode & ~FALLOC_FL_KEEP_SIZE)
            remote_forget_pages(ri);
        remote_apply(ri, &reply, false);
    }
    remote_end_write(ri);
    return err;
}

int remote_fsync(struct file *file, bool datasync)
{
    remote_request request = remote_request_new(FILES_FSYNC, remote_file(file)->fid);
    remote_reply reply;
    int err = remote_writeback(remote_inode(file->f_inode), 0, INT64_MAX);

    request.flags = datasync ? FILES_DATASYNC : 0;
    int sync = rpc_call(&request, NULL, NULL, &reply);
    return err ? err : sync;
}

static int writeback(struct file *file, uint64_t offset, size_t len)
{
    return remote_writeback(remote_inode(file->f_inode), offset, offset + len);
}

const struct file_operations remote_file_operations = {
    .open = remote_open,
    .release = remote_release,
    .read = remote_read,
    .write = remote_write,
    .llseek = remote_llseek,
    .fsync = remote_fsync,
    .fallocate = remote_fallocate,
    .mappable = true,
    .is_here = is_here,
    .fetch = fetch,
    .share = remote_share,
    .unshare = remote_unshare,
    .writeback = writeback,
};
