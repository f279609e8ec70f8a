#include <linux/random.h>
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "lib/error.h"
#include "lib/random.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/mm.h"
#include "mm/uaccess.h"
#include "syscall/rusage.h"
#include "syscall/table.h"
#include "task/task.h"
#include "task/uts.h"

#define RANDOM_CHUNK 256
#define GRND_INSECURE_ 4

long sys_uname(long addr)
{
    struct new_utsname u;

    uname_get(&u);
    return copy_to_user((uaddr_t)addr, &u, sizeof u);
}

static long set_uts_name(char *name, uaddr_t from, long len)
{
    char buf[UTS_LEN + 1] = {0};

    if (!capable(CAP_SYS_ADMIN)) return -EPERM;
    if (len < 0 || len > UTS_LEN) return -EINVAL;
    if (copy_from_user(buf, from, (size_t)len)) return -EFAULT;
    memcpy(name, buf, sizeof buf);
    return 0;
}

long sys_sethostname(long name, long len)
{
    return set_uts_name(uts.nodename, (uaddr_t)name, len);
}

long sys_setdomainname(long name, long len)
{
    return set_uts_name(uts.domainname, (uaddr_t)name, len);
}

long sys_sysinfo(long addr)
{
    struct sysinfo s = {0};
    struct page_stats pages;
    const struct process *p = NULL;

    page_stats(&pages);
    size_t used = MIN(pages.kernel + pages.user, pages.total);
    s.uptime = (clock_monotonic() - process_find(1)->start_ns) / NSEC_PER_SEC;
    s.totalram = pages.total * PAGE_SIZE;
    s.freeram = (pages.total - used) * PAGE_SIZE;
    s.mem_unit = 1;
    for (int pid = 0; (p = process_next(pid)); pid = p->pid) s.procs++;
    return copy_to_user((uaddr_t)addr, &s, sizeof s);
}

long sys_getrandom(long addr, long len, long flags)
{
    uint8_t chunk[RANDOM_CHUNK];
    size_t n = MIN((size_t)len, (size_t)INT32_MAX);

    if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE_)) return -EINVAL;
    if ((flags & (GRND_RANDOM | GRND_INSECURE_)) == (GRND_RANDOM | GRND_INSECURE_)) return -EINVAL;
    for (size_t done = 0; done < n; done += sizeof chunk) {
        size_t c = MIN(n - done, sizeof chunk);
        random_bytes(chunk, c);
        if (copy_to_user((uaddr_t)addr + done, chunk, c)) return done ? (long)done : -EFAULT;
    }
    return (long)n;
}

/* ---- use and limits of resources ---- */

void rusage_set_cpu(struct rusage *ru, int64_t cpu_ns)
{
    ru->ru_utime.tv_sec = cpu_ns / NSEC_PER_SEC;
    ru->ru_utime.tv_usec = cpu_ns % NSEC_PER_SEC / 1000;
}

long sys_getrusage(long who, long addr)
{
    const struct process *p = current->process;
    const struct task *t;
    struct rusage ru = {0};

    switch ((int)who) {
    case RUSAGE_SELF:
        rusage_set_cpu(&ru, process_cpu_ns(p));
        list_for_each(t, &p->tasks, process_link) {
            ru.ru_nvcsw += (long)t->switches_voluntary;
            ru.ru_nivcsw += (long)t->switches_involuntary;
        }
        break;
    case RUSAGE_CHILDREN: rusage_set_cpu(&ru, p->children_cpu_ns); break;
    case RUSAGE_THREAD:
        rusage_set_cpu(&ru, task_cpu_ns(current));
        ru.ru_nvcsw = (long)current->switches_voluntary;
        ru.ru_nivcsw = (long)current->switches_involuntary;
        break;
    default: return -EINVAL;
    }
    if (who != RUSAGE_CHILDREN) ru.ru_maxrss = (long)(mm_resident(p->mm) * (PAGE_SIZE / 1024));
    return copy_to_user((uaddr_t)addr, &ru, sizeof ru);
}

static int check_limit(unsigned resource, const struct rlimit64 *new, const struct rlimit64 *old)
{
    if (new->rlim_cur > new->rlim_max) return -EINVAL;
    if (resource == RLIMIT_NOFILE && new->rlim_max > 1048576) return -EPERM;
    return new->rlim_max > old->rlim_max && !capable(CAP_SYS_RESOURCE) ? -EPERM : 0;
}

long sys_prlimit64(long pid, long resource, long new, long old)
{
    struct process *p = pid && (int)pid != current->tid ? process_find((int)pid) : current->process;
    struct rlimit64 limit, before;

    if ((unsigned long)(unsigned)resource >= RLIM_NLIMITS) return -EINVAL;
    if (new && copy_from_user(&limit, (uaddr_t)new, sizeof limit)) return -EFAULT;
    if (!p) return -ESRCH;
    before = p->rlimits[(unsigned)resource];
    if (new) {
        int err = check_limit((unsigned)resource, &limit, &before);
        if (err) return err;
        p->rlimits[(unsigned)resource] = limit;
    }
    return old ? copy_to_user((uaddr_t)old, &before, sizeof before) : 0;
}

long sys_getrlimit(long resource, long addr)
{
    return sys_prlimit64(0, resource, 0, addr);
}

long sys_setrlimit(long resource, long addr)
{
    return addr ? sys_prlimit64(0, resource, addr, 0) : -EFAULT;
}

long sys_syslog(long type, long buf, long len)
{
    (void)type, (void)buf, (void)len;
    return -EPERM;
}

long sys_reboot(long magic, long magic2, long cmd, long arg)
{
    (void)magic, (void)magic2, (void)cmd, (void)arg;
    return -EPERM;
}
