/* /proc/net: one file per table, each told by who has it. */
#include "fs/proc.h"

#include <linux/stat.h>

#include "net/inet/show.h"
#include "net/unix/unix.h"

static int show_unix(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    unix_show_all(seq);
    return 0;
}

const struct pseudo_entry proc_net_children[] = {
    PSEUDO_FILE("arp", show_arp),
    PSEUDO_FILE("dev", show_dev),
    PSEUDO_FILE("if_inet6", show_if_inet6),
    PSEUDO_FILE("ipv6_route", show_ipv6_route),
    PSEUDO_FILE("route", show_route),
    PSEUDO_FILE("tcp", show_tcp),
    PSEUDO_FILE("tcp6", show_tcp6),
    PSEUDO_FILE("udp", show_udp),
    PSEUDO_FILE("udp6", show_udp6),
    PSEUDO_FILE("raw", show_raw),
    PSEUDO_FILE("raw6", show_raw6),
    PSEUDO_FILE("unix", show_unix),
    {0},
};
