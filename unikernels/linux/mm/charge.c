#include "mm/charge.h"

#include "mm/page_impl.h"
#include "mm/rangeset.h"

#define BLOCK_BYTES (2ul << 20) /* that one of the host's page tables maps */

static struct {
    struct rangeset set;
    uint64_t *tables; /* bit n: block n has been open */
    size_t blocks;
} charged;

void charge_init(uaddr_t end)
{
    charged.blocks = (end + BLOCK_BYTES - 1) / BLOCK_BYTES;
    charged.tables = page_alloc_zeroed((charged.blocks / 8 + PAGE_SIZE) / PAGE_SIZE);
}

static bool has_table(size_t block)
{
    return !charged.tables || block >= charged.blocks || charged.tables[block / 64] >> block % 64 & 1;
}

static size_t tables_missing(uaddr_t start, uaddr_t end)
{
    size_t n = 0;

    for (size_t block = start / BLOCK_BYTES; block * BLOCK_BYTES < end; block++) n += !has_table(block);
    return n;
}

static void note_tables(uaddr_t start, uaddr_t end)
{
    for (size_t block = start / BLOCK_BYTES; block * BLOCK_BYTES < end; block++) {
        if (has_table(block)) continue;
        charged.tables[block / 64] |= 1ull << block % 64;
        page_account_tables(1);
    }
}

static size_t pages_missing(uaddr_t start, uaddr_t end)
{
    return (end - start) / PAGE_SIZE - charge_pages(start, end);
}

size_t charge_cost(uaddr_t start, uaddr_t end, bool tables)
{
    return tables_missing(start, end) + (tables ? 0 : pages_missing(start, end));
}

static bool note(uaddr_t start, uaddr_t end)
{
    size_t pages = pages_missing(start, end);
    unsigned pieces = charged.set.count;

    note_tables(start, end);
    if (!pages) return true;
    if (!rangeset_add(&charged.set, start, end)) return false;
    page_account_user((ssize_t)pages);
    page_account_mappings((ssize_t)charged.set.count - (ssize_t)pieces);
    return true;
}

bool charge(uaddr_t start, uaddr_t end)
{
    return page_make_room(charge_cost(start, end, false)) && note(start, end);
}

bool charge_tables(uaddr_t start, uaddr_t end)
{
    if (!page_make_room(tables_missing(start, end))) return false;
    note_tables(start, end);
    return true;
}

void charge_tables_always(uaddr_t start, uaddr_t end)
{
    note_tables(start, end);
}

void charge_always(uaddr_t start, uaddr_t end)
{
    note(start, end);
}

void uncharge(uaddr_t start, uaddr_t end)
{
    size_t pages = charge_pages(start, end);
    unsigned pieces = charged.set.count;

    /* Without memory to note a hole it stays charged, which errs on the safe side. */
    if (!pages || !rangeset_remove(&charged.set, start, end)) return;
    page_account_user(-(ssize_t)pages);
    page_account_mappings((ssize_t)charged.set.count - (ssize_t)pieces);
}

bool charge_first(uaddr_t start, uaddr_t end, struct range *found)
{
    return rangeset_first(&charged.set, start, end, found);
}

size_t charge_pages(uaddr_t start, uaddr_t end)
{
    return rangeset_bytes(&charged.set, start, end) / PAGE_SIZE;
}

unsigned charge_pieces(void)
{
    return charged.set.count;
}
