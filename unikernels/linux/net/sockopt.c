/* The options of SOL_SOCKET, the same for all families. */
#include <asm/socket.h>
#include <linux/time_types.h>

#include "lib/error.h"
#include "lib/string.h"
#include "mm/uaccess.h"
#include "net/socket.h"
#include "task/task.h"
#include "time/clock.h"

/* net.core.wmem_max, rmem_max; the smallest buffers, as Linux has them. */
#define BUFFER_MAX 212992
#define SNDBUF_MIN 4608
#define RCVBUF_MIN 2304

int sockopt_get_int(uaddr_t value, uint32_t len, int *number)
{
    uint32_t raw;

    if (len < sizeof(raw))
        return -EINVAL;
    if (get_user_u32(&raw, value))
        return -EFAULT;
    *number = (int)raw;
    return 0;
}

int sockopt_put(uaddr_t value, uaddr_t len, const void *data, uint32_t size)
{
    uint32_t room;

    if (get_user_u32(&room, len))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    size = MIN(size, room);
    if (copy_to_user(value, data, size))
        return -EFAULT;
    return put_user_u32(len, size);
}

int sockopt_put_int(uaddr_t value, uaddr_t len, int number)
{
    return sockopt_put(value, len, &number, sizeof(number));
}

/* The options that are yes or no. NULL: it is another one. */
static bool *flag_of(struct socket *sock, int name)
{
    switch (name) {
    case SO_REUSEADDR:
        return &sock->reuseaddr;
    case SO_REUSEPORT:
        return &sock->reuseport;
    case SO_KEEPALIVE:
        return &sock->keepalive;
    case SO_BROADCAST:
        return &sock->broadcast;
    case SO_OOBINLINE:
        return &sock->oobinline;
    case SO_DONTROUTE:
        return &sock->dontroute;
    case SO_DEBUG:
        return &sock->debug;
    case SO_PASSCRED:
        return &sock->passcred;
    case SO_PASSSEC:
        return &sock->passsec;
    case SO_TIMESTAMP_OLD:
        return &sock->timestamp;
    case SO_TIMESTAMPNS_OLD:
        return &sock->timestamp_ns;
    default:
        return NULL;
    }
}

static int set_timeout(int64_t *timeo_ns, uaddr_t value, uint32_t len)
{
    struct __kernel_sock_timeval tv;

    if (len < sizeof(tv))
        return -EINVAL;
    if (copy_from_user(&tv, value, sizeof(tv)))
        return -EFAULT;
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return -EDOM;
    if (tv.tv_sec < 0)
        *timeo_ns = 1; /* over before it begins; Linux means the same */
    else if (tv.tv_sec >= INT64_MAX / NSEC_PER_SEC - 1)
        *timeo_ns = 0;
    else
        *timeo_ns = tv.tv_sec * NSEC_PER_SEC + tv.tv_usec * 1000;
    return 0;
}

static int put_timeout(int64_t timeo_ns, uaddr_t value, uaddr_t len)
{
    struct __kernel_sock_timeval tv = {.tv_sec = timeo_ns / NSEC_PER_SEC, .tv_usec = timeo_ns % NSEC_PER_SEC / 1000};

    return sockopt_put(value, len, &tv, sizeof(tv));
}

static int set_linger(struct socket *sock, uaddr_t value, uint32_t len)
{
    int32_t linger[2]; /* struct linger: l_onoff, l_linger */

    if (len < sizeof(linger))
        return -EINVAL;
    if (copy_from_user(linger, value, sizeof(linger)))
        return -EFAULT;
    sock->linger = linger[0] != 0;
    if (sock->linger)
        sock->linger_seconds = linger[1];
    return 0;
}

/* Twice what was asked for: Linux counts its own structures in it. */
static int buffer_size(int asked, int least)
{
    return MAX((int)MIN((uint32_t)asked, INT32_MAX / 2) * 2, least);
}

static int set_number(struct socket *sock, int name, int number)
{
    switch (name) {
    case SO_SNDBUF:
        sock->sndbuf = buffer_size((int)MIN((uint32_t)number, BUFFER_MAX), SNDBUF_MIN);
        return 0;
    case SO_RCVBUF:
        sock->rcvbuf = buffer_size((int)MIN((uint32_t)number, BUFFER_MAX), RCVBUF_MIN);
        return 0;
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE:
        if (!capable(CAP_NET_ADMIN))
            return -EPERM;
        *(name == SO_SNDBUFFORCE ? &sock->sndbuf : &sock->rcvbuf) =
            buffer_size(MAX(number, 0), name == SO_SNDBUFFORCE ? SNDBUF_MIN : RCVBUF_MIN);
        return 0;
    case SO_RCVLOWAT:
        sock->rcvlowat = number < 0 ? INT32_MAX : MAX(number, 1);
        return 0;
    case SO_PRIORITY:
        if ((number < 0 || number > 6) && !capable(CAP_NET_RAW) && !capable(CAP_NET_ADMIN))
            return -EPERM;
        sock->priority = number;
        return 0;
    case SO_MARK:
        if (!capable(CAP_NET_RAW) && !capable(CAP_NET_ADMIN))
            return -EPERM;
        sock->mark = number;
        return 0;
    case SO_PEEK_OFF:
        if (sock->family != AF_UNIX)
            return -EOPNOTSUPP;
        sock->peek_off = number;
        return 0;
    case SO_NO_CHECK:
    case SO_BUSY_POLL:
    case SO_RXQ_OVFL:
        return 0;
    case SO_TYPE:
    case SO_PROTOCOL:
    case SO_DOMAIN:
    case SO_ERROR:
    default:
        return -ENOPROTOOPT;
    }
}

int socket_setsockopt(struct socket *sock, int name, uaddr_t value, uint32_t len)
{
    bool *flag = flag_of(sock, name);
    int number, err;

    switch (name) {
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
        err = set_timeout(&sock->rcvtimeo_ns, value, len);
        break;
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
        err = set_timeout(&sock->sndtimeo_ns, value, len);
        break;
    case SO_LINGER:
        err = set_linger(sock, value, len);
        break;
    case SO_BINDTODEVICE:
        return -EPERM; /* CAP_NET_RAW is not enough: there is one device, and the host's */
    case SO_ATTACH_FILTER:
    case SO_ATTACH_BPF:
        return -ENOPROTOOPT; /* no BPF here: programs filter themselves */
    default:
        err = sockopt_get_int(value, len, &number);
        if (err)
            return err;
        if (flag)
            *flag = number != 0;
        else
            err = set_number(sock, name, number);
    }
    if (!err && sock->ops->option_changed)
        sock->ops->option_changed(sock, name);
    return err;
}

static int get_number(struct socket *sock, int name, int *number)
{
    switch (name) {
    case SO_TYPE:
        *number = sock->type;
        return 0;
    case SO_DOMAIN:
        *number = sock->family;
        return 0;
    case SO_PROTOCOL:
        *number = sock->protocol;
        return 0;
    case SO_ERROR:
        *number = -socket_take_error(sock);
        return 0;
    case SO_ACCEPTCONN:
        *number = sock->listening;
        return 0;
    case SO_SNDBUF:
        *number = sock->sndbuf;
        return 0;
    case SO_RCVBUF:
        *number = sock->rcvbuf;
        return 0;
    case SO_RCVLOWAT:
        *number = sock->rcvlowat;
        return 0;
    case SO_SNDLOWAT:
        *number = 1;
        return 0;
    case SO_PRIORITY:
        *number = sock->priority;
        return 0;
    case SO_MARK:
        *number = sock->mark;
        return 0;
    case SO_PEEK_OFF:
        if (sock->family != AF_UNIX)
            return -EOPNOTSUPP;
        *number = sock->peek_off;
        return 0;
    case SO_NO_CHECK:
    case SO_BUSY_POLL:
    case SO_RXQ_OVFL:
        *number = 0;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int socket_getsockopt(struct socket *sock, int name, uaddr_t value, uaddr_t len)
{
    const bool *flag = flag_of(sock, name);
    int32_t linger[2] = {sock->linger, sock->linger_seconds};
    uint32_t peer[3] = {0, UINT32_MAX, UINT32_MAX};
    struct socket_address addr = {0};
    int number;

    switch (name) {
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
        return put_timeout(sock->rcvtimeo_ns, value, len);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
        return put_timeout(sock->sndtimeo_ns, value, len);
    case SO_LINGER:
        return sockopt_put(value, len, linger, sizeof(linger));
    case SO_PEERCRED:
        if (sock->ops->peercred)
            sock->ops->peercred(sock, peer);
        return sockopt_put(value, len, peer, sizeof(peer));
    case SO_PEERNAME:
        if (!sock->ops->getname || sock->ops->getname(sock, true, &addr))
            return -ENOTCONN;
        return sockopt_put(value, len, &addr.storage, addr.len);
    default:
        number = flag ? *flag : 0;
        int err = flag ? 0 : get_number(sock, name, &number);
        return err ? err : sockopt_put_int(value, len, number);
    }
}
