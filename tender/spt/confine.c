/* Takes from the process what the guest must not have or be able to do. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes: a path, and the arguments that the guest's command line has room for. */
#define TITLE_MAX (4096u + GUEST_CMDLINE_SIZE)

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void close_between(unsigned first, unsigned last)
{
    if (first <= last && syscall(SYS_close_range, first, last, 0) < 0)
        fail_errno("cannot close descriptors (close_range needs Linux 5.9)");
}

/* Closes all descriptors but the standard ones and those the guest uses. */
static void close_others(const struct tender *tender)
{
    int kept[SOLO5_MFT_MAX_ENTRIES + RUNNC_VNET_MAX + RUNNC_CHANNELS_MAX * (1 + RUNNC_CHANNEL_PIPES_MAX) + 3];
    size_t count = 0;
    unsigned next = STDERR_FILENO + 1;

    for (unsigned i = 1; i < tender->manifest.m.entries; i++)
        kept[count++] = tender->devices[i].fd;
    for (unsigned i = 0; i < tender->boot.vnet_count; i++)
        kept[count++] = tender->boot.vnet_fd[i];
    for (unsigned i = 0; i < tender->boot.channels_count; i++) {
        kept[count++] = tender->boot.channels[i].fd;
        for (unsigned n = 0; n < tender->boot.channel_pipes[i].count; n++)
            kept[count++] = tender->boot.channel_pipes[i].fd[n];
    }
    if (tender->kept_fd >= 0)
        kept[count++] = tender->kept_fd;
    if (tender->boot.epollfd >= 0)
        kept[count++] = tender->boot.epollfd;
    if (tender->boot.timerfd >= 0)
        kept[count++] = tender->boot.timerfd;
    qsort(kept, count, sizeof kept[0], by_number);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && kept[i] == kept[i - 1])
            fail("descriptor %d is given for two devices", kept[i]);
        close_between(next, (unsigned)kept[i] - 1);
        next = (unsigned)kept[i] + 1;
    }
    close_between(next, ~0u);
}

static void append(char *title, size_t *used, const char *text)
{
    const size_t size = strlen(text) + 1;

    if (size > TITLE_MAX - *used)
        return;
    memcpy(title + *used, text, size);
    *used += size;
}

/*
 * Wipes the strings that exec put on the stack: the environment, and options
 * that may name paths of the host. In their place ps and the like get the
 * guest's command line, which the guest knows anyhow. Its first word is the
 * kernel, or for a descriptor the name under which we were started.
 */
static void replace_strings(struct tender *tender, char **argv)
{
    static char title[TITLE_MAX];
    extern char **environ;
    char *const start = argv[0];
    size_t used = 0, room = 0;

    append(title, &used, tender->kernel_path[0] == '@' ? argv[0] : tender->kernel_path);
    for (char **arg = tender->guest_args; *arg != NULL; arg++)
        append(title, &used, *arg);

    for (char **s = environ; *s != NULL; s++)
        explicit_bzero(*s, strlen(*s));
    for (char **s = argv; *s != NULL; s++) {
        /* exec packs them one behind the other. */
        if (*s == start + room)
            room += strlen(*s) + 1;
        explicit_bzero(*s, strlen(*s));
    }
    if (used > room)
        used = room;
    memcpy(start, title, used);
    tender->command_line = (struct command_line){.start = (uintptr_t)start, .used = used};
}

void confine(struct tender *tender, char **argv)
{
    const struct rlimit none = {0, 0};

    close_others(tender);
    replace_strings(tender, argv);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail_errno("cannot set no_new_privs");
    /* Both: a core_pattern that is a pipe ignores the limit. */
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        fail_errno("cannot forbid core files");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        fail_errno("cannot make the process non-dumpable");
}
