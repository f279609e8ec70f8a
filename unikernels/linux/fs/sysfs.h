/* /sys: as much as the C library, Go, Java and Node ask of it. */
#ifndef LINUX_FS_SYSFS_H
#define LINUX_FS_SYSFS_H

#include "fs/pseudo.h"

struct super_block *sysfs_new(void);

#endif
