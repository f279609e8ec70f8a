/* Time, identity, limits, entropy, and calls that are not there. */
#include "case.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/auxv.h>

static void clocks(void)
{
    static const int ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                              CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
                              CLOCK_TAI, 77, -1};
    struct timespec a, b;

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        int r = clock_gettime(ids[i], &a);
        say("clock %d: %d", ids[i], r);
        if (r)
            continue;
        clock_gettime(ids[i], &b);
        say("goes on %d", b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        T(syscall(SYS_clock_gettime, ids[i], &b));
        T(clock_getres(ids[i], &a));
    }
    T(time(NULL) > 1600000000);
    struct timeval tv;
    T(gettimeofday(&tv, NULL));
    T(clock_settime(CLOCK_MONOTONIC, &a));
}

static void sleeping(void)
{
    struct timespec ts = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0};
    int64_t begin = now_ms();

    T(nanosleep(&ts, NULL));
    say("at least %d", now_ms() - begin >= 20);
    T(nanosleep(&bad, NULL));
    T(nanosleep(&negative, NULL));
    T(clock_nanosleep(77, 0, &ts, NULL));
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 10000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
    at.tv_sec = 1;
    T(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
    T(usleep(1000));
}

static void cpu_time(void)
{
    struct timespec a, b;
    struct rusage ru;
    struct tms tms;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (volatile long i = 0; i < 30000000; i++)
        ;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    say("used %d", (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec > 1000000);
    T(getrusage(RUSAGE_SELF, &ru));
    say("%d", ru.ru_utime.tv_sec + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec > 0);
    T(getrusage(RUSAGE_CHILDREN, &ru));
    T(getrusage(RUSAGE_THREAD, &ru));
    T(getrusage(5, &ru));
    T(times(&tms) != -1);
}

static void show_ids(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;

    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    say("uid %d %d %d gid %d %d %d", (int)r, (int)e, (int)s, (int)gr, (int)ge, (int)gs);
}

static void user_ids(void)
{
    show_ids();
    T(setresgid(10, 20, 30));
    T(setresuid(10, 20, 0));
    show_ids();
    T(setuid(77));
    T(seteuid(10));
    T(seteuid(0));
    show_ids();
    T(setresuid(0, 0, 0));
    T(setresgid(0, 0, 0));
    T(setreuid(5, 6));
    show_ids();
    T(setreuid(-1, 5));
    T(setreuid(0, 0));
    show_ids();
}

static void setfsuid_calls(void)
{
    T(syscall(SYS_setfsuid, -1));
    T(syscall(SYS_setfsgid, -1));
}

static void groups(void)
{
    gid_t list[8] = {3, 1, 2};

    T(setgroups(3, list));
    T(getgroups(0, NULL));
    memset(list, 0, sizeof(list));
    T(getgroups(8, list));
    say("%d %d %d", (int)list[0], (int)list[1], (int)list[2]);
    T(getgroups(2, list));
    T(getgroups(-1, list));
    T(setgroups(70000, list));
    T(setgroups(0, NULL));
}

static void capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    T(syscall(SYS_capget, &head, data));
    say("chown %d", data[0].effective >> CAP_CHOWN & 1);
    T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    T(prctl(PR_CAPBSET_READ, 99));
    head.version = 1;
    T(syscall(SYS_capget, &head, NULL));
    say("version %x", head.version);
    head = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
    syscall(SYS_capget, &head, data);
    struct __user_cap_data_struct fewer[2] = {data[0], data[1]};
    fewer[0].effective &= ~(1u << CAP_CHOWN);
    T(syscall(SYS_capset, &head, fewer));
    put_file("f", "");
    T(chown("f", 1, 1));
    T(syscall(SYS_capset, &head, data));
    T(chown("f", 1, 1));
}

static void process_ids(void)
{
    T(getpid() > 0);
    T(getpgid(0) == getpgrp());
    T(getsid(0) > 0 || 1);
    T(getpgid(999999));
    T(getsid(999999));
    T(setpgid(999999, 0));
    T(setpgid(0, -1));
}

static void prctl_calls(void)
{
    char name[17] = {0};

    T(prctl(PR_GET_NAME, name));
    T(prctl(PR_SET_NAME, "a name that is too long"));
    T(prctl(PR_GET_NAME, name));
    say("%s", name);
    T(prctl(PR_SET_NAME, "system"));
    T(prctl(PR_GET_DUMPABLE));
    T(prctl(PR_SET_DUMPABLE, 5));
    T(prctl(PR_GET_KEEPCAPS));
    T(prctl(PR_SET_PDEATHSIG, 9));
    int sig = 0;
    T(prctl(PR_GET_PDEATHSIG, &sig));
    say("%d", sig);
    T(prctl(PR_SET_PDEATHSIG, 0));
    T(prctl(PR_SET_PDEATHSIG, 99));
    T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(9999));
}

static void limits(void)
{
    struct rlimit r;

    T(getrlimit(RLIMIT_NOFILE, &r));
    struct rlimit mine = {100, r.rlim_max};
    T(setrlimit(RLIMIT_NOFILE, &mine));
    T(getrlimit(RLIMIT_NOFILE, &mine));
    say("%d", (int)mine.rlim_cur);
    T(setrlimit(RLIMIT_NOFILE, &r));
    mine = (struct rlimit){10, 5};
    T(setrlimit(RLIMIT_NOFILE, &mine));
    T(getrlimit(99, &r));
    T(getrlimit(RLIMIT_STACK, NULL));
    T(prlimit(999999, RLIMIT_NOFILE, NULL, &r));
    T(getpriority(PRIO_PROCESS, 0));
    T(setpriority(PRIO_PROCESS, 0, 5));
    T(getpriority(PRIO_PROCESS, 0));
    T(setpriority(PRIO_PROCESS, 0, 0));
    T(getpriority(77, 0));
}

static void names(void)
{
    struct utsname u;

    T(uname(&u));
    say("%s %s", u.sysname, u.machine);
    T(sethostname("changed", 7));
    uname(&u);
    say("%s", u.nodename);
    T(sethostname("x", 65));
    T(sethostname("x", -1));
}

static void system_information(void)
{
    struct sysinfo info;

    T(sysinfo(&info));
    say("%d %d", info.totalram > 0, info.mem_unit == 1);
    T(sysconf(_SC_PAGESIZE));
    T(sysconf(_SC_CLK_TCK));
    T(sysconf(_SC_NPROCESSORS_ONLN) > 0);
    T(syscall(SYS_getcpu, NULL, NULL, NULL));
}

static void randomness(void)
{
    unsigned char a[64] = {0}, b[64] = {0};

    T(getrandom(a, 64, 0));
    T(getrandom(b, 64, GRND_NONBLOCK));
    say("differ %d", memcmp(a, b, 64) != 0);
    T(getrandom(a, 0, 0));
    T(getrandom(a, 64, 0x80));
    T(getrandom((void *)8, 64, 0));
    T(getentropy(a, 16));
}

static void auxiliary_vector(void)
{
    T(getauxval(AT_PAGESZ));
    T(getauxval(AT_CLKTCK));
    T(getauxval(AT_UID));
    T(getauxval(AT_SECURE));
    T(getauxval(AT_PHNUM) > 0);
    T(getauxval(AT_RANDOM) != 0);
    T(getauxval(AT_SYSINFO_EHDR) != 0);
    say("%s %s", (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM));
}

static void unknown_calls(void)
{
    T(syscall(9999));
    T(syscall(-1));
    T(syscall(SYS_tuxcall));
    T(syscall(SYS_afs_syscall));
    T(syscall(SYS_create_module));
}

static void wait_without_children(void)
{
    int status;

    T(syscall(SYS_wait4, -1, &status, 0, NULL));
    T(syscall(SYS_wait4, -1, &status, 0x40, NULL));
    T(syscall(SYS_waitid, 0, 0, NULL, 4, NULL));
    T(syscall(SYS_waitid, 77, 0, NULL, 4, NULL));
}

static void exec_errors(void)
{
    char *argv[] = {"x", NULL};

    put_file("text", "no program");
    put_file("script", "#!/missing\n");
    T(execve("missing", argv, argv));
    T(execve("text", argv, argv));
    chmod("text", 0755);
    chmod("script", 0755);
    T(execve("text", argv, argv));
    T(execve("script", argv, argv));
    T(execve(".", argv, argv));
    T(execve("text/x", argv, argv));
    T(execve(NULL, argv, argv));
    T(execve("", argv, argv));
    int fd = open("/bin/prog", O_WRONLY);
    say("writing to a running program: %s", fd < 0 ? strerror(errno) : "ok");
}

const struct test_case cases[] = {
    CASE(clocks), CASE(sleeping), CASE(cpu_time), CASE(setfsuid_calls), CASE(groups),
    CASE(capabilities), CASE(process_ids), CASE(prctl_calls), CASE(limits), CASE(names), CASE(system_information),
    CASE(randomness), CASE(auxiliary_vector), CASE(unknown_calls), CASE(wait_without_children), CASE(exec_errors),
    /* Last: it gives up being root. */
    CASE(user_ids), {NULL, NULL},
};
