/*
 * File systems whose files are answers: /proc and /sys are trees of constant
 * entries, each with the function that gives its content.
 *
 * A file's content is made when it is read at position 0, and stays the same
 * until it is read there again. `arg` tells the entries of one process or
 * descriptor from those of another; folders hand theirs down.
 */
#ifndef LINUX_FS_PSEUDO_H
#define LINUX_FS_PSEUDO_H

#include "fs/seq_file.h"
#include "fs/vfs.h"

struct pseudo_entry;

/* What a folder holds beside its constant entries. */
struct pseudo_names {
    /* ENOENT if there is no such name. */
    int (*lookup)(uint64_t arg, const struct qstr *name, const struct pseudo_entry **entry, uint64_t *child);
    /* The next name after *cursor (0 at first), which it moves; false at the end. */
    bool (*next)(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child,
                 const struct pseudo_entry **entry);
};

struct pseudo_entry {
    const char *name;
    uint32_t mode; /* type and permissions */
    const struct pseudo_entry *children; /* up to one without a name */
    const struct pseudo_names *names;
    int (*show)(struct seq_file *seq, uint64_t arg);
    int (*store)(const char *text, size_t len, uint64_t arg);
    int (*readlink)(char *buf, size_t size, uint64_t arg);
    int (*follow)(uint64_t arg, struct dentry **target);
    const char *text; /* constant content or target, instead of show or readlink */
    uint64_t data;         /* for show_entry */
    const char *full_name; /* for show_entry */
    int (*show_entry)(struct seq_file *seq, const struct pseudo_entry *entry);
};

#define PSEUDO_DIR(n, c) {.name = n, .mode = S_IFDIR | 0555, .children = c}
#define PSEUDO_FILE(n, f) {.name = n, .mode = S_IFREG | 0444, .show = f}
#define PSEUDO_TEXT(n, t) {.name = n, .mode = S_IFREG | 0444, .text = t}

/* Who owns the entries of arg: NULL is root. */
typedef void pseudo_owner(uint64_t arg, uint32_t *uid, uint32_t *gid);

/* What an open file of such a file system shows; NULL if it is of another one. */
const struct pseudo_entry *pseudo_entry_of(const struct file *file, uint64_t *arg);

/* NULL: out of memory. */
struct super_block *pseudo_new(const char *type, const struct pseudo_entry *root, uint64_t magic,
                               pseudo_owner *owner);

#endif
