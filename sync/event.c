/* sync/event.c - a flag that coroutines and threads wait for; it stays set until it is cleared.
 * x_word: round << 2 | WAITERS | SET. A set begins a new round: who waited in the old one is woken, who comes after a
 * clear is not.
 *   set    word -> (round + 1) | SET, by CAS; if WAITERS was there, wakes all of the old round
 *   clear  SET is taken away
 *   wait   under the queue's lock: no SET -> WAITERS by CAS, then into the queue
 * Order: EV1 acq_rel CAS of set -> EV2 acquire load in wait: what the setter wrote before is visible. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/atomic.h"
#include "sync/queue.h"

enum { SET = 1, WAITERS = 2, ROUND_SHIFT = 2 };

struct event {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct event) <= sizeof(skua_event), "skua_event holds it");

static struct event *event_of(skua_event *e)
{
    return (struct event *)(void *)e;
}

int skua_event_set(skua_event *e)
{
    struct event *event = event_of(e);
    uint64_t word = sk_load_relaxed(&event->x_word);
    uint64_t round;
    do {
        if ((word & SET) != 0)
            return 0;
        round = word >> ROUND_SHIFT;
    } while (!sk_cas_acq_rel(&event->x_word, &word, (round + 1) << ROUND_SHIFT | SET)); /* EV1 */
    if ((word & WAITERS) != 0)
        sk_queue_wake_all(&event->queue, (uint32_t)round);
    return 0;
}

int skua_event_clear(skua_event *e)
{
    sk_and_acq_rel(&event_of(e)->x_word, ~(uint64_t)SET);
    return 0;
}

/* Into the queue, unless the event is set. */
static bool enqueue(struct event *event, struct sk_queue_node *node)
{
    sk_lock(&event->queue.lock);
    uint64_t word = sk_load_acquire(&event->x_word); /* EV2 */
    while ((word & (SET | WAITERS)) == 0 && !sk_cas_acq_rel(&event->x_word, &word, word | WAITERS)) {
    }
    bool must_wait = (word & SET) == 0;
    if (must_wait)
        sk_queue_push_locked(&event->queue, node, (uint32_t)(word >> ROUND_SHIFT));
    sk_unlock(&event->queue.lock);
    return must_wait;
}

int skua_event_wait(skua_event *e, skua_time dl)
{
    struct event *event = event_of(e);
    struct sk_queue_node node;
    int rc = sk_wait_check_deadline(dl);
    if (rc < 0)
        return rc;
    if ((sk_load_acquire(&event->x_word) & SET) != 0) /* EV2 */
        return 0;
    rc = sk_wait_begin(&node.wait, dl, 0);
    if (rc < 0)
        return (sk_load_acquire(&event->x_word) & SET) != 0 ? 0 : rc;
    if (!enqueue(event, &node)) {
        (void)sk_wait_abandon(&node.wait);
        return 0;
    }
    rc = sk_wait_park(&node.wait);
    if (rc < 0) {
        sk_lock(&event->queue.lock);
        sk_queue_drop_locked(&node);
        sk_unlock(&event->queue.lock);
    }
    return rc;
}
