/* The kernel's lib/string.h has the C library's names: on the host the C library itself serves. */
#include <string.h>
