/*
 * Clocks run forwards; yield with a deadline waits until it and no shorter, and
 * without one does not wait. "forever" waits for a deadline that never comes.
 */
#include "probe.h"

#define MS 1000000ull

int solo5_app_main(const struct solo5_start_info *info)
{
    solo5_time_t last = solo5_clock_monotonic();
    const solo5_time_t first = last;
    solo5_handle_set_t ready = 1;

    if (mode_is(info->cmdline, "forever")) {
        print("waiting\n");
        solo5_yield(UINT64_MAX, NULL);
        return fail("the end of time has come");
    }
    print_field("wall", solo5_clock_wall());
    for (int i = 0; i < 1000; i++) {
        const solo5_time_t now = solo5_clock_monotonic();

        if (now < last)
            return fail("the monotonic clock went back");
        last = now;
    }
    if (last == first)
        return fail("the monotonic clock stands still");

    solo5_yield(0, &ready);
    if (ready != 0)
        return fail("something is ready in a guest without devices");
    solo5_yield(solo5_clock_monotonic(), NULL);

    for (unsigned ms = 1; ms <= 16; ms *= 4) {
        const solo5_time_t deadline = solo5_clock_monotonic() + ms * MS;

        solo5_yield(deadline, &ready);
        if (solo5_clock_monotonic() < deadline)
            return fail("yield came back early");
        if (ready != 0)
            return fail("something is ready in a guest without devices");
    }
    return pass();
}
