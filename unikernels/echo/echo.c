/*
 * A host with static addresses, told as MirageOS unikernels are: --ipv4=A.B.C.D/N,
 * --ipv4-gateway=A.B.C.D, --ipv6=X:X:X:X:X:X:X:X/N (all groups written out),
 * --ipv6-gateway=... It prints what it was told, then answers ARP and neighbour
 * solicitations, ICMP echo requests, and whatever comes for a UDP port. With
 * --ping=A.B.C.D it sends one echo request there, by the gateway where that is not
 * on its link, and ends when the answer is there.
 */
#include "ping.h"

#define IP6 40u

struct prefix {
    uint8_t address[16];
    unsigned bits;
    bool given;
};

static struct ping_device device = {.name = "service"};
static struct prefix ipv4, ipv6;
static uint8_t gateway4[4], target[4], frame[PING_MAX_FRAME];
static bool has_gateway4, has_target;

static unsigned take_number(const char **at, const char *end, unsigned base)
{
    unsigned value = 0;

    for (; *at < end; ++*at) {
        const char c = **at;
        const unsigned digit = c >= 'a' && c <= 'f'   ? (unsigned)(c - 'a') + 10
                               : c >= '0' && c <= '9' ? (unsigned)(c - '0')
                                                      : base;

        if (digit >= base)
            break;
        value = value * base + digit;
    }
    return value;
}

/* (parts) numbers with (separator) between, each (bytes) long, and an optional prefix length. */
static bool take_address(const char *at, const char *end, bool is_v6, struct prefix *to)
{
    const unsigned parts = is_v6 ? 8 : 4;

    for (unsigned i = 0; i < parts; i++) {
        const unsigned value = take_number(&at, end, is_v6 ? 16 : 10);

        if (is_v6)
            to->address[2 * i] = (uint8_t)(value >> 8), to->address[2 * i + 1] = (uint8_t)value;
        else
            to->address[i] = (uint8_t)value;
        if (i + 1 < parts && (at == end || *at++ != (is_v6 ? ':' : '.')))
            return false;
    }
    to->bits = is_v6 ? 128 : 32;
    if (at < end && *at == '/') {
        at++;
        to->bits = take_number(&at, end, 10);
    }
    to->given = true;
    return at == end;
}

static bool starts(const char **word, const char *end, const char *name)
{
    const char *at = *word;

    while (*name != '\0' && at < end && *at == *name)
        at++, name++;
    if (*name != '\0')
        return false;
    *word = at;
    return true;
}

static bool read_arguments(const char *rest)
{
    size_t len;

    for (const char *word = next_word(&rest, &len); len > 0; word = next_word(&rest, &len)) {
        const char *end = word + len;
        struct prefix other = {0};

        if (starts(&word, end, "--ipv4=")) {
            if (!take_address(word, end, false, &ipv4))
                return false;
        } else if (starts(&word, end, "--ipv6=")) {
            if (!take_address(word, end, true, &ipv6))
                return false;
        } else if (starts(&word, end, "--ipv4-gateway=")) {
            has_gateway4 = take_address(word, end, false, &other);
            bytes_copy(gateway4, other.address, 4);
        } else if (starts(&word, end, "--ping=")) {
            has_target = take_address(word, end, false, &other);
            bytes_copy(target, other.address, 4);
        } else if (!starts(&word, end, "--ipv6-gateway="))
            return false;
    }
    return true;
}

static void send(const uint8_t to[6], unsigned type, size_t size)
{
    bytes_copy(frame, to, 6);
    bytes_copy(frame + 6, device.info.mac_address, 6);
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    if (solo5_net_write(device.handle, frame, size) != SOLO5_R_OK)
        print("the frame is not sent\n");
}

static void answer(size_t size)
{
    uint8_t from[6];

    bytes_copy(from, frame + 6, 6);
    send(from, get16(frame + 12), size);
}

/* With source and destination exchanged the checksum stays as it is. */
static bool answer_udp4(size_t size)
{
    uint8_t *ip = frame + ETHER;

    if (size < ETHER + IP + 8 || ip[0] != 0x45 || ip[9] != 17 || !bytes_equal(ip + 16, device.address, 4))
        return false;
    bytes_swap(ip + 12, ip + 16, 4);
    bytes_swap(ip + IP, ip + IP + 2, 2);
    return true;
}

/* RFC 4443, section 2.3: the checksum of an ICMPv6 message takes in a pseudo-header. */
static void put_checksum6(uint8_t *ip, size_t payload)
{
    uint8_t *icmp = ip + IP6;
    uint32_t sum = (uint32_t)payload + 58;

    icmp[2] = icmp[3] = 0;
    for (size_t i = 8; i < IP6 + payload; i++)
        sum += (i & 1) ? ip[i] : (uint32_t)ip[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    icmp[2] = (uint8_t)(~sum >> 8);
    icmp[3] = (uint8_t)~sum;
}

/* RFC 4861, section 7.2.4: the answer to a solicitation for our address. Its size, 0 for none. */
static size_t answer_solicitation(size_t size)
{
    uint8_t *ip = frame + ETHER;
    uint8_t *icmp = ip + IP6;

    if (size < ETHER + IP6 + 24 || !bytes_equal(icmp + 8, ipv6.address, 16))
        return 0;
    bytes_copy(ip + 24, ip + 8, 16);
    bytes_copy(ip + 8, ipv6.address, 16);
    ip[4] = 0, ip[5] = 32;
    icmp[0] = 136;
    icmp[4] = 0x60; /* solicited, override */
    icmp[24] = 2, icmp[25] = 1;
    bytes_copy(icmp + 26, device.info.mac_address, 6);
    put_checksum6(ip, 32);
    return ETHER + IP6 + 32;
}

/* The size of the answer, 0 for none. */
static size_t answer_ipv6(size_t size)
{
    uint8_t *ip = frame + ETHER;
    uint8_t *next = ip + IP6;

    if (!ipv6.given || size < ETHER + IP6 + 8 || get16(ip + 4) > size - ETHER - IP6)
        return 0;
    if (ip[6] == 58 && next[0] == 135)
        return answer_solicitation(size);
    if (!bytes_equal(ip + 24, ipv6.address, 16))
        return 0;
    bytes_swap(ip + 8, ip + 24, 16);
    if (ip[6] == 17) {
        bytes_swap(next, next + 2, 2);
        return size;
    }
    if (ip[6] != 58 || next[0] != 128)
        return 0;
    next[0] = 129;
    put_checksum6(ip, get16(ip + 4));
    return size;
}

/* True for the answer to our own echo request. */
static bool take_reply(size_t size)
{
    const uint8_t *ip = frame + ETHER;

    return has_target && size >= ETHER + IP + 8 && ip[9] == 1 && ip[IP] == 0 && bytes_equal(ip + 12, target, 4);
}

static void send_echo_request(const uint8_t to[6])
{
    static const uint8_t header[12] = {0x45, 0, 0, IP + 8, 0, 0, 0, 0, 64, 1, 0, 0};
    uint8_t *ip = frame + ETHER;

    bytes_copy(ip, header, 12);
    bytes_copy(ip + 12, device.address, 4);
    bytes_copy(ip + 16, target, 4);
    put_checksum(ip + 10, ip, IP);
    for (unsigned i = 0; i < 8; i++)
        ip[IP + i] = (uint8_t)(i == 0 ? 8 : i);
    put_checksum(ip + IP + 2, ip + IP, 8);
    send(to, 0x0800, ETHER + IP + 8);
}

static bool is_on_link(const uint8_t *address)
{
    for (unsigned bit = 0; bit < ipv4.bits; bit++)
        if ((address[bit / 8] ^ device.address[bit / 8]) & (0x80 >> bit % 8))
            return false;
    return true;
}

static const uint8_t *next_hop(void)
{
    return has_gateway4 && !is_on_link(target) ? gateway4 : target;
}

/* RFC 826. */
static void ask_for_next_hop(void)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t *arp = frame + ETHER;

    bytes_copy(arp, request, 8);
    bytes_copy(arp + 8, device.info.mac_address, 6);
    bytes_copy(arp + 14, device.address, 4);
    for (unsigned i = 18; i < 24; i++)
        arp[i] = 0;
    bytes_copy(arp + 24, next_hop(), 4);
    send(everybody, 0x0806, ETHER + 28);
}

/* The answer to that: now the echo request can be sent. */
static bool take_arp_reply(size_t size)
{
    const uint8_t *arp = frame + ETHER;
    uint8_t mac[6];

    if (!has_target || size < ETHER + 28 || arp[7] != 2 || !bytes_equal(arp + 14, next_hop(), 4))
        return false;
    bytes_copy(mac, arp + 8, 6);
    send_echo_request(mac);
    return true;
}

/* False once our own echo request is answered. */
static bool serve(void)
{
    for (;;) {
        const size_t longest = device.info.mtu + SOLO5_NET_HLEN;
        size_t size, reply;

        if (solo5_net_read(device.handle, frame, longest, &size) != SOLO5_R_OK)
            return true;
        const unsigned type = size < ETHER ? 0 : get16(frame + 12);
        if (type == 0x0806 && !take_arp_reply(size) && answer_arp(&device, frame, size))
            answer(size);
        else if (type == 0x0800 && take_reply(size))
            return false;
        else if (type == 0x0800 && (answer_echo(&device, frame, size) || answer_udp4(size)))
            answer(size);
        else if (type == 0x86dd && (reply = answer_ipv6(size)) != 0)
            answer(reply);
    }
}

#define ASK_AGAIN_NS 200000000u

int solo5_app_main(const struct solo5_start_info *start)
{
    print(start->cmdline);
    print("\n");
    if (!read_arguments(start->cmdline))
        return fail("an argument");
    bytes_copy(device.address, ipv4.address, 4);
    if (solo5_net_acquire(device.name, &device.handle, &device.info) != SOLO5_R_OK ||
        device.info.mtu + SOLO5_NET_HLEN > PING_MAX_FRAME)
        return fail("acquire");
    ping_describe(&device);
    print("ready\n");
    do {
        solo5_handle_set_t ready;

        /* Switches may take a moment to forward. */
        if (has_target)
            ask_for_next_hop();
        solo5_yield(has_target ? solo5_clock_monotonic() + ASK_AGAIN_NS : UINT64_MAX, &ready);
    } while (serve());
    return pass();
}
