/* Names: making, finding, moving, removing. */
#include "case.h"

#include <linux/fs.h>
#include <linux/openat2.h>

static void open_flags(void)
{
    T(open("none", O_RDONLY));
    T(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
    T(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
    show_stat("new");
    T(close(3));
    T(open(".", O_WRONLY));
    T(open(".", O_RDONLY | O_CREAT, 0644));
    T(open("new", O_RDONLY | O_DIRECTORY));
    T(open("new/", O_RDONLY));
    T(open("other/", O_RDWR | O_CREAT, 0644));
    T(open("", O_RDONLY));
    T(open(NULL, O_RDONLY));
    T(open("new", O_RDWR | O_CREAT | O_DIRECTORY, 0644));
    char name[300];
    memset(name, 'n', 299);
    name[299] = 0;
    T(open(name, O_RDONLY | O_CREAT, 0644));
    name[255] = 0;
    T(open(name, O_RDONLY | O_CREAT, 0644));
    T(close(3));
}

static void path_too_long(void)
{
    char path[5000];

    memset(path, '/', sizeof(path));
    path[4095] = 0;
    OK(access(path, F_OK));
    path[4095] = '/';
    path[4999] = 0;
    OK(access(path, F_OK));
}

static void trunc_and_append(void)
{
    put_file("f", "0123456789");
    int fd = open("f", O_WRONLY | O_APPEND);
    T(write(fd, "abc", 3));
    T(lseek(fd, 0, SEEK_CUR));
    T(pwrite(fd, "X", 1, 2));
    close(fd);
    show_file("f");
    fd = open("f", O_WRONLY | O_TRUNC);
    close(fd);
    show_file("f");
    T(open("f", O_RDONLY | O_TRUNC));
    close(3);
}

static void umask_applies(void)
{
    umask(077);
    put_file("a", "x");
    T(mkdir("d", 0777));
    T(mknod("p", S_IFIFO | 0666, 0));
    show_stat("a");
    show_stat("d");
    show_stat("p");
    T(umask(022));
    T(umask(022));
}

static void symlinks(void)
{
    char buf[64];

    put_file("target", "text");
    T(symlink("target", "link"));
    T(symlink("target", "link"));
    T(symlink("", "empty"));
    memset(buf, 0, sizeof(buf));
    T(readlink("link", buf, sizeof(buf)));
    say("target: %s", buf);
    T(readlink("link", buf, 3));
    T(readlink("target", buf, 3));
    T(readlink("link", buf, 0));
    show_file("link");
    T(open("link", O_RDONLY | O_NOFOLLOW));
    T(symlink("missing", "dangling"));
    T(open("dangling", O_RDONLY));
    T(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
    T(open("dangling", O_RDWR | O_CREAT, 0644));
    close(3);
    show_stat("missing");
    show_stat("dangling");
}

static void symlink_loops(void)
{
    T(symlink("b", "a"));
    T(symlink("a", "b"));
    T(open("a", O_RDONLY));
    T(access("a/x", F_OK));
    char from[8] = "l0", to[8];
    put_file("l0", "end");
    for (int i = 1; i <= 41; i++) {
        snprintf(to, sizeof(to), "l%d", i);
        symlink(from, to);
        strcpy(from, to);
    }
    T(access("l40", F_OK));
    T(access("l41", F_OK));
}

static void symlink_in_path(void)
{
    mkdir("real", 0755);
    put_file("real/f", "inside");
    symlink("real", "dir");
    symlink("/box/symlink_in_path/real", "absolute");
    show_file("dir/f");
    show_file("absolute/f");
    show_file("dir/../real/f");
    show_file("dir/./f");
    show_file("dir//f");
    T(rmdir("dir"));
    T(rmdir("dir/"));
    T(unlink("dir/"));
    T(mkdir("dir/sub", 0755));
    show_stat("real/sub");
    T(unlink("dir"));
}

static void hard_links(void)
{
    put_file("a", "one");
    T(link("a", "b"));
    show_stat("a");
    put_file("b", "two");
    show_file("a");
    T(link("a", "b"));
    T(link("missing", "c"));
    T(unlink("a"));
    show_stat("b");
    show_file("b");
    T(mkdir("d", 0755));
    T(link("d", "e"));
    symlink("b", "s");
    T(link("s", "t"));
    show_stat("t");
    T(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
    show_stat("u");
    T(linkat(AT_FDCWD, "s", AT_FDCWD, "v", 0x10));
}

static void unlink_open_file(void)
{
    char buf[8] = {0};
    struct stat st;

    put_file("f", "still");
    int fd = open("f", O_RDWR);
    T(unlink("f"));
    T(unlink("f"));
    T(access("f", F_OK));
    T(read(fd, buf, 5));
    say("%s", buf);
    T(fstat(fd, &st));
    say("links %u", (unsigned)st.st_nlink);
    T(write(fd, "more", 4));
    T(lseek(fd, 0, SEEK_END));
    close(fd);
}

static void mkdir_rmdir(void)
{
    T(mkdir("d", 0750));
    T(mkdir("d", 0750));
    T(mkdir("d/", 0750));
    T(mkdir("x/y", 0750));
    T(mkdir("new/", 0701));
    show_stat("d");
    show_stat("new");
    put_file("d/f", "");
    T(rmdir("d"));
    T(rmdir("d/f"));
    T(unlink("d"));
    T(unlink("d/f"));
    T(rmdir("d/."));
    T(rmdir("d/.."));
    T(rmdir("d"));
    T(rmdir("d"));
    T(rmdir("/"));
    T(mkdir("/", 0755));
    T(mkdir(".", 0755));
}

static void rename_files(void)
{
    put_file("a", "A");
    put_file("b", "B");
    T(rename("a", "c"));
    show_file("c");
    T(rename("c", "b"));
    show_file("b");
    T(rename("c", "b"));
    T(rename("b", "b"));
    T(rename("b", "b/"));
    T(rename("b", "missing/b"));
    link("b", "b2");
    T(rename("b", "b2"));
    show_stat("b");
    T(rename("b", "."));
    T(rename(".", "x"));
    T(rename("b", "/"));
}

static void rename_folders(void)
{
    mkdir("d", 0755);
    mkdir("d/sub", 0755);
    put_file("d/sub/f", "deep");
    put_file("file", "");
    mkdir("empty", 0755);
    mkdir("full", 0755);
    put_file("full/x", "");
    T(rename("d", "e"));
    show_file("e/sub/f");
    T(rename("e", "e/sub/e"));
    T(rename("e", "file"));
    T(rename("file", "e"));
    T(rename("e", "full"));
    T(rename("e", "empty"));
    show_file("empty/sub/f");
    T(rename("empty/sub", "sub"));
    show_file("sub/f");
    T(rename("sub/", "sub2/"));
    T(rmdir("empty"));
}

static void rename_flags(void)
{
    put_file("a", "A");
    put_file("b", "B");
    T(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
    show_file("b");
    show_file("c");
    T(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "none", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", 64));
    mkdir("d", 0755);
    put_file("d/in", "in d");
    T(syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "b", RENAME_EXCHANGE));
    show_file("b/in");
    show_file("d");
}

static void at_calls(void)
{
    char buf[32] = {0};

    mkdir("d", 0755);
    int d = open("d", O_RDONLY | O_DIRECTORY);
    T(mkdirat(d, "sub", 0755));
    T(openat(d, "sub/f", O_WRONLY | O_CREAT, 0644));
    close(4);
    T(symlinkat("sub/f", d, "l"));
    T(readlinkat(d, "l", buf, sizeof(buf)));
    say("%s", buf);
    T(faccessat(d, "l", R_OK, 0));
    T(linkat(d, "sub/f", AT_FDCWD, "hard", 0));
    T(renameat(d, "sub/f", d, "g"));
    T(faccessat(d, "l", R_OK, 0));
    T(unlinkat(d, "sub", 0));
    T(unlinkat(d, "sub", AT_REMOVEDIR));
    T(unlinkat(d, "g", AT_REMOVEDIR));
    T(unlinkat(d, "g", 0));
    T(unlinkat(d, "g", 1));
    T(openat(99, "x", O_RDONLY));
    T(openat(99, "/dev/null", O_RDONLY));
    close(4);
    T(openat(0x7fffffff, "x", O_RDONLY));
    int f = open("hard", O_RDONLY);
    T(openat(f, "x", O_RDONLY));
    T(openat(f, "", O_RDONLY));
}

static void not_a_directory(void)
{
    put_file("f", "");
    T(open("f/x", O_RDONLY));
    T(mkdir("f/x", 0755));
    T(unlink("f/x"));
    T(access("f/.", F_OK));
    T(access("f/..", F_OK));
    T(chdir("f"));
    T(rename("f/x", "y"));
    T(symlink("x", "f/l"));
    T(truncate("f/x", 0));
}

static void chdir_getcwd(void)
{
    char buf[256];

    mkdir("a", 0755);
    mkdir("a/b", 0755);
    T(chdir("a/b"));
    say("%s", getcwd(buf, sizeof(buf)));
    T(syscall(SYS_getcwd, buf, sizeof(buf)));
    T(syscall(SYS_getcwd, buf, 5));
    T(syscall(SYS_getcwd, NULL, 100));
    T(chdir("../.."));
    int fd = open("a", O_RDONLY);
    T(fchdir(fd));
    say("%s", getcwd(buf, sizeof(buf)));
    T(fchdir(99));
    T(rename("/box/chdir_getcwd/a", "/box/chdir_getcwd/c"));
    say("%s", getcwd(buf, sizeof(buf)));
    T(rmdir("b"));
    T(chdir("/box/chdir_getcwd"));
    mkdir("gone", 0755);
    chdir("gone");
    T(rmdir("/box/chdir_getcwd/gone"));
    T(syscall(SYS_getcwd, buf, sizeof(buf)));
    T(open("f", O_CREAT | O_WRONLY, 0644));
    T(access(".", F_OK));
    T(access("..", F_OK));
    T(chdir("/"));
    T(chdir(""));
    T(chdir("missing"));
}

static void dots_at_root(void)
{
    struct stat a, b;

    T(stat("/", &a));
    T(stat("/../..", &b));
    say("same: %d", a.st_ino == b.st_ino);
    T(access("/./../work", F_OK));
}

static void mknod_types(void)
{
    T(mknod("r", S_IFREG | 0600, 0));
    T(mknod("r0", 0600, 0));
    T(mknod("f", S_IFIFO | 0600, 0));
    T(mknod("s", S_IFSOCK | 0600, 0));
    T(mknod("c", S_IFCHR | 0600, 0x103));
    T(mknod("d", S_IFDIR | 0600, 0));
    T(mknod("x", 0xf000 | 0600, 0));
    T(mknod("r", S_IFREG | 0600, 0));
    show_stat("r");
    show_stat("r0");
    show_stat("f");
    show_stat("s");
    show_stat("c");
    T(open("s", O_RDWR));
    struct stat st;
    stat("c", &st);
    say("rdev %llx", (unsigned long long)st.st_rdev);
    int fd = open("c", O_RDWR);
    T(write(fd, "x", 1));
    T(read(fd, &st, 1));
    close(fd);
}

static void o_path(void)
{
    char buf[16];
    struct stat st;

    put_file("f", "data");
    symlink("f", "l");
    int fd = open("f", O_PATH);
    T(read(fd, buf, 4));
    T(write(fd, "x", 1));
    T(fchmod(fd, 0600));
    T(lseek(fd, 0, SEEK_SET));
    T(fstat(fd, &st));
    T(fcntl(fd, F_GETFL));
    T(fcntl(fd, F_GETFD));
    T(dup(fd));
    int l = open("l", O_PATH | O_NOFOLLOW);
    memset(buf, 0, sizeof(buf));
    T(readlinkat(l, "", buf, sizeof(buf)));
    say("%s", buf);
    T(readlinkat(fd, "", buf, sizeof(buf)));
    T(open("l", O_RDONLY | O_PATH | O_DIRECTORY));
    T(fstatat(fd, "", &st, AT_EMPTY_PATH));
    T(fstatat(fd, "", &st, 0));
}

static void o_tmpfile(void)
{
    struct stat st;
    char path[64];

    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    T(fd);
    T(write(fd, "hidden", 6));
    T(fstat(fd, &st));
    say("links %u mode %o", (unsigned)st.st_nlink, st.st_mode);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, path, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW));
    show_file("shown");
    show_stat("shown");
    close(fd);
    T(open(".", O_TMPFILE | O_RDONLY, 0600));
    T(open("missing", O_TMPFILE | O_RDWR, 0600));
    T(open("shown", O_TMPFILE | O_RDWR, 0600));
    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, path, AT_FDCWD, "shown2", AT_SYMLINK_FOLLOW));
}

static long do_openat2(int dfd, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .resolve = resolve};
    return syscall(SYS_openat2, dfd, path, &how, sizeof(how));
}

static void openat2_resolve(void)
{
    mkdir("root", 0755);
    mkdir("root/d", 0755);
    put_file("root/f", "in");
    put_file("out", "out");
    symlink("../out", "root/up");
    symlink("/f", "root/abs");
    symlink("f", "root/same");
    int d = open("root", O_RDONLY);
    T(do_openat2(d, "f", O_RDONLY, RESOLVE_BENEATH));
    T(do_openat2(d, "up", O_RDONLY, RESOLVE_BENEATH));
    T(do_openat2(d, "abs", O_RDONLY, RESOLVE_BENEATH));
    T(do_openat2(d, "d/../f", O_RDONLY, RESOLVE_BENEATH));
    T(do_openat2(d, "..", O_RDONLY, RESOLVE_BENEATH));
    T(do_openat2(d, "abs", O_RDONLY, RESOLVE_IN_ROOT));
    T(do_openat2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
    T(do_openat2(d, "same", O_RDONLY, RESOLVE_NO_SYMLINKS));
    T(do_openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS));
    T(do_openat2(d, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
    T(do_openat2(d, "f", 1ull << 40, 0));
    T(syscall(SYS_openat2, d, "f", NULL, 24));
    T(syscall(SYS_openat2, d, "f", "x", 8));
}

static void lower_files(void)
{
    /* /data comes from the image. */
    show_file("/data/hello");
    show_stat("/data/hello");
    put_file("/data/hello", "changed");
    show_file("/data/hello");
    T(unlink("/data/second"));
    T(access("/data/second", F_OK));
    put_file("/data/second", "new");
    show_file("/data/second");
    T(chmod("/data/third", 0600));
    show_stat("/data/third");
    show_file("/data/third");
    T(rename("/data/fourth", "/data/moved"));
    show_file("/data/moved");
    T(access("/data/fourth", F_OK));
    T(link("/data/moved", "/data/moved2"));
    show_stat("/data/moved");
}

static void lower_hard_links(void)
{
    show_stat("/data/hard1");
    put_file("/data/hard1", "both");
    show_file("/data/hard2");
    T(unlink("/data/hard1"));
    show_stat("/data/hard2");
}

static void lower_folders(void)
{
    T(rmdir("/data/dir"));
    T(rename("/data/dir", "/data/dir2"));
    show_file("/data/dir2/inner/leaf");
    T(access("/data/dir", F_OK));
    T(mkdir("/data/dir", 0755));
    T(access("/data/dir/inner", F_OK));
    T(unlink("/data/dir2/inner/leaf"));
    T(rmdir("/data/dir2/inner"));
    T(mkdir("/data/dir2/inner", 0755));
    T(access("/data/dir2/inner/leaf", F_OK));
    T(rmdir("/data/dir2/inner"));
    T(rmdir("/data/dir2"));
    show_file("/data/link");
    T(unlink("/data/link"));
    T(symlink("other", "/data/link"));
}

static void lower_partial_write(void)
{
    char buf[8];
    uint64_t sum = 0;

    int fd = open("/data/big", O_RDWR);
    T(pwrite(fd, "XYZ", 3, 5000));
    T(pread(fd, buf, 5, 4999));
    say("%.5s", buf);
    T(lseek(fd, 0, SEEK_END));
    T(ftruncate(fd, 10001));
    T(ftruncate(fd, 20000));
    T(lseek(fd, 0, SEEK_SET));
    unsigned char block[1000];
    ssize_t n, total = 0;
    while ((n = read(fd, block, sizeof(block))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 31 + block[i];
        total += n;
    }
    say("sum %llx of %zd", (unsigned long long)sum, total);
    close(fd);
}

const struct test_case cases[] = {
    CASE(open_flags), CASE(path_too_long), CASE(trunc_and_append), CASE(umask_applies), CASE(symlinks),
    CASE(symlink_loops), CASE(symlink_in_path), CASE(hard_links), CASE(unlink_open_file), CASE(mkdir_rmdir),
    CASE(rename_files), CASE(rename_folders), CASE(rename_flags), CASE(at_calls), CASE(not_a_directory),
    CASE(chdir_getcwd), CASE(dots_at_root), CASE(mknod_types), CASE(o_path), CASE(o_tmpfile), CASE(openat2_resolve),
    CASE(lower_files), CASE(lower_hard_links), CASE(lower_folders), CASE(lower_partial_write), {NULL, NULL},
};
