/*
 * Thread-local storage on x86-64 (System V ABI, "variant II"): the variables end
 * at the thread pointer, which points to itself, and the linker has laid them
 * out for a thread pointer that is a multiple of their largest alignment.
 */
#include "boot.h"
#include "solo5.h"
#include "sys.h"

/* From the linker script: an address, and three numbers as the addresses of symbols. */
extern const char _tls_image[];      /* initial values: .tdata */
extern const char _tls_image_size[]; /* bytes of .tdata */
extern const char _tls_size[];       /* bytes of .tdata and .tbss, the gap between them included */
extern const char _tls_align[];      /* largest alignment of the two, a power of two */

/* The compiler knows that no object has the address 0, and must not know that this is one's address. */
static size_t number(const char *symbol)
{
    size_t value = (size_t)symbol;

    __asm__("" : "+r"(value));
    return value;
}

/* The thread pointer points to itself, so it is at least as aligned as a pointer. */
static size_t tp_align(void)
{
    const size_t align = number(_tls_align);

    return align < sizeof(uintptr_t) ? sizeof(uintptr_t) : align;
}

/* As the linker counts: rounded up to their own alignment, which may be less. */
static size_t variables_size(void)
{
    const size_t align = number(_tls_align);

    return (number(_tls_size) + align - 1) & ~(align - 1);
}

size_t solo5_tls_size(void)
{
    return variables_size() + tp_align() - 1 + sizeof(uintptr_t);
}

uintptr_t solo5_tls_tp_offset(uintptr_t tls)
{
    return (tls + variables_size() + tp_align() - 1) & ~(uintptr_t)(tp_align() - 1);
}

solo5_result_t solo5_tls_init(uintptr_t tls)
{
    if (tls == 0)
        return SOLO5_R_EINVAL;

    const uintptr_t tp = solo5_tls_tp_offset(tls);
    uint8_t *variables = (uint8_t *)(tp - variables_size());
    const size_t image_size = number(_tls_image_size);
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
