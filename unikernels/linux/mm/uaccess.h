/*
 * The only way to the program's memory. An address is checked to be in the
 * program's part of guest memory, then touched; a fault on the way is caught by
 * the fix-up table (entry/fault.c) and becomes -EFAULT, never a dead kernel.
 * Programs can see half a copy after -EFAULT, as on Linux.
 */
#ifndef LINUX_MM_UACCESS_H
#define LINUX_MM_UACCESS_H

#include "lib/error.h"
#include "lib/types.h"

/* 0 or -EFAULT. */
int copy_from_user(void *dst, uaddr_t src, size_t n);
int copy_to_user(uaddr_t dst, const void *src, size_t n);
int clear_user(uaddr_t dst, size_t n);

/* Touches each page, so that the host finds it open when it is given the address: 0 or -EFAULT. */
int user_touch(uaddr_t addr, size_t n, bool write);

/*
 * A string of at most max bytes with its NUL. Returns its length without the
 * NUL, -ENAMETOOLONG if there is no NUL within max, -EFAULT.
 */
ssize_t strncpy_from_user(char *dst, uaddr_t src, size_t max);

int get_user_u32(uint32_t *value, uaddr_t src);
int get_user_u64(uint64_t *value, uaddr_t src);
int put_user_u32(uaddr_t dst, uint32_t value);
int put_user_u64(uaddr_t dst, uint64_t value);

/* Atomic against the program's other threads. *expected becomes what was there: 0 or -EFAULT. */
int cmpxchg_user_u32(uaddr_t addr, uint32_t *expected, uint32_t value);

/* A path from the program: kmalloc'ed, at most PATH_MAX; ERR_PTR(-ENAMETOOLONG, -EFAULT, -ENOMEM). */
char *path_from_user(uaddr_t src);

/*
 * One element of an I/O vector, read in by iov_from_user: n elements, kmalloc'ed
 * (NULL if n is 0), with Linux's limits: -EINVAL for more than 1024 or for a
 * negative length; the total is cut at MAX_RW_COUNT.
 */
struct user_iovec {
    uaddr_t base;
    size_t len;
};
#define MAX_RW_COUNT (0x7ffff000ul)
struct user_iovec *iov_from_user(uaddr_t iov, size_t n);

#endif
