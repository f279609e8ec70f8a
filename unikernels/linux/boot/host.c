#include "boot/host.h"

#include <asm/ioctls.h>
#include <asm/mman.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/eventpoll.h>
#include <linux/time_types.h>

#include "boot/host_wait.h"
#include "entry/entry.h"
#include "lib/string.h"

#define EVENTS_AT_ONCE 32
#define STDERR 2
#define LOG_WAIT_NS (100 * NSEC_PER_MSEC)
#define LOG_WAITS 50

static struct {
    const struct runnc_boot_info *info;
    struct list sources;
} host;

void host_init(const struct runnc_boot_info *info)
{
    host.info = info;
    list_init(&host.sources);
}

const struct runnc_boot_info *host_boot_info(void)
{
    return host.info;
}

const struct runnc_channel *host_channel(const char *name, uint32_t *tag)
{
    for (uint32_t i = 0; i < MIN(host.info->channels_count, RUNNC_CHANNELS_MAX); i++) {
        if (strcmp(host.info->channels[i].name, name)) continue;
        *tag = RUNNC_EPOLL_CHANNEL + i;
        return &host.info->channels[i];
    }
    return NULL;
}

static bool granted(uint32_t extra)
{
    return host.info->granted & extra;
}

ssize_t host_write(int fd, const void *buf, size_t n)
{
    ssize_t r;

    do r = host_call(__NR_write, fd, (long)buf, (long)n, 0, 0, 0);
    while (r == -EINTR);
    return r;
}

ssize_t host_read(int fd, void *buf, size_t n)
{
    ssize_t r;

    do r = host_call(__NR_read, fd, (long)buf, (long)n, 0, 0, 0);
    while (r == -EINTR);
    return r;
}

void host_exit(int status)
{
    for (;;) host_call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

int host_winsize(struct winsize *ws)
{
    return (int)host_call(__NR_ioctl, 0, TIOCGWINSZ, (long)ws, 0, 0, 0);
}

int64_t host_clock(int clock)
{
    struct __kernel_timespec ts = {0};

    host_call(__NR_clock_gettime, clock, (long)&ts, 0, 0, 0, 0);
    return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void host_set_fsbase(uint64_t base)
{
    host_call(__NR_arch_prctl, ARCH_SET_FS, (long)base, 0, 0, 0, 0);
}

static bool memctl(long nr, uintptr_t start, size_t len, long arg)
{
    if (!granted(RUNNC_EXTRA_MEMCTL)) return false;
    while (len) {
        size_t n = MIN(len, host.info->madvise_max);
        if (host_call(nr, (long)start, (long)n, arg, 0, 0, 0)) return false;
        start += n;
        len -= n;
    }
    return true;
}

bool host_mprotect(uintptr_t start, size_t len, int prot)
{
    return memctl(__NR_mprotect, start, len, prot);
}

bool host_discard(uintptr_t start, size_t len)
{
    return memctl(__NR_madvise, start, len, MADV_DONTNEED);
}

void host_discard_image(void)
{
    if (!granted(RUNNC_EXTRA_MEMCTL) || !host.info->rootfs) return;
    host_call(__NR_madvise, (long)host.info->rootfs, (long)host.info->rootfs_size, MADV_DONTNEED, 0, 0, 0);
}

bool host_has_memctl(void)
{
    return granted(RUNNC_EXTRA_MEMCTL);
}

void host_source_register(struct host_source *s, uint32_t tag)
{
    s->tag = tag;
    s->ready = EPOLLIN | EPOLLOUT;
    wait_queue_init(&s->queue);
    list_add_tail(&host.sources, &s->link);
}

static void source_event(uint64_t tag, uint32_t events)
{
    struct host_source *s;

    list_for_each(s, &host.sources, link) {
        if (s->tag != tag) continue;
        s->ready |= events;
        wake_up_events(&s->queue, events);
    }
}

bool host_wait(int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct __kernel_timespec ts;

    if (timeout_ns != WAIT_FOREVER) {
        ts.tv_sec = timeout_ns / NSEC_PER_SEC;
        ts.tv_nsec = timeout_ns % NSEC_PER_SEC;
    }
    long n = host_idle(__NR_epoll_pwait2, host.info->epollfd, events, EVENTS_AT_ONCE,
                       timeout_ns == WAIT_FOREVER ? NULL : &ts);
    for (long i = 0; i < n; i++) source_event(events[i].data, events[i].events);
    return n != 0;
}

bool host_has_sources(void)
{
    struct host_source *s;

    list_for_each(s, &host.sources, link)
        if (!list_empty(&s->queue.entries)) return true;
    return false;
}

void host_log(const char *text, size_t n)
{
    int waits = 0;

    while (n) {
        ssize_t r = host_write(STDERR, text, n);
        if (r == -EAGAIN && waits++ < LOG_WAITS) {
            host_wait(LOG_WAIT_NS);
            continue;
        }
        if (r <= 0) return;
        text += r;
        n -= (size_t)r;
    }
}
