/* The console is the tender's standard output. */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

void spt_puts(const char *buf, size_t size)
{
    while (size > 0) {
        long n = sys_write(SYS_STDOUT, buf, size);

        if (n == -SYS_EINTR)
            continue;
        if (n <= 0)
            return;
        buf += n;
        size -= (size_t)n;
    }
}

void solo5_console_write(const char *buf, size_t size)
{
    spt_puts(buf, size);
}
