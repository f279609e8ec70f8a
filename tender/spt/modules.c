/*
 * The modules there are, in the order of --help and of their filter rules. Set
 * up in this order too: yield makes the epoll set that devices join, and the
 * virtual timer is to tick as little as possible before the guest runs.
 */
#include "modules.h"

#include "tender.h"

const struct module *const modules[] = {
    &module_core,
    &module_yield,
    &module_x_exec_heap,
    &module_net,
    &module_vnet,
    &module_channel,
    &module_block,
    &module_stdio,
    &module_exec_heap,
    &module_boot_config,
    &module_rootfs_map,
    &module_memctl,
    &module_stack_guards,
    &module_sud,
    &module_vtimer,
    NULL,
};
