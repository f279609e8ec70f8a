/* Connecting: by lwIP, or straight to a listener of this kernel. */
#include <linux/eventpoll.h>
#include <linux/in.h>

#include "lib/string.h"
#include "lwip/priv/tcp_priv.h"
#include "net/inet/resolver.h"
#include "net/inet/tcp.h"
#include "net/lwip/device.h"
#include "net/lwip/pool.h"

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct tcp_conn *conn = arg;
    (void)pcb;
    (void)err;

    conn_established(conn);
    if (conn->sock) {
        conn->sock->state = TCP_SOCK_CONNECTED;
        socket_wake(&conn->sock->inet.base, EPOLLOUT | EPOLLWRNORM);
    }
    return ERR_OK;
}

static int connect_link(struct tcp_sock *tcp)
{
    struct inet_sock *inet = &tcp->inet;
    int err = -ENOMEM;

    net_enter();
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (!pcb) goto out;
    if (!conn_new(pcb)) {
        tcp_abort(pcb);
        goto out;
    }
    ip_addr_copy(pcb->local_ip, inet->local);
    pcb->local_port = inet->local_port;
    tcp_attach(tcp, conn_of(pcb));
    err_t result = tcp_connect(pcb, &inet->remote, inet->remote_port, on_connected);
    if (result != ERR_OK) {
        tcp_abort_conn(tcp);
        err = result == ERR_RTE ? -ENETUNREACH : -ENOMEM;
        goto out;
    }
    tcp->conn->wire_mss = pcb->mss;
    conn_hash(tcp->conn);
    err = 0;
out:
    net_leave();
    return err;
}

static int connect_local(struct tcp_sock *tcp)
{
    if (resolver_is(&tcp->inet.remote, tcp->inet.remote_port)) return resolver_connect(tcp);
    struct tcp_sock *listener = tcp_listener_find(&tcp->inet.remote, tcp->inet.remote_port, &tcp->inet.local,
                                                  tcp->inet.local_port);

    if (!listener) return -ECONNREFUSED;
    tcp->local = true;
    if (tcp_local_connect(tcp, listener)) tcp->state = TCP_SOCK_CONNECTED;
    return 0;
}

/* The local end: as bound, or what leads to the peer. A port, if there is none yet. */
static int choose_local(struct inet_sock *inet)
{
    ip_addr_t source = *IP_ADDR_ANY;

    if (!net_source_address(&inet->remote, &source)) return -ENETUNREACH;
    ip_addr_t before = inet->local;
    if (ip_addr_isany(&inet->local)) inet->local = source;
    if (inet->local_port) return 0;
    int err = port_take(inet, 0);
    if (err) inet->local = before;
    return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
}

static int begin(struct tcp_sock *tcp, const struct socket_address *addr)
{
    struct inet_sock *inet = &tcp->inet;
    int err = inet_address_in(inet, addr, &inet->remote, &inet->remote_port);

    if (err) return err;
    if (ip_addr_isany(&inet->remote)) { /* "this machine" */
        if (IP_IS_V6(&inet->remote))
            inet->remote = (ip_addr_t)IPADDR6_INIT_HOST(0, 0, 0, 1);
        else
            inet->remote = (ip_addr_t)IPADDR4_INIT_BYTES(127, 0, 0, 1);
    }
    if (ip_addr_ismulticast(&inet->remote) || net_is_broadcast(&inet->remote)) return -ENETUNREACH;
    if (inet->local_given && IP_GET_TYPE(&inet->local) != IP_GET_TYPE(&inet->remote)) return -ENETUNREACH;
    err = choose_local(inet);
    if (err) return err;
    tcp->local = tcp->eof = tcp->rx_shut = tcp->tx_shut = tcp->was_reset = false;
    tcp->state = TCP_SOCK_CONNECTING;
    err = net_is_local(&inet->remote) ? connect_local(tcp) : connect_link(tcp);
    if (err) tcp->state = TCP_SOCK_CLOSED;
    return err;
}

static void forget_ends(struct tcp_sock *tcp)
{
    struct inet_sock *inet = &tcp->inet;

    inet->remote_port = 0;
    inet->remote = inet->base.family == AF_INET6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
    if (!inet->local_given) inet->local = inet->remote;
    if (!inet->port_given) {
        port_release(inet);
        inet->local_port = 0;
    }
}

/* connect(AF_UNSPEC): what was connected is no more, and the socket can be used anew. */
static int disconnect(struct tcp_sock *tcp)
{
    if (tcp->state == TCP_SOCK_LISTEN) tcp_listener_close(tcp);
    if (tcp->conn) tcp_abort_conn(tcp);
    tcp->state = TCP_SOCK_CLOSED;
    tcp->was_reset = false;
    forget_ends(tcp);
    return 0;
}

int tcp_sock_connect(struct socket *sock, const struct socket_address *addr, int64_t deadline)
{
    struct tcp_sock *tcp = tcp_of(sock);

    if (addr->len < sizeof(uint16_t)) return -EINVAL;
    if (addr->storage.ss_family == AF_UNSPEC) return disconnect(tcp);
    switch (tcp->state) {
    case TCP_SOCK_CONNECTED:
        if (!tcp->first) return -EISCONN;
        tcp->first = false;
        return 0;
    case TCP_SOCK_LISTEN:
        return -EISCONN;
    case TCP_SOCK_CONNECTING:
        if (deadline == DONT_WAIT) return -EALREADY;
        break;
    case TCP_SOCK_CLOSED:
        if (sock->error || tcp->first) {
            tcp->first = false;
            int pending = socket_take_error(sock);
            forget_ends(tcp);
            return pending ? pending : -ECONNABORTED;
        }
        int err = begin(tcp, addr);
        if (err == -ECONNREFUSED && deadline == DONT_WAIT) { /* as if the answer came a moment later */
            tcp->first = true;
            tcp_dead(tcp, ECONNREFUSED);
            return -EINPROGRESS;
        }
        if (err) {
            forget_ends(tcp);
            return err;
        }
        tcp->first = true;
        if (deadline == DONT_WAIT) return -EINPROGRESS;
        break;
    }
    int err = socket_wait(sock, tcp->state != TCP_SOCK_CONNECTING, deadline);
    if (err) return err == -EAGAIN ? -EINPROGRESS : err;
    tcp->first = false;
    if (tcp->state == TCP_SOCK_CONNECTED) return 0;
    err = socket_take_error(sock);
    forget_ends(tcp);
    return err ? err : -ECONNREFUSED;
}

void tcp_icmp_error(const ip_addr_t *from, uint16_t from_port, const ip_addr_t *to, uint16_t to_port,
                    uint32_t sequence, int error, uint32_t mtu)
{
    struct tcp_conn *conn = conn_find(from, from_port, to, to_port);

    if (!conn || !conn->pcb || !TCP_SEQ_BETWEEN(sequence, conn->pcb->lastack, conn->pcb->snd_nxt)) return;
    if (mtu) { /* RFC 1191: the frames get smaller; lwIP sends again what was lost */
        uint32_t headers = IP_IS_V6(from) ? 60 : 40;
        if (mtu >= 552 && mtu - headers < conn->wire_mss) conn->wire_mss = mtu - headers;
        return;
    }
    /* RFC 5461: hard for a connection that is being made, soft for others. */
    struct tcp_sock *tcp = conn->sock;
    if (!tcp || tcp->state != TCP_SOCK_CONNECTING) return;
    tcp_abort_conn(tcp);
    tcp_dead(tcp, error);
}
