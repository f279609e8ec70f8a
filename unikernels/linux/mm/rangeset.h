/* A set of addresses as a sorted list of ranges that do not touch. */
#ifndef LINUX_MM_RANGESET_H
#define LINUX_MM_RANGESET_H

#include "lib/types.h"

struct range {
    uaddr_t start, end;
};

struct rangeset {
    struct range *ranges;
    unsigned count, capacity;
};

bool rangeset_add(struct rangeset *set, uaddr_t start, uaddr_t end); /* false: no memory */
/* False: no memory to cut a hole into a range, and the set is as before. */
bool rangeset_remove(struct rangeset *set, uaddr_t start, uaddr_t end);
/* The first part of [start, end) that is in the set; false if there is none. */
bool rangeset_first(const struct rangeset *set, uaddr_t start, uaddr_t end, struct range *found);
/* Bytes of [start, end) that are in the set. */
size_t rangeset_bytes(const struct rangeset *set, uaddr_t start, uaddr_t end);

#endif
