#include "fs/devpts.h"

#include <linux/magic.h>
#include <linux/stat.h>

#include "boot/config.h"
#include "console/pty.h"
#include "fs/options.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

#define PTMX_INO 2u
#define FIRST_INO 3u /* of slave 0, as on Linux */

/* A name in the folder, and its inode, which lives as long as the name or a file needs it. */
struct node {
    struct inode inode;
    struct list link;
    uint32_t index;
};

static struct devpts {
    struct super_block sb;
    struct list nodes; /* slaves by index */
    struct inode root;
    struct node ptmx;
    uint32_t mode, gid; /* of new slaves; gid UINT32_MAX: the opener's */
} devpts;

static const struct inode_operations node_operations, dir_inode_operations;
static const struct file_operations dir_operations;

static struct node *node_of(struct inode *inode)
{
    return container_of(inode, struct node, inode);
}

static void node_init(struct node *node, uint32_t mode, uint64_t number, uint64_t ino)
{
    inode_init(&node->inode, &devpts.sb, S_IFCHR | mode);
    node->inode.i_op = &node_operations;
    node->inode.i_fop = ino == PTMX_INO ? &ptmx_operations : &pts_operations;
    node->inode.i_rdev = number;
    node->inode.i_ino = ino;
}

static struct node *find(uint32_t index)
{
    struct node *node;

    list_for_each(node, &devpts.nodes, link) {
        if (node->index == index)
            return node;
    }
    return NULL;
}

static int add(uint32_t index, uint32_t uid, uint32_t gid)
{
    struct node *node = kzalloc(sizeof(*node)), *next;

    if (!node)
        return -ENOMEM;
    node_init(node, devpts.mode, (uint64_t)PTS_MAJOR << 8 | (index & 0xff) | (uint64_t)(index & 0xfff00) << 12,
              FIRST_INO + index);
    node->index = index;
    node->inode.i_uid = uid;
    node->inode.i_gid = devpts.gid == UINT32_MAX ? gid : devpts.gid;
    list_for_each(next, &devpts.nodes, link) {
        if (next->index > index)
            break;
    }
    list_insert(&node->link, next->link.prev, &next->link);
    return 0;
}

int devpts_add(uint32_t index)
{
    if (!devpts.sb.s_root)
        return -ENODEV;
    return add(index, current->cred->fsuid, current->cred->fsgid);
}

void devpts_remove(uint32_t index)
{
    struct node *node = find(index);

    if (!node)
        return;
    list_del(&node->link);
    node->inode.i_nlink = 0;
    iput(&node->inode);
}

int devpts_open(uint32_t index, int flags, struct file **opened)
{
    char name[12];
    struct qstr qstr = {.name = name};
    struct dentry *dentry;

    if (!devpts.sb.s_root)
        return -EIO;
    qstr.len = (uint32_t)snprintf(name, sizeof(name), "%u", index);
    int err = d_lookup(devpts.sb.s_root, &qstr, &dentry);
    if (err)
        return -EIO;
    err = dentry_open(dentry, flags, opened);
    dput(dentry);
    return err;
}

/* ---- the file system ---- */

static int parse_index(const struct qstr *name, uint32_t *index)
{
    *index = 0;
    if (name->len == 0 || name->len > 7 || (name->len > 1 && name->name[0] == '0'))
        return -ENOENT;
    for (uint32_t i = 0; i < name->len; i++) {
        if (name->name[i] < '0' || name->name[i] > '9')
            return -ENOENT;
        *index = *index * 10 + (uint32_t)(name->name[i] - '0');
    }
    return 0;
}

static int devpts_lookup(struct inode *dir, const struct qstr *name, struct inode **found)
{
    uint32_t index;

    (void)dir;
    if (name->len == 4 && memcmp(name->name, "ptmx", 4) == 0) {
        *found = iget(&devpts.ptmx.inode);
        return 0;
    }
    int err = parse_index(name, &index);
    struct node *node = err ? NULL : find(index);
    if (!node)
        return -ENOENT;
    *found = iget(&node->inode);
    return 0;
}

/* Nothing is made here but by opening ptmx; the errors are Linux's. */
static int devpts_mknod(struct inode *dir, const struct qstr *name, uint32_t mode, uint64_t rdev, struct inode **made)
{
    (void)dir;
    (void)name;
    (void)rdev;
    (void)made;
    return S_ISREG(mode) ? -EACCES : -EPERM;
}

static int devpts_setattr(struct inode *inode, const struct iattr *attr)
{
    inode_apply(inode, attr);
    return 0;
}

static void node_evict(struct inode *inode)
{
    if (inode != &devpts.ptmx.inode)
        kfree(node_of(inode));
}

static int devpts_readdir(struct file *file, struct dir_context *ctx)
{
    const struct node *node;
    char name[12];

    if (!dir_emit_dots(file, ctx))
        return 0;
    if (ctx->pos == 2) {
        if (!ctx->actor(ctx, "ptmx", 4, 3, PTMX_INO, S_IFCHR >> 12))
            return 0;
        ctx->pos = 3;
    }
    /* The position behind slave N is N + 4: it stays right as others come and go. */
    list_for_each(node, &devpts.nodes, link) {
        if (node->index + 3ull < ctx->pos)
            continue;
        uint32_t len = (uint32_t)snprintf(name, sizeof(name), "%u", node->index);
        if (!ctx->actor(ctx, name, len, node->index + 4ull, node->inode.i_ino, S_IFCHR >> 12))
            return 0;
        ctx->pos = node->index + 4ull;
    }
    return 0;
}

static const struct inode_operations node_operations = {.setattr = devpts_setattr, .evict = node_evict};
static const struct inode_operations dir_inode_operations = {
    .lookup = devpts_lookup, .mknod = devpts_mknod, .setattr = devpts_setattr};
static const struct file_operations dir_operations = {.readdir = devpts_readdir, .llseek = dir_llseek};

struct super_block *devpts_new(const char *options)
{
    struct inode *root = &devpts.root;
    uint64_t value;

    if (devpts.sb.s_root)
        fatal(126, "mount of type devpts: there is one instance: mount it once in config.json");
    devpts.sb = (struct super_block){
        .s_magic = DEVPTS_SUPER_MAGIC, .s_type = "devpts", .s_source = "devpts", .s_options = "", .s_flags = SB_NOCACHE};
    list_init(&devpts.nodes);
    devpts.mode = option_number(options, "mode", 8, &value) ? (uint32_t)value & 07777 : 0600;
    devpts.gid = option_number(options, "gid", 10, &value) ? (uint32_t)value : UINT32_MAX;
    inode_init(root, &devpts.sb, S_IFDIR | 0755);
    root->i_op = &dir_inode_operations;
    root->i_fop = &dir_operations;
    root->i_ino = 1;
    root->i_nlink = 2;
    node_init(&devpts.ptmx, option_number(options, "ptmxmode", 8, &value) ? (uint32_t)value & 07777 : 0, PTMX_NUMBER, PTMX_INO);
    if (super_init(&devpts.sb, root))
        return NULL;
    /* The container's own terminal. */
    return boot_config.tty && add(0, 0, 0) ? NULL : &devpts.sb;
}
