#include "sync/queue.h"

/* Waiters readied for one taking of the lock. */
enum { CHUNK = 32 };

struct skua_task *sk_queue_claim_locked(struct sk_queue *q, enum sk_wait_claim *claim)
{
    while (!sk_queue_empty_locked(q)) {
        struct sk_wait *wait = sk_container_of(sk_list_pop_front(&q->list), struct sk_wait, link);
        struct skua_task *task = wait->task; /* once it is claimed the wait may be gone */
        *claim = sk_wait_claim(task, wait->ticket, SK_WAIT_WOKEN);
        if (*claim != SK_WAIT_LOST)
            return task;
    }
    return NULL;
}

void sk_queue_drop_locked(struct sk_queue_node *node)
{
    sk_list_remove(&node->wait.link); /* linked to itself when a waker has taken it out */
}

static bool is_meant(const struct sk_queue *q, uint32_t round)
{
    const struct sk_wait *wait = sk_container_of(q->list.next, struct sk_wait, link);
    const struct sk_queue_node *node = sk_container_of(wait, struct sk_queue_node, wait);
    return (int32_t)(node->round - round) <= 0;
}

void sk_queue_wake_all(struct sk_queue *q, uint32_t round)
{
    struct skua_task *tasks[CHUNK];
    enum sk_wait_claim claims[CHUNK];
    unsigned n;
    do {
        n = 0;
        sk_lock(&q->lock);
        while (n < CHUNK && !sk_queue_empty_locked(q) && is_meant(q, round)) {
            struct sk_wait *wait = sk_container_of(sk_list_pop_front(&q->list), struct sk_wait, link);
            tasks[n] = wait->task;
            claims[n] = sk_wait_claim(wait->task, wait->ticket, SK_WAIT_WOKEN);
            n += claims[n] != SK_WAIT_LOST;
        }
        sk_unlock(&q->lock);
        for (unsigned i = 0; i < n; i++)
            sk_wait_finish(tasks[i], claims[i]);
    } while (n == CHUNK);
}
