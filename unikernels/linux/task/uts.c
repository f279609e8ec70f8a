#include "task/uts.h"

#include <linux/utsname.h>

#include "boot/config.h"
#include "lib/string.h"

struct uts uts;

void uts_init(void)
{
    strlcpy(uts.nodename, boot_config.hostname, sizeof uts.nodename);
    strlcpy(uts.domainname, boot_config.domainname, sizeof uts.domainname);
}

void uname_get(struct new_utsname *u)
{
    *u = (struct new_utsname){.sysname = UTS_SYSNAME, .release = UTS_RELEASE, .version = UTS_VERSION,
                              .machine = UTS_MACHINE};
    strlcpy(u->nodename, uts.nodename, sizeof u->nodename);
    strlcpy(u->domainname, uts.domainname, sizeof u->domainname);
}
