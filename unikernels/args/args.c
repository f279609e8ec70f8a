/* Arguments arrive whole: prints their length, then every byte as it came. */
#include "probe.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    print_field("length", text_length(info->cmdline));
    print(info->cmdline);
    return SOLO5_EXIT_SUCCESS;
}
