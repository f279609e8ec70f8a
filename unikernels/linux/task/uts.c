#include "task/uts.h"

#include "boot/config.h"
#include "lib/string.h"

struct uts uts;

void uts_init(void)
{
    strlcpy(uts.nodename, boot_config.hostname, sizeof uts.nodename);
    strlcpy(uts.domainname, boot_config.domainname, sizeof uts.domainname);
}
