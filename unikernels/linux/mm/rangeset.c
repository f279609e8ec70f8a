#include "mm/rangeset.h"

#include "lib/string.h"
#include "mm/kmalloc.h"

/* Index of the first range that ends behind addr. */
static unsigned find(const struct rangeset *set, uaddr_t addr)
{
    unsigned low = 0, high = set->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (set->ranges[mid].end <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool make_room(struct rangeset *set, unsigned at)
{
    if (set->count == set->capacity) {
        unsigned capacity = set->capacity ? set->capacity * 2 : 32;
        struct range *ranges = krealloc(set->ranges, capacity * sizeof *ranges);
        if (!ranges) return false;
        set->ranges = ranges;
        set->capacity = capacity;
    }
    memmove(set->ranges + at + 1, set->ranges + at, (set->count - at) * sizeof *set->ranges);
    set->count++;
    return true;
}

static void drop(struct rangeset *set, unsigned from, unsigned to)
{
    memmove(set->ranges + from, set->ranges + to, (set->count - to) * sizeof *set->ranges);
    set->count -= to - from;
}

bool rangeset_add(struct rangeset *set, uaddr_t start, uaddr_t end)
{
    unsigned i = find(set, start ? start - 1 : 0), j = i;

    while (j < set->count && set->ranges[j].start <= end) j++;
    if (i == j) {
        if (!make_room(set, i)) return false;
        set->ranges[i] = (struct range){start, end};
        return true;
    }
    set->ranges[i].start = MIN(set->ranges[i].start, start);
    set->ranges[i].end = MAX(set->ranges[j - 1].end, end);
    drop(set, i + 1, j);
    return true;
}

bool rangeset_remove(struct rangeset *set, uaddr_t start, uaddr_t end)
{
    unsigned i = find(set, start);

    if (i < set->count && set->ranges[i].start < start) {
        struct range r = set->ranges[i];
        if (r.end > end) {
            if (!make_room(set, i)) return false;
            set->ranges[i].end = start;
            set->ranges[i + 1].start = end;
            return true;
        }
        set->ranges[i++].end = start;
    }
    unsigned j = i;
    while (j < set->count && set->ranges[j].end <= end) j++;
    drop(set, i, j);
    if (i < set->count && set->ranges[i].start < end) set->ranges[i].start = end;
    return true;
}

bool rangeset_first(const struct rangeset *set, uaddr_t start, uaddr_t end, struct range *found)
{
    unsigned i = find(set, start);

    /* A range that goes on behind the end would be found for ever by who walks to the end. */
    if (start >= end || i == set->count || set->ranges[i].start >= end) return false;
    found->start = MAX(set->ranges[i].start, start);
    found->end = MIN(set->ranges[i].end, end);
    return true;
}

size_t rangeset_bytes(const struct rangeset *set, uaddr_t start, uaddr_t end)
{
    size_t bytes = 0;

    for (unsigned i = find(set, start); i < set->count && set->ranges[i].start < end; i++)
        bytes += MIN(set->ranges[i].end, end) - MAX(set->ranges[i].start, start);
    return bytes;
}
