/*
 * The kernel's own memory. Counts against the container's limit; NULL means
 * ENOMEM and must be handled. Blocks are 16-byte aligned; those of a page or
 * more are page-aligned.
 */
#ifndef LINUX_MM_KMALLOC_H
#define LINUX_MM_KMALLOC_H

#include "lib/types.h"

void *kmalloc(size_t n);
void *kzalloc(size_t n);
/* Keeps the content; on failure the old block stays. */
void *krealloc(void *p, size_t n);
void kfree(void *p); /* NULL is fine */
char *kstrdup(const char *s);
char *kstrndup(const char *s, size_t n); /* n bytes at most, NUL added */

#endif
