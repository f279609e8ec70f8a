/*
 * What task/ needs of fs/: the objects a process owns, made, shared and dropped
 * with it. Implemented in fs/.
 */
#ifndef LINUX_TASK_FORK_HOOKS_H
#define LINUX_TASK_FORK_HOOKS_H

#include "lib/types.h"

struct files;
struct fs;

/* At boot, before the first process: mounts everything. One line and exit where the rootfs is unusable. */
void vfs_init(void);

/* For the first process: descriptors 0, 1, 2 on the console; cwd from the boot config. NULL: ENOMEM. */
struct files *files_new(void);
struct fs *fs_new(void);

/* Without descriptors. NULL: ENOMEM. */
struct files *files_empty(void);

struct files *files_get(struct files *);
struct files *files_copy(struct files *); /* NULL: ENOMEM */
void files_put(struct files *);
void files_close_on_exec(struct files *);

struct fs *fs_get(struct fs *);
struct fs *fs_copy(struct fs *); /* NULL: ENOMEM */
void fs_put(struct fs *);
/* 0, or why the boot config's cwd cannot be entered. */
int fs_chdir(struct fs *, const char *path);

#endif
