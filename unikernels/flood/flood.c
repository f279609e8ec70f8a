/*
 * Floods the console: "BYTES CHUNK" writes that many bytes, the letters a to z
 * over and over, CHUNK bytes a call.
 */
#include "probe.h"

#define MAX_CHUNK (1u << 20)

static char buffer[MAX_CHUNK + 26];

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *rest = info->cmdline;
    uint64_t left = number_or(&rest, 0);
    uint64_t chunk = number_or(&rest, 4096);
    size_t at = 0;

    if (chunk == 0 || chunk > MAX_CHUNK)
        return fail("chunk");
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (char)('a' + i % 26);
    while (left > 0) {
        const size_t size = left < chunk ? left : chunk;

        solo5_console_write(buffer + at, size);
        at = (at + size) % 26;
        left -= size;
    }
    return SOLO5_EXIT_SUCCESS;
}
