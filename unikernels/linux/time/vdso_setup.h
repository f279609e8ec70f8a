/* The vDSO: the host's, which the kernel calls, and our own, which programs see. */
#ifndef LINUX_TIME_VDSO_SETUP_H
#define LINUX_TIME_VDSO_SETUP_H

#include "lib/types.h"

void clock_init(void);

/* Address of a symbol in an ELF image that is mapped in memory; 0 if it is not there or the image is none. */
uintptr_t host_vdso_symbol(uintptr_t image, const char *name);

/*
 * The page of code that programs see as linux-vdso.so.1 (time/vdso/): its image,
 * to be copied into a process. vdso_install fills in where the host's functions are.
 */
size_t vdso_image_bytes(void);
void vdso_install(void *copy);

#endif
