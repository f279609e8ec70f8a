#include "fs/pseudo.h"

#include <linux/fs.h>
#include <linux/stat.h>

#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"

struct pseudo_sb {
    struct super_block sb;
    pseudo_owner *owner;
};

struct pseudo_inode {
    struct inode inode;
    const struct pseudo_entry *entry;
    uint64_t arg;
};

static const struct inode_operations pseudo_inode_operations, pseudo_magic_operations;
static const struct file_operations pseudo_file_operations, pseudo_dir_operations;

static struct pseudo_inode *of(struct inode *inode)
{
    return container_of(inode, struct pseudo_inode, inode);
}

const struct pseudo_entry *pseudo_entry_of(const struct file *file, uint64_t *arg)
{
    if (file->f_op != &pseudo_file_operations && file->f_op != &pseudo_dir_operations)
        return NULL;
    *arg = of(file->f_inode)->arg;
    return of(file->f_inode)->entry;
}

/* Stable and different for different entries and arguments, which is all that is asked of it. */
static uint64_t inode_number(const struct pseudo_entry *entry, uint64_t arg)
{
    uint64_t hash = ((uintptr_t)entry ^ arg * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return (hash >> 24) | 1;
}

static struct inode *new_inode(struct super_block *sb, const struct pseudo_entry *entry, uint64_t arg)
{
    const struct pseudo_sb *pseudo = container_of(sb, struct pseudo_sb, sb);
    struct pseudo_inode *p = kzalloc(sizeof(*p));

    if (!p)
        return NULL;
    inode_init(&p->inode, sb, entry->mode);
    p->inode.i_op = entry->follow ? &pseudo_magic_operations : &pseudo_inode_operations;
    p->inode.i_fop = S_ISDIR(entry->mode) ? &pseudo_dir_operations : &pseudo_file_operations;
    p->inode.i_ino = inode_number(entry, arg);
    if (S_ISDIR(entry->mode))
        p->inode.i_nlink = 2;
    p->entry = entry;
    p->arg = arg;
    if (pseudo->owner)
        pseudo->owner(arg, &p->inode.i_uid, &p->inode.i_gid);
    return &p->inode;
}

static int pseudo_lookup(struct inode *dir, const struct qstr *name, struct inode **found)
{
    const struct pseudo_inode *p = of(dir);
    const struct pseudo_entry *entry = p->entry->children;
    uint64_t arg = p->arg;

    while (entry && entry->name && (strlen(entry->name) != name->len || memcmp(entry->name, name->name, name->len)))
        entry++;
    if (!entry || !entry->name) {
        int err = p->entry->names ? p->entry->names->lookup(p->arg, name, &entry, &arg) : -ENOENT;
        if (err)
            return err;
    }
    *found = new_inode(dir->i_sb, entry, arg);
    return *found ? 0 : -ENOMEM;
}

static int pseudo_readlink(struct inode *inode, char *buf, size_t size)
{
    const struct pseudo_entry *entry = of(inode)->entry;

    if (entry->readlink)
        return entry->readlink(buf, size, of(inode)->arg);
    if (entry->follow) {
        struct dentry *target;
        int err = entry->follow(of(inode)->arg, &target);
        if (err)
            return err;
        char *path = kmalloc(PATH_MAX);
        const char *text = path ? d_path(target, current->process->fs->root, path, PATH_MAX) : NULL;
        err = path ? text ? (int)MIN(strlen(text), size) : -ENAMETOOLONG : -ENOMEM;
        if (err > 0)
            memcpy(buf, text, (size_t)err);
        kfree(path);
        dput(target);
        return err;
    }
    size_t len = MIN(strlen(entry->text), size);
    memcpy(buf, entry->text, len);
    return (int)len;
}

static int pseudo_follow(struct inode *inode, struct dentry **target)
{
    return of(inode)->entry->follow(of(inode)->arg, target);
}

static void pseudo_evict(struct inode *inode)
{
    kfree(of(inode));
}

/* O_TRUNC and the times of utimensat do no harm. */
static int pseudo_setattr(struct inode *inode, const struct iattr *attr)
{
    (void)inode;
    return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

static const struct inode_operations pseudo_inode_operations = {
    .lookup = pseudo_lookup,
    .readlink = pseudo_readlink,
    .setattr = pseudo_setattr,
    .evict = pseudo_evict,
};
static const struct inode_operations pseudo_magic_operations = {
    .readlink = pseudo_readlink,
    .follow = pseudo_follow,
    .setattr = pseudo_setattr,
    .evict = pseudo_evict,
};

/* ---- files ---- */

static int fill(const struct pseudo_inode *p, struct seq_file *seq)
{
    int err = 0;

    seq->len = 0;
    if (p->entry->show)
        err = p->entry->show(seq, p->arg);
    else if (p->entry->show_entry)
        err = p->entry->show_entry(seq, p->entry);
    else if (p->entry->text)
        seq_puts(seq, p->entry->text);
    if (!err && seq->failed)
        err = -ENOMEM;
    return err;
}

static int64_t pseudo_read(struct kiocb *kiocb, struct iov_iter *to)
{
    struct pseudo_inode *p = of(kiocb->file->f_inode);
    struct seq_file *seq = kiocb->file->f_private;

    if (!seq) {
        seq = kiocb->file->f_private = kzalloc(sizeof(*seq));
        if (!seq)
            return -ENOMEM;
    }
    if (kiocb->pos == 0 || !seq->made) {
        int err = fill(p, seq);
        if (err)
            return err;
        seq->made = true;
    }
    if (kiocb->pos >= seq->len)
        return 0;
    ssize_t done = copy_to_iter(to, seq->buf + kiocb->pos, MIN(to->count, seq->len - kiocb->pos));
    if (done > 0)
        kiocb->pos += (uint64_t)done;
    return done;
}

static int64_t pseudo_write(struct kiocb *kiocb, struct iov_iter *from)
{
    const struct pseudo_inode *p = of(kiocb->file->f_inode);
    char text[256];

    if (!p->entry->store)
        return -EIO;
    if (from->count >= sizeof(text))
        return -EINVAL;
    ssize_t len = copy_from_iter(from, text, from->count);
    if (len < 0)
        return len;
    text[len] = '\0';
    int err = p->entry->store(text, (size_t)len, p->arg);
    return err ? err : len;
}

static void pseudo_release(struct file *file)
{
    if (file->f_private) {
        seq_free(file->f_private);
        kfree(file->f_private);
    }
}

static const struct file_operations pseudo_file_operations = {
    .read = pseudo_read,
    .write = pseudo_write,
    .llseek = generic_llseek,
    .release = pseudo_release,
};

/* ---- folders ---- */

#define POS_NAMES (1ull << 32)

static int pseudo_readdir(struct file *file, struct dir_context *ctx)
{
    const struct pseudo_inode *p = of(file->f_inode);
    const struct pseudo_entry *children = p->entry->children;

    if (!dir_emit_dots(file, ctx))
        return 0;
    if (ctx->pos < POS_NAMES) {
        for (uint64_t n = 0; children && children[n].name; n++) {
            const struct pseudo_entry *e = &children[n];
            if (n < ctx->pos - 2)
                continue;
            if (!ctx->actor(ctx, e->name, (uint32_t)strlen(e->name), n + 3, inode_number(e, p->arg), e->mode >> 12 & 15))
                return 0;
            ctx->pos = n + 3;
        }
        ctx->pos = POS_NAMES;
    }
    if (!p->entry->names)
        return 0;
    char name[32];
    uint64_t cursor = ctx->pos - POS_NAMES, child = 0;
    const struct pseudo_entry *entry;
    while (p->entry->names->next(p->arg, &cursor, name, sizeof(name), &child, &entry)) {
        if (!ctx->actor(ctx, name, (uint32_t)strlen(name), POS_NAMES + cursor, inode_number(entry, child),
                        entry->mode >> 12 & 15))
            return 0;
        ctx->pos = POS_NAMES + cursor;
    }
    return 0;
}

static const struct file_operations pseudo_dir_operations = {
    .readdir = pseudo_readdir,
    .llseek = dir_llseek,
};

/* ---- */

struct super_block *pseudo_new(const char *type, const struct pseudo_entry *root, uint64_t magic,
                               pseudo_owner *owner)
{
    struct pseudo_sb *pseudo = kzalloc(sizeof(*pseudo));

    if (!pseudo)
        return NULL;
    pseudo->sb.s_type = pseudo->sb.s_source = type;
    pseudo->sb.s_options = "";
    pseudo->sb.s_flags = SB_NOCACHE;
    pseudo->sb.s_magic = magic;
    pseudo->owner = owner;
    struct inode *inode = new_inode(&pseudo->sb, root, 0);
    if (!inode || super_init(&pseudo->sb, inode)) {
        kfree(pseudo);
        return NULL;
    }
    return &pseudo->sb;
}
