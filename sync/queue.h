/* sync/queue.h - those who wait for one object: a list in order of arrival under a spin lock. All-zero is empty.
 * Owns:    struct sk_queue.
 * Threads: any. A struct sk_queue_node lies on its waiter's stack and is touched by others only under the lock, while it is in
 *          the list; a waker claims the wait there (runtime/wait.h) and readies the waiter after it has let the lock go.
 * A node carries the round in which it came. Who wakes everybody names the last round that is meant, so that a waiter that
 * comes while the others are being woken is not woken by mistake. */
#ifndef SK_SYNC_QUEUE_H
#define SK_SYNC_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/list.h"
#include "runtime/base/lock.h"
#include "runtime/wait.h"

struct sk_queue {
    struct sk_list list; /* next NULL: never used */
    struct sk_lock lock;
};

struct sk_queue_node {
    struct sk_wait wait;
    uint32_t round;
};

/* Holder of the lock. */
static inline bool sk_queue_empty_locked(const struct sk_queue *q)
{
    return q->list.next == NULL || sk_list_empty(&q->list);
}

/* Holder of the lock. */
static inline void sk_queue_push_locked(struct sk_queue *q, struct sk_queue_node *node, uint32_t round)
{
    if (q->list.next == NULL)
        sk_list_init(&q->list);
    node->round = round;
    sk_list_push_back(&q->list, &node->wait.link);
}

/* Holder of the lock. Takes out the first waiter whose wait can be claimed: *claim says how it was won, for sk_wait_finish
 * after the lock is let go. NULL: nobody is left. */
struct skua_task *sk_queue_claim_locked(struct sk_queue *q, enum sk_wait_claim *claim);

/* The waiter, after its wait ended early: out of the list, if it is still there. Holder of the lock. */
void sk_queue_drop_locked(struct sk_queue_node *node);

/* Any thread. Wakes all that came in `round` or before it. */
void sk_queue_wake_all(struct sk_queue *q, uint32_t round);

#endif
