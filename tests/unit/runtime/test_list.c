/* tests/unit/runtime/test_list.c - the intrusive list. */
#include "runtime/base/list.h"

#include "tests/support/skt.h"

struct item {
    int number;
    struct sk_list link;
};

static int pop(struct sk_list *head)
{
    struct sk_list *node = sk_list_pop_front(head);
    return node != NULL ? sk_container_of(node, struct item, link)->number : -1;
}

/* Goal: first in, first out. */
SKT_TEST(list, order)
{
    struct sk_list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    sk_list_init(&head);
    SKT_TRUE(sk_list_empty(&head));
    SKT_EQ(pop(&head), -1);
    for (int i = 0; i < 3; i++)
        sk_list_push_back(&head, &items[i].link);
    SKT_FALSE(sk_list_empty(&head));
    for (int i = 0; i < 3; i++)
        SKT_EQ(pop(&head), i);
    SKT_TRUE(sk_list_empty(&head));
}

/* Goal: a node is removed from anywhere, and a second removal does no harm. */
SKT_TEST(list, remove)
{
    struct sk_list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    sk_list_init(&head);
    for (int i = 0; i < 3; i++)
        sk_list_push_back(&head, &items[i].link);
    sk_list_remove(&items[1].link);
    sk_list_remove(&items[1].link);
    SKT_EQ(pop(&head), 0);
    SKT_EQ(pop(&head), 2);
    SKT_EQ(pop(&head), -1);
    sk_list_push_back(&head, &items[1].link);
    sk_list_remove(&items[1].link);
    SKT_TRUE(sk_list_empty(&head));
}
