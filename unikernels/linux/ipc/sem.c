#include "ipc/sem.h"

#include "ipc/ids.h"
#include "lib/list.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/sched.h"
#include "task/task.h"
#include "task/wait.h"
#include "time/clock.h"

enum limit { LIMIT_PER_SET, LIMIT_ALL, LIMIT_OPERATIONS, LIMIT_SETS }; /* the order of kernel.sem */

struct semaphore {
    uint16_t value;
    int pid; /* of whoever changed it last */
};

struct sem_set {
    struct ipc_object object;
    unsigned count;
    int64_t operated, changed; /* seconds since the epoch */
    struct list waiters;       /* struct waiter, in order of arrival */
    struct list undos;         /* struct undo, by set_link */
    struct semaphore sems[];
};

struct waiter {
    struct list link;
    struct task *task;
    const struct sembuf *ops;
    unsigned count;
    struct undo *undo;
    const struct sembuf *blocked; /* the one of ops that it waits for */
    int pid;
    bool done;
    long result;
};

/* What a process has to undo in a set. */
struct undo {
    struct list process_link, set_link;
    struct sem_set *set;
    const struct process *process;
    int16_t adjust[];
};

static void set_free(struct ipc_object *object);
static struct ipc_ids ids = {.max = SEMMNI, .free = set_free};
static unsigned all_semaphores;

static struct sem_set *set_of(struct ipc_object *object)
{
    return container_of(object, struct sem_set, object);
}

static void undo_free(struct undo *undo)
{
    list_del(&undo->process_link);
    list_del(&undo->set_link);
    kfree(undo);
}

static void set_free(struct ipc_object *object)
{
    kfree(set_of(object));
}

static uint64_t limit(enum limit which)
{
    static const uint64_t fallback[] = {SEMMSL, SEMMNS, SEMOPM, SEMMNI};

    return ipc_limit("kernel.sem", which, fallback[which]);
}

uint64_t sem_operations_max(void)
{
    return MIN(limit(LIMIT_OPERATIONS), 1000);
}

static long set_new(int32_t key, int count, int flags)
{
    if (count <= 0)
        return -EINVAL;
    if (all_semaphores + (unsigned)count > limit(LIMIT_ALL))
        return -ENOSPC;
    struct sem_set *set = kzalloc(sizeof(*set) + (unsigned)count * sizeof(set->sems[0]));
    if (!set)
        return -ENOMEM;
    set->count = (unsigned)count;
    set->changed = ipc_now();
    list_init(&set->waiters);
    list_init(&set->undos);
    ids.max = (unsigned)MIN(limit(LIMIT_SETS), 32768);
    int id = ipc_add(&ids, &set->object, key, flags);
    if (id < 0)
        kfree(set);
    else
        all_semaphores += set->count;
    return id;
}

long sem_get(int32_t key, int count, int flags)
{
    if (count < 0 || (uint64_t)count > limit(LIMIT_PER_SET))
        return -EINVAL;
    struct ipc_object *object = ipc_get(&ids, key, flags);
    if (IS_ERR(object))
        return PTR_ERR(object);
    if (!object)
        return set_new(key, count, flags);
    return (unsigned)count > set_of(object)->count ? -EINVAL : object->id;
}

/* ---- operations ---- */

/* Of the process in the set; made if there is none. NULL: no memory. */
static struct undo *undo_get(struct sem_set *set, struct process *process)
{
    struct undo *undo;

    list_for_each(undo, &set->undos, set_link)
        if (undo->process == process)
            return undo;
    undo = kzalloc(sizeof(*undo) + set->count * sizeof(undo->adjust[0]));
    if (!undo)
        return NULL;
    undo->set = set;
    undo->process = process;
    list_add_tail(&process->sem_undos, &undo->process_link);
    list_add_tail(&set->undos, &undo->set_link);
    return undo;
}

static void revert(struct sem_set *set, const struct sembuf *ops, const struct sembuf *to, struct undo *undo)
{
    while (to-- > ops) {
        struct semaphore *sem = &set->sems[to->sem_num];
        sem->value = (uint16_t)(sem->value - to->sem_op);
        if (to->sem_flg & SEM_UNDO && undo)
            undo->adjust[to->sem_num] = (int16_t)(undo->adjust[to->sem_num] + to->sem_op);
    }
}

/* All of them, or none: 0, -ERANGE, or 1 where it has to wait for *blocked. */
static long try_operations(struct sem_set *set, const struct sembuf *ops, unsigned count, struct undo *undo, int pid,
                           const struct sembuf **blocked)
{
    const struct sembuf *op;
    long result = 0;

    for (op = ops; op < ops + count; op++) {
        struct semaphore *sem = &set->sems[op->sem_num];
        int value = sem->value + op->sem_op;
        if ((!op->sem_op && sem->value) || value < 0)
            result = 1;
        else if (value > SEMVMX)
            result = -ERANGE;
        if (result)
            break;
        if (op->sem_flg & SEM_UNDO && undo) {
            int adjust = undo->adjust[op->sem_num] - op->sem_op;
            if (adjust < -SEMAEM - 1 || adjust > SEMAEM) {
                result = -ERANGE;
                break;
            }
            undo->adjust[op->sem_num] = (int16_t)adjust;
        }
        sem->value = (uint16_t)value;
    }
    if (result) {
        revert(set, ops, op, undo);
        *blocked = op;
        return result;
    }
    for (op = ops; op < ops + count; op++)
        set->sems[op->sem_num].pid = pid;
    return 0;
}

static bool alters(const struct sembuf *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (ops[i].sem_op)
            return true;
    return false;
}

static void finish(struct waiter *w, long result)
{
    list_del(&w->link);
    w->done = true;
    w->result = result;
    task_wake(w->task);
}

/* Values have changed: whoever can go on goes on, in order of arrival, until nobody can. */
static void set_changed(struct sem_set *set)
{
    struct waiter *w, *next;
    bool again = true;

    while (again) {
        again = false;
        list_for_each_safe(w, next, &set->waiters, link) {
            long result = try_operations(set, w->ops, w->count, w->undo, w->pid, &w->blocked);
            if (result > 0)
                continue;
            if (!result) {
                set->operated = ipc_now();
                again |= alters(w->ops, w->count);
            }
            finish(w, result);
        }
    }
}

static long wait_for(struct sem_set *set, struct waiter *w, int64_t deadline)
{
    long err = 0;

    list_add_tail(&set->waiters, &w->link);
    ipc_hold(&set->object);
    while (!w->done && !err)
        err = wait_sleep(deadline);
    if (!w->done)
        list_del(&w->link);
    ipc_put(&ids, &set->object);
    if (w->done)
        return w->result;
    return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

long sem_operate(int id, const struct sembuf *ops, unsigned count, int64_t deadline)
{
    struct ipc_object *object = ipc_find(&ids, id);
    bool undoes = false;

    if (IS_ERR(object))
        return PTR_ERR(object);
    struct sem_set *set = set_of(object);
    for (unsigned i = 0; i < count; i++) {
        if (ops[i].sem_num >= set->count)
            return -EFBIG;
        undoes |= ops[i].sem_flg & SEM_UNDO && ops[i].sem_op;
    }
    int err = ipc_permission(object, alters(ops, count) ? IPC_RIGHT_WRITE : IPC_RIGHT_READ);
    if (err)
        return err;
    struct waiter w = {.task = current, .ops = ops, .count = count, .pid = current->process->pid};
    list_init(&w.link);
    if (undoes && !(w.undo = undo_get(set, current->process)))
        return -ENOMEM;
    long result = try_operations(set, ops, count, w.undo, w.pid, &w.blocked);
    if (!result) {
        set->operated = ipc_now();
        if (alters(ops, count))
            set_changed(set);
    }
    if (result <= 0)
        return result;
    return w.blocked->sem_flg & IPC_NOWAIT ? -EAGAIN : wait_for(set, &w, deadline);
}

void sem_process_exit(struct process *process)
{
    struct undo *undo, *next;

    list_for_each_safe(undo, next, &process->sem_undos, process_link) {
        struct sem_set *set = undo->set;
        for (unsigned i = 0; i < set->count; i++) {
            int value = set->sems[i].value + undo->adjust[i];
            if (!undo->adjust[i])
                continue;
            set->sems[i].value = (uint16_t)MAX(MIN(value, SEMVMX), 0);
            set->sems[i].pid = process->pid;
        }
        undo_free(undo);
        set->operated = ipc_now();
        set_changed(set);
    }
}

/* ---- control ---- */

static struct sem_set *find_for(int id, uint32_t rights)
{
    struct ipc_object *object = ipc_find(&ids, id);
    int err = IS_ERR(object) ? (int)PTR_ERR(object) : ipc_permission(object, rights);

    return err ? ERR_PTR(err) : set_of(object);
}

static long waiting(const struct sem_set *set, unsigned number, bool for_zero)
{
    const struct waiter *w;
    long n = 0;

    list_for_each(w, &set->waiters, link)
        n += w->blocked->sem_num == number && !w->blocked->sem_op == for_zero;
    return n;
}

long sem_read(int id, int number, int command)
{
    struct sem_set *set = find_for(id, IPC_RIGHT_READ);

    if (IS_ERR(set))
        return PTR_ERR(set);
    if (number < 0 || (unsigned)number >= set->count)
        return -EINVAL;
    switch (command) {
    case GETVAL:
        return set->sems[number].value;
    case GETPID:
        return set->sems[number].pid;
    default:
        return waiting(set, (unsigned)number, command == GETZCNT);
    }
}

static void set_value(struct sem_set *set, unsigned number, uint16_t value)
{
    struct undo *undo;

    set->sems[number].value = value;
    set->sems[number].pid = current->process->pid;
    list_for_each(undo, &set->undos, set_link)
        undo->adjust[number] = 0;
}

long sem_write(int id, int number, int value)
{
    struct ipc_object *object = ipc_find(&ids, id);

    if (value < 0 || value > SEMVMX)
        return -ERANGE;
    if (IS_ERR(object))
        return PTR_ERR(object);
    struct sem_set *set = set_of(object);
    if (number < 0 || (unsigned)number >= set->count)
        return -EINVAL;
    int err = ipc_permission(object, IPC_RIGHT_WRITE);
    if (err)
        return err;
    set_value(set, (unsigned)number, (uint16_t)value);
    set->changed = ipc_now();
    set_changed(set);
    return 0;
}

uint16_t *sem_read_all(int id, unsigned *count)
{
    struct sem_set *set = find_for(id, IPC_RIGHT_READ);

    if (IS_ERR(set))
        return ERR_PTR(PTR_ERR(set));
    uint16_t *values = kmalloc(set->count * sizeof(*values));
    if (!values)
        return ERR_PTR(-ENOMEM);
    *count = set->count;
    for (unsigned i = 0; i < set->count; i++)
        values[i] = set->sems[i].value;
    return values;
}

long sem_count(int id)
{
    struct sem_set *set = find_for(id, IPC_RIGHT_WRITE);

    return IS_ERR(set) ? PTR_ERR(set) : (long)set->count;
}

long sem_write_all(int id, const uint16_t *values, unsigned count)
{
    struct sem_set *set = find_for(id, IPC_RIGHT_WRITE);

    if (IS_ERR(set))
        return PTR_ERR(set);
    if (count != set->count)
        return -EIDRM; /* another one under its number, while the values were read */
    for (unsigned i = 0; i < count; i++)
        if (values[i] > SEMVMX)
            return -ERANGE;
    for (unsigned i = 0; i < count; i++)
        set_value(set, i, values[i]);
    set->changed = ipc_now();
    set_changed(set);
    return 0;
}

static void fill(const struct sem_set *set, struct semid64_ds *ds)
{
    *ds = (struct semid64_ds){.sem_otime = set->operated, .sem_ctime = set->changed, .sem_nsems = set->count};
    ipc_stat(&set->object, &ds->sem_perm);
}

long sem_stat(int id, bool place, bool any, struct semid64_ds *ds)
{
    struct ipc_object *object = ipc_find_shown(&ids, id, place, any);

    if (IS_ERR(object))
        return PTR_ERR(object);
    fill(set_of(object), ds);
    return place ? object->id : 0;
}

static struct sem_set *find_owned(int id)
{
    struct ipc_object *object = ipc_find_owned(&ids, id);

    return IS_ERR(object) ? ERR_PTR(PTR_ERR(object)) : set_of(object);
}

long sem_set(int id, const struct semid64_ds *ds)
{
    struct sem_set *set = find_owned(id);
    int err = IS_ERR(set) ? (int)PTR_ERR(set) : ipc_set(&set->object, &ds->sem_perm);

    if (!err)
        set->changed = ipc_now();
    return err;
}

long sem_remove(int id)
{
    struct sem_set *set = find_owned(id);

    if (IS_ERR(set))
        return PTR_ERR(set);
    while (!list_empty(&set->waiters))
        finish(list_first(&set->waiters, struct waiter, link), -EIDRM);
    while (!list_empty(&set->undos))
        undo_free(list_first(&set->undos, struct undo, set_link));
    all_semaphores -= set->count;
    ipc_remove(&ids, &set->object);
    return 0;
}

int sem_info(struct seminfo *info, bool usage)
{
    *info = (struct seminfo){
        .semmni = (int)limit(LIMIT_SETS), .semmns = (int)limit(LIMIT_ALL), .semmsl = (int)limit(LIMIT_PER_SET),
        .semopm = (int)limit(LIMIT_OPERATIONS), .semvmx = SEMVMX, .semmnu = SEMMNU, .semmap = SEMMAP, .semume = SEMUME,
        .semusz = usage ? (int)ids.count : SEMUSZ, .semaem = usage ? (int)all_semaphores : SEMAEM};
    return ipc_highest(&ids);
}

int sem_show(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    seq_puts(seq, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    for (unsigned i = 0; i < ids.capacity; i++) {
        struct semid64_ds ds;
        if (!ids.objects[i])
            continue;
        fill(set_of(ids.objects[i]), &ds);
        seq_printf(seq, "%10d %10d  %4o %10lu %5u %5u %5u %5u %10ld %10ld\n", ds.sem_perm.key, ids.objects[i]->id,
                   ds.sem_perm.mode, ds.sem_nsems, ds.sem_perm.uid, ds.sem_perm.gid, ds.sem_perm.cuid, ds.sem_perm.cgid,
                   ds.sem_otime, ds.sem_ctime);
    }
    return 0;
}
