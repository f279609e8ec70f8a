#include "task/cred_impl.h"

#include "lib/string.h"
#include "mm/kmalloc.h"

struct cred *cred_get(struct cred *c)
{
    c->refs++;
    return c;
}

void cred_put(struct cred *c)
{
    if (!c || --c->refs) return;
    kfree(c->groups);
    kfree(c);
}

struct cred *cred_copy(const struct cred *from)
{
    struct cred *c = kmalloc(sizeof *c);

    if (!c) return NULL;
    *c = *from;
    c->refs = 1;
    c->groups = NULL;
    if (from->ngroups && !cred_set_groups(c, from->groups, from->ngroups)) {
        kfree(c);
        return NULL;
    }
    return c;
}

bool cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t n)
{
    uint32_t *copy = NULL;

    if (n) {
        copy = kmalloc(n * sizeof *copy);
        if (!copy) return false;
        memcpy(copy, groups, n * sizeof *copy);
        /* Short lists: insertion keeps it simple. */
        for (uint32_t i = 1; i < n; i++) {
            uint32_t g = copy[i], j = i;
            for (; j && copy[j - 1] > g; j--) copy[j] = copy[j - 1];
            copy[j] = g;
        }
    }
    kfree(c->groups);
    c->groups = copy;
    c->ngroups = n;
    return true;
}

bool cred_capable(const struct cred *c, int cap)
{
    return c->cap_effective >> cap & 1;
}

bool cred_in_group(const struct cred *c, uint32_t gid)
{
    if (gid == c->fsgid) return true;
    for (uint32_t i = 0; i < c->ngroups; i++)
        if (c->groups[i] == gid) return true;
    return false;
}

/* Capabilities that only the superuser's ids carry go with them (capabilities(7), "Effect of user ID changes"). */
void cred_fix_capabilities(struct cred *c, const struct cred *old)
{
    const uint64_t fs_caps = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH |
                             1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_LINUX_IMMUTABLE |
                             1ull << CAP_MKNOD | 1ull << CAP_MAC_OVERRIDE;
    bool was_root = !old->uid || !old->euid || !old->suid;
    bool is_root = !c->uid || !c->euid || !c->suid;

    if (c->securebits & 1u << 2 /* SECBIT_NO_SETUID_FIXUP */) return;
    if (was_root && !is_root && !(c->securebits & 1u << 4 /* SECBIT_KEEP_CAPS */)) {
        c->cap_permitted = 0;
        c->cap_effective = 0;
        c->cap_ambient = 0;
    }
    if (!old->euid && c->euid) c->cap_effective = 0;
    if (old->euid && !c->euid) c->cap_effective = c->cap_permitted;
    if (!old->fsuid && c->fsuid) c->cap_effective &= ~fs_caps;
    if (old->fsuid && !c->fsuid) c->cap_effective |= c->cap_permitted & fs_caps;
}
