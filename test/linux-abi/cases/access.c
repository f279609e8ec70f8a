/* Who may do what, attributes, folders' listings, and what /proc tells. */
#include "case.h"

#include <dirent.h>
#include <grp.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <utime.h>

static void become(unsigned uid, unsigned gid)
{
    gid_t groups[1] = {gid};
    syscall(SYS_setgroups, uid ? 1 : 0, groups);
    syscall(SYS_setresgid, -1, gid, -1);
    syscall(SYS_setresuid, -1, uid, -1);
}

static void back(void)
{
    syscall(SYS_setresuid, -1, 0, -1);
    syscall(SYS_setresgid, -1, 0, -1);
    syscall(SYS_setgroups, 0, NULL);
}

static void permission_bits(void)
{
    put_file("f", "x");
    chmod(".", 0755);
    for (int mode = 0; mode < 8; mode++) {
        chown("f", 1000, 1000), chmod("f", (mode_t)mode << 6);
        become(1000, 1000);
        int r = open("f", O_RDONLY), rr = errno, w = open("f", O_WRONLY), ww = errno;
        say("owner %o: %s %s", mode, r < 0 ? strerror(rr) : "r", w < 0 ? strerror(ww) : "w");
        back();
        chown("f", 0, 1000), chmod("f", (mode_t)mode << 3);
        become(1000, 1000);
        say("group %o: %d %d", mode, open("f", O_RDONLY) >= 0, open("f", O_WRONLY) >= 0);
        back();
        chown("f", 0, 0), chmod("f", (mode_t)mode);
        become(1000, 1000);
        say("other %o: %d %d", mode, open("f", O_RDONLY) >= 0, open("f", O_WRONLY) >= 0);
        back();
    }
    chmod("f", 0);
    T(open("f", O_RDWR) >= 0);
    T(access("f", X_OK));
    T(access("f", R_OK | W_OK));
}

static void folder_permissions(void)
{
    mkdir("d", 0700);
    mkdir("d/e", 0755);
    put_file("d/e/f", "x");
    become(1000, 1000);
    T(access("d/e/f", F_OK));
    T(open("d", O_RDONLY));
    T(chdir("d"));
    back();
    chmod("d", 0711);
    become(1000, 1000);
    T(open("d", O_RDONLY));
    T(open("d/e/f", O_RDONLY) >= 0);
    T(unlink("d/e/f"));
    T(mkdir("d/e/g", 0755));
    T(rename("d/e/f", "d/e/g"));
    T(symlink("x", "d/e/s"));
    T(chmod("d/e/f", 0777));
    T(chown("d/e/f", 1000, 1000));
    T(truncate("d/e/f", 0));
    T(utime("d/e/f", NULL));
    T(link("d/e/f", "d/e/h"));
    back();
}

static void sticky_folder(void)
{
    mkdir("t", 0755);
    chmod("t", 01777);
    put_file("t/root", "x");
    become(1000, 1000);
    T(unlink("t/root"));
    T(rename("t/root", "t/mine"));
    put_file("t/own", "x");
    T(unlink("t/own"));
    put_file("t/own", "x");
    back();
    become(1001, 1001);
    T(unlink("t/own"));
    T(rename("t/own", "t/other"));
    back();
    T(unlink("t/own"));
}

static void chmod_chown(void)
{
    put_file("f", "x");
    T(chmod("f", 04755));
    show_stat("f");
    T(chown("f", 5, -1));
    show_stat("f");
    T(chown("f", -1, 6));
    show_stat("f");
    chmod("f", 06755);
    T(chown("f", -1, -1));
    show_stat("f");
    become(5, 6);
    T(chmod("f", 02644));
    show_stat("f");
    T(chown("f", 5, 6));
    T(chown("f", 7, -1));
    T(chown("f", -1, 7));
    back();
    chmod("f", 06777);
    become(5, 6);
    int fd = open("f", O_WRONLY);
    write(fd, "y", 1);
    back();
    show_stat("f");
    symlink("f", "l");
    T(lchown("l", 9, 9));
    show_stat("l");
    T(fchmodat(AT_FDCWD, "l", 0600, 0));
    show_stat("f");
    T(chmod("missing", 0));
    T(fchmod(99, 0));
    T(fchownat(AT_FDCWD, "f", 1, 1, 0x8000));
}

static void setgid_folder(void)
{
    mkdir("d", 0755);
    chown("d", 0, 50);
    chmod("d", 02775);
    mkdir("d/sub", 0755);
    put_file("d/f", "");
    show_stat("d/sub");
    show_stat("d/f");
}

static void new_owner(void)
{
    mkdir("d", 0755);
    chmod("d", 0777);
    become(1000, 2000);
    put_file("d/f", "");
    mkdir("d/s", 0755);
    symlink("x", "d/l");
    back();
    show_stat("d/f");
    show_stat("d/s");
    show_stat("d/l");
}

static void access_uses_real_ids(void)
{
    put_file("f", "x");
    chmod("f", 0600);
    become(1000, 1000);
    T(access("f", R_OK));
    T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    T(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
    back();
    T(access("f", 8));
    T(access("missing", F_OK));
    T(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0x4000));
}

static void file_times(void)
{
    struct stat st;
    struct timespec ts[2] = {{100, 5}, {200, 7}};

    put_file("f", "x");
    T(utimensat(AT_FDCWD, "f", ts, 0));
    stat("f", &st);
    say("%ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ts[0].tv_nsec = UTIME_OMIT, ts[1].tv_sec = 300;
    T(utimensat(AT_FDCWD, "f", ts, 0));
    stat("f", &st);
    say("%ld %ld", st.st_atim.tv_sec, st.st_mtim.tv_sec);
    ts[0].tv_nsec = UTIME_NOW, ts[1].tv_nsec = UTIME_OMIT;
    T(utimensat(AT_FDCWD, "f", ts, 0));
    stat("f", &st);
    say("%d %ld", st.st_atim.tv_sec > 1000000, st.st_mtim.tv_sec);
    ts[1].tv_nsec = 1000000000;
    T(utimensat(AT_FDCWD, "f", ts, 0));
    T(utimensat(AT_FDCWD, "missing", NULL, 0));
    int fd = open("f", O_RDONLY);
    T(futimens(fd, NULL));
    T(utimensat(fd, NULL, NULL, AT_SYMLINK_NOFOLLOW));
    symlink("f", "l");
    struct timespec past[2] = {{1, 0}, {2, 0}};
    T(utimensat(AT_FDCWD, "l", past, AT_SYMLINK_NOFOLLOW));
    lstat("l", &st);
    say("%ld", st.st_mtim.tv_sec);
    struct utimbuf ub = {10, 20};
    T(utime("f", &ub));
    struct timeval tv[2] = {{30, 5}, {40, 6}};
    T(utimes("f", tv));
    stat("f", &st);
    say("%ld.%ld", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    tv[0].tv_usec = 1000000;
    T(utimes("f", tv));
    struct timespec far[2] = {{-5, 1}, {1ll << 33, 2}};
    T(utimensat(AT_FDCWD, "f", far, 0));
    stat("f", &st);
    say("%ld.%ld %ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec);
}

static void times_change(void)
{
    struct timespec past[2] = {{1, 0}, {2, 0}};
    struct stat st;

    put_file("f", "x");
    mkdir("d", 0755);
    utimensat(AT_FDCWD, "f", past, 0);
    utimensat(AT_FDCWD, "d", past, 0);
    int fd = open("f", O_RDWR);
    fstat(fd, &st);
    say("opened %d", st.st_mtim.tv_sec == 2);
    write(fd, "y", 1);
    fstat(fd, &st);
    say("written %d", st.st_mtim.tv_sec > 2);
    utimensat(AT_FDCWD, "f", past, 0);
    ftruncate(fd, 1);
    fstat(fd, &st);
    say("truncated to the same size %d", st.st_mtim.tv_sec > 2);
    utimensat(AT_FDCWD, "f", past, 0);
    chmod("f", 0600);
    fstat(fd, &st);
    say("chmod %d ctime %d", st.st_mtim.tv_sec == 2, st.st_ctim.tv_sec > 2);
    char c;
    read(fd, &c, 1);
    fstat(fd, &st);
    say("read atime %d", st.st_atim.tv_sec > 1);
    put_file("d/x", "");
    stat("d", &st);
    say("entry made %d", st.st_mtim.tv_sec > 2);
    utimensat(AT_FDCWD, "d", past, 0);
    unlink("d/x");
    stat("d", &st);
    say("entry removed %d", st.st_mtim.tv_sec > 2);
}

static void stat_calls(void)
{
    struct stat st;
    struct statx sx;

    put_file("f", "12345");
    symlink("f", "l");
    T(stat("l", &st));
    say("%o %lld", st.st_mode, (long long)st.st_size);
    T(lstat("l", &st));
    say("%o %lld", st.st_mode, (long long)st.st_size);
    T(stat("", &st));
    T(stat("f", NULL));
    T(fstat(99, &st));
    T(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
    T(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
    T(fstatat(AT_FDCWD, "l", &st, 0x80000));
    T(statx(AT_FDCWD, "f", 0, STATX_ALL, &sx));
    say("%x %o %llu %u %u", sx.stx_mask & STATX_BASIC_STATS, sx.stx_mode, (unsigned long long)sx.stx_size, sx.stx_nlink, sx.stx_uid);
    T(statx(AT_FDCWD, "missing", 0, STATX_ALL, &sx));
    T(statx(AT_FDCWD, "f", 0x80000, STATX_ALL, &sx));
    T(statx(AT_FDCWD, "f", 0, 0x80000000u, &sx));
    struct stat a, b;
    stat("f", &a), link("f", "g"), stat("g", &b);
    say("same file %d", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

static void filesystem_stats(void)
{
    struct statfs st;

    T(statfs("/dev/shm", &st));
    say("type %lx namelen %ld bsize %ld blocks %llu", (long)st.f_type, (long)st.f_namelen, (long)st.f_bsize, (unsigned long long)st.f_blocks);
    T(statfs("/proc", &st));
    say("type %lx", (long)st.f_type);
    T(statfs("missing", &st));
    T(fstatfs(99, &st));
    int fd = open("/dev/null", O_RDONLY);
    T(fstatfs(fd, &st));
    say("type %lx", (long)st.f_type);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    static char names[600][32];
    char *sorted[600];
    int n = 0;

    if (!dir) {
        say("%s: %s", path, strerror(errno));
        return;
    }
    while ((e = readdir(dir)) && n < 600) {
        snprintf(names[n], sizeof(names[n]), "%.24s/%d", e->d_name, e->d_type);
        sorted[n] = names[n];
        n++;
    }
    closedir(dir);
    qsort(sorted, (size_t)n, sizeof(sorted[0]), compare);
    say("%s: %d entries", path, n);
    for (int i = 0; i < n && n < 20; i++)
        say("  %s", sorted[i]);
}

static void directory_listing(void)
{
    list(".");
    put_file("f", "");
    mkdir("d", 0755);
    symlink("x", "l");
    mkfifo("p", 0600);
    list(".");
    unlink("f");
    list(".");
    list("/data");
    unlink("/data/extra1");
    put_file("/data/added", "");
    list("/data");
    list("f");
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "d/file%d", i);
        close(creat(name, 0644));
    }
    list("d");
}

static void directory_positions(void)
{
    char name[32];
    int seen = 0, again = 0;

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        close(creat(name, 0644));
    }
    DIR *dir = opendir(".");
    long at = 0;
    char first[64] = "";
    struct dirent *e;
    while ((e = readdir(dir))) {
        if (seen++ == 50)
            at = telldir(dir);
        if (seen == 52)
            strcpy(first, e->d_name);
    }
    seekdir(dir, at);
    e = readdir(dir);
    say("seen %d, the same after seekdir: %d", seen, e && !strcmp(e->d_name, first));
    rewinddir(dir);
    /* Removing while reading: each is seen once. */
    while ((e = readdir(dir)))
        if (e->d_name[0] == 'n' && unlink(e->d_name) == 0)
            again++;
    closedir(dir);
    say("removed %d", again);
    char small[16];
    int fd = open(".", O_RDONLY);
    T(syscall(SYS_getdents64, fd, small, sizeof(small)));
    T(syscall(SYS_getdents64, 0, small, sizeof(small)));
    T(syscall(SYS_getdents64, 99, small, sizeof(small)));
    T(lseek(fd, 0, SEEK_END) >= 0 || errno);
}

static void proc_self(void)
{
    char buf[256];
    struct stat st;

    memset(buf, 0, sizeof(buf));
    T(readlink("/proc/self/exe", buf, sizeof(buf)));
    say("%s", buf);
    memset(buf, 0, sizeof(buf));
    T(readlink("/proc/self/cwd", buf, sizeof(buf)));
    say("%s", buf);
    memset(buf, 0, sizeof(buf));
    T(readlink("/proc/self/root", buf, sizeof(buf)));
    say("%s", buf);
    show_file("/proc/self/comm");
    T(stat("/proc/self", &st));
    say("%o", st.st_mode);
    T(lstat("/proc/self/exe", &st));
    say("%o", st.st_mode);
    T(access("/proc/999999", F_OK));
    T(access("/proc/self/missing", F_OK));
    T(open("/proc/self/missing", O_RDONLY | O_CREAT, 0644));
    T(mkdir("/proc/x", 0755));
    T(unlink("/proc/self/stat"));
    T(open("/proc/self/exe", O_RDONLY) >= 0);
    int n = 0;
    FILE *f = fopen("/proc/self/cmdline", "r");
    int c;
    while ((c = getc(f)) != EOF)
        n++;
    fclose(f);
    say("cmdline %d", n);
    f = fopen("/proc/self/status", "r");
    while (fgets(buf, sizeof(buf), f))
        if (!strncmp(buf, "Uid:", 4) || !strncmp(buf, "Gid:", 4) || !strncmp(buf, "Name:", 5) || !strncmp(buf, "Threads:", 8) || !strncmp(buf, "Umask:", 6))
            say("%.*s", (int)strcspn(buf, "\n"), buf);
    fclose(f);
}

static void proc_fd(void)
{
    char buf[256] = {0};
    struct stat a, b;

    put_file("f", "content");
    int fd = open("f", O_RDWR);
    T(fd);
    T(readlink("/proc/self/fd/3", buf, sizeof(buf)));
    say("%s", buf);
    show_file("/proc/self/fd/3");
    stat("/proc/self/fd/3", &a), fstat(fd, &b);
    say("same %d", a.st_ino == b.st_ino);
    unlink("f");
    memset(buf, 0, sizeof(buf));
    readlink("/proc/self/fd/3", buf, sizeof(buf));
    say("%s", buf);
    T(open("/proc/self/fd/3", O_RDONLY));
    T(open("/proc/self/fd/77", O_RDONLY));
    T(open("/dev/fd/3", O_RDONLY));
    int p[2];
    pipe(p);
    memset(buf, 0, sizeof(buf));
    snprintf(buf + 100, 100, "/proc/self/fd/%d", p[0]);
    readlink(buf + 100, buf, 90);
    say("%.6s", buf);
    T(open(buf + 100, O_WRONLY) >= 0);
    lseek(fd, 3, SEEK_SET);
    FILE *f = fopen("/proc/self/fdinfo/3", "r");
    while (fgets(buf, sizeof(buf), f))
        if (!strncmp(buf, "pos", 3) || !strncmp(buf, "flags", 5))
            say("%.*s", (int)strcspn(buf, "\n"), buf);
    fclose(f);
}

static void proc_files(void)
{
    static const char *const there[] = {"/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/uptime", "/proc/loadavg",
        "/proc/version", "/proc/filesystems", "/proc/mounts", "/proc/self/maps", "/proc/self/stat", "/proc/self/statm",
        "/proc/self/environ", "/proc/self/limits", "/proc/self/mountinfo", "/proc/self/oom_score_adj", "/proc/self/auxv",
        "/proc/self/smaps_rollup", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/pid_max",
        "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/file-max", "/proc/sys/kernel/random/uuid"};
    char buf[64];

    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
        int fd = open(there[i], O_RDONLY);
        say("%s %d", there[i], fd >= 0 && read(fd, buf, sizeof(buf)) > 0);
        close(fd);
    }
    show_file("/proc/sys/kernel/ostype");
    show_file("/proc/self/oom_score_adj");
    T(open("/proc/meminfo", O_WRONLY) < 0 || 1);
    int fd = open("/proc/self/stat", O_RDONLY), n = 0;
    char c, prev = 0;
    while (read(fd, &c, 1) == 1) {
        n += c == ' ' && prev != ' ';
        prev = c;
    }
    say("stat fields %d", n + 1);
    T(lseek(fd, 0, SEEK_SET));
    T(read(fd, &c, 1));
}

static void proc_comm(void)
{
    int fd = open("/proc/self/comm", O_WRONLY);

    T(write(fd, "renamed\n", 8));
    close(fd);
    show_file("/proc/self/comm");
    fd = open("/proc/thread-self/comm", O_WRONLY);
    T(write(fd, "prog", 4));
    show_file("/proc/self/comm");
}

const struct test_case cases[] = {
    CASE(permission_bits), CASE(folder_permissions), CASE(sticky_folder), CASE(chmod_chown), CASE(setgid_folder),
    CASE(new_owner), CASE(access_uses_real_ids), CASE(file_times), CASE(times_change), CASE(stat_calls),
    CASE(filesystem_stats), CASE(directory_listing), CASE(directory_positions), CASE(proc_self), CASE(proc_fd),
    CASE(proc_files), CASE(proc_comm), {NULL, NULL},
};
