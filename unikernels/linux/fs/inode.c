/* Inodes: references, permissions, attributes. */
#include <linux/stat.h>

#include "fs/inotify.h"
#include "fs/vfs.h"
#include "task/task.h"
#include "time/clock.h"

void inode_init(struct inode *inode, struct super_block *sb, uint32_t mode)
{
    inode->i_sb = sb;
    inode->i_count = 1;
    inode->i_mode = mode;
    inode->i_nlink = 1;
    list_init(&inode->i_locks);
    list_init(&inode->i_watches);
    list_init(&inode->i_dentries);
    inode->i_atime = inode->i_mtime = inode->i_ctime = inode->i_btime = clock_now();
}

static bool only_watched(const struct inode *inode)
{
    const struct list *watch;
    uint32_t count = 0;

    for (watch = inode->i_watches.next; watch != &inode->i_watches; watch = watch->next)
        count++;
    return count == inode->i_count;
}

void iput(struct inode *inode)
{
    if (!inode)
        return;
    if (--inode->i_count == 0) {
        if (inode->i_op->evict)
            inode->i_op->evict(inode);
    } else if (unlikely(inode->i_nlink == 0 && !list_empty(&inode->i_watches)) && only_watched(inode)) {
        fsnotify_inode_gone(inode);
    }
}

int inode_permission(const struct inode *inode, const struct cred *cred, int mask)
{
    uint32_t mode = inode->i_mode;
    bool folder = S_ISDIR(mode);

    if ((mask & MAY_WRITE) && inode->i_sb->s_flags & SB_RDONLY && (folder || S_ISREG(mode) || S_ISLNK(mode)))
        return -EROFS;
    if (cred->fsuid == inode->i_uid)
        mode >>= 6;
    else if (cred_in_group(cred, inode->i_gid))
        mode >>= 3;
    if ((mask & ~mode & 7) == 0)
        return 0;

    /* capabilities(7): search and read need the weaker one; execution needs some x bit all the same. */
    bool reading = !(mask & MAY_WRITE) && (folder || !(mask & MAY_EXEC));
    if (reading && cred_capable(cred, CAP_DAC_READ_SEARCH))
        return 0;
    if ((folder || !(mask & MAY_EXEC) || inode->i_mode & 0111) && cred_capable(cred, CAP_DAC_OVERRIDE))
        return 0;
    return -EACCES;
}

bool inode_owner_or_capable(const struct inode *inode, const struct cred *cred)
{
    return cred->fsuid == inode->i_uid || cred_capable(cred, CAP_FOWNER);
}

/* What chown and writing take away: setuid, and setgid where it does mean "set group id". */
static uint32_t without_suid(uint32_t mode)
{
    mode &= ~(uint32_t)S_ISUID;
    if (mode & S_IXGRP)
        mode &= ~(uint32_t)S_ISGID;
    return mode;
}

static int check_attr(struct inode *inode, struct iattr *attr, const struct cred *cred)
{
    bool owner = inode_owner_or_capable(inode, cred);

    if (attr->valid & ATTR_UID && !cred_capable(cred, CAP_CHOWN) &&
        (cred->fsuid != inode->i_uid || attr->uid != inode->i_uid))
        return -EPERM;
    if (attr->valid & ATTR_GID && !cred_capable(cred, CAP_CHOWN) &&
        (cred->fsuid != inode->i_uid || (attr->gid != inode->i_gid && !cred_in_group(cred, attr->gid))))
        return -EPERM;
    if (attr->valid & ATTR_MODE) {
        if (!owner)
            return -EPERM;
        uint32_t gid = attr->valid & ATTR_GID ? attr->gid : inode->i_gid;
        if (!cred_in_group(cred, gid) && !cred_capable(cred, CAP_FSETID))
            attr->mode &= ~(uint32_t)S_ISGID;
    }
    if (attr->valid & ATTR_TIMES_SET && !owner)
        return -EPERM;
    return 0;
}

int notify_change(struct inode *inode, struct iattr *attr, const struct cred *cred)
{
    if (inode->i_sb->s_flags & SB_RDONLY)
        return -EROFS;
    int err = check_attr(inode, attr, cred);
    if (err)
        return err;
    if (!inode->i_op->setattr)
        return -EPERM;
    if (attr->valid & ATTR_KILL_PRIVS && !S_ISDIR(inode->i_mode)) {
        attr->valid |= ATTR_MODE;
        attr->mode = without_suid(inode->i_mode) & 07777;
    }
    if (attr->valid & ATTR_SIZE && !cred_capable(cred, CAP_FSETID) &&
        without_suid(inode->i_mode) != inode->i_mode) {
        attr->valid |= ATTR_MODE;
        attr->mode = without_suid(inode->i_mode) & 07777;
    }
    if (!(attr->valid & ATTR_CTIME)) {
        attr->valid |= ATTR_CTIME;
        attr->ctime = clock_now();
    }
    return inode->i_op->setattr(inode, attr);
}

/* What inotify tells of a change of attributes, as fsnotify_change() of Linux. */
static uint32_t change_mask(uint32_t valid)
{
    uint32_t mask = 0;

    if (valid & (ATTR_UID | ATTR_GID | ATTR_MODE | ATTR_KILL_PRIVS))
        mask |= IN_ATTRIB;
    if (valid & ATTR_SIZE)
        mask |= IN_MODIFY;
    if ((valid & (ATTR_ATIME | ATTR_MTIME)) == (ATTR_ATIME | ATTR_MTIME))
        mask |= IN_ATTRIB;
    else if (valid & ATTR_ATIME)
        mask |= IN_ACCESS;
    else if (valid & ATTR_MTIME)
        mask |= IN_MODIFY;
    return mask;
}

int dentry_setattr(struct dentry *dentry, struct iattr *attr)
{
    uint32_t mask = change_mask(attr->valid);
    int err = notify_change(dentry->d_inode, attr, current->cred);

    if (!err && mask)
        fsnotify_dentry(dentry, mask);
    return err;
}

void inode_remove_privs(struct inode *inode)
{
    if (without_suid(inode->i_mode) == inode->i_mode || !current || capable(CAP_FSETID) || !inode->i_op->setattr)
        return;
    struct iattr attr = {.valid = ATTR_MODE, .mode = without_suid(inode->i_mode) & 07777};
    inode->i_op->setattr(inode, &attr);
}

void inode_apply(struct inode *inode, const struct iattr *attr)
{
    if (attr->valid & ATTR_MODE)
        inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
    if (attr->valid & ATTR_UID)
        inode->i_uid = attr->uid;
    if (attr->valid & ATTR_GID)
        inode->i_gid = attr->gid;
    if (attr->valid & ATTR_ATIME)
        inode->i_atime = attr->atime;
    if (attr->valid & ATTR_MTIME)
        inode->i_mtime = attr->mtime;
    if (attr->valid & ATTR_CTIME)
        inode->i_ctime = attr->ctime;
}

void inode_touch(struct inode *inode, uint32_t attrs)
{
    struct iattr attr = {.valid = attrs, .atime = clock_now()};

    if (!inode->i_op->setattr || inode->i_sb->s_flags & SB_RDONLY)
        return;
    attr.mtime = attr.ctime = attr.atime;
    inode->i_op->setattr(inode, &attr);
}
