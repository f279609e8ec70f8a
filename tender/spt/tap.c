/* See tap.h. */
#include "tap.h"

#include "fail.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_request(struct ifreq *request, const char *iface)
{
    memset(request, 0, sizeof *request);
    /* iface is shorter than IFNAMSIZ: attach_interface checks it, the kernel's names are. */
    memcpy(request->ifr_name, iface, strlen(iface) + 1);
}

/* The tap would join segments to frames longer than the MTU, which a guest without offloads cannot
 * receive. Only who owns the interface may say so: without effect for others. */
static void forbid_long_frames(int control, const char *iface)
{
    static const uint32_t COMMANDS[] = {ETHTOOL_SGRO, ETHTOOL_SGSO};

    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        struct ethtool_value value = {.cmd = COMMANDS[i], .data = 0};
        struct ifreq request;

        name_request(&request, iface);
        request.ifr_data = (void *)&value;
        (void)ioctl(control, SIOCETHTOOL, &request);
    }
}

/* A tap that exists and is up; /dev/net/tun would create one of any other name. */
static int attach_interface(const char *iface, bool vnet, const char *what)
{
    struct ifreq request;
    int control, fd;

    if (iface[0] == '\0' || strlen(iface) >= IFNAMSIZ)
        fail("%s: '%s' is not the name of an interface (1 to %d bytes)", what, iface,
             IFNAMSIZ - 1);
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0)
        fail_errno("%s: cannot open a socket", what);
    name_request(&request, iface);
    if (ioctl(control, SIOCGIFFLAGS, &request) < 0)
        fail_errno("%s: interface %s", what, iface);
    if (!(request.ifr_flags & IFF_UP))
        fail("%s: interface %s is down; set it up first", what, iface);

    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fail_errno("%s: cannot open /dev/net/tun", what);
    name_request(&request, iface);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (vnet)
        request.ifr_flags |= IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        fail_errno("%s: cannot attach to %s; it must be a tap that nobody else holds", what, iface);
    if (strcmp(request.ifr_name, iface) != 0)
        fail("%s: there is no interface %s", what, iface);
    if (!vnet)
        forbid_long_frames(control, iface);
    close(control);
    return fd;
}

int tap_open(const char *source, bool vnet, const char *what)
{
    int fd = source[0] == '@' ? open_source(source, 0, what) : attach_interface(source, vnet, what);
    int flags = fcntl(fd, F_GETFL);

    if ((flags & O_ACCMODE) != O_RDWR || (flags & O_PATH))
        fail("%s: %s is not open for reading and writing", what, source);
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        fail_errno("%s: cannot make %s non-blocking", what, source);
    return fd;
}

bool tap_check(int fd, bool vnet, const char *source, const char *what, struct ifreq *tap)
{
    const int header_size = sizeof(struct virtio_net_hdr);
    struct stat status;

    memset(tap, 0, sizeof *tap);
    if (ioctl(fd, TUNGETIFF, tap) < 0) {
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            return false;
        fail("%s: %s is neither a tap nor a socket", what, source);
    }
    /* IFF_NO_PI must be set too, but TUNGETIFF uses its bit for IFF_NOFILTER. */
    if (!(tap->ifr_flags & IFF_TAP))
        fail("%s: %s is a tun, not a tap; open it with IFF_TAP | IFF_NO_PI", what, source);
    if (!!(tap->ifr_flags & IFF_VNET_HDR) != vnet)
        fail("%s: %s was opened with%s IFF_VNET_HDR, which the guest %s", what, source,
             vnet ? "out" : "", vnet ? "needs" : "does not understand");
    if (vnet && (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
                 ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0))
        fail_errno("%s: cannot turn on the offloads of %s", what, source);
    return true;
}

void tap_allow(struct tender *tender, const char *why, int fd)
{
    const struct scmp_arg_cmp pinned = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd);

    filter_allow(&tender->filter, why, read, pinned);
    filter_allow(&tender->filter, why, write, pinned);
}
