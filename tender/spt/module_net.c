/* Network devices: --net:NAME=IFACE|@FD, --net-mac:NAME=MAC, --net-mtu:NAME=N. */
#include "fail.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MTU_DEFAULT 1500u
#define MTU_MIN 68u /* RFC 791 */
#define MTU_MAX 65535u

static void describe(char what[static SOLO5_MFT_NAME_SIZE + 16], const char *name)
{
    snprintf(what, SOLO5_MFT_NAME_SIZE + 16, "net device '%s'", name);
}

static void name_request(struct ifreq *request, const char *iface)
{
    memset(request, 0, sizeof *request);
    /* iface is shorter than IFNAMSIZ: attach_interface checks it, the kernel's names are. */
    memcpy(request->ifr_name, iface, strlen(iface) + 1);
}

/* The tap would join segments to frames longer than the MTU, which the guest cannot receive.
 * Only who owns the interface may say so: without effect for others. */
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

static void take_source(struct tender *tender, unsigned index, const char *value)
{
    struct device *device = &tender->devices[index];

    if (device->source != NULL)
        fail("net device '%s' is attached twice", tender->manifest.m.e[index].name);
    device->source = value;
}

static void set_mac(struct tender *tender, unsigned index, const char *value)
{
    struct solo5_mft_entry *entry = &tender->manifest.m.e[index];
    char *end;
    const char *at = value;

    for (unsigned i = 0; i < 6; i++) {
        const unsigned long octet = strtoul(at, &end, 16);

        if (end != at + 2 || at[0] == '+' || at[0] == '-' || at[0] == ' ' || octet > 0xff ||
            *end != (i < 5 ? ':' : '\0'))
            fail("net device '%s': '%s' is not a MAC address such as 02:00:00:00:00:01",
                 entry->name, value);
        entry->u.net_basic.mac[i] = (uint8_t)octet;
        at = end + 1;
    }
    if (entry->u.net_basic.mac[0] & 1)
        fail("net device '%s': %s is a multicast address; a device has a unicast one",
             entry->name, value);
    tender->devices[index].has_mac = true;
}

static void set_mtu(struct tender *tender, unsigned index, const char *value)
{
    char *end;
    const unsigned long mtu = strtoul(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || *end != '\0' || mtu < MTU_MIN || mtu > MTU_MAX)
        fail("net device '%s': MTU %s is not a number from %u to %u",
             tender->manifest.m.e[index].name, value, MTU_MIN, MTU_MAX);
    tender->devices[index].mtu = (uint32_t)mtu;
}

static bool option(struct tender *tender, const char *option)
{
    static const struct {
        const char *prefix;
        void (*take)(struct tender *tender, unsigned index, const char *value);
    } OPTIONS[] = {
        {"--net:", take_source},
        {"--net-mac:", set_mac},
        {"--net-mtu:", set_mtu},
    };

    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++) {
        const char *value;
        unsigned index;

        if (strncmp(option, OPTIONS[i].prefix, strlen(OPTIONS[i].prefix)) != 0)
            continue;
        index = manifest_option(&tender->manifest, option, OPTIONS[i].prefix, SOLO5_MFT_NET_BASIC,
                                &value);
        OPTIONS[i].take(tender, index, value);
        return true;
    }
    return false;
}

/* A tap that exists and is up; /dev/net/tun would create one of any other name. */
static int attach_interface(const struct tender *tender, const char *iface, const char *what)
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
    if (is_granted(tender, RUNNC_EXTRA_VNET))
        request.ifr_flags |= IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        fail_errno("%s: cannot attach to %s; it must be a tap that nobody else holds", what, iface);
    if (strcmp(request.ifr_name, iface) != 0)
        fail("%s: there is no interface %s", what, iface);
    forbid_long_frames(control, iface);
    close(control);
    return fd;
}

static void attach(const struct tender *tender, struct device *device, const char *what)
{
    int flags;

    device->fd = device->source[0] == '@' ? open_source(device->source, 0, what)
                                          : attach_interface(tender, device->source, what);
    flags = fcntl(device->fd, F_GETFL);
    if ((flags & O_ACCMODE) != O_RDWR || (flags & O_PATH))
        fail("%s: %s is not open for reading and writing", what, device->source);
    if (fcntl(device->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        fail_errno("%s: cannot make %s non-blocking", what, device->source);
}

/*
 * Checks that a descriptor carries frames in the form that the guest expects,
 * and turns on the offloads of one that has virtio-net headers. Returns false
 * for a packet socket, which is good for testing; true with the interface in
 * *request for a tap.
 */
static bool check_tap(const struct tender *tender, int fd, const char *source, const char *what,
                      struct ifreq *request)
{
    const bool vnet = is_granted(tender, RUNNC_EXTRA_VNET);
    const int header_size = sizeof(struct virtio_net_hdr);
    struct stat status;

    memset(request, 0, sizeof *request);
    if (ioctl(fd, TUNGETIFF, request) < 0) {
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            return false;
        fail("%s: %s is neither a tap nor a socket", what, source);
    }
    /* IFF_NO_PI must be set too, but TUNGETIFF uses its bit for IFF_NOFILTER. */
    if (!(request->ifr_flags & IFF_TAP))
        fail("%s: %s is a tun, not a tap; open it with IFF_TAP | IFF_NO_PI", what, source);
    if (!!(request->ifr_flags & IFF_VNET_HDR) != vnet)
        fail("%s: %s was opened with%s IFF_VNET_HDR, but the guest has%s the extra vnet", what,
             source, vnet ? "out" : "", vnet ? "" : " not");
    if (vnet && (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
                 ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0))
        fail_errno("%s: cannot turn on the offloads of %s", what, source);
    return true;
}

static uint32_t find_mtu(const struct ifreq *tap, const char *source, const char *name,
                         const char *what)
{
    struct ifreq request = *tap;
    int control;

    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0 || ioctl(control, SIOCGIFMTU, &request) < 0)
        fail_errno("%s: cannot tell the MTU of %s (is it in another network namespace?); give "
                   "--net-mtu:%s=N",
                   what, source, name);
    close(control);
    if (request.ifr_mtu < (int)MTU_MIN || request.ifr_mtu > (int)MTU_MAX)
        fail("%s: MTU %d of %s is not within %u to %u", what, request.ifr_mtu, source, MTU_MIN,
             MTU_MAX);
    return (uint32_t)request.ifr_mtu;
}

/* Random, unicast and locally administered. */
static void generate_mac(uint8_t mac[static 6])
{
    if (getrandom(mac, 6, 0) != 6)
        fail_errno("cannot get random bytes for a MAC address");
    mac[0] = (uint8_t)((mac[0] & 0xfe) | 0x02);
}

static void setup_device(struct tender *tender, unsigned index)
{
    struct solo5_mft_entry *entry = &tender->manifest.m.e[index];
    struct device *device = &tender->devices[index];
    char what[SOLO5_MFT_NAME_SIZE + 16];
    uint32_t mtu = device->mtu;
    struct ifreq tap;

    describe(what, entry->name);
    attach(tender, device, what);
    const bool is_tap = check_tap(tender, device->fd, device->source, what, &tap);
    if (mtu == 0)
        mtu = is_tap ? find_mtu(&tap, device->source, entry->name, what) : MTU_DEFAULT;
    if (!device->has_mac)
        generate_mac(entry->u.net_basic.mac);
    entry->u.net_basic.mtu = (uint16_t)mtu;
    entry->b.hostfd = device->fd;
    entry->attached = 1;

    if ((errno = watch(tender, device->fd, EPOLLIN, index)) != 0)
        fail_errno("%s: cannot wait for %s", what, device->source);
    const struct scmp_arg_cmp fd = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)device->fd);
    filter_allow(&tender->filter, entry->name, read, fd);
    filter_allow(&tender->filter, entry->name, write, fd);
}

static void setup(struct tender *tender)
{
    for (unsigned i = 1; i < tender->manifest.m.entries; i++)
        if (tender->manifest.m.e[i].type == SOLO5_MFT_NET_BASIC)
            setup_device(tender, i);
}

const struct module module_net = {
    .name = "net",
    .usage = "  --net:NAME=IFACE|@FD        attach a tap interface as net device NAME\n"
             "  --net-mac:NAME=MAC          its address (random, locally administered)\n"
             "  --net-mtu:NAME=N            its MTU in bytes (that of the tap)\n",
    .option = option,
    .setup = setup,
};

/* An extra of the same devices: what differs is in attach_interface and check_tap. */
const struct module module_vnet = {
    .name = "vnet",
    .extra = RUNNC_EXTRA_VNET,
};
