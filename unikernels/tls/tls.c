/*
 * Thread-local variables: two blocks are two sets of variables, each with its
 * initial values, zeros and alignment (which Solo5's own bindings, 0.12, do not
 * keep). "none" touches one before there is a block, "refused" asks for an
 * impossible base.
 */
#include "probe.h"

static __thread volatile uint64_t initialised = 0xc0ffee;
static __thread volatile uint64_t zero;
static __thread volatile uint8_t aligned[64] __attribute__((aligned(64))) = {1, 2, 3};
static __thread volatile uint8_t zero_aligned[3] __attribute__((aligned(128)));

static uint8_t memory[2][16384];

static int check_fresh(void)
{
    if (initialised != 0xc0ffee || aligned[2] != 3)
        return fail("initial values");
    if (zero != 0 || aligned[63] != 0 || zero_aligned[2] != 0)
        return fail("zeros");
    if (((uintptr_t)aligned & 63) != 0 || ((uintptr_t)zero_aligned & 127) != 0)
        return fail("alignment");
    return SOLO5_EXIT_SUCCESS;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uintptr_t block[2];

    if (mode_is(info->cmdline, "none"))
        return (int)initialised;
    if (mode_is(info->cmdline, "refused"))
        return solo5_set_tls_base(1ull << 63) == SOLO5_R_EINVAL ? pass() : fail("a non-canonical base was taken");
    if (solo5_tls_init(0) != SOLO5_R_EINVAL)
        return fail("a NULL block was taken");
    if (solo5_tls_size() > sizeof memory[0] - 8)
        return fail("size");
    for (unsigned i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof memory[i]; j++)
            memory[i][j] = 0xee; /* a block is not zero before */
        block[i] = (uintptr_t)memory[i] + 8 * i;
        if (solo5_tls_init(block[i]) != SOLO5_R_OK)
            return fail("init");
        if (memory[i][solo5_tls_size() + 8 * i] != 0xee)
            return fail("init wrote beyond the block");
        if (solo5_set_tls_base(solo5_tls_tp_offset(block[i])) != SOLO5_R_OK)
            return fail("set base");
        if (check_fresh() != SOLO5_EXIT_SUCCESS)
            return SOLO5_EXIT_FAILURE;
        initialised = i;
        zero = 100 + i;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (solo5_set_tls_base(solo5_tls_tp_offset(block[i])) != SOLO5_R_OK)
            return fail("set base again");
        if (initialised != i || zero != 100 + i)
            return fail("the threads share a variable");
    }
    return pass();
}
