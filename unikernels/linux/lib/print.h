/*
 * Formatted text. Conversions: d i u x X o c s p %, flags - 0 #, width,
 * precision (also *), lengths hh h l ll z.
 */
#ifndef LINUX_LIB_PRINT_H
#define LINUX_LIB_PRINT_H

#include <stdarg.h>

#include "lib/types.h"

/* As C's: at most size bytes with the NUL; returns the length without a limit. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* One line for the operator, to standard error: "linux: ...\n". */
void klog(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A state that cannot be: one line on standard error, then exit status 255. */
void panic(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;

/* The configuration or image is wrong: one line, then exit status 126 or 127. */
void fatal(int status, const char *fmt, ...) PRINTF_LIKE(2, 3) NORETURN;

#define ASSERT(x)                                                     \
    do {                                                              \
        if (unlikely(!(x))) panic("%s:%d: %s", __FILE__, __LINE__, #x); \
    } while (0)

#endif
