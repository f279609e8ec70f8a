/* The vtimer extra: SIGVTALRM while the guest uses the CPU, never while it waits. */
#include "fail.h"
#include "tender.h"

#include <sys/time.h>

#define TICK_US 10000

static void setup(struct tender *tender)
{
    const struct itimerval tick = {.it_interval.tv_usec = TICK_US, .it_value.tv_usec = TICK_US};

    if (!is_granted(tender, RUNNC_EXTRA_SUD))
        fail("%s: the extra vtimer needs the extra sud, whose handler takes the ticks",
             tender->kernel_path);
    if (setitimer(ITIMER_VIRTUAL, &tick, NULL) < 0)
        fail_errno("cannot start the virtual timer");
}

const struct module module_vtimer = {
    .name = "vtimer",
    .extra = RUNNC_EXTRA_VTIMER,
    .setup = setup,
};
