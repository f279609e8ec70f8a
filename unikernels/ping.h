/*
 * A host that answers ARP and ICMP echo requests on some network devices: what
 * the network probes are made of. IPv4 without options or fragments only.
 */
#ifndef PING_H
#define PING_H

#include "probe.h"

#define PING_MAX_FRAME 65550u
#define ETHER 14u
#define IP 20u

struct ping_device {
    const char *name;
    uint8_t address[4];
    solo5_handle_t handle;
    struct solo5_net_info info;
};

static uint8_t ping_frame[PING_MAX_FRAME];

static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

static inline void bytes_swap(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = a[i];

        a[i] = b[i];
        b[i] = byte;
    }
}

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* RFC 1071; (size) even or not. */
static inline void put_checksum(uint8_t *at, const uint8_t *data, size_t size)
{
    uint32_t sum = 0;

    at[0] = at[1] = 0;
    for (size_t i = 0; i < size; i++)
        sum += (i & 1) ? data[i] : (uint32_t)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    at[0] = (uint8_t)(~sum >> 8);
    at[1] = (uint8_t)~sum;
}

/* Turns an ARP request for us into the answer. RFC 826. */
static inline bool answer_arp(const struct ping_device *d, uint8_t *f, size_t size)
{
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, request */
    uint8_t *arp = f + ETHER;

    if (size < ETHER + 28 || !bytes_equal(arp, request, 8) || !bytes_equal(arp + 24, d->address, 4))
        return false;
    arp[7] = 2;
    bytes_copy(arp + 18, arp + 8, 10);
    bytes_copy(arp + 8, d->info.mac_address, 6);
    bytes_copy(arp + 14, d->address, 4);
    return true;
}

/* Turns an echo request for us into the answer. RFC 792. */
static inline bool answer_echo(const struct ping_device *d, uint8_t *f, size_t size)
{
    uint8_t *ip = f + ETHER;
    uint8_t *icmp = ip + IP;

    if (size < ETHER + IP + 8 || ip[0] != 0x45 || ip[9] != 1 || !bytes_equal(ip + 16, d->address, 4))
        return false;
    const size_t total = get16(ip + 2);
    if (total < IP + 8 || total > size - ETHER || (get16(ip + 6) & 0x3fff) != 0 || icmp[0] != 8)
        return false;
    bytes_swap(ip + 12, ip + 16, 4);
    put_checksum(ip + 10, ip, IP);
    icmp[0] = 0;
    put_checksum(icmp + 2, icmp, total - IP);
    return true;
}

/* Answers what has arrived; false if the device failed. Echo requests are counted. */
static inline bool ping_serve(const struct ping_device *d, uint64_t *echoes)
{
    for (;;) {
        size_t size;
        const size_t frame_size = d->info.mtu + SOLO5_NET_HLEN;
        const solo5_result_t r = solo5_net_read(d->handle, ping_frame, frame_size, &size);

        if (r == SOLO5_R_AGAIN)
            return true;
        if (r != SOLO5_R_OK || size > frame_size)
            return false;
        const unsigned type = size < ETHER ? 0 : get16(ping_frame + 12);
        const bool echo = type == 0x0800 && answer_echo(d, ping_frame, size);
        if (!echo && !(type == 0x0806 && answer_arp(d, ping_frame, size)))
            continue;
        bytes_copy(ping_frame, ping_frame + 6, 6);
        bytes_copy(ping_frame + 6, d->info.mac_address, 6);
        if (solo5_net_write(d->handle, ping_frame, size) != SOLO5_R_OK)
            return false;
        *echoes += echo;
    }
}

static inline void ping_describe(const struct ping_device *d)
{
    print(d->name);
    print(": mac ");
    for (unsigned i = 0; i < SOLO5_NET_ALEN; i++) {
        if (d->info.mac_address[i] < 16)
            print("0");
        print_number(d->info.mac_address[i], 16);
        print(i < SOLO5_NET_ALEN - 1 ? ":" : ", mtu ");
    }
    print_number(d->info.mtu, 10);
    print("\n");
}

/* Answers on all devices until (limit) echo requests are answered on each. */
static inline int ping_run(struct ping_device *devices, unsigned count, uint64_t limit)
{
    uint64_t echoes[2] = {0};
    bool busy = true;

    for (unsigned i = 0; i < count; i++) {
        if (solo5_net_acquire(devices[i].name, &devices[i].handle, &devices[i].info) != SOLO5_R_OK)
            return fail("acquire");
        if (devices[i].info.mtu + SOLO5_NET_HLEN > PING_MAX_FRAME)
            return fail("mtu");
        ping_describe(&devices[i]);
    }
    print("ready\n");
    while (busy) {
        solo5_handle_set_t ready;

        solo5_yield(UINT64_MAX, &ready);
        busy = false;
        for (unsigned i = 0; i < count; i++) {
            if ((ready & 1ull << devices[i].handle) != 0 && !ping_serve(&devices[i], &echoes[i]))
                return fail("the device failed");
            busy |= echoes[i] < limit;
        }
    }
    return pass();
}

#endif
