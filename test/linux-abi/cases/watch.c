/* inotify. */
#include "case.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

static const struct {
    uint32_t bit;
    const char *name;
} bits[] = {
    {IN_ACCESS, "ACCESS"}, {IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"}, {IN_CLOSE_WRITE, "CLOSE_WRITE"},
    {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"}, {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
    {IN_CREATE, "CREATE"}, {IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
    {IN_UNMOUNT, "UNMOUNT"}, {IN_Q_OVERFLOW, "OVERFLOW"}, {IN_IGNORED, "IGNORED"}, {IN_ISDIR, "ISDIR"},
};

static int in;
static uint32_t first_cookie;

static void watch_new(void)
{
    in = inotify_init1(IN_NONBLOCK);
    first_cookie = 0;
}

/* Everything that has happened. Cookies are told by their order. */
static void show_events(void)
{
    char buf[8192] __attribute__((aligned(8)));
    ssize_t n = read(in, buf, sizeof(buf));

    if (n < 0)
        say("%s", strerror(errno));
    for (char *at = buf; at < buf + n;) {
        struct inotify_event *e = (struct inotify_event *)at;
        char text[256] = "";
        for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
            if (e->mask & bits[i].bit)
                sprintf(text + strlen(text), " %s", bits[i].name);
        if (e->cookie && !first_cookie)
            first_cookie = e->cookie;
        say("%d%s cookie %d length %u \"%s\"", e->wd, text, e->cookie ? (int)(e->cookie - first_cookie) + 1 : 0, e->len,
            e->len ? e->name : "");
        at += sizeof(*e) + e->len;
    }
}

static void arguments(void)
{
    char b[8];

    T(inotify_init1(1));
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GETFL));
    put_file("f", "x");
    T(inotify_add_watch(fd, "nothing", IN_OPEN));
    T(inotify_add_watch(fd, "f", 0));
    T(inotify_add_watch(fd, "f", IN_OPEN | IN_ONLYDIR));
    T(inotify_add_watch(fd, (char *)8, IN_OPEN));
    T(inotify_add_watch(999, "f", IN_OPEN));
    T(inotify_add_watch(0, "f", IN_OPEN));
    T(inotify_add_watch(fd, "f", IN_OPEN));
    T(inotify_add_watch(fd, "./f", IN_CLOSE));
    T(inotify_add_watch(fd, "f", IN_OPEN | IN_MASK_CREATE));
    T(inotify_add_watch(fd, "f", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD));
    T(inotify_rm_watch(fd, 77));
    T(inotify_rm_watch(0, 1));
    T(inotify_rm_watch(fd, 1));
    T(inotify_rm_watch(fd, 1));
    T(inotify_add_watch(fd, "f", IN_OPEN));
    T(read(fd, b, 8));
    T(write(fd, b, 8));
    T(lseek(fd, 0, SEEK_SET));
    int n;
    T(ioctl(fd, FIONREAD, &n));
    say("%d", n);
    symlink("f", "link");
    T(inotify_add_watch(fd, "link", IN_OPEN));
    T(inotify_add_watch(fd, "link", IN_OPEN | IN_DONT_FOLLOW));
    chmod("f", 0200);
    syscall(SYS_setfsuid, 99);
    T(inotify_add_watch(fd, "f", IN_OPEN));
    syscall(SYS_setfsuid, 0);
    char link[64], to[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, to, sizeof(to));
    say("%.*s", (int)len, to);
}

static void a_file(void)
{
    char b[8];

    watch_new();
    put_file("f", "text");
    T(inotify_add_watch(in, "f", IN_ALL_EVENTS));
    int fd = open("f", O_RDWR);
    read(fd, b, 2);
    read(fd, b, 0);
    write(fd, "xy", 2);
    pwrite(fd, "z", 1, 0);
    ftruncate(fd, 1);
    fallocate(fd, 0, 0, 10);
    fchmod(fd, 0600);
    fchown(fd, 1, 1);
    futimens(fd, NULL);
    close(fd);
    show_events();
    close(open("f", O_RDONLY));
    truncate("f", 3);
    close(open("f", O_WRONLY | O_TRUNC));
    int path = open("f", O_PATH);
    close(path);
    chmod("f", 0644);
    link("f", "g");
    unlink("g");
    struct timespec times[2] = {{5, 0}, {0, UTIME_OMIT}};
    utimensat(AT_FDCWD, "f", times, 0);
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = (struct timespec){6, 0};
    utimensat(AT_FDCWD, "f", times, 0);
    setxattr("f", "user.a", "b", 1, 0);
    show_events();
    rename("f", "h");
    unlink("h");
    show_events();
}

static void a_folder(void)
{
    watch_new();
    mkdir("d", 0755);
    T(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    put_file("d/f", "text");
    show_events();
    mkdir("d/sub", 0755);
    symlink("f", "d/link");
    mkfifo("d/fifo", 0644);
    link("d/f", "d/hard");
    show_events();
    chmod("d/f", 0600);
    chmod("d/sub", 0700);
    show_file("d/link");
    show_events();
    unlink("d/hard");
    rmdir("d/sub");
    unlink("d/nothing");
    open("d/f", O_CREAT | O_EXCL, 0644);
    show_events();
    chmod("d", 0711);
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    char b[512];
    syscall(SYS_getdents64, fd, b, sizeof(b));
    close(fd);
    show_events();
}

static void renames(void)
{
    watch_new();
    mkdir("a", 0755);
    mkdir("b", 0755);
    put_file("a/f", "1");
    put_file("b/g", "2");
    mkdir("a/folder", 0755);
    T(inotify_add_watch(in, "a", IN_MOVE | IN_CREATE | IN_DELETE));
    T(inotify_add_watch(in, "b", IN_MOVE | IN_CREATE | IN_DELETE));
    T(inotify_add_watch(in, "b/g", IN_ALL_EVENTS));
    T(inotify_add_watch(in, "a/folder", IN_ALL_EVENTS));
    rename("a/f", "a/f2");
    rename("a/f2", "b/f3");
    rename("a/folder", "b/folder");
    show_events();
    rename("b/f3", "b/g");
    show_events();
    rename("b/g", "out");
    rename("out", "a/back");
    show_events();
    put_file("a/x", "x");
    put_file("b/y", "y");
    syscall(SYS_renameat2, AT_FDCWD, "a/x", AT_FDCWD, "b/y", 2);
    show_events();
    rename("b/y", "b/y");
    show_events();
}

static void ends_of_watches(void)
{
    watch_new();
    put_file("f", "x");
    mkdir("d", 0755);
    T(inotify_add_watch(in, "f", IN_DELETE_SELF));
    T(inotify_add_watch(in, "d", IN_DELETE_SELF));
    int fd = open("f", O_RDONLY);
    unlink("f");
    show_events();
    close(fd);
    show_events();
    rmdir("d");
    show_events();
    T(inotify_rm_watch(in, 1));
    put_file("f", "x");
    T(inotify_add_watch(in, "f", IN_OPEN));
    close(open("f", O_RDONLY));
    inotify_rm_watch(in, 3);
    show_events();
}

static void one_shot(void)
{
    watch_new();
    put_file("f", "x");
    T(inotify_add_watch(in, "f", IN_OPEN | IN_CLOSE | IN_ONESHOT));
    close(open("f", O_RDONLY));
    close(open("f", O_RDONLY));
    show_events();
    T(inotify_rm_watch(in, 1));
}

static void masks(void)
{
    watch_new();
    put_file("f", "x");
    T(inotify_add_watch(in, "f", IN_OPEN));
    T(inotify_add_watch(in, "f", IN_CLOSE | IN_MASK_ADD));
    close(open("f", O_RDONLY));
    show_events();
    T(inotify_add_watch(in, "f", IN_ATTRIB));
    close(open("f", O_RDONLY));
    chmod("f", 0600);
    show_events();
}

static void unlinked_children(void)
{
    char b[4];

    watch_new();
    mkdir("d", 0755);
    put_file("d/f", "text");
    T(inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_EXCL_UNLINK));
    int fd = open("d/f", O_RDWR);
    unlink("d/f");
    read(fd, b, 2);
    close(fd);
    show_events();
    int again = inotify_init1(IN_NONBLOCK);
    close(in);
    in = again;
    put_file("d/f", "text");
    T(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    fd = open("d/f", O_RDWR);
    unlink("d/f");
    read(fd, b, 2);
    close(fd);
    show_events();
}

static void merged(void)
{
    watch_new();
    put_file("f", "x");
    T(inotify_add_watch(in, "f", IN_MODIFY | IN_OPEN));
    int fd = open("f", O_WRONLY);
    for (int i = 0; i < 5; i++)
        write(fd, "x", 1);
    close(open("f", O_RDONLY));
    write(fd, "x", 1);
    show_events();
    close(fd);
}

static void small_buffers(void)
{
    char b[100] __attribute__((aligned(8)));
    int n;

    watch_new();
    mkdir("d", 0755);
    T(inotify_add_watch(in, "d", IN_CREATE));
    put_file("d/name", "x");
    put_file("d/a-name-of-more-than-sixteen", "x");
    T(ioctl(in, FIONREAD, &n));
    say("%d", n);
    T(read(in, b, 16));
    T(read(in, b, 40));
    T(read(in, b, 47));
    T(read(in, b, 48));
    T(read(in, b, 100));
}

static void waiting(void)
{
    watch_new();
    put_file("f", "x");
    T(inotify_add_watch(in, "f", IN_ATTRIB));
    struct pollfd p = {.fd = in, .events = POLLIN | POLLOUT};
    T(poll(&p, 1, 0));
    chmod("f", 0600);
    T(poll(&p, 1, 0));
    say("%x", p.revents);
}

static void overflow(void)
{
    char b[65536] __attribute__((aligned(8)));
    int events = 0, overflows = 0;

    watch_new();
    put_file("f", "x");
    put_file("g", "x");
    inotify_add_watch(in, "f", IN_ATTRIB);
    inotify_add_watch(in, "g", IN_ATTRIB);
    for (int i = 0; i < 20000; i++)
        chmod(i % 2 ? "f" : "g", 0600);
    for (;;) {
        ssize_t n = read(in, b, sizeof(b));
        if (n <= 0)
            break;
        for (char *at = b; at < b + n; at += sizeof(struct inotify_event)) {
            struct inotify_event *e = (struct inotify_event *)at;
            if (e->mask & IN_Q_OVERFLOW)
                overflows++;
            else
                events++;
        }
    }
    say("told %d, overflows %d", events == 16384, overflows);
}

static void other_ways(void)
{
    watch_new();
    put_file("f", "0123456789");
    put_file("to", "");
    T(inotify_add_watch(in, "f", IN_ALL_EVENTS));
    T(inotify_add_watch(in, "to", IN_ALL_EVENTS));
    int a = open("f", O_RDONLY), b = open("to", O_WRONLY);
    T(sendfile(b, a, NULL, 4));
    loff_t from = 5;
    T(copy_file_range(a, &from, b, NULL, 3, 0));
    close(a);
    close(b);
    show_events();
    T(open(".", O_TMPFILE | O_RDWR, 0644));
}

const struct test_case cases[] = {
    CASE(arguments), CASE(a_file), CASE(a_folder), CASE(renames), CASE(ends_of_watches), CASE(one_shot), CASE(masks),
    CASE(unlinked_children), CASE(merged), CASE(small_buffers), CASE(waiting), CASE(overflow), CASE(other_ways),
    {NULL, NULL},
};
