/* credentials(7), capabilities(7). Each change makes a new cred and swaps it in. */
#include <linux/capability.h>

#include "lib/error.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/uaccess.h"
#include "syscall/table.h"
#include "task/cred_impl.h"
#include "task/task.h"

#define KEEP 0xffffffffu /* -1: leave this id as it is */
#define GROUPS_MAX 65536

static long install(struct cred *c)
{
    cred_fix_capabilities(c, current->cred);
    cred_put(current->cred);
    current->cred = c;
    return 0;
}

static bool one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
    return id == KEEP || id == a || id == b || id == c;
}

long sys_getuid(void)
{
    return current->cred->uid;
}

long sys_geteuid(void)
{
    return current->cred->euid;
}

long sys_getgid(void)
{
    return current->cred->gid;
}

long sys_getegid(void)
{
    return current->cred->egid;
}

long sys_setuid(long id)
{
    uint32_t uid = (uint32_t)id;
    struct cred *c = cred_copy(current->cred);

    if (uid == KEEP) {
        cred_put(c);
        return -EINVAL;
    }
    if (!c) return -ENOMEM;
    if (capable(CAP_SETUID)) {
        c->uid = c->suid = uid;
    } else if (uid != c->uid && uid != c->suid) {
        cred_put(c);
        return -EPERM;
    }
    c->euid = c->fsuid = uid;
    return install(c);
}

long sys_setgid(long id)
{
    uint32_t gid = (uint32_t)id;
    struct cred *c = cred_copy(current->cred);

    if (gid == KEEP) {
        cred_put(c);
        return -EINVAL;
    }
    if (!c) return -ENOMEM;
    if (capable(CAP_SETGID)) {
        c->gid = c->sgid = gid;
    } else if (gid != c->gid && gid != c->sgid) {
        cred_put(c);
        return -EPERM;
    }
    c->egid = c->fsgid = gid;
    return install(c);
}

long sys_setreuid(long r, long e)
{
    const struct cred *o = current->cred;
    uint32_t ruid = (uint32_t)r, euid = (uint32_t)e;

    if (!capable(CAP_SETUID) && (!one_of(ruid, o->uid, o->euid, o->uid) || !one_of(euid, o->uid, o->euid, o->suid)))
        return -EPERM;
    struct cred *c = cred_copy(o);
    if (!c) return -ENOMEM;
    if (ruid != KEEP) c->uid = ruid;
    if (euid != KEEP) c->euid = euid;
    if (ruid != KEEP || (euid != KEEP && euid != o->uid)) c->suid = c->euid;
    c->fsuid = c->euid;
    return install(c);
}

long sys_setregid(long r, long e)
{
    const struct cred *o = current->cred;
    uint32_t rgid = (uint32_t)r, egid = (uint32_t)e;

    if (!capable(CAP_SETGID) && (!one_of(rgid, o->gid, o->egid, o->gid) || !one_of(egid, o->gid, o->egid, o->sgid)))
        return -EPERM;
    struct cred *c = cred_copy(o);
    if (!c) return -ENOMEM;
    if (rgid != KEEP) c->gid = rgid;
    if (egid != KEEP) c->egid = egid;
    if (rgid != KEEP || (egid != KEEP && egid != o->gid)) c->sgid = c->egid;
    c->fsgid = c->egid;
    return install(c);
}

long sys_setresuid(long r, long e, long s)
{
    const struct cred *o = current->cred;
    uint32_t ids[3] = {(uint32_t)r, (uint32_t)e, (uint32_t)s};

    for (int i = 0; i < 3; i++)
        if (!one_of(ids[i], o->uid, o->euid, o->suid) && !capable(CAP_SETUID)) return -EPERM;
    struct cred *c = cred_copy(o);
    if (!c) return -ENOMEM;
    if (ids[0] != KEEP) c->uid = ids[0];
    if (ids[1] != KEEP) c->euid = ids[1];
    if (ids[2] != KEEP) c->suid = ids[2];
    c->fsuid = c->euid;
    return install(c);
}

long sys_setresgid(long r, long e, long s)
{
    const struct cred *o = current->cred;
    uint32_t ids[3] = {(uint32_t)r, (uint32_t)e, (uint32_t)s};

    for (int i = 0; i < 3; i++)
        if (!one_of(ids[i], o->gid, o->egid, o->sgid) && !capable(CAP_SETGID)) return -EPERM;
    struct cred *c = cred_copy(o);
    if (!c) return -ENOMEM;
    if (ids[0] != KEEP) c->gid = ids[0];
    if (ids[1] != KEEP) c->egid = ids[1];
    if (ids[2] != KEEP) c->sgid = ids[2];
    c->fsgid = c->egid;
    return install(c);
}

static long put_three(const long *to, uint32_t a, uint32_t b, uint32_t c)
{
    if (put_user_u32((uaddr_t)to[0], a) || put_user_u32((uaddr_t)to[1], b) || put_user_u32((uaddr_t)to[2], c))
        return -EFAULT;
    return 0;
}

long sys_getresuid(long r, long e, long s)
{
    return put_three((long[]){r, e, s}, current->cred->uid, current->cred->euid, current->cred->suid);
}

long sys_getresgid(long r, long e, long s)
{
    return put_three((long[]){r, e, s}, current->cred->gid, current->cred->egid, current->cred->sgid);
}

/* These two return the old id, whatever happens. */
long sys_setfsuid(long id)
{
    const struct cred *o = current->cred;
    uint32_t old = o->fsuid, uid = (uint32_t)id;

    if (uid == KEEP || !(one_of(uid, o->uid, o->euid, o->suid) || uid == old || capable(CAP_SETUID))) return old;
    struct cred *c = cred_copy(o);
    if (!c) return old;
    c->fsuid = uid;
    install(c);
    return old;
}

long sys_setfsgid(long id)
{
    const struct cred *o = current->cred;
    uint32_t old = o->fsgid, gid = (uint32_t)id;

    if (gid == KEEP || !(one_of(gid, o->gid, o->egid, o->sgid) || gid == old || capable(CAP_SETGID))) return old;
    struct cred *c = cred_copy(o);
    if (!c) return old;
    c->fsgid = gid;
    install(c);
    return old;
}

long sys_getgroups(long size, long list)
{
    const struct cred *c = current->cred;

    if ((int)size < 0) return -EINVAL;
    if (!size) return c->ngroups;
    if ((uint32_t)size < c->ngroups) return -EINVAL;
    int err = copy_to_user((uaddr_t)list, c->groups, c->ngroups * sizeof *c->groups);
    return err ? err : (long)c->ngroups;
}

long sys_setgroups(long size, long list)
{
    if (!capable(CAP_SETGID)) return -EPERM;
    if ((unsigned long)size > GROUPS_MAX) return -EINVAL;
    uint32_t *groups = kmalloc((size_t)size * sizeof *groups + 1);
    if (!groups) return -ENOMEM;
    long r = copy_from_user(groups, (uaddr_t)list, (size_t)size * sizeof *groups);
    struct cred *c = r ? NULL : cred_copy(current->cred);
    if (!r && (!c || !cred_set_groups(c, groups, (uint32_t)size))) {
        cred_put(c);
        r = -ENOMEM;
    }
    kfree(groups);
    return r ? r : install(c);
}

/* ---- capabilities ---- */

static int cap_words(uaddr_t header, int *pid, unsigned *words)
{
    struct __user_cap_header_struct h;

    if (copy_from_user(&h, header, sizeof h)) return -EFAULT;
    *pid = h.pid;
    switch (h.version) {
    case _LINUX_CAPABILITY_VERSION_1: *words = 1; return 0;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3: *words = 2; return 0;
    default:
        if (put_user_u32(header, _LINUX_CAPABILITY_VERSION_3)) return -EFAULT;
        return -EINVAL;
    }
}

long sys_capget(long header, long data)
{
    struct __user_cap_data_struct d[2];
    unsigned words;
    int pid, err = cap_words((uaddr_t)header, &pid, &words);

    if (err) return err == -EINVAL && !data ? 0 : err;
    if (pid < 0) return -EINVAL;
    const struct task *t = pid ? task_find(pid) : current;
    if (!t) return -ESRCH;
    const struct cred *c = t->cred;
    for (unsigned i = 0; i < 2; i++) {
        d[i].effective = (uint32_t)(c->cap_effective >> 32 * i);
        d[i].permitted = (uint32_t)(c->cap_permitted >> 32 * i);
        d[i].inheritable = (uint32_t)(c->cap_inheritable >> 32 * i);
    }
    return data ? copy_to_user((uaddr_t)data, d, words * sizeof *d) : 0;
}

long sys_capset(long header, long data)
{
    struct __user_cap_data_struct d[2] = {0};
    unsigned words;
    int pid, err = cap_words((uaddr_t)header, &pid, &words);

    if (err) return err;
    if (pid && pid != current->tid) return -EPERM;
    if (copy_from_user(d, (uaddr_t)data, words * sizeof *d)) return -EFAULT;
    const struct cred *o = current->cred;
    uint64_t effective = d[0].effective | (uint64_t)d[1].effective << 32;
    uint64_t permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
    uint64_t inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    if (permitted & ~o->cap_permitted || effective & ~permitted) return -EPERM;
    if (!capable(CAP_SETPCAP) && inheritable & ~(o->cap_inheritable | o->cap_permitted)) return -EPERM;
    if (inheritable & ~(o->cap_inheritable | o->cap_bounding)) return -EPERM;
    struct cred *c = cred_copy(o);
    if (!c) return -ENOMEM;
    c->cap_effective = effective;
    c->cap_permitted = permitted;
    c->cap_inheritable = inheritable;
    c->cap_ambient &= permitted & inheritable;
    cred_put(current->cred);
    current->cred = c;
    return 0;
}
