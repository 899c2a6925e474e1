/* sync/event.c - a flag that coroutines and threads wait for; it stays set until it is cleared.
 * x_word: SET | LOCKED | WAITERS (sync/queue.h).
 *   set    no WAITERS: -> SET, by CAS. Else it holds the word, claims all who wait, and lets go
 *   with SET clear  SET is taken away, by CAS
 *   wait   holds the word; not SET: into the queue, lets go with WAITERS
 * Order: EV1 acq_rel CAS, or QL1, of set -> EV2 acquire load in wait: what the setter wrote before
 * is visible. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "sync/queue.h"

enum { SET = 4 };

struct event {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct event) <= sizeof(skua_event), "skua_event holds it");

static struct event *event_of(skua_event *e)
{
    return (struct event *)(void *)e;
}

static void wake_all(struct event *event)
{
    struct sk_queue_woken woken = {.first = NULL};
    (void)sk_queue_hold(&event->x_word);
    sk_queue_claim_all(&event->queue, &woken);
    sk_queue_let_go(&event->x_word, SET); /* EV1 */
    sk_queue_finish(&woken);
}

int skua_event_set(skua_event *e)
{
    struct event *event = event_of(e);
    uint64_t word;
    sk_san_release(event);
    do {
        word = sk_queue_settled(&event->x_word);
        if ((word & SET) != 0)
            return 0;
        if ((word & SK_QUEUE_WAITERS) != 0) {
            wake_all(event);
            return 0;
        }
    } while (!sk_solo_cas(&event->x_word, &word, SET)); /* EV1 */
    return 0;
}

int skua_event_clear(skua_event *e)
{
    struct event *event = event_of(e);
    uint64_t word;
    do {
        word = sk_queue_settled(&event->x_word);
    } while ((word & SET) != 0 && !sk_solo_cas(&event->x_word, &word, word & ~(uint64_t)SET));
    return 0;
}

static bool is_set(struct event *event)
{
    return (sk_queue_settled(&event->x_word) & SET) != 0; /* EV2 */
}

/* Into the queue, unless the event is set. */
static bool enqueue(struct event *event, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&event->x_word); /* EV2 */
    bool must_wait = (word & SET) == 0;
    if (must_wait) {
        sk_queue_push(&event->queue, waiter);
        word |= SK_QUEUE_WAITERS;
    }
    sk_queue_let_go(&event->x_word, word);
    return must_wait;
}

static int wait_until_set(struct event *event, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    sk_sched_spend();
    if (is_set(event))
        return 0;
    rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return is_set(event) ? 0 : rc;
    if (!enqueue(event, &waiter)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&event->x_word, &wait); /* EV2 */
    if (rc < 0)
        sk_queue_leave(&event->queue, &event->x_word, &waiter);
    return rc;
}

int skua_event_wait(skua_event *e, skua_time dl)
{
    struct event *event = event_of(e);
    return sk_san_acquired(event, wait_until_set(event, dl));
}
