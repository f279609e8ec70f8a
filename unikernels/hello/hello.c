/* The smallest unikernel that says something: prints a greeting and its arguments. */
#include "solo5.h"

static size_t length(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static const char greeting[] = "Hello from a unikernel\n";

    solo5_console_write(greeting, sizeof greeting - 1);
    if (info->cmdline[0] != '\0') {
        solo5_console_write(info->cmdline, length(info->cmdline));
        solo5_console_write("\n", 1);
    }
    return SOLO5_EXIT_SUCCESS;
}
