/* Each module's one symbol; the files are module_NAME.c. */
#ifndef RUNNC_MODULES_H
#define RUNNC_MODULES_H

struct module;

extern const struct module module_core;
extern const struct module module_yield;
extern const struct module module_net;
extern const struct module module_block;

#endif
