/* The exec-heap extra, and Solo5's --x-exec-heap, which gives the same to any guest. */
#include "fail.h"
#include "tender.h"

#include <string.h>

static bool option(struct tender *tender, const char *option)
{
    if (strcmp(option, "--x-exec-heap") != 0)
        return false;
    warn_line("--x-exec-heap makes heap and stack of the guest executable: an attacker inside the "
              "guest has it easier");
    tender->exec_heap = true;
    return true;
}

static void setup(struct tender *tender)
{
    if (tender->exec_heap || is_granted(tender, RUNNC_EXTRA_EXEC_HEAP))
        memory_make_heap_executable(tender);
}

/* The option works without the extra, so its set-up stands in a module for every guest. */
const struct module module_x_exec_heap = {
    .name = "x-exec-heap",
    .usage = "  --x-exec-heap               make heap and stack of the guest executable (dangerous)\n",
    .option = option,
    .setup = setup,
};

const struct module module_exec_heap = {
    .name = "exec-heap",
    .extra = RUNNC_EXTRA_EXEC_HEAP,
};
