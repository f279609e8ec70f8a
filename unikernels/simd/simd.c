/*
 * The floating-point unit starts as the ABI says, and what is in its registers
 * stays across host calls.
 */
#include "probe.h"

typedef double vector __attribute__((vector_size(16)));

static volatile double one = 1.0, three = 3.0;
static volatile long double long_three = 3.0L;

int solo5_app_main(const struct solo5_start_info *info)
{
    uint32_t mxcsr;
    uint16_t control;
    vector before = {1.5, -2.5}, after;

    (void)info;
    __asm__("stmxcsr %0" : "=m"(mxcsr));
    if ((mxcsr & 0xffc0) != 0x1f80) /* all exceptions masked, round to nearest (x86-64 psABI 3.4.1) */
        return fail("MXCSR");
    __asm__("fnstcw %0" : "=m"(control));
    if (control != 0x37f)
        return fail("x87 control word");

    const double third = one / three;
    if (third * three != 1.0 || third < 0.333 || third > 0.334)
        return fail("SSE2 arithmetic");
    if (1.0L / long_three == (long double)third)
        return fail("x87 has no more than double precision");

    /* The registers, not what the compiler keeps of them. */
    __asm__ volatile("movapd %0, %%xmm7" : : "x"(before) : "xmm7");
    register long nr __asm__("rax") = 228; /* clock_gettime */
    int64_t ts[2];
    __asm__ volatile("syscall" : "+r"(nr) : "D"(1), "S"(ts) : "rcx", "r11", "memory");
    __asm__ volatile("movapd %%xmm7, %0" : "=x"(after));
    if (nr != 0 || after[0] != 1.5 || after[1] != -2.5)
        return fail("a host call changed a vector register");

    double sum = 0;
    for (int i = 1; i <= 1000; i++) {
        if (i % 100 == 0)
            solo5_yield(0, NULL);
        sum += i * 0.5;
    }
    if (sum != 250250.0)
        return fail("arithmetic across yields");
    return pass();
}
