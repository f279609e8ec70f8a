/* Memory devices, and the nodes in /dev. */
#include "fs/devices.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "boot/config.h"
#include "console/console.h"
#include "console/pty.h"
#include "lib/print.h"
#include "lib/random.h"
#include "mm/file_map.h"
#include "task/signal.h"

/* As user space encodes dev_t (small numbers). */
#define DEV(major, minor) ((uint64_t)(major) << 8 | (minor))

static int64_t null_read(struct kiocb *kiocb, struct iov_iter *to)
{
    (void)kiocb;
    (void)to;
    return 0;
}

static int64_t null_write(struct kiocb *kiocb, struct iov_iter *from)
{
    size_t len = from->count;

    (void)kiocb;
    iov_iter_advance(from, len);
    return (int64_t)len;
}

static int64_t zero_read(struct kiocb *kiocb, struct iov_iter *to)
{
    (void)kiocb;
    return zero_iter(to, to->count);
}

static int64_t full_write(struct kiocb *kiocb, struct iov_iter *from)
{
    (void)kiocb;
    (void)from;
    return -ENOSPC;
}

static int64_t random_read(struct kiocb *kiocb, struct iov_iter *to)
{
    uint8_t buf[256];
    int64_t done = 0;

    (void)kiocb;
    while (to->count > 0) {
        size_t len = MIN(to->count, sizeof(buf));
        random_bytes(buf, len);
        ssize_t copied = copy_to_iter(to, buf, len);
        if (copied <= 0)
            return done ? done : copied;
        done += copied;
        if ((done & 0xffff) == 0 && signal_pending())
            break;
    }
    return done;
}

static int64_t null_llseek(struct file *file, int64_t offset, int whence)
{
    (void)offset;
    (void)whence;
    return (int64_t)(file->f_pos = 0);
}

static const struct file_operations null_operations = {
    .read = null_read, .write = null_write, .llseek = null_llseek};
static const struct file_operations zero_operations = {
    .read = zero_read, .write = null_write, .llseek = null_llseek, .mappable = true};
static const struct file_operations full_operations = {
    .read = zero_read, .write = full_write, .llseek = null_llseek};
static const struct file_operations random_operations = {
    .read = random_read, .write = null_write, .llseek = null_llseek};

bool file_is_zeros(struct file *file)
{
    return file->f_op == &zero_operations;
}

static const struct device {
    const char *name; /* in /dev; NULL: no node there */
    uint64_t number;
    uint32_t mode;
    const struct file_operations *operations;
    bool terminal; /* node only in a container with a terminal */
} devices[] = {
    {"null", DEV(1, 3), 0666, &null_operations, false},
    {"zero", DEV(1, 5), 0666, &zero_operations, false},
    {"full", DEV(1, 7), 0666, &full_operations, false},
    {"random", DEV(1, 8), 0666, &random_operations, false},
    {"urandom", DEV(1, 9), 0666, &random_operations, false},
    {"tty", DEV(5, 0), 0666, &dev_tty_operations, false},
    {"console", DEV(5, 1), 0620, &console_operations, true},
    {NULL, PTMX_NUMBER, 0, &ptmx_operations, false}, /* in devpts */
};

const struct file_operations *chrdev_operations(uint64_t rdev)
{
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (devices[i].number == rdev)
            return devices[i].operations;
    }
    if ((rdev >> 8 & 0xfff) == PTS_MAJOR)
        return &pts_operations;
    return NULL;
}

static void make_node(const char *folder, const char *name, uint32_t mode, uint64_t number)
{
    char path[256];

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return;
    int err = vfs_mknod(AT_FDCWD, path, S_IFCHR | mode, number);
    if (err && err != -EEXIST)
        fatal(126, "%s: the device cannot be made (error %d)", path, -err);
}

void devices_populate(const char *folder)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"},         {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"},   {"pts/ptmx", "ptmx"},
    };
    char path[64];

    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (devices[i].name && (!devices[i].terminal || boot_config.tty))
            make_node(folder, devices[i].name, devices[i].mode, devices[i].number);
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, links[i][1]);
        vfs_symlink(links[i][0], AT_FDCWD, path);
    }
    snprintf(path, sizeof(path), "%s/shm", folder);
    vfs_mkdir(AT_FDCWD, path, 01777);
}
