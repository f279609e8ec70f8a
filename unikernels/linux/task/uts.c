#include "task/uts.h"

#include <linux/utsname.h>

#include "boot/config.h"
#include "lib/string.h"

/* The Linux whose calls this kernel answers; programs look for features by it. */
#define RELEASE "6.1.0-runnc"
#define VERSION "#1 SMP"

void uname_get(struct new_utsname *name)
{
    *name = (struct new_utsname){.sysname = "Linux", .release = RELEASE, .version = VERSION, .machine = "x86_64"};
    strlcpy(name->nodename, boot_config.hostname ? boot_config.hostname : "(none)", sizeof(name->nodename));
    strlcpy(name->domainname, boot_config.domainname ? boot_config.domainname : "(none)", sizeof(name->domainname));
}
