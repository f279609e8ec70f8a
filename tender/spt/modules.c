/* The modules there are, in the order of --help and of their filter rules. Set up in this order
 * too: yield makes the epoll set that devices join. */
#include "modules.h"

#include "tender.h"

const struct module *const modules[] = {
    &module_core,
    &module_yield,
    &module_net,
    &module_block,
    NULL,
};
