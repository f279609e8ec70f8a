/*
 * Circular doubly linked lists that live inside their elements. An element not
 * on any list is initialised to point at itself, so list_del is idempotent.
 */
#ifndef LINUX_LIB_LIST_H
#define LINUX_LIB_LIST_H

#include "lib/types.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert(struct list *l, struct list *prev, struct list *next)
{
    l->prev = prev;
    l->next = next;
    prev->next = l;
    next->prev = l;
}

/* At the front of head. */
static inline void list_add(struct list *head, struct list *l)
{
    list_insert(l, head, head->next);
}

/* At the back of head. */
static inline void list_add_tail(struct list *head, struct list *l)
{
    list_insert(l, head->prev, head);
}

static inline void list_del(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)

#define list_for_each(pos, head, member)                                                    \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* pos may be removed in the body; nothing else may be. */
#define list_for_each_safe(pos, tmp, head, member)                                         \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),                         \
        tmp = list_entry(pos->member.next, __typeof__(*pos), member);                      \
         &pos->member != (head);                                                           \
         pos = tmp, tmp = list_entry(pos->member.next, __typeof__(*pos), member))

#endif
