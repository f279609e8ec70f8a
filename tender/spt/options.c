#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

const char *option_value(const char *option, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(option, name, length) != 0 || option[length] != '=')
        return NULL;
    return option + length + 1;
}

/* The descriptor of "@FD". The standard ones are the console's. */
static int descriptor_of(const char *source, const char *what)
{
    char *end;
    long fd;
    int descriptor_flags;

    errno = 0;
    fd = strtol(source + 1, &end, 10);
    if (source[1] < '0' || source[1] > '9' || *end != '\0' || errno != 0 || fd > INT_MAX)
        fail("%s: '%s' is not @ and the number of a descriptor", what, source);
    if (fd <= STDERR_FILENO)
        fail("%s: descriptor %ld is the console's; pass another one", what, fd);
    /* Those that the tender opened are close-on-exec, which inherited ones cannot be. */
    descriptor_flags = fcntl((int)fd, F_GETFD);
    if (descriptor_flags < 0 || (descriptor_flags & FD_CLOEXEC))
        fail("%s: descriptor %ld is not open", what, fd);
    return (int)fd;
}

int open_source_try(const char *source, int flags, const char *what)
{
    if (source[0] == '\0')
        fail("%s: expected a path or @FD, got nothing", what);
    if (source[0] == '@')
        return descriptor_of(source, what);
    /* O_NONBLOCK: opening a fifo must not hang; it changes nothing for files. */
    return open(source, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

int open_descriptor(const char *source, const char *what)
{
    if (source[0] != '@')
        fail("%s: '%s' is not @ and the number of a descriptor", what, source);
    return descriptor_of(source, what);
}

int open_source(const char *source, int flags, const char *what)
{
    int fd = open_source_try(source, flags, what);

    if (fd < 0)
        fail_errno("%s: cannot open %s", what, source);
    return fd;
}

uint64_t file_size(int fd, const char *source, const char *what)
{
    struct stat status;
    uint64_t size = 0;

    if (fstat(fd, &status) < 0)
        fail_errno("%s: cannot examine %s", what, source);
    if (S_ISREG(status.st_mode))
        size = (uint64_t)status.st_size;
    else if (S_ISBLK(status.st_mode)) {
        if (ioctl(fd, BLKGETSIZE64, &size) < 0)
            fail_errno("%s: cannot tell the size of %s", what, source);
    } else
        fail("%s: %s is neither a regular file nor a block device", what, source);
    if (size == 0)
        fail("%s: %s is empty", what, source);
    return size;
}
