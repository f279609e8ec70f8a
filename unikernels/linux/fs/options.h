/* Options of mounts, as mount(8) has them: name,name=value,… */
#ifndef LINUX_FS_OPTIONS_H
#define LINUX_FS_OPTIONS_H

#include "lib/types.h"

/* The text behind "name=", up to a comma or the end; of several the last one. NULL: it is not given. */
const char *option_value(const char *options, const char *name);
/* The same as a number of that base; false: not given, or no digit. */
bool option_number(const char *options, const char *name, unsigned base, uint64_t *value);
/* The number at text; *end is behind it. */
uint64_t parse_number(const char *text, unsigned base, const char **end);

#endif
