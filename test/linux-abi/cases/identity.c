/*
 * Who a program is and what it may: ids, capabilities, limits, names. Raw calls change the calling thread alone, so
 * what gives up being root does it in a thread.
 */
#include "case.h"

#include <elf.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void *run(void *body)
{
    ((void (*)(void))body)();
    return NULL;
}

static void in_a_thread(void (*body)(void))
{
    pthread_t t;

    pthread_create(&t, NULL, run, (void *)body);
    pthread_join(t, NULL);
    say("still root: %d", geteuid() == 0 && getegid() == 0);
}

static void show_ids(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;

    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    say("uid %d %d %d fs %ld, gid %d %d %d fs %ld", (int)r, (int)e, (int)s, syscall(SYS_setfsuid, -1), (int)gr, (int)ge,
        (int)gs, syscall(SYS_setfsgid, -1));
}

/* How many capabilities; which may differ from kernel to kernel. */
static void show_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];

    syscall(SYS_capget, &head, d);
    say("effective %d permitted %d inheritable %d, dac_override %d, chown %d", d[0].effective != 0, d[0].permitted != 0,
        d[0].inheritable != 0, d[0].effective >> CAP_DAC_OVERRIDE & 1, d[0].effective >> CAP_CHOWN & 1);
}

static void drop_and_return_body(void)
{
    T(syscall(SYS_setresuid, -1, 1000, -1));
    show_ids();
    show_capabilities();
    T(open("secret", O_RDONLY));
    T(syscall(SYS_setresuid, -1, 0, -1));
    show_capabilities();
    T(syscall(SYS_setuid, 1000));
    show_ids();
    show_capabilities();
    T(syscall(SYS_setuid, 0));
    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    T(syscall(SYS_setresuid, 0, -1, -1));
    T(syscall(SYS_setgid, 5));
    T(syscall(SYS_setgroups, 0, NULL));
    T(setpriority(PRIO_PROCESS, 0, -5));
    T(chroot("/"));
    T(sethostname("x", 1));
    T(kill(1, 0));
    T(mknod("device", S_IFCHR | 0600, 0x103));
    T(chown("secret", 1000, 1000));
}

static void drop_and_return(void)
{
    put_file("secret", "x");
    chmod("secret", 0600);
    in_a_thread(drop_and_return_body);
}

static void group_ids_body(void)
{
    T(syscall(SYS_setresgid, 1, 2, 3));
    T(syscall(SYS_setresuid, 7, 7, 7));
    show_ids();
    T(syscall(SYS_setregid, -1, 1));
    show_ids();
    T(syscall(SYS_setregid, 3, -1));
    show_ids();
    T(syscall(SYS_setgid, 3));
    show_ids();
    T(syscall(SYS_setgid, 9));
    T(syscall(SYS_setresgid, -1, 9, -1));
    T(syscall(SYS_setgid, -1));
    T(syscall(SYS_setuid, -1));
}

static void group_ids(void)
{
    in_a_thread(group_ids_body);
}

static void keep_capabilities_body(void)
{
    T(prctl(PR_SET_KEEPCAPS, 1));
    T(syscall(SYS_setuid, 1000));
    show_capabilities();
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{1u << CAP_DAC_OVERRIDE, 1u << CAP_DAC_OVERRIDE, 0}};
    T(syscall(SYS_capset, &head, d));
    show_capabilities();
    T(open("secret", O_RDONLY) >= 0);
    d[0].effective = d[0].permitted = 1u << CAP_CHOWN;
    T(syscall(SYS_capset, &head, d));
    T(chown("secret", 5, 5));
    memset(d, 0, sizeof(d));
    T(syscall(SYS_capset, &head, d));
    T(open("secret", O_RDONLY));
    T(prctl(PR_SET_KEEPCAPS, 2));
    head.pid = 999999;
    T(syscall(SYS_capget, &head, d));
}

static void keep_capabilities(void)
{
    put_file("secret", "x");
    chmod("secret", 0600);
    in_a_thread(keep_capabilities_body);
}

static void bounding_and_ambient_body(void)
{
    T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    T(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    T(prctl(PR_CAPBSET_DROP, 99));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &head, d);
    d[0].inheritable |= 1u << CAP_KILL;
    T(syscall(SYS_capset, &head, d));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
    d[0].inheritable &= ~(1u << CAP_KILL);
    T(syscall(SYS_capset, &head, d));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    T(prctl(PR_CAP_AMBIENT, 99, 0, 0, 0));
    T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
    T(prctl(PR_GET_SECUREBITS));
    T(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
    T(prctl(PR_GET_SECUREBITS));
    T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void bounding_and_ambient(void)
{
    in_a_thread(bounding_and_ambient_body);
    T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    T(prctl(PR_GET_SECUREBITS));
}

static void file_system_ids_body(void)
{
    struct stat st;

    T(syscall(SYS_setfsgid, 12));
    T(syscall(SYS_setfsuid, 11));
    T(open("secret", O_RDONLY));
    T(open("new", O_WRONLY | O_CREAT, 0644) >= 0);
    stat("new", &st);
    say("owner %d %d", (int)st.st_uid, (int)st.st_gid);
    T(syscall(SYS_setfsuid, 0));
    T(open("secret", O_RDONLY) >= 0);
    show_ids();
}

static void file_system_ids(void)
{
    put_file("secret", "x");
    chmod("secret", 0600);
    chmod(".", 0777);
    in_a_thread(file_system_ids_body);
}

static void many_groups_body(void)
{
    static gid_t list[1000], got[1000];
    bool same = true;

    for (int i = 0; i < 1000; i++)
        list[i] = (gid_t)(i * 3);
    T(syscall(SYS_setgroups, 1000, list));
    T(getgroups(0, NULL));
    T(getgroups(999, got));
    T(getgroups(1000, got));
    for (int i = 0; i < 1000; i++)
        same &= got[i] == list[i];
    say("%d", same);
    T(syscall(SYS_setgroups, 4, 8));
    T(syscall(SYS_getgroups, 1000, 8));
    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    T(open("group", O_RDONLY) >= 0);
    T(open("other", O_RDONLY));
}

static void many_groups(void)
{
    put_file("group", "x");
    chown("group", 0, 300);
    chmod("group", 0640);
    put_file("other", "x");
    chown("other", 0, 301);
    chmod("other", 0640);
    in_a_thread(many_groups_body);
}

static void umasks(void)
{
    T(umask(077));
    T(umask(07777));
    T(umask(027));
    close(open("f", O_CREAT | O_WRONLY, 0666));
    mkdir("d", 0777);
    mkfifo("p", 0666);
    show_stat("f");
    show_stat("d");
    show_stat("p");
}

static void raising_limits_body(void)
{
    struct rlimit r = {10, 20}, more = {10, 30};

    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    T(setrlimit(RLIMIT_CORE, &r));
    T(setrlimit(RLIMIT_CORE, &more));
    T(getrlimit(RLIMIT_CORE, &more));
    say("%ld %ld", (long)more.rlim_cur, (long)more.rlim_max);
}

static void all_limits(void)
{
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit old, new, got;
        T(getrlimit(i, &old));
        new = (struct rlimit){old.rlim_max / 2, old.rlim_max};
        if (i == RLIMIT_NPROC || i == RLIMIT_CPU || i == RLIMIT_RTTIME)
            new.rlim_cur = old.rlim_cur;
        T(setrlimit(i, &new));
        T(getrlimit(i, &got));
        say("%d: %d", i, got.rlim_cur == new.rlim_cur && got.rlim_max == new.rlim_max);
        setrlimit(i, &old);
    }
    struct rlimit r = {2, 1};
    T(setrlimit(RLIMIT_CORE, &r));
    T(getrlimit(RLIM_NLIMITS, &r));
    T(syscall(SYS_prlimit64, 0, RLIMIT_CORE, 8, NULL));
    T(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, 8));
    T(syscall(SYS_prlimit64, 999999, RLIMIT_CORE, NULL, &r));
    r = (struct rlimit){1 << 30, 1 << 30};
    T(setrlimit(RLIMIT_NOFILE, &r));
    in_a_thread(raising_limits_body);
}

static void limit_of_descriptors(void)
{
    struct rlimit old, few;
    int p[2];

    getrlimit(RLIMIT_NOFILE, &old);
    few = (struct rlimit){8, old.rlim_max};
    T(setrlimit(RLIMIT_NOFILE, &few));
    for (int i = 0; i < 6; i++)
        T(dup(0));
    T(open("/", O_RDONLY));
    T(pipe(p));
    T(fcntl(0, F_DUPFD, 0));
    T(fcntl(0, F_DUPFD, 8));
    T(dup2(0, 8));
    T(dup2(0, 7));
    T(syscall(SYS_epoll_create1, 0));
    T(syscall(SYS_eventfd2, 0, 0));
    T(close(4));
    T(open("/", O_RDONLY));
    T(setrlimit(RLIMIT_NOFILE, &old));
}

static void limit_of_processes_body(void)
{
    struct rlimit none;
    pthread_t t;

    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    getrlimit(RLIMIT_NPROC, &none);
    none.rlim_cur = 0;
    T(setrlimit(RLIMIT_NPROC, &none));
    say("%s", strerror(pthread_create(&t, NULL, run, (void *)show_ids)));
}

static void limit_of_processes(void)
{
    struct rlimit old;

    getrlimit(RLIMIT_NPROC, &old);
    in_a_thread(limit_of_processes_body);
    T(setrlimit(RLIMIT_NPROC, &old));
}

static void locked_memory_body(void)
{
    struct rlimit none, some;
    char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    getrlimit(RLIMIT_MEMLOCK, &some);
    none = some;
    some.rlim_cur = 8192;
    none.rlim_cur = 0;
    T(setrlimit(RLIMIT_MEMLOCK, &some));
    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    T(mlock(p, 4096));
    T(mlock(p, 4 * 4096));
    T(munlock(p, 4096));
    T(setrlimit(RLIMIT_MEMLOCK, &none));
    T(mlock(p, 4096));
}

static void limit_of_locked_memory(void)
{
    struct rlimit old;

    getrlimit(RLIMIT_MEMLOCK, &old);
    in_a_thread(locked_memory_body);
    T(setrlimit(RLIMIT_MEMLOCK, &old));
}

static void priorities_body(void)
{
    T(setpriority(PRIO_PROCESS, 0, 100));
    T(getpriority(PRIO_PROCESS, 0));
    T(setpriority(PRIO_PROCESS, 0, -100));
    T(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    T(setpriority(PRIO_PROCESS, 999999, 0));
    T(setpriority(9, 0, 0));
    T(syscall(SYS_setresuid, 1000, 1000, 1000));
    T(setpriority(PRIO_PROCESS, 0, 3));
    T(setpriority(PRIO_PROCESS, 0, 2));
    T(setpriority(PRIO_USER, 54321, 2));
}

static void priorities(void)
{
    in_a_thread(priorities_body);
    T(getpriority(PRIO_PROCESS, 0));
}

static void process_options(void)
{
    int value = -1;

    T(prctl(PR_SET_CHILD_SUBREAPER, 1));
    T(prctl(PR_GET_CHILD_SUBREAPER, &value));
    say("%d", value);
    T(prctl(PR_SET_CHILD_SUBREAPER, 0));
    T(prctl(PR_SET_DUMPABLE, 0));
    T(prctl(PR_GET_DUMPABLE));
    T(prctl(PR_SET_DUMPABLE, 1));
    T(prctl(PR_SET_TIMERSLACK, 12345));
    T(prctl(PR_GET_TIMERSLACK));
    T(prctl(PR_GET_TIMING));
    T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    T(prctl(PR_GET_TSC, &value));
    say("%d", value);
    T(prctl(PR_GET_SECCOMP));
    T(prctl(PR_GET_NAME, 8));
    T(prctl(PR_SET_NAME, 8));
    T(prctl(PR_SET_PDEATHSIG, 65));
    T(personality(0xffffffff));
    T(personality(ADDR_NO_RANDOMIZE));
    T(personality(0xffffffff));
    T(personality(0));
}

static void host_names(void)
{
    struct utsname u;
    char name[65];

    T(gethostname(name, sizeof(name)));
    T(sethostname("a.name", 6));
    T(setdomainname("domain", 6));
    uname(&u);
    say("%s %s", u.nodename, u.domainname);
    T(gethostname(name, 3));
    T(sethostname("", 0));
    uname(&u);
    say("[%s]", u.nodename);
    T(syscall(SYS_sethostname, 8, 4));
    T(syscall(SYS_uname, 8));
    say("a release %d", u.release[0] >= '4' && strchr(u.release, '.') != NULL);
    T(sethostname("guest", 5));
}

static void memory_and_load(void)
{
    struct sysinfo i;

    T(sysinfo(&i));
    say("%d %d %d", i.freeram <= i.totalram, i.procs > 0, i.uptime >= 0);
    T(syscall(SYS_sysinfo, 8));
    T(sysconf(_SC_PHYS_PAGES) > 0);
    T(sysconf(_SC_AVPHYS_PAGES) > 0);
    T(sysconf(_SC_OPEN_MAX) > 0);
    T(sysconf(_SC_NPROCESSORS_CONF) > 0);
}

static void random_bytes_flags(void)
{
    static unsigned char big[100000];
    int different = 0;

    T(syscall(SYS_getrandom, big, sizeof(big), 0));
    for (size_t i = 1; i < sizeof(big); i++)
        different += big[i] != big[i - 1];
    say("%d", different > 98000);
    T(syscall(SYS_getrandom, big, 16, 1));
    T(syscall(SYS_getrandom, big, 16, 2));
    T(syscall(SYS_getrandom, big, 16, 4));
    T(syscall(SYS_getrandom, big, 16, 6));
    T(syscall(SYS_getrandom, big, 16, 8));
    T(syscall(SYS_getrandom, 8, 16, 0));
    T(syscall(SYS_getrandom, 8, 0, 0));
}

static void scheduling_policies(void)
{
    struct sched_param p = {0};
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {0};

    T(sched_setscheduler(0, SCHED_BATCH, &p));
    T(sched_getscheduler(0));
    T(sched_setscheduler(0, SCHED_OTHER, &p));
    p.sched_priority = 5;
    T(sched_setscheduler(0, SCHED_OTHER, &p));
    T(sched_setparam(0, &p));
    T(sched_setscheduler(0, 77, &p));
    T(sched_setscheduler(999999, SCHED_OTHER, &p));
    T(sched_setscheduler(0, SCHED_OTHER, NULL));
    T(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0));
    say("%u %u %d", attr.size, attr.policy, attr.nice);
    T(syscall(SYS_sched_getattr, 0, &attr, 8, 0));
    T(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 1));
    for (int i = 0; i < 7; i++)
        say("%d: %d %d", i, sched_get_priority_min(i), sched_get_priority_max(i));
    unsigned cpu = 99, node = 99;
    T(syscall(SYS_getcpu, &cpu, &node, NULL));
    say("%d %u", cpu < 99, node);
    T(syscall(SYS_getcpu, 8, NULL, NULL));
    T(syscall(SYS_sched_getaffinity, 0, 128, 8));
    T(syscall(SYS_sched_getaffinity, 0, 7, &attr));
    T(syscall(SYS_sched_getaffinity, 999999, 128, &attr));
    T(syscall(SYS_sched_setaffinity, 0, 8, 8));
}

static void auxiliary_vector(void)
{
    static const unsigned long types[] = {AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID,
                                          AT_EUID, AT_GID, AT_EGID, AT_HWCAP, AT_CLKTCK, AT_SECURE, AT_RANDOM, AT_HWCAP2,
                                          AT_EXECFN, AT_PLATFORM, AT_SYSINFO_EHDR, AT_MINSIGSTKSZ};
    extern char _start[];

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        errno = 0;
        unsigned long value = getauxval(types[i]);
        say("%lu: %s", types[i], errno ? "missing" : value ? "set" : "0");
    }
    say("hwcap %lx, hwcap2 %lx", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    say("entry %d, phent %lu", (char *)getauxval(AT_ENTRY) == _start, getauxval(AT_PHENT));
    const Elf64_Phdr *ph = (void *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += ph[i].p_type == PT_LOAD;
    say("loads %d", loads > 0);
}

static void vdso_symbols(void)
{
    static const char *const names[] = {"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu", "__vdso_clock_getres"};
    const char *base = (void *)getauxval(AT_SYSINFO_EHDR);
    const Elf64_Ehdr *eh = (void *)base;

    if (!base || memcmp(base, ELFMAG, SELFMAG)) {
        say("no vDSO");
        return;
    }
    const Elf64_Phdr *ph = (void *)(base + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    uintptr_t bias = 0;
    for (int i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD)
            bias = (uintptr_t)base + ph[i].p_offset - ph[i].p_vaddr;
        else if (ph[i].p_type == PT_DYNAMIC)
            dyn = (void *)(base + ph[i].p_offset);
    }
    const Elf64_Sym *sym = NULL;
    const char *str = NULL;
    const uint32_t *hash = NULL;
    for (; dyn && dyn->d_tag; dyn++) {
        if (dyn->d_tag == DT_SYMTAB)
            sym = (void *)(bias + dyn->d_un.d_ptr);
        else if (dyn->d_tag == DT_STRTAB)
            str = (void *)(bias + dyn->d_un.d_ptr);
        else if (dyn->d_tag == DT_HASH)
            hash = (void *)(bias + dyn->d_un.d_ptr);
    }
    say("tables %d", sym && str);
    if (!sym || !str || !hash) /* newer kernels have another hash table alone */
        return;
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        bool found = false;
        for (uint32_t i = 0; i < hash[1]; i++)
            found |= !strcmp(str + sym[i].st_name, names[n]);
        if (!found)
            say("%s is missing", names[n]);
    }
}

static void processes(void)
{
    siginfo_t info;

    T(getppid());
    T(getpid() == syscall(SYS_gettid));
    T(getpgid(-1));
    T(setpgid(-1, 0));
    T(getsid(-1));
    T(syscall(SYS_waitid, P_PID, 999999, &info, WEXITED, NULL));
    T(syscall(SYS_set_tid_address, NULL) == getpid());
}

const struct test_case cases[] = {
    CASE(drop_and_return), CASE(group_ids), CASE(keep_capabilities), CASE(bounding_and_ambient), CASE(file_system_ids),
    CASE(many_groups), CASE(umasks), CASE(all_limits), CASE(limit_of_descriptors), CASE(limit_of_processes),
    CASE(limit_of_locked_memory), CASE(priorities), CASE(process_options), CASE(host_names), CASE(memory_and_load),
    CASE(random_bytes_flags), CASE(scheduling_policies), CASE(auxiliary_vector), CASE(vdso_symbols), CASE(processes),
    {NULL, NULL},
};
