/* Each module's one symbol. */
#ifndef RUNNC_MODULES_H
#define RUNNC_MODULES_H

struct module;

extern const struct module module_core;
extern const struct module module_yield;
extern const struct module module_x_exec_heap;
extern const struct module module_net;
extern const struct module module_vnet;
extern const struct module module_channel;
extern const struct module module_block;
extern const struct module module_stdio;
extern const struct module module_exec_heap;
extern const struct module module_boot_config;
extern const struct module module_rootfs_map;
extern const struct module module_memctl;
extern const struct module module_stack_guards;
extern const struct module module_sud;
extern const struct module module_vtimer;

#endif
