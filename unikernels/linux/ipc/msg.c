#include "ipc/msg.h"

#include <linux/capability.h>

#include "ipc/ids.h"
#include "lib/list.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "task/wait.h"

struct msg {
    struct list link;
    long type;
    size_t size;
    char text[];
};

struct msg_queue {
    struct ipc_object object;
    struct list messages;
    size_t bytes, bytes_max;
    size_t count;
    int64_t sent, received, changed; /* seconds since the epoch */
    int last_sender, last_receiver;  /* pids */
    struct wait_queue senders, receivers;
};

static void queue_free(struct ipc_object *object);
static struct ipc_ids ids = {.max = MSGMNI, .free = queue_free};

static struct msg_queue *queue_of(struct ipc_object *object)
{
    return container_of(object, struct msg_queue, object);
}

static void queue_free(struct ipc_object *object)
{
    kfree(queue_of(object));
}

struct msg *msg_new(size_t size)
{
    if (size > ipc_limit("kernel.msgmax", 0, MSGMAX))
        return ERR_PTR(-EINVAL);
    struct msg *msg = kmalloc(sizeof(*msg) + size);
    if (!msg)
        return ERR_PTR(-ENOMEM);
    *msg = (struct msg){.size = size};
    list_init(&msg->link);
    return msg;
}

char *msg_text(struct msg *msg)
{
    return msg->text;
}

size_t msg_size(const struct msg *msg)
{
    return msg->size;
}

long msg_type(const struct msg *msg)
{
    return msg->type;
}

void msg_free(struct msg *msg)
{
    kfree(msg);
}

static long queue_new(int32_t key, int flags)
{
    struct msg_queue *q = kzalloc(sizeof(*q));

    if (!q)
        return -ENOMEM;
    list_init(&q->messages);
    wait_queue_init(&q->senders);
    wait_queue_init(&q->receivers);
    q->bytes_max = ipc_limit("kernel.msgmnb", 0, MSGMNB);
    q->changed = ipc_now();
    ids.max = (unsigned)MIN(ipc_limit("kernel.msgmni", 0, MSGMNI), 32768);
    int id = ipc_add(&ids, &q->object, key, flags);
    if (id < 0)
        kfree(q);
    return id;
}

long msg_get(int32_t key, int flags)
{
    struct ipc_object *object = ipc_get(&ids, key, flags);

    if (IS_ERR(object))
        return PTR_ERR(object);
    return object ? object->id : queue_new(key, flags);
}

static struct msg_queue *find_for(int id, uint32_t rights)
{
    struct ipc_object *object = ipc_find(&ids, id);
    int err = IS_ERR(object) ? (int)PTR_ERR(object) : ipc_permission(object, rights);

    return err ? ERR_PTR(err) : queue_of(object);
}

/* Empty messages count as well, or they could be without end. */
static bool has_room(const struct msg_queue *q, size_t size)
{
    return q->bytes + size <= q->bytes_max && q->count + 1 <= q->bytes_max;
}

/* Sleeps until the condition holds or the queue is gone; gives back the caller's hold of a deleted one. */
#define wait_at(q, queue, condition)                                        \
    ({                                                                      \
        ipc_hold(&(q)->object);                                             \
        int wait_ = wait_event(queue, (q)->object.deleted || (condition)); \
        if ((q)->object.deleted)                                            \
            wait_ = -EIDRM;                                                 \
        ipc_put(&ids, &(q)->object);                                        \
        wait_ == -ERESTARTSYS ? -ERESTARTNOHAND : wait_;                    \
    })

long msg_send(int id, struct msg *msg, long type, int flags)
{
    if (type < 1)
        return -EINVAL;
    struct msg_queue *q = find_for(id, IPC_RIGHT_WRITE);
    if (IS_ERR(q))
        return PTR_ERR(q);
    if (!has_room(q, msg->size)) {
        if (flags & IPC_NOWAIT)
            return -EAGAIN;
        int err = wait_at(q, &q->senders, has_room(q, msg->size));
        if (err)
            return err;
    }
    msg->type = type;
    list_add_tail(&q->messages, &msg->link);
    q->bytes += msg->size;
    q->count++;
    q->sent = ipc_now();
    q->last_sender = current->process->pid;
    wake_up(&q->receivers);
    return 0;
}

static bool fits_type(const struct msg *msg, long type, int flags)
{
    if (type == 0)
        return true;
    if (type < 0)
        return msg->type <= (type == INT64_MIN ? INT64_MAX : -type);
    return flags & MSG_EXCEPT ? msg->type != type : msg->type == type;
}

/* The one to be received: the first that fits, of a negative type the lowest. With MSG_COPY type counts messages. */
static struct msg *choose(const struct msg_queue *q, long type, int flags)
{
    struct msg *msg, *found = NULL;

    list_for_each(msg, &q->messages, link) {
        if (flags & MSG_COPY) {
            if (type-- == 0)
                return msg;
        } else if (fits_type(msg, type, flags) && (!found || msg->type < found->type)) {
            found = msg;
            if (type >= 0)
                break;
        }
    }
    return found;
}

static struct msg *copy_of(const struct msg *msg)
{
    struct msg *copy = msg_new(msg->size);

    if (!IS_ERR(copy)) {
        copy->type = msg->type;
        memcpy(copy->text, msg->text, msg->size);
    }
    return copy;
}

struct msg *msg_receive(int id, size_t size, long type, int flags)
{
    struct msg *msg;

    if ((ssize_t)size < 0)
        return ERR_PTR(-EINVAL);
    if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT)))
        return ERR_PTR(-EINVAL);
    struct msg_queue *q = find_for(id, IPC_RIGHT_READ);
    if (IS_ERR(q))
        return ERR_PTR(PTR_ERR(q));
    msg = choose(q, type, flags);
    if (!msg) {
        if (flags & IPC_NOWAIT)
            return ERR_PTR(-ENOMSG);
        int err = wait_at(q, &q->receivers, (msg = choose(q, type, flags)));
        if (err)
            return ERR_PTR(err);
    }
    if (msg->size > size && !(flags & MSG_NOERROR))
        return ERR_PTR(-E2BIG);
    if (flags & MSG_COPY)
        return copy_of(msg);
    list_del(&msg->link);
    q->bytes -= msg->size;
    q->count--;
    q->received = ipc_now();
    q->last_receiver = current->process->pid;
    wake_up(&q->senders);
    return msg;
}

/* ---- control ---- */

static void fill(const struct msg_queue *q, struct msqid64_ds *ds)
{
    *ds = (struct msqid64_ds){
        .msg_stime = q->sent, .msg_rtime = q->received, .msg_ctime = q->changed, .msg_cbytes = q->bytes,
        .msg_qnum = q->count, .msg_qbytes = q->bytes_max, .msg_lspid = q->last_sender, .msg_lrpid = q->last_receiver};
    ipc_stat(&q->object, &ds->msg_perm);
}

long msg_stat(int id, bool place, bool any, struct msqid64_ds *ds)
{
    struct ipc_object *object = ipc_find_shown(&ids, id, place, any);

    if (IS_ERR(object))
        return PTR_ERR(object);
    fill(queue_of(object), ds);
    return place ? object->id : 0;
}

static struct msg_queue *find_owned(int id)
{
    struct ipc_object *object = ipc_find_owned(&ids, id);

    return IS_ERR(object) ? ERR_PTR(PTR_ERR(object)) : queue_of(object);
}

long msg_set(int id, const struct msqid64_ds *ds)
{
    struct msg_queue *q = find_owned(id);

    if (IS_ERR(q))
        return PTR_ERR(q);
    if (ds->msg_qbytes > ipc_limit("kernel.msgmnb", 0, MSGMNB) && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    int err = ipc_set(&q->object, &ds->msg_perm);
    if (err)
        return err;
    q->bytes_max = ds->msg_qbytes;
    q->changed = ipc_now();
    wake_up(&q->senders);
    wake_up(&q->receivers);
    return 0;
}

long msg_remove(int id)
{
    struct msg_queue *q = find_owned(id);

    if (IS_ERR(q))
        return PTR_ERR(q);
    while (!list_empty(&q->messages)) {
        struct msg *msg = list_first(&q->messages, struct msg, link);
        list_del(&msg->link);
        msg_free(msg);
    }
    ipc_hold(&q->object);
    ipc_remove(&ids, &q->object);
    wake_up(&q->senders);
    wake_up(&q->receivers);
    ipc_put(&ids, &q->object);
    return 0;
}

int msg_info(struct msginfo *info, bool usage)
{
    size_t messages = 0, bytes = 0;

    for (unsigned i = 0; i < ids.capacity; i++) {
        if (!ids.objects[i])
            continue;
        messages += queue_of(ids.objects[i])->count;
        bytes += queue_of(ids.objects[i])->bytes;
    }
    *info = (struct msginfo){
        .msgmax = (int)ipc_limit("kernel.msgmax", 0, MSGMAX), .msgmnb = (int)ipc_limit("kernel.msgmnb", 0, MSGMNB),
        .msgmni = (int)ipc_limit("kernel.msgmni", 0, MSGMNI), .msgssz = MSGSSZ, .msgseg = (unsigned short)MSGSEG,
        .msgpool = usage ? (int)ids.count : MSGPOOL, .msgmap = usage ? (int)messages : MSGMAP,
        .msgtql = usage ? (int)bytes : MSGTQL};
    return ipc_highest(&ids);
}

int msg_show(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    seq_puts(seq, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
                  "rtime      ctime\n");
    for (unsigned i = 0; i < ids.capacity; i++) {
        struct msqid64_ds ds;
        if (!ids.objects[i])
            continue;
        fill(queue_of(ids.objects[i]), &ds);
        seq_printf(seq, "%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10ld %10ld %10ld\n", ds.msg_perm.key,
                   ids.objects[i]->id, ds.msg_perm.mode, ds.msg_cbytes, ds.msg_qnum, (unsigned)ds.msg_lspid,
                   (unsigned)ds.msg_lrpid, ds.msg_perm.uid, ds.msg_perm.gid, ds.msg_perm.cuid, ds.msg_perm.cgid,
                   ds.msg_stime, ds.msg_rtime, ds.msg_ctime);
    }
    return 0;
}
