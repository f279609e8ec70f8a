/*
 * Dentries: the names in use, and the last ones used.
 *
 * A dentry holds its parent and its inode. One that nobody holds any more stays
 * on the LRU list until UNUSED_MAX newer ones are there too. A dentry is found
 * by (parent, name), and there is one per name: a file system may rely on
 * d_inode being the inode that a look-up would give. File systems whose names
 * come and go by themselves (SB_NOCACHE) get a new dentry per look-up.
 */
#include "fs/vfs.h"

#include <linux/stat.h>

#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "time/clock.h"

#define DT_DIR 4
#define BUCKETS 2048u
#define UNUSED_MAX 4096u
#define NAME_VALID_NS NSEC_PER_SEC /* where the file system revalidates */

static struct dcache {
    struct dentry *bucket[BUCKETS];
    struct list unused; /* longest unused first */
    uint32_t unused_count;
} dcache = {.unused = {&dcache.unused, &dcache.unused}};

static uint32_t hash_name(const struct dentry *parent, const struct qstr *name)
{
    uint64_t hash = (uintptr_t)parent >> 4;

    for (uint32_t i = 0; i < name->len; i++)
        hash = (hash ^ (uint8_t)name->name[i]) * 0x100000001b3ull;
    return (uint32_t)(hash ^ hash >> 32);
}

static void hash_insert(struct dentry *dentry)
{
    struct dentry **bucket = &dcache.bucket[dentry->d_hash % BUCKETS];

    dentry->d_hash_next = *bucket;
    *bucket = dentry;
    dentry->d_flags |= DENTRY_HASHED;
}

static void hash_remove(struct dentry *dentry)
{
    if (!(dentry->d_flags & DENTRY_HASHED))
        return;
    struct dentry **link = &dcache.bucket[dentry->d_hash % BUCKETS];
    while (*link != dentry)
        link = &(*link)->d_hash_next;
    *link = dentry->d_hash_next;
    dentry->d_flags &= ~DENTRY_HASHED;
}

static int set_name(struct dentry *dentry, const struct qstr *name)
{
    char *to = dentry->d_inline_name;

    if (name->len >= sizeof(dentry->d_inline_name)) {
        to = kmalloc(name->len + 1);
        if (!to)
            return -ENOMEM;
    }
    memcpy(to, name->name, name->len);
    to[name->len] = '\0';
    dentry->d_name = (struct qstr){.name = to, .len = name->len};
    return 0;
}

static void free_name(const struct dentry *dentry)
{
    if (dentry->d_name.name != dentry->d_inline_name)
        kfree((char *)dentry->d_name.name);
}

static struct dentry *find(const struct dentry *parent, const struct qstr *name)
{
    uint32_t hash = hash_name(parent, name);

    for (struct dentry *d = dcache.bucket[hash % BUCKETS]; d; d = d->d_hash_next) {
        if (d->d_hash == hash && d->d_parent == parent && d->d_name.len == name->len &&
            memcmp(d->d_name.name, name->name, name->len) == 0)
            return d;
    }
    return NULL;
}

/* A name that got a dentry while somebody waited for the file system, which is about to give it another one. */
static void forget_name(const struct dentry *parent, const struct qstr *name)
{
    struct dentry *old = find(parent, name);

    if (old)
        hash_remove(old);
}

struct dentry *d_alloc(struct dentry *parent, struct super_block *sb, const struct qstr *name,
                       struct inode *inode)
{
    struct dentry *dentry = kzalloc(sizeof(*dentry));

    if (!dentry || set_name(dentry, name)) {
        kfree(dentry);
        iput(inode);
        return NULL;
    }
    dentry->d_parent = parent ? dget(parent) : dentry;
    dentry->d_inode = inode;
    list_add(&inode->i_dentries, &dentry->d_alias);
    dentry->d_sb = sb;
    dentry->d_count = 1;
    list_init(&dentry->d_lru);
    if (sb->s_op && sb->s_op->revalidate)
        dentry->d_valid_until = clock_monotonic() + NAME_VALID_NS;
    if (parent && !(sb->s_flags & SB_NOCACHE)) {
        if (dentry->d_valid_until)
            forget_name(parent, name);
        dentry->d_hash = hash_name(parent, name);
        hash_insert(dentry);
    }
    return dentry;
}

/* Frees it and returns the parent, whose reference falls to the caller; NULL for a root. */
static struct dentry *d_free(struct dentry *dentry)
{
    struct dentry *parent = dentry->d_parent;

    hash_remove(dentry);
    list_del(&dentry->d_alias);
    iput(dentry->d_inode);
    free_name(dentry);
    kfree(dentry);
    return parent == dentry ? NULL : parent;
}

static void lru_remove(struct dentry *dentry)
{
    if (list_empty(&dentry->d_lru))
        return;
    list_del(&dentry->d_lru);
    dcache.unused_count--;
}

void dput(struct dentry *dentry)
{
    /* A loop: freeing one may free its parents, and a tree can be deep. */
    while (dentry && --dentry->d_count == 0) {
        if (dentry->d_flags & DENTRY_HASHED) {
            list_add_tail(&dcache.unused, &dentry->d_lru);
            if (++dcache.unused_count <= UNUSED_MAX)
                return;
            dentry = list_first(&dcache.unused, struct dentry, d_lru);
            lru_remove(dentry);
        }
        dentry = d_free(dentry);
    }
}

/* A name in memory that is not to be believed any longer is asked for again. May wait. */
static bool still_valid(struct dentry *dentry)
{
    const struct super_operations *op = dentry->d_sb->s_op;

    if (!op || !op->revalidate || dentry->d_mounted || clock_monotonic() < dentry->d_valid_until)
        return true;
    if (!op->revalidate(dentry))
        return false;
    dentry->d_valid_until = clock_monotonic() + NAME_VALID_NS;
    return true;
}

int d_lookup(struct dentry *parent, const struct qstr *name, struct dentry **found)
{
    struct inode *dir = parent->d_inode, *inode;
    struct dentry *dentry = find(parent, name);

    if (dentry) {
        lru_remove(dentry);
        dget(dentry);
        if (still_valid(dentry)) {
            *found = dentry;
            return 0;
        }
        hash_remove(dentry);
        dput(dentry);
    }
    if (!dir->i_op->lookup)
        return -ENOTDIR;
    int err = dir->i_op->lookup(dir, name, &inode);
    if (err)
        return err;
    dentry = find(parent, name);
    if (dentry && dentry->d_inode == inode) {
        /* Another task was faster. */
        iput(inode);
        lru_remove(dentry);
        *found = dget(dentry);
        return 0;
    }
    *found = d_alloc(parent, parent->d_sb, name, inode);
    return *found ? 0 : -ENOMEM;
}

void d_drop(struct dentry *dentry)
{
    hash_remove(dentry);
}

bool d_expire(const struct dentry *parent, const struct qstr *name)
{
    struct dentry *dentry = find(parent, name);

    if (dentry)
        dentry->d_valid_until = 1;
    return dentry;
}

void dcache_shrink(void)
{
    while (!list_empty(&dcache.unused)) {
        struct dentry *dentry = list_first(&dcache.unused, struct dentry, d_lru);
        lru_remove(dentry);
        dput(d_free(dentry));
    }
}

void d_pin(struct dentry *dentry)
{
    for (; dentry->d_parent != dentry; dentry = dentry->d_parent) {
        if (dentry->d_flags & DENTRY_HASHED)
            continue;
        dentry->d_hash = hash_name(dentry->d_parent, &dentry->d_name);
        hash_insert(dentry);
    }
}

void d_delete(struct dentry *dentry)
{
    hash_remove(dentry);
    dentry->d_flags |= DENTRY_DELETED;
}

int d_move(struct dentry *dentry, struct dentry *new_parent, const struct qstr *new_name)
{
    struct dentry moved = {0}; /* for its new name alone */
    int err = set_name(&moved, new_name);
    if (err)
        return err;

    bool hashed = dentry->d_flags & DENTRY_HASHED;
    if (dentry->d_valid_until)
        forget_name(new_parent, new_name);
    struct dentry *old_parent = dentry->d_parent;
    hash_remove(dentry);
    free_name(dentry);
    dentry->d_name = moved.d_name;
    if (moved.d_name.name == moved.d_inline_name) {
        memcpy(dentry->d_inline_name, moved.d_inline_name, new_name->len + 1);
        dentry->d_name.name = dentry->d_inline_name;
    }
    dentry->d_parent = dget(new_parent);
    if (hashed) {
        dentry->d_hash = hash_name(new_parent, &dentry->d_name);
        hash_insert(dentry);
    }
    dput(old_parent);
    return 0;
}

int d_exchange(struct dentry *a, struct dentry *b)
{
    char name[NAME_MAX + 1];
    struct qstr name_a = {.name = name, .len = a->d_name.len};
    struct dentry *parent_a = dget(a->d_parent);

    memcpy(name, a->d_name.name, name_a.len);
    int err = d_move(a, b->d_parent, &b->d_name);
    if (!err)
        err = d_move(b, parent_a, &name_a);
    dput(parent_a);
    return err;
}

struct dentry *d_parent_across(struct dentry *dentry)
{
    while (dentry->d_parent == dentry && dentry->d_sb->s_root == dentry && dentry->d_sb->s_mountpoint)
        dentry = dentry->d_sb->s_mountpoint;
    return dentry->d_parent;
}

bool d_is_below(const struct dentry *dentry, const struct dentry *ancestor)
{
    for (;;) {
        if (dentry == ancestor)
            return true;
        const struct dentry *parent = d_parent_across((struct dentry *)dentry);
        if (parent == dentry)
            return false;
        dentry = parent;
    }
}

char *d_path(struct dentry *dentry, struct dentry *root, char *buf, size_t size)
{
    static const char deleted[] = " (deleted)", unreachable[] = "(unreachable)";
    char *at = buf + size - 1;

#define PREPEND(text, len)                    \
    do {                                      \
        if ((size_t)(at - buf) < (size_t)(len)) \
            return NULL;                      \
        at -= (len);                          \
        memcpy(at, (text), (len));            \
    } while (0)

    *at = '\0';
    if (dentry->d_flags & DENTRY_ANON) {
        PREPEND(dentry->d_name.name, dentry->d_name.len);
        return at;
    }
    if (dentry->d_flags & DENTRY_DELETED)
        PREPEND(deleted, sizeof(deleted) - 1);
    bool named = false;
    while (dentry != root) {
        struct super_block *sb = dentry->d_sb;
        if (dentry == sb->s_root) {
            if (!sb->s_mountpoint) {
                if (!named)
                    PREPEND("/", 1);
                PREPEND(unreachable, sizeof(unreachable) - 1);
                return at;
            }
            dentry = sb->s_mountpoint;
            continue;
        }
        PREPEND(dentry->d_name.name, dentry->d_name.len);
        PREPEND("/", 1);
        named = true;
        dentry = dentry->d_parent;
    }
    if (!named)
        PREPEND("/", 1);
    return at;
#undef PREPEND
}

bool dir_emit_dots(const struct file *file, struct dir_context *ctx)
{
    const struct dentry *dentry = file->f_dentry;

    if (ctx->pos == 0) {
        if (!ctx->actor(ctx, ".", 1, 1, dentry->d_inode->i_ino, DT_DIR))
            return false;
        ctx->pos = 1;
    }
    if (ctx->pos == 1) {
        const struct dentry *parent = d_parent_across((struct dentry *)dentry);
        if (!ctx->actor(ctx, "..", 2, 2, parent->d_inode->i_ino, DT_DIR))
            return false;
        ctx->pos = 2;
    }
    return true;
}
