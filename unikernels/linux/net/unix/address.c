/* Names of AF_UNIX sockets: unix(7). */
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/un.h>

#include "fs/vfs.h"
#include "lib/print.h"
#include "lib/string.h"
#include "net/unix/unix.h"
#include "task/task.h"

#define PATH_AT ((uint32_t)offsetof(struct sockaddr_un, sun_path))

/*
 * Sockets with a name. A list: even busy machines have few, and a look-up is once
 * per connection.
 */
static struct unix_names {
    struct list bound;
    uint32_t next_auto;
} names = {.bound = {&names.bound, &names.bound}};

static const char *path_of(const struct socket_address *addr)
{
    return ((const struct sockaddr_un *)&addr->storage)->sun_path;
}

static int check(const struct socket_address *addr)
{
    if (addr->len <= PATH_AT || addr->len > sizeof(struct sockaddr_un) || addr->storage.ss_family != AF_UNIX)
        return -EINVAL;
    return 0;
}

static bool is_abstract(const struct socket_address *addr)
{
    return path_of(addr)[0] == '\0';
}

static struct unix_sock *find_abstract(const struct socket_address *addr, int type)
{
    struct unix_sock *u;

    list_for_each(u, &names.bound, bound_link) {
        if (!u->path && u->sock.type == type && u->name.len == addr->len &&
            memcmp(path_of(&u->name), path_of(addr), addr->len - PATH_AT) == 0)
            return u;
    }
    return NULL;
}

static struct unix_sock *find_inode(const struct inode *inode)
{
    struct unix_sock *u;

    list_for_each(u, &names.bound, bound_link) {
        if (u->path && u->path->d_inode == inode)
            return u;
    }
    return NULL;
}

/* The path, which may be without a NUL where it fills the address. */
static void copy_path(const struct socket_address *addr, char path[UNIX_PATH_MAX + 1])
{
    size_t len = addr->len - PATH_AT;

    memcpy(path, path_of(addr), len);
    path[len] = '\0';
}

static struct unix_sock *find_path(const struct socket_address *addr, int type)
{
    char path[UNIX_PATH_MAX + 1];
    struct dentry *dentry;

    copy_path(addr, path);
    int err = path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &dentry);
    if (err)
        return ERR_PTR(err);
    struct unix_sock *u = NULL;
    err = inode_permission(dentry->d_inode, current->cred, MAY_WRITE);
    if (!err)
        u = S_ISSOCK(dentry->d_inode->i_mode) ? find_inode(dentry->d_inode) : NULL;
    dput(dentry);
    if (err)
        return ERR_PTR(err);
    if (!u)
        return ERR_PTR(-ECONNREFUSED);
    return u->sock.type == type ? u : ERR_PTR(-EPROTOTYPE);
}

struct unix_sock *unix_find(const struct socket_address *addr, int type)
{
    int err = check(addr);

    if (err)
        return ERR_PTR(err);
    struct unix_sock *u = is_abstract(addr) ? find_abstract(addr, type) : find_path(addr, type);
    if (!u)
        return ERR_PTR(-ECONNREFUSED);
    return IS_ERR(u) ? u : unix_get(u);
}

static void set_name(struct unix_sock *u, const struct socket_address *addr)
{
    u->name = *addr;
    list_add_tail(&names.bound, &u->bound_link);
}

int unix_autobind(struct unix_sock *u)
{
    struct socket_address addr = {.len = PATH_AT + 6, .storage = {.ss_family = AF_UNIX}};
    char *name = ((struct sockaddr_un *)&addr.storage)->sun_path;

    if (u->name.len)
        return 0;
    for (uint32_t tries = 0; tries <= 0xfffff; tries++) {
        char digits[6];
        snprintf(digits, sizeof(digits), "%05x", names.next_auto++ & 0xfffff);
        memcpy(name + 1, digits, 5);
        if (!find_abstract(&addr, u->sock.type)) {
            set_name(u, &addr);
            return 0;
        }
    }
    return -ENOSPC;
}

static int bind_path(struct unix_sock *u, struct socket_address *addr)
{
    char path[UNIX_PATH_MAX + 1];
    uint32_t mode = S_IFSOCK | 0777;

    copy_path(addr, path);
    if (u->sock.file)
        mode = u->sock.file->f_inode->i_mode;
    int err = vfs_mknod(AT_FDCWD, path, mode, 0);
    if (err)
        return err == -EEXIST ? -EADDRINUSE : err;
    err = path_lookup(AT_FDCWD, path, 0, &u->path);
    if (err)
        return err;
    addr->len = PATH_AT + (uint32_t)strlen(path) + 1;
    set_name(u, addr);
    return 0;
}

int unix_bind(struct socket *sock, const struct socket_address *addr)
{
    struct unix_sock *u = unix_sock(sock);
    struct socket_address name = *addr;

    if (addr->len == PATH_AT && addr->storage.ss_family == AF_UNIX)
        return unix_autobind(u);
    int err = check(addr);
    if (err)
        return err;
    if (u->name.len)
        return -EINVAL;
    if (!is_abstract(addr))
        return bind_path(u, &name);
    if (find_abstract(addr, sock->type))
        return -EADDRINUSE;
    set_name(u, &name);
    return 0;
}

void unix_unbind(struct unix_sock *u)
{
    list_del(&u->bound_link);
    dput(u->path);
    u->path = NULL;
}

int unix_getname(struct socket *sock, bool peer, struct socket_address *addr)
{
    const struct unix_sock *u = unix_sock(sock);

    if (peer && !u->peer)
        return -ENOTCONN;
    if (peer)
        u = u->peer;
    *addr = u->name;
    if (!addr->len) {
        addr->len = PATH_AT;
        addr->storage.ss_family = AF_UNIX;
    }
    return 0;
}
