/* execve: from a path and two lists of strings to a program ready to run. */
#ifndef LINUX_LOADER_EXEC_H
#define LINUX_LOADER_EXEC_H

#include "lib/types.h"

/*
 * The strings of argv and envp, copied out of the old program before it goes.
 * Limits are Linux's (execve(2), "Limits on size of arguments and environment").
 */
struct exec_strings {
    char *data;
    size_t used, capacity, limit;
    unsigned argc, envc;
};

int exec_strings_add(struct exec_strings *s, const char *text);      /* -E2BIG, -ENOMEM */
int exec_strings_add_user(struct exec_strings *s, uaddr_t text);     /* and -EFAULT */
void exec_strings_free(struct exec_strings *s);

/*
 * Replaces the running process's program. Errors come back as long as the old
 * one can go on; after that the process is killed. Takes the strings over.
 * argv strings come first in strings, then envp.
 */
long exec_program(const char *path, struct exec_strings *strings);

#endif
