/*
 * POSIX message queues: mq_overview(7). A queue is a file of a file system of its own,
 * of which there is one instance, mounted or not. Its messages go with the file: when
 * it has no name and nobody has it open.
 */
#ifndef LINUX_FS_MQUEUE_H
#define LINUX_FS_MQUEUE_H

#include "lib/types.h"

struct file;
struct mq_message;
struct process;
struct super_block;

struct mq_attributes {
    int64_t flags, max_messages, message_size, messages, reserved[4];
};

/* For its mount; NULL if it is mounted already, or for lack of memory. */
struct super_block *mqueue_mount(void);

/* Results and errors as the system calls'. attr NULL: the limits' defaults. */
int mqueue_open(const char *name, int flags, uint32_t mode, const struct mq_attributes *attr, struct file **opened);
int mqueue_unlink(const char *name);

/* Room for a message of a size that the queue takes; ERR_PTR: -EBADF (no queue, or not for writing), -EMSGSIZE, -ENOMEM. */
struct mq_message *mqueue_message_new(struct file *file, size_t size, uint32_t priority);
void mqueue_message_free(struct mq_message *message);
void *mqueue_text(struct mq_message *message);
size_t mqueue_size(const struct mq_message *message);
uint32_t mqueue_priority(const struct mq_message *message);

/* Takes the message over if it is 0. The deadline as wait_sleep's. */
long mqueue_send(struct file *file, struct mq_message *message, int64_t deadline);
/* The oldest of the highest priority; `size` is what the caller has room for. ERR_PTR. */
struct mq_message *mqueue_receive(struct file *file, size_t size, int64_t deadline);

/* signo 0: nothing is sent. Once, for a message that comes into an empty queue for which nobody waits. */
long mqueue_notify(struct file *file, int signo, uint64_t value);
long mqueue_notify_off(struct file *file);
/* O_NONBLOCK of set->flags, if set is given; *old is what was before. */
long mqueue_attributes(struct file *file, const struct mq_attributes *set, struct mq_attributes *old);

#endif
