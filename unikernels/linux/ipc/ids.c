#include "ipc/ids.h"

#include <linux/capability.h>

#include "boot/config.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "task/task.h"
#include "time/clock.h"

#define PLACE_BITS 15u
#define PLACES (1u << PLACE_BITS)

uint64_t ipc_limit(const char *name, unsigned nth, uint64_t fallback)
{
    const struct runnc_record *record = NULL;
    const char *text = NULL;

    while ((record = boot_record_next(RUNNC_REC_SYSCTL, record))) {
        const char *given = (const char *)record->data;
        if (strcmp(given, name) == 0)
            text = given + strlen(given) + 1;
    }
    for (unsigned n = 0; text; n++) {
        uint64_t value = 0;
        while (*text == ' ' || *text == '\t')
            text++;
        const char *begin = text;
        for (; *text >= '0' && *text <= '9'; text++)
            value = value > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 : value * 10 + (uint64_t)(*text - '0');
        if (text == begin)
            break;
        if (n == nth)
            return value;
    }
    return fallback;
}

int64_t ipc_now(void)
{
    return clock_now().tv_sec;
}

int ipc_permission(const struct ipc_object *object, uint32_t rights)
{
    const struct cred *cred = current->cred;
    uint32_t wanted = (rights >> 6 | rights >> 3 | rights) & 7, granted = object->mode;

    if (cred->euid == object->cuid || cred->euid == object->uid)
        granted >>= 6;
    else if (cred->egid == object->cgid || cred->egid == object->gid || cred_in_group(cred, object->cgid) ||
             cred_in_group(cred, object->gid))
        granted >>= 3;
    return wanted & ~granted && !capable(CAP_IPC_OWNER) ? -EACCES : 0;
}

static int ipc_owner(const struct ipc_object *object)
{
    uint32_t euid = current->cred->euid;

    return euid == object->cuid || euid == object->uid || capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

void ipc_stat(const struct ipc_object *object, struct ipc64_perm *perm)
{
    *perm = (struct ipc64_perm){
        .key = object->key, .uid = object->uid, .gid = object->gid, .cuid = object->cuid, .cgid = object->cgid,
        .mode = object->mode, .seq = object->seq};
}

int ipc_set(struct ipc_object *object, const struct ipc64_perm *perm)
{
    if (perm->uid == UINT32_MAX || perm->gid == UINT32_MAX)
        return -EINVAL;
    object->uid = perm->uid;
    object->gid = perm->gid;
    object->mode = (object->mode & ~0777u) | (perm->mode & 0777);
    return 0;
}

struct ipc_object *ipc_get(struct ipc_ids *ids, int32_t key, int flags)
{
    if (key == IPC_PRIVATE)
        return NULL;
    for (unsigned i = 0; i < ids->capacity; i++) {
        struct ipc_object *object = ids->objects[i];
        if (!object || object->key != key)
            continue;
        if (flags & IPC_CREAT && flags & IPC_EXCL)
            return ERR_PTR(-EEXIST);
        int err = ipc_permission(object, (uint32_t)flags & 0777);
        return err ? ERR_PTR(err) : object;
    }
    return flags & IPC_CREAT ? NULL : ERR_PTR(-ENOENT);
}

/* A free place; the table grows. */
static int find_place(struct ipc_ids *ids)
{
    if (ids->count >= MIN(ids->max, PLACES))
        return -ENOSPC;
    for (unsigned i = 0; i < ids->capacity; i++)
        if (!ids->objects[i])
            return (int)i;
    unsigned place = ids->capacity, capacity = MAX(ids->capacity * 2, 16u);
    struct ipc_object **objects = krealloc(ids->objects, capacity * sizeof(*objects));
    if (!objects)
        return -ENOMEM;
    memset(objects + place, 0, (capacity - place) * sizeof(*objects));
    ids->objects = objects;
    ids->capacity = capacity;
    return (int)place;
}

int ipc_add(struct ipc_ids *ids, struct ipc_object *object, int32_t key, int flags)
{
    int place = find_place(ids);

    if (place < 0)
        return place;
    object->refs = 1;
    object->key = key;
    object->mode = (uint32_t)flags & 0777;
    object->uid = object->cuid = current->cred->euid;
    object->gid = object->cgid = current->cred->egid;
    object->seq = ids->seq;
    object->id = (int)((uint32_t)ids->seq << PLACE_BITS | (uint32_t)place);
    ids->seq = (uint16_t)(ids->seq + 1) & 0x7fff; /* an identifier is not negative */
    ids->objects[place] = object;
    ids->count++;
    return object->id;
}

static struct ipc_object *ipc_at(const struct ipc_ids *ids, int place)
{
    struct ipc_object *object = place >= 0 && (unsigned)place < ids->capacity ? ids->objects[place] : NULL;

    return object ? object : ERR_PTR(-EINVAL);
}

struct ipc_object *ipc_find(const struct ipc_ids *ids, int id)
{
    struct ipc_object *object = id < 0 ? ERR_PTR(-EINVAL) : ipc_at(ids, id & (int)(PLACES - 1));

    return !IS_ERR(object) && object->id != id ? ERR_PTR(-EINVAL) : object;
}

struct ipc_object *ipc_find_shown(const struct ipc_ids *ids, int id, bool place, bool any)
{
    struct ipc_object *object = place ? ipc_at(ids, id) : ipc_find(ids, id);
    int err = IS_ERR(object) || any ? 0 : ipc_permission(object, IPC_RIGHT_READ);

    return err ? ERR_PTR(err) : object;
}

struct ipc_object *ipc_find_owned(const struct ipc_ids *ids, int id)
{
    struct ipc_object *object = ipc_find(ids, id);
    int err = IS_ERR(object) ? 0 : ipc_owner(object);

    return err ? ERR_PTR(err) : object;
}

int ipc_highest(const struct ipc_ids *ids)
{
    unsigned i = ids->capacity;

    while (i > 0 && !ids->objects[i - 1])
        i--;
    return i > 0 ? (int)i - 1 : 0;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_object *object)
{
    ids->objects[object->id & (int)(PLACES - 1)] = NULL;
    ids->count--;
    object->deleted = true;
    ipc_put(ids, object);
}

void ipc_put(struct ipc_ids *ids, struct ipc_object *object)
{
    if (--object->refs == 0)
        ids->free(object);
}
