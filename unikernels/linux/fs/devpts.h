/* devpts: the folder of ptys, /dev/pts. What a pty is: console/pty.c. */
#ifndef LINUX_FS_DEVPTS_H
#define LINUX_FS_DEVPTS_H

#include "fs/vfs.h"

/* Options as mount(8): mode=, ptmxmode=, gid=, uid=; others are passed over. There is one instance. NULL: no memory. */
struct super_block *devpts_new(const char *options);

/* A new slave's name, owned by who asks: 0, -ENODEV if devpts is not mounted, -ENOMEM. */
int devpts_add(uint32_t index);
void devpts_remove(uint32_t index);
/* As open(2) of its name would, but without a walk to it. */
int devpts_open(uint32_t index, int flags, struct file **opened);

#endif
