/* Where lwIP asks us: its LWIP_HOOK_* (see lwip/opt.h). Included by lwIP's own sources. */
#ifndef LINUX_NET_LWIP_HOOKS_H
#define LINUX_NET_LWIP_HOOKS_H

#include "lwip/ip_addr.h"

struct netif;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;
struct tcp_pcb_listen;

/* RFC 6528: from a keyed hash of the connection and a clock. */
uint32_t net_tcp_isn(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port);
#define LWIP_HOOK_TCP_ISN net_tcp_isn

/* Either the connection or the listener of a segment that lwIP is looking at; both NULL: none. */
void net_tcp_demux(const struct tcp_hdr *header, struct tcp_pcb **pcb, struct tcp_pcb_listen **listener);
#define LWIP_HOOK_TCP_DEMUX net_tcp_demux

/* Each segment of a connection before lwIP takes it: loss recovery by SACK. ERR_OK, or the segment is dropped. */
signed char net_tcp_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, uint16_t optlen, uint16_t opt1len,
                            uint8_t *opt2, struct pbuf *p);
#define LWIP_HOOK_TCP_INPACKET_PCB net_tcp_segment

/* Tells whose segment is about to be sent; adds no options. */
uint32_t *net_tcp_options(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb, uint32_t *options);
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS net_tcp_options

/* What tcp_write() copies: straight from a program's memory, see send_link() in net/inet/tcp.c. */
void *net_tcp_copy(void *to, const void *from, size_t n);

/* By our table of routes. */
struct netif *net_route4(const ip4_addr_t *src, const ip4_addr_t *dst);
const ip4_addr_t *net_gateway4(struct netif *netif, const ip4_addr_t *dst);
struct netif *net_route6(const ip6_addr_t *src, const ip6_addr_t *dst);
const ip6_addr_t *net_gateway6(struct netif *netif, const ip6_addr_t *dst);
/* LWIP_HOOK_IP4_ROUTE_SRC is in lwipopts.h, for lwip/ip4.h looks at it before it has this file. */
#define LWIP_HOOK_ETHARP_GET_GW net_gateway4
#define LWIP_HOOK_IP6_ROUTE net_route6
#define LWIP_HOOK_ND6_GET_GW net_gateway6

#endif
