#include "fs/options.h"

#include "lib/string.h"

const char *option_value(const char *options, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;

    for (const char *at = options; at && *at; at = *at == ',' ? at + 1 : at) {
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            found = at + len + 1;
        while (*at && *at != ',')
            at++;
    }
    return found;
}

uint64_t parse_number(const char *text, unsigned base, const char **end)
{
    uint64_t value = 0;

    while (*text >= '0' && *text < '0' + (char)base && value < UINT64_MAX / 64)
        value = value * base + (uint64_t)(*text++ - '0');
    *end = text;
    return value;
}

bool option_number(const char *options, const char *name, unsigned base, uint64_t *value)
{
    const char *text = option_value(options, name), *end;

    if (!text)
        return false;
    *value = parse_number(text, base, &end);
    return end != text;
}
