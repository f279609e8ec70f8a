/* The ways out. */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

void solo5_exit(int status)
{
    sys_exit_group(status);
}

void solo5_abort(void)
{
    sys_exit_group(SOLO5_EXIT_ABORT);
}

void spt_panic(const char *message)
{
    static const char prefix[] = "Solo5: ABORT: ";
    size_t len = 0;

    while (message[len] != '\0')
        len++;
    spt_puts(prefix, sizeof prefix - 1);
    spt_puts(message, len);
    solo5_abort();
}
