/* Network devices: a tap of the host, one frame a call. */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle, struct solo5_net_info *info)
{
    const struct solo5_mft_entry *e = spt_acquire(name, SOLO5_MFT_NET_BASIC, handle);

    if (e == NULL)
        return SOLO5_R_EINVAL;
    info->mtu = e->u.net_basic.mtu;
    for (unsigned i = 0; i < SOLO5_NET_ALEN; i++)
        info->mac_address[i] = e->u.net_basic.mac[i];
    return SOLO5_R_OK;
}

solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size)
{
    const struct solo5_mft_entry *e = spt_device(handle, SOLO5_MFT_NET_BASIC);

    if (e == NULL || size > (size_t)e->u.net_basic.mtu + SOLO5_NET_HLEN)
        return SOLO5_R_EINVAL;
    long n = sys_write(e->b.hostfd, buf, size);
    if (n == -SYS_EAGAIN) /* the queue is full: dropped, as promised */
        return SOLO5_R_OK;
    return n == (long)size ? SOLO5_R_OK : SOLO5_R_EUNSPEC;
}

solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size)
{
    const struct solo5_mft_entry *e = spt_device(handle, SOLO5_MFT_NET_BASIC);

    if (e == NULL || size < (size_t)e->u.net_basic.mtu + SOLO5_NET_HLEN)
        return SOLO5_R_EINVAL;
    long n = sys_read(e->b.hostfd, buf, size);
    if (n == -SYS_EAGAIN)
        return SOLO5_R_AGAIN;
    if (n < 0)
        return SOLO5_R_EUNSPEC;
    *read_size = (size_t)n;
    return SOLO5_R_OK;
}
