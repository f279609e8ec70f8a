/*
 * Folders and files of the host that a mount shows: a client of the file server
 * (tender/common/abi/runnc_files.h has the protocol, docs/file-server.md the rest).
 *
 *   remote_rpc.c   requests and replies; who waits for them
 *   remote_pipe.c  pipes by which data of large reads comes
 *   remote.c       the file system: names, attributes
 *   remote_file.c  open files: data of regular ones
 *   remote_cache.c what is kept of their data, and what is mapped
 *   remote_dir.c   listings
 *   remote_lock.c  fcntl and flock locks that the host sees
 *
 * Unlike others this file system waits: a task sleeps until its reply is there and
 * others run meanwhile. Where nothing may sleep (boot, page faults, the memory of
 * processes: may_sleep() is false) the whole guest waits.
 *
 * Consistency is close-to-open: each open looks whether the file has changed, and
 * what is cached of one that has is forgotten. In between, names and attributes are
 * believed for REMOTE_TTL_NS. What is written is with the host before write(2) returns;
 * what is stored in a shared mapping at msync, fsync, and the mapping's end.
 */
#ifndef LINUX_FS_REMOTE_H
#define LINUX_FS_REMOTE_H

#include "fs/page_tree.h"
#include "fs/vfs.h"
#include "tender/common/abi/runnc_files.h"

#define REMOTE_TTL_NS (1000 * 1000 * 1000ll)

typedef struct runnc_files_request remote_request;
typedef struct runnc_files_reply remote_reply;

/* ---- requests (remote_rpc.c) ---- */

struct rpc;

/* A part of the window, in units of WINDOW_UNIT bytes, and a pipe by which data may come instead. */
#define WINDOW_UNIT (64u << 10)
struct window {
    uint32_t first, units; /* units 0: none */
    uint32_t pipe;         /* as a READ's flags have it; 0: none */
    size_t piped;          /* bytes that lie in it */
};

/* At boot: finds the server. */
int remote_connect(void);

/* It was there and has ended: whatever is asked gives EIO. */
bool remote_is_gone(void);

/* Waits for room. False in one case: the server is gone. */
bool window_take(struct window *w, size_t bytes);
/* If there is some now. */
bool window_take_now(struct window *w, size_t bytes);
void window_give(struct window *w);
/* What a READ's reply says of its `size` bytes: how many there are, and whether in the pipe. */
size_t window_filled(struct window *w, const remote_reply *reply, size_t size);
/* Bytes from `skip` on, which is how many were taken before: out of the pipe if they lie there. */
ssize_t window_to_iter(struct window *w, size_t skip, size_t want, struct iov_iter *to);
static inline uint32_t window_offset(const struct window *w)
{
    return w->first * WINDOW_UNIT;
}
void *window_data(const struct window *w);

/* remote_pipe.c: the channel's pipes, as many as the server can use. */
void remote_pipes(uint32_t channel, uint64_t usable);
/* Gives it a pipe as well, if one is free. */
void window_take_pipe(struct window *w);
/* Out of its pipe: bytes, -EFAULT, -EIO. */
ssize_t remote_pipe_to_iter(struct window *w, size_t want, struct iov_iter *to);
/* What is still in it nobody wants. */
void remote_pipe_give(struct window *w);

/* Sends; the reply is waited for by rpc_wait. The tag is set. NULL: the server is gone. */
struct rpc *rpc_start(remote_request *request, const struct qstr *name, const struct qstr *name2);
/* The reply has come, or never will. */
bool rpc_done(const struct rpc *rpc);
/* Waits, however long; signals do not end it. 0 or the negative errno of the reply; *reply is all zero then. */
int rpc_wait(struct rpc *rpc, remote_reply *reply);
/* Nobody waits for it any more; its window is given back once the reply is there. */
void rpc_abandon(struct rpc *rpc, const struct window *w);
/* Nobody waits for it, but somebody wants to know if it fails, by an errno. */
void rpc_forget(struct rpc *rpc, void (*failed)(int error));
/* Both. */
int rpc_call(remote_request *request, const struct qstr *name, const struct qstr *name2, remote_reply *reply);
/* A number for the server to know a file by; 0: none is left (ENFILE), or no server. */
uint32_t fid_alloc(void);
/* The number was never used, or the request that was to use it failed. */
void fid_unused(uint32_t fid);
/* Tells the server to forget it. Never waits. */
void fid_clunk(uint32_t fid);

/* ---- objects ---- */

struct remote_fs {
    struct super_block sb;
    uint64_t dev; /* the server's name for the root's device */
};

struct remote_inode {
    struct inode inode;
    uint64_t dev; /* with i_ino its name on the host */
    uint32_t fid; /* the node */
    struct remote_inode *hash_next;
    int64_t fresh_until; /* attributes: CLOCK_MONOTONIC, 0: not */
    /* What the cached data belongs to: another ctime or size is another content. */
    struct __kernel_timespec data_ctime;
    uint64_t data_size;
    struct page_tree pages;
    uint64_t homed;      /* pages among them that a shared mapping has */
    struct list mappings; /* struct mapping of remote_file.c */
    struct list lru;     /* of inodes with cached pages */
    bool writing;        /* someone is at it; others wait */
    char *target;        /* of a link, as it was at data_ctime */
    uint32_t made_fid;   /* handle that came with making or finding it, for the open that follows; 0: none */
    bool made_writable;
    int64_t made_until;  /* CLOCK_MONOTONIC: the open that comes later is another one */
    bool made_here;      /* this guest made it */
    uint32_t own_fid;    /* handle for locks and for what mappings changed; 0: none */
    bool own_writable;
    uint32_t sequence;   /* of the reply that said what is known */
};

struct read_ahead {
    struct rpc *rpc; /* NULL: it has been answered, and part of it been used */
    struct window window;
    uint32_t skip; /* bytes used */
    uint64_t offset;
    size_t size;
    int64_t since;
};
#define READ_AHEAD_MAX 4

struct remote_file {
    struct file *file;
    uint32_t fid; /* the handle */
    /* Regular files. */
    uint64_t expected; /* where a sequential reader goes on */
    size_t ahead_bytes; /* what to ask for next, for one who reads on and on */
    struct read_ahead ahead[READ_AHEAD_MAX];
    unsigned ahead_count;
    struct list ahead_link; /* of all that hold parts of the window */
    /* Folders: entries as the server gave them, those behind `position`. */
    uint8_t *entries;
    size_t entries_len, entries_at;
    uint64_t position;
};

static inline struct remote_inode *remote_inode(const struct inode *inode)
{
    return container_of(inode, struct remote_inode, inode);
}

static inline struct remote_file *remote_file(const struct file *file)
{
    return file->f_private;
}

/* remote.c: a request with fid and the current user set. */
remote_request remote_request_new(uint32_t op, uint32_t fid);
/* Takes over a reply's attributes, unless a later one has been. has_before: the reply says what the file was before. */
void remote_apply(struct remote_inode *ri, const remote_reply *reply, bool has_before);
/* Makes sure of own_fid, opened for writing if that can be. */
int remote_own_handle(struct remote_inode *ri);
/* Asks for attributes that are older than they may be. */
int remote_refresh(struct remote_inode *ri, int64_t max_age_ns);

/* remote_file.c */
extern const struct file_operations remote_file_operations;
extern const struct file_operations remote_dir_operations; /* remote_dir.c */
int remote_open(struct inode *inode, struct file *file);
void remote_release(struct file *file);
int remote_fsync(struct file *file, bool datasync);
/* What was read ahead of the inode's files is given up; of all files for NULL. True: there was something. */
bool remote_drop_ahead_of(const struct remote_inode *ri);
/* Bytes at offset into kernel memory, in place: atomic. */
int remote_read_in_place(uint32_t fid, uint64_t offset, void *to, size_t size, size_t *got);

/* remote_cache.c */
uint64_t remote_kept_pages(void);
/* What is cached is not the file's any more. */
void remote_forget_pages(struct remote_inode *ri);
/* The file has this size now; cached pages behind it go. */
void remote_truncate_pages(struct remote_inode *ri, uint64_t size);
/* Keeps bytes that were read at offset (page-aligned), as far as there is memory. */
void remote_keep(struct remote_inode *ri, uint64_t offset, const void *data, size_t len);
/* What is kept of these bytes changes with the file. */
void remote_update(struct remote_inode *ri, uint64_t offset, const void *data, size_t len);
/* All of these bytes are kept, or mapped, as far as the file has them. */
bool remote_is_kept(struct remote_inode *ri, uint64_t offset, size_t len);
/* Copies what is kept at pos, at most want bytes: 0 if nothing is. */
ssize_t remote_read_kept(struct remote_inode *ri, uint64_t pos, size_t want, struct iov_iter *to);
int remote_share(struct file *file, uint64_t offset, size_t len, void *home, void **existing);
int remote_unshare(struct file *file, uint64_t offset, size_t len, void *home);
/* What mappings changed goes to the server. */
int remote_writeback(struct remote_inode *ri, uint64_t offset, uint64_t end);
/* One writer at a time. */
void remote_begin_write(struct remote_inode *ri);
void remote_end_write(struct remote_inode *ri);

/* remote_lock.c: i_op->lock. */
int remote_lock(struct inode *inode, struct lock_range *range);

/* remote.c: mount number `number` of the server. ERR_PTR. */
struct super_block *remote_mount(uint32_t number);

#endif
