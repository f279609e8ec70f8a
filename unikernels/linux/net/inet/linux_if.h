/* <linux/if.h> and <linux/if_arp.h>, which take struct sockaddr and nothing else from the C library. */
#ifndef LINUX_NET_INET_LINUX_IF_H
#define LINUX_NET_INET_LINUX_IF_H

#include <stdint.h>

#define _SYS_SOCKET_H 1
struct sockaddr {
    uint16_t sa_family;
    char sa_data[14];
};

#include <linux/if.h>
#include <linux/if_arp.h>

#endif
