/* Datagrams that wait to be read: of UDP and raw sockets. */
#ifndef LINUX_NET_INET_DATAGRAM_H
#define LINUX_NET_INET_DATAGRAM_H

#include "lwip/pbuf.h"
#include "net/inet/options.h"

struct datagram {
    struct list link;
    struct inet_packet_info info;
    ip_addr_t from;
    uint16_t from_port;
    uint32_t len;
    uint8_t data[];
};

struct datagram_queue {
    struct list list;
    size_t bytes; /* as counted against SO_RCVBUF */
    bool shut;    /* shutdown(SHUT_RD) */
};

void datagram_queue_init(struct datagram_queue *queue);
void datagram_queue_purge(struct datagram_queue *queue);
/* NULL: no memory. */
struct datagram *datagram_new(size_t len);
/* The packet that lwIP is looking at, from `skip` bytes behind p's start on. */
struct datagram *datagram_of_packet(struct pbuf *p, uint32_t skip, uint16_t from_port);
/* Queues it, or drops it if the socket has too many already. */
void datagram_deliver(struct inet_sock *inet, struct datagram_queue *queue, struct datagram *datagram);
int64_t datagram_recv(struct inet_sock *inet, struct datagram_queue *queue, struct socket_message *msg, int64_t deadline);
/* FIONREAD: bytes of the first one. */
uint32_t datagram_next_len(const struct datagram_queue *queue);

/* Where it goes, by the socket and by the message: 0, -EDESTADDRREQ and so on. */
struct datagram_route {
    ip_addr_t to, from;
    uint16_t to_port;
    bool local, broadcast, multicast;
    const struct net_device *device; /* NULL if local */
    uint8_t ttl, tos;
};
int datagram_route(struct inet_sock *inet, const struct socket_message *msg, struct datagram_route *route);
/* p: the payload of an IP packet, whose reference stays the caller's. */
int datagram_output(const struct datagram_route *route, struct pbuf *p, uint8_t protocol);
/* connect(2): the only peer from now on; AF_UNSPEC: none. */
int datagram_connect(struct inet_sock *inet, const struct socket_address *addr, bool needs_port);

#endif
