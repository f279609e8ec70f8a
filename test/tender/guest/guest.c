/*
 * A guest for the tender's tests: it does what its first argument says and
 * prints what came of it. Built with EXTRAS it has the note of that name;
 * without, it is a plain Solo5 guest. It does not use our bindings, so that a
 * mistake in them cannot hide one of the tender.
 */
#include "runnc_extras.h"
#include "solo5_notes.h"

#include <asm/ioctls.h>
#include <asm/mman.h>
#include <asm/unistd.h>
#include <linux/eventpoll.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>

#define PAGE 4096ul

__attribute__((section(".interp"), used)) static const char interp[] = "/nonexistent/solo5/";

static const struct {
    struct solo5_note_header header;
    struct solo5_abi_note abi;
} abi_note __attribute__((section(".note.solo5.abi"), used, aligned(4))) = {
    {sizeof SOLO5_NOTE_NAME, sizeof(struct solo5_abi_note), SOLO5_NOTE_ABI1, SOLO5_NOTE_NAME},
    {SOLO5_ABI_TARGET_SPT, SOLO5_SPT_ABI_VERSION, {0, 0}},
};

static const struct {
    struct solo5_note_header header;
    uint32_t pad;
    uint32_t version, entries;
    struct solo5_mft_entry reserved;
} manifest_note __attribute__((section(".note.solo5.manifest"), used, aligned(8))) = {
    {sizeof SOLO5_NOTE_NAME, 4 + 8 + sizeof(struct solo5_mft_entry), SOLO5_NOTE_MFT1,
     SOLO5_NOTE_NAME},
    0,
    SOLO5_MFT_VERSION,
    1,
    {.type = SOLO5_MFT_RESERVED_FIRST},
};

extern char gate_start[], gate_end[];
void signal_entry(void);
static uint8_t selector = 1; /* the tender is to clear it */

#ifdef EXTRAS
static uint8_t signal_stack[65536] __attribute__((aligned(16)));

static const struct {
    struct solo5_note_header header;
    uint32_t pad;
    struct runnc_extras_note extras;
} extras_note __attribute__((section(".note.runnc.extras"), used, aligned(8))) = {
    {sizeof RUNNC_NOTE_NAME, 4 + sizeof(struct runnc_extras_note), RUNNC_NOTE_EXTRAS,
     RUNNC_NOTE_NAME},
    0,
    {
        .version = RUNNC_EXTRAS_VERSION,
        .wanted = RUNNC_EXTRAS_KNOWN,
        .gate_start = (uintptr_t)gate_start,
        .gate_len = PAGE,
        .selector = (uintptr_t)&selector,
        .signal_entry = (uintptr_t)signal_entry,
        .sigstack = (uintptr_t)signal_stack,
        .sigstack_size = sizeof signal_stack,
    },
};
#endif

/* host(number, a, b, c, d, e, f), from the gate. */
long host(long number, ...);
__asm__(".section .gate, \"ax\"\n"
        ".globl host\n"
        "host:\n"
        "mov %rdi, %rax\n"
        "mov %rsi, %rdi\n"
        "mov %rdx, %rsi\n"
        "mov %rcx, %rdx\n"
        "mov %r8, %r10\n"
        "mov %r9, %r8\n"
        "mov 8(%rsp), %r9\n"
        "syscall\n"
        "ret\n"
        ".text\n"
        ".globl signal_entry\n"
        "signal_entry:\n"
        "call on_signal\n");
#define HOST(number, a, b, c, d, e) \
    host((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0l)

static __attribute__((noreturn)) void leave(int status)
{
    for (;;) HOST(__NR_exit_group, status, 0, 0, 0, 0);
}

static void print(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0') length++;
    HOST(__NR_write, 1, text, length, 0, 0);
}

static void print_value(const char *name, uint64_t value)
{
    char digits[24];
    size_t at = sizeof digits;

    digits[--at] = '\0';
    digits[--at] = '\n';
    do digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    print(name);
    print("=");
    print(digits + at);
}

static bool is(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) a++, b++;
    return *a == *b;
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;

    while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

/* The word behind the first blank; the first word is cut off there. */
static char *second_word(char *text)
{
    while (*text != '\0' && *text != ' ') text++;
    if (*text != '\0') *text++ = '\0';
    return text;
}

/* siginfo_t as the kernel lays it out: si_signo, si_errno, si_code, then si_call_addr, si_syscall. */
void on_signal(int signal, const int *info, void *context);
void on_signal(int signal, const int *info, void *context)
{
    (void)context;
    selector = 0;
    print_value("signal", (uint64_t)signal);
    if (signal == 31) print_value("syscall", (uint64_t)info[6]);
    leave(0);
}

#ifndef EXTRAS
static void show_boot_info(const struct runnc_boot_info *boot)
{
    print_value("mem_size", boot->mem_size);
}
#else
static void show_boot_info(const struct runnc_boot_info *boot)
{
    const uint8_t *config = (const uint8_t *)boot->config, *rootfs = (const uint8_t *)boot->rootfs;
    const uint8_t *segments = (const uint8_t *)boot->segments;
    unsigned seed_bits = 0;

    print_value("mem_size", boot->mem_size);
    print_value("timerfd", boot->timerfd < 0 ? 0 : 1);
    print_value("version", boot->version);
    print_value("granted", boot->granted);
    print_value("selector", selector);
    print_value("config_size", boot->config_size);
    if (config != NULL) print_value("config_last", config[boot->config_size - 1]);
    print_value("config_above", boot->config >= boot->mem_size + boot->madvise_max);
    print_value("rootfs_size", boot->rootfs_size);
    if (rootfs != NULL) print_value("rootfs_last", rootfs[boot->rootfs_size - 1]);
    print_value("images_count", boot->images_count);
    for (size_t i = 0; i < boot->images_count && i < 2; i++) {
        const uint8_t *image = (const uint8_t *)boot->images[i].address;

        print_value(i == 0 ? "image_0_size" : "image_1_size", boot->images[i].size);
        print_value(i == 0 ? "image_0_last" : "image_1_last", image[boot->images[i].size - 1]);
    }
    print_value("segments", boot->segments);
    print_value("segments_size", boot->segments_size);
    if (segments != NULL) print_value("segments_last", segments[boot->segments_size - 1]);
    print_value("stack_slots", boot->stack_slots);
    print_value("stack_slots_count", boot->stack_slots_count);
    print_value("program", boot->program);
    print_value("program_size", boot->program_size);
    print_value("program_offset", boot->program_offset);
    if (boot->program != 0) print_value("program_first", *(const uint8_t *)boot->program);
    print_value("vdso", boot->vdso == 0 ? 0 : *(const uint32_t *)boot->vdso);
    for (size_t i = 0; i < sizeof boot->seed; i++) seed_bits |= boot->seed[i];
    print_value("seed", seed_bits != 0);
    print_value("minsigstksz", boot->minsigstksz);
    print_value("madvise_max", boot->madvise_max);
    print_value("stdio_tty", boot->stdio_tty);
    print_value("stdio_nonblock", boot->stdio_nonblock);
    print_value("stdio_ready", boot->stdio_ready);
}
#endif

static void wait_once(const struct runnc_boot_info *boot);

#ifdef EXTRAS
/* Shows the first ARP frame that each tap has, with what is in front of it. */
static void show_frames(const struct runnc_boot_info *boot)
{
    print_value("vnet_count", boot->vnet_count);
    for (unsigned i = 0; i < boot->vnet_count; i++) {
        uint8_t frame[2048];
        long size;

        for (;;) {
            size = HOST(__NR_read, boot->vnet_fd[i], frame, sizeof frame, 0, 0);
            if (size < 0)
                wait_once(boot);
            else if (frame[10 + 12] == 0x08 && frame[10 + 13] == 0x06)
                break;
        }
        print_value("size", (uint64_t)size);
        print_value("flags", frame[0]);
        print_value("written", (uint64_t)HOST(__NR_write, boot->vnet_fd[i], frame, size, 0, 0));
    }
}

/* Copies the first channel to itself until its end. */
static void echo_channel(const struct runnc_boot_info *boot);

/* Writes the last bytes of the first channel's window. */
static void write_window(const struct runnc_boot_info *boot)
{
    char *const end = (char *)boot->channels[0].window + boot->channels[0].window_size;

    print_value("window_size", boot->channels[0].window_size);
    end[-3] = 'e', end[-2] = 'n', end[-1] = 'd';
}

/* Reads the first channel's pipes, the last of them until it is empty; "w": writes to it. */
static void read_pipes(const struct runnc_boot_info *boot, const char *how)
{
    const struct runnc_channel_pipes *pipes = &boot->channel_pipes[0];
    char buffer[256];

    print_value("pipes", pipes->count);
    for (uint32_t i = 0; i < pipes->count; i++)
        print_value("read", (uint64_t)HOST(__NR_read, pipes->fd[i], buffer, sizeof buffer, 0, 0));
    print_value("again", (uint64_t)-HOST(__NR_read, pipes->fd[pipes->count - 1], buffer, sizeof buffer, 0, 0));
    if (how[0] == 'w')
        HOST(__NR_write, pipes->fd[0], buffer, 1, 0, 0);
}
#endif

/* Waits once without a limit. */
static void wait_once(const struct runnc_boot_info *boot)
{
    struct epoll_event event;

    if (boot->timerfd < 0)
        HOST(__NR_epoll_pwait2, boot->epollfd, &event, 1, 0, 0);
    else
        HOST(__NR_epoll_pwait, boot->epollfd, &event, 1, -1, 0);
}

#define EAGAIN 11

#ifdef EXTRAS
static void echo_channel(const struct runnc_boot_info *boot)
{
    struct epoll_event event;
    char buffer[256];
    long got;

    print(boot->channels[0].name);
    print("\n");
    do HOST(__NR_epoll_pwait2, boot->epollfd, &event, 1, 0, 0);
    while (event.data != RUNNC_EPOLL_CHANNEL || !(event.events & EPOLLIN));
    got = HOST(__NR_read, boot->channels[0].fd, buffer, sizeof buffer, 0, 0);
    print_value("read", (uint64_t)got);
    got = HOST(__NR_write, boot->channels[0].fd, buffer, got, 0, 0);
    print_value("written", (uint64_t)got);
}
#endif

/* Output may be non-blocking as well. */
static void write_all(const struct runnc_boot_info *boot, const char *from, long size)
{
    while (size > 0) {
        const long written = HOST(__NR_write, 1, from, size, 0, 0);

        if (written == -EAGAIN)
            wait_once(boot);
        else if (written < 0)
            leave(3);
        else
            from += written, size -= written;
    }
}

/* Copies standard input to standard output until its end. */
static void echo(const struct runnc_boot_info *boot)
{
    char buffer[256];

    for (;;) {
        const long got = HOST(__NR_read, 0, buffer, sizeof buffer, 0, 0);

        if (got == 0) return;
        if (got == -EAGAIN)
            wait_once(boot);
        else if (got > 0)
            write_all(boot, buffer, got);
        else {
            print_value("read_error", (uint64_t)-got);
            return;
        }
    }
}

void _start(struct runnc_boot_info *boot) __attribute__((force_align_arg_pointer));
void _start(struct runnc_boot_info *boot)
{
    char *const what = (char *)boot->cmdline;
    char *const value = second_word(what);
    uint8_t *const heap = (uint8_t *)((boot->kernel_end + PAGE - 1) & ~(PAGE - 1));

    if (is(what, "info"))
        show_boot_info(boot);
#ifdef EXTRAS
    else if (is(what, "vnet"))
        show_frames(boot);
    else if (is(what, "channel"))
        echo_channel(boot);
    else if (is(what, "window"))
        write_window(boot);
    else if (is(what, "pipes"))
        read_pipes(boot, value);
#endif
    else if (is(what, "args"))
        print(value);
    else if (is(what, "exit"))
        leave((int)number(value));
    else if (is(what, "wait")) {
        print("waiting\n");
        for (;;) wait_once(boot);
    } else if (is(what, "spin")) {
        print("spinning\n");
        for (;;) __asm__ volatile("pause");
    } else if (is(what, "fault"))
        *(volatile uint8_t *)0 = 1;
    else if (is(what, "execute")) {
        heap[0] = 0xc3; /* ret */
        ((void (*)(void))heap)();
        print("executed\n");
    } else if (is(what, "dispatch")) {
        long result;

        selector = 1;
        /* A call from outside of the gate. */
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number(value))
                         : "rcx", "r11", "memory");
        selector = 0;
        print_value("result", (uint64_t)result);
    } else if (is(what, "protect")) {
        print_value("protect", (uint64_t)-HOST(__NR_mprotect, heap, PAGE, PROT_NONE, 0, 0));
        *(volatile uint8_t *)heap = 1;
    } else if (is(what, "forget")) {
        heap[0] = 1;
        print_value("forget", (uint64_t)-HOST(__NR_madvise, heap, PAGE, MADV_DONTNEED, 0, 0));
        print_value("then", heap[0]);
    } else if (is(what, "protect-above"))
        HOST(__NR_mprotect, boot->mem_size, PAGE, PROT_NONE, 0, 0);
    else if (is(what, "protect-long"))
        HOST(__NR_mprotect, heap, boot->madvise_max + PAGE, PROT_NONE, 0, 0);
    else if (is(what, "protect-growing"))
        HOST(__NR_mprotect, heap, PAGE, PROT_GROWSDOWN, 0, 0);
    else if (is(what, "stack-guard")) {
        volatile uint8_t *slot = (volatile uint8_t *)boot->stack_slots;
        slot[RUNNC_STACK_GUARD_BYTES] = 1;
        print("above\n");
        slot[RUNNC_STACK_GUARD_BYTES - 1] = 1;
    } else if (is(what, "forget-rootfs")) {
        print_value("forget", (uint64_t)-HOST(__NR_madvise, boot->rootfs, boot->rootfs_size, MADV_DONTNEED, 0, 0));
        print_value("then", *(const uint8_t *)boot->rootfs);
    } else if (is(what, "forget-rootfs-part"))
        HOST(__NR_madvise, boot->rootfs + PAGE, PAGE, MADV_DONTNEED, 0, 0);
    else if (is(what, "advise-free"))
        HOST(__NR_madvise, heap, PAGE, MADV_FREE, 0, 0);
    else if (is(what, "write-segments")) {
        ((volatile uint8_t *)boot->segments)[0] = 'X';
        print("written\n");
    } else if (is(what, "write-rootfs"))
        ((volatile uint8_t *)boot->rootfs)[0] = 'X';
    else if (is(what, "write-image"))
        ((volatile uint8_t *)boot->images[0].address)[0] = 'X';
    else if (is(what, "write-config"))
        ((volatile uint8_t *)boot->config)[0] = 'X';
    else if (is(what, "echo"))
        echo(boot);
    else if (is(what, "winsize")) {
        uint16_t size[4] = {0};

        print_value("winsize", (uint64_t)-HOST(__NR_ioctl, 0, TIOCGWINSZ, size, 0, 0));
        print_value("rows", size[0]);
        print_value("columns", size[1]);
    } else
        leave(2);
    leave(0);
}
