/*
 * A network device: "info" prints its address and MTU, "check" proves what the
 * interface refuses, "ping N" is 10.0.0.2 and answers N echo requests.
 */
#include "ping.h"

static int check(void)
{
    solo5_handle_t net, again;
    struct solo5_net_info info;
    size_t size;
    solo5_handle_set_t ready;
    uint8_t frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}; /* local experiment */

    if (solo5_net_acquire("net", &net, &info) != SOLO5_R_OK)
        return fail("acquire");
    if (solo5_net_acquire("nothing", &again, &info) != SOLO5_R_EINVAL)
        return fail("acquired a device that is not declared");
    if (solo5_net_write(net, frame, sizeof frame) != SOLO5_R_OK)
        return fail("write");
    if (solo5_net_write(net, ping_frame, info.mtu + SOLO5_NET_HLEN) != SOLO5_R_OK)
        return fail("write of the longest frame");
    if (solo5_net_write(net + 1, frame, sizeof frame) != SOLO5_R_EINVAL ||
        solo5_net_read(64, ping_frame, sizeof ping_frame, &size) != SOLO5_R_EINVAL)
        return fail("no handle");
    if (solo5_block_read(net, 0, ping_frame, 512) != SOLO5_R_EINVAL)
        return fail("a network device is no block device");
    /* Whatever the host has sent so far, then nothing. */
    for (solo5_result_t r = SOLO5_R_OK; r != SOLO5_R_AGAIN;) {
        r = solo5_net_read(net, ping_frame, info.mtu + SOLO5_NET_HLEN, &size);
        if (r != SOLO5_R_OK && r != SOLO5_R_AGAIN)
            return fail("read");
    }
    solo5_yield(0, &ready);
    if ((ready & ~(1ull << net)) != 0)
        return fail("another device is ready");
    return pass();
}

int solo5_app_main(const struct solo5_start_info *start)
{
    const char *rest = start->cmdline;
    size_t len;
    const char *mode = next_word(&rest, &len);
    struct ping_device device = {.name = "net", .address = {10, 0, 0, 2}};

    if (word_is(mode, len, "check"))
        return check();
    if (word_is(mode, len, "ping"))
        return ping_run(&device, 1, number_or(&rest, UINT64_MAX));
    if (solo5_net_acquire("net", &device.handle, &device.info) != SOLO5_R_OK)
        return fail("acquire");
    ping_describe(&device);
    return SOLO5_EXIT_SUCCESS;
}
