/*
 * Mounts: the root over the image, and what the boot config asks for. All of it
 * is done once, at boot, as a task of root's, before the first process is there.
 */
#include "fs/mount.h"

#include <linux/fcntl.h>
#include <linux/kdev_t.h>
#include <linux/stat.h>

#include "boot/config.h"
#include "boot/host.h"
#include "fs/devices.h"
#include "fs/devpts.h"
#include "fs/erofs.h"
#include "fs/layer.h"
#include "fs/mqueue.h"
#include "fs/options.h"
#include "fs/proc.h"
#include "fs/remote.h"
#include "fs/sysfs.h"
#include "fs/tmpfs.h"
#include "fs/writeback.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"

struct list mounts = {&mounts, &mounts};

static struct {
    struct erofs image;
    struct dentry *root;
    uint32_t next_dev;
} boot;

int super_init(struct super_block *sb, struct inode *root)
{
    struct qstr name = {.name = "/", .len = 1};

    sb->s_dev = 20 + ++boot.next_dev; /* behind anonymous files' */
    sb->s_id = 20 + boot.next_dev;
    list_init(&sb->s_list);
    sb->s_root = d_alloc(NULL, sb, &name, root);
    return sb->s_root ? 0 : -ENOMEM;
}

void mount_on(struct dentry *dentry, struct super_block *sb)
{
    dentry->d_mounted = sb;
    sb->s_mountpoint = dget(dentry);
    d_pin(dentry);
    list_add_tail(&mounts, &sb->s_list);
}

void mount_options(const struct super_block *sb, char *buf, size_t size)
{
    uint32_t flags = sb->s_flags;

    snprintf(buf, size, "%s%s%s%s%s%s", flags & SB_RDONLY ? "ro" : "rw", flags & SB_NOSUID ? ",nosuid" : "",
             flags & SB_NODEV ? ",nodev" : "", flags & SB_NOEXEC ? ",noexec" : "",
             flags & SB_NOATIME ? ",noatime" : ",relatime", sb->s_options);
}

/* Makes the folders of an absolute path, the last name's too if `all`. What is there is left alone. */
static int make_folders(const char *path, bool all)
{
    char *part = kstrdup(path);
    int err = 0;

    if (!part)
        return -ENOMEM;
    for (char *at = part; *at && !err;) {
        while (*at == '/')
            at++;
        char *end = strchr(at, '/');
        if (!end && !all)
            break;
        if (end)
            *end = '\0';
        if (*at) {
            err = vfs_mkdir(AT_FDCWD, part, 0755);
            if (err == -EEXIST)
                err = 0;
        }
        if (!end)
            break;
        *end = '/';
        at = end + 1;
    }
    kfree(part);
    return err;
}

/* The place for a mount; made as runc makes it if it is not there. */
static struct dentry *mountpoint(const char *path, bool folder)
{
    struct dentry *dentry;
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);

    if (err == -ENOENT) {
        err = make_folders(path, folder);
        if (!err && !folder)
            err = vfs_mknod(AT_FDCWD, path, S_IFREG | 0755, 0);
        if (!err)
            err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);
    }
    if (!err && S_ISDIR(dentry->d_inode->i_mode) != folder)
        err = folder ? -ENOTDIR : -EISDIR;
    if (err)
        fatal(126, "mount %s: cannot be put there (error %d): see what the rootfs has in its place", path, -err);
    return dentry;
}

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = options; *at;) {
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
        while (*at && *at != ',')
            at++;
        if (*at == ',')
            at++;
    }
    return false;
}

static struct super_block *make(const char *type, const char *options)
{
    struct tmpfs *fs;

    if (strcmp(type, "proc") == 0)
        return proc_new();
    if (strcmp(type, "sysfs") == 0)
        return sysfs_new();
    if (strcmp(type, "devpts") == 0)
        return devpts_new(options);
    struct super_block *queues = strcmp(type, "mqueue") ? NULL : mqueue_mount();
    if (queues)
        return queues;
    /* Folders that hold nothing at first, under the names that programs look for. */
    if (strcmp(type, "tmpfs") && strcmp(type, "mqueue") && strcmp(type, "cgroup") &&
        strcmp(type, "cgroup2"))
        fatal(126, "mount of type %s is not known to the Linux guest: leave it out of config.json", type);
    fs = tmpfs_new(options);
    if (!fs)
        return NULL;
    if (strcmp(type, "tmpfs")) {
        fs->sb.s_type = fs->sb.s_source = type;
        fs->sb.s_root->d_inode->i_mode = S_IFDIR | (strcmp(type, "mqueue") ? 0755 : 01777);
    }
    return &fs->sb;
}

static struct super_block *open_image(uint32_t number, const char *target)
{
    const struct runnc_boot_info *info = host_boot_info();
    struct erofs *image = kmalloc(sizeof(*image));

    if (number > info->images_count || number > RUNNC_IMAGES_MAX)
        fatal(126, "mount %s: there is no image %u", target, number);
    const struct runnc_image *mapped = &info->images[number - 1];
    int err = image ? erofs_open(image, (const void *)mapped->address, mapped->size) : -ENOMEM;
    struct tmpfs *fs = err ? ERR_PTR(err) : tmpfs_over_image(image);
    if (IS_ERR(fs))
        fatal(126, "mount %s: its image cannot be mounted (error %d)", target, (int)-PTR_ERR(fs));
    fs->sb.s_type = fs->sb.s_source = "erofs";
    return &fs->sb;
}

static struct super_block *open_remote(uint32_t number, const char *target)
{
    struct super_block *sb = remote_mount(number - 1);

    if (IS_ERR(sb))
        fatal(126, "mount %s: the file server does not serve it (error %d)", target, (int)-PTR_ERR(sb));
    return sb;
}

static void mount_new(struct super_block *sb, const char *target, const char *options, bool readonly)
{
    struct dentry *dentry = mountpoint(target, !sb || S_ISDIR(sb->s_root->d_inode->i_mode));

    if (!sb)
        fatal(126, "mount %s: out of memory: raise the container's limit", target);
    if (has_option(options, "nosuid"))
        sb->s_flags |= SB_NOSUID;
    if (has_option(options, "nodev"))
        sb->s_flags |= SB_NODEV;
    if (has_option(options, "noexec"))
        sb->s_flags |= SB_NOEXEC;
    if (has_option(options, "noatime"))
        sb->s_flags |= SB_NOATIME;
    mount_on(dentry, sb);
    dput(dentry);
    if (strcmp(target, "/dev") == 0)
        devices_populate("/dev");
    if (readonly)
        sb->s_flags |= SB_RDONLY_SOON;
}

static void mount_file(const struct runnc_rec_file *file)
{
    const char *path = file->path;
    struct dentry *dentry = mountpoint(path, false);
    struct tmpfs *fs = tmpfs_of_file(path + file->path_len, file->size, file->mode, file->uid, file->gid,
                                     ns_to_timespec(file->mtime_ns));

    if (!fs)
        fatal(126, "mount %s: out of memory: raise the container's limit", path);
    if (file->readonly)
        fs->sb.s_flags |= SB_RDONLY;
    mount_on(dentry, &fs->sb);
    dput(dentry);
}

static void mount_record(const struct runnc_rec_mount *mount)
{
    const char *type = mount->strings, *target = type + strlen(type) + 1, *options = target + strlen(target) + 1;

    struct super_block *sb;

    if (strcmp(target, "/") == 0) {
        /* The first record, if it is there. */
        struct tmpfs *root = container_of(boot.root->d_sb, struct tmpfs, sb);
        const char *kept = option_value(options, "kept");
        root->overlay = kept && strncmp(kept, "overlay", strlen("overlay")) == 0;
        wb_begin(root, mount->image - 1);
        return;
    }
    if (!mount->image)
        sb = make(type, options);
    else if (strcmp(type, "fileserver") == 0)
        sb = open_remote(mount->image, target);
    else
        sb = open_image(mount->image, target);
    mount_new(sb, target, options, mount->readonly);
}

static bool has_mount(const char *target)
{
    const struct runnc_record *record = NULL;

    while ((record = boot_record_next(RUNNC_REC_MOUNT, record))) {
        const char *type = ((const struct runnc_rec_mount *)record->data)->strings;
        if (strcmp(type + strlen(type) + 1, target) == 0)
            return true;
    }
    return false;
}

static void mount_all(void *arg)
{
    const struct runnc_record *record = NULL;

    (void)arg;
    layer_apply();
    if (!has_mount("/dev"))
        mount_new(make("tmpfs", "mode=755"), "/dev", "nosuid", false);
    while ((record = boot_record_next(RUNNC_REC_ANY, record))) {
        if (record->type == RUNNC_REC_MOUNT)
            mount_record((const void *)record->data);
        if (record->type == RUNNC_REC_FILE)
            mount_file((const void *)record->data);
    }
    /* Only now: places for mounts that lie in others may have had to be made there. */
    struct super_block *sb;
    list_for_each(sb, &mounts, s_list) {
        if (sb->s_flags & SB_RDONLY_SOON)
            sb->s_flags ^= SB_RDONLY_SOON | SB_RDONLY;
    }
    /* As runc; what cannot be made is what chdir then finds missing. */
    make_folders(boot_config.cwd, true);
}

static void mount_root(void)
{
    const struct runnc_boot_info *info = host_boot_info();
    struct tmpfs *fs;

    if (info->rootfs_size > 0) {
        int err = erofs_open(&boot.image, (const void *)info->rootfs, info->rootfs_size);
        if (err == -EOPNOTSUPP)
            fatal(126, "rootfs image: uses EROFS features that are not supported (compression, extra devices)");
        if (err)
            fatal(126, "rootfs image: damaged or no EROFS image (error %d): remove it from the cache", -err);
        fs = tmpfs_over_image(&boot.image);
    } else {
        fs = tmpfs_new("mode=755");
    }
    if (!fs || IS_ERR(fs))
        fatal(126, "rootfs image: cannot be mounted: out of memory or damaged");
    list_add_tail(&mounts, &fs->sb.s_list);
    boot.root = fs->sb.s_root;
}

/* Does something as root, in the root, whoever is running or not yet running. */
static void as_root(void (*function)(void *), void *arg)
{
    static struct cred root = {.refs = 1, .cap_effective = ~0ull, .cap_permitted = ~0ull};
    struct fs fs = {.count = 1, .root = boot.root, .pwd = boot.root};
    struct process process = {.fs = &fs};
    struct task task = {.process = &process, .cred = &root};
    struct task *before = current;

    for (unsigned i = 0; i < RLIM_NLIMITS; i++)
        process.rlimits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    current = &task;
    function(arg);
    current = before;
}

struct lookup {
    const char *path;
    struct dentry **found;
    int err;
};

static void lookup_as_root(void *arg)
{
    struct lookup *lookup = arg;

    lookup->err = path_lookup(AT_FDCWD, lookup->path, LOOKUP_FOLLOW, lookup->found);
}

int vfs_boot_lookup(const char *path, struct dentry **found)
{
    struct lookup lookup = {.path = path, .found = found};

    as_root(lookup_as_root, &lookup);
    return lookup.err;
}

void vfs_init(void)
{
    mount_root();
    as_root(mount_all, NULL);
    if (boot_config.flags & RUNNC_BOOT_ROOT_READONLY)
        boot.root->d_sb->s_flags |= SB_RDONLY;
}

/* ---- the processes' roots: task/fork_hooks.h ---- */

struct fs *fs_new(void)
{
    struct fs *fs = kzalloc(sizeof(*fs));

    if (!fs)
        return NULL;
    *fs = (struct fs){.count = 1, .umask = 022, .root = dget(boot.root), .pwd = dget(boot.root)};
    if (boot_config.creds)
        fs->umask = boot_config.creds->umask & 0777;
    return fs;
}

struct fs *fs_get(struct fs *fs)
{
    fs->count++;
    return fs;
}

struct fs *fs_copy(struct fs *old)
{
    struct fs *fs = kzalloc(sizeof(*fs));

    if (!fs)
        return NULL;
    *fs = (struct fs){
        .count = 1, .umask = old->umask, .root = dget(old->root), .pwd = dget(old->pwd)};
    return fs;
}

void fs_put(struct fs *fs)
{
    if (!fs || --fs->count > 0)
        return;
    dput(fs->root);
    dput(fs->pwd);
    kfree(fs);
}

int fs_chdir(struct fs *fs, const char *path)
{
    struct dentry *dentry;
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);

    if (!err)
        err = inode_permission(dentry->d_inode, current->cred, MAY_EXEC);
    if (err)
        return err;
    dput(fs->pwd);
    fs->pwd = dentry;
    return 0;
}
