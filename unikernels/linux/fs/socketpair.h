/*
 * Connected pairs of stream sockets (socketpair(2), AF_UNIX, SOCK_STREAM): what
 * event loops wake themselves up with. They carry bytes alone; there are no
 * sockets with names yet, nor ancillary data.
 */
#ifndef LINUX_FS_SOCKETPAIR_H
#define LINUX_FS_SOCKETPAIR_H

#include "fs/vfs.h"

int socketpair_new(int flags, struct file *pair[2]);
bool is_socketpair(const struct file *file);

/* flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_NOSIGNAL; others are passed over. */
int64_t socketpair_recv(struct file *file, struct iov_iter *to, int flags);
int64_t socketpair_send(struct file *file, struct iov_iter *from, int flags);
int socketpair_shutdown(struct file *file, bool read, bool write);

#endif
