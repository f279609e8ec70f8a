/*
 * The seccomp filter as a list of rules. A module adds its rules where it sets
 * up what they allow; everything not listed kills the process.
 */
#ifndef RUNNC_FILTER_H
#define RUNNC_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* 63 devices with three rules each, and the rest. */
#define FILTER_MAX_RULES 256u
#define FILTER_MAX_ARGS 4u

struct filter_rule {
    uint32_t action; /* SCMP_ACT_ALLOW, or what happens instead */
    int call;        /* system call number */
    const char *why; /* for --seccomp-dump: what the call is for */
    unsigned arg_count;
    struct scmp_arg_cmp args[FILTER_MAX_ARGS];
};

struct filter {
    unsigned count;
    struct filter_rule rules[FILTER_MAX_RULES];
};

/* Adds a rule; the comparisons are all to hold, at most one for each argument. */
void filter_add(struct filter *filter, uint32_t action, const char *why, int call,
                unsigned arg_count, const struct scmp_arg_cmp *args);

#define FILTER_ARGS(...) \
    sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp), \
        (struct scmp_arg_cmp[]){__VA_ARGS__}
/* filter_allow(filter, "console", write, SCMP_A0(SCMP_CMP_EQ, 1)) */
#define filter_allow(filter, why, name, ...) \
    filter_add(filter, SCMP_ACT_ALLOW, why, __NR_##name, FILTER_ARGS(__VA_ARGS__))

/* The BPF program of the rules. Returns the number of instructions, written to
 * program, which has room for capacity of them. */
size_t filter_compile(const struct filter *filter, struct sock_filter *program, size_t capacity);

/* One line for each rule: action, call, what each argument must be, why. */
void filter_print(const struct filter *filter, FILE *out);

#endif
