/*
 * AF_INET and AF_INET6: what their sockets share.
 *
 *   inet.c        the families; addresses as programs give and get them
 *   port.c        which socket has which port
 *   tcp*.c        stream sockets: over lwIP, or end to end for this machine's own addresses
 *   udp.c         datagram sockets
 *   icmp.c        raw sockets, echo sockets, and errors that come by ICMP
 *   setting.c     what sysctls change
 *   resolver.c    the name server on the loopback of the container's network namespace
 *   options.c     options of IP and IPv6, and what they let programs send and see
 *
 * What is sent to an address of this machine never leaves the socket layer, so
 * all of it works without any interface.
 *
 * A socket of AF_INET6 that is not IPV6_V6ONLY takes IPv4 too: its addresses are
 * kept as what they are, and shown to programs as ::ffff:a.b.c.d.
 */
#ifndef LINUX_NET_INET_INET_H
#define LINUX_NET_INET_INET_H

#include "lwip/ip_addr.h"
#include "net/inet/inet_init.h"
#include "net/socket.h"

#define IP_TTL_DEFAULT 64

struct net_device;
struct seq_file;

struct inet_sock {
    struct socket base;
    struct list all;       /* in inet_sockets of its type */
    struct list port_link; /* in the table of port.c, if local_port is its own */
    ip_addr_t local, remote; /* any until known; their type is that of the traffic */
    uint16_t local_port, remote_port; /* 0 until known */
    bool local_given;      /* bind(2) named an address */
    bool port_given;       /* bind(2) named a port */

    bool v6only, pktinfo, recv_ttl, recv_tos, recv_err, header_included, multicast_off, freebind, transparent;
    bool recv_pktinfo6, recv_hoplimit6, recv_tclass6, recv_err6;
    uint8_t tos, tclass;
    int ttl, hop_limit;      /* -1: the default */
    int multicast_ttl, multicast_hops;
    bool multicast_loop;
    uint32_t multicast_ifindex;
    int mtu_discover, mtu_discover6;
};

static inline struct inet_sock *inet_of(struct socket *sock)
{
    return container_of(sock, struct inet_sock, base);
}

/* All sockets, for /proc/net. */
extern struct list inet_tcp_sockets, inet_udp_sockets, inet_raw_sockets;

void inet_init_sock(struct inet_sock *inet, const struct socket_ops *ops, int family, int type, int protocol,
                    struct list *all);
/* Gives port and place in the list back. */
void inet_forget(struct inet_sock *inet);

/* sockaddr_in or sockaddr_in6, as the family wants it: EINVAL, EAFNOSUPPORT, ENETUNREACH. */
int inet_address_in(const struct inet_sock *inet, const struct socket_address *addr, ip_addr_t *ip, uint16_t *port);
void inet_address_out(const struct inet_sock *inet, const ip_addr_t *ip, uint16_t port, struct socket_address *addr);
int inet_getname(struct socket *sock, bool peer, struct socket_address *addr);
/* bind(2) for sockets with ports. */
int inet_bind(struct socket *sock, const struct socket_address *addr);

/* The address that a packet to dst has in front of it is one of this socket's. */
bool inet_takes(const struct inet_sock *inet, const ip_addr_t *local);
/* How specific: 0 not at all, more is better. */
int inet_match(const struct inet_sock *inet, const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
               uint16_t remote_port);

/* ---- settings (setting.c) ---- */

struct inet_settings {
    uint32_t first_port, last_port; /* that are given to who asks for any */
    uint32_t first_unprivileged_port;
    uint32_t first_ping_group, last_ping_group; /* whose members may have echo sockets */
};
extern struct inet_settings inet_settings;

/* At boot. */
void inet_settings_read(void);

/* ---- ports ---- */

enum port_space {
    PORTS_TCP,
    PORTS_UDP,
    PORTS_ECHO, /* identifiers of echo sockets */
};

/* Gives the socket a port (0: any free one) for its local address: EADDRINUSE, EACCES. */
int port_take(struct inet_sock *inet, uint16_t port);
void port_release(struct inet_sock *inet);
/* May it listen there: EADDRINUSE. */
int port_may_listen(const struct inet_sock *inet);
/*
 * The socket of the table that a packet is for; NULL: none. Among those with
 * SO_REUSEPORT that fit equally well, one by a hash of the packet's ends.
 */
struct inet_sock *port_find(enum port_space space, bool listening, const ip_addr_t *local, uint16_t local_port,
                            const ip_addr_t *remote, uint16_t remote_port);
/* Walks the sockets of a port: NULL at first and at the end. */
struct inet_sock *port_next(enum port_space space, uint16_t port, struct inet_sock *after);

/* ---- options (options.c) ---- */

int inet_setsockopt(struct socket *sock, int level, int name, uaddr_t value, uint32_t len);
int inet_getsockopt(struct socket *sock, int level, int name, uaddr_t value, uaddr_t len);

/* ---- families ---- */

/* Packets of this protocol come to icmp.c: false: no memory. */
bool icmp_listen_to_link(int protocol);
bool udp_listen_to_link(void);

int tcp_create(int family, struct socket **made);
int udp_create(int family, struct socket **made);
/* SOCK_RAW, or SOCK_DGRAM of ICMP. */
int raw_create(int family, int type, int protocol, struct socket **made);

/*
 * The program whose packet could not be delivered learns of it. `from` and `to` as in that packet, as is the sequence
 * number: who does not know one that is under way has not seen it (RFC 5927).
 */
void tcp_icmp_error(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port,
                    uint32_t sequence, int error, uint32_t mtu);
/* A datagram to a socket of this machine; it is lost if there is none. */
void udp_deliver_local(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port, const void *data,
                       size_t len);
void udp_icmp_error(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port, int error);

#endif
