/* Network devices: --net:NAME=IFACE|@FD, --net-mac:NAME=MAC, --net-mtu:NAME=N. */
#include "fail.h"
#include "tap.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MTU_DEFAULT 1500u
#define MTU_MIN 68u /* RFC 791 */
#define MTU_MAX 65535u

static void describe(char what[static SOLO5_MFT_NAME_SIZE + 16], const char *name)
{
    snprintf(what, SOLO5_MFT_NAME_SIZE + 16, "net device '%s'", name);
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
    device->fd = tap_open(device->source, false, what);
    const bool is_tap = tap_check(device->fd, false, device->source, what, &tap);
    if (mtu == 0)
        mtu = is_tap ? find_mtu(&tap, device->source, entry->name, what) : MTU_DEFAULT;
    if (!device->has_mac)
        generate_mac(entry->u.net_basic.mac);
    entry->u.net_basic.mtu = (uint16_t)mtu;
    entry->b.hostfd = device->fd;
    entry->attached = 1;

    if ((errno = watch(tender, device->fd, EPOLLIN, index)) != 0)
        fail_errno("%s: cannot wait for %s", what, device->source);
    tap_allow(tender, entry->name, device->fd);
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
