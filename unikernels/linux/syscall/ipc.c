/* System V IPC: what programs pass is read here, and the objects in ipc/ do the rest. */
#include "ipc/ids.h"
#include "ipc/msg.h"
#include "ipc/sem.h"
#include "ipc/shm.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/wait.h"

/* ---- shared memory ---- */

enum { SHM_LOCK = 11, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY };

/* As <linux/shm.h>, which brings the C library with it. */
struct shm_info {
    int used_ids;
    uint64_t shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes;
};

long sys_shmget(long key, long size, long flags)
{
    return shm_get((int32_t)key, (size_t)size, (int)flags);
}

long sys_shmat(long id, long addr, long flags)
{
    return shm_attach((int)id, (uaddr_t)addr, (int)flags);
}

long sys_shmdt(long addr)
{
    return shm_detach((uaddr_t)addr);
}

static long shm_report(uaddr_t out, bool usage)
{
    struct shminfo64 limits;
    struct shm_usage used;
    int highest = shm_info(&limits, &used);
    const struct shm_info info = {.used_ids = (int)used.segments, .shm_tot = used.pages, .shm_rss = used.resident};
    int err = usage ? copy_to_user(out, &info, sizeof(info)) : copy_to_user(out, &limits, sizeof(limits));

    return err ? err : highest;
}

long sys_shmctl(long id, long cmd, long arg)
{
    struct shmid64_ds ds;
    uaddr_t at = (uaddr_t)arg;
    long result;

    if ((int)cmd < 0 || (int)id < 0)
        return -EINVAL;
    switch ((int)cmd) {
    case IPC_INFO:
    case SHM_INFO:
        return shm_report(at, (int)cmd == SHM_INFO);
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        result = shm_stat((int)id, (int)cmd != IPC_STAT, (int)cmd == SHM_STAT_ANY, &ds);
        return result >= 0 && copy_to_user(at, &ds, sizeof(ds)) ? -EFAULT : result;
    case IPC_SET:
        return copy_from_user(&ds, at, sizeof(ds)) ? -EFAULT : shm_set((int)id, &ds);
    case IPC_RMID:
        return shm_remove((int)id);
    case SHM_LOCK:
    case SHM_UNLOCK:
        return shm_lock((int)id, (int)cmd == SHM_LOCK);
    default:
        return -EINVAL;
    }
}

/* ---- semaphores ---- */

#define FEW_OPERATIONS 8u

long sys_semget(long key, long count, long flags)
{
    return sem_get((int32_t)key, (int)count, (int)flags);
}

static long semop(int id, uaddr_t ops_at, unsigned count, int64_t deadline)
{
    struct sembuf few[FEW_OPERATIONS], *ops = few;

    if (count < 1)
        return -EINVAL;
    if (count > sem_operations_max())
        return -E2BIG;
    if (count > FEW_OPERATIONS && !(ops = kmalloc(count * sizeof(*ops))))
        return -ENOMEM;
    long result = copy_from_user(ops, ops_at, count * sizeof(*ops));
    if (!result)
        result = sem_operate(id, ops, count, deadline);
    if (ops != few)
        kfree(ops);
    return result;
}

long sys_semop(long id, long ops, long count)
{
    return semop((int)id, (uaddr_t)ops, (unsigned)count, WAIT_FOREVER);
}

long sys_semtimedop(long id, long ops, long count, long timeout)
{
    int64_t deadline;
    int err = deadline_from_user_timespec((uaddr_t)timeout, &deadline);

    return err ? err : semop((int)id, (uaddr_t)ops, (unsigned)count, deadline);
}

static long get_all(int id, uaddr_t at)
{
    unsigned count;
    uint16_t *values = sem_read_all(id, &count);

    if (IS_ERR(values))
        return PTR_ERR(values);
    int err = copy_to_user(at, values, count * sizeof(*values));
    kfree(values);
    return err;
}

static long set_all(int id, uaddr_t at)
{
    long count = sem_count(id);

    if (count < 0)
        return count;
    uint16_t *values = kmalloc((size_t)count * sizeof(*values));
    if (!values)
        return -ENOMEM;
    long result = copy_from_user(values, at, (size_t)count * sizeof(*values));
    if (!result)
        result = sem_write_all(id, values, (unsigned)count);
    kfree(values);
    return result;
}

static long sem_report(uaddr_t at, bool usage)
{
    struct seminfo info;
    int highest = sem_info(&info, usage);

    return copy_to_user(at, &info, sizeof(info)) ? -EFAULT : highest;
}

long sys_semctl(long id, long number, long cmd, long arg)
{
    struct semid64_ds ds;
    uaddr_t at = (uaddr_t)arg;
    long result;

    if ((int)id < 0)
        return -EINVAL;
    switch ((int)cmd) {
    case IPC_INFO:
    case SEM_INFO:
        return sem_report(at, (int)cmd == SEM_INFO);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        result = sem_stat((int)id, (int)cmd != IPC_STAT, (int)cmd == SEM_STAT_ANY, &ds);
        return result >= 0 && copy_to_user(at, &ds, sizeof(ds)) ? -EFAULT : result;
    case GETALL:
        return get_all((int)id, at);
    case SETALL:
        return set_all((int)id, at);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
        return sem_read((int)id, (int)number, (int)cmd);
    case SETVAL:
        return sem_write((int)id, (int)number, (int)arg);
    case IPC_SET:
        return copy_from_user(&ds, at, sizeof(ds)) ? -EFAULT : sem_set((int)id, &ds);
    case IPC_RMID:
        return sem_remove((int)id);
    default:
        return -EINVAL;
    }
}

/* ---- messages ---- */

long sys_msgget(long key, long flags)
{
    return msg_get((int32_t)key, (int)flags);
}

long sys_msgsnd(long id, long buffer, long size, long flags)
{
    uint64_t type;
    int err = get_user_u64(&type, (uaddr_t)buffer);

    if (err)
        return err;
    if ((int)id < 0 || size < 0)
        return -EINVAL;
    struct msg *msg = msg_new((size_t)size);
    if (IS_ERR(msg))
        return PTR_ERR(msg);
    long result = copy_from_user(msg_text(msg), (uaddr_t)buffer + sizeof(type), (size_t)size);
    if (!result)
        result = msg_send((int)id, msg, (long)type, (int)flags);
    if (result)
        msg_free(msg);
    return result;
}

long sys_msgrcv(long id, long buffer, long size, long type, long flags)
{
    if ((int)id < 0)
        return -EINVAL;
    struct msg *msg = msg_receive((int)id, (size_t)size, type, (int)flags);
    if (IS_ERR(msg))
        return PTR_ERR(msg);
    size_t n = MIN(msg_size(msg), (size_t)size);
    long result = (long)n;
    if (put_user_u64((uaddr_t)buffer, (uint64_t)msg_type(msg)) ||
        copy_to_user((uaddr_t)buffer + sizeof(uint64_t), msg_text(msg), n))
        result = -EFAULT;
    msg_free(msg);
    return result;
}

static long msg_report(uaddr_t at, bool usage)
{
    struct msginfo info;
    int highest = msg_info(&info, usage);

    return copy_to_user(at, &info, sizeof(info)) ? -EFAULT : highest;
}

long sys_msgctl(long id, long cmd, long arg)
{
    struct msqid64_ds ds;
    uaddr_t at = (uaddr_t)arg;
    long result;

    if ((int)id < 0 || (int)cmd < 0)
        return -EINVAL;
    switch ((int)cmd) {
    case IPC_INFO:
    case MSG_INFO:
        return msg_report(at, (int)cmd == MSG_INFO);
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
        result = msg_stat((int)id, (int)cmd != IPC_STAT, (int)cmd == MSG_STAT_ANY, &ds);
        return result >= 0 && copy_to_user(at, &ds, sizeof(ds)) ? -EFAULT : result;
    case IPC_SET:
        return copy_from_user(&ds, at, sizeof(ds)) ? -EFAULT : msg_set((int)id, &ds);
    case IPC_RMID:
        return msg_remove((int)id);
    default:
        return -EINVAL;
    }
}
