/* Data that the kernel writes into each copy of the vDSO. */
#ifndef LINUX_TIME_VDSO_VDSO_H
#define LINUX_TIME_VDSO_VDSO_H

#include <stdint.h>

struct vdso_data {
    uint64_t host_clock_gettime; /* in the host's vDSO; 0: there is none */
    int64_t monotonic_offset_ns;
};

#endif
