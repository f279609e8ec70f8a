#include "fs/mqueue.h"

#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "fs/seq_file.h"
#include "fs/vfs.h"
#include "ipc/ids.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "task/wait.h"

#define DEFAULT_MESSAGES 10
#define DEFAULT_SIZE 8192
#define DEFAULT_QUEUES 256
/* For those with CAP_SYS_RESOURCE. */
#define HARD_MESSAGES 65536
#define HARD_SIZE (16 << 20)
#define MESSAGE_COST 96 /* of RLIMIT_MSGQUEUE, beside its text: Linux's structures */
#define SHOWN_SIZE 80   /* st_size of a queue, as on Linux */
#define MQUEUE_MAGIC 0x19800202

struct mq_message {
    struct list link;
    uint32_t priority;
    size_t size;
    char text[];
};

struct mqueue {
    struct inode inode; /* held by the name, and by whoever has it open */
    struct list link;   /* of queues with names */
    char *name;
    uint64_t cookie; /* its place in the folder */
    int64_t max_messages, message_size;
    uint32_t creator; /* whose RLIMIT_MSGQUEUE it counts for */
    struct list messages; /* by priority, then age */
    int64_t count;
    size_t bytes;
    struct wait_queue senders, receivers; /* and those who poll */
    unsigned receiving;                   /* asleep in mqueue_receive */
    struct {
        struct process *process; /* counted; NULL: nobody is to be told */
        int signo;
        uint64_t value;
    } notify;
};

static struct {
    struct super_block sb;
    struct inode root;
    struct list queues; /* by cookie */
    unsigned count;
    uint64_t next_cookie;
    bool mounted;
} mq;

static const struct inode_operations queue_inode_operations, dir_inode_operations;
static const struct file_operations queue_operations, dir_operations;

static struct mqueue *queue_of(struct inode *inode)
{
    return container_of(inode, struct mqueue, inode);
}

static uint64_t cost(int64_t messages, int64_t size)
{
    return (uint64_t)messages * ((uint64_t)size + MESSAGE_COST);
}

static void notify_clear(struct mqueue *q)
{
    if (q->notify.process)
        process_put(q->notify.process);
    q->notify.process = NULL;
}

static void queue_evict(struct inode *inode)
{
    struct mqueue *q = queue_of(inode);

    while (!list_empty(&q->messages)) {
        struct mq_message *m = list_first(&q->messages, struct mq_message, link);
        list_del(&m->link);
        kfree(m);
    }
    notify_clear(q);
    mq.count--;
    kfree(q->name);
    kfree(q);
}

/* ---- the file system ---- */

static bool start(void)
{
    if (mq.sb.s_root)
        return true;
    mq.sb = (struct super_block){
        .s_magic = MQUEUE_MAGIC, .s_type = "mqueue", .s_source = "mqueue", .s_options = "", .s_flags = SB_NOCACHE};
    list_init(&mq.queues);
    inode_init(&mq.root, &mq.sb, S_IFDIR | 01777);
    mq.root.i_op = &dir_inode_operations;
    mq.root.i_fop = &dir_operations;
    mq.root.i_ino = 1;
    mq.root.i_nlink = 2;
    mq.next_cookie = 2; /* behind the dots */
    return super_init(&mq.sb, &mq.root) == 0;
}

struct super_block *mqueue_mount(void)
{
    if (mq.mounted || !start())
        return NULL;
    mq.mounted = true;
    return &mq.sb;
}

static struct mqueue *find(const struct qstr *name)
{
    struct mqueue *q;

    list_for_each(q, &mq.queues, link)
        if (strlen(q->name) == name->len && memcmp(q->name, name->name, name->len) == 0)
            return q;
    return NULL;
}

static int check_attributes(int64_t messages, int64_t size)
{
    bool much = capable(CAP_SYS_RESOURCE);

    if (messages <= 0 || size <= 0)
        return -EINVAL;
    if (messages > (much ? HARD_MESSAGES : (int64_t)ipc_limit("fs.mqueue.msg_max", 0, DEFAULT_MESSAGES)) ||
        size > (much ? HARD_SIZE : (int64_t)ipc_limit("fs.mqueue.msgsize_max", 0, DEFAULT_SIZE)))
        return -EINVAL;
    if (mq.count >= ipc_limit("fs.mqueue.queues_max", 0, DEFAULT_QUEUES) && !much)
        return -ENOSPC;
    return 0;
}

static uint64_t bytes_of(uint32_t uid)
{
    const struct mqueue *q;
    uint64_t bytes = 0;

    list_for_each(q, &mq.queues, link)
        if (q->creator == uid)
            bytes += cost(q->max_messages, q->message_size);
    return bytes;
}

static int queue_new(const struct qstr *name, uint32_t mode, int64_t messages, int64_t size, struct inode **made)
{
    int err = check_attributes(messages, size);

    if (err)
        return err;
    if (bytes_of(current->cred->uid) + cost(messages, size) > task_rlimit(RLIMIT_MSGQUEUE))
        return -EMFILE;
    struct mqueue *q = kzalloc(sizeof(*q));
    if (!q || !(q->name = kstrndup(name->name, name->len))) {
        kfree(q);
        return -ENOMEM;
    }
    inode_init(&q->inode, &mq.sb, S_IFREG | (mode & 0777));
    q->inode.i_op = &queue_inode_operations;
    q->inode.i_fop = &queue_operations;
    q->inode.i_ino = q->cookie = mq.next_cookie++;
    q->inode.i_uid = current->cred->fsuid;
    q->inode.i_gid = current->cred->fsgid;
    q->inode.i_size = SHOWN_SIZE;
    q->max_messages = messages;
    q->message_size = size;
    q->creator = current->cred->uid;
    list_init(&q->messages);
    wait_queue_init(&q->senders);
    wait_queue_init(&q->receivers);
    list_add_tail(&mq.queues, &q->link);
    mq.count++;
    *made = iget(&q->inode);
    return 0;
}

static int mq_lookup(struct inode *dir, const struct qstr *name, struct inode **found)
{
    struct mqueue *q = find(name);

    (void)dir;
    if (!q)
        return -ENOENT;
    *found = iget(&q->inode);
    return 0;
}

static int64_t default_messages(void)
{
    return (int64_t)MIN(ipc_limit("fs.mqueue.msg_max", 0, DEFAULT_MESSAGES),
                        ipc_limit("fs.mqueue.msg_default", 0, DEFAULT_MESSAGES));
}

static int64_t default_size(void)
{
    return (int64_t)MIN(ipc_limit("fs.mqueue.msgsize_max", 0, DEFAULT_SIZE),
                        ipc_limit("fs.mqueue.msgsize_default", 0, DEFAULT_SIZE));
}

static int mq_mknod(struct inode *dir, const struct qstr *name, uint32_t mode, uint64_t rdev, struct inode **made)
{
    (void)dir;
    (void)rdev;
    return S_ISREG(mode) ? queue_new(name, mode, default_messages(), default_size(), made) : -EPERM;
}

static int mq_unlink_op(struct inode *dir, const struct qstr *name, struct inode *inode)
{
    struct mqueue *q = queue_of(inode);

    (void)dir;
    (void)name;
    list_del(&q->link);
    inode->i_nlink = 0;
    iput(inode);
    return 0;
}

static int mq_setattr(struct inode *inode, const struct iattr *attr)
{
    inode_apply(inode, attr);
    return 0;
}

static int mq_readdir(struct file *file, struct dir_context *ctx)
{
    const struct mqueue *q;

    if (!dir_emit_dots(file, ctx))
        return 0;
    list_for_each(q, &mq.queues, link) {
        if (q->cookie < ctx->pos)
            continue;
        if (!ctx->actor(ctx, q->name, (uint32_t)strlen(q->name), q->cookie + 1, q->inode.i_ino, S_IFREG >> 12))
            return 0;
        ctx->pos = q->cookie + 1;
    }
    return 0;
}

/* What a queue says of itself to those who read it as a file. */
static int64_t queue_read(struct kiocb *kiocb, struct iov_iter *to)
{
    const struct mqueue *q = queue_of(kiocb->file->f_inode);
    char text[96];
    const struct process *told = q->notify.process;
    int len = snprintf(text, sizeof(text), "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", q->bytes, 0,
                       told ? q->notify.signo : 0, told ? told->pid : 0);

    if (kiocb->pos >= (uint64_t)len)
        return 0;
    ssize_t copied = copy_to_iter(to, text + kiocb->pos, MIN(to->count, (size_t)len - kiocb->pos));
    if (copied > 0)
        kiocb->pos += (uint64_t)copied;
    return copied;
}

static uint32_t queue_poll(struct file *file, struct poll_table *table)
{
    struct mqueue *q = queue_of(file->f_inode);

    poll_wait(table, &q->receivers);
    poll_wait(table, &q->senders);
    return (q->count > 0 ? EPOLLIN | EPOLLRDNORM : 0) | (q->count < q->max_messages ? EPOLLOUT | EPOLLWRNORM : 0);
}

/* Who closes it is not told any more. */
static void queue_flush(struct file *file)
{
    struct mqueue *q = queue_of(file->f_inode);

    if (q->notify.process == current->process)
        notify_clear(q);
}

static const struct inode_operations queue_inode_operations = {.setattr = mq_setattr, .evict = queue_evict};
static const struct inode_operations dir_inode_operations = {
    .lookup = mq_lookup, .mknod = mq_mknod, .unlink = mq_unlink_op, .setattr = mq_setattr};
static const struct file_operations queue_operations = {
    .read = queue_read, .poll = queue_poll, .flush = queue_flush, .llseek = generic_llseek};
static const struct file_operations dir_operations = {.readdir = mq_readdir, .llseek = dir_llseek};

/* ---- names ---- */

static int check_name(const char *name, struct qstr *q)
{
    *q = (struct qstr){.name = name, .len = (uint32_t)strlen(name)};
    if (!q->len)
        return -ENOENT;
    if (q->len > NAME_MAX)
        return -ENAMETOOLONG;
    return strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EACCES : 0;
}

static int create(const struct qstr *name, uint32_t mode, const struct mq_attributes *attr)
{
    struct inode *made;
    int err = inode_permission(&mq.root, current->cred, MAY_WRITE | MAY_EXEC);

    if (err)
        return err;
    mode &= ~current->process->fs->umask;
    err = attr ? queue_new(name, mode, attr->max_messages, attr->message_size, &made)
               : queue_new(name, mode, default_messages(), default_size(), &made);
    if (!err)
        iput(made); /* its name holds it */
    return err;
}

static int access_of(int flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return MAY_READ;
    case O_WRONLY:
        return MAY_WRITE;
    default:
        return MAY_READ | MAY_WRITE;
    }
}

int mqueue_open(const char *name, int flags, uint32_t mode, const struct mq_attributes *attr, struct file **opened)
{
    struct dentry *dentry;
    struct qstr q;
    int err = start() ? check_name(name, &q) : -ENOMEM;

    if (err)
        return err;
    bool there = find(&q) != NULL;
    if (!there)
        err = flags & O_CREAT ? create(&q, mode, attr) : -ENOENT;
    else if (flags & O_CREAT && flags & O_EXCL)
        err = -EEXIST;
    else if ((flags & O_ACCMODE) == O_ACCMODE)
        err = -EINVAL;
    else
        err = inode_permission(&find(&q)->inode, current->cred, access_of(flags));
    if (!err)
        err = d_lookup(mq.sb.s_root, &q, &dentry);
    if (err)
        return err;
    err = dentry_open(dentry, flags & (O_ACCMODE | O_NONBLOCK), opened);
    dput(dentry);
    return err;
}

int mqueue_unlink(const char *name)
{
    struct dentry *dentry;
    struct qstr q;
    int err = start() ? check_name(name, &q) : -ENOMEM;

    if (!err)
        err = d_lookup(mq.sb.s_root, &q, &dentry);
    if (err)
        return err;
    err = may_delete(&mq.root, dentry, false);
    if (!err) {
        mq_unlink_op(&mq.root, &q, dentry->d_inode); /* which the dentry holds */
        d_delete(dentry);
    }
    dput(dentry);
    return err;
}

/* ---- messages ---- */

static struct mqueue *queue_if(struct file *file, bool may)
{
    return file->f_op == &queue_operations && may ? queue_of(file->f_inode) : NULL;
}

struct mq_message *mqueue_message_new(struct file *file, size_t size, uint32_t priority)
{
    const struct mqueue *q = queue_if(file, file->f_write);

    if (!q)
        return ERR_PTR(-EBADF);
    if (size > (size_t)q->message_size)
        return ERR_PTR(-EMSGSIZE);
    struct mq_message *m = kmalloc(sizeof(*m) + size);
    if (!m)
        return ERR_PTR(-ENOMEM);
    *m = (struct mq_message){.priority = priority, .size = size};
    list_init(&m->link);
    return m;
}

void mqueue_message_free(struct mq_message *message)
{
    kfree(message);
}

void *mqueue_text(struct mq_message *message)
{
    return message->text;
}

size_t mqueue_size(const struct mq_message *message)
{
    return message->size;
}

uint32_t mqueue_priority(const struct mq_message *message)
{
    return message->priority;
}

/* Behind those of the same priority. */
static void insert(struct mqueue *q, struct mq_message *message)
{
    struct mq_message *m;

    list_for_each(m, &q->messages, link)
        if (m->priority < message->priority)
            break;
    list_insert(&message->link, m->link.prev, &m->link);
    q->count++;
    q->bytes += message->size;
}

/* A message has come into an empty queue. */
static void tell(struct mqueue *q)
{
    struct process *told = q->notify.process;

    if (!told || q->receiving > 0)
        return;
    const struct siginfo64 info = {
        .si_signo = q->notify.signo, .si_code = SI_MESGQ,
        .sender = {.pid = current->process->pid, .uid = current->cred->uid, .value = q->notify.value}};
    if (q->notify.signo && !told->dead)
        signal_send_info(told, NULL, &info);
    notify_clear(q);
}

static bool nonblocking(const struct file *file)
{
    return file->f_flags & O_NONBLOCK;
}

long mqueue_send(struct file *file, struct mq_message *message, int64_t deadline)
{
    struct mqueue *q = queue_of(file->f_inode);

    if (q->count >= q->max_messages) {
        if (nonblocking(file))
            return -EAGAIN;
        int err = wait_event_deadline(&q->senders, q->count < q->max_messages, deadline);
        if (err)
            return err;
    }
    insert(q, message);
    q->inode.i_mtime = q->inode.i_ctime = clock_now();
    if (q->count == 1)
        tell(q);
    wake_up_events(&q->receivers, EPOLLIN | EPOLLRDNORM);
    return 0;
}

struct mq_message *mqueue_receive(struct file *file, size_t size, int64_t deadline)
{
    struct mqueue *q = queue_if(file, file->f_read);

    if (!q)
        return ERR_PTR(-EBADF);
    if (size < (size_t)q->message_size)
        return ERR_PTR(-EMSGSIZE);
    if (q->count == 0) {
        if (nonblocking(file))
            return ERR_PTR(-EAGAIN);
        q->receiving++;
        int err = wait_event_deadline(&q->receivers, q->count > 0, deadline);
        q->receiving--;
        if (err)
            return ERR_PTR(err);
    }
    struct mq_message *m = list_first(&q->messages, struct mq_message, link);
    list_del(&m->link);
    q->count--;
    q->bytes -= m->size;
    q->inode.i_atime = q->inode.i_ctime = clock_now();
    wake_up_events(&q->senders, EPOLLOUT | EPOLLWRNORM);
    return m;
}

/* ---- the rest ---- */

long mqueue_notify(struct file *file, int signo, uint64_t value)
{
    struct mqueue *q = queue_if(file, true);

    if (!q)
        return -EBADF;
    if (q->notify.process && q->notify.process->dead)
        notify_clear(q);
    if (q->notify.process)
        return -EBUSY;
    q->notify.process = process_get(current->process);
    q->notify.signo = signo;
    q->notify.value = value;
    return 0;
}

long mqueue_notify_off(struct file *file)
{
    struct mqueue *q = queue_if(file, true);

    if (!q)
        return -EBADF;
    if (q->notify.process == current->process)
        notify_clear(q);
    return 0;
}

long mqueue_attributes(struct file *file, const struct mq_attributes *set, struct mq_attributes *old)
{
    const struct mqueue *q = queue_if(file, true);

    if (!q)
        return -EBADF;
    *old = (struct mq_attributes){.flags = file->f_flags & O_NONBLOCK, .max_messages = q->max_messages,
                                  .message_size = q->message_size, .messages = q->count};
    if (set)
        file->f_flags = (file->f_flags & ~(uint32_t)O_NONBLOCK) | (uint32_t)(set->flags & O_NONBLOCK);
    return 0;
}
