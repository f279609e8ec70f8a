/*
 * The ways to end: "return N", "exit N", "abort", and "trap" (an instruction
 * that the processor refuses).
 */
#include "probe.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *rest = info->cmdline;
    size_t len;
    const char *how = next_word(&rest, &len);
    const int status = (int)number_or(&rest, 0);

    if (word_is(how, len, "return"))
        return status;
    if (word_is(how, len, "exit"))
        solo5_exit(status);
    if (word_is(how, len, "abort"))
        solo5_abort();
    if (word_is(how, len, "trap"))
        __builtin_trap();
    return fail("give return, exit, abort or trap");
}
