/* From a request to a running program: as the new process itself, which may sleep on the way. */
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "boot/credentials.h"
#include "console/pty.h"
#include "control/session.h"
#include "entry/entry.h"
#include "fs/pipe.h"
#include "lib/error.h"
#include "lib/print.h"
#include "lib/string.h"
#include "loader/exec.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "task/fork_hooks.h"
#include "task/task_impl.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *text_of(const struct runnc_record *record)
{
    return (const char *)record->data;
}

/* ---- standard descriptors ---- */

static int install(struct file *file)
{
    int fd = fd_install(file, 0, false);

    if (fd < 0) file_put(file);
    return fd < 0 ? fd : 0;
}

static int give_pipe(struct session *s, unsigned n)
{
    struct file *reader, *writer;
    int err = pipe_new(0, &reader, &writer);

    if (err) return err;
    stream_open(&s->streams[n], n == RUNNC_CONTROL_INPUT ? writer : reader);
    return install(n == RUNNC_CONTROL_INPUT ? reader : writer);
}

static int give_null(unsigned n)
{
    struct file *file;
    int err = vfs_open(AT_FDCWD, "/dev/null", n == RUNNC_CONTROL_INPUT ? O_RDONLY : O_WRONLY, 0, 0, &file);

    return err ? err : install(file);
}

static int give_terminal(struct session *s)
{
    const struct runnc_rec_tty *tty = s->request.tty;
    struct winsize size = {tty->rows, tty->cols, tty->xpixel, tty->ypixel};
    struct file *master, *slave;
    int err = pty_pair(&size, &master, &slave);

    if (err) return err;
    s->terminal = true;
    stream_open(&s->streams[RUNNC_CONTROL_INPUT], file_get(master));
    stream_open(&s->streams[RUNNC_CONTROL_OUTPUT], master);
    for (unsigned n = 0; n < RUNNC_CONTROL_STREAMS && !err; n++) err = install(file_get(slave));
    file_put(slave);
    return err;
}

static int give_streams(struct session *s)
{
    if (s->request.tty) return give_terminal(s);
    for (unsigned n = 0; n < RUNNC_CONTROL_STREAMS; n++) {
        bool null = s->request.flags & RUNNC_CONTROL_NULL_STREAM(n);
        /* An image may have no /dev/null, or another file there. */
        if (null && !give_null(n)) continue;
        int err = give_pipe(s, n);
        if (err) return err;
    }
    return 0;
}

/* ---- the program ---- */

static const char *search_path(const struct request *request)
{
    const char *path = DEFAULT_PATH;

    for (const struct runnc_record *r = NULL; (r = request_next(request, RUNNC_REC_ENV, r));)
        if (!strncmp(text_of(r), "PATH=", 5)) path = text_of(r) + 5;
    return path;
}

/* 0, or why the program at path cannot be executed. */
static long check_program(const char *path)
{
    struct file *file = vfs_open_exec(path);

    if (IS_ERR(file)) return PTR_ERR(file);
    file_put(file);
    return 0;
}

/* As execvp(3): one that may not be executed is remembered, the search goes on. */
static long find_program(const char *name, const char *folders, char *path)
{
    long result = -ENOENT;

    for (const char *at = folders;; at++) {
        const char *colon = strchr(at, ':');
        size_t n = colon ? (size_t)(colon - at) : strlen(at);
        int length = snprintf(path, PATH_MAX, "%.*s%s%s", (int)n, at, n ? "/" : "", name);
        if (length < PATH_MAX) {
            long err = check_program(path);
            if (!err) return 0;
            if (err == -EACCES) result = err;
        }
        at += n;
        if (!*at) return result;
    }
}

static int copy_strings(const struct request *request, struct exec_strings *strings)
{
    int err = 0;

    for (const struct runnc_record *r = NULL; !err && (r = request_next(request, RUNNC_REC_ARG, r)); strings->argc++)
        err = exec_strings_add(strings, text_of(r));
    for (const struct runnc_record *r = NULL; !err && (r = request_next(request, RUNNC_REC_ENV, r)); strings->envc++)
        err = exec_strings_add(strings, text_of(r));
    return err;
}

static long execute(struct session *s, const char *path)
{
    struct exec_strings strings = {0};
    int err = copy_strings(&s->request, &strings);

    if (err) exec_strings_free(&strings);
    return err ? err : exec_program(path, &strings);
}

static long run(struct session *s, int *stage)
{
    const char *name = text_of(request_next(&s->request, RUNNC_REC_ARG, NULL));

    *stage = RUNNC_CONTROL_STAGE_EXEC;
    if (strchr(name, '/')) return execute(s, name);
    char *path = kmalloc(PATH_MAX);
    if (!path) return -ENOMEM;
    long err = *name ? find_program(name, search_path(&s->request), path) : -ENOENT;
    if (err) *stage = RUNNC_CONTROL_STAGE_PATH;
    if (!err) err = execute(s, path);
    kfree(path);
    return err;
}

static void set_limits(const struct session *s)
{
    for (const struct runnc_record *r = NULL; (r = request_next(&s->request, RUNNC_REC_RLIMIT, r));) {
        const struct runnc_rec_rlimit *limit = (const struct runnc_rec_rlimit *)r->data;
        if (limit->resource < RLIM_NLIMITS)
            current->process->rlimits[limit->resource] = (struct rlimit64){limit->soft, limit->hard};
    }
}

static void session_start(struct outside *outside)
{
    struct session *s = container_of(outside, struct session, outside);
    int stage = RUNNC_CONTROL_STAGE_SETUP;

    current->process->fs->umask = s->request.creds->umask & 0777;
    long err = give_streams(s);
    if (!err) {
        stage = RUNNC_CONTROL_STAGE_CWD;
        err = fs_chdir(current->process->fs, s->request.cwd);
    }
    /* Only now: with no room for descriptors, say, it is the program that must do without. */
    set_limits(s);
    if (!err) err = run(s, &stage);
    /* Hung up meanwhile, it has nobody to report to. */
    if (err && s->id) {
        s->failed_due = true;
        s->stage = stage;
        s->error = (int)err;
    }
    s->started_due = !err && s->id;
    request_free(&s->request);
    pending_work |= WORK_CONTROL;
    if (err) task_exit(0);
}

static void session_ended(struct outside *outside, int status)
{
    struct session *s = container_of(outside, struct session, outside);

    process_put(s->process);
    s->process = NULL;
    s->status = status;
    s->exit_due = s->id && !s->failed_due;
    pending_work |= WORK_CONTROL;
}

int session_launch(struct session *s)
{
    struct cred *cred = cred_of_record(s->request.creds, s->request.flags & RUNNC_BOOT_NO_NEW_PRIVS);

    if (!cred) return -ENOMEM;
    s->outside = (struct outside){.start = session_start, .ended = session_ended};
    int err = outside_start(&s->outside, cred, &s->process);
    if (err) {
        cred_put(cred);
        return err;
    }
    process_get(s->process);
    s->pid = s->process->pid;
    return 0;
}
