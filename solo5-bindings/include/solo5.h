/*
 * solo5.h: what a unikernel may call.
 *
 * The interface is Solo5's public one, so a program written for Solo5 compiles
 * against this header unchanged, and a program written against this header
 * compiles with Solo5. The wording of the contracts is ours; where Solo5 leaves
 * room, the text says what this implementation does ("here: ...") and programs
 * that want to stay portable must not rely on it.
 *
 * The whole environment is this header plus the compiler's own freestanding
 * headers. There is no libc; of the functions that a compiler may call on its
 * own (memcpy, memmove, memset, memcmp) a copy is linked in unless the program
 * brings its own.
 *
 * A unikernel is one thread of control. Nothing here is re-entrant, and nothing
 * is ever called back.
 */
#ifndef SOLO5_H_INCLUDED
#define SOLO5_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Results.
 *
 * A call that returns solo5_result_t returns SOLO5_R_OK on success and nothing
 * else unless its text says so. On any other result no output argument has been
 * written.
 *
 * A call that returns something else, or nothing, cannot fail: it either does
 * its work or ends the unikernel as solo5_abort() would.
 *
 * SOLO5_R_EINVAL and SOLO5_R_EUNSPEC report mistakes and broken hosts. An
 * implementation may abort instead of returning them; do not build logic on
 * them.
 */
typedef enum {
    SOLO5_R_OK = 0,
    SOLO5_R_AGAIN,  /* not now; the same call may succeed later */
    SOLO5_R_EINVAL, /* an argument is out of its range */
    SOLO5_R_EUNSPEC /* the host failed, and there is nothing more to say */
} solo5_result_t;

/*
 * Start of day.
 *
 * The program provides solo5_app_main(). It runs on a stack at the very top of
 * the heap region, growing down: the program must leave it room. There is no
 * guard page between the two.
 *
 *   cmdline     the arguments after the kernel's name, joined by single spaces;
 *               never NULL, at most 8191 bytes. Leading arguments that begin
 *               with "--solo5:" belong to Solo5 and have been removed.
 *   heap_start  first byte of the one region of memory that is the program's to
 *               use; page-aligned. Readable, writable, not executable, zero at
 *               start.
 *   heap_size   its length in bytes, stack included.
 *
 * The structure is read-only and lives as long as the unikernel. Nothing else
 * may be assumed about the layout of memory, except that address 0 is never
 * mapped, code is never writable and constants are read-only.
 *
 * Returning n is the same as solo5_exit(n).
 */
struct solo5_start_info {
    const char *cmdline;
    uintptr_t heap_start;
    size_t heap_size;
};

int solo5_app_main(const struct solo5_start_info *info);

/*
 * The end.
 *
 * solo5_exit() ends the unikernel; the tender's exit status is (status). Values
 * from 255 up are Solo5's own: a program uses 0 to 254.
 *
 * solo5_abort() ends it with SOLO5_EXIT_ABORT: the program found itself in a
 * state that it cannot go on from.
 *
 * A unikernel that makes a host call it has no right to is killed with SIGSYS;
 * one that touches memory it has no right to is killed with SIGSEGV.
 */
#define SOLO5_EXIT_SUCCESS 0
#define SOLO5_EXIT_FAILURE 1
#define SOLO5_EXIT_ABORT 255

void solo5_exit(int status) __attribute__((noreturn));
void solo5_abort(void) __attribute__((noreturn));

/*
 * Thread-local storage, local-exec model only.
 *
 * At start there is none: touching a __thread variable is a bad access. A
 * program that wants threads gives each a block:
 *
 *     uintptr_t block = (uintptr_t)my_alloc(solo5_tls_size());
 *     solo5_tls_init(block);
 *     solo5_set_tls_base(solo5_tls_tp_offset(block));
 *
 * and calls solo5_set_tls_base() again at every switch.
 *
 *   solo5_tls_size()       bytes that a block needs; constant for one program.
 *                          Here: includes what aligning the variables takes, so
 *                          a block may have any alignment.
 *   solo5_tls_tp_offset()  the thread pointer that belongs to a block: a pure
 *                          function of the block's address.
 *   solo5_tls_init()       fills a block of solo5_tls_size() bytes with the
 *                          variables' initial values and its own pointer.
 *                          SOLO5_R_EINVAL if the block is NULL.
 *   solo5_set_tls_base()   makes (base) the thread pointer. SOLO5_R_EINVAL if
 *                          the processor refuses it (a non-canonical address).
 */
size_t solo5_tls_size(void);
uintptr_t solo5_tls_tp_offset(uintptr_t tls);
solo5_result_t solo5_tls_init(uintptr_t tls);
solo5_result_t solo5_set_tls_base(uintptr_t base);

/*
 * Time, in nanoseconds.
 *
 *   solo5_clock_monotonic()  since some moment before the start; never goes
 *                            back. Here: the host's CLOCK_MONOTONIC.
 *   solo5_clock_wall()       UTC since 1970-01-01 00:00:00. May jump either way
 *                            when the host's clock is set.
 *
 * Here both cost one host call.
 */
typedef uint64_t solo5_time_t;

solo5_time_t solo5_clock_monotonic(void);
solo5_time_t solo5_clock_wall(void);

/*
 * Devices.
 *
 * A unikernel declares its devices by name in its manifest, and the tender
 * refuses to start it unless each one is attached. "Acquiring" turns a name
 * into a handle: a small number, below 64, that stays valid to the end. Each
 * device can be acquired once.
 *
 * A set of handles is a bit set: handle h is in it if (set & (1ULL << h)).
 */
typedef uint64_t solo5_handle_t;
typedef uint64_t solo5_handle_set_t;

/*
 * Waits until the monotonic clock reaches (deadline) or a network device has a
 * packet to read, whichever is first. A deadline in the past makes it a look
 * without waiting. This is the only call that waits.
 *
 * (ready_set), unless NULL, receives the network devices that have something to
 * read; it is empty if only the deadline came. A device stays ready until all
 * its packets are read. Waking early with an empty set is allowed: look at the
 * clock.
 */
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready_set);

/*
 * Writes (size) bytes to the console (here: the tender's standard output). There
 * is no result because there is nobody to tell: what the host cannot take is
 * lost. Here: waits for a reader that is slow.
 */
void solo5_console_write(const char *buf, size_t size);

/*
 * Network devices carry whole Ethernet frames: addresses and type first, no
 * frame check sequence, no preamble.
 */
#define SOLO5_NET_ALEN 6  /* bytes of an Ethernet address */
#define SOLO5_NET_HLEN 14 /* bytes of an Ethernet header */

struct solo5_net_info {
    uint8_t mac_address[SOLO5_NET_ALEN]; /* the unikernel's own */
    size_t mtu;                          /* bytes, Ethernet header not counted */
};

/*
 * Finds the network device declared as (name).
 * SOLO5_R_EINVAL: no such network device, or acquired before.
 */
solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle, struct solo5_net_info *info);

/*
 * Sends one frame of (size) bytes, at most mtu + SOLO5_NET_HLEN. Never waits: a
 * frame that the host has no room for is dropped without a word, as a wire
 * would.
 * SOLO5_R_EINVAL: not a network handle, or the frame is too long.
 * SOLO5_R_EUNSPEC: the host refused the frame (here: e.g. the link is down).
 */
solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size);

/*
 * Takes one frame. (size) must be at least mtu + SOLO5_NET_HLEN; (read_size)
 * receives the frame's length, header included. Never waits.
 * SOLO5_R_AGAIN: there is none.
 * SOLO5_R_EINVAL: not a network handle, or the buffer is too small.
 */
solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size);

/*
 * Block devices: an array of blocks, addressed in bytes.
 */
typedef uint64_t solo5_off_t;

struct solo5_block_info {
    solo5_off_t capacity;   /* bytes, a multiple of block_size, at least one */
    solo5_off_t block_size; /* bytes, a power of two, at least 512 */
};

/*
 * Finds the block device declared as (name).
 * SOLO5_R_EINVAL: no such block device, or acquired before.
 */
solo5_result_t solo5_block_acquire(const char *name, solo5_handle_t *handle, struct solo5_block_info *info);

/*
 * Reads or writes one block at byte (offset), all of it or none. (size) must be
 * block_size, (offset) a multiple of it, and the block must lie on the device.
 * (Solo5 reserves the right to allow several blocks in one call; no
 * implementation does, and here the tender's filter would kill the unikernel.)
 *
 * Nothing is promised about when a written block reaches the disk.
 *
 * SOLO5_R_EINVAL: not a block handle, wrong size or offset, or out of bounds.
 * SOLO5_R_EUNSPEC: the host failed, or the device is read-only.
 */
solo5_result_t solo5_block_write(solo5_handle_t handle, solo5_off_t offset, const uint8_t *buf, size_t size);
solo5_result_t solo5_block_read(solo5_handle_t handle, solo5_off_t offset, uint8_t *buf, size_t size);

#endif
