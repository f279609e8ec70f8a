/* What is open but holds nothing goes back to the account: for when the container's limit is near. */
#ifndef LINUX_MM_RECLAIM_H
#define LINUX_MM_RECLAIM_H

#include "lib/types.h"

/* Looks once at what nobody is known to have touched. Pages that were given back. */
size_t reclaim_untouched(void);

#endif
