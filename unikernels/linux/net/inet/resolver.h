/* The name server on the loopback of the container's network namespace: see resolver.c. */
#ifndef LINUX_NET_INET_RESOLVER_H
#define LINUX_NET_INET_RESOLVER_H

#include "lwip/ip_addr.h"

struct tcp_sock;

/* At boot: if the runtime gave one. */
void resolver_init(void);
bool resolver_is(const ip_addr_t *to, uint16_t to_port);
/* A datagram of a program's to it, whose bytes may change. One that is no question, or that finds no room, is lost. */
void resolver_send(const ip_addr_t *from, uint16_t from_port, void *data, size_t len);
/* A program's connection to it is made: 0, -ENOMEM. */
int resolver_connect(struct tcp_sock *caller);

#endif
