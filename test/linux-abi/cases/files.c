/* What files can do beside reading and writing: attributes, locks, splices, holes, seals, limits. */
#include "case.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static volatile int hits, last;
static void hit(int sig)
{
    hits++;
    last = sig;
}

/* Effective capabilities, all but some. */
static void without(uint64_t caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    syscall(SYS_capget, &header, data);
    data[0].effective = data[0].permitted & ~(uint32_t)caps;
    data[1].effective = data[1].permitted & ~(uint32_t)(caps >> 32);
    syscall(SYS_capset, &header, data);
}

/* ---- extended attributes ---- */

static void show_list(const char *path)
{
    char names[512];
    ssize_t n = listxattr(path, names, sizeof(names));

    if (n < 0) {
        say("list: %s", strerror(errno));
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        if (!names[i])
            names[i] = ' ';
    say("list %zd \"%.*s\"", n, (int)n, names);
}

static void attributes(void)
{
    char b[64] = {0};

    put_file("f", "x");
    show_list("f");
    T(getxattr("f", "user.a", b, sizeof(b)));
    T(setxattr("f", "user.a", "value", 5, XATTR_REPLACE));
    T(setxattr("f", "user.a", "value", 5, XATTR_CREATE));
    T(setxattr("f", "user.a", "other", 5, XATTR_CREATE));
    T(getxattr("f", "user.a", b, sizeof(b)));
    say("%s", b);
    T(getxattr("f", "user.a", NULL, 0));
    T(getxattr("f", "user.a", b, 4));
    T(setxattr("f", "user.a", "longer value", 12, XATTR_REPLACE));
    T(getxattr("f", "user.a", b, sizeof(b)));
    say("%s", b);
    T(setxattr("f", "user.empty", "", 0, 0));
    T(getxattr("f", "user.empty", b, sizeof(b)));
    T(listxattr("f", NULL, 0));
    T(listxattr("f", b, 3));
    T(removexattr("f", "user.a"));
    T(removexattr("f", "user.a"));
    show_list("f");
    int fd = open("f", O_RDONLY), path = open("f", O_PATH);
    T(fsetxattr(fd, "user.fd", "1", 1, 0));
    T(fgetxattr(fd, "user.fd", b, sizeof(b)));
    T(fgetxattr(path, "user.fd", b, sizeof(b)));
    T(flistxattr(fd, b, sizeof(b)) > 0);
    T(fremovexattr(fd, "user.fd"));
    T(setxattr("nothing", "user.a", "1", 1, 0));
    T(fsetxattr(999, "user.a", "1", 1, 0));
}

static void attribute_names(void)
{
    char name[300] = "user.", b[8];

    put_file("f", "x");
    T(setxattr("f", "", "1", 1, 0));
    T(setxattr("f", "user.", "1", 1, 0));
    T(setxattr("f", "user", "1", 1, 0));
    T(setxattr("f", "nonsense.a", "1", 1, 0));
    T(getxattr("f", "nonsense.a", b, 8));
    memset(name + 5, 'n', 250);
    T(setxattr("f", name, "1", 1, 0));
    name[255] = 'n';
    T(setxattr("f", name, "1", 1, 0));
    T(setxattr("f", "user.big", name, 65537, 0));
    T(setxattr("f", "user.a", "1", 1, 7));
    T(setxattr("f", "user.a", "1", 1, 3));
    T(setxattr("f", "user.a", (void *)8, 1, 0));
    T(setxattr("f", (char *)8, "1", 1, 0));
    T(getxattr("f", (char *)8, b, 1));
    T(setxattr("f", "user.a", "1", 1, 0));
    T(getxattr("f", "user.a", (void *)8, 8));
}

static void attribute_rights(void)
{
    char b[8];

    put_file("f", "x");
    symlink("f", "link");
    mkfifo("fifo", 0666);
    mkdir("sticky", 01777);
    chmod("sticky", 01777);
    T(setxattr("link", "user.a", "1", 1, 0));
    T(lsetxattr("link", "user.a", "1", 1, 0));
    T(lgetxattr("link", "user.a", b, 8));
    T(setxattr("fifo", "user.a", "1", 1, 0));
    T(getxattr("fifo", "user.a", b, 8));
    T(lsetxattr("link", "trusted.a", "1", 1, 0));
    T(lgetxattr("link", "trusted.a", b, 8));
    T(setxattr("f", "trusted.t", "1", 1, 0));
    T(setxattr("f", "security.s", "1", 1, 0));
    show_list("f");
    without(1ull << CAP_SYS_ADMIN);
    T(setxattr("f", "trusted.u", "1", 1, 0));
    T(getxattr("f", "trusted.t", b, 8));
    T(setxattr("f", "security.t", "1", 1, 0));
    T(getxattr("f", "security.s", b, 8));
    T(removexattr("f", "security.s"));
    show_list("f");
    chmod("f", 0444);
    without(~0ull);
    syscall(SYS_setresuid, 77, 77, 0);
    T(setxattr("f", "user.b", "1", 1, 0));
    T(getxattr("f", "user.a", b, 8));
    T(setxattr("sticky", "user.a", "1", 1, 0));
    syscall(SYS_setresuid, 0, 0, 0);
    without(0);
    chmod("f", 0200);
    T(getxattr("f", "user.a", b, 8));
    T(rename("f", "g"));
    T(getxattr("g", "user.a", b, 8));
    T(setxattr("/proc/self/status", "user.a", "1", 1, 0));
}

static void attributes_of_the_image(void)
{
    char b[8];

    T(setxattr("/data/hello", "user.a", "1", 1, 0));
    T(getxattr("/data/hello", "user.a", b, 8));
    show_file("/data/hello");
    T(removexattr("/data/hello", "user.a"));
}

/* ---- splices ---- */

static void splice_from_a_file(void)
{
    int p[2], fd = open("f", O_RDWR | O_CREAT, 0644);
    char b[32] = {0};
    loff_t at = 3;

    write(fd, "0123456789", 10);
    pipe(p);
    T(splice(fd, &at, p[1], NULL, 4, 0));
    say("at %lld", (long long)at);
    T(read(p[0], b, 32));
    say("%s", b);
    lseek(fd, 8, SEEK_SET);
    T(splice(fd, NULL, p[1], NULL, 100, 0));
    T(splice(fd, NULL, p[1], NULL, 100, 0));
    T(lseek(fd, 0, SEEK_CUR));
    T(splice(fd, NULL, fd, NULL, 1, 0));
    T(splice(p[0], NULL, p[1], NULL, 1, 0));
    T(splice(fd, &at, p[1], &at, 1, 0));
    T(splice(fd, NULL, p[1], NULL, 0, 0));
    T(splice(fd, NULL, p[1], NULL, 1, 0x100));
    T(splice(p[1], NULL, p[1], NULL, 1, 0));
    T(splice(fd, NULL, 999, NULL, 1, 0));
    at = -1;
    T(splice(fd, &at, p[1], NULL, 1, 0));
    T(splice(fd, (void *)8, p[1], NULL, 1, 0));
}

static void splice_to_a_file(void)
{
    int p[2], fd = open("f", O_RDWR | O_CREAT, 0644);
    loff_t at = 5;

    pipe(p);
    T(write(p[1], "abcdefgh", 8));
    T(splice(p[0], NULL, fd, &at, 3, 0));
    say("at %lld", (long long)at);
    T(splice(p[0], NULL, fd, NULL, 2, SPLICE_F_MORE));
    T(lseek(fd, 0, SEEK_CUR));
    T(splice(p[0], NULL, fd, NULL, 100, 0));
    struct stat st;
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    T(splice(p[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK));
    int app = open("f", O_WRONLY | O_APPEND);
    write(p[1], "x", 1);
    T(splice(p[0], NULL, app, NULL, 1, 0));
    int ro = open("f", O_RDONLY);
    T(splice(p[0], NULL, ro, NULL, 1, 0));
    close(p[1]);
    T(splice(p[0], NULL, fd, NULL, 100, 0));
    T(splice(p[0], NULL, fd, NULL, 100, 0));
}

static void splice_between_pipes(void)
{
    int a[2], b[2], s[2];
    char buf[32] = {0};

    pipe(a);
    pipe(b);
    write(a[1], "hello", 5);
    T(splice(a[0], NULL, b[1], NULL, 3, 0));
    T(tee(a[0], b[1], 100, 0));
    T(read(a[0], buf, 32));
    say("%s", buf);
    memset(buf, 0, sizeof(buf));
    T(read(b[0], buf, 32));
    say("%s", buf);
    T(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
    T(tee(a[0], a[1], 10, 0));
    T(tee(a[0], b[1], 10, 0x100));
    T(tee(open("f", O_RDWR | O_CREAT, 0644), b[1], 10, 0));
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(a[1], "through", 7);
    T(splice(a[0], NULL, s[0], NULL, 7, 0));
    T(splice(s[1], NULL, b[1], NULL, 100, 0));
    memset(buf, 0, sizeof(buf));
    T(read(b[0], buf, 32));
    say("%s", buf);
    signal(SIGPIPE, hit);
    hits = 0;
    close(b[0]);
    write(a[1], "lost?", 5);
    T(splice(a[0], NULL, b[1], NULL, 5, 0));
    say("signals %d", hits);
    T(read(a[0], buf, 32));
    signal(SIGPIPE, SIG_DFL);
}

static void vmsplice_both_ways(void)
{
    int p[2];
    char b[16] = {0};
    struct iovec out[2] = {{"abc", 3}, {"de", 2}}, in = {b, 16};

    pipe(p);
    T(vmsplice(p[1], out, 2, 0));
    T(vmsplice(p[0], &in, 1, 0));
    say("%s", b);
    T(vmsplice(p[0], &in, 1, SPLICE_F_NONBLOCK));
    T(vmsplice(open("f", O_RDWR | O_CREAT, 0644), out, 1, 0));
    T(vmsplice(p[1], out, 2000, 0));
    T(vmsplice(p[1], out, 1, 0x100));
    T(vmsplice(999, out, 1, 0));
}

/* ---- names that come and go ---- */

static void without_a_name(void)
{
    struct stat st;
    char path[64];

    T(open(".", O_TMPFILE | O_RDONLY, 0600));
    T(open("nothing", O_TMPFILE | O_RDWR, 0600));
    T(open("/proc", O_TMPFILE | O_RDWR, 0600));
    put_file("f", "x");
    T(open("f", O_TMPFILE | O_RDWR, 0600));
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    T(write(fd, "content", 7));
    fstat(fd, &st);
    say("links %u mode %o size %lld", (unsigned)st.st_nlink, st.st_mode, (long long)st.st_size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show_file("named");
    show_stat("named");
    T(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    T(linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    int excl = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    T(linkat(excl, "", AT_FDCWD, "never", AT_EMPTY_PATH));
    put_file("gone", "x");
    int gone = open("gone", O_RDWR);
    unlink("gone");
    T(linkat(gone, "", AT_FDCWD, "back", AT_EMPTY_PATH));
}

static void folder_that_is_gone(void)
{
    char b[256];

    mkdir("d", 0755);
    chdir("d");
    T(rmdir("../d"));
    T(getcwd(b, sizeof(b)) == NULL ? -1 : 0);
    T(open("f", O_CREAT | O_WRONLY, 0644));
    T(mkdir("e", 0755));
    T(open(".", O_RDONLY));
    T(open("..", O_RDONLY) >= 0);
    T(access(".", F_OK));
    ssize_t n = readlink("/proc/self/cwd", b, sizeof(b));
    say("%.*s", (int)n, b);
    T(chdir("/"));
    T(getcwd(b, 1) == NULL ? -1 : 0);
    T(getcwd(b, 2) == NULL ? -1 : 0);
    T(syscall(SYS_getcwd, (char *)8, 100));
}

static void special_files(void)
{
    struct stat st;

    T(mknod("fifo", S_IFIFO | 0666, 0));
    T(mknod("plain", 0644, 0));
    T(mknod("sock", S_IFSOCK | 0600, 0));
    T(mknod("dir", S_IFDIR | 0755, 0));
    T(mknod("odd", 0170000, 0));
    T(mknod("chr", S_IFCHR | 0666, 0x103));
    T(mknod("fifo", S_IFIFO, 0));
    show_stat("fifo");
    show_stat("plain");
    show_stat("sock");
    int fd = open("chr", O_RDWR);
    T(write(fd, "x", 1));
    without(1ull << CAP_MKNOD);
    T(mknod("no", S_IFCHR | 0666, 0x103));
    T(mknod("still", S_IFIFO | 0600, 0));
    T(mknod("white", S_IFCHR, 0));
    without(0);
    T(open("fifo", O_WRONLY | O_NONBLOCK));
    int r = open("fifo", O_RDONLY | O_NONBLOCK);
    int w = open("fifo", O_WRONLY | O_NONBLOCK);
    T(write(w, "abc", 3));
    char b[8];
    T(read(r, b, 8));
    T(read(r, b, 8));
    close(w);
    T(read(r, b, 8));
    T(lseek(r, 0, SEEK_SET));
    fstat(r, &st);
    say("%o", st.st_mode);
    T(truncate("fifo", 0));
    umask(0);
    T(mknod("open", S_IFIFO | 0777, 0));
    show_stat("open");
}

/* ---- locks ---- */

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int err = fcntl(fd, cmd, &l);

    if (!err && (cmd == F_GETLK || cmd == F_OFD_GETLK))
        say("held: type %d start %lld length %lld pid %d", l.l_type, (long long)l.l_start, (long long)l.l_len,
            l.l_pid > 0 ? 1 : l.l_pid);
    return err;
}

static void locks_of_open_files(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR), ro = open("f", O_RDONLY);

    T(lock(a, F_OFD_SETLK, F_WRLCK, 10, 10));
    T(lock(b, F_OFD_SETLK, F_RDLCK, 15, 1));
    T(lock(b, F_OFD_GETLK, F_RDLCK, 0, 0));
    T(lock(b, F_GETLK, F_WRLCK, 0, 0));
    T(lock(b, F_SETLK, F_WRLCK, 19, 5));
    T(lock(b, F_OFD_SETLK, F_WRLCK, 20, 5));
    T(lock(a, F_OFD_SETLK, F_UNLCK, 12, 2));
    T(lock(b, F_OFD_SETLK, F_RDLCK, 12, 2));
    T(lock(b, F_OFD_GETLK, F_WRLCK, 14, 2));
    T(lock(ro, F_OFD_SETLK, F_WRLCK, 100, 1));
    T(lock(ro, F_OFD_SETLK, F_RDLCK, 100, 1));
    int dup_a = dup(a);
    close(a);
    T(lock(b, F_OFD_SETLK, F_RDLCK, 10, 1));
    close(dup_a);
    T(lock(b, F_OFD_SETLK, F_RDLCK, 10, 1));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_pid = 5};
    T(fcntl(b, F_OFD_SETLK, &l));
    T(lock(b, F_SETLK, 77, 0, 0));
    T(lock(b, F_SETLK, F_RDLCK, -5, 2));
    T(fcntl(b, F_SETLK, (void *)8));
}

static void locks_of_processes(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);

    T(lock(a, F_SETLK, F_WRLCK, 0, 0));
    T(lock(b, F_SETLK, F_WRLCK, 5, 5));
    T(lock(b, F_GETLK, F_WRLCK, 0, 0));
    T(lock(b, F_OFD_GETLK, F_WRLCK, 0, 0));
    close(b); /* and with it every lock of the process on that file */
    b = open("f", O_RDWR);
    T(lock(b, F_OFD_GETLK, F_WRLCK, 0, 0));
    T(lock(a, F_SETLK, F_RDLCK, 0, 10));
    T(lock(a, F_SETLK, F_UNLCK, 3, 2));
    T(lock(b, F_OFD_GETLK, F_WRLCK, 3, 1));
    T(lock(b, F_OFD_GETLK, F_WRLCK, 4, 100));
}

static void locks_of_flock(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDONLY);

    T(flock(a, LOCK_EX));
    T(flock(b, LOCK_SH | LOCK_NB));
    T(lock(b, F_OFD_GETLK, F_RDLCK, 0, 0));
    T(flock(a, LOCK_SH));
    T(flock(b, LOCK_SH | LOCK_NB));
    T(flock(b, LOCK_EX | LOCK_NB));
    T(flock(a, LOCK_UN));
    T(flock(b, LOCK_EX | LOCK_NB));
    T(flock(b, 77));
    T(flock(999, LOCK_SH));
    int p[2];
    pipe(p);
    T(flock(p[0], LOCK_EX | LOCK_NB));
    int path = open("f", O_PATH);
    T(flock(path, LOCK_SH));
}

static void *unlock_late(void *fd)
{
    usleep(20000);
    flock(*(int *)fd, LOCK_UN);
    return NULL;
}

static void waiting_for_locks(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);
    pthread_t thread;

    flock(a, LOCK_EX);
    pthread_create(&thread, NULL, unlock_late, &a);
    T(flock(b, LOCK_EX));
    pthread_join(thread, NULL);
    T(flock(a, LOCK_EX | LOCK_NB));
    T(lock(a, F_OFD_SETLK, F_WRLCK, 0, 1));
    struct sigaction sa = {.sa_handler = hit};
    struct itimerval soon = {{0, 0}, {0, 20000}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    T(lock(b, F_OFD_SETLKW, F_WRLCK, 0, 1));
    signal(SIGALRM, SIG_DFL);
}

/* ---- sizes and holes ---- */

static void holes(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct stat st;
    char b[4096];

    memset(b, 'x', sizeof(b));
    for (int i = 0; i < 8; i++)
        pwrite(fd, b, sizeof(b), i * 4096);
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
    fstat(fd, &st);
    say("size %lld blocks %lld", (long long)st.st_size, (long long)st.st_blocks);
    T(lseek(fd, 0, SEEK_HOLE));
    T(lseek(fd, 4096, SEEK_DATA));
    T(pread(fd, b, 2, 4095));
    say("%d %d", b[0], b[1]);
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20000, 100));
    pread(fd, b, 102, 19999);
    say("%d %d %d %d", b[0], b[1], b[100], b[101]);
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536));
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    T(fallocate(fd, 0, 0, 65536));
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    T(fallocate(fd, 0, -1, 10));
    T(fallocate(fd, 0, 10, 0));
    T(fallocate(fd, 0x1000000, 0, 1));
    T(fallocate(open("f", O_RDONLY), 0, 0, 1));
    T(posix_fallocate(fd, 100000, 10));
    int p[2];
    pipe(p);
    T(fallocate(p[1], 0, 0, 1));
    T(fallocate(open(".", O_RDONLY), 0, 0, 1));
}

static void limit_of_size(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct rlimit old, low = {100, RLIM_INFINITY};
    char b[200] = {0};

    getrlimit(RLIMIT_FSIZE, &old);
    low.rlim_max = old.rlim_max;
    signal(SIGXFSZ, hit);
    hits = 0;
    setrlimit(RLIMIT_FSIZE, &low);
    T(write(fd, b, 60));
    T(write(fd, b, 60));
    T(write(fd, b, 60));
    say("signals %d last %d", hits, last);
    T(pwrite(fd, b, 10, 95));
    T(pwrite(fd, b, 10, 100));
    T(ftruncate(fd, 100));
    T(ftruncate(fd, 101));
    T(fallocate(fd, 0, 0, 200));
    T(truncate("f", 1000));
    say("signals %d", hits);
    struct stat st;
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    setrlimit(RLIMIT_FSIZE, &old);
    T(write(fd, b, 60));
    T(ftruncate(fd, -1));
    T(ftruncate(fd, 1ull << 62));
    signal(SIGXFSZ, SIG_DFL);
}

static void vectors_with_flags(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    char b[16] = {0};
    struct iovec w = {"abc", 3}, r = {b, 16};

    T(pwritev2(fd, &w, 1, -1, 0));
    T(pwritev2(fd, &w, 1, -1, RWF_APPEND));
    T(pwritev2(fd, &w, 1, 1, RWF_DSYNC | RWF_SYNC | RWF_HIPRI));
    T(pwritev2(fd, &w, 1, 0, RWF_APPEND));
    T(pwritev2(fd, &w, 1, -2, 0));
    T(pwritev2(fd, &w, 1, 0, 0x10000000));
    T(preadv2(fd, &r, 1, 0, 0));
    say("%s", b);
    T(preadv2(fd, &r, 1, -1, 0));
    int p[2];
    pipe(p);
    T(preadv2(p[0], &r, 1, -1, RWF_NOWAIT));
    T(preadv2(p[0], &r, 1, 0, 0));
    T(preadv(fd, &r, 2000, 0));
    T(preadv(fd, &r, 0, 0));
    T(preadv(fd, &r, 1, -1));
}

/* ---- memory files ---- */

static void seals(void)
{
    int fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC), plain = memfd_create("plain", 0);
    char b[8];

    T(memfd_create("x", 0x8000));
    T(memfd_create((char *)8, 0));
    T(fcntl(plain, F_GET_SEALS));
    T(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    T(fcntl(fd, F_GET_SEALS));
    T(ftruncate(fd, 4096));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    T(ftruncate(fd, 100));
    T(ftruncate(fd, 8192));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    T(ftruncate(fd, 10000));
    T(pwrite(fd, "x", 1, 8192));
    T(pwrite(fd, "x", 1, 8191));
    T(fallocate(fd, 0, 8192, 10));
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(shared, 4096);
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    T(write(fd, "x", 1));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    T(fcntl(fd, F_ADD_SEALS, 0x1000));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    T(fcntl(fd, F_GET_SEALS));
    T(read(fd, b, 1));
    int file = open("f", O_RDWR | O_CREAT, 0644);
    T(fcntl(file, F_GET_SEALS));
    char link[64], to[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, to, sizeof(to));
    say("%.*s", (int)n, to);
    int p[2];
    pipe(p);
    T(fcntl(p[0], F_GET_SEALS));
}

/* ---- what takes privileges ---- */

static void mounts_and_roots(void)
{
    without(1ull << CAP_SYS_ADMIN);
    mkdir("d", 0755);
    T(mount("tmpfs", "d", "tmpfs", 0, NULL));
    T(mount("/", "d", NULL, MS_BIND, NULL));
    T(umount("/proc"));
    T(umount2("/proc", MNT_DETACH));
    T(syscall(SYS_pivot_root, ".", "d"));
    T(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    T(syscall(SYS_fsopen, "tmpfs", 0));
    T(syscall(SYS_setns, 0, 0) == -1);
    T(syscall(SYS_fanotify_init, 0, 0));
    T(syscall(SYS_swapoff, "x"));
    T(sethostname("x", 1));
    without(1ull << CAP_SYS_CHROOT);
    T(chroot("d"));
    without(0);
    int root = open("/", O_RDONLY);
    put_file("d/inside", "seen");
    T(chroot("nothing"));
    T(chroot("d/inside"));
    T(chroot("d"));
    show_file("/inside");
    T(access("/proc", F_OK));
    T(access("d/inside", F_OK));
    T(fchdir(root));
    T(chroot("."));
    T(access("/proc", F_OK));
}

static void sizes_of_file_systems(void)
{
    struct statfs st;
    struct statvfs v;

    T(statfs("/dev/shm", &st));
    say("type %lx bsize %ld blocks %ld free %d namelen %ld", (long)st.f_type, (long)st.f_bsize, (long)st.f_blocks, st.f_bfree == st.f_blocks, (long)st.f_namelen);
    T(statfs("/proc", &st));
    say("type %lx blocks %ld", (long)st.f_type, (long)st.f_blocks);
    T(statfs("/dev/pts", &st));
    say("type %lx blocks %ld", (long)st.f_type, (long)st.f_blocks);
    T(statfs("nothing", &st));
    T(statfs("/", (void *)8));
    T(fstatfs(999, &st));
    int p[2];
    pipe(p);
    T(fstatfs(p[0], &st));
    say("type %lx", (long)st.f_type);
    T(statvfs("/dev/shm", &v));
    say("flags %lx", v.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC) & ST_RDONLY);
}

static void to_the_disk(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644), dir = open(".", O_RDONLY), p[2];

    pipe(p);
    T(fsync(fd));
    T(fdatasync(dir));
    T(fsync(p[0]));
    T(syncfs(fd));
    T(syncfs(999));
    T(sync_file_range(fd, 0, 0, 7));
    T(sync_file_range(fd, 0, 0, 8));
    T(sync_file_range(fd, -1, 0, 0));
    T(sync_file_range(p[0], 0, 0, 0));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    T(posix_fadvise(fd, 0, 0, 99));
    T(posix_fadvise(fd, 0, -1, 0));
    T(posix_fadvise(p[0], 0, 0, 0));
    T(readahead(fd, 0, 10));
    T(readahead(open("f", O_WRONLY), 0, 10));
    T(readahead(p[0], 0, 10));
    T(readahead(dir, 0, 10));
}

static void ranges_of_descriptors(void)
{
    for (int i = 3; i < 10; i++)
        dup2(1, i);
    T(syscall(SYS_close_range, 5, 7, 0));
    T(fcntl(4, F_GETFD));
    T(fcntl(5, F_GETFD));
    T(fcntl(7, F_GETFD));
    T(fcntl(8, F_GETFD));
    T(syscall(SYS_close_range, 8, ~0u, 4));
    T(fcntl(8, F_GETFD));
    T(fcntl(9, F_GETFD));
    T(syscall(SYS_close_range, 8, 7, 0));
    T(syscall(SYS_close_range, 3, 4, 64));
    T(syscall(SYS_close_range, 1000, 2000, 0));
    T(syscall(SYS_close_range, 3, 3, 2));
    T(fcntl(3, F_GETFD));
    struct rlimit old, low = {5, 5};
    getrlimit(RLIMIT_NOFILE, &old);
    low.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &low);
    T(dup2(1, 5));
    T(dup(1));
    T(dup(1));
    T(fcntl(1, F_DUPFD, 5));
    T(fcntl(9, F_GETFD));
    int p[2];
    T(pipe(p));
    T(open("/", O_RDONLY));
    T(eventfd(0, 0));
    setrlimit(RLIMIT_NOFILE, &old);
}

static void times_of_files(void)
{
    struct timespec t[2] = {{1, 2}, {3, 4}};
    struct stat st;

    put_file("f", "x");
    T(utimensat(AT_FDCWD, "f", t, 0));
    stat("f", &st);
    say("%ld.%ld %ld.%ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT;
    t[1] = (struct timespec){-5, 7};
    T(utimensat(AT_FDCWD, "f", t, 0));
    stat("f", &st);
    say("%ld.%ld %ld.%ld", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    t[1].tv_nsec = 1000000000;
    T(utimensat(AT_FDCWD, "f", t, 0));
    T(utimensat(AT_FDCWD, "nothing", NULL, 0));
    T(utimensat(AT_FDCWD, "f", NULL, 0x8000000));
    symlink("nowhere", "l");
    T(utimensat(AT_FDCWD, "l", NULL, AT_SYMLINK_NOFOLLOW));
    T(utimensat(AT_FDCWD, "l", NULL, 0));
    int fd = open("f", O_RDONLY);
    T(futimens(fd, NULL));
    T(syscall(SYS_utimensat, fd, NULL, NULL, 0));
    T(syscall(SYS_utimensat, fd, NULL, NULL, AT_SYMLINK_NOFOLLOW));
    chmod("f", 0666);
    syscall(SYS_setresuid, -1, 99, -1);
    T(utimensat(AT_FDCWD, "f", NULL, 0));
    t[0] = t[1] = (struct timespec){1, 1};
    T(utimensat(AT_FDCWD, "f", t, 0));
    t[0].tv_nsec = UTIME_NOW;
    t[1].tv_nsec = UTIME_NOW;
    T(utimensat(AT_FDCWD, "f", t, 0));
    t[1].tv_nsec = UTIME_OMIT;
    T(utimensat(AT_FDCWD, "f", t, 0));
    syscall(SYS_setresuid, -1, 0, -1);
}

static void handles(void)
{
    struct {
        struct file_handle h;
        char room[128];
    } handle = {.h = {.handle_bytes = 0}};
    int id;

    int proc = open("/proc", O_RDONLY);
    T(syscall(SYS_name_to_handle_at, proc, "self", &handle, &id, 0));
}

static void signals_for_readiness(void)
{
    int p[2];
    struct f_owner_ex owner = {F_OWNER_TID, 0};

    pipe(p);
    T(fcntl(p[0], F_GETOWN));
    T(fcntl(p[0], F_SETOWN, getpid()));
    T(fcntl(p[0], F_GETOWN) == getpid());
    T(fcntl(p[0], F_GETSIG));
    T(fcntl(p[0], F_SETSIG, SIGUSR1));
    T(fcntl(p[0], F_GETSIG));
    T(fcntl(p[0], F_SETSIG, 99));
    owner.type = 77;
    T(fcntl(p[0], F_SETOWN_EX, &owner));
    T(fcntl(p[0], F_GETLEASE));
    T(fcntl(p[0], 9999));
    T(fcntl(p[0], F_DUPFD, -1));
}

static void *swap_attributes(void *arg)
{
    for (int i = 0; i < 200; i++) {
        setxattr("f", "user.shared", arg, 1 + i % 40, 0);
        removexattr("f", "user.shared");
    }
    return NULL;
}

static void attributes_of_two_threads(void)
{
    pthread_t a, b;
    static char text[64] = "both write";

    put_file("f", "x");
    pthread_create(&a, NULL, swap_attributes, text);
    pthread_create(&b, NULL, swap_attributes, text);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    removexattr("f", "user.shared");
    show_list("f");
}

const struct test_case cases[] = {
    CASE(attributes), CASE(attribute_names), CASE(attribute_rights), CASE(attributes_of_the_image),
    CASE(splice_from_a_file), CASE(splice_to_a_file), CASE(splice_between_pipes), CASE(vmsplice_both_ways),
    CASE(without_a_name), CASE(folder_that_is_gone), CASE(special_files), CASE(locks_of_open_files),
    CASE(locks_of_processes), CASE(locks_of_flock), CASE(waiting_for_locks), CASE(holes), CASE(limit_of_size),
    CASE(vectors_with_flags), CASE(seals), CASE(mounts_and_roots), CASE(sizes_of_file_systems), CASE(to_the_disk),
    CASE(ranges_of_descriptors), CASE(times_of_files), CASE(handles), CASE(signals_for_readiness),
    CASE(attributes_of_two_threads),
    {NULL, NULL},
};
