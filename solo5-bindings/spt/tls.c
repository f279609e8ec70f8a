/*
 * Thread-local storage on x86-64 (System V ABI, "variant II"): the variables end
 * at the thread pointer, which points to itself, and the linker has laid them
 * out for a thread pointer that is a multiple of their largest alignment.
 */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

/* Numbers and an address from the linker script. */
extern const char _tls_image[];      /* initial values: .tdata */
extern const char _tls_image_size[]; /* bytes of .tdata */
extern const char _tls_size[];       /* bytes of .tdata and .tbss, the gap between them included */
extern const char _tls_align[];      /* largest alignment of the two, a power of two */

static size_t variables_size(void)
{
    const size_t align = (size_t)_tls_align;

    return ((size_t)_tls_size + align - 1) & ~(align - 1);
}

size_t solo5_tls_size(void)
{
    return (size_t)_tls_align - 1 + variables_size() + sizeof(uintptr_t);
}

uintptr_t solo5_tls_tp_offset(uintptr_t tls)
{
    const uintptr_t align = (uintptr_t)_tls_align;

    return (tls + variables_size() + align - 1) & ~(align - 1);
}

solo5_result_t solo5_tls_init(uintptr_t tls)
{
    if (tls == 0)
        return SOLO5_R_EINVAL;

    const uintptr_t tp = solo5_tls_tp_offset(tls);
    uint8_t *variables = (uint8_t *)(tp - variables_size());
    const size_t image_size = (size_t)_tls_image_size;
    size_t i = 0;

    for (; i < image_size; i++)
        variables[i] = (uint8_t)_tls_image[i];
    for (; i < variables_size(); i++)
        variables[i] = 0;
    *(uintptr_t *)tp = tp;
    return SOLO5_R_OK;
}

solo5_result_t solo5_set_tls_base(uintptr_t base)
{
    return sys_set_fs(base) == 0 ? SOLO5_R_OK : SOLO5_R_EINVAL;
}
