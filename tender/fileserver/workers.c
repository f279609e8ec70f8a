/* Threads for what waits for a disk, so that other requests are answered meanwhile. */
#include "server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 2
#define QUEUE 64u

struct job {
    enum job_kind kind;
    struct fid *fid;
    int fd;
    void *data;
    struct runnc_files_request head;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t some, up;
    unsigned running;
    struct job queue[QUEUE];
    unsigned first, count;
} workers = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER, .up = PTHREAD_COND_INITIALIZER};

/* All of it, as read(2) on a regular file does: less only at the end. */
static ssize_t read_all(int fd, uint8_t *to, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        const ssize_t got = pread(fd, to + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return done > 0 ? (ssize_t)done : -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

void job_run(enum job_kind kind, int fd, void *data, const struct runnc_files_request *head,
             struct runnc_files_reply *reply)
{
    ssize_t result = 0;

    switch (kind) {
    case JOB_FSYNC: result = fsync(fd); break;
    case JOB_FDATASYNC: result = fdatasync(fd); break;
    case JOB_SYNCFS: result = syncfs(fd); break;
    case JOB_READ: result = read_all(fd, data, head->size, head->offset); break;
    }
    if (result < 0)
        reply->error = (uint32_t)errno;
    else
        reply->value = (uint64_t)result;
}

static void take(struct job *job)
{
    pthread_mutex_lock(&workers.lock);
    while (workers.count == 0) pthread_cond_wait(&workers.some, &workers.lock);
    *job = workers.queue[workers.first];
    workers.first = (workers.first + 1) % QUEUE;
    workers.count--;
    pthread_mutex_unlock(&workers.lock);
}

static void finish(struct fid *fid)
{
    pthread_mutex_lock(&workers.lock);
    if (--fid->jobs == 0 && fid->closing) {
        close(fid->fd);
        fid->closing = false;
        fid->kind = FID_FREE;
    }
    pthread_mutex_unlock(&workers.lock);
}

static void *work(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&workers.lock);
    workers.running++;
    pthread_cond_signal(&workers.up);
    pthread_mutex_unlock(&workers.lock);
    for (;;) {
        struct runnc_files_reply reply = {0};
        struct job job;

        take(&job);
        reply.tag = job.head.tag;
        job_run(job.kind, job.fd, job.data, &job.head, &reply);
        finish(job.fid);
        send_reply(&reply);
    }
    return NULL;
}

/* Until they are under way: what libc does to start them the filter does not allow. */
void workers_start(void)
{
    unsigned made = 0;
    pthread_t thread;

    /* Without any all is done by the main thread: slower, and as right. */
    while (made < WORKERS && pthread_create(&thread, NULL, work, NULL) == 0) {
        pthread_detach(thread);
        made++;
    }
    pthread_mutex_lock(&workers.lock);
    while (workers.running < made) pthread_cond_wait(&workers.up, &workers.lock);
    pthread_mutex_unlock(&workers.lock);
}

bool workers_take(struct server *server, enum job_kind kind, const struct request *request)
{
    struct fid *fid = fid_get(server, request->head.fid);
    bool taken = false;

    pthread_mutex_lock(&workers.lock);
    if (workers.count < QUEUE && fid->jobs < UINT16_MAX) {
        workers.queue[(workers.first + workers.count++) % QUEUE] = (struct job){
            .kind = kind,
            .fid = fid,
            .fd = fid->fd,
            .data = kind == JOB_READ ? window_range(server, &request->head) : NULL,
            .head = request->head,
        };
        fid->jobs++;
        taken = true;
        pthread_cond_signal(&workers.some);
    }
    pthread_mutex_unlock(&workers.lock);
    return taken;
}

bool workers_release(struct fid *fid)
{
    bool idle;

    pthread_mutex_lock(&workers.lock);
    idle = fid->jobs == 0;
    if (!idle)
        fid->closing = true;
    pthread_mutex_unlock(&workers.lock);
    return idle;
}
