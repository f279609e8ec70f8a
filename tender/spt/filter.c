#include "filter.h"

#include "fail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void filter_add(struct filter *filter, uint32_t action, const char *why, int call,
                unsigned arg_count, const struct scmp_arg_cmp *args)
{
    struct filter_rule *rule;

    if (filter->count == FILTER_MAX_RULES || arg_count > FILTER_MAX_ARGS)
        fail("internal: no room for another filter rule (%s)", why);
    rule = &filter->rules[filter->count++];
    *rule = (struct filter_rule){
        .action = action, .call = call, .why = why, .arg_count = arg_count};
    if (arg_count > 0)
        memcpy(rule->args, args, arg_count * sizeof *args);
}

static scmp_filter_ctx filter_build(const struct filter *filter)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int error;

    if (context == NULL)
        fail("cannot start a seccomp filter");
    /* Calls by another ABI (int 0x80, x32) are no better than unknown ones. */
    error = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (unsigned i = 0; error == 0 && i < filter->count; i++) {
        const struct filter_rule *rule = &filter->rules[i];

        error = seccomp_rule_add_exact_array(context, rule->action, rule->call, rule->arg_count,
                                             rule->args);
        if (error != 0)
            fail("cannot add the filter rule for %s: %s", rule->why, strerror(-error));
    }
    if (error != 0)
        fail("cannot set up the seccomp filter: %s", strerror(-error));
    return context;
}

size_t filter_compile(const struct filter *filter, struct sock_filter *program, size_t capacity)
{
    scmp_filter_ctx context = filter_build(filter);
    int fd = memfd_create("filter", MFD_CLOEXEC);
    ssize_t size;
    int error;

    if (fd < 0)
        fail_errno("cannot create a memfd for the seccomp filter");
    error = seccomp_export_bpf(context, fd);
    if (error != 0)
        fail("cannot generate the seccomp filter: %s", strerror(-error));
    size = pread(fd, program, capacity * sizeof *program, 0);
    if (size <= 0 || (size_t)size % sizeof *program != 0)
        fail("cannot read the seccomp filter back");
    if ((size_t)size == capacity * sizeof *program)
        fail("the seccomp filter exceeds %zu instructions; attach fewer devices", capacity - 1);
    close(fd);
    seccomp_release(context);
    return (size_t)size / sizeof *program;
}

static const char *const COMPARISONS[] = {
    [SCMP_CMP_NE] = "!=", [SCMP_CMP_LT] = "<",  [SCMP_CMP_LE] = "<=",
    [SCMP_CMP_EQ] = "=",  [SCMP_CMP_GE] = ">=", [SCMP_CMP_GT] = ">",
};

static void print_action(uint32_t action, FILE *out)
{
    if (action == SCMP_ACT_ALLOW)
        fputs("allow  ", out);
    else if (action == SCMP_ACT_TRAP)
        fputs("trap   ", out);
    else
        fprintf(out, "errno %u ", action & 0xffffu);
}

/* What the arguments that rules speak of are called in the manual. */
static const char *argument_name(int call, unsigned argument)
{
    static const struct {
        int call;
        const char *names[6];
    } NAMES[] = {
        {SYS_read, {"fd"}},
        {SYS_write, {"fd"}},
        {SYS_pread64, {"fd", NULL, "count", "offset"}},
        {SYS_pwrite64, {"fd", NULL, "count", "offset"}},
        {SYS_exit_group, {"status"}},
        {SYS_clock_gettime, {"clockid"}},
        {SYS_arch_prctl, {"op"}},
        {SYS_epoll_pwait, {"epfd", NULL, NULL, NULL, "sigmask"}},
        {SYS_epoll_pwait2, {"epfd", NULL, NULL, NULL, "sigmask"}},
        {SYS_timerfd_settime, {"fd", "flags", NULL, "old_value"}},
        {SYS_mprotect, {"addr", "size", "prot"}},
        {SYS_madvise, {"addr", "size", "advice"}},
        {SYS_ioctl, {"fd", "op"}},
    };

    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (NAMES[i].call == call && NAMES[i].names[argument] != NULL)
            return NAMES[i].names[argument];
    return "argument";
}

void filter_print(const struct filter *filter, FILE *out)
{
    for (unsigned i = 0; i < filter->count; i++) {
        const struct filter_rule *rule = &filter->rules[i];
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rule->call);

        print_action(rule->action, out);
        fprintf(out, "%s(", name == NULL ? "?" : name);
        for (unsigned a = 0; a < rule->arg_count; a++) {
            const struct scmp_arg_cmp *arg = &rule->args[a];

            fprintf(out, "%s%s %s ", a == 0 ? "" : ", ", argument_name(rule->call, arg->arg),
                    COMPARISONS[arg->op]);
            fprintf(out, arg->datum_a < 4096 ? "%llu" : "%#llx", (unsigned long long)arg->datum_a);
        }
        fprintf(out, ")  # %s\n", rule->why);
        free(name);
    }
    fputs("kill   everything else\n", out);
}
