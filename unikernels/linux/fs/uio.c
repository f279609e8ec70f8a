#include "fs/uio.h"

#include "lib/string.h"

/* Between two copies a huge transfer finds out early that the rest is bad; and -EFAULT loses less than this. */
#define STEP PAGE_SIZE

void iov_iter_user(struct iov_iter *it, uaddr_t buf, size_t len)
{
    *it = (struct iov_iter){.count = len, .one = {.base = buf, .len = len}};
    it->iov = &it->one;
}

void iov_iter_kernel(struct iov_iter *it, void *buf, size_t len)
{
    iov_iter_user(it, (uaddr_t)buf, len);
    it->kernel = true;
}

void iov_iter_vec(struct iov_iter *it, const struct user_iovec *iov, size_t n)
{
    *it = (struct iov_iter){.iov = iov};
    for (size_t i = 0; i < n; i++)
        it->count += iov[i].len;
}

uaddr_t iov_iter_piece(const struct iov_iter *it, size_t *len)
{
    const struct user_iovec *iov = it->iov;
    size_t offset = it->offset;

    if (it->count == 0) {
        *len = 0;
        return 0;
    }
    while (offset == iov->len) {
        iov++;
        offset = 0;
    }
    *len = MIN(iov->len - offset, it->count);
    return iov->base + offset;
}

void iov_iter_advance(struct iov_iter *it, size_t n)
{
    while (n > 0) {
        size_t part = MIN(n, it->iov->len - it->offset);
        it->offset += part;
        it->count -= part;
        n -= part;
        if (it->offset == it->iov->len && it->count > 0) {
            it->iov++;
            it->offset = 0;
        }
    }
}

enum direction { TO, FROM, ZERO };

static int copy_piece(const struct iov_iter *it, uaddr_t at, uint8_t *mem, size_t n, enum direction direction)
{
    switch (direction) {
    case TO:
        if (!it->kernel)
            return copy_to_user(at, mem, n);
        memcpy((void *)at, mem, n);
        return 0;
    case FROM:
        if (!it->kernel)
            return copy_from_user(mem, at, n);
        memcpy(mem, (const void *)at, n);
        return 0;
    default:
        if (!it->kernel)
            return clear_user(at, n);
        memset((void *)at, 0, n);
        return 0;
    }
}

static ssize_t copy(struct iov_iter *it, uint8_t *mem, size_t n, enum direction direction)
{
    size_t done = 0;

    while (done < n && it->count > 0) {
        size_t len;
        uaddr_t at = iov_iter_piece(it, &len);
        len = MIN(MIN(len, n - done), STEP);
        if (copy_piece(it, at, direction == ZERO ? NULL : mem + done, len, direction))
            return done ? (ssize_t)done : -EFAULT;
        iov_iter_advance(it, len);
        done += len;
    }
    return (ssize_t)done;
}

ssize_t copy_to_iter(struct iov_iter *it, const void *src, size_t n)
{
    return copy(it, (uint8_t *)src, n, TO);
}

ssize_t copy_from_iter(struct iov_iter *it, void *dst, size_t n)
{
    return copy(it, dst, n, FROM);
}

ssize_t zero_iter(struct iov_iter *it, size_t n)
{
    return copy(it, NULL, n, ZERO);
}
