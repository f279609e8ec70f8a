/* Character devices by number, and the nodes in /dev. */
#ifndef LINUX_FS_DEVICES_H
#define LINUX_FS_DEVICES_H

#include "fs/vfs.h"

/* Puts the nodes and links that every container has into the folder. At boot alone. */
void devices_populate(const char *folder);
/* The same for a devpts mount: the container's terminal, if it has one. */
void devices_populate_pts(const char *folder);

#endif
