/*
 * Futexes (futex(2)). A word is known by its address: there is one address space,
 * and a shared page is at the same place for everyone. Private words of different
 * processes at one address are told apart by the mm.
 *
 * No PI futexes: ENOSYS, which glibc reports as ENOTSUP at the mutex.
 */
#include "task/futex.h"

#include <linux/futex.h>

#include "lib/error.h"
#include "lib/list.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "task/sched.h"
#include "task/task_impl.h"

#define BUCKETS 256
#define ROBUST_LIMIT 2048 /* as Linux: a list that does not end is left */

struct key {
    const struct mm *mm; /* NULL: shared */
    uaddr_t addr;
};

struct waiter {
    struct list link;
    struct key key;
    struct task *task;
    uint32_t bitset;
    bool woken;
};

static struct {
    struct list buckets[BUCKETS];
    bool ready;
} futexes;

static struct list *bucket(struct key key)
{
    if (!futexes.ready) {
        for (int i = 0; i < BUCKETS; i++) list_init(&futexes.buckets[i]);
        futexes.ready = true;
    }
    return &futexes.buckets[(key.addr >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

static bool same(struct key a, struct key b)
{
    return a.addr == b.addr && a.mm == b.mm;
}

static int make_key(uaddr_t addr, bool private, struct key *key)
{
    struct mm *mm = current->process->mm;

    if (addr & 3) return -EINVAL;
    if (!user_range_max(addr)) return -EFAULT;
    *key = (struct key){mm, addr};
    if (private) return 0;
    const struct vma *v = mm_find(mm, addr);
    if (!v) return -EFAULT;
    if (v->flags & VMA_SHARED) key->mm = NULL;
    return 0;
}

static long wake(struct key key, long count, uint32_t bitset)
{
    struct waiter *w, *next;
    long woken = 0;

    list_for_each_safe(w, next, bucket(key), link) {
        if (woken >= count) break;
        if (!same(w->key, key) || !(w->bitset & bitset)) continue;
        list_del(&w->link);
        w->woken = true;
        task_wake(w->task);
        woken++;
    }
    return woken;
}

static long wait(struct key key, uint32_t value, int64_t deadline, uint32_t bitset)
{
    struct waiter w = {.key = key, .task = current, .bitset = bitset};
    uint32_t now;
    int err = get_user_u32(&now, key.addr);

    if (err) return err;
    if (now != value) return -EAGAIN;
    list_add_tail(bucket(key), &w.link);
    while (!w.woken && !err) err = wait_sleep(deadline);
    list_del(&w.link); /* of wherever a requeue has put it */
    return w.woken ? 0 : err;
}

static long requeue(struct key from, struct key to, long wakes, long moves)
{
    struct waiter *w, *next;
    long done = wake(from, wakes, ~0u);

    if (same(from, to)) return done;
    list_for_each_safe(w, next, bucket(from), link) {
        if (moves <= 0) break;
        if (!same(w->key, from)) continue;
        list_del(&w->link);
        w->key = to;
        list_add_tail(bucket(to), &w->link);
        moves--;
        done++;
    }
    return done;
}

/* FUTEX_WAKE_OP's little program: changes the word and says whether its old value passes the test. */
static int wake_op(uaddr_t addr, uint32_t encoded, bool *pass)
{
    unsigned op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
    int arg = (int32_t)(encoded << 8) >> 20, cmparg = (int32_t)(encoded << 20) >> 20;
    uint32_t old, seen, new;

    if (encoded >> 31) arg = (int)(1u << (arg & 31));
    int err = get_user_u32(&old, addr);
    if (err) return err;
    do {
        switch (op) {
        case FUTEX_OP_SET: new = (uint32_t)arg; break;
        case FUTEX_OP_ADD: new = old + (uint32_t)arg; break;
        case FUTEX_OP_OR: new = old | (uint32_t)arg; break;
        case FUTEX_OP_ANDN: new = old & ~(uint32_t)arg; break;
        case FUTEX_OP_XOR: new = old ^ (uint32_t)arg; break;
        default: return -ENOSYS;
        }
        seen = old;
        err = cmpxchg_user_u32(addr, &seen, new);
        if (err) return err;
        if (seen == old) break;
        old = seen;
    } while (true);

    int value = (int)old;
    switch (cmp) {
    case FUTEX_OP_CMP_EQ: *pass = value == cmparg; break;
    case FUTEX_OP_CMP_NE: *pass = value != cmparg; break;
    case FUTEX_OP_CMP_LT: *pass = value < cmparg; break;
    case FUTEX_OP_CMP_GE: *pass = value >= cmparg; break;
    case FUTEX_OP_CMP_LE: *pass = value <= cmparg; break;
    case FUTEX_OP_CMP_GT: *pass = value > cmparg; break;
    default: return -ENOSYS;
    }
    return 0;
}

static long restart_wait(struct restart_block *b)
{
    struct key key;
    int err = make_key(b->arg, b->words[1], &key);

    if (err) return err;
    long r = wait(key, (uint32_t)b->words[0], b->deadline_ns, (uint32_t)b->words[2]);
    return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

/* The deadline of a FUTEX_WAIT family call. */
static int wait_deadline(uaddr_t timeout, int cmd, bool realtime, int64_t *deadline)
{
    struct __kernel_timespec ts;
    int64_t ns;

    *deadline = WAIT_FOREVER;
    if (!timeout) return 0;
    int err = copy_from_user(&ts, timeout, sizeof ts);
    if (!err) err = timespec_to_ns(&ts, &ns);
    if (err) return err;
    if (cmd == FUTEX_WAIT)
        *deadline = deadline_after(ns);
    else
        *deadline = realtime ? timer_deadline_realtime(ns) : ns;
    return 0;
}

long futex_call(uaddr_t addr, int op, uint32_t value, uaddr_t timeout, uaddr_t addr2, uint32_t value3)
{
    int cmd = op & FUTEX_CMD_MASK;
    bool private = op & FUTEX_PRIVATE_FLAG, pass = false;
    struct key key, key2;
    int64_t deadline;
    uint32_t bitset = ~0u, now;
    int err;

    if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT && cmd != FUTEX_WAIT_BITSET) return -ENOSYS;
    switch (cmd) {
    case FUTEX_WAIT_BITSET:
        bitset = value3;
        if (!bitset) return -EINVAL;
        /* fall through */
    case FUTEX_WAIT: {
        err = wait_deadline(timeout, cmd, op & FUTEX_CLOCK_REALTIME, &deadline);
        if (!err) err = make_key(addr, private, &key);
        if (err) return err;
        long r = wait(key, value, deadline, bitset);
        if (r != -ERESTARTSYS || deadline == WAIT_FOREVER) return r;
        current->restart = (struct restart_block){
            .restart = restart_wait, .deadline_ns = deadline, .arg = addr, .words = {value, private, bitset}};
        return -ERESTART_RESTARTBLOCK;
    }
    case FUTEX_WAKE_BITSET:
        bitset = value3;
        if (!bitset) return -EINVAL;
        /* fall through */
    case FUTEX_WAKE:
        err = make_key(addr, private, &key);
        return err ? err : wake(key, MAX((int)value, 1), bitset);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        if ((int)value < 0 || (int)timeout < 0) return -EINVAL;
        err = make_key(addr, private, &key);
        if (!err) err = make_key(addr2, private, &key2);
        if (!err && cmd == FUTEX_CMP_REQUEUE) {
            err = get_user_u32(&now, addr);
            if (!err && now != value3) err = -EAGAIN;
        }
        return err ? err : requeue(key, key2, (int)value, (int)timeout);
    case FUTEX_WAKE_OP: {
        err = make_key(addr, private, &key);
        if (!err) err = make_key(addr2, private, &key2);
        if (!err) err = wake_op(addr2, value3, &pass);
        if (err) return err;
        long woken = wake(key, MAX((int)value, 1), ~0u);
        if (pass) woken += wake(key2, MAX((int)timeout, 1), ~0u);
        return woken;
    }
    default: return -ENOSYS;
    }
}

long futex_wake(uaddr_t addr, int count)
{
    struct key key;
    int err = make_key(addr, false, &key);

    if (err) return err;
    long woken = wake(key, count, ~0u);
    /* Waiters may have said it was private. */
    key.mm = current->process->mm;
    return woken + wake(key, count - woken, ~0u);
}

/* A robust mutex whose owner dies: its word says so, and one waiter is woken to find out. */
static int handle_death(uaddr_t addr, bool pi, bool pending)
{
    uint32_t value, seen;

    if (addr & 3 || get_user_u32(&value, addr)) return -EFAULT;
    if (pending && !pi && !value) {
        /* It was about to be unlocked: the wake-up may not have happened. */
        futex_wake(addr, 1);
        return 0;
    }
    while ((value & FUTEX_TID_MASK) == (uint32_t)current->tid) {
        seen = value;
        if (cmpxchg_user_u32(addr, &seen, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) return -EFAULT;
        if (seen != value) {
            value = seen;
            continue;
        }
        if (!pi && value & FUTEX_WAITERS) futex_wake(addr, 1);
        break;
    }
    return 0;
}

static void walk_robust_list(void)
{
    uint64_t entry, offset, pending, next;
    uaddr_t head = current->robust_list;

    if (!head || get_user_u64(&entry, head) || get_user_u64(&offset, head + 8) || get_user_u64(&pending, head + 16))
        return;
    for (int i = 0; (entry & ~1ull) != head && i < ROBUST_LIMIT; i++) {
        bool bad = get_user_u64(&next, entry & ~1ull);
        if ((entry & ~1ull) != (pending & ~1ull) && handle_death((entry & ~1ull) + offset, entry & 1, false)) return;
        if (bad) return;
        entry = next;
    }
    if (pending & ~1ull) handle_death((pending & ~1ull) + offset, pending & 1, true);
}

void futex_exit_task(void)
{
    walk_robust_list();
    current->robust_list = 0;
    /* Nobody joins a thread of a process that is gone. */
    if (current->clear_child_tid && current->process->mm->refs + current->process->ntasks > 2) {
        put_user_u32(current->clear_child_tid, 0);
        futex_wake(current->clear_child_tid, 1);
    }
    current->clear_child_tid = 0;
}
