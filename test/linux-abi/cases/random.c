/*
 * Random calls on a small tree that begins in the image: the guest must end up
 * with the same answers, names and bytes as Linux. A case is a seed; what it says
 * is a sum over all answers every hundred calls, and the whole tree at the end.
 */
#include "case.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/uio.h>

static uint64_t state;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 11) % n;
}

static const char *const names[] = {"a", "b", "c", "d", "e", "hello", "second", "dir", "inner", "leaf", "link", "hard1",
                                    "hard2", "big", "missing"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static char root[64];

/* One to three names below the case's copy of the image's folder. */
static const char *any_path(char *buf)
{
    int n = snprintf(buf, 200, "%s", root);

    for (unsigned depth = 1 + pick(3); depth > 0; depth--)
        n += snprintf(buf + n, 200 - (size_t)n, "/%s", pick(12) == 0 ? ".." : names[pick(NAMES)]);
    if (pick(20) == 0)
        strcat(buf, "/");
    return strncmp(buf, "/data", 5) || strstr(buf, "..") ? root : buf;
}

static uint64_t sum;
static void note(long result, int error)
{
    sum = sum * 1000003 + (uint64_t)result * 31 + (uint64_t)(result < 0 ? error : 0);
}

static int fds[6];
static char data[20000], got[20000];

static void one_call(unsigned n)
{
    char p[256] = "", q[256] = "";
    struct stat st;
    int slot = (int)pick(6), fd = fds[slot];
    unsigned what = pick(30);
    long result = 0;

    errno = 0;
    switch (what) {
    case 0: case 1: case 2: case 3: {
        static const int flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_TRUNC,
                                    O_WRONLY | O_APPEND | O_CREAT, O_RDONLY | O_DIRECTORY, O_RDWR | O_NOFOLLOW, O_PATH};
        close(fd);
        fds[slot] = open(any_path(p), flags[pick(9)], 0644);
        result = fds[slot] < 0 ? -1 : 0;
        break;
    }
    case 4: result = mkdir(any_path(p), 0755); break;
    case 5: result = rmdir(any_path(p)); break;
    case 6: case 7: result = unlink(any_path(p)); break;
    case 8: case 9: case 10: {
        static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
        any_path(p);
        result = syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, any_path(q), flags[pick(4)]);
        break;
    }
    case 11: any_path(p); result = link(p, any_path(q)); break;
    case 12: result = symlink(names[pick(NAMES)], any_path(p)); break;
    case 13: case 14: result = write(fd, data + pick(100), pick(2) ? pick(100) : pick(15000)); break;
    case 15: case 16: result = pwrite(fd, data + pick(100), pick(9000), pick(30000)); break;
    case 17: case 18: case 19:
        memset(got, 0, sizeof(got));
        result = pread(fd, got, pick(sizeof(got)), pick(40000));
        for (long i = 0; i < result; i++)
            sum = sum * 31 + (unsigned char)got[i];
        break;
    case 20: result = ftruncate(fd, pick(40000)); break;
    case 21: result = truncate(any_path(p), pick(20000)); break;
    case 22: result = lseek(fd, pick(30000), (int)pick(3)); break;
    case 23:
        result = stat(any_path(p), &st);
        if (result == 0 && !S_ISDIR(st.st_mode))
            sum = sum * 31 + st.st_mode + (unsigned)st.st_size * 7 + (unsigned)st.st_nlink * 77;
        break;
    case 24:
        memset(q, 0, sizeof(q));
        result = readlink(any_path(p), q, sizeof(q));
        break;
    case 25: result = fallocate(fd, FALLOC_FL_KEEP_SIZE | (pick(2) ? FALLOC_FL_PUNCH_HOLE : 0), pick(20000), 1 + pick(9000)); break;
    case 26: result = chmod(any_path(p), pick(2) ? 0755 : 0644); break;
    case 27:
        result = fstat(fd, &st);
        if (result == 0 && !S_ISDIR(st.st_mode))
            sum = sum * 31 + (unsigned)st.st_size * 7 + (unsigned)st.st_nlink * 77;
        break;
    case 28: result = copy_file_range(fd, NULL, fds[pick(6)], NULL, pick(5000), 0); break;
    case 29: {
        struct iovec iov[2] = {{data, pick(300)}, {data + 50, pick(5000)}};
        result = writev(fd, iov, 2);
        break;
    }
    }
    int error = errno;
    /* To find the call that went wrong: TELL=1 says each. */
    if (getenv("TELL"))
        say("%u: %u fd %d %s %s = %ld %s sum %llx", n, what, fd, p, q, result, result < 0 ? strerror(error) : "",
            (unsigned long long)sum);
    note(result, error);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void tell_tree(const char *path, int depth)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, by_name);

    for (int i = 0; i < n && depth < 12; i++) {
        char child[1024];
        struct stat st;
        const char *name = list[i]->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, name);
        lstat(child, &st);
        uint64_t hash = 5;
        int fd = S_ISREG(st.st_mode) ? open(child, O_RDONLY) : -1;
        ssize_t count;
        while (fd >= 0 && (count = read(fd, got, sizeof(got))) > 0)
            for (ssize_t k = 0; k < count; k++)
                hash = hash * 31 + (unsigned char)got[k];
        close(fd);
        say("%s %o %u %lld %llx type %d", child + strlen(root), st.st_mode, S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink,
            S_ISDIR(st.st_mode) ? 0 : (long long)st.st_size, (unsigned long long)hash, list[i]->d_type);
        if (S_ISDIR(st.st_mode))
            tell_tree(child, depth + 1);
        free(list[i]);
    }
}

static void run(unsigned seed)
{
    state = seed * 0x9e3779b97f4a7c15u + 1;
    sum = 0;
    snprintf(root, sizeof(root), "/data/%u", seed);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + seed);
    for (int i = 0; i < 6; i++)
        fds[i] = -1;
    for (unsigned n = 1; n <= 4000; n++) {
        one_call(n);
        if (n % 100 == 0)
            say("after %u: %llx", n, (unsigned long long)sum);
    }
    tell_tree(root, 0);
}

static void seed_1(void) { run(1); }
static void seed_2(void) { run(2); }
static void seed_3(void) { run(3); }
static void seed_4(void) { run(4); }
static void seed_5(void) { run(5); }
static void seed_6(void) { run(6); }
static void seed_7(void) { run(7); }
static void seed_8(void) { run(8); }

const struct test_case cases[] = {
    CASE(seed_1), CASE(seed_2), CASE(seed_3), CASE(seed_4), CASE(seed_5), CASE(seed_6), CASE(seed_7), CASE(seed_8),
    {NULL, NULL},
};
