/* sync/once.c - runs a function until it has once succeeded.
 * x_word: 0: not run; the record of who runs it; DONE; and LOCKED, WAITERS (sync/queue.h).
 *   once   DONE: nothing; 0 -> self, by CAS, and runs it; else it holds the word and queues
 *   end    success: it holds the word, claims all, lets go with DONE
 *          failure: it holds the word, claims the first, lets go with that one as who runs it, or
 *          with 0
 * A waiter that wakes finds DONE, or itself: it is its turn.
 * Order: ON1 QL1 of the end -> ON2 acquire load of DONE, or QL2: what the function wrote is
 * visible. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "sync/owner.h"
#include "sync/queue.h"

enum { DONE = 4 };

struct once {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct once) <= sizeof(skua_once_flag), "skua_once_flag holds it");

static struct once *once_of(skua_once_flag *f)
{
    return (struct once *)(void *)f;
}

static uint64_t state_of(uint64_t word)
{
    return word & ~(uint64_t)SK_QUEUE_BITS;
}

static void succeed(struct once *once)
{
    struct sk_queue_woken woken = {.first = NULL};
    (void)sk_queue_hold(&once->x_word);
    sk_queue_claim_all(&once->queue, &woken);
    sk_queue_let_go(&once->x_word, DONE); /* ON1 */
    sk_queue_finish(&woken);
}

static void fail(struct once *once)
{
    struct sk_queue_woken woken = {.first = NULL};
    (void)sk_queue_hold(&once->x_word);
    uint64_t runner = (uintptr_t)sk_queue_claim(&once->queue, &woken); /* NULL: 0 */
    uint64_t waiters = sk_queue_is_empty(&once->queue) ? 0 : SK_QUEUE_WAITERS;
    sk_queue_let_go(&once->x_word, runner | waiters); /* ON1 */
    sk_queue_finish(&woken);
}

/* The caller's turn. */
static int run(struct once *once, int (*fn)(void *), void *arg)
{
    sk_san_acquire(once);
    int rc = fn(arg);
    sk_san_release(once);
    if (rc >= 0)
        succeed(once);
    else
        fail(once);
    return rc < 0 ? rc : 0;
}

/* Whether the caller need not wait: it is DONE, or its turn. */
static bool is_over(uint64_t word, uint64_t me)
{
    return state_of(word) == DONE || state_of(word) == me;
}

static bool try_begin(struct once *once, uint64_t me)
{
    uint64_t word = 0;
    return sk_solo_cas(&once->x_word, &word, me); /* ON2 */
}

/* Into the queue; false: it is DONE, or the caller's turn. */
static bool enqueue(struct once *once, uint64_t me, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&once->x_word); /* ON2 */
    if (state_of(word) == 0)
        word |= me;
    bool must_wait = !is_over(word, me);
    if (must_wait) {
        sk_queue_push(&once->queue, waiter);
        word |= SK_QUEUE_WAITERS;
    }
    sk_queue_let_go(&once->x_word, word);
    return must_wait;
}

/* 0: it is DONE, or the caller's turn. */
static int wait_for_turn(struct once *once, uint64_t me, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return try_begin(once, me) || is_over(sk_queue_settled(&once->x_word), me) ? 0 : rc;
    if (!enqueue(once, me, &waiter)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&once->x_word, &wait); /* ON2 */
    if (rc < 0)
        sk_queue_leave(&once->queue, &once->x_word, &waiter);
    return rc;
}

static int run_or_wait(struct once *once, int (*fn)(void *), void *arg, skua_time dl)
{
    uint64_t me = sk_owner_self();
    if (sk_unlikely(me == 0))
        return -ENOMEM;
    if (state_of(sk_load_relaxed(&once->x_word)) == me)
        return -EDEADLK;
    int rc = try_begin(once, me) ? 0 : wait_for_turn(once, me, dl);
    if (rc < 0)
        return rc;
    return state_of(sk_queue_settled(&once->x_word)) == me ? run(once, fn, arg) : 0; /* ON2 */
}

int skua_once(skua_once_flag *f, int (*fn)(void *), void *arg, skua_time dl)
{
    struct once *once = once_of(f);
    int rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0 || fn == NULL))
        return -EINVAL;
    sk_sched_spend();
    if (sk_likely(sk_queue_settled(&once->x_word) == DONE)) /* ON2 */
        return sk_san_acquired(once, 0);
    return sk_san_acquired(once, run_or_wait(once, fn, arg, dl));
}
