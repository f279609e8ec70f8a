/* /proc: names and forms, and what has to be the same for all; numbers of the machine are its own. */
#include "case.h"

#include <linux/capability.h>

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static char text[1 << 17];

static ssize_t get(const char *path)
{
    int fd = open(path, O_RDONLY);
    size_t len = 0;
    ssize_t n;

    if (fd < 0) {
        say("%s: %s", path, strerror(errno));
        text[0] = '\0';
        return -1;
    }
    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    return (ssize_t)len;
}

/* The line that begins with a word, digits as 9 and blanks as one. */
static void show_line(const char *word)
{
    char out[256];
    size_t n = 0;
    const char *at = text;

    while (at && strncmp(at, word, strlen(word)))
        at = (at = strchr(at, '\n')) ? at + 1 : NULL;
    if (!at) {
        say("no %s", word);
        return;
    }
    for (; *at && *at != '\n' && n < sizeof(out) - 1; at++) {
        char c = *at >= '0' && *at <= '9' ? '9' : *at == '\t' ? ' ' : *at;
        if ((c == '9' || c == ' ') && n > 0 && out[n - 1] == c)
            continue;
        out[n++] = c;
    }
    out[n] = '\0';
    say("%s", out);
}

static void show_value(const char *word)
{
    const char *at = strstr(text, word);

    say("%.*s", at ? (int)strcspn(at, "\n") : 7, at ? at : "nothing");
}

static int words(const char *at)
{
    int n = 0;

    while (*(at += strspn(at, " \n"))) {
        n++;
        at += strcspn(at, " \n");
    }
    return n;
}

static void of_itself(void)
{
    char b[256];

    get("/proc/self/cmdline");
    say("%s", text);
    get("/proc/self/comm");
    say("%s", text);
    T(readlink("/proc/self/cwd", b, sizeof(b)));
    T(readlink("/proc/self/root", b, sizeof(b)));
    T(readlink("/proc/self/exe", b, sizeof(b)) > 5);
    T(readlink("/proc/self", b, sizeof(b)) > 0);
    T(readlink("/proc/thread-self", b, sizeof(b)) > 0);
    T(get("/proc/self/environ") > 10);
    T(get("/proc/self/auxv") > 200);
    get("/proc/self/statm");
    say("%d", words(text));
    get("/proc/self/stat");
    say("%d", words(strrchr(text, ')') + 1));
    char state;
    int ppid;
    sscanf(strrchr(text, ')') + 2, "%c %d", &state, &ppid);
    say("state %c parent %d", state, ppid == getppid());
    get("/proc/self/cgroup");
    T(text[0] >= '0' && text[0] <= '9');
    get("/proc/self/wchan");
    say("%s", text);
    get("/proc/self/loginuid");
    T(strlen(text) > 0);
}

static void status(void)
{
    static const char *const plain[] = {"Name:", "State:", "TracerPid:", "Uid:", "Gid:", "Threads:", "NoNewPrivs:", "Umask:"};
    static const char *const form[] = {
        "Tgid:", "Ngid:", "Pid:", "PPid:", "FDSize:", "NStgid:", "NSpid:", "NSpgid:", "NSsid:", "VmPeak:", "VmSize:", "VmLck:",
        "VmHWM:", "VmRSS:", "RssAnon:", "RssFile:", "RssShmem:", "VmData:", "VmStk:", "VmExe:", "VmLib:", "VmPTE:", "VmSwap:",
        "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:",
    };

    get("/proc/self/status");
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        show_value(plain[i]);
    for (size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++)
        show_line(form[i]);
    signal(SIGUSR1, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    umask(0123);
    get("/proc/self/status");
    show_value("SigPnd:");
    show_value("ShdPnd:");
    show_value("SigBlk:");
    show_value("SigIgn:");
    show_value("Umask:");
    sigprocmask(SIG_UNBLOCK, &set, NULL) ;
}

static void limits(void)
{
    struct rlimit limit = {123, 456};

    setrlimit(RLIMIT_CORE, &limit);
    get("/proc/self/limits");
    say("%.*s", (int)strcspn(text, "\n"), text);
    show_value("Max core file size");
    show_line("Max open files");
    show_line("Max stack size");
    show_line("Max realtime timeout");
    int lines = 0;
    for (char *at = text; *at; at++)
        lines += *at == '\n';
    say("%d lines", lines);
}

static void maps(void)
{
    put_file("file", "some text");
    int fd = open("file", O_RDONLY);
    char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char want[64], *line, *save = NULL;

    *own = 1;
    get("/proc/self/maps");
    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned long start, end, offset, inode;
        char prot[8], dev[16], name[128] = "";
        int n = sscanf(line, "%lx-%lx %7s %lx %15s %lu %127[^\n]", &start, &end, prot, &offset, dev, &inode, name);
        if (n < 6)
            say("odd: %s", line);
        if (start == (unsigned long)shared)
            say("shared: %lu %s %lx %s %s", end - start, prot, offset, inode ? "inode" : "none", name);
        if (start <= (unsigned long)own && end > (unsigned long)own)
            say("own: %s %s", prot, name);
        if (!strcmp(name, "[stack]"))
            say("stack: %s", prot);
        if (!strcmp(name, "[heap]"))
            say("heap: %s", prot);
    }
    snprintf(want, sizeof(want), "%lx-", (unsigned long)own);
    get("/proc/self/smaps");
    T(strstr(text, "Rss:") != NULL);
    get("/proc/self/smaps_rollup");
    T(strstr(text, "[rollup]") != NULL);
    show_line("Rss:");
    show_line("Pss:");
    show_line("Swap:");
}

static void descriptors(void)
{
    static const char *const what[] = {"pos:", "flags:", "mnt_id:", "ino:"};
    int fds[8], n = 0, p[2];
    sigset_t set;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};

    put_file("f", "0123456789");
    fds[n++] = open("f", O_RDWR | O_APPEND | O_CLOEXEC);
    fds[n++] = eventfd(5, 0);
    fds[n++] = epoll_create1(0);
    fds[n++] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    fds[n++] = signalfd(-1, &set, 0);
    pipe(p);
    fds[n++] = p[1];
    epoll_ctl(fds[2], EPOLL_CTL_ADD, fds[1], &event);
    lseek(fds[0], 4, SEEK_SET);
    for (int i = 0; i < n; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[i]);
        get(path);
        show_value("pos:");
        show_value("flags:");
        for (int k = 2; k < 4; k++)
            show_line(what[k]);
        if (i == 1)
            show_value("eventfd-count:");
        if (i == 2)
            T(strstr(text, "tfd:") != NULL);
        if (i == 3) {
            show_value("clockid:");
            show_value("ticks:");
        }
        if (i == 4)
            show_value("sigmask:");
    }
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    int links = 0;
    while ((e = readdir(dir)))
        links += e->d_type == DT_LNK;
    say("%d links", links);
    closedir(dir);
    T(open("/proc/self/fd/999", O_RDONLY));
    T(open("/proc/self/fdinfo/999", O_RDONLY));
    char b[8] = {0};
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
    int again = open(path, O_RDONLY);
    T(read(again, b, 3));
    say("%s", b);
    snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
    write(p[1], "pipe", 4);
    again = open(path, O_RDONLY);
    T(read(again, b, 4));
}

static void mounts(void)
{
    char *line, *save = NULL;

    get("/proc/self/mountinfo");
    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int id, parent, major, minor;
        char root[64], at[64], options[128], *dash = strstr(line, " - ");
        if (sscanf(line, "%d %d %d:%d %63s %63s %127s", &id, &parent, &major, &minor, root, at, options) != 7 || !dash)
            say("odd: %s", line);
        if (!strcmp(at, "/proc") || !strcmp(at, "/dev/shm"))
            say("%s at %s: type %.5s", root, at, dash + 3);
    }
    get("/proc/mounts");
    T(strstr(text, "proc /proc proc rw") != NULL);
    T(strstr(text, " /dev/shm tmpfs rw") != NULL);
    T(get("/etc/mtab"));
}

static void threads_and_names(void)
{
    char path[64];

    prctl(PR_SET_NAME, "renamed (x) y");
    get("/proc/self/comm");
    say("%s", text);
    get("/proc/self/status");
    show_value("Name:");
    int fd = open("/proc/self/comm", O_WRONLY);
    T(write(fd, "a name longer than fifteen", 26));
    get("/proc/thread-self/comm");
    say("%s", text);
    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", getpid());
    get(path);
    say("%s", text);
    T(open("/proc/self/task/99999/comm", O_RDONLY));
    T(open("/proc/99999", O_RDONLY));
    T(open("/proc/self/nothing", O_RDONLY));
    T(mkdir("/proc/new", 0755));
    T(unlink("/proc/self/comm"));
    T(open("/proc/self/status", O_WRONLY));
    T(open("/proc/uptime", O_RDWR));
    T(chmod("/proc/self/status", 0777));
}

static void oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_RDWR);

    show_file("/proc/self/oom_score_adj");
    T(write(fd, "500", 3));
    show_file("/proc/self/oom_score_adj");
    T(pwrite(fd, "1001", 4, 0));
    T(pwrite(fd, "nonsense", 8, 0));
    fflush(NULL);
    if (fork() == 0) {
        show_file("/proc/self/oom_score_adj");
        fflush(NULL);
        _exit(0);
    }
    wait(NULL);
    T(pwrite(fd, "0", 1, 0));
    T(pwrite(fd, "100", 3, 0));
    if (fork() == 0) {
        T(setresuid(1000, 1000, 1000));
        int own = open("/proc/thread-self/oom_score_adj", O_RDONLY);
        T(read(own, (char[8]){0}, 8));
        _exit(0);
    }
    wait(NULL);
    if (fork() == 0) {
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct caps[2] = {{0}};
        int own = open("/proc/self/oom_score_adj", O_RDWR);
        T(syscall(SYS_capset, &head, caps));
        /* Back to what somebody with the right last said; test/oci/exec.test.ts looks at who goes further. */
        T(pwrite(own, "300", 3, 0));
        T(pwrite(own, "100", 3, 0));
        show_file("/proc/self/oom_score_adj");
        _exit(0);
    }
    wait(NULL);
    show_file("/proc/self/oom_score_adj");
}

static void of_a_child(void)
{
    int go[2], up[2], status;
    char path[64], b[128], c;
    struct stat st;

    pipe(go);
    pipe(up);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "the child");
        chdir("/dev");
        write(up[1], "u", 1);
        read(go[0], &c, 1);
        _exit(7);
    }
    read(up[0], &c, 1);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    T(get(path) > 5);
    say("%s", text);
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    get(path);
    say("%s", text);
    snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
    ssize_t n = readlink(path, b, sizeof(b));
    say("%.*s", (int)n, b);
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    T(get(path) > 10);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    get(path);
    int parent = 0;
    sscanf(strstr(text, "PPid:"), "PPid: %d", &parent);
    say("parent %d", parent == getpid());
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, up[1]);
    T(stat(path, &st));
    snprintf(path, sizeof(path), "/proc/%d/fd/0", pid);
    T(readlink(path, b, sizeof(b)) > 0);
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    T(get(path) > 100);
    snprintf(path, sizeof(path), "/proc/%d", pid);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    write(go[1], "g", 1);
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    get(path);
    show_value("State:");
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    T(get(path));
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    T(readlink(path, b, sizeof(b)));
    waitpid(pid, &status, 0);
    close(dir);
    T(access(path, F_OK));
}

static void of_the_machine(void)
{
    static const char *const info[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapTotal:", "Shmem:"};

    get("/proc/meminfo");
    for (size_t i = 0; i < sizeof(info) / sizeof(info[0]); i++)
        show_line(info[i]);
    get("/proc/cpuinfo");
    T(strstr(text, "processor\t: 0") != NULL);
    T(strstr(text, "model name\t: ") != NULL);
    T(strstr(text, "flags\t\t: ") != NULL);
    get("/proc/stat");
    T(strncmp(text, "cpu  ", 5));
    show_line("btime");
    show_line("ctxt");
    show_line("processes");
    get("/proc/uptime");
    say("%d", words(text));
    get("/proc/loadavg");
    say("%d", words(text));
    get("/proc/version");
    T(strncmp(text, "Linux version ", 14));
    get("/proc/filesystems");
    T(strstr(text, "nodev\ttmpfs\n") != NULL);
    T(strstr(text, "nodev\tproc\n") != NULL);
    T(get("/proc/vmstat") > 10);
    T(get("/proc/interrupts") > 5);
    T(get("/proc/net/unix") > 5);
    show_file("/proc/sys/kernel/ostype");
    show_file("/proc/sys/kernel/hostname");
    show_file("/proc/sys/fs/nr_open");
    show_file("/proc/sys/fs/pipe-max-size");
    show_file("/proc/sys/kernel/cap_last_cap");
    show_file("/proc/sys/kernel/ngroups_max");
    T(get("/proc/sys/kernel/random/boot_id"));
    T(get("/proc/sys/kernel/random/uuid"));
    T(get("/proc/sys/fs/inotify/max_user_watches") > 1);
    T(get("/proc/sys/vm/max_map_count") > 1);
}

static void links_and_counters(void)
{
    static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts", "time"};
    char path[64], b[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        ssize_t n = readlink(path, b, sizeof(b));
        say("%s: %.*s", names[i], n < 0 ? 0 : (int)strcspn(b, "0123456789"), b);
    }
    get("/proc/self/io");
    unsigned long long before = 0, after = 0;
    sscanf(text, "rchar: %llu", &before);
    get("/proc/meminfo");
    get("/proc/self/io");
    sscanf(text, "rchar: %llu", &after);
    say("more was read: %d", after > before + 500);
    show_line("wchar:");
    show_line("syscr:");
    show_line("syscw:");
    show_line("read_bytes:");
    get("/proc/self/personality");
    say("%s", text);
    T(get("/proc/self/schedstat") > 3);
    get("/proc/self/timerslack_ns");
    say("%s", text);
    get("/proc/self/coredump_filter");
    say("%s", text);
    get("/proc/self/sessionid");
    T(strlen(text) > 0);
    get("/proc/self/setgroups");
    say("%s", text);
}

static void reading_in_pieces(void)
{
    char a[4096] = {0}, one;
    size_t n = 0;
    int fd = open("/proc/self/limits", O_RDONLY);

    get("/proc/self/limits");
    while (n < sizeof(a) && read(fd, &one, 1) == 1)
        a[n++] = one;
    say("same %d", strcmp(a, text) == 0);
    T(lseek(fd, 0, SEEK_SET));
    T(read(fd, a, 5));
    T(pread(fd, a, 5, 6));
    say("%.5s", a);
    T(lseek(fd, 10, SEEK_CUR));
    T(write(fd, "x", 1));
    struct stat st;
    fstat(fd, &st);
    say("mode %o size %lld", st.st_mode, (long long)st.st_size);
    stat("/proc/self/fd", &st);
    say("mode %o", st.st_mode);
    stat("/proc", &st);
    say("mode %o", st.st_mode);
    lstat("/proc/self/exe", &st);
    say("mode %o", st.st_mode);
    stat("/proc/sys/kernel", &st);
    say("mode %o", st.st_mode);
}

const struct test_case cases[] = {
    CASE(of_itself), CASE(status), CASE(limits), CASE(maps), CASE(descriptors), CASE(mounts), CASE(threads_and_names),
    CASE(oom_score), CASE(of_a_child), CASE(of_the_machine), CASE(links_and_counters), CASE(reading_in_pieces),
    {NULL, NULL},
};
