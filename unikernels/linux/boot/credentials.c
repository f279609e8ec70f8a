#include "boot/credentials.h"

#include "mm/kmalloc.h"
#include "task/cred_impl.h"

struct cred *cred_of_record(const struct runnc_rec_creds *record, bool no_new_privs)
{
    struct cred *c = kzalloc(sizeof *c);

    if (!c) return NULL;
    c->refs = 1;
    c->uid = c->euid = c->suid = c->fsuid = record->uid;
    c->gid = c->egid = c->sgid = c->fsgid = record->gid;
    c->cap_effective = record->cap_effective;
    c->cap_permitted = record->cap_permitted;
    c->cap_inheritable = record->cap_inheritable;
    c->cap_bounding = record->cap_bounding;
    c->cap_ambient = record->cap_ambient;
    c->no_new_privs = no_new_privs;
    if (cred_set_groups(c, record->groups, record->ngroups)) return c;
    cred_put(c);
    return NULL;
}
