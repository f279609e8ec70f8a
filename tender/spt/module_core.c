/* What every guest has: the console, its end, the clocks, its thread area. */
#include "tender.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STATUS_MAX 255

static void setup(struct tender *tender)
{
    struct filter *filter = &tender->filter;
    const bool sud = is_granted(tender, RUNNC_EXTRA_SUD);

    filter_allow(filter, "console", write, SCMP_A0(SCMP_CMP_EQ, STDOUT_FILENO));
    filter_allow(filter, "console", write, SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO));
    filter_allow(filter, "exit", exit_group, SCMP_A0(SCMP_CMP_LE, STATUS_MAX));
    /* The host would cut the status to 8 bits, so that 256 became success: the handler in
     * launch.S says so and ends with 255. With sud, SIGSYS is the guest's own. */
    if (!sud)
        filter_add(filter, SCMP_ACT_TRAP, "exit status that does not fit", SYS_exit_group,
                   FILTER_ARGS(SCMP_A0(SCMP_CMP_GT, STATUS_MAX)));
    filter_allow(filter, "monotonic clock", clock_gettime,
                 SCMP_A0(SCMP_CMP_EQ, CLOCK_MONOTONIC));
    filter_allow(filter, "wall clock", clock_gettime, SCMP_A0(SCMP_CMP_EQ, CLOCK_REALTIME));
    /* A guest with sud switches threads with wrfsbase where the CPU has it. */
    if (!sud || !has_fsgsbase(tender))
        filter_allow(filter, "thread area", arch_prctl, SCMP_A0(SCMP_CMP_EQ, ARCH_SET_FS));
}

const struct module module_core = {.name = "core", .setup = setup};
