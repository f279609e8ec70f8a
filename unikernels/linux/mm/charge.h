/*
 * What programs' memory costs.
 *
 * An address is charged while the host may hold a page of the container's for
 * it: from when a program may write to it until it is given back. There is one
 * page for each address, so it is charged once, whoever maps it; what processes
 * have there beside (mm/share.h) is the kernel's. The host's page tables are
 * counted too, for good, since it never gives them back.
 *
 * Nothing is charged beyond the limit but by charge_always, so that the host
 * never has to end the container for want of memory.
 */
#ifndef LINUX_MM_CHARGE_H
#define LINUX_MM_CHARGE_H

#include "lib/types.h"

struct range;

/* Addresses from end on are not counted. */
void charge_init(uaddr_t end);

/* Pages that charging [start, end) would take, its page tables included. tables: of those alone, for memory that is read. */
size_t charge_cost(uaddr_t start, uaddr_t end, bool tables);
/* False: there is not so much left, or no memory to note it; nothing has changed. */
bool charge(uaddr_t start, uaddr_t end);
bool charge_tables(uaddr_t start, uaddr_t end);
/* Over the limit if need be: memory of an image that is read, which is never denied; and where the alternative is to lose what a program has, page by page. */
void charge_tables_always(uaddr_t start, uaddr_t end);
void charge_always(uaddr_t start, uaddr_t end);
/* Given back to the host. */
void uncharge(uaddr_t start, uaddr_t end);

/* The first part of [start, end) that is charged. */
bool charge_first(uaddr_t start, uaddr_t end, struct range *found);
size_t charge_pages(uaddr_t start, uaddr_t end);
/* Pieces that charged memory lies in: the host has at least as many mappings. */
unsigned charge_pieces(void);

#endif
