/* Character devices by number, and the nodes in /dev. */
#ifndef LINUX_FS_DEVICES_H
#define LINUX_FS_DEVICES_H

#include "fs/vfs.h"

/* Puts the nodes and links that every container has into the folder. At boot alone. */
void devices_populate(const char *folder);

#endif
