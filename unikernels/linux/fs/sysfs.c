#include "fs/sysfs.h"

#include <linux/magic.h>
#include <linux/stat.h>

/* One processor, as sched_getaffinity says. */
static const struct pseudo_entry cpu0_topology[] = {
    PSEUDO_TEXT("core_id", "0\n"),
    PSEUDO_TEXT("core_siblings_list", "0\n"),
    PSEUDO_TEXT("physical_package_id", "0\n"),
    PSEUDO_TEXT("thread_siblings_list", "0\n"),
    {0},
};
static const struct pseudo_entry cpu0[] = {
    PSEUDO_DIR("topology", cpu0_topology),
    {0},
};
static const struct pseudo_entry cpu[] = {
    PSEUDO_DIR("cpu0", cpu0),
    PSEUDO_TEXT("isolated", "\n"),
    PSEUDO_TEXT("kernel_max", "8191\n"),
    PSEUDO_TEXT("offline", "\n"),
    PSEUDO_TEXT("online", "0\n"),
    PSEUDO_TEXT("possible", "0\n"),
    PSEUDO_TEXT("present", "0\n"),
    {0},
};
static const struct pseudo_entry node0[] = {
    PSEUDO_TEXT("cpulist", "0\n"),
    PSEUDO_TEXT("cpumap", "1\n"),
    PSEUDO_TEXT("distance", "10\n"),
    {0},
};
static const struct pseudo_entry node[] = {
    PSEUDO_TEXT("has_cpu", "0\n"),
    PSEUDO_DIR("node0", node0),
    PSEUDO_TEXT("online", "0\n"),
    PSEUDO_TEXT("possible", "0\n"),
    {0},
};
static const struct pseudo_entry devices_system[] = {
    PSEUDO_DIR("cpu", cpu),
    PSEUDO_DIR("node", node),
    {0},
};
static const struct pseudo_entry devices[] = {
    PSEUDO_DIR("system", devices_system),
    {0},
};
static const struct pseudo_entry hugepage[] = {
    PSEUDO_TEXT("defrag", "always defer defer+madvise madvise [never]\n"),
    PSEUDO_TEXT("enabled", "always madvise [never]\n"),
    PSEUDO_TEXT("hpage_pmd_size", "2097152\n"),
    PSEUDO_TEXT("shmem_enabled", "always within_size advise [never] deny force\n"),
    {0},
};
static const struct pseudo_entry kernel_mm[] = {
    PSEUDO_DIR("transparent_hugepage", hugepage),
    {0},
};
static const struct pseudo_entry kernel[] = {
    PSEUDO_DIR("mm", kernel_mm),
    {0},
};
static const struct pseudo_entry no_entries[] = {{0}};
static const struct pseudo_entry fs[] = {
    PSEUDO_DIR("cgroup", no_entries), /* where config.json mounts it */
    {0},
};
static const struct pseudo_entry root_children[] = {
    PSEUDO_DIR("block", no_entries),
    PSEUDO_DIR("class", no_entries),
    PSEUDO_DIR("devices", devices),
    PSEUDO_DIR("fs", fs),
    PSEUDO_DIR("kernel", kernel),
    {0},
};
static const struct pseudo_entry root = PSEUDO_DIR("/", root_children);

struct super_block *sysfs_new(void)
{
    return pseudo_new("sysfs", &root, SYSFS_MAGIC, NULL);
}
