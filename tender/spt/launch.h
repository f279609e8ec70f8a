/*
 * The last steps before the guest, and what stays of the tender behind them.
 * For launch.S as well as for C.
 */
#ifndef RUNNC_LAUNCH_H
#define RUNNC_LAUNCH_H

/* Bytes of launch_area: the plan at its low end, the signal stack above. */
#define LAUNCH_AREA_SIZE 0x20000
#define LAUNCH_SIGNAL_STACK 0x10000 /* offset and size of the signal stack */

#define LAUNCH_MAX_RANGES 6
#define LAUNCH_MAX_INSTRUCTIONS 4096 /* BPF_MAXINSNS */

/* Offsets in struct launch_plan. */
#define LAUNCH_ENTRY 0
#define LAUNCH_STACK 8
#define LAUNCH_ARGUMENT 16
#define LAUNCH_SELECTOR 24
#define LAUNCH_WIPE_WORDS 32
#define LAUNCH_FPROG 40
#define LAUNCH_RANGE_COUNT 56
#define LAUNCH_RANGES 64
#define LAUNCH_CLEAR 160
#define LAUNCH_CLEAR_COUNT 2

#ifndef __ASSEMBLER__
#include <linux/filter.h>
#include <stdint.h>

struct launch_plan {
    uint64_t entry;      /* of the guest */
    uint64_t stack;      /* its first stack pointer */
    uint64_t argument;   /* of the entry */
    uint64_t reserved;
    uint64_t wipe_words; /* 8-byte words of the plan to wipe */
    struct sock_fprog filter;
    /* Unmapped first: all of the tender but launch_code and launch_area. */
    uint64_t range_count;
    struct launch_range {
        uint64_t start, size; /* bytes */
    } ranges[LAUNCH_MAX_RANGES];
    /* Zeroed then: what shares pages with the command line that ps shows. */
    struct launch_range clear[LAUNCH_CLEAR_COUNT];
    struct sock_filter program[LAUNCH_MAX_INSTRUCTIONS];
};

/* Never returns. Does not use the stack. */
_Noreturn void launch(struct launch_plan *plan);

/* Handlers for plain Solo5 guests; they stay mapped with launch. */
void signal_ends_guest(int signal);
void status_out_of_range(int signal);

/* What stays mapped: [launch_code, launch_code_end) and launch_area. */
extern const char launch_code[], launch_code_end[];
extern char launch_area[LAUNCH_AREA_SIZE];
#endif

#endif
