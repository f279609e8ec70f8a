/* /proc beside the processes: memory, processor, limits, names. */
#include "fs/proc.h"

#include <linux/magic.h>
#include <linux/stat.h>
#include <linux/utsname.h>

#include "boot/config.h"
#include "ipc/ids.h"
#include "lib/random.h"
#include "lib/string.h"
#include "mm/page.h"
#include "task/oom_kill.h"
#include "task/task.h"
#include "task/uts.h"
#include "time/clock.h"

#define KIB_PER_PAGE (PAGE_SIZE / 1024)
#define USER_HZ 100

static int show_meminfo(struct seq_file *seq, uint64_t arg)
{
    struct page_stats pages;

    (void)arg;
    page_stats(&pages);
    size_t free = pages.total - MIN(pages.total, pages.kernel + pages.user);
    const struct {
        const char *name;
        size_t pages;
    } rows[] = {
        {"MemTotal", pages.total}, {"MemFree", free}, {"MemAvailable", free}, {"Buffers", 0}, {"Cached", 0},
        {"SwapCached", 0}, {"Active", pages.user}, {"Inactive", 0}, {"Unevictable", 0}, {"Mlocked", 0},
        {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0}, {"Writeback", 0}, {"AnonPages", pages.user}, {"Mapped", 0},
        {"Shmem", 0}, {"Slab", pages.kernel}, {"SReclaimable", 0}, {"SUnreclaim", pages.kernel},
        {"CommitLimit", pages.total}, {"Committed_AS", pages.committed},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        seq_printf(seq, "%s:%*s%8lu kB\n", rows[i].name, (int)(15 - strlen(rows[i].name)), "",
                   rows[i].pages * KIB_PER_PAGE);
    seq_puts(seq, "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
    return 0;
}

static void cpuid(uint32_t leaf, uint32_t out[4])
{
    __asm__("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}

/* The processor can be asked by any program itself; only their number is the guest's own. */
static int show_cpuinfo(struct seq_file *seq, uint64_t arg)
{
    static const struct {
        uint32_t leaf;
        uint8_t reg, bit;
        const char *name;
    } flags[] = {
        {1, 3, 0, "fpu"}, {1, 3, 4, "tsc"}, {1, 3, 8, "cx8"}, {1, 3, 15, "cmov"}, {1, 3, 23, "mmx"}, {1, 3, 24, "fxsr"},
        {1, 3, 25, "sse"}, {1, 3, 26, "sse2"}, {1, 2, 0, "pni"}, {1, 2, 1, "pclmulqdq"}, {1, 2, 9, "ssse3"},
        {1, 2, 12, "fma"}, {1, 2, 13, "cx16"}, {1, 2, 19, "sse4_1"}, {1, 2, 20, "sse4_2"}, {1, 2, 22, "movbe"},
        {1, 2, 23, "popcnt"}, {1, 2, 25, "aes"}, {1, 2, 26, "xsave"}, {1, 2, 28, "avx"}, {1, 2, 29, "f16c"},
        {1, 2, 30, "rdrand"}, {7, 1, 0, "fsgsbase"}, {7, 1, 3, "bmi1"}, {7, 1, 5, "avx2"}, {7, 1, 8, "bmi2"},
        {7, 1, 9, "erms"}, {7, 1, 16, "avx512f"}, {7, 1, 18, "rdseed"}, {7, 1, 19, "adx"}, {7, 1, 29, "sha_ni"},
        {0x80000001, 3, 11, "syscall"}, {0x80000001, 3, 20, "nx"}, {0x80000001, 3, 29, "lm"},
        {0x80000001, 2, 0, "lahf_lm"},
    };
    uint32_t r[4], name[13] = {0};
    char vendor[13] = {0};

    (void)arg;
    cpuid(0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
    for (uint32_t i = 0; i < 3; i++)
        cpuid(0x80000002 + i, &name[i * 4]);
    cpuid(1, r);
    uint32_t family = (r[0] >> 8) & 15, model = (r[0] >> 4) & 15;
    if (family == 15)
        family += (r[0] >> 20) & 255;
    if (family >= 6)
        model += ((r[0] >> 16) & 15) << 4;
    seq_printf(seq,
               "processor\t: 0\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n",
               vendor, family, model, (const char *)name, r[0] & 15);
    seq_puts(seq,
             "physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: 0\nfpu\t\t: yes\n"
             "flags\t\t:");
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        cpuid(flags[i].leaf, r);
        if (r[flags[i].reg] >> flags[i].bit & 1)
            seq_printf(seq, " %s", flags[i].name);
    }
    seq_printf(seq,
               "\nclflush size\t: 64\ncache_alignment\t: 64\n"
               "address sizes\t: 48 bits physical, 48 bits virtual\n\n");
    return 0;
}

static int64_t all_cpu_ns(unsigned *processes, unsigned *running)
{
    int64_t total = 0;

    *processes = *running = 0;
    for (struct process *p = process_next(0); p; p = process_next(p->pid)) {
        struct task *task;
        total += process_cpu_ns(p);
        list_for_each(task, &p->tasks, process_link) {
            (*processes)++;
            *running += task->state == TASK_RUNNING;
        }
    }
    return total;
}

static int show_stat(struct seq_file *seq, uint64_t arg)
{
    unsigned processes, running;
    int64_t uptime = clock_monotonic(), busy = all_cpu_ns(&processes, &running);
    long long user = busy / (NSEC_PER_SEC / USER_HZ), idle = (uptime - busy) / (NSEC_PER_SEC / USER_HZ);

    (void)arg;
    seq_printf(seq, "cpu  %lld 0 0 %lld 0 0 0 0 0 0\ncpu0 %lld 0 0 %lld 0 0 0 0 0 0\n", user, idle, user, idle);
    seq_printf(seq, "intr 0\nctxt 0\nbtime %lld\nprocesses %u\nprocs_running %u\nprocs_blocked 0\n",
               (long long)((clock_realtime() - uptime) / NSEC_PER_SEC), processes, running);
    return 0;
}

static int show_uptime(struct seq_file *seq, uint64_t arg)
{
    unsigned processes, running;
    int64_t uptime = clock_monotonic(), idle = uptime - all_cpu_ns(&processes, &running);

    (void)arg;
    seq_printf(seq, "%lld.%02lld %lld.%02lld\n", (long long)(uptime / NSEC_PER_SEC),
               (long long)(uptime / 10000000 % 100), (long long)(idle / NSEC_PER_SEC),
               (long long)(idle / 10000000 % 100));
    return 0;
}

static int show_loadavg(struct seq_file *seq, uint64_t arg)
{
    unsigned processes, running;

    (void)arg;
    all_cpu_ns(&processes, &running);
    seq_printf(seq, "0.00 0.00 0.00 %u/%u %d\n", running, processes, current->process->pid);
    return 0;
}

static int show_version(struct seq_file *seq, uint64_t arg)
{
    struct new_utsname name;

    (void)arg;
    uname_get(&name);
    seq_printf(seq, "%s version %s %s\n", name.sysname, name.release, name.version);
    return 0;
}

/* A program may change it by sethostname(2). */
static int show_uts(struct seq_file *seq, const struct pseudo_entry *entry)
{
    struct new_utsname name;

    uname_get(&name);
    seq_printf(seq, "%s\n", (const char *)&name + entry->data);
    return 0;
}

static int readlink_self(char *buf, size_t size, uint64_t arg)
{
    (void)arg;
    return MIN(snprintf(buf, size, "%d", current->process->pid), (int)size);
}

static int readlink_thread_self(char *buf, size_t size, uint64_t arg)
{
    (void)arg;
    return MIN(snprintf(buf, size, "%d/task/%d", current->process->pid, current->tid), (int)size);
}

static void put_uuid(struct seq_file *seq, uint8_t u[16])
{
    u[6] = (uint8_t)((u[6] & 15) | 64);
    u[8] = (uint8_t)((u[8] & 63) | 128);
    for (int i = 0; i < 16; i++)
        seq_printf(seq, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    seq_puts(seq, "\n");
}

static int show_uuid(struct seq_file *seq, uint64_t arg)
{
    uint8_t uuid[16];

    (void)arg;
    random_bytes(uuid, sizeof(uuid));
    put_uuid(seq, uuid);
    return 0;
}

static int show_boot_id(struct seq_file *seq, uint64_t arg)
{
    static uint8_t uuid[16];
    static bool made;

    (void)arg;
    if (!made)
        random_bytes(uuid, sizeof(uuid));
    made = true;
    put_uuid(seq, uuid);
    return 0;
}

/* A setting: what config.json gives it, else its text here. */
static int show_sysctl(struct seq_file *seq, const struct pseudo_entry *entry)
{
    const char *given = boot_sysctl(entry->full_name);

    seq_printf(seq, "%s\n", given ? given : entry->text);
    return 0;
}

#define SYSCTL(n, full, t) \
    {.name = n, .mode = S_IFREG | 0444, .show_entry = show_sysctl, .text = t, .full_name = full}
#define UTS(n, field) \
    {.name = n, .mode = S_IFREG | 0444, .show_entry = show_uts, .data = offsetof(struct new_utsname, field)}

static const struct pseudo_entry sys_kernel_random[] = {
    PSEUDO_FILE("boot_id", show_boot_id),
    SYSCTL("entropy_avail", "kernel.random.entropy_avail", "256"),
    SYSCTL("poolsize", "kernel.random.poolsize", "256"),
    PSEUDO_FILE("uuid", show_uuid),
    {0},
};
static const struct pseudo_entry sys_kernel_pty[] = {
    SYSCTL("max", "kernel.pty.max", "4096"),
    {0},
};
static const struct pseudo_entry sys_kernel[] = {
    SYSCTL("cap_last_cap", "kernel.cap_last_cap", "40"),
    SYSCTL("core_pattern", "kernel.core_pattern", "core"),
    SYSCTL("core_uses_pid", "kernel.core_uses_pid", "0"),
    SYSCTL("dmesg_restrict", "kernel.dmesg_restrict", "1"),
    UTS("domainname", domainname),
    UTS("hostname", nodename),
    SYSCTL("kptr_restrict", "kernel.kptr_restrict", "1"),
    SYSCTL("msgmax", "kernel.msgmax", "8192"),
    SYSCTL("msgmnb", "kernel.msgmnb", "16384"),
    SYSCTL("msgmni", "kernel.msgmni", "32000"),
    SYSCTL("ngroups_max", "kernel.ngroups_max", "65536"),
    UTS("osrelease", release),
    UTS("ostype", sysname),
    SYSCTL("overflowgid", "kernel.overflowgid", "65534"),
    SYSCTL("overflowuid", "kernel.overflowuid", "65534"),
    SYSCTL("panic", "kernel.panic", "0"),
    SYSCTL("perf_event_paranoid", "kernel.perf_event_paranoid", "3"),
    SYSCTL("pid_max", "kernel.pid_max", "4194304"),
    SYSCTL("printk", "kernel.printk", "4\t4\t1\t7"),
    PSEUDO_DIR("pty", sys_kernel_pty),
    PSEUDO_DIR("random", sys_kernel_random),
    SYSCTL("randomize_va_space", "kernel.randomize_va_space", "2"),
    SYSCTL("sem", "kernel.sem", "32000\t1024000000\t500\t32000"),
    SYSCTL("shmall", "kernel.shmall", "18446744073692774399"),
    SYSCTL("shmmax", "kernel.shmmax", "18446744073692774399"),
    SYSCTL("shmmni", "kernel.shmmni", "4096"),
    SYSCTL("sysrq", "kernel.sysrq", "0"),
    SYSCTL("tainted", "kernel.tainted", "0"),
    SYSCTL("threads-max", "kernel.threads-max", "32768"),
    SYSCTL("unprivileged_bpf_disabled", "kernel.unprivileged_bpf_disabled", "2"),
    UTS("version", version),
    {0},
};
static const struct pseudo_entry sys_vm[] = {
    SYSCTL("dirty_background_ratio", "vm.dirty_background_ratio", "10"),
    SYSCTL("dirty_ratio", "vm.dirty_ratio", "20"),
    SYSCTL("max_map_count", "vm.max_map_count", "65530"),
    SYSCTL("min_free_kbytes", "vm.min_free_kbytes", "4096"),
    SYSCTL("mmap_min_addr", "vm.mmap_min_addr", "65536"),
    SYSCTL("nr_hugepages", "vm.nr_hugepages", "0"),
    SYSCTL("overcommit_memory", "vm.overcommit_memory", "0"),
    SYSCTL("overcommit_ratio", "vm.overcommit_ratio", "50"),
    SYSCTL("panic_on_oom", "vm.panic_on_oom", "0"),
    SYSCTL("swappiness", "vm.swappiness", "60"),
    SYSCTL("vfs_cache_pressure", "vm.vfs_cache_pressure", "100"),
    {0},
};
static const struct pseudo_entry sys_fs_epoll[] = {
    SYSCTL("max_user_watches", "fs.epoll.max_user_watches", "1048576"),
    {0},
};
/* As fs/inotify.c has them. */
static const struct pseudo_entry sys_fs_inotify[] = {
    SYSCTL("max_queued_events", "fs.inotify.max_queued_events", "16384"),
    SYSCTL("max_user_instances", "fs.inotify.max_user_instances", "128"),
    SYSCTL("max_user_watches", "fs.inotify.max_user_watches", "65536"),
    {0},
};
static const struct pseudo_entry sys_fs_mqueue[] = {
    SYSCTL("msg_default", "fs.mqueue.msg_default", "10"),
    SYSCTL("msg_max", "fs.mqueue.msg_max", "10"),
    SYSCTL("msgsize_default", "fs.mqueue.msgsize_default", "8192"),
    SYSCTL("msgsize_max", "fs.mqueue.msgsize_max", "8192"),
    SYSCTL("queues_max", "fs.mqueue.queues_max", "256"),
    {0},
};
static const struct pseudo_entry sys_fs[] = {
    SYSCTL("aio-max-nr", "fs.aio-max-nr", "65536"),
    PSEUDO_DIR("epoll", sys_fs_epoll),
    SYSCTL("file-max", "fs.file-max", "9223372036854775807"),
    PSEUDO_DIR("inotify", sys_fs_inotify),
    PSEUDO_DIR("mqueue", sys_fs_mqueue),
    SYSCTL("nr_open", "fs.nr_open", "1048576"),
    SYSCTL("pipe-max-size", "fs.pipe-max-size", "1048576"),
    SYSCTL("protected_fifos", "fs.protected_fifos", "0"),
    SYSCTL("protected_hardlinks", "fs.protected_hardlinks", "1"),
    SYSCTL("protected_regular", "fs.protected_regular", "0"),
    SYSCTL("protected_symlinks", "fs.protected_symlinks", "1"),
    SYSCTL("suid_dumpable", "fs.suid_dumpable", "0"),
    {0},
};
static const struct pseudo_entry sys_net_core[] = {
    SYSCTL("somaxconn", "net.core.somaxconn", "4096"),
    {0},
};
/* As net/inet/setting.c has them. */
static const struct pseudo_entry sys_net_ipv4[] = {
    SYSCTL("ip_local_port_range", "net.ipv4.ip_local_port_range", "32768\t60999"),
    SYSCTL("ip_unprivileged_port_start", "net.ipv4.ip_unprivileged_port_start", "1024"),
    SYSCTL("ping_group_range", "net.ipv4.ping_group_range", "0\t2147483647"),
    {0},
};
static const struct pseudo_entry sys_net[] = {
    PSEUDO_DIR("core", sys_net_core),
    PSEUDO_DIR("ipv4", sys_net_ipv4),
    {0},
};
static const struct pseudo_entry sys[] = {
    PSEUDO_DIR("fs", sys_fs),
    PSEUDO_DIR("kernel", sys_kernel),
    PSEUDO_DIR("net", sys_net),
    PSEUDO_DIR("vm", sys_vm),
    {0},
};

static int show_vmstat(struct seq_file *seq, uint64_t arg)
{
    struct page_stats pages;

    (void)arg;
    page_stats(&pages);
    size_t used = pages.kernel + pages.user;
    seq_printf(seq, "nr_free_pages %lu\nnr_active_anon %lu\nnr_anon_pages %lu\nnr_slab_unreclaimable %lu\n"
               "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill %llu\n",
               pages.total - MIN(pages.total, used), pages.user, pages.user, pages.kernel,
               (unsigned long long)oom_kills());
    return 0;
}

static const struct pseudo_entry sysvipc[] = {
    PSEUDO_FILE("msg", msg_show),
    PSEUDO_FILE("sem", sem_show),
    PSEUDO_FILE("shm", shm_show),
    {0},
};

static const struct pseudo_entry root_children[] = {
    PSEUDO_TEXT("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
    PSEUDO_TEXT("cmdline", "\n"),
    PSEUDO_FILE("cpuinfo", show_cpuinfo),
    PSEUDO_TEXT("devices", "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n136 pts\n\nBlock devices:\n"),
    PSEUDO_TEXT("diskstats", ""),
    PSEUDO_TEXT("filesystems",
                "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevpts\nnodev\tmqueue\nnodev\tpipefs\nnodev\tsockfs\nnodev\toverlay\n"),
    PSEUDO_TEXT("interrupts", "           CPU0       \n"),
    PSEUDO_FILE("loadavg", show_loadavg),
    PSEUDO_FILE("meminfo", show_meminfo),
    PSEUDO_TEXT("misc", ""),
    PSEUDO_TEXT("modules", ""),
    {.name = "mounts", .mode = S_IFLNK | 0777, .text = "self/mounts"},
    {.name = "net", .mode = S_IFLNK | 0777, .text = "self/net"},
    PSEUDO_TEXT("partitions", "major minor  #blocks  name\n\n"),
    {.name = "self", .mode = S_IFLNK | 0777, .readlink = readlink_self},
    PSEUDO_FILE("stat", show_stat),
    PSEUDO_TEXT("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    PSEUDO_DIR("sys", sys),
    PSEUDO_DIR("sysvipc", sysvipc),
    {.name = "thread-self", .mode = S_IFLNK | 0777, .readlink = readlink_thread_self},
    PSEUDO_FILE("uptime", show_uptime),
    PSEUDO_FILE("version", show_version),
    PSEUDO_FILE("vmstat", show_vmstat),
    {0},
};

/* ---- processes ---- */

static int lookup_pid(uint64_t arg, const struct qstr *name, const struct pseudo_entry **entry, uint64_t *child)
{
    uint64_t pid = 0;

    (void)arg;
    for (uint32_t i = 0; i < name->len; i++) {
        if (name->name[i] < '0' || name->name[i] > '9' || i > 8 || (i == 0 && name->name[0] == '0'))
            return -ENOENT;
        pid = pid * 10 + (uint64_t)(name->name[i] - '0');
    }
    if (!process_find((int)pid))
        return -ENOENT;
    *entry = &proc_pid_entry;
    *child = pid;
    return 0;
}

static bool next_pid(uint64_t arg, uint64_t *cursor, char *name, size_t size, uint64_t *child,
                     const struct pseudo_entry **entry)
{
    struct process *process = process_next((int)*cursor);

    (void)arg;
    if (!process)
        return false;
    *cursor = *child = (uint64_t)process->pid;
    *entry = &proc_pid_entry;
    snprintf(name, size, "%d", process->pid);
    return true;
}

static const struct pseudo_names root_names = {.lookup = lookup_pid, .next = next_pid};
static const struct pseudo_entry root = {
    .name = "/", .mode = S_IFDIR | 0555, .children = root_children, .names = &root_names};

struct super_block *proc_new(void)
{
    return pseudo_new("proc", &root, PROC_SUPER_MAGIC, proc_pid_owner);
}
