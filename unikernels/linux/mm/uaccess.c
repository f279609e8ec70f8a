#include "mm/uaccess.h"

#include <linux/limits.h>
#include <linux/uio.h>

#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/mm.h"
#include "task/task.h"

/* entry/gate.S */
int user_copy(void *dst, const void *src, size_t n);
size_t user_clear(void *dst, size_t n);
int user_read_u32(uint32_t *v, const void *src);
int user_read_u64(uint64_t *v, const void *src);
int user_write_u32(void *dst, uint32_t v);
int user_write_u64(void *dst, uint64_t v);
int user_cmpxchg_u32(void *dst, uint32_t *expected, uint32_t v);
ssize_t user_strlen(const char *s, size_t max);

int copy_from_user(void *dst, uaddr_t src, size_t n)
{
    if (!n) return 0; /* at any address, as Linux */
    if (!user_range_ok(src, n, false)) return -EFAULT;
    return user_copy(dst, (const void *)src, n);
}

int copy_to_user(uaddr_t dst, const void *src, size_t n)
{
    if (!n) return 0;
    if (!user_range_ok(dst, n, true)) return -EFAULT;
    return user_copy((void *)dst, src, n);
}

int clear_user(uaddr_t dst, size_t n)
{
    if (!user_range_ok(dst, n, true)) return -EFAULT;
    return user_clear((void *)dst, n) ? -EFAULT : 0;
}

int user_touch(uaddr_t addr, size_t n, bool write)
{
    for (uaddr_t a = ALIGN_DOWN(addr, sizeof(uint32_t)); a < addr + n; a = PAGE_DOWN(a) + PAGE_SIZE) {
        uint32_t value;
        int err = get_user_u32(&value, a);
        if (!err && write) err = cmpxchg_user_u32(a, &value, value);
        if (err) return err;
    }
    return 0;
}

ssize_t strncpy_from_user(char *dst, uaddr_t src, size_t max)
{
    size_t room = user_range_max(src);

    if (!room) return -EFAULT;
    ssize_t n = user_strlen((const char *)src, MIN(max, room));
    if (n < 0) return n;
    if ((size_t)n == max) return -ENAMETOOLONG;
    if ((size_t)n == room) return -EFAULT;
    int err = copy_from_user(dst, src, (size_t)n + 1);
    return err ? err : n;
}

int get_user_u32(uint32_t *value, uaddr_t src)
{
    return user_range_ok(src, 4, false) ? user_read_u32(value, (const void *)src) : -EFAULT;
}

int get_user_u64(uint64_t *value, uaddr_t src)
{
    return user_range_ok(src, 8, false) ? user_read_u64(value, (const void *)src) : -EFAULT;
}

int put_user_u32(uaddr_t dst, uint32_t value)
{
    return user_range_ok(dst, 4, true) ? user_write_u32((void *)dst, value) : -EFAULT;
}

int put_user_u64(uaddr_t dst, uint64_t value)
{
    return user_range_ok(dst, 8, true) ? user_write_u64((void *)dst, value) : -EFAULT;
}

int cmpxchg_user_u32(uaddr_t addr, uint32_t *expected, uint32_t value)
{
    return user_range_ok(addr, 4, true) ? user_cmpxchg_u32((void *)addr, expected, value) : -EFAULT;
}

char *path_from_user(uaddr_t src)
{
    char *path = kmalloc(PATH_MAX);

    if (!path) return ERR_PTR(-ENOMEM);
    ssize_t n = strncpy_from_user(path, src, PATH_MAX);
    if (n < 0) {
        kfree(path);
        return ERR_PTR(n);
    }
    return path;
}

struct user_iovec *iov_from_user(uaddr_t iov, size_t n)
{
    _Static_assert(sizeof(struct user_iovec) == sizeof(struct iovec), "read in one piece");
    if (n > UIO_MAXIOV) return ERR_PTR(-EINVAL);
    if (!n) return NULL;
    struct user_iovec *v = kmalloc(n * sizeof *v);
    if (!v) return ERR_PTR(-ENOMEM);
    int err = copy_from_user(v, iov, n * sizeof *v);
    size_t total = 0;
    for (size_t i = 0; i < n && !err; i++) {
        if ((ssize_t)v[i].len < 0) err = -EINVAL;
        v[i].len = MIN(v[i].len, MAX_RW_COUNT - total);
        total += v[i].len;
    }
    if (!err) return v;
    kfree(v);
    return ERR_PTR(err);
}
