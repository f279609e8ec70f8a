/* System V message queues: msgget(2), msgop(2), msgctl(2). */
#ifndef LINUX_IPC_MSG_H
#define LINUX_IPC_MSG_H

#include <linux/msg.h>

#include "lib/types.h"

/* A message, on no queue. */
struct msg;

/* Room for a text of that many bytes; ERR_PTR: -EINVAL (longer than kernel.msgmax), -ENOMEM. */
struct msg *msg_new(size_t size);
char *msg_text(struct msg *msg);
size_t msg_size(const struct msg *msg);
long msg_type(const struct msg *msg);
void msg_free(struct msg *msg);

/* Results and errors as the system calls'. */
long msg_get(int32_t key, int flags);
/* Takes the message over if it is 0. */
long msg_send(int id, struct msg *msg, long type, int flags);
/* A message that fits into size bytes or may be cut (MSG_NOERROR), now the caller's; ERR_PTR. */
struct msg *msg_receive(int id, size_t size, long type, int flags);

/* place, any: as shm_stat. */
long msg_stat(int id, bool place, bool any, struct msqid64_ds *ds);
long msg_set(int id, const struct msqid64_ds *ds);
long msg_remove(int id);
/* IPC_INFO, and MSG_INFO if `usage`. The highest place in use. */
int msg_info(struct msginfo *info, bool usage);

#endif
