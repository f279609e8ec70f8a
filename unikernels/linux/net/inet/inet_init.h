/* The network, for the boot: see inet.h. */
#ifndef LINUX_NET_INET_INET_INIT_H
#define LINUX_NET_INET_INET_INIT_H

/* After sched_init(), with kmalloc. */
void inet_init(void);

#endif
