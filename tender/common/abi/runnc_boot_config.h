/*
 * The boot config: everything the runtime tells the Linux guest kernel. Made by
 * src/guest/boot-config.ts, mapped read-only by the tender, which does not look
 * inside; of any size. Bump RUNNC_BOOT_CONFIG_VERSION when a record changes.
 *
 * A header, then records, each 8-byte aligned:
 *     u32 type, u32 len, u8 data[len], zero padding to a multiple of 8
 * Strings are NUL-terminated and the NUL counts in len. Integers are
 * little-endian. A record type may repeat where it says "each". Unknown types
 * are refused by the guest with one line.
 */
#ifndef RUNNC_ABI_BOOT_CONFIG_H
#define RUNNC_ABI_BOOT_CONFIG_H

#include <stdint.h>

#define RUNNC_BOOT_CONFIG_MAGIC 0x464342434e4e5552ull /* "RUNNCBCF" */
#define RUNNC_BOOT_CONFIG_VERSION 2u

struct runnc_boot_config {
    uint64_t magic;
    uint32_t version;
    uint32_t records;
    uint64_t size; /* bytes, header included */
};

struct runnc_record {
    uint32_t type;
    uint32_t len;
    uint8_t data[];
};

enum runnc_record_type {
    RUNNC_REC_ARG = 1,      /* each: one argv string, in order */
    RUNNC_REC_ENV = 2,      /* each: one NAME=value string, in order */
    RUNNC_REC_CWD = 3,      /* string: absolute path in the rootfs */
    RUNNC_REC_EXE = 4,      /* string: absolute path of the program, PATH look-up done */
    RUNNC_REC_CREDS = 5,    /* struct runnc_rec_creds */
    RUNNC_REC_HOSTNAME = 6, /* string */
    RUNNC_REC_DOMAINNAME = 7, /* string */
    RUNNC_REC_RLIMIT = 8,   /* each: struct runnc_rec_rlimit */
    RUNNC_REC_MEMORY = 9,   /* struct runnc_rec_memory */
    RUNNC_REC_FILE = 10,    /* each: struct runnc_rec_file: a bind-mounted regular file */
    RUNNC_REC_MOUNT = 11,   /* each: struct runnc_rec_mount: a mount the guest provides itself */
    RUNNC_REC_TTY = 12,     /* struct runnc_rec_tty */
    RUNNC_REC_FLAGS = 13,   /* u32: enum runnc_boot_flags */
    RUNNC_REC_SYSCTL = 14,  /* each: "name\0value\0" */
    RUNNC_REC_LAYER = 15,  /* each, in order: struct runnc_rec_layer: a change over the rootfs image */
    RUNNC_REC_NETDEV = 16, /* each, in the order of boot info's vnet_fd: struct runnc_rec_netdev */
    RUNNC_REC_NETADDR = 17, /* each: struct runnc_rec_netaddr */
    RUNNC_REC_NETROUTE = 18, /* each: struct runnc_rec_netroute */
    RUNNC_REC_NETNEIGH = 19, /* each: struct runnc_rec_netneigh: a neighbour that is never asked for */
    RUNNC_REC_NETRESOLVER = 20, /* struct runnc_rec_netresolver: a name server that the channel "resolver" leads to */
    RUNNC_REC_OOM_SCORE_ADJ = 21, /* i32: the program's, and of programs that the runtime starts beside it; 0 if absent */
};

enum runnc_boot_flags {
    RUNNC_BOOT_STRACE = 1u << 0,        /* print the guest's calls to stderr */
    RUNNC_BOOT_ROOT_READONLY = 1u << 1, /* no writable overlay on / */
    RUNNC_BOOT_NO_NEW_PRIVS = 1u << 2,
    RUNNC_BOOT_COUNT_CALLS = 1u << 3, /* say at the end how many calls there were, and how many of them trapped */
};

struct runnc_rec_creds {
    uint32_t uid, gid, umask, ngroups;
    uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
    uint32_t groups[]; /* ngroups */
};

struct runnc_rec_rlimit {
    uint32_t resource; /* RLIMIT_* of Linux */
    uint32_t pad;
    uint64_t soft, hard;
};

struct runnc_rec_memory {
    uint64_t limit; /* bytes that guest programs and kernel may have resident */
    uint64_t swap;  /* reserved: 0 */
};

/* path_len bytes of path, then size bytes of content; both without padding between. */
struct runnc_rec_file {
    uint32_t mode, uid, gid;
    uint32_t readonly;
    int64_t mtime_ns; /* since the epoch */
    uint32_t path_len; /* NUL counted */
    uint32_t size;
    char path[];
};

enum runnc_layer_type {
    RUNNC_LAYER_FILE = 1,
    RUNNC_LAYER_FOLDER = 2,
    RUNNC_LAYER_SYMLINK = 3,
    RUNNC_LAYER_CHAR = 4,
    RUNNC_LAYER_BLOCK = 5,
    RUNNC_LAYER_FIFO = 6,
    RUNNC_LAYER_SOCKET = 7,
    RUNNC_LAYER_HARDLINK = 8, /* to an earlier entry */
    RUNNC_LAYER_WHITEOUT = 9, /* what the image has there is gone */
    RUNNC_LAYER_SERVED = 10,  /* a file whose data is read in the file server's root; the content is its size, a u64 */
};

/*
 * path_len bytes of path, then size bytes: a file's content, a symlink's or hard
 * link's target with its NUL; both without padding between. A folder that is
 * there already keeps its entries unless opaque.
 */
struct runnc_rec_layer {
    uint32_t type; /* enum runnc_layer_type */
    uint32_t mode; /* permission bits, setuid, setgid, sticky */
    uint32_t uid, gid;
    int64_t mtime_ns; /* since the epoch */
    uint32_t major, minor;
    uint32_t opaque;
    uint32_t path_len; /* NUL counted */
    uint32_t size;
    uint32_t reserved;
    char path[];
};

/*
 * Three strings one after the other: type, target, options (comma-separated).
 * RUNNC_REC_MOUNT and RUNNC_REC_FILE are mounted in the order in which they
 * stand, each over what was there before. The first may have the type "fileserver" and
 * the target "/": changes of the root go to that mount of the server, which the option
 * "kept=overlay" says to be an overlayfs.
 */
struct runnc_rec_mount {
    uint32_t readonly;
    /* n: the boot info's images[n - 1], an EROFS image, or for the type "fileserver" that server's mount n - 1;
     * 0: none, the guest makes it by its type. */
    uint32_t image;
    char strings[];
};

struct runnc_rec_tty {
    uint16_t rows, cols, xpixel, ypixel;
};

/*
 * The network, as it stood in the container's network namespace when the guest took
 * it over. Families are AF_INET (2) and AF_INET6 (10); an address takes the first 4
 * or all 16 bytes of its field, in network order, and the rest is zero. `device` is
 * an index of boot info's vnet_fd. lo is the guest's own affair.
 */
#define RUNNC_NET_ADDRESS_SIZE 16

struct runnc_rec_netdev {
    uint32_t device;
    uint32_t ifindex; /* in the namespace: at least 2, each another */
    uint32_t mtu;     /* bytes, without the Ethernet header: 68 to 65535 */
    uint8_t mac[6];
    uint16_t pad;
    char name[16]; /* "eth0", NUL-padded */
};

struct runnc_rec_netaddr {
    uint32_t device;
    uint8_t family;
    uint8_t prefix_len;
    uint8_t scope; /* RT_SCOPE_*: 0 universe, 253 link, 254 host */
    uint8_t pad;
    uint32_t flags; /* IFA_F_*: what the host had, IFA_F_PERMANENT (0x80) for one that does not expire */
    uint8_t address[RUNNC_NET_ADDRESS_SIZE];
    /* The other end of a point-to-point link, to which prefix_len belongs then; else as address. */
    uint8_t peer[RUNNC_NET_ADDRESS_SIZE];
    uint8_t broadcast[4]; /* 0: none */
};

enum runnc_route_flags {
    RUNNC_ROUTE_GATEWAY = 1u << 0, /* the field counts */
    RUNNC_ROUTE_PREFSRC = 1u << 1, /* the field counts */
    RUNNC_ROUTE_ONLINK = 1u << 2,  /* the gateway is reached on this link whatever the prefixes say */
};

/* A unicast route of the main table. Those that follow from an address (its prefix) are among them. */
struct runnc_rec_netroute {
    uint32_t device;
    uint8_t family;
    uint8_t dst_len;        /* 0: default */
    uint8_t scope;          /* RT_SCOPE_*; 253: on the link */
    uint8_t gateway_family; /* that of gateway: AF_INET6 also for IPv4 routes (RTA_VIA); 0 without one */
    uint32_t flags;         /* enum runnc_route_flags */
    uint32_t metric;        /* lower wins */
    uint32_t mtu;           /* RTAX_MTU, 0: the device's */
    uint32_t protocol;      /* RTPROT_* */
    uint8_t dst[RUNNC_NET_ADDRESS_SIZE];
    uint8_t gateway[RUNNC_NET_ADDRESS_SIZE];
    uint8_t prefsrc[RUNNC_NET_ADDRESS_SIZE];
};

struct runnc_rec_netneigh {
    uint32_t device;
    uint8_t family;
    uint8_t mac[6];
    uint8_t pad[5];
    uint8_t address[RUNNC_NET_ADDRESS_SIZE];
};

/* UDP port 53 at that address: each write on the channel is a question, each read an answer. */
struct runnc_rec_netresolver {
    uint8_t address[4]; /* of 127.0.0.0/8, network order */
};

_Static_assert(sizeof(struct runnc_rec_netdev) == 36, "netdev record layout");
_Static_assert(sizeof(struct runnc_rec_netaddr) == 48, "netaddr record layout");
_Static_assert(sizeof(struct runnc_rec_netroute) == 72, "netroute record layout");
_Static_assert(sizeof(struct runnc_rec_netneigh) == 32, "netneigh record layout");

#endif
