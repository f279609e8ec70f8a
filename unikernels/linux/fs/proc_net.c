/* /proc/net: one file per table, each told by who has it. */
#include "fs/proc.h"

#include <linux/stat.h>

#include "net/unix/unix.h"

static int show_unix(struct seq_file *seq, uint64_t arg)
{
    (void)arg;
    unix_show_all(seq);
    return 0;
}

const struct pseudo_entry proc_net_children[] = {
    PSEUDO_FILE("unix", show_unix),
    {0},
};
