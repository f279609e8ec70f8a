/* Data of files: reading, writing, positions, sizes. */
#include "case.h"

#include <linux/falloc.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>

static void read_write(void)
{
    char buf[16] = {0};
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(write(fd, "hello", 5));
    T(read(fd, buf, 5));
    T(lseek(fd, 0, SEEK_SET));
    T(read(fd, buf, 0));
    T(read(fd, buf, 3));
    T(read(fd, buf, 16));
    T(read(fd, NULL, 4));
    T(write(fd, NULL, 0));
    T(write(fd, (void *)1, 4));
    lseek(fd, 0, SEEK_SET);
    T(read(fd, (void *)1, 4));
    T(read(fd, buf, (size_t)-1));
    T(read(99, buf, 1));
    T(read(99, buf, (size_t)-1));
    T(write(-1, buf, 1));
    int r = open("f", O_RDONLY), w = open("f", O_WRONLY);
    T(write(r, "x", 1));
    T(read(w, buf, 1));
    int d = open(".", O_RDONLY);
    T(read(d, buf, 1));
    T(write(d, buf, 1));
}

static void seeking(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    write(fd, "0123456789", 10);
    T(lseek(fd, 3, SEEK_SET));
    T(lseek(fd, 3, SEEK_CUR));
    T(lseek(fd, -3, SEEK_END));
    T(lseek(fd, -30, SEEK_END));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, 100, SEEK_END));
    T(lseek(fd, 0, 9));
    T(lseek(fd, 0x7fffffffffffffff, SEEK_SET) > 0);
    T(lseek(99, 0, SEEK_SET));
    int p[2];
    pipe(p);
    T(lseek(p[0], 0, SEEK_SET));
}

static void positional(void)
{
    char buf[8] = {0};
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(pwrite(fd, "abc", 3, 5));
    T(lseek(fd, 0, SEEK_CUR));
    T(pread(fd, buf, 8, 0));
    say("%d %d %c%c%c", buf[0], buf[4], buf[5], buf[6], buf[7]);
    T(pread(fd, buf, 8, 6));
    T(pread(fd, buf, 8, 8));
    T(pread(fd, buf, 8, -1));
    T(pwrite(fd, buf, 8, -1));
    int p[2];
    pipe(p);
    T(pread(p[0], buf, 1, 0));
    T(pwrite(p[1], buf, 1, 0));
}

/* By number: not every C library has them. */
static long do_preadv2(int fd, const struct iovec *iov, int n, long offset, int flags)
{
    return syscall(SYS_preadv2, fd, iov, n, offset, 0, flags);
}
static long do_pwritev2(int fd, const struct iovec *iov, int n, long offset, int flags)
{
    return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

static void vectors(void)
{
    char a[4] = {0}, b[8] = {0};
    struct iovec out[3] = {{"one", 3}, {"", 0}, {"three", 5}};
    struct iovec in[2] = {{a, 3}, {b, 7}};
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(writev(fd, out, 3));
    T(lseek(fd, 0, SEEK_SET));
    T(readv(fd, in, 2));
    say("%s %s", a, b);
    T(readv(fd, in, -1));
    T(readv(fd, in, 0));
    T(readv(fd, in, 2000));
    T(readv(fd, NULL, 1));
    T(pwritev(fd, out, 1, 100));
    T(preadv(fd, in, 2, 100));
    T(preadv(fd, in, 2, -5));
    in[0].iov_len = (size_t)-1;
    T(readv(fd, in, 2));
    struct iovec bad[2] = {{a, 2}, {(void *)16, 4}};
    T(preadv(fd, bad, 2, 0));
    T(do_preadv2(fd, &in[1], 1, -1, 0));
    T(do_pwritev2(fd, out, 1, -1, 0x10 /* RWF_APPEND */));
    T(do_pwritev2(fd, out, 1, 0, 0x4000));
}

static void sparse_files(void)
{
    struct stat st;
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(ftruncate(fd, 1 << 20));
    T(lseek(fd, 0, SEEK_DATA));
    T(lseek(fd, 0, SEEK_HOLE));
    T(pwrite(fd, "x", 1, 500000));
    T(lseek(fd, 0, SEEK_DATA));
    T(lseek(fd, 500000, SEEK_HOLE));
    T(lseek(fd, 600000, SEEK_DATA));
    T(lseek(fd, 2 << 20, SEEK_DATA));
    fstat(fd, &st);
    say("blocks %lld", (long long)st.st_blocks);
    T(pwrite(fd, "end", 3, 1ll << 40));
    fstat(fd, &st);
    say("size %lld blocks %lld", (long long)st.st_size, (long long)st.st_blocks);
    char c = 7;
    T(pread(fd, &c, 1, 1ll << 39));
    say("%d", c);
}

static void truncation(void)
{
    char buf[16] = {0};
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    write(fd, "0123456789", 10);
    T(ftruncate(fd, 4));
    T(ftruncate(fd, 8));
    T(pread(fd, buf, 16, 0));
    say("%.4s %d", buf, buf[5]);
    T(ftruncate(fd, -1));
    T(truncate("f", 2));
    T(truncate("missing", 2));
    T(truncate(".", 2));
    T(truncate("f", -2));
    int r = open("f", O_RDONLY);
    T(ftruncate(r, 0));
    T(ftruncate(99, 0));
    int p[2];
    pipe(p);
    T(ftruncate(p[1], 0));
    show_stat("f");
}

static void allocation(void)
{
    char buf[8];
    struct stat st;
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(fallocate(fd, 0, 0, 10000));
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 50000));
    fstat(fd, &st);
    say("size %lld", (long long)st.st_size);
    pwrite(fd, "abcdefgh", 8, 4094);
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    T(pread(fd, buf, 8, 4094));
    say("%c%c %d", buf[0], buf[1], buf[2]);
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
    T(fallocate(fd, 0, -1, 1));
    T(fallocate(fd, 0, 0, 0));
    T(fallocate(99, 0, 0, 1));
    int r = open("f", O_RDONLY);
    T(fallocate(r, 0, 0, 1));
    T(posix_fallocate(fd, 0, 20000));
}

static void copying(void)
{
    char buf[32] = {0};
    off_t offset = 2;

    put_file("from", "0123456789");
    int in = open("from", O_RDONLY), out = open("to", O_RDWR | O_CREAT, 0644);
    T(sendfile(out, in, &offset, 5));
    say("offset %lld", (long long)offset);
    T(lseek(in, 0, SEEK_CUR));
    T(sendfile(out, in, NULL, 100));
    T(lseek(in, 0, SEEK_CUR));
    T(sendfile(out, in, NULL, 100));
    T(pread(out, buf, 32, 0));
    say("%s", buf);
    T(sendfile(in, out, NULL, 1));
    T(sendfile(out, 99, NULL, 1));
    int p[2];
    pipe(p);
    offset = 0;
    T(sendfile(p[1], in, &offset, 4));
    T(read(p[0], buf, 32));
    T(sendfile(out, p[0], NULL, 4));
    off_t a = 0, b = 20;
    T(copy_file_range(in, &a, out, &b, 5, 0));
    say("%lld %lld", (long long)a, (long long)b);
    T(copy_file_range(in, &a, p[1], NULL, 5, 0));
    T(copy_file_range(in, &a, out, &b, 5, 1));
    a = 0, b = 2;
    T(copy_file_range(out, &a, out, &b, 5, 0));
    T(copy_file_range(out, NULL, in, NULL, 5, 0));
    show_stat("to");
}

/* Each length by itself, and where it begins and ends: nothing beside it changes. */
static void every_length(void)
{
    static unsigned char file[12288], buf[12288];
    static const int lengths[][2] = {{0, 140}, {500, 530}, {2030, 2130}, {4090, 4100}, {8190, 8194}};
    static const int places[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65};
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    long wrong = 0, done = 0;

    for (size_t i = 0; i < sizeof(file); i++) file[i] = (unsigned char)(i * 7 + (i >> 8));
    write(fd, file, sizeof(file));
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
        for (int n = lengths[k][0]; n < lengths[k][1]; n++)
            for (size_t to = 0; to < sizeof(places) / sizeof(places[0]); to++)
                for (int from = 0; from < 40; from += 13) {
                    int at = 256 + places[to];
                    memset(buf, 0xee, sizeof(buf));
                    wrong += pread(fd, buf + at, (size_t)n, from) != n || memcmp(buf + at, file + from, (size_t)n);
                    for (int i = 1; i <= 64; i++) wrong += buf[at - i] != 0xee || buf[at + n + i - 1] != 0xee;
                    done++;
                }
    say("%ld reads, %ld wrong", done, wrong);
    for (int n = 0; n < 2200; n += 17) {
        wrong += pwrite(fd, file + n % 61, (size_t)n, 4001) != n || pread(fd, buf, (size_t)n, 4001) != n;
        wrong += memcmp(buf, file + n % 61, (size_t)n) != 0;
    }
    say("writes: %ld wrong", wrong);
    unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    static const int rooms[] = {1, 2, 5, 8, 15, 16, 31, 33, 64, 100, 2047, 2100, 4096};
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        int p[2];
        pipe(p);
        write(p[1], file, 4096);
        say("room for %d", rooms[i]);
        T(read(p[0], pages + 4096 - rooms[i], 4096));
        close(p[0]);
        close(p[1]);
    }
}

static void sync_calls(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644), p[2];

    pipe(p);
    T(fsync(fd));
    T(fdatasync(fd));
    T(fsync(99));
    T(fsync(p[0]));
    T(syncfs(fd));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    T(posix_fadvise(fd, 0, 0, 99));
    T(posix_fadvise(p[0], 0, 0, 0));
    int d = open(".", O_RDONLY);
    T(fsync(d));
    T(readahead(fd, 0, 4096));
    T(readahead(p[0], 0, 4096));
}

static void size_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct {
        unsigned long cur, max;
    } limit = {10, (unsigned long)-1};
    T(syscall(SYS_prlimit64, 0, 1, &limit, NULL));
    T(write(fd, "0123456", 7));
    T(write(fd, "0123456", 7));
    T(write(fd, "0123456", 7));
    T(ftruncate(fd, 100));
    T(pwrite(fd, "x", 1, 10));
    limit.cur = (unsigned long)-1;
    T(syscall(SYS_prlimit64, 0, 1, &limit, NULL));
    T(write(fd, "0123456", 7));
    signal(SIGXFSZ, SIG_DFL);
}

static void dup_family(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    T(dup(fd));
    T(write(4, "abc", 3));
    T(lseek(fd, 0, SEEK_CUR));
    T(dup2(fd, 10));
    T(dup2(fd, fd));
    T(dup2(99, 5));
    T(dup2(99, 99));
    T(dup2(fd, -1));
    T(dup2(fd, 100000000));
    T(dup3(fd, fd, 0));
    T(dup3(fd, 11, O_CLOEXEC));
    T(fcntl(11, F_GETFD));
    T(dup3(fd, 12, 0x40));
    T(fcntl(fd, F_DUPFD, 20));
    T(fcntl(fd, F_DUPFD_CLOEXEC, 20));
    T(fcntl(21, F_GETFD));
    T(fcntl(fd, F_DUPFD, -1));
    T(close(4));
    T(close(4));
    T(dup(fd));
    T(syscall(SYS_close_range, 4, 100, 0));
    T(fcntl(10, F_GETFD));
    T(fcntl(fd, F_GETFD));
    T(syscall(SYS_close_range, 5, 4, 0));
    T(syscall(SYS_close_range, 3, 3, 4));
    T(fcntl(fd, F_GETFD));
}

static void fd_limit(void)
{
    struct {
        unsigned long cur, max;
    } limit = {16, 1024}, old;
    T(syscall(SYS_prlimit64, 0, 7, NULL, &old));
    limit.max = old.max;
    T(syscall(SYS_prlimit64, 0, 7, &limit, NULL));
    int n = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        n++;
    T(open("/dev/null", O_RDONLY));
    T(dup(0));
    int p[2];
    T(pipe(p));
    T(dup2(0, 16));
    T(dup2(0, 15));
    T(close(15));
    T(pipe(p));
    T(dup(0));
    syscall(SYS_close_range, 3, 100, 0);
    T(syscall(SYS_prlimit64, 0, 7, &old, NULL));
    say("opened some: %d", n > 5);
}

static void fcntl_flags(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GETFL));
    T(fcntl(fd, F_SETFD, 0));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_SETFL, O_NONBLOCK));
    T(fcntl(fd, F_GETFL));
    T(fcntl(fd, F_SETFL, O_RDONLY));
    T(fcntl(fd, F_GETFL));
    T(fcntl(fd, 9999, 0));
    T(fcntl(99, F_GETFL));
    T(fcntl(fd, F_GETPIPE_SZ));
    T(fcntl(fd, F_GETOWN));
    int p[2];
    T(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    T(fcntl(p[0], F_GETFL));
    T(fcntl(p[1], F_GETFL));
    T(fcntl(p[1], F_GETFD));
    T(pipe2(p, 0x1));
}

static void record_locks(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644), r = open("f", O_RDONLY);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};

    T(fcntl(fd, F_SETLK, &lock));
    T(fcntl(fd, F_GETLK, &lock));
    say("type %d", lock.l_type);
    lock.l_type = F_UNLCK, lock.l_start = 12, lock.l_len = 3;
    T(fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_WRLCK;
    T(fcntl(r, F_SETLK, &lock));
    lock.l_type = F_RDLCK;
    T(fcntl(r, F_SETLK, &lock));
    lock.l_type = 77;
    T(fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_WRLCK, lock.l_start = -5;
    T(fcntl(fd, F_SETLK, &lock));
    lock.l_start = 5, lock.l_len = -5, lock.l_whence = SEEK_SET;
    T(fcntl(fd, F_SETLKW, &lock));
    lock.l_whence = 9;
    T(fcntl(fd, F_SETLK, &lock));
    T(fcntl(fd, F_SETLK, NULL));
}

static void open_file_locks(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};

    T(fcntl(a, F_OFD_SETLK, &lock));
    T(fcntl(b, F_OFD_SETLK, &lock));
    lock.l_start = 50;
    T(fcntl(b, F_OFD_GETLK, &lock));
    say("type %d start %lld len %lld pid %d", lock.l_type, (long long)lock.l_start, (long long)lock.l_len, lock.l_pid);
    lock = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 10};
    T(fcntl(a, F_OFD_SETLK, &lock));
    lock.l_type = F_WRLCK;
    T(fcntl(b, F_OFD_SETLK, &lock));
    lock.l_start = 25;
    T(fcntl(b, F_OFD_SETLK, &lock));
    T(close(a));
    lock.l_start = 0, lock.l_len = 0;
    T(fcntl(b, F_OFD_SETLK, &lock));
    lock.l_pid = 1;
    T(fcntl(b, F_OFD_SETLK, &lock));
}

#include <sys/file.h>
static void flocks(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0644), b = open("f", O_RDWR);

    T(flock(a, LOCK_SH));
    T(flock(b, LOCK_SH | LOCK_NB));
    T(flock(a, LOCK_EX | LOCK_NB));
    T(flock(b, LOCK_UN));
    T(flock(a, LOCK_EX | LOCK_NB));
    T(flock(b, LOCK_SH | LOCK_NB));
    int c = dup(a);
    close(a);
    T(flock(b, LOCK_SH | LOCK_NB));
    close(c);
    T(flock(b, LOCK_SH | LOCK_NB));
    T(flock(b, 77));
    T(flock(99, LOCK_SH));
}

static void memfd(void)
{
    char buf[64] = {0}, path[64];
    int fd = (int)syscall(SYS_memfd_create, "name", 3);

    T(fd);
    T(write(fd, "data", 4));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GET_SEALS));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    T(ftruncate(fd, 2));
    T(ftruncate(fd, 8));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    T(ftruncate(fd, 9));
    T(pwrite(fd, "x", 1, 8));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    T(pwrite(fd, "x", 1, 0));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(fd, F_GET_SEALS));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    T(readlink(path, buf, sizeof(buf)));
    say("%s", buf);
    int plain = (int)syscall(SYS_memfd_create, "", 0);
    T(fcntl(plain, F_GET_SEALS));
    T(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    T(syscall(SYS_memfd_create, "x", 0x8000));
    T(syscall(SYS_memfd_create, NULL, 0));
}

static void devices(void)
{
    char buf[16] = "abcdefgh";
    int fd = open("/dev/null", O_RDWR);

    T(read(fd, buf, 8));
    T(write(fd, buf, 8));
    T(lseek(fd, 5, SEEK_SET));
    close(fd);
    fd = open("/dev/zero", O_RDWR);
    T(read(fd, buf, 8));
    say("%d %d", buf[0], buf[7]);
    T(write(fd, buf, 8));
    close(fd);
    fd = open("/dev/full", O_RDWR);
    T(read(fd, buf, 8));
    T(write(fd, buf, 8));
    close(fd);
    fd = open("/dev/urandom", O_RDONLY);
    T(read(fd, buf, 8));
    close(fd);
    fd = open("/dev/random", O_RDONLY);
    T(read(fd, buf, 8));
    close(fd);
    T(open("/dev/tty", O_RDWR));
    show_stat("/dev/null");
    T(ioctl(0, 0x5401, buf) == 0);
    T(truncate("/dev/null", 0));
}

static void ioctls(void)
{
    int n = -1, fd = open("f", O_RDWR | O_CREAT, 0644);

    write(fd, "0123456789", 10);
    lseek(fd, 3, SEEK_SET);
    T(ioctl(fd, 0x541B, &n));
    say("%d", n);
    T(ioctl(fd, 0x5401, &n));
    n = 1;
    T(ioctl(fd, 0x5421, &n));
    T(fcntl(fd, F_GETFL));
    T(ioctl(fd, 0x5451));
    T(fcntl(fd, F_GETFD));
    T(ioctl(fd, 0x5450));
    T(fcntl(fd, F_GETFD));
    T(ioctl(99, 0x5401, &n));
    int p[2];
    pipe(p);
    write(p[1], "abc", 3);
    T(ioctl(p[0], 0x541B, &n));
    say("%d", n);
    T(ioctl(p[0], 0x541B, NULL));
    T(isatty(p[0]));
}

const struct test_case cases[] = {
    CASE(read_write), CASE(seeking), CASE(positional), CASE(vectors), CASE(sparse_files), CASE(truncation),
    CASE(allocation), CASE(copying), CASE(every_length), CASE(sync_calls), CASE(size_limit), CASE(dup_family), CASE(fd_limit),
    CASE(fcntl_flags), CASE(record_locks), CASE(open_file_locks), CASE(flocks), CASE(memfd), CASE(devices),
    CASE(ioctls), {NULL, NULL},
};
