#include "net/lwip/device.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "boot/config.h"
#include "lib/print.h"
#include "lib/string.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/ip6.h"
#include "mm/kmalloc.h"
#include "mm/page.h"
#include "net/constants.h"
#include "net/lwip/hooks.h"
#include "net/lwip/pool.h"

#define BOOT_FAILED 126
#define POOL_MIN (4ul << 20)
#define POOL_MAX (256ul << 20)

struct list net_devices = {&net_devices, &net_devices};
struct list net_addresses = {&net_addresses, &net_addresses};
struct list net_routes = {&net_routes, &net_routes};
struct list net_neighbours = {&net_neighbours, &net_neighbours};

static struct {
    uint32_t depth; /* of net_enter() */
} state;

/* ---- entering lwIP ---- */

void net_enter(void)
{
    if (state.depth++ == 0) net_timers_catch_up();
}

void net_leave(void)
{
    if (--state.depth > 0) return;
    tap_flush();
    net_timers_arm();
}

bool net_entered(void)
{
    return state.depth > 0;
}

/* ---- what there is ---- */

static void *boot_alloc(size_t n)
{
    void *p = kzalloc(n);

    if (!p) fatal(BOOT_FAILED, "no memory for the network's configuration");
    return p;
}

static ip_addr_t ip_from_bytes(int family, const uint8_t *bytes)
{
    ip_addr_t ip = *IP_ADDR_ANY;

    if (family == AF_INET6) {
        ip.type = IPADDR_TYPE_V6;
        memcpy(ip.u_addr.ip6.addr, bytes, 16);
    } else {
        ip.type = IPADDR_TYPE_V4;
        memcpy(&ip.u_addr.ip4.addr, bytes, 4);
    }
    return ip;
}

struct net_device *net_device_by_index(uint32_t ifindex)
{
    struct net_device *device;

    list_for_each(device, &net_devices, link)
        if (device->ifindex == ifindex) return device;
    return NULL;
}

struct net_device *net_device_by_name(const char *name)
{
    struct net_device *device;

    list_for_each(device, &net_devices, link)
        if (!strcmp(device->name, name)) return device;
    return NULL;
}

static struct net_device *device_of_tap(uint32_t index)
{
    struct net_device *device;

    list_for_each(device, &net_devices, link)
        if (!device->loopback && device->source.tag == RUNNC_EPOLL_VNET + index) return device;
    fatal(BOOT_FAILED, "the boot config has an address of network device %u, which is not there", index);
}

static const struct net_address *address_find(const ip_addr_t *ip)
{
    const struct net_address *address;

    list_for_each(address, &net_addresses, link)
        if (IP_GET_TYPE(&address->address) == IP_GET_TYPE(ip) &&
            (IP_IS_V6(ip) ? ip6_addr_cmp_zoneless(ip_2_ip6(&address->address), ip_2_ip6(ip))
                          : ip4_addr_cmp(ip_2_ip4(&address->address), ip_2_ip4(ip))))
            return address;
    return NULL;
}

bool net_is_local(const ip_addr_t *ip)
{
    return (IP_IS_V4(ip) && ip4_addr_isloopback(ip_2_ip4(ip))) || address_find(ip);
}

bool net_may_bind(const ip_addr_t *ip)
{
    return ip_addr_isany(ip) || net_is_local(ip) || ip_addr_ismulticast(ip) || net_is_broadcast(ip);
}

bool net_is_broadcast(const ip_addr_t *ip)
{
    const struct net_address *address;

    if (IP_IS_V6(ip)) return false;
    uint32_t value = ip_2_ip4(ip)->addr;
    if (value == IPADDR_BROADCAST) return true;
    list_for_each(address, &net_addresses, link)
        if (address->broadcast && address->broadcast == value) return true;
    return false;
}

static bool prefix_matches(const ip_addr_t *ip, const ip_addr_t *prefix, uint32_t len)
{
    const uint8_t *a, *b;

    if (IP_GET_TYPE(ip) != IP_GET_TYPE(prefix)) return false;
    a = IP_IS_V6(ip) ? (const uint8_t *)ip_2_ip6(ip)->addr : (const uint8_t *)&ip_2_ip4(ip)->addr;
    b = IP_IS_V6(ip) ? (const uint8_t *)ip_2_ip6(prefix)->addr : (const uint8_t *)&ip_2_ip4(prefix)->addr;
    if (memcmp(a, b, len / 8)) return false;
    return len % 8 == 0 || !((a[len / 8] ^ b[len / 8]) >> (8 - len % 8));
}

static const struct net_device *device_of_source(const ip_addr_t *src)
{
    const struct net_address *address = src && !ip_addr_isany(src) ? address_find(src) : NULL;

    return address ? address->device : NULL;
}

const struct net_route *net_route_find(const ip_addr_t *src, const ip_addr_t *dst)
{
    const struct net_device *wanted = NULL;
    const struct net_route *route, *best = NULL;

    if (IP_IS_V6(dst) && ip6_addr_has_zone(ip_2_ip6(dst))) {
        struct netif *netif = netif_get_by_index(ip6_addr_zone(ip_2_ip6(dst)));
        wanted = netif ? netif->state : NULL;
    }
    const struct net_device *preferred = wanted ? wanted : device_of_source(src);
    list_for_each(route, &net_routes, link) {
        if (!prefix_matches(dst, &route->dst, route->dst_len) || (wanted && route->device != wanted)) continue;
        /* The list is in order; among equals, the way that the source address belongs to. */
        if (best && (route->dst_len < best->dst_len || route->metric > best->metric)) break;
        if (!best || (route->device == preferred && best->device != preferred)) best = route;
    }
    return best;
}

/* Common leading bits. */
static uint32_t common_prefix(const ip_addr_t *a, const ip_addr_t *b)
{
    uint32_t len = IP_IS_V6(a) ? 128 : 32;

    while (len > 0 && !prefix_matches(a, b, len)) len--;
    return len;
}

bool net_source_address(const ip_addr_t *dst, ip_addr_t *src)
{
    const struct net_address *address, *best = NULL;

    if (net_is_local(dst)) {
        *src = *dst;
        return true;
    }
    const struct net_route *route = net_route_find(NULL, dst);
    if (!route) return false;
    if (route->has_prefsrc) {
        *src = route->prefsrc;
        return true;
    }
    /* RFC 6724 in short: of the same scope, then the longest common prefix; the first among equals. */
    const bool link_local = IP_IS_V6(dst) && ip6_addr_islinklocal(ip_2_ip6(dst));
    list_for_each(address, &net_addresses, link) {
        if (address->device != route->device || IP_GET_TYPE(&address->address) != IP_GET_TYPE(dst)) continue;
        const bool fits = (address->scope == RT_SCOPE_LINK) == link_local || IP_IS_V4(dst);
        const bool best_fits = best && ((best->scope == RT_SCOPE_LINK) == link_local || IP_IS_V4(dst));
        if (!best || (fits && !best_fits) ||
            (fits == best_fits && common_prefix(&address->address, dst) > common_prefix(&best->address, dst)))
            best = address;
    }
    if (!best) return false;
    *src = best->address;
    return true;
}

/* ---- lwIP asks for routes ---- */

static struct netif *route_netif(const ip_addr_t *src, const ip_addr_t *dst)
{
    const struct net_route *route = net_route_find(src, dst);

    return route && !route->device->loopback ? &route->device->netif : NULL;
}

struct netif *net_route4(const ip4_addr_t *src, const ip4_addr_t *dst)
{
    ip_addr_t from = *IP_ADDR_ANY, to = *IP_ADDR_ANY;

    if (src) ip_addr_copy_from_ip4(from, *src);
    ip_addr_copy_from_ip4(to, *dst);
    if (net_is_broadcast(&to) || ip_addr_ismulticast(&to)) {
        const struct net_device *device = device_of_source(&from);
        struct netif *netif = device ? (struct netif *)&device->netif : netif_list;
        if (!route_netif(&from, &to)) return netif;
    }
    return route_netif(&from, &to);
}

const ip4_addr_t *net_gateway4(struct netif *netif, const ip4_addr_t *dst)
{
    ip_addr_t to = *IP_ADDR_ANY;
    (void)netif;

    ip_addr_copy_from_ip4(to, *dst);
    const struct net_route *route = net_route_find(NULL, &to);
    if (!route) return NULL;
    if (!route->has_gateway) return dst;
    return IP_IS_V4(&route->gateway) ? ip_2_ip4(&route->gateway) : NULL;
}

struct netif *net_route6(const ip6_addr_t *src, const ip6_addr_t *dst)
{
    ip_addr_t from = *IP6_ADDR_ANY, to = *IP6_ADDR_ANY;

    if (src) ip_addr_copy_from_ip6(from, *src);
    ip_addr_copy_from_ip6(to, *dst);
    return route_netif(&from, &to);
}

const ip6_addr_t *net_gateway6(struct netif *netif, const ip6_addr_t *dst)
{
    ip_addr_t to = *IP6_ADDR_ANY;
    (void)netif;

    ip_addr_copy_from_ip6(to, *dst);
    const struct net_route *route = net_route_find(NULL, &to);
    if (!route) return NULL;
    return route->has_gateway ? ip_2_ip6(&route->gateway) : dst;
}

/* ---- boot ---- */

static void add_address(struct net_device *device, ip_addr_t ip, uint8_t prefix_len, uint8_t scope, uint32_t flags)
{
    struct net_address *address = boot_alloc(sizeof(*address));

    address->device = device;
    address->address = address->peer = ip;
    address->prefix_len = prefix_len;
    address->scope = scope;
    address->flags = flags;
    list_add_tail(&net_addresses, &address->link);
}

static void add_loopback(void)
{
    struct net_device *lo = boot_alloc(sizeof(*lo));
    const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

    lo->loopback = true;
    lo->ifindex = LOOPBACK_IFINDEX;
    lo->mtu = LOOPBACK_MTU;
    strlcpy(lo->name, "lo", sizeof(lo->name));
    list_add(&net_devices, &lo->link);
    add_address(lo, ip_from_bytes(AF_INET, v4), 8, RT_SCOPE_HOST, IFA_F_PERMANENT);
    add_address(lo, ip_from_bytes(AF_INET6, v6), 128, RT_SCOPE_HOST, IFA_F_PERMANENT);
}

static void add_device(const struct runnc_rec_netdev *record)
{
    struct net_device *device = boot_alloc(sizeof(*device));

    if (record->device >= host_boot_info()->vnet_count)
        fatal(BOOT_FAILED, "the boot config names network device %u, but the tender gave %u", record->device,
              host_boot_info()->vnet_count);
    device->ifindex = record->ifindex;
    device->mtu = record->mtu;
    memcpy(device->mac, record->mac, sizeof(device->mac));
    memcpy(device->name, record->name, sizeof(device->name));
    device->name[sizeof(device->name) - 1] = 0;
    list_add_tail(&net_devices, &device->link);
    tap_open(device, record->device);
}

static void configure_address(const struct net_address *address)
{
    struct netif *netif = (struct netif *)&address->device->netif;

    if (IP_IS_V4(&address->address)) {
        ip4_addr_t mask = {.addr = address->prefix_len ? lwip_htonl(~0u << (32 - address->prefix_len)) : 0};
        if (ip4_addr_isany_val(*netif_ip4_addr(netif)))
            netif_set_addr(netif, ip_2_ip4(&address->address), &mask, IP4_ADDR_ANY4);
        else
            klog("%s: only the first of its IPv4 addresses answers", address->device->name);
        return;
    }
    s8_t slot = 0;
    ip6_addr_t ip = *ip_2_ip6(&address->address);
    if (ip6_addr_islinklocal(&ip)) {
        ip6_addr_assign_zone(&ip, IP6_UNKNOWN, netif);
        netif_ip6_addr_set(netif, 0, &ip);
    } else if (netif_add_ip6_address(netif, &ip, &slot) != ERR_OK) {
        klog("%s: too many IPv6 addresses", address->device->name);
        return;
    }
    netif_ip6_addr_set_state(netif, slot, IP6_ADDR_PREFERRED);
}

static void read_address(const struct runnc_rec_netaddr *record)
{
    struct net_device *device = device_of_tap(record->device);
    ip_addr_t ip = ip_from_bytes(record->family, record->address);

    if (record->prefix_len > (record->family == AF_INET6 ? 128 : 32))
        fatal(BOOT_FAILED, "the boot config has an address of %s with prefix length %u", device->name, record->prefix_len);
    add_address(device, ip, record->prefix_len, record->scope, record->flags);
    struct net_address *address = list_last(&net_addresses, struct net_address, link);
    address->peer = ip_from_bytes(record->family, record->peer);
    memcpy(&address->broadcast, record->broadcast, 4);
    configure_address(address);
}

static void insert_route(struct net_route *new)
{
    struct net_route *route;

    list_for_each(route, &net_routes, link)
        if (route->dst_len < new->dst_len || (route->dst_len == new->dst_len && route->metric > new->metric)) break;
    list_add_tail(&route->link, &new->link);
}

static void read_route(const struct runnc_rec_netroute *record)
{
    struct net_route *route = boot_alloc(sizeof(*route));

    route->device = device_of_tap(record->device);
    route->dst_len = record->dst_len;
    route->scope = record->scope;
    route->protocol = (uint8_t)record->protocol;
    route->metric = record->metric;
    route->mtu = record->mtu;
    route->dst = ip_from_bytes(record->family, record->dst);
    route->has_gateway = record->flags & RUNNC_ROUTE_GATEWAY;
    if (route->has_gateway) route->gateway = ip_from_bytes(record->gateway_family, record->gateway);
    if (IP_IS_V6(&route->gateway) && ip6_addr_islinklocal(ip_2_ip6(&route->gateway)))
        ip6_addr_assign_zone(ip_2_ip6(&route->gateway), IP6_UNKNOWN, &route->device->netif);
    route->has_prefsrc = record->flags & RUNNC_ROUTE_PREFSRC;
    if (route->has_prefsrc) route->prefsrc = ip_from_bytes(record->family, record->prefsrc);
    if (route->dst_len > (record->family == AF_INET6 ? 128 : 32))
        fatal(BOOT_FAILED, "the boot config has a route of %s with prefix length %u", route->device->name, route->dst_len);
    insert_route(route);
}

static void read_neighbour(const struct runnc_rec_netneigh *record)
{
    struct net_neighbour *neighbour = boot_alloc(sizeof(*neighbour));
    struct eth_addr mac;

    neighbour->device = device_of_tap(record->device);
    neighbour->address = ip_from_bytes(record->family, record->address);
    memcpy(neighbour->mac, record->mac, sizeof(neighbour->mac));
    list_add_tail(&net_neighbours, &neighbour->link);
    memcpy(mac.addr, record->mac, sizeof(mac.addr));
    if (record->family == AF_INET) etharp_add_static_entry(ip_2_ip4(&neighbour->address), &mac);
}

void net_init(void)
{
    const struct runnc_record *r;
    struct net_device *device;
    struct page_stats memory;

    page_stats(&memory);
    net_pool_init(MIN(MAX(memory.total * PAGE_SIZE / 4, POOL_MIN), POOL_MAX));
    add_loopback();
    lwip_init();
    net_timers_init();
    for (r = NULL; (r = boot_record_next(RUNNC_REC_NETDEV, r));) add_device((const void *)r->data);
    for (r = NULL; (r = boot_record_next(RUNNC_REC_NETADDR, r));) read_address((const void *)r->data);
    for (r = NULL; (r = boot_record_next(RUNNC_REC_NETROUTE, r));) read_route((const void *)r->data);
    for (r = NULL; (r = boot_record_next(RUNNC_REC_NETNEIGH, r));) read_neighbour((const void *)r->data);
    list_for_each(device, &net_devices, link)
        if (!device->loopback && netif_ip6_addr_state(&device->netif, 1) != IP6_ADDR_INVALID &&
            netif_ip6_addr_state(&device->netif, 0) == IP6_ADDR_INVALID)
            netif_create_ip6_linklocal_address(&device->netif, 1);
}
