/*
 * What runnc adds to spt ABI 2 for guests that ask by note.
 *
 * A guest without this note gets exactly upstream's ABI. A guest with it names
 * each extra it needs; the tender grants an extra only if the note asks for it
 * AND the plan allows it (--allow-extras), and refuses to start otherwise: an
 * image can never widen its own filter. A bit that the tender does not know is
 * an error, as is a version other than RUNNC_EXTRAS_VERSION.
 */
#ifndef RUNNC_ABI_EXTRAS_H
#define RUNNC_ABI_EXTRAS_H

#include <stdint.h>

/* Section .note.runnc.extras, 4-byte aligned; laid out as abi/solo5_notes.h says: 4 bytes of padding
 * stand between the note's header and struct runnc_extras_note, and count in n_descsz (68). */
#define RUNNC_NOTE_NAME "runnc"
#define RUNNC_NOTE_EXTRAS 0x58434e52u /* "RNCX" */
#define RUNNC_EXTRAS_VERSION 1u

/* Names in --allow-extras are given behind each bit. */
enum runnc_extra {
    /* exec-heap: all guest memory beyond the kernel image is executable. */
    RUNNC_EXTRA_EXEC_HEAP = 1u << 0,
    /* boot-config: struct runnc_boot_info with the plan's blob mapped read-only. */
    RUNNC_EXTRA_BOOT_CONFIG = 1u << 1,
    /* sud: Syscall User Dispatch, the guest's own signal entry, host signals
     * delivered to it instead of ending the process. arch_prctl(ARCH_SET_FS) is
     * allowed only where the CPU lacks FSGSBASE (AT_HWCAP2). exit_group takes
     * 0 to 255; another status kills by SIGSYS. */
    RUNNC_EXTRA_SUD = 1u << 2,
    /* rootfs-map: the rootfs image and further images mapped read-only, the
     * rootfs's segments companion mapped private. */
    RUNNC_EXTRA_ROOTFS_MAP = 1u << 3,
    /*
     * vnet: taps beside those of the manifest, which is fixed while a container
     * has as many interfaces as it is given: boot info's vnet_fd. What each is
     * called and its addresses are in the boot config (RUNNC_REC_NETDEV). read
     * and write on these descriptors, one frame a call, non-blocking: EAGAIN
     * when none is there; write does not wait and drops what finds no room.
     * Each has a struct virtio_net_hdr (10 bytes, little-endian) in front, both
     * ways. Checksum and TCP segmentation offload (v4 and v6) are on, so that a
     * frame that is read may be 64 KiB long and lack its checksum (NEEDS_CSUM);
     * frames that are written may use the same. In the epoll set with EPOLLIN,
     * edge-triggered with stdio.
     */
    RUNNC_EXTRA_VNET = 1u << 4,
    /* vtimer: SIGVTALRM for every 10 ms of the guest's own CPU time, so that
     * threads can be preempted. Needs sud, whose handler takes it. */
    RUNNC_EXTRA_VTIMER = 1u << 5,
    /* memctl: mprotect and madvise(MADV_DONTNEED) on guest memory. A range
     * starts below mem_size and has at most boot info's madvise_max bytes (more
     * kills); PROT_EXEC only with exec-heap. The madvise also on the rootfs image
     * as a whole, rootfs and rootfs_size as boot info has them. */
    RUNNC_EXTRA_MEMCTL = 1u << 6,
    /* stdio: read on stdin and epoll_pwait2 (without a signal mask) in place of
     * epoll_pwait and timerfd_settime; the epoll set is edge-triggered for
     * everything in it, and the standard descriptors are (EPOLLIN for 0,
     * EPOLLOUT for 1 and 2). If 0 is a terminal, ioctl(0, TIOCGWINSZ). */
    RUNNC_EXTRA_STDIO = 1u << 7,
    /*
     * channel: connected UNIX sockets of the plan's, to helpers of ours outside of
     * the sandbox (the file server, the control channel), each under a name: boot
     * info's channels. Or UDP sockets connected to a service of the container's
     * network namespace (its name server). read and write on these descriptors, non-blocking: EAGAIN.
     * In the epoll set with EPOLLIN and EPOLLOUT, edge-triggered with stdio. A
     * channel may have a window, memory that guest and helper share: then without
     * EPOLLOUT, for there messages are few and small. And pipes that the helper puts
     * data into: read on them, non-blocking; they are not in the epoll set.
     */
    RUNNC_EXTRA_CHANNEL = 1u << 8,
};
#define RUNNC_EXTRAS_KNOWN 0x1ffu

/*
 * The note's descriptor. Addresses are guest addresses inside the kernel image;
 * those of an extra that is not asked for are zero.
 */
struct runnc_extras_note {
    uint32_t version; /* RUNNC_EXTRAS_VERSION */
    uint32_t needed;  /* enum runnc_extra; the guest cannot run without these */
    uint32_t wanted;  /* enum runnc_extra; used if granted, see boot info */
    uint32_t reserved;
    /* sud: system calls issued from [gate_start, gate_start + gate_len) go to
     * the host; all others raise SIGSYS unless *selector is 0 (ALLOW). */
    uint64_t gate_start;
    uint64_t gate_len;
    uint64_t selector; /* address of one byte; 0 when the guest is entered */
    /* sud: handler for SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
     * SIGVTALRM and the host's signals (all 64 but SIGKILL and SIGSTOP, SIGTTIN
     * and SIGTTOU, which keep their defaults, and SIGPIPE, which is ignored):
     * installed with SA_SIGINFO | SA_ONSTACK | SA_NODEFER and an empty mask. The
     * guest leaves it without rt_sigreturn, which the filter does not allow.
     *
     * A host signal may come before the first instruction of the entry point
     * ran. The interrupted rip is then outside of guest memory, in the last
     * steps of the tender: the handler must take note of the signal and go back
     * with all registers restored. */
    uint64_t signal_entry;
    uint64_t sigstack; /* alternate stack, in the kernel's data or bss */
    uint64_t sigstack_size;
};

#define RUNNC_VNET_MAX 16u
#define RUNNC_IMAGES_MAX 64u
#define RUNNC_CHANNELS_MAX 4u
#define RUNNC_CHANNEL_PIPES_MAX 4u
#define RUNNC_CHANNEL_NAME_SIZE 12u /* bytes, NUL included */

/*
 * Places for stacks, for a guest with sud that is not granted memctl: the lowest
 * bytes of each are closed. A thread that needs more than its place runs into them.
 */
#define RUNNC_STACK_SLOT_BYTES 0x1000000ull
#define RUNNC_STACK_GUARD_BYTES 0x10000ull

/*
 * Handed to the entry point in place of upstream's boot info, with which it
 * begins. Everything the host gives is in here, so that a second boot info can
 * refill the guest's table when a snapshot is resumed.
 */
struct runnc_boot_info {
    /* As upstream's struct spt_boot_info. */
    uint64_t mem_size;   /* bytes: guest memory is [0x10000, mem_size) */
    uint64_t kernel_end; /* first page after the kernel image */
    uint64_t cmdline;    /* C string */
    uint64_t mft;        /* struct solo5_mft */
    int32_t epollfd;
    int32_t timerfd; /* -1 where the guest has epoll_pwait2 */

    uint32_t version; /* RUNNC_EXTRAS_VERSION */
    uint32_t granted; /* enum runnc_extra */

    uint64_t config; /* boot config, see runnc_boot_config.h; read-only */
    uint64_t config_size;
    uint64_t rootfs; /* rootfs image, MAP_SHARED read-only; 0 if none */
    uint64_t rootfs_size;
    /* companion, MAP_PRIVATE inside guest memory; 0 if none. On a border of
     * 2 MiB and below 0x7fe00000 unless the plan says where; readable, writable
     * and, with exec-heap, executable. */
    uint64_t segments;
    uint64_t segments_size;
    uint64_t vdso; /* the host's vDSO (an ELF image in memory), 0 if none */
    uint8_t seed[64]; /* from the host's getrandom(2), fresh for each boot */
    uint32_t hwcap;   /* AT_HWCAP and AT_HWCAP2 of the host */
    uint32_t hwcap2;
    uint32_t minsigstksz; /* AT_MINSIGSTKSZ of the host, bytes */
    uint32_t stdio_tty;   /* stdio; bit n: descriptor n (0, 1, 2) is a terminal */
    uint64_t madvise_max; /* memctl: longest range of one call, bytes */
    int64_t epoch_offset_ns; /* added to CLOCK_MONOTONIC by the guest */
    /* stdio; bit n as above. Non-blocking: calls say EAGAIN. Where the bit is
     * not set (a regular file, or a pipe of another user that could not be
     * opened anew) a call may block. */
    uint32_t stdio_nonblock;
    /* stdio: not in the epoll set because epoll refuses it (a regular file,
     * /dev/null): always ready. */
    uint32_t stdio_ready;
    /* The companion's bytes from program_offset on, a second time, at the one
     * address where a program that is not position-independent can run; as the
     * companion private and in guest memory, below it. 0 if none. */
    uint64_t program;
    uint64_t program_size;
    uint64_t program_offset;
    uint64_t stack_slots; /* address of the first place for a stack; 0 if there are none */
    uint32_t stack_slots_count;
    uint32_t pad;
    /* vnet: taps, in the order of the plan. */
    uint32_t vnet_count; /* at most RUNNC_VNET_MAX */
    int32_t vnet_fd[RUNNC_VNET_MAX];
    /* rootfs-map: further images, mapped like the rootfs, in the order of the
     * tender's command line. */
    uint64_t images_count;
    struct runnc_image {
        uint64_t address; /* MAP_SHARED read-only */
        uint64_t size;    /* bytes */
    } images[RUNNC_IMAGES_MAX];
    /* channel: in the order of the tender's command line. */
    uint64_t channels_count;
    struct runnc_channel {
        char name[RUNNC_CHANNEL_NAME_SIZE]; /* lower-case letters, NUL-padded; each once */
        int32_t fd;
        uint64_t window; /* address, MAP_SHARED and writable; 0: none */
        uint64_t window_size; /* bytes */
    } channels[RUNNC_CHANNELS_MAX];
    /* Of each channel. */
    struct runnc_channel_pipes {
        uint32_t count;
        int32_t fd[RUNNC_CHANNEL_PIPES_MAX]; /* the end to read from */
    } channel_pipes[RUNNC_CHANNELS_MAX];
};

/* epoll data.u64 beside manifest indices (< 64). */
#define RUNNC_EPOLL_STDIN 0x100u
#define RUNNC_EPOLL_STDOUT 0x101u
#define RUNNC_EPOLL_STDERR 0x102u
#define RUNNC_EPOLL_VNET 0x200u /* plus the index in vnet_fd */
#define RUNNC_EPOLL_CHANNEL 0x300u /* plus the index in channels */

#endif
