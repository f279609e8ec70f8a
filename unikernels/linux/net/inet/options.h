/* What options of IP and IPv6 let a datagram's receiver see. */
#ifndef LINUX_NET_INET_OPTIONS_H
#define LINUX_NET_INET_OPTIONS_H

#include "net/inet/inet.h"

/* Of a packet that was received. */
struct inet_packet_info {
    ip_addr_t local;
    uint32_t ifindex;
    uint8_t ttl, tos;
    int64_t time_ns; /* CLOCK_REALTIME */
};

/* The control messages that the socket asked for: 0, -EFAULT. */
int inet_put_control(const struct inet_sock *inet, struct socket_message *msg, const struct inet_packet_info *info);

/* What a sender asks for in control messages. */
struct inet_send_info {
    bool has_source;
    ip_addr_t source;
    uint32_t ifindex;
    int ttl, tos; /* -1: the socket's */
};
int inet_get_control(const struct inet_sock *inet, const struct socket_message *msg, struct inet_send_info *info);

#endif
