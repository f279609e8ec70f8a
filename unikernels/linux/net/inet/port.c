/* Ports: who has one, and who may share it (as inet_csk_bind_conflict() and udp of Linux have it). */
#include <linux/capability.h>
#include <linux/in.h>

#include "lib/random.h"
#include "lib/string.h"
#include "net/inet/inet.h"
#include "net/inet/tcp.h"
#include "net/lwip/siphash.h"
#include "task/cred.h"
#include "task/task.h"

#define BUCKETS 256u

static struct list table[3][BUCKETS];

static enum port_space space_of(const struct inet_sock *inet)
{
    switch (inet->base.protocol) {
    case IPPROTO_TCP: return PORTS_TCP;
    case IPPROTO_UDP: return PORTS_UDP;
    default: return PORTS_ECHO;
    }
}

static struct list *bucket_of(enum port_space space, uint16_t port)
{
    struct list *bucket = &table[space][port % BUCKETS];

    if (!bucket->next) list_init(bucket);
    return bucket;
}

static bool overlap(const struct inet_sock *a, const struct inet_sock *b)
{
    const bool any_a = ip_addr_isany(&a->local), any_b = ip_addr_isany(&b->local);
    const bool v4_a = IP_IS_V4(&a->local), v4_b = IP_IS_V4(&b->local);

    if (v4_a != v4_b) {
        /* An IPv6 socket on any address takes IPv4 too, unless it was told not to. */
        const struct inet_sock *six = v4_a ? b : a;
        return ip_addr_isany(&six->local) && !six->v6only;
    }
    return any_a || any_b || ip_addr_cmp(&a->local, &b->local);
}

static bool may_share(const struct inet_sock *a, const struct inet_sock *b, bool to_listen)
{
    const bool stream = a->base.type == SOCK_STREAM;

    if (a->base.reuseport && b->base.reuseport) return true;
    if (!a->base.reuseaddr || !b->base.reuseaddr) return false;
    return !stream || (!b->base.listening && !(to_listen && b->base.listening));
}

static bool conflicts(const struct inet_sock *inet, uint16_t port, bool to_listen)
{
    struct list *bucket = bucket_of(space_of(inet), port);
    const struct inet_sock *other;

    list_for_each(other, bucket, port_link) {
        if (other == inet || other->local_port != port || !overlap(inet, other)) continue;
        if (to_listen && !other->base.listening) continue;
        if (!may_share(inet, other, to_listen)) return true;
    }
    return !to_listen && inet->base.type == SOCK_STREAM && tcp_port_accepted(port, inet->base.reuseaddr);
}

static int take(struct inet_sock *inet, uint16_t port)
{
    inet->local_port = port;
    list_add_tail(bucket_of(space_of(inet), port), &inet->port_link);
    return 0;
}

int port_take(struct inet_sock *inet, uint16_t port)
{
    const uint32_t range = inet_settings.last_port - inet_settings.first_port + 1;
    uint32_t start;

    if (port > 0) {
        if (port < inet_settings.first_unprivileged_port && !cred_capable(current->cred, CAP_NET_BIND_SERVICE)) return -EACCES;
        return conflicts(inet, port, false) ? -EADDRINUSE : take(inet, port);
    }
    random_bytes(&start, sizeof(start));
    for (uint32_t i = 0; i < range; i++) {
        port = (uint16_t)(inet_settings.first_port + (start + i) % range);
        const struct list *bucket = bucket_of(space_of(inet), port);
        bool used = false;
        const struct inet_sock *other;
        list_for_each(other, bucket, port_link) used |= other->local_port == port;
        if (!used && !(inet->base.type == SOCK_STREAM && tcp_port_accepted(port, false))) return take(inet, port);
    }
    return -EADDRINUSE;
}

void port_release(struct inet_sock *inet)
{
    list_del(&inet->port_link);
}

int port_may_listen(const struct inet_sock *inet)
{
    return conflicts(inet, inet->local_port, true) ? -EADDRINUSE : 0;
}

struct inet_sock *port_next(enum port_space space, uint16_t port, struct inet_sock *after)
{
    struct list *bucket = bucket_of(space, port);
    struct list *at = after ? after->port_link.next : bucket->next;

    for (; at != bucket; at = at->next) {
        struct inet_sock *inet = list_entry(at, struct inet_sock, port_link);
        if (inet->local_port == port) return inet;
    }
    return NULL;
}

struct inet_sock *port_find(enum port_space space, bool listening, const ip_addr_t *local, uint16_t local_port,
                            const ip_addr_t *remote, uint16_t remote_port)
{
    struct inet_sock *inet = NULL, *best = NULL;
    uint32_t group = 0;
    int best_score = 0;

    while ((inet = port_next(space, local_port, inet))) {
        if (listening && !inet->base.listening) continue;
        int score = inet_match(inet, local, local_port, remote, remote_port);
        if (score == 0 || score < best_score) continue;
        group = score > best_score ? 1 : group + 1;
        best_score = score;
        best = inet;
    }
    if (group < 2 || !best->base.reuseport) return best;
    /* One of several that share the port: the same one for the same peer. */
    uint64_t words[3] = {(uint64_t)local_port << 16 | remote_port};
    memcpy(&words[1], &remote->u_addr, 16);
    uint32_t pick = (uint32_t)(net_siphash(words, 3) % group);
    for (inet = NULL; (inet = port_next(space, local_port, inet));) {
        if (listening && !inet->base.listening) continue;
        if (inet_match(inet, local, local_port, remote, remote_port) == best_score && pick-- == 0) return inet;
    }
    return best;
}
