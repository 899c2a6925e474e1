/* sync/barrier.c - waits until n have arrived, again and again.
 * x_word: those who have arrived << 2 | LOCKED | WAITERS (sync/queue.h). All under LOCKED:
 *   wait   the n-th takes all out of the queue and lets go with 0: the next round may begin at
 *          once, for those of the last one are in no list any more; the others count and queue
 *   leave  who is told that its wait is over, but was taken out of the queue before it could leave,
 *          was counted: the round is complete, and it has taken part
 * So it is the queue that says who takes part in a round, and not who has won whose claim: claims
 * are won one by one, and the n-th could win some and lose others.
 * Order: BA1 QL1 of the n-th -> BA2 QL2 of those woken; what each wrote before it came is visible by
 * its own QL1 and the n-th's QL2. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "sync/queue.h"

enum { COUNT_SHIFT = 2, ONE = 1 << COUNT_SHIFT };

struct barrier {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
    uint64_t parties; /* never changes */
};

static_assert(sizeof(struct barrier) == sizeof(skua_barrier), "skua_barrier holds it");
static_assert(offsetof(struct barrier, parties) == 3 * sizeof(uint64_t),
              "SKUA_BARRIER_INIT relies on it");

static struct barrier *barrier_of(skua_barrier *b)
{
    return (struct barrier *)(void *)b;
}

/* Holder of the word. */
static void release_all(struct barrier *barrier)
{
    struct sk_queue_woken woken = {.first = NULL};
    sk_queue_claim_all(&barrier->queue, &woken);
    sk_queue_let_go(&barrier->x_word, 0); /* BA1 */
    sk_queue_finish(&woken);
}

/* True: the caller was the last one. Else it is counted and in the queue, unless it may not
 * wait. */
static bool arrive(struct barrier *barrier, struct sk_waiter *waiter, bool may_wait)
{
    uint64_t word = sk_queue_hold(&barrier->x_word); /* BA2 */
    if ((word >> COUNT_SHIFT) + 1 == barrier->parties) {
        release_all(barrier);
        return true;
    }
    if (may_wait) {
        sk_queue_push(&barrier->queue, waiter);
        word = (word + ONE) | SK_QUEUE_WAITERS;
    }
    sk_queue_let_go(&barrier->x_word, word);
    return false;
}

/* False: the round is complete, and the caller was one of it. */
static bool leave(struct barrier *barrier, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&barrier->x_word); /* BA2 */
    bool left = sk_queue_has(waiter);
    if (left) {
        sk_list_remove(&waiter->link);
        word -= ONE;
        if (sk_queue_is_empty(&barrier->queue))
            word &= ~(uint64_t)SK_QUEUE_WAITERS;
    }
    sk_queue_let_go(&barrier->x_word, word);
    return left;
}

static int meet(struct barrier *barrier, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0 || barrier->parties == 0)
        return -EINVAL;
    sk_sched_spend();
    rc = sk_wait_begin(&wait, dl, 0);
    if (arrive(barrier, &waiter, rc == 0)) {
        if (rc == 0)
            (void)sk_wait_abandon(&wait);
        return 1;
    }
    if (rc < 0)
        return rc;
    rc = sk_queue_park(&barrier->x_word, &wait); /* BA2 */
    if (rc < 0 && !leave(barrier, &waiter))
        rc = 0;
    return rc;
}

int skua_barrier_wait(skua_barrier *b, skua_time dl)
{
    struct barrier *barrier = barrier_of(b);
    sk_san_release(barrier);
    return sk_san_acquired(barrier, meet(barrier, dl));
}
