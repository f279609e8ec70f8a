/* SIOCGIF*: what older programs ask of interfaces. Nothing can be changed: that is the host's. */
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/sockios.h>

#include "lib/string.h"
#include "mm/uaccess.h"
#include "net/inet/inet.h"
#include "net/inet/linux_if.h"
#include "net/inet/link_flags.h"
#include "net/lwip/device.h"

static const struct net_address *first_address4(const struct net_device *device)
{
    const struct net_address *address;

    list_for_each(address, &net_addresses, link)
        if (address->device == device && IP_IS_V4(&address->address)) return address;
    return NULL;
}

static void put_address(struct sockaddr *to, uint32_t value)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = value};

    memcpy(to, &in, sizeof(in));
}

uint32_t link_flags(const struct net_device *device)
{
    return device->loopback ? IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP
                            : IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP;
}

static int get_address(const struct net_device *device, uint32_t cmd, struct ifreq *request)
{
    const struct net_address *address = first_address4(device);

    if (!address) return -EADDRNOTAVAIL;
    uint32_t mask = address->prefix_len ? lwip_htonl(~0u << (32 - address->prefix_len)) : 0;
    uint32_t value = cmd == SIOCGIFADDR      ? ip_2_ip4(&address->address)->addr
                     : cmd == SIOCGIFDSTADDR ? ip_2_ip4(&address->peer)->addr
                     : cmd == SIOCGIFBRDADDR ? address->broadcast
                                             : mask;
    put_address(&request->ifr_addr, value);
    return 0;
}

static int get_one(uint32_t cmd, struct ifreq *request)
{
    struct net_device *device = cmd == SIOCGIFNAME ? net_device_by_index((uint32_t)request->ifr_ifindex)
                                                   : net_device_by_name(request->ifr_name);

    if (!device) return -ENODEV;
    switch (cmd) {
    case SIOCGIFNAME:
        strlcpy(request->ifr_name, device->name, IFNAMSIZ);
        return 0;
    case SIOCGIFINDEX:
        request->ifr_ifindex = (int)device->ifindex;
        return 0;
    case SIOCGIFFLAGS:
        request->ifr_flags = (short)link_flags(device);
        return 0;
    case SIOCGIFMTU:
        request->ifr_mtu = (int)device->mtu;
        return 0;
    case SIOCGIFMETRIC:
        request->ifr_metric = 0;
        return 0;
    case SIOCGIFTXQLEN:
        request->ifr_qlen = 1000;
        return 0;
    case SIOCGIFHWADDR:
        memset(&request->ifr_hwaddr, 0, sizeof(request->ifr_hwaddr));
        request->ifr_hwaddr.sa_family = device->loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
        memcpy(request->ifr_hwaddr.sa_data, device->mac, sizeof(device->mac));
        return 0;
    case SIOCGIFMAP:
        memset(&request->ifr_map, 0, sizeof(request->ifr_map));
        return 0;
    default:
        return get_address(device, cmd, request);
    }
}

/* All interfaces with an IPv4 address; without a buffer, how much room they take. */
static int64_t get_all(uint64_t arg)
{
    const struct net_address *address;
    struct ifconf list;
    int done = 0;

    if (copy_from_user(&list, arg, sizeof(list))) return -EFAULT;
    if (list.ifc_len < 0) return -EINVAL;
    list_for_each(address, &net_addresses, link) {
        struct ifreq one = {0};
        if (!IP_IS_V4(&address->address)) continue;
        if (list.ifc_buf && done + (int)sizeof(one) > list.ifc_len) break;
        strlcpy(one.ifr_name, address->device->name, IFNAMSIZ);
        put_address(&one.ifr_addr, ip_2_ip4(&address->address)->addr);
        if (list.ifc_buf && copy_to_user((uaddr_t)list.ifc_buf + (size_t)done, &one, sizeof(one))) return -EFAULT;
        done += (int)sizeof(one);
    }
    list.ifc_len = done;
    return copy_to_user(arg, &list, sizeof(list));
}

int64_t socket_device_ioctl(uint32_t cmd, uint64_t arg)
{
    struct ifreq request;

    switch (cmd) {
    case SIOCGIFCONF:
        return get_all(arg);
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFMTU:
    case SIOCGIFMETRIC:
    case SIOCGIFTXQLEN:
    case SIOCGIFHWADDR:
    case SIOCGIFMAP:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
        break;
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFMTU:
    case SIOCSIFHWADDR:
    case SIOCSIFNAME:
    case SIOCSIFTXQLEN:
    case SIOCADDRT:
    case SIOCDELRT:
    case SIOCETHTOOL:
        return cmd == SIOCETHTOOL ? -EOPNOTSUPP : -EPERM;
    default:
        return -ENOTTY;
    }
    if (copy_from_user(&request, arg, sizeof(request))) return -EFAULT;
    request.ifr_name[IFNAMSIZ - 1] = 0;
    int err = get_one(cmd, &request);
    return err ? err : copy_to_user(arg, &request, sizeof(request));
}
