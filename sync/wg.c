/* sync/wg.c - a wait group: waits until a count comes down to zero.
 * x_word: count << 2 | LOCKED | WAITERS (sync/queue.h).
 *   add    by CAS, unless it brings the count to zero while some wait: then it holds the word,
 *   claims all, lets go with 0 wait   holds the word; count not zero: into the queue, lets go with
 *   WAITERS
 * Order: WG1 acq_rel CAS, or QL1, that reaches zero -> WG2 acquire load in wait: what those who
 * were done wrote is visible. */
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

enum { COUNT_SHIFT = 2 };

struct wg {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct wg) <= sizeof(skua_wg), "skua_wg holds it");

static struct wg *wg_of(skua_wg *g)
{
    return (struct wg *)(void *)g;
}

/* Holder of the word. */
static void reach_zero(struct wg *wg)
{
    struct sk_queue_woken woken = {.first = NULL};
    sk_queue_claim_all(&wg->queue, &woken);
    sk_queue_let_go(&wg->x_word, 0); /* WG1 */
    sk_queue_finish(&woken);
}

int skua_wg_add(skua_wg *g, int n)
{
    struct wg *wg = wg_of(g);
    uint64_t word, next;
    bool last;
    sk_san_release(wg);
    do {
        word = sk_queue_settled(&wg->x_word);
        int64_t count = (int64_t)(word >> COUNT_SHIFT) + n;
        if (count < 0 || count > INT32_MAX)
            return -EINVAL;
        last = count == 0 && (word & SK_QUEUE_WAITERS) != 0;
        next = last ? word | SK_QUEUE_LOCKED
                    : (uint64_t)count << COUNT_SHIFT | (word & SK_QUEUE_WAITERS);
    } while (!sk_solo_cas(&wg->x_word, &word, next)); /* WG1, QL2 */
    if (last)
        reach_zero(wg);
    return 0;
}

int skua_wg_done(skua_wg *g)
{
    return skua_wg_add(g, -1);
}

static bool is_zero(struct wg *wg)
{
    return sk_queue_settled(&wg->x_word) >> COUNT_SHIFT == 0; /* WG2 */
}

/* Into the queue, unless the count is zero. */
static bool enqueue(struct wg *wg, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&wg->x_word); /* WG2 */
    bool must_wait = word >> COUNT_SHIFT != 0;
    if (must_wait) {
        sk_queue_push(&wg->queue, waiter);
        word |= SK_QUEUE_WAITERS;
    }
    sk_queue_let_go(&wg->x_word, word);
    return must_wait;
}

static int wait_for_zero(struct wg *wg, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    sk_sched_spend();
    if (is_zero(wg))
        return 0;
    rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return is_zero(wg) ? 0 : rc;
    if (!enqueue(wg, &waiter)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&wg->x_word, &wait); /* WG2 */
    if (rc < 0)
        sk_queue_leave(&wg->queue, &wg->x_word, &waiter);
    return rc;
}

int skua_wg_wait(skua_wg *g, skua_time dl)
{
    struct wg *wg = wg_of(g);
    return sk_san_acquired(wg, wait_for_zero(wg, dl));
}
