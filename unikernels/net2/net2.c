/* Two network devices: 10.0.0.2 on "left", 10.1.0.2 on "right"; answers N echo requests on each. */
#include "ping.h"

int solo5_app_main(const struct solo5_start_info *start)
{
    const char *rest = start->cmdline;
    struct ping_device devices[2];

    devices[0] = (struct ping_device){.name = "left", .address = {10, 0, 0, 2}};
    devices[1] = (struct ping_device){.name = "right", .address = {10, 1, 0, 2}};
    return ping_run(devices, 2, number_or(&rest, UINT64_MAX));
}
