/* The boot-config extra: --boot-config=PATH|@FD, a blob that only the guest understands. */
#include "fail.h"
#include "tender.h"

#include <fcntl.h>
#include <sys/mman.h>

static bool option(struct tender *tender, const char *option)
{
    const char *value = option_value(option, "--boot-config");

    if (value == NULL)
        return false;
    tender->config.source = value;
    return true;
}

static void setup(struct tender *tender)
{
    static const char WHAT[] = "boot config";
    int fd;

    if (tender->config.source == NULL)
        fail("%s: needs a boot config; give --boot-config=PATH|@FD", tender->kernel_path);
    fd = open_source(tender->config.source, O_RDONLY, WHAT);
    tender->boot.config_size = file_size(fd, tender->config.source, WHAT);
    tender->boot.config =
        map_file(tender, fd, tender->boot.config_size, PROT_READ, MAP_PRIVATE, 0, WHAT);
}

const struct module module_boot_config = {
    .name = "boot-config",
    .extra = RUNNC_EXTRA_BOOT_CONFIG,
    .usage = "  --boot-config=PATH|@FD      extra boot-config: the guest's configuration\n",
    .option = option,
    .setup = setup,
};
