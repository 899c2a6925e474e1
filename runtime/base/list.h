/* runtime/base/list.h - an intrusive doubly linked list; the head is a node of its own.
 * Threads: none of its own; whoever owns the list, or holds its lock, may call. */
#ifndef SK_RUNTIME_BASE_LIST_H
#define SK_RUNTIME_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct sk_list {
    struct sk_list *prev;
    struct sk_list *next;
};

#define sk_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void sk_list_init(struct sk_list *head)
{
    head->prev = head->next = head;
}

static inline bool sk_list_empty(const struct sk_list *head)
{
    return head->next == head;
}

static inline void sk_list_push_back(struct sk_list *head, struct sk_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Leaves node linked to itself, so that a second removal does no harm. */
static inline void sk_list_remove(struct sk_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    sk_list_init(node);
}

/* NULL when empty. */
static inline struct sk_list *sk_list_pop_front(struct sk_list *head)
{
    struct sk_list *node = head->next;
    if (node == head)
        return NULL;
    sk_list_remove(node);
    return node;
}

#endif
