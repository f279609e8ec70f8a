/* The Internet checksum (RFC 1071), eight bytes at a time. */
#include "lib/types.h"
#include "arch/cc.h"

uint16_t net_checksum(const void *data, int len)
{
    const uint8_t *p = data;
    uint64_t sum = 0, word;

    for (; len >= 8; len -= 8, p += 8) {
        __builtin_memcpy(&word, p, 8);
        sum += word;
        sum += sum < word; /* the carry comes around */
    }
    word = 0;
    __builtin_memcpy(&word, p, (size_t)len & 7);
    sum += word;
    sum += sum < word;
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}
