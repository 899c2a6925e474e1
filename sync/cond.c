/* sync/cond.c - waits for a condition that holds under a mutex.
 * x_word: LOCKED | WAITERS (sync/queue.h), nothing else: a signal that nobody waits for leaves no
 * trace.
 *   wait    holds the word, queues, lets go, and only then unlocks the mutex: whoever locks it
 *           after that and signals finds it in the queue
 *   signal  holds the word, claims the first whose wait is not over, lets go
 * The mutex orders what is done under it. A signaller that looks at the word without holding it
 * sees WAITERS of all who unlocked the mutex before it locked it.
 * Order: CO1 QL1 of signal -> CO2 QL2 of the woken: what the signaller wrote is visible, with the
 * mutex or without. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "sync/mutex.h"
#include "sync/queue.h"

struct cond {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct cond) <= sizeof(skua_cond), "skua_cond holds it");

static struct cond *cond_of(skua_cond *c)
{
    return (struct cond *)(void *)c;
}

static void enqueue(struct cond *cond, struct sk_waiter *waiter)
{
    (void)sk_queue_hold(&cond->x_word);
    sk_queue_push(&cond->queue, waiter);
    sk_queue_let_go(&cond->x_word, SK_QUEUE_WAITERS);
}

/* The wait is over before it began. Others get the mutex all the same: a loop whose deadline has
 * passed must not keep out whoever would end it. */
static void give_way(skua_mutex *m, int rc)
{
    if (rc == -EAGAIN || rc == -EPERM)
        return; /* it may not wait, not for the mutex either */
    SK_CHECK(skua_mutex_unlock(m) == 0);
    sk_mutex_lock_again(m);
}

int skua_cond_wait(skua_cond *c, skua_mutex *m, skua_time dl)
{
    struct cond *cond = cond_of(c);
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    if (!sk_mutex_is_mine(m))
        return -EPERM;
    sk_sched_spend();
    rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0) {
        give_way(m, rc);
        return rc;
    }
    enqueue(cond, &waiter);
    SK_CHECK(skua_mutex_unlock(m) == 0);
    rc = sk_queue_park(&cond->x_word, &wait); /* CO2 */
    if (rc < 0)
        sk_queue_leave(&cond->queue, &cond->x_word, &waiter);
    sk_san_acquire(cond);
    sk_mutex_lock_again(m);
    return rc;
}

/* Any thread. Whether somebody may be in the queue. */
static bool has_waiters(struct cond *cond)
{
    return sk_load_acquire(&cond->x_word) != 0;
}

int skua_cond_signal(skua_cond *c)
{
    struct cond *cond = cond_of(c);
    struct sk_queue_woken woken = {.first = NULL};
    sk_san_release(cond);
    if (!has_waiters(cond))
        return 0;
    (void)sk_queue_hold(&cond->x_word);
    (void)sk_queue_claim(&cond->queue, &woken);
    uint64_t waiters = sk_queue_is_empty(&cond->queue) ? 0 : SK_QUEUE_WAITERS;
    sk_queue_let_go(&cond->x_word, waiters); /* CO1 */
    sk_queue_finish(&woken);
    return 0;
}

int skua_cond_broadcast(skua_cond *c)
{
    struct cond *cond = cond_of(c);
    struct sk_queue_woken woken = {.first = NULL};
    sk_san_release(cond);
    if (!has_waiters(cond))
        return 0;
    (void)sk_queue_hold(&cond->x_word);
    sk_queue_claim_all(&cond->queue, &woken);
    sk_queue_let_go(&cond->x_word, 0); /* CO1 */
    sk_queue_finish(&woken);
    return 0;
}
