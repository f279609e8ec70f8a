/* The vnet extra: --vnet=IFACE|@FD, taps with virtio-net headers, as many as the container has interfaces. */
#include "fail.h"
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static bool option(struct tender *tender, const char *option)
{
    const char *value = option_value(option, "--vnet");

    if (value == NULL)
        return false;
    if (tender->vnet_count == RUNNC_VNET_MAX)
        fail("--vnet: more than %u interfaces", RUNNC_VNET_MAX);
    tender->vnet_sources[tender->vnet_count++] = value;
    return true;
}

static void setup(struct tender *tender)
{
    struct runnc_boot_info *boot = &tender->boot;

    for (; boot->vnet_count < tender->vnet_count; boot->vnet_count++) {
        const unsigned index = boot->vnet_count;
        const char *source = tender->vnet_sources[index];
        struct ifreq tap;
        char what[32];
        int fd;

        snprintf(what, sizeof what, "--vnet=%.16s", source);
        fd = tap_open(source, true, what);
        (void)tap_check(fd, true, source, what, &tap);
        boot->vnet_fd[index] = fd;
        if ((errno = watch(tender, fd, EPOLLIN, RUNNC_EPOLL_VNET + index)) != 0)
            fail_errno("%s: cannot wait for it", what);
        tap_allow(tender, "interface", fd);
    }
}

const struct module module_vnet = {
    .name = "vnet",
    .extra = RUNNC_EXTRA_VNET,
    .usage = "  --vnet=IFACE|@FD            extra vnet: a tap with virtio-net headers; may be repeated\n",
    .option = option,
    .setup = setup,
};
