#include "fs/writeback.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "boot/host.h"
#include "fs/remote.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "task/task.h"
#include "time/clock.h"
#include "time/timer.h"

#define DELAY_NS NSEC_PER_SEC
/* Of one go of the timer: then others run. */
#define GO_PAGES (4u << 20 >> PAGE_SHIFT)
#define GO_ON_NS 1000000
/* In one request: what fits into the half of the window that is for those who do not sleep. */
#define WRITE_PAGES (WINDOW_UNIT / PAGE_SIZE)
/* Changed pages in memory, beyond which writers write themselves; a quarter of memory is the other limit. */
#define CHANGED_MAX (64u << 20 >> PAGE_SHIFT)
#define RANGES 8u
#define AT_REMOVEDIR_FLAG 0x200u

struct range {
    uint64_t from, end; /* pages */
};

/* What is known of an inode here; kept while there is something to know. */
struct wb_inode {
    struct tmpfs_inode *t;
    struct list changed; /* of wb.changed */
    struct list known;   /* of wb.known */
    uint32_t fid;        /* node; 0: not asked for yet */
    uint32_t handle;     /* open for reading and writing: pages were dropped; 0: none */
    bool absent;         /* the host has it not and shall not: a device, or a file that has no name yet */
    bool on_host;        /* see wb_is_on_host */
    bool punched;        /* pages that are not there are zeros, not the host's */
    bool pinned;         /* the fid cannot be found again by a name */
    bool times;          /* the host's are of when it was told of a change, not of the change */
    int error;           /* of writing its data, until somebody is told */
    unsigned count;
    struct range ranges[RANGES]; /* changed, in order */
};

static struct {
    struct tmpfs *fs;
    uint32_t mount;
    bool connected;
    int error; /* the first that nobody was told of */
    bool said;
    struct list changed; /* first changed first */
    struct list known;   /* those with a fid */
    uint64_t pages;      /* changed ones: an upper bound */
    struct wb_inode *writing; /* that write_inode is at */
    bool shrinking;
    uint32_t spare; /* a number for shrink() to open what it writes with */
    struct timer timer;
} wb;

/* ---- errors ---- */

static void failed(int error)
{
    char text[160];

    if (!wb.error)
        wb.error = -error;
    if (wb.said)
        return;
    wb.said = true;
    snprintf(text, sizeof(text), "runnc: not all changes of the container's root reach the bundle's rootfs (error %d)\n",
             error);
    host_log(text, strlen(text));
}

/* ---- inodes ---- */

static struct wb_inode *get(struct tmpfs_inode *t)
{
    if (t->wb)
        return t->wb;
    struct wb_inode *w = kzalloc(sizeof(*w));
    if (!w) {
        failed(ENOMEM);
        return NULL;
    }
    w->t = t;
    list_init(&w->changed);
    list_init(&w->known);
    t->wb = w;
    return w;
}

static bool is_absent(const struct tmpfs_inode *t)
{
    return t->wb && t->wb->absent;
}

/* The requests' user: the server has the guest's root's rights, and looks at nobody's. */
static remote_request request_new(uint32_t op, uint32_t fid)
{
    return (remote_request){.op = (uint16_t)op, .fid = fid};
}

static void send(remote_request *request, const struct qstr *name, const struct qstr *name2)
{
    struct rpc *rpc = rpc_start(request, name, name2);

    if (rpc)
        rpc_forget(rpc, failed);
    else
        failed(EIO);
}

static void connect_now(void)
{
    struct wb_inode *root = get(tmpfs_inode(wb.fs->sb.s_root->d_inode));

    wb.connected = true;
    if (!root)
        return;
    int err = remote_connect();
    root->fid = err ? 0 : fid_alloc();
    wb.spare = err ? 0 : fid_alloc();
    root->pinned = true;
    if (!root->fid) {
        failed(err ? -err : ENFILE);
        return;
    }
    remote_request request = request_new(FILES_ATTACH, 0);
    request.new_fid = root->fid;
    request.value = wb.mount;
    send(&request, NULL, NULL);
}

static void forget_fid(struct wb_inode *w)
{
    fid_clunk(w->handle);
    fid_clunk(w->fid);
    w->handle = w->fid = 0;
    list_del(&w->known);
    list_init(&w->known);
}

static int write_inode(struct wb_inode *w);

/*
 * Numbers are few: those of files and folders that can be found again are given up. What has changed is written
 * before, for its name may not be in memory any more.
 */
static void shrink(void)
{
    struct wb_inode *w, *next;

    wb.shrinking = true;
    list_for_each_safe(w, next, &wb.changed, changed) {
        if (w != wb.writing)
            write_inode(w);
    }
    list_for_each_safe(w, next, &wb.known, known) {
        if (w != wb.writing && !w->pinned && !w->handle)
            forget_fid(w);
    }
    wb.shrinking = false;
    if (!wb.spare)
        wb.spare = fid_alloc();
}

static uint32_t new_fid(void)
{
    if (remote_is_gone()) {
        failed(EIO);
        return 0;
    }
    uint32_t fid = fid_alloc();
    if (!fid && wb.shrinking) {
        fid = wb.spare;
        wb.spare = 0;
    } else if (!fid) {
        shrink();
        fid = fid_alloc();
    }
    if (!fid)
        failed(ENFILE);
    return fid;
}

static void set_fid(struct wb_inode *w, uint32_t fid)
{
    w->fid = fid;
    list_add_tail(&wb.known, &w->known);
}

/* A name of the inode. NULL: it has none, or none that is in memory. */
static const struct dentry *name_of(const struct inode *inode)
{
    const struct dentry *dentry;

    list_for_each(dentry, &inode->i_dentries, d_alias) {
        if (!(dentry->d_flags & (DENTRY_DELETED | DENTRY_ANON)))
            return dentry;
    }
    return NULL;
}

static bool has_fid(const struct dentry *dentry)
{
    const struct wb_inode *w = tmpfs_inode(dentry->d_inode)->wb;

    return w && w->fid;
}

static bool walk(const struct dentry *dentry)
{
    struct wb_inode *w = get(tmpfs_inode(dentry->d_inode));
    uint32_t fid = w ? new_fid() : 0;

    /* Making room may have taken the folder's. */
    if (!fid || !has_fid(dentry->d_parent)) {
        fid_unused(fid);
        return false;
    }
    remote_request request = request_new(FILES_WALK, tmpfs_inode(dentry->d_parent->d_inode)->wb->fid);
    request.new_fid = fid;
    send(&request, &dentry->d_name, NULL);
    set_fid(w, fid);
    return true;
}

/*
 * The server's number for an inode: it is walked to from the nearest folder above that has
 * one. No answer is waited for: if there is no such name, what is asked next fails.
 */
static uint32_t fid_of(struct inode *inode)
{
    const struct dentry *dentry;
    struct wb_inode *w;

    if (!wb.connected)
        connect_now();
    w = tmpfs_inode(inode)->wb;
    if (w && w->fid)
        return w->fid;
    dentry = name_of(inode);
    if (!dentry) {
        failed(ENOENT);
        return 0;
    }
    do {
        const struct dentry *next = dentry;
        while (next->d_parent != next && !has_fid(next->d_parent))
            next = next->d_parent;
        if (next->d_parent == next || !walk(next))
            return 0;
        w = tmpfs_inode(inode)->wb;
    } while (!w || !w->fid);
    return w->fid;
}

/* Both at once: that one may need so many new numbers that the other loses its own. After that there is room. */
static bool have_fids(struct inode *a, struct inode *b)
{
    return fid_of(a) && fid_of(b) && fid_of(a) && fid_of(b);
}

static void send_attributes(const struct wb_inode *w, uint32_t valid)
{
    const struct inode *inode = &w->t->inode;
    remote_request request = request_new(FILES_SETATTR, w->fid);

    request.valid = S_ISLNK(inode->i_mode) ? valid & ~(uint32_t)FILES_SET_MODE : valid;
    request.mode = inode->i_mode & 07777;
    request.uid = inode->i_uid;
    request.gid = inode->i_gid;
    request.size = inode->i_size;
    request.atime_sec = inode->i_atime.tv_sec;
    request.atime_nsec = (uint32_t)inode->i_atime.tv_nsec;
    request.mtime_sec = inode->i_mtime.tv_sec;
    request.mtime_nsec = (uint32_t)inode->i_mtime.tv_nsec;
    if (request.valid)
        send(&request, NULL, NULL);
}

/* ---- names ---- */

static void make(struct inode *dir, const struct qstr *name, struct tmpfs_inode *t)
{
    struct inode *inode = &t->inode;
    struct wb_inode *w = get(t);
    uint32_t folder = w ? fid_of(dir) : 0, fid = folder ? new_fid() : 0;

    if (!fid)
        return;
    remote_request request = request_new(S_ISLNK(inode->i_mode) ? FILES_SYMLINK : FILES_CREATE, fid_of(dir));
    request.new_fid = fid;
    request.mode = inode->i_mode;
    request.uid = inode->i_uid;
    request.gid = inode->i_gid;
    struct qstr target = {.name = t->target, .len = (uint32_t)inode->i_size};
    send(&request, name, S_ISLNK(inode->i_mode) ? &target : NULL);
    w->absent = false;
    set_fid(w, fid);
    w->times = true;
    if (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode)) {
        send_attributes(w, FILES_SET_ATIME | FILES_SET_MTIME);
        forget_fid(w);
    }
}

static bool is_device(const struct inode *inode)
{
    return S_ISCHR(inode->i_mode) || S_ISBLK(inode->i_mode);
}

static void note_absent(struct tmpfs_inode *t)
{
    struct wb_inode *w = get(t);

    if (w)
        w->absent = true;
}

/* The timer writes it and its times, and forgets its number. */
static void enlist(struct wb_inode *w)
{
    if (!list_empty(&w->changed))
        return;
    list_add_tail(&wb.changed, &w->changed);
    if (!timer_armed(&wb.timer))
        timer_arm(&wb.timer, clock_monotonic() + DELAY_NS);
}

/* Names in it have changed. */
static void folder_changed(struct inode *dir)
{
    struct wb_inode *w = tmpfs_inode(dir)->wb;

    if (!w || !w->fid)
        return;
    w->times = true;
    enlist(w);
}

void wb_made(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);

    if (!wb_on(inode))
        return;
    if (!name || is_device(inode)) {
        note_absent(t);
        return;
    }
    atomic_begin();
    make(dir, name, t);
    if ((S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode)) && t->wb)
        enlist(t->wb);
    folder_changed(dir);
    atomic_end();
}

static void changed_whole(struct tmpfs_inode *t);

void wb_linked(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);

    if (!wb_on(inode) || is_device(inode))
        return;
    atomic_begin();
    if (is_absent(t)) {
        /* Its first name: O_TMPFILE. */
        make(dir, name, t);
        changed_whole(t);
    } else {
        if (have_fids(inode, dir)) {
            remote_request request = request_new(FILES_LINK, fid_of(inode));
            request.new_fid = fid_of(dir);
            send(&request, name, NULL);
        }
    }
    folder_changed(dir);
    atomic_end();
}

/* It loses a name, and is used further: by another name that may not be in memory, or by none. */
static void keep_fid(struct inode *inode)
{
    if (!S_ISREG(inode->i_mode) || (inode->i_nlink == 0 && !wb_is_on_host(tmpfs_inode(inode))))
        return;
    if (!fid_of(inode))
        return;
    tmpfs_inode(inode)->wb->pinned = true;
    /* By and by we look whether it is still so. */
    enlist(tmpfs_inode(inode)->wb);
}

/* Nobody has it open who could come with a name that it had: whoever comes next has one that it has. */
static bool can_unpin(const struct inode *inode)
{
    const struct dentry *dentry;

    if (!S_ISREG(inode->i_mode) || inode->i_nlink == 0)
        return false;
    list_for_each(dentry, &inode->i_dentries, d_alias) {
        if (dentry->d_count > 0)
            return false;
    }
    return true;
}

static void forget_changes(struct wb_inode *w)
{
    for (unsigned i = 0; i < w->count; i++)
        wb.pages -= MIN(wb.pages, w->ranges[i].end - w->ranges[i].from);
    w->count = 0;
    list_del(&w->changed);
    list_init(&w->changed);
}

static void name_lost(struct inode *inode)
{
    struct wb_inode *w = tmpfs_inode(inode)->wb;

    if (!w || inode->i_nlink > 0)
        return;
    /* Nobody will find it any more. */
    forget_changes(w);
    w->absent = true;
    if (!w->on_host && w->fid)
        forget_fid(w);
}

static void unlink_name(struct inode *dir, const struct qstr *name, bool folder)
{
    uint32_t fid = fid_of(dir);

    if (!fid)
        return;
    remote_request request = request_new(FILES_UNLINK, fid);
    request.flags = folder ? AT_REMOVEDIR_FLAG : 0;
    send(&request, name, NULL);
}

void wb_unlinked(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    if (!wb_on(inode))
        return;
    atomic_begin();
    if (!is_absent(tmpfs_inode(inode))) {
        keep_fid(inode);
        unlink_name(dir, name, S_ISDIR(inode->i_mode));
        name_lost(inode);
        folder_changed(dir);
    }
    atomic_end();
}

static void rename_names(struct inode *old_dir, const struct qstr *old_name, struct inode *new_dir,
                         const struct qstr *new_name, bool exchange)
{
    if (!have_fids(old_dir, new_dir))
        return;
    remote_request request = request_new(FILES_RENAME, fid_of(old_dir));
    request.new_fid = fid_of(new_dir);
    request.flags = exchange ? RENAME_EXCHANGE : 0;
    send(&request, old_name, new_name);
}

void wb_renamed(struct inode *old_dir, const struct qstr *old_name, struct inode *inode, struct inode *new_dir,
                const struct qstr *new_name, struct inode *replaced, bool exchange)
{
    if (!wb_on(inode))
        return;
    bool moves = !is_absent(tmpfs_inode(inode));
    bool there = replaced && !is_absent(tmpfs_inode(replaced));

    atomic_begin();
    if (there && !exchange)
        keep_fid(replaced);
    if (moves)
        rename_names(old_dir, old_name, new_dir, new_name, exchange && there);
    else if (there && exchange)
        rename_names(new_dir, new_name, old_dir, old_name, false);
    else if (there)
        unlink_name(new_dir, new_name, S_ISDIR(replaced->i_mode));
    if (there && !exchange)
        name_lost(replaced);
    folder_changed(old_dir);
    folder_changed(new_dir);
    atomic_end();
}

/* ---- attributes ---- */

/* What lies behind the new end is not written any more. */
static void cut_ranges(struct wb_inode *w, uint64_t end)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < w->count; i++) {
        struct range r = w->ranges[i];
        uint64_t cut = MIN(r.end, MAX(end, r.from));
        wb.pages -= MIN(wb.pages, r.end - cut);
        r.end = cut;
        if (r.from < r.end)
            w->ranges[kept++] = r;
    }
    w->count = kept;
}

void wb_attributes(struct inode *inode, const struct iattr *attr)
{
    struct tmpfs_inode *t = tmpfs_inode(inode);
    uint32_t valid = 0;

    if (!wb_on(inode) || is_absent(t))
        return;
    if (attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_KILL_PRIVS))
        valid |= FILES_SET_MODE;
    if (attr->valid & (ATTR_UID | ATTR_GID))
        valid |= FILES_SET_UID | FILES_SET_GID;
    if (attr->valid & ATTR_SIZE)
        valid |= FILES_SET_SIZE;
    /* Times are set once more when data follows. */
    if (attr->valid & ATTR_ATIME)
        valid |= FILES_SET_ATIME;
    if (attr->valid & (ATTR_MTIME | ATTR_SIZE))
        valid |= FILES_SET_MTIME;
    if (!valid)
        return;
    atomic_begin();
    if (fid_of(inode)) {
        struct wb_inode *w = t->wb;
        if (attr->valid & ATTR_SIZE)
            cut_ranges(w, PAGE_UP(inode->i_size) >> PAGE_SHIFT);
        send_attributes(w, valid);
        if (S_ISREG(inode->i_mode))
            enlist(w);
        else if (!S_ISDIR(inode->i_mode))
            forget_fid(w);
    }
    atomic_end();
}

/* ---- data ---- */

bool wb_is_on_host(const struct tmpfs_inode *t)
{
    return t->wb && t->wb->on_host;
}

/* Those that touch become one; with one too many the two that are nearest do. */
static void add_range(struct wb_inode *w, uint64_t from, uint64_t end)
{
    struct range all[RANGES + 1];
    unsigned i = 0, count = w->count + 1;

    while (i < w->count && w->ranges[i].from <= from) i++;
    memcpy(all, w->ranges, i * sizeof(all[0]));
    all[i] = (struct range){from, end};
    memcpy(all + i + 1, w->ranges + i, (w->count - i) * sizeof(all[0]));
    uint64_t before = 0, after = 0;
    for (unsigned n = 0; n < w->count; n++)
        before += w->ranges[n].end - w->ranges[n].from;

    for (unsigned n = 0; n + 1 < count;) {
        if (all[n].end < all[n + 1].from) {
            n++;
            continue;
        }
        all[n].end = MAX(all[n].end, all[n + 1].end);
        memmove(&all[n + 1], &all[n + 2], (--count - n - 1) * sizeof(all[0]));
    }
    if (count > RANGES) {
        unsigned nearest = 0;
        for (unsigned n = 1; n + 1 < count; n++)
            if (all[n + 1].from - all[n].end < all[nearest + 1].from - all[nearest].end)
                nearest = n;
        all[nearest].end = all[nearest + 1].end;
        memmove(&all[nearest + 1], &all[nearest + 2], (--count - nearest - 1) * sizeof(all[0]));
    }
    memcpy(w->ranges, all, count * sizeof(all[0]));
    w->count = count;
    for (unsigned n = 0; n < count; n++)
        after += all[n].end - all[n].from;
    wb.pages += after - before;
}

static void changed_whole(struct tmpfs_inode *t)
{
    if (!t->wb)
        return;
    if (t->inode.i_size > 0)
        add_range(t->wb, 0, PAGE_UP(t->inode.i_size) >> PAGE_SHIFT);
    enlist(t->wb);
}

static uint64_t pages_max(void)
{
    struct page_stats stats;

    page_stats(&stats);
    return stats.total / 4;
}

static int write_out(uint32_t handle, uint64_t offset, const struct window *window, size_t size)
{
    for (size_t done = 0; done < size;) {
        remote_request request = request_new(FILES_WRITE, handle);
        remote_reply reply;
        request.offset = offset + done;
        request.size = size - done;
        request.window = window_offset(window) + (uint32_t)done;
        int err = rpc_wait(rpc_start(&request, NULL, NULL), &reply);
        if (err || reply.value == 0 || reply.value > size - done)
            return err ? err : -EIO;
        done += reply.value;
    }
    return 0;
}

/* Pages from `index` on that lie together in the file and are there, at most `max`; *count 0: the first is not. */
static void count_pages(struct tmpfs_inode *t, uint64_t index, uint64_t max, bool zeros, uint64_t *count)
{
    for (*count = 0; *count < max; ++*count) {
        if (!zeros && !page_tree_slot(&t->file.pages, index + *count, false))
            return;
    }
}

/* One request's worth of pages. */
static int write_pages(struct wb_inode *w, uint32_t handle, uint64_t index, uint64_t count)
{
    static uint8_t buffer[WRITE_PAGES * PAGE_SIZE];
    struct tmpfs_inode *t = w->t;
    uint64_t offset = index << PAGE_SHIFT;
    size_t size = MIN(count << PAGE_SHIFT, t->inode.i_size - offset);
    struct window window;

    /* Not into the window at once: a page that a program has mapped may fault, and that may need the window. */
    for (uint64_t n = 0; n < count; n++)
        tmpfs_read_page(t, index + n, buffer + (n << PAGE_SHIFT));
    if (!window_take(&window, size))
        return -EIO;
    memcpy(window_data(&window), buffer, size);
    int err = write_out(handle, offset, &window, size);
    window_give(&window);
    return err;
}

static int write_range(struct wb_inode *w, uint32_t handle, const struct range *r)
{
    uint64_t end = MIN(r->end, PAGE_UP(w->t->inode.i_size) >> PAGE_SHIFT);

    for (uint64_t index = r->from; index < end;) {
        uint64_t count;
        count_pages(w->t, index, MIN(end - index, WRITE_PAGES), w->punched, &count);
        if (count == 0) {
            index++;
            if (!page_tree_next(&w->t->file.pages, &index))
                break;
            continue;
        }
        int err = write_pages(w, handle, index, count);
        if (err)
            return err;
        index += count;
    }
    return 0;
}

static uint32_t open_handle(struct wb_inode *w, int flags)
{
    uint32_t handle = new_fid();

    /* Making room may have taken the file's own. */
    if (!handle || !fid_of(&w->t->inode)) {
        fid_unused(handle);
        return 0;
    }
    remote_request request = request_new(FILES_OPEN, w->fid);
    request.new_fid = handle;
    request.flags = (uint32_t)flags;
    send(&request, NULL, NULL);
    return handle;
}

/* A handle that stays: its data is read there. */
static int keep_handle(struct wb_inode *w, uint64_t *size)
{
    remote_reply reply;

    if (!fid_of(&w->t->inode))
        return -EIO;
    uint32_t handle = new_fid();
    if (!handle || !fid_of(&w->t->inode)) {
        fid_unused(handle);
        return -ENFILE;
    }
    remote_request request = request_new(FILES_OPEN, w->fid);
    request.new_fid = handle;
    request.flags = O_RDONLY;
    int err = rpc_call(&request, NULL, NULL, &reply);
    if (err) {
        fid_unused(handle);
        return err;
    }
    w->handle = handle;
    *size = reply.attr.size;
    return 0;
}

/* Its pages in memory, which the host has, are given back: they are read there when they are needed. */
static void drop_pages(struct wb_inode *w)
{
    uint64_t size = w->t->inode.i_size;

    if (w->count > 0 || w->error || (!w->handle && keep_handle(w, &size)))
        return;
    /* Somebody changes it on the host: better keep what we have. */
    if (size != w->t->inode.i_size)
        return;
    w->on_host = true;
    tmpfs_drop_pages(w->t);
}

/* Its data and times go to the host. */
static int write_inode(struct wb_inode *w)
{
    struct wb_inode *outer = wb.writing;
    int err = 0;

    wb.writing = w;
    if (!w->fid && !fid_of(&w->t->inode))
        err = -EIO;
    if (!err && w->count > 0) {
        uint32_t handle = open_handle(w, O_WRONLY);
        for (unsigned i = 0; i < w->count && !err; i++)
            err = handle ? write_range(w, handle, &w->ranges[i]) : -EIO;
        if (!err)
            send_attributes(w, FILES_SET_MODE | FILES_SET_ATIME | FILES_SET_MTIME);
        fid_clunk(handle);
    } else if (!err && w->times) {
        send_attributes(w, S_ISDIR(w->t->inode.i_mode) ? FILES_SET_MTIME : FILES_SET_ATIME | FILES_SET_MTIME);
    }
    w->times = false;
    /* What cannot be written now will not be later either: it is in memory, and whoever syncs is told. */
    if (err) {
        w->error = w->error ? w->error : err;
        failed(-err);
    }
    forget_changes(w);
    w->punched = false;
    if (!err && wb.fs->pages > pages_max())
        drop_pages(w);
    if (w->pinned && can_unpin(&w->t->inode))
        w->pinned = false;
    if (w->fid && !w->pinned && !w->handle)
        forget_fid(w);
    wb.writing = outer;
    return err;
}

static void timer_fired(struct timer *timer)
{
    uint64_t before = wb.pages;

    atomic_begin();
    while (!list_empty(&wb.changed) && before - MIN(before, wb.pages) < GO_PAGES)
        write_inode(list_first(&wb.changed, struct wb_inode, changed));
    atomic_end();
    if (!list_empty(&wb.changed))
        timer_arm(timer, clock_monotonic() + GO_ON_NS);
}

int wb_changed(struct tmpfs_inode *t, uint64_t from, uint64_t end)
{
    int err = 0;

    if (!wb_on(&t->inode) || from >= end || is_absent(t))
        return 0;
    atomic_begin();
    if (fid_of(&t->inode)) {
        struct wb_inode *w = t->wb;
        add_range(w, from >> PAGE_SHIFT, PAGE_UP(end) >> PAGE_SHIFT);
        enlist(w);
        if (wb.pages > MIN(CHANGED_MAX, pages_max() / 2)) {
            write_inode(w);
            err = w->error;
        }
    }
    atomic_end();
    return err;
}

int wb_read_pages(struct tmpfs_inode *t, uint64_t index)
{
    struct wb_inode *w = t->wb;
    uint64_t count = 1, end = PAGE_UP(t->inode.i_size) >> PAGE_SHIFT;
    remote_request request;
    remote_reply reply;
    struct window window;

    if (index >= end)
        return 0;
    atomic_begin();
    if (wb.fs->pages > pages_max()) {
        if (w->count > 0)
            write_inode(w);
        if (w->count == 0 && !w->error)
            tmpfs_drop_pages(t);
    }
    while (count < WRITE_PAGES && index + count < end && !page_tree_slot(&t->file.pages, index + count, false))
        count++;
    uint64_t size;
    int err = w->handle ? 0 : keep_handle(w, &size);
    if (!err && !window_take(&window, count << PAGE_SHIFT))
        err = -EIO;
    if (!err) {
        request = request_new(FILES_READ, w->handle);
        request.offset = index << PAGE_SHIFT;
        request.size = count << PAGE_SHIFT;
        request.window = window_offset(&window);
        err = rpc_wait(rpc_start(&request, NULL, NULL), &reply);
        if (!err)
            err = tmpfs_fill_pages(t, index, count, window_data(&window), MIN(reply.value, count << PAGE_SHIFT));
        window_give(&window);
    }
    atomic_end();
    return err;
}

/* ---- to the disk ---- */

static int take_error(struct wb_inode *w)
{
    int err = w && w->error ? w->error : wb.error;

    if (w)
        w->error = 0;
    wb.error = 0;
    return err;
}

static int sync_handle(struct inode *inode, uint32_t op, uint32_t flags)
{
    remote_reply reply;

    atomic_begin();
    uint32_t fid = fid_of(inode);
    uint32_t handle = fid ? open_handle(tmpfs_inode(inode)->wb, S_ISDIR(inode->i_mode) ? O_RDONLY | O_DIRECTORY : O_RDONLY) : 0;
    atomic_end();
    if (!handle)
        return -EIO;
    remote_request request = request_new(op, handle);
    request.flags = flags;
    int err = rpc_call(&request, NULL, NULL, &reply);
    fid_clunk(handle);
    return err;
}

/* A shared mapping changes pages without anybody seeing it. */
static void add_mapped(struct tmpfs_inode *t)
{
    for (uint64_t index = 0; page_tree_next(&t->file.pages, &index); index++)
        if (*page_tree_slot(&t->file.pages, index, false) & PAGE_HOME)
            add_range(t->wb, index, index + 1);
}

int wb_sync(struct tmpfs_inode *t, bool datasync)
{
    struct inode *inode = &t->inode;

    if (!wb_on(inode) || !wb.connected || is_absent(t))
        return 0;
    atomic_begin();
    if (S_ISREG(inode->i_mode) && fid_of(inode)) {
        add_mapped(t);
        write_inode(t->wb);
    }
    atomic_end();
    int err = take_error(t->wb);
    int synced = sync_handle(inode, FILES_FSYNC, datasync ? FILES_DATASYNC : 0);
    return err ? err : synced;
}

static void write_all(void)
{
    atomic_begin();
    while (!list_empty(&wb.changed))
        write_inode(list_first(&wb.changed, struct wb_inode, changed));
    atomic_end();
}

int wb_sync_all(struct super_block *sb)
{
    if (!wb.connected)
        return 0;
    write_all();
    int err = take_error(NULL);
    int synced = sync_handle(sb->s_root->d_inode, FILES_SYNCFS, 0);
    return err ? err : synced;
}

void wb_finish(void)
{
    if (!wb.connected)
        return;
    write_all();
    /* The server ends with this process: the answer to the last request says that all before it are done. */
    const struct wb_inode *root = tmpfs_inode(wb.fs->sb.s_root->d_inode)->wb;
    if (!root || !root->fid)
        return;
    remote_request request = request_new(FILES_GETATTR, root->fid);
    remote_reply reply;
    atomic_begin();
    rpc_call(&request, NULL, NULL, &reply);
    atomic_end();
}

/* ---- the beginning and the end ---- */

void wb_evict(struct tmpfs_inode *t)
{
    struct wb_inode *w = t->wb;

    if (!w)
        return;
    forget_changes(w);
    if (w->fid)
        forget_fid(w);
    kfree(w);
    t->wb = NULL;
}

int wb_served(struct tmpfs_inode *t, uint64_t size)
{
    struct wb_inode *w = get(t);

    if (!w)
        return -ENOMEM;
    t->inode.i_size = size;
    t->inode.i_blocks = (size + 511) / 512;
    w->on_host = true;
    return 0;
}

void wb_begin(struct tmpfs *fs, uint32_t mount)
{
    wb.fs = fs;
    wb.mount = mount;
    list_init(&wb.changed);
    list_init(&wb.known);
    timer_init(&wb.timer, timer_fired);
    fs->lasts = true;
}
