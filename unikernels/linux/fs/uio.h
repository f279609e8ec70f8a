/*
 * The memory side of a read or write: one or several pieces of the program's or
 * the kernel's memory, walked from front to back.
 */
#ifndef LINUX_FS_UIO_H
#define LINUX_FS_UIO_H

#include "lib/types.h"
#include "mm/uaccess.h"

struct iov_iter {
    const struct user_iovec *iov; /* the current piece */
    size_t offset;                /* in it */
    size_t count;                 /* bytes left in all pieces */
    bool kernel;                  /* pieces are kernel memory and cannot fault */
    struct user_iovec one;
};

void iov_iter_user(struct iov_iter *it, uaddr_t buf, size_t len);
void iov_iter_kernel(struct iov_iter *it, void *buf, size_t len);
/* iov stays the caller's and must outlive the iterator. */
void iov_iter_vec(struct iov_iter *it, const struct user_iovec *iov, size_t n);

/*
 * Bytes copied, and the iterator moved behind them: fewer than asked for only at
 * the iterator's end or where memory is bad. Nothing at all copied because of
 * bad memory: -EFAULT.
 */
ssize_t copy_to_iter(struct iov_iter *it, const void *src, size_t n);
ssize_t copy_from_iter(struct iov_iter *it, void *dst, size_t n);
ssize_t zero_iter(struct iov_iter *it, size_t n);

/* The current piece: its address and how many bytes of it are left. */
uaddr_t iov_iter_piece(const struct iov_iter *it, size_t *len);
void iov_iter_advance(struct iov_iter *it, size_t n);

#endif
