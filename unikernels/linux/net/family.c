/* The address families there are. A new one: its folder, and its line here. */
#include "lib/error.h"
#include "net/socket.h"

static const struct socket_family *const families[] = {
    &unix_family,
    &inet_family,
    &inet6_family,
    &netlink_family,
    &packet_family,
};

int socket_create(int family, int type, int protocol, struct socket **made)
{
    if (family < 0 || family >= AF_MAX)
        return -EAFNOSUPPORT;
    if (type < SOCK_STREAM || type > SOCK_PACKET)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        if (families[i]->family == family)
            return families[i]->create(type, protocol, made);
    }
    return -EAFNOSUPPORT;
}
