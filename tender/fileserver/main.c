/*
 * Started by init with its descriptors in place (server.h) and one argument for
 * each mount, "rw" or "ro", and each pipe, "pipe". What goes wrong here the guest sees as a channel that ends.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool take_mounts(struct server *server, char **argv)
{
    for (; *argv != NULL && strcmp(*argv, "pipe") != 0; argv++) {
        if (server->mounts == RUNNC_FILES_MOUNTS_MAX || (strcmp(*argv, "ro") != 0 && strcmp(*argv, "rw") != 0))
            return false;
        server->readonly[server->mounts++] = strcmp(*argv, "ro") == 0;
    }
    for (; *argv != NULL; argv++) {
        if (server->pipes == RUNNC_FILES_PIPES || strcmp(*argv, "pipe") != 0)
            return false;
        server->pipes++;
    }
    return server->mounts > 0;
}

/* One that is too small for a READ at any offset is of no use: its user may have no larger ones (pipe(7)). */
static void check_pipes(struct server *server)
{
    for (unsigned i = 0; i < server->pipes; i++)
        if (fcntl(pipe_fd(server, i), F_GETPIPE_SZ) < (int)(RUNNC_FILES_PIPED_MAX + 4096u))
            server->pipes = i;
}

/* Every fid may be a descriptor. */
static bool limit_fids(struct server *server)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur > FIDS_MAX + OTHER_FDS)
        limit.rlim_cur = FIDS_MAX + OTHER_FDS;
    if (limit.rlim_cur <= 2 * OTHER_FDS || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    server->fid_limit = (uint32_t)(limit.rlim_cur - OTHER_FDS);
    return true;
}

int main(int argc, char **argv)
{
    static struct server server;

    prctl(PR_SET_NAME, RUNNC_FILES_PROCESS, 0, 0, 0);
    if (argc < 2 || !take_mounts(&server, argv + 1) || !limit_fids(&server))
        return 1;
    server.window = mmap(NULL, RUNNC_FILES_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, WINDOW_FD, 0);
    if (server.window == MAP_FAILED)
        return 1;
    close(WINDOW_FD);
    check_pipes(&server);
    signal(SIGPIPE, SIG_IGN); /* the guest is gone: the channel says so */
    /* So that calls that take a path alone can name a descriptor: "7" is what descriptor 7 is open on. */
    if (fchdir(PROC_FD) != 0)
        return 1;
    umask(0); /* the guest has applied its own */
    server.fsuid = geteuid();
    server.fsgid = getegid();
    workers_start();
    confine(&server);
    serve(&server);
    return 0;
}
