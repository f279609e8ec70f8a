/* Descriptor tables: which open file a number stands for. */
#include <linux/fcntl.h>

#include "console/console.h"
#include "fs/fdtable.h"
#include "fs/locks.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define FIRST_SIZE 64u
#define SIZE_MAX_FDS (1u << 20) /* Linux's fs.nr_open: the hard limit cannot be raised beyond it */

struct fd {
    struct file *file; /* NULL: free */
    bool cloexec;
};

struct files {
    uint32_t count;
    uint32_t size;
    uint32_t lowest_free; /* none is free below */
    struct fd *fd;
};

static struct files *files_alloc(uint32_t size)
{
    struct files *files = kzalloc(sizeof(*files));

    if (!files)
        return NULL;
    files->fd = kzalloc(size * sizeof(files->fd[0]));
    if (!files->fd) {
        kfree(files);
        return NULL;
    }
    files->count = 1;
    files->size = size;
    return files;
}

struct files *files_new(void)
{
    struct files *files = files_alloc(FIRST_SIZE);

    if (!files)
        return NULL;
    for (int n = 0; n < 3; n++) {
        if (console_open_stdio(n, &files->fd[n].file)) {
            files_put(files);
            return NULL;
        }
    }
    files->lowest_free = 3;
    return files;
}

struct files *files_empty(void)
{
    return files_alloc(FIRST_SIZE);
}

struct files *files_get(struct files *files)
{
    files->count++;
    return files;
}

struct files *files_copy(struct files *old)
{
    struct files *files = files_alloc(old->size);

    if (!files)
        return NULL;
    memcpy(files->fd, old->fd, old->size * sizeof(files->fd[0]));
    files->lowest_free = old->lowest_free;
    for (uint32_t n = 0; n < files->size; n++) {
        if (files->fd[n].file)
            file_get(files->fd[n].file);
    }
    return files;
}

/* The file that descriptor n gives up; the table is in order before anything else happens. */
static void close_file(struct files *files, uint32_t n)
{
    struct file *file = files->fd[n].file;

    files->fd[n] = (struct fd){0};
    files->lowest_free = MIN(files->lowest_free, n);
    locks_release_process(file, files);
    file_put(file);
}

void files_put(struct files *files)
{
    if (!files || --files->count > 0)
        return;
    for (uint32_t n = 0; n < files->size; n++) {
        if (files->fd[n].file)
            close_file(files, n);
    }
    kfree(files->fd);
    kfree(files);
}

void files_close_on_exec(struct files *files)
{
    for (uint32_t n = 0; n < files->size; n++) {
        if (files->fd[n].file && files->fd[n].cloexec)
            close_file(files, n);
    }
}

static struct file *lookup(const struct files *files, int fd)
{
    return fd >= 0 && (uint32_t)fd < files->size ? files->fd[fd].file : NULL;
}

struct file *fget_raw(int fd)
{
    struct file *file = lookup(current->process->files, fd);

    return file ? file_get(file) : NULL;
}

struct file *fget(int fd)
{
    struct file *file = lookup(current->process->files, fd);

    return file && !(file->f_flags & O_PATH) ? file_get(file) : NULL;
}

int fget_check(int fd, int err)
{
    const struct file *file = lookup(current->process->files, fd);

    return file && !(file->f_flags & O_PATH) ? err : -EBADF;
}

struct file *file_from_fd(int fd)
{
    return fget(fd);
}

struct file *files_lookup(const struct files *files, int fd)
{
    struct file *file = lookup(files, fd);

    return file ? file_get(file) : NULL;
}

int files_next(const struct files *files, int from)
{
    for (uint32_t n = from < 0 ? 0 : (uint32_t)from; n < files->size; n++) {
        if (files->fd[n].file)
            return (int)n;
    }
    return -1;
}

bool files_cloexec(const struct files *files, int fd)
{
    return lookup(files, fd) && files->fd[fd].cloexec;
}

static int grow(struct files *files, uint32_t need)
{
    uint32_t size = files->size;

    while (size < need)
        size *= 2;
    if (size == files->size)
        return 0;
    struct fd *fd = krealloc(files->fd, size * sizeof(*fd));
    if (!fd)
        return -ENOMEM;
    memset(fd + files->size, 0, (size - files->size) * sizeof(*fd));
    files->fd = fd;
    files->size = size;
    return 0;
}

static uint32_t fd_limit(void)
{
    return (uint32_t)MIN(task_rlimit(RLIMIT_NOFILE), SIZE_MAX_FDS);
}

/* The lowest free one at or after `from`; it may be beyond the table. */
static uint32_t lowest_free(const struct files *files, uint32_t from)
{
    uint32_t n = MAX(from, files->lowest_free);

    while (n < files->size && files->fd[n].file)
        n++;
    return n;
}

int fd_check_room(void)
{
    return lowest_free(current->process->files, 0) < fd_limit() ? 0 : -EMFILE;
}

int fd_install(struct file *file, int from, bool cloexec)
{
    struct files *files = current->process->files;
    uint32_t limit = fd_limit();

    if (from < 0 || (uint32_t)from >= limit)
        return from == 0 ? -EMFILE : -EINVAL;
    uint32_t n = lowest_free(files, (uint32_t)from);
    if (n >= limit)
        return -EMFILE;
    int err = grow(files, n + 1);
    if (err)
        return err;
    files->fd[n] = (struct fd){.file = file, .cloexec = cloexec};
    if ((uint32_t)from <= files->lowest_free)
        files->lowest_free = n + 1;
    return (int)n;
}

int fd_replace(struct file *file, int fd, bool cloexec)
{
    struct files *files = current->process->files;

    if (fd < 0 || (uint32_t)fd >= fd_limit())
        return -EBADF;
    int err = grow(files, (uint32_t)fd + 1);
    if (err)
        return err;
    struct file *old = files->fd[fd].file;
    files->fd[fd] = (struct fd){.file = file, .cloexec = cloexec};
    if (old) {
        if (old->f_op->flush)
            old->f_op->flush(old);
        locks_release_process(old, files);
        file_put(old);
    }
    return fd;
}

int fd_close(int fd)
{
    struct files *files = current->process->files;
    struct file *file = lookup(files, fd);

    if (!file)
        return -EBADF;
    if (file->f_op->flush)
        file->f_op->flush(file);
    close_file(files, (uint32_t)fd);
    return 0;
}

void fd_close_range(uint32_t first, uint32_t last, bool mark_only)
{
    struct files *files = current->process->files;

    for (uint32_t n = first; n < files->size && n <= last; n++) {
        if (!files->fd[n].file)
            continue;
        if (mark_only)
            files->fd[n].cloexec = true;
        else
            close_file(files, n);
    }
}

int fd_set_cloexec(int fd, bool cloexec)
{
    struct files *files = current->process->files;

    if (!lookup(files, fd))
        return -EBADF;
    files->fd[fd].cloexec = cloexec;
    return 0;
}
