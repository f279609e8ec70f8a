/* Bytes from or to the memory of another process: process_vm_readv(2). */
#include "fs/uio.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "mm/page.h"
#include "mm/share.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/task.h"

#define PIECES_MAX 1024u

/* ptrace(2), "Ptrace access mode checking": PTRACE_MODE_ATTACH_REALCREDS. */
static bool may_access(const struct process *target)
{
    const struct cred *own = current->cred, *other = list_first(&target->tasks, struct task, process_link)->cred;

    if (target == current->process || capable(CAP_SYS_PTRACE))
        return true;
    return own->uid == other->uid && own->uid == other->euid && own->uid == other->suid && own->gid == other->gid &&
           own->gid == other->egid && own->gid == other->sgid && target->dumpable &&
           !(other->cap_permitted & ~own->cap_permitted);
}

/* The memory of the process that a thread belongs to, counted; ERR_PTR. */
static struct mm *memory_of(int tid)
{
    const struct task *task = task_find(tid);

    if (!task || !task->process || !task->process->mm)
        return ERR_PTR(-ESRCH);
    return may_access(task->process) ? mm_get(task->process->mm) : ERR_PTR(-EPERM);
}

/* One piece there, in steps of at most a page through `step`. Bytes moved; fewer where memory is bad. */
static size_t move(struct mm *mm, uaddr_t at, size_t len, struct iov_iter *local, bool write, void *step)
{
    size_t done = 0;

    while (done < len && local->count > 0) {
        size_t want = MIN(MIN(len - done, local->count), PAGE_SIZE), got;
        if (write) {
            ssize_t n = copy_from_iter(local, step, want);
            got = n > 0 ? share_poke(mm, at + done, step, (size_t)n) : 0;
        } else {
            got = share_peek(mm, at + done, step, want);
            ssize_t n = got ? copy_to_iter(local, step, got) : 0;
            got = n > 0 ? (size_t)n : 0;
        }
        done += got;
        if (got < want)
            break;
    }
    return done;
}

static long move_all(struct mm *mm, const struct user_iovec *remote, size_t count, struct iov_iter *local, bool write)
{
    void *step = page_alloc(1);
    size_t done = 0;

    if (!step)
        return -ENOMEM;
    for (size_t i = 0; i < count && local->count > 0; i++) {
        size_t want = MIN(remote[i].len, local->count);
        size_t got = user_range_max(remote[i].base) >= want ? move(mm, remote[i].base, want, local, write, step) : 0;
        done += got;
        if (got < want) {
            page_free(step, 1);
            return done ? (long)done : -EFAULT;
        }
    }
    page_free(step, 1);
    return (long)done;
}

static long transfer(int tid, uaddr_t local_at, size_t local_count, uaddr_t remote_at, size_t remote_count, long flags,
                     bool write)
{
    struct iov_iter it;

    if (flags)
        return -EINVAL;
    struct user_iovec *local = iov_from_user(local_at, local_count);
    if (IS_ERR(local))
        return PTR_ERR(local);
    struct user_iovec *remote = remote_count > PIECES_MAX ? ERR_PTR(-EINVAL) : iov_from_user(remote_at, remote_count);
    long result = IS_ERR(remote) ? PTR_ERR(remote) : 0;
    if (!result) {
        iov_iter_vec(&it, local, local_count);
        struct mm *mm = it.count > 0 && remote_count > 0 ? memory_of(tid) : NULL;
        result = IS_ERR(mm) ? PTR_ERR(mm) : mm ? move_all(mm, remote, remote_count, &it, write) : 0;
        if (mm && !IS_ERR(mm))
            mm_put(mm);
        kfree(remote);
    }
    kfree(local);
    return result;
}

long sys_process_vm_readv(long tid, long local, long local_count, long remote, long remote_count, long flags)
{
    return transfer((int)tid, (uaddr_t)local, (size_t)local_count, (uaddr_t)remote, (size_t)remote_count, flags, false);
}

long sys_process_vm_writev(long tid, long local, long local_count, long remote, long remote_count, long flags)
{
    return transfer((int)tid, (uaddr_t)local, (size_t)local_count, (uaddr_t)remote, (size_t)remote_count, flags, true);
}
