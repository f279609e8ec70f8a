/*
 * Sockets that only messages hold.
 *
 * A socket sent over itself, or two each sent over the other and then closed, are
 * out of reach of every program but never lose their last reference. So sockets
 * on their way in messages are counted (`inflight`), and when an AF_UNIX socket
 * goes, or too many are on their way, those that no program can reach are found:
 *
 *   candidates   all their file's references are messages
 *   reachable    a message that holds one is in the queue of a socket that is
 *                no candidate, or that is reachable itself
 *
 * What is left is garbage: its queues are emptied, and so the circles open.
 */
#include "fs/vfs.h"
#include "net/unix/unix.h"
#include "task/task.h"

static struct {
    struct list sockets; /* AF_UNIX sockets in messages */
    size_t files;        /* in messages, of any kind */
    struct list work;    /* of one collection */
    bool running;
} flight = {.sockets = {&flight.sockets, &flight.sockets}, .work = {&flight.work, &flight.work}};

/* Descriptors that a user may have in messages beyond his own; as Linux, the limit of open files. */
bool unix_too_many_inflight(void)
{
    if (flight.files <= task_rlimit(RLIMIT_NOFILE) || capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN))
        return false;
    unix_collect();
    return flight.files > task_rlimit(RLIMIT_NOFILE);
}

static struct unix_sock *unix_of(const struct file *file)
{
    struct socket *sock = socket_of(file);

    return sock && sock->family == AF_UNIX ? unix_sock(sock) : NULL;
}

void unix_inflight(const struct scm_files *files)
{
    for (uint32_t n = 0; n < files->count; n++) {
        struct unix_sock *u = unix_of(files->file[n]);
        if (u && u->inflight++ == 0)
            list_add_tail(&flight.sockets, &u->inflight_link);
    }
    flight.files += files->count;
}

void unix_landed(const struct scm_files *files)
{
    for (uint32_t n = 0; n < files->count; n++) {
        struct unix_sock *u = unix_of(files->file[n]);
        if (u && --u->inflight == 0)
            list_del(&u->inflight_link);
    }
    flight.files -= files->count;
}

/* Calls visit for every socket in a message that waits in u's queue, or in those of its new connections. */
static void visit_queue(struct unix_sock *u, void (*visit)(struct unix_sock *))
{
    struct packet *packet;

    list_for_each(packet, &u->queue, link) {
        if (packet->embryo)
            visit_queue(packet->embryo, visit); /* an embryo's own queue holds none */
        if (!packet->scm.files)
            continue;
        for (uint32_t n = 0; n < packet->scm.files->count; n++) {
            struct unix_sock *child = unix_of(packet->scm.files->file[n]);
            if (child && child->garbage)
                visit(child);
        }
    }
}

static void one_holder_less(struct unix_sock *u)
{
    u->outside--;
}

static void reached(struct unix_sock *u)
{
    u->garbage = false;
    list_add_tail(&flight.work, &u->gc_link);
}

/* All candidates that are not reachable become `garbage`. false: there is none. */
static bool mark(void)
{
    struct unix_sock *u;
    bool any = false;

    list_for_each(u, &flight.sockets, inflight_link) {
        u->garbage = u->sock.file->f_count == u->inflight;
        u->outside = u->inflight; /* becomes: messages outside of candidates' queues */
        any |= u->garbage;
    }
    if (!any)
        return false;
    list_for_each(u, &flight.sockets, inflight_link) {
        if (u->garbage)
            visit_queue(u, one_holder_less);
    }
    list_for_each(u, &flight.sockets, inflight_link) {
        if (u->garbage && u->outside > 0)
            reached(u);
    }
    while (!list_empty(&flight.work)) {
        u = list_first(&flight.work, struct unix_sock, gc_link);
        list_del(&u->gc_link);
        visit_queue(u, reached);
    }
    return true;
}

void unix_collect(void)
{
    struct unix_sock *u;

    if (flight.running || list_empty(&flight.sockets) || !mark())
        return;
    flight.running = true;
    /* Emptying one queue may end others of them: all are held, and off that list, first. */
    list_for_each(u, &flight.sockets, inflight_link) {
        if (u->garbage)
            list_add_tail(&flight.work, &unix_get(u)->gc_link);
    }
    while (!list_empty(&flight.work)) {
        u = list_first(&flight.work, struct unix_sock, gc_link);
        list_del(&u->gc_link);
        unix_purge(u);
        unix_put(u);
    }
    flight.running = false;
}
