#include "ipc/shm.h"

#include <asm/mman.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "fs/tmpfs.h"
#include "fs/vfs.h"
#include "ipc/ids.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/file_map.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "task/task.h"

/* <linux/shm.h> brings the C library with it. */
#define SHM_DEST 01000u
#define SHM_LOCKED 02000u
#define SHM_HUGETLB 04000
#define SHM_RDONLY 010000
#define SHM_RND 020000
#define SHM_REMAP 040000
#define SHM_EXEC 0100000
#define SHMMIN 1
#define SHMMNI 4096
#define SHM_UNLIMITED (~0ull - (1ul << 24)) /* of SHMMAX and SHMALL */

struct shm {
    struct ipc_object object;
    struct file *file;
    size_t size;
    int64_t attached, detached, changed; /* seconds since the epoch */
    int creator, last;                   /* pids */
    unsigned long attachments;           /* when they were last counted */
};

static void shm_free(struct ipc_object *object);
static struct ipc_ids ids = {.max = SHMMNI, .free = shm_free};

static struct shm *shm_of(struct ipc_object *object)
{
    return container_of(object, struct shm, object);
}

static void shm_free(struct ipc_object *object)
{
    struct shm *shm = shm_of(object);

    file_put(shm->file);
    kfree(shm);
}

static bool is_attachment(const struct vma *v, const struct shm *shm)
{
    return v->file && v->file->f_inode == shm->file->f_inode;
}

static unsigned long count_attachments(const struct shm *shm)
{
    struct mm *mm;
    unsigned long n = 0;

    list_for_each(mm, mm_all(), all_link)
        for (unsigned i = 0; i < mm->count; i++)
            if (is_attachment(&mm->vmas[i], shm))
                n += 1 + mm->vmas[i].aliases;
    return n;
}

static uint64_t pages_of(const struct shm *shm)
{
    return PAGE_UP(shm->size) / PAGE_SIZE;
}

static uint64_t all_pages(void)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < ids.capacity; i++)
        if (ids.objects[i])
            pages += pages_of(shm_of(ids.objects[i]));
    return pages;
}

static int make_file(struct shm *shm, int32_t key)
{
    char name[32];
    int fits = snprintf(name, sizeof(name), "/SYSV%08x (deleted)", (uint32_t)key);

    ASSERT(fits < (int)sizeof(name));
    int err = tmpfs_unnamed(name, O_RDWR, &shm->file);
    if (err)
        return err;
    err = tmpfs_resize(tmpfs_inode(shm->file->f_inode), shm->size);
    if (err)
        file_put(shm->file);
    return err;
}

static long shm_new(int32_t key, size_t size, int flags)
{
    if (size < SHMMIN || size > ipc_limit("kernel.shmmax", 0, SHM_UNLIMITED))
        return -EINVAL;
    if (flags & SHM_HUGETLB)
        return -ENOMEM; /* a host without huge pages set aside */
    if (all_pages() + size / PAGE_SIZE + 1 > ipc_limit("kernel.shmall", 0, SHM_UNLIMITED) || size > INT64_MAX - PAGE_SIZE)
        return -ENOSPC;
    struct shm *shm = kzalloc(sizeof(*shm));
    if (!shm)
        return -ENOMEM;
    shm->size = size;
    shm->creator = current->process->pid;
    shm->changed = ipc_now();
    int err = make_file(shm, key);
    if (err) {
        kfree(shm);
        return err;
    }
    ids.max = (unsigned)MIN(ipc_limit("kernel.shmmni", 0, SHMMNI), 32768);
    int id = ipc_add(&ids, &shm->object, key, flags);
    if (id < 0)
        shm_free(&shm->object);
    return id;
}

long shm_get(int32_t key, size_t size, int flags)
{
    struct ipc_object *object = ipc_get(&ids, key, flags);

    if (IS_ERR(object))
        return PTR_ERR(object);
    if (!object)
        return shm_new(key, size, flags);
    return shm_of(object)->size < size ? -EINVAL : object->id;
}

/* The last one that had it attached has let it go, and it was removed before. */
static void drop_if_unused(struct shm *shm)
{
    if (shm->object.mode & SHM_DEST && !count_attachments(shm))
        ipc_remove(&ids, &shm->object);
}

static void note_detached(struct shm *shm)
{
    shm->detached = ipc_now();
    shm->last = current->process->pid;
    drop_if_unused(shm);
}

static void note_attached(struct shm *shm)
{
    shm->attached = ipc_now();
    shm->last = current->process->pid;
}

static int place_for(uaddr_t *addr, size_t size, int flags)
{
    struct mm *mm = current->process->mm;

    if (!*addr)
        return flags & SHM_REMAP ? -EINVAL : 0;
    if (*addr & ~PAGE_MASK) {
        if (!(flags & SHM_RND))
            return -EINVAL;
        *addr = PAGE_DOWN(*addr);
        if (!*addr && flags & SHM_REMAP)
            return -EINVAL;
    }
    if (*addr + size < *addr)
        return -EINVAL;
    for (unsigned i = 0; !(flags & SHM_REMAP) && i < mm->count; i++)
        if (mm->vmas[i].start < *addr + size && mm->vmas[i].end > *addr)
            return -EINVAL;
    return 0;
}

long shm_attach(int id, uaddr_t addr, int flags)
{
    struct ipc_object *object = ipc_find(&ids, id);
    int prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    struct file *file;

    if (IS_ERR(object))
        return PTR_ERR(object);
    struct shm *shm = shm_of(object);
    size_t size = PAGE_UP(shm->size);
    int err = place_for(&addr, size, flags);
    if (!err)
        err = ipc_permission(object, (flags & SHM_RDONLY ? 0444 : 0666) | (flags & SHM_EXEC ? 0111 : 0));
    if (!err)
        err = dentry_open(shm->file->f_dentry, flags & SHM_RDONLY ? O_RDONLY : O_RDWR, &file);
    if (err)
        return err;
    long at = mm_map(current->process->mm, addr, size, prot, MAP_SHARED | (addr ? MAP_FIXED : 0), file, 0);
    file_put(file);
    if (at < 0 && at >= -MAX_ERRNO)
        return at;
    note_attached(shm);
    shm->attachments = count_attachments(shm);
    return at;
}

static struct shm *attached_at(uaddr_t addr)
{
    const struct vma *v = mm_find(current->process->mm, addr);

    for (unsigned i = 0; v && v->start == addr && v->offset == 0 && i < ids.capacity; i++)
        if (ids.objects[i] && is_attachment(v, shm_of(ids.objects[i])))
            return shm_of(ids.objects[i]);
    return NULL;
}

long shm_detach(uaddr_t addr)
{
    struct shm *shm = addr & ~PAGE_MASK ? NULL : attached_at(addr);
    struct mm *mm = current->process->mm;

    if (!shm)
        return -EINVAL;
    /* What a program has put over parts of it since stays. */
    uaddr_t end = addr + PAGE_UP(shm->size);
    for (uaddr_t at = addr; at < end;) {
        const struct vma *v = mm_find(mm, at);
        uaddr_t to = v ? MIN(v->end, end) : at + PAGE_SIZE;
        long err = v && is_attachment(v, shm) && v->offset == at - addr ? mm_unmap(mm, at, to - at) : 0;
        if (err)
            return err;
        at = to;
    }
    shm->attachments = count_attachments(shm);
    note_detached(shm);
    return 0;
}

void shm_mappings_changed(void)
{
    for (unsigned i = 0; ids.count && i < ids.capacity; i++) {
        struct shm *shm = ids.objects[i] ? shm_of(ids.objects[i]) : NULL;
        unsigned long before = shm ? shm->attachments : 0, now = shm ? count_attachments(shm) : 0;
        if (!shm)
            continue;
        shm->attachments = now;
        if (now < before)
            note_detached(shm);
        else if (now > before)
            note_attached(shm);
        else
            drop_if_unused(shm);
    }
}

static void fill(const struct shm *shm, struct shmid64_ds *ds)
{
    *ds = (struct shmid64_ds){
        .shm_segsz = shm->size, .shm_atime = shm->attached, .shm_dtime = shm->detached, .shm_ctime = shm->changed,
        .shm_cpid = shm->creator, .shm_lpid = shm->last, .shm_nattch = count_attachments(shm)};
    ipc_stat(&shm->object, &ds->shm_perm);
}

long shm_stat(int id, bool place, bool any, struct shmid64_ds *ds)
{
    struct ipc_object *object = ipc_find_shown(&ids, id, place, any);

    if (IS_ERR(object))
        return PTR_ERR(object);
    fill(shm_of(object), ds);
    return place ? object->id : 0;
}

/* For a command that only owners may give. */
static struct shm *find_owned(int id)
{
    struct ipc_object *object = ipc_find_owned(&ids, id);

    return IS_ERR(object) ? ERR_PTR(PTR_ERR(object)) : shm_of(object);
}

long shm_set(int id, const struct shmid64_ds *ds)
{
    struct shm *shm = find_owned(id);
    int err = IS_ERR(shm) ? (int)PTR_ERR(shm) : ipc_set(&shm->object, &ds->shm_perm);

    if (!err)
        shm->changed = ipc_now();
    return err;
}

long shm_remove(int id)
{
    struct shm *shm = find_owned(id);

    if (IS_ERR(shm))
        return PTR_ERR(shm);
    shm->object.mode |= SHM_DEST;
    shm->object.key = IPC_PRIVATE; /* nobody finds it by its key any more */
    drop_if_unused(shm);
    return 0;
}

long shm_lock(int id, bool lock)
{
    struct ipc_object *object = ipc_find(&ids, id);

    if (IS_ERR(object))
        return PTR_ERR(object);
    uint32_t euid = current->cred->euid;
    if (!capable(CAP_IPC_LOCK) && euid != object->uid && euid != object->cuid)
        return -EPERM;
    object->mode = lock ? object->mode | SHM_LOCKED : object->mode & ~SHM_LOCKED;
    return 0;
}

int shm_info(struct shminfo64 *limits, struct shm_usage *usage)
{
    *limits = (struct shminfo64){
        .shmmax = ipc_limit("kernel.shmmax", 0, SHM_UNLIMITED), .shmmin = SHMMIN,
        .shmmni = ipc_limit("kernel.shmmni", 0, SHMMNI), .shmseg = ipc_limit("kernel.shmmni", 0, SHMMNI),
        .shmall = ipc_limit("kernel.shmall", 0, SHM_UNLIMITED)};
    *usage = (struct shm_usage){.segments = ids.count, .pages = all_pages(), .resident = all_pages()};
    return ipc_highest(&ids);
}

int shm_show(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    seq_puts(seq, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      "
                  "dtime      ctime                   rss                  swap\n");
    for (unsigned i = 0; i < ids.capacity; i++) {
        struct shmid64_ds ds;
        if (!ids.objects[i])
            continue;
        fill(shm_of(ids.objects[i]), &ds);
        seq_printf(seq, "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10ld %10ld %10ld %21lu %21lu\n",
                   ds.shm_perm.key, ids.objects[i]->id, ds.shm_perm.mode, ds.shm_segsz, (unsigned)ds.shm_cpid,
                   (unsigned)ds.shm_lpid, ds.shm_nattch, ds.shm_perm.uid, ds.shm_perm.gid, ds.shm_perm.cuid, ds.shm_perm.cgid,
                   ds.shm_atime, ds.shm_dtime, ds.shm_ctime, PAGE_UP(ds.shm_segsz), 0ul);
    }
    return 0;
}
