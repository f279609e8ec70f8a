/*
 * Random messages to the real file server, from a guest that wants out of its mounts.
 *
 *   fuzz SERVER MOUNT READONLY-MOUNT SEED MESSAGES SECRET
 *
 * Starts the server as init does, with two mounts, and sends messages: some of any bytes, most
 * of a form that the server may believe. Ends with 1 if the server is gone, leaves a message without its
 * reply, or shows SECRET, which lies outside of the mounts, in the window.
 */
#define _GNU_SOURCE
#include "runnc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIDS 40u /* few, so that they meet */
#define PIPES 2
#define FDS 7 /* of the server */

static uint64_t state;
static int channel, pipes[PIPES][2];
static uint8_t *window;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 11) % below;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_mount(const char *path, bool readonly)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (readonly ? MOUNT_ATTR_RDONLY : 0)};
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | AT_RECURSIVE);

    if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        die(path);
    return tree;
}

/* With the rights that init leaves it. */
static void take_rights(void)
{
    const uint32_t mask = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
                          1u << CAP_SETUID | 1u << CAP_SETGID;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{mask, mask, mask}, {0, 0, 0}};

    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP) != 0 || setresgid(12345, 12345, 12345) != 0 ||
        setresuid(12345, 12345, 12345) != 0 || syscall(SYS_capset, &header, sets) != 0)
        die("credentials");
    for (int cap = 0; cap < 32; cap++)
        if ((mask >> cap & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0)
            die("ambient");
}

static pid_t start(const char *server, const char *mount_path, const char *readonly_path)
{
    int ends[2], memory = memfd_create("window", 0);

    if (memory < 0 || ftruncate(memory, RUNNC_FILES_WINDOW_BYTES) != 0)
        die("window");
    window = mmap(NULL, RUNNC_FILES_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (window == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
        die("channel");
    channel = ends[0];
    for (int i = 0; i < PIPES; i++)
        if (pipe2(pipes[i], O_NONBLOCK) != 0 || fcntl(pipes[i][1], F_SETPIPE_SZ, RUNNC_FILES_PIPE_BYTES) < 0)
            die("pipe");
    const pid_t pid = fork();
    if (pid != 0)
        return close(ends[1]), pid;
    int fds[FDS] = {ends[1], memory, (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE),
                    open_mount(mount_path, false), open_mount(readonly_path, true), pipes[0][1], pipes[1][1]};
    for (int i = 0; i < FDS; i++)
        if (dup2(fds[i], 100 + i) < 0)
            die("dup2");
    for (int i = 0; i < FDS; i++)
        dup2(100 + i, 3 + i);
    syscall(SYS_close_range, 3 + FDS, ~0u, 0);
    const int program = open(server, O_RDONLY | O_CLOEXEC);
    take_rights();
    char *argv[] = {"runnc-fileserver", "rw", "ro", "pipe", "pipe", NULL}, *environment[] = {NULL};
    syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
    die(server);
    return -1;
}

static const char *const NAMES[] = {
    "a", "b", "c", "folder", "file", "link-out", "link-abs", "link-up", "new", "other", "fifo", "sub",
    "..", ".", "", "../outside", "/etc/passwd", "a/b", "folder/..", "link-out/secret", "secret", "outside",
    "user.x", "user.", "security.capability", "trusted.overlay.opaque", "system.posix_acl_access", "0", "3", "5", "self",
};

static uint16_t put_name(uint8_t *to)
{
    if (draw(40) == 0) {
        const uint16_t length = (uint16_t)draw(300);
        for (uint16_t i = 0; i < length; i++) to[i] = (uint8_t)(draw(3) ? 'x' : draw(256));
        return length;
    }
    const char *name = NAMES[draw(sizeof NAMES / sizeof NAMES[0])];
    memcpy(to, name, strlen(name));
    return (uint16_t)strlen(name);
}

static uint32_t odd32(uint32_t usual)
{
    static const uint32_t ODD[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 4096, 65535, 65536};

    return draw(12) ? usual : ODD[draw(8)];
}

static uint64_t odd64(uint64_t usual)
{
    static const uint64_t ODD[] = {0, 1, 0x7fffffffffffffff, 0x8000000000000000, ~0ull, 1ull << 40, 1 << 20, (1 << 20) + 1};

    return draw(12) ? usual : ODD[draw(8)];
}

static size_t make(uint8_t *message, uint32_t tag)
{
    struct runnc_files_request *r = (void *)message;
    static const uint32_t TYPES[] = {0100000, 0040000, 0010000, 0140000, 0020000, 0060000, 0120000, 0};
    uint8_t *at = message + sizeof *r;

    memset(r, 0, sizeof *r);
    r->tag = tag;
    r->op = (uint16_t)(draw(30) ? 1 + draw(27) : draw(70000));
    r->fid = odd32(draw(FIDS));
    r->new_fid = odd32(draw(FIDS));
    r->handle_fid = draw(2) ? odd32(draw(FIDS)) : 0;
    r->flags = odd32(draw(4) ? draw(4) : draw(1u << 23));
    r->valid = draw(80);
    r->mode = TYPES[draw(8)] | draw(010000);
    r->uid = odd32(draw(3) * 1000);
    r->gid = odd32(draw(3) * 1000);
    r->window = odd32(draw(64) << 16);
    r->offset = odd64(draw(1 << 16));
    r->size = odd64(draw(4) ? draw(5000) : draw(1 << 20));
    r->value = draw(4) ? draw(3) : odd64(draw(100));
    r->atime_sec = (int64_t)odd64(draw(1u << 30));
    r->atime_nsec = odd32(draw(1000000000));
    r->mtime_nsec = odd32(draw(1000000000));
    r->reserved = draw(100) ? 0 : 1;
    if (draw(8) == 0)
        r->forget[draw(4)] = odd32(draw(FIDS));
    /* What every working guest has: a root, and some names that are found. */
    if (draw(4) == 0) {
        r->op = FILES_ATTACH;
        r->value = draw(2);
    }
    if (draw(3))
        r->name_len = put_name(at);
    if (draw(3) == 0)
        r->name2_len = put_name(at + r->name_len);
    size_t length = sizeof *r + r->name_len + r->name2_len;
    switch (draw(60)) {
    case 0: length = 1 + draw((uint32_t)length); break; /* an empty one is the end */
    case 1: r->name_len = (uint16_t)draw(65536); break;
    case 2:
        for (size_t i = 4; i < length; i++) message[i] = (uint8_t)draw(256);
        break;
    case 3: message[4 + draw((uint32_t)length - 4)] ^= (uint8_t)(1u << draw(8)); break;
    }
    return length;
}

static bool is_answered(const uint8_t *message, size_t length, bool greeted)
{
    const struct runnc_files_request *r = (const void *)message;
    const bool formed = length >= sizeof *r && length == sizeof *r + r->name_len + (size_t)r->name2_len &&
                        r->name_len <= RUNNC_FILES_NAME_MAX && r->name2_len <= RUNNC_FILES_TARGET_MAX;

    /* A CLUNK that is well-formed has no reply. */
    return !(greeted && formed && r->op == FILES_CLUNK && r->reserved == 0 && r->name_len == 0 && r->name2_len == 0);
}

static void receive(pid_t server, unsigned long n, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = channel, .events = POLLIN};
    struct runnc_files_reply reply;

    if (poll(&poll_fd, 1, timeout_ms) != 1 || recv(channel, &reply, sizeof reply, 0) != (ssize_t)sizeof reply) {
        int status = 0;
        usleep(10000);
        waitpid(server, &status, WNOHANG);
        printf("message %lu has no reply (the server's status: %#x)\n", n, status);
        exit(1);
    }
    if (reply.error > 4095) {
        printf("error %u is none\n", reply.error);
        exit(1);
    }
}

/* What came by them; often it stays, and they fill up. */
static void empty_pipes(unsigned long n, const char *secret)
{
    static uint8_t data[RUNNC_FILES_PIPE_BYTES];

    for (int i = 0; i < PIPES; i++) {
        ssize_t got = read(pipes[i][0], data, sizeof data);
        if (got > 0 && memmem(data, (size_t)got, secret, strlen(secret)) != NULL) {
            printf("message %lu: the secret is in a pipe\n", n);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    _Alignas(8) uint8_t message[8192];

    if (argc != 7)
        return 2;
    state = strtoull(argv[4], NULL, 10) * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
    const unsigned long count = strtoul(argv[5], NULL, 10);
    const char *secret = argv[6];
    const pid_t server = start(argv[1], argv[2], argv[3]);
    struct runnc_files_request hello = {.op = FILES_HELLO, .value = RUNNC_FILES_VERSION};

    for (unsigned long n = 0; n < count; n++) {
        /* Before it says who it is, a guest gets nothing. */
        const size_t length = n == 20 ? sizeof hello : make(message, (uint32_t)n);
        const void *what = n == 20 ? (void *)&hello : message;

        if (send(channel, what, length, MSG_NOSIGNAL) != (ssize_t)length) {
            int status = 0;
            waitpid(server, &status, WNOHANG);
            printf("message %lu: the server is gone (%s; status %#x)\n", n, strerror(errno), status);
            return 1;
        }
        if (length > 0 && is_answered(what, length, n > 20))
            receive(server, n, 60000);
        if (draw(3) == 0)
            empty_pipes(n, secret);
        if (n % 1000 == 999 && memmem(window, RUNNC_FILES_WINDOW_BYTES, secret, strlen(secret)) != NULL) {
            printf("message %lu: the secret is in the window\n", n);
            return 1;
        }
    }
    if (send(channel, &hello, sizeof hello, MSG_NOSIGNAL) < 0)
        die("the server is gone");
    receive(server, count, 60000);
    close(channel);
    int status;
    if (waitpid(server, &status, 0) != server || status != 0) {
        printf("the server ends with %#x\n", status);
        return 1;
    }
    printf("%lu messages\n", count);
    return 0;
}
