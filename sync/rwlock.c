/* sync/rwlock.c - a lock that many readers share, or one writer has.
 * x_word: the writer's record | WRITER, or the number of readers * READER; and LOCKED, WAITERS
 * (sync/queue.h). What a lock adds to the word is what its unlock takes away: `share` below.
 *   lock    no WAITERS and the state admits it: + share, by CAS; else it holds the word and queues
 *   unlock  - share, by CAS; if that frees a lock for which some wait: it holds the word, admits
 *           from the front of the queue whom the new state admits, and lets go with them inside
 * I1: with WAITERS set and LOCKED not, the state does not admit the first in the queue. So nobody
 *     overtakes: readers that come while a writer waits queue behind it. Whoever leaves the queue
 *     early admits those behind it.
 * Order: RW1 release of the unlocking CAS, or QL1 -> RW2 acquire of the locking CAS, or QL2: what
 * was done under the lock is visible. */
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

enum { WRITER = 4, READER = 8 };

struct rwlock {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct rwlock) <= sizeof(skua_rwlock), "skua_rwlock holds it");
static_assert(alignof(struct skua_task) >= 2 * READER, "a record leaves the bits free");

struct place {
    struct sk_waiter waiter;
    uint64_t share;
};

static struct rwlock *rwlock_of(skua_rwlock *l)
{
    return (struct rwlock *)(void *)l;
}

/* To ThreadSanitizer: what writers have done, and what readers have, whom only a writer comes after. */
static int tell_had(struct rwlock *lock, uint64_t share, int rc)
{
    sk_san_acquire(&lock->x_word);
    if ((share & WRITER) != 0)
        sk_san_acquire(&lock->queue);
    return rc;
}

static void tell_given_back(struct rwlock *lock, uint64_t state)
{
    sk_san_release(&lock->queue);
    if ((state & WRITER) != 0)
        sk_san_release(&lock->x_word);
}

static struct place *place_of(struct sk_waiter *waiter)
{
    return sk_container_of(waiter, struct place, waiter);
}

static uint64_t state_of(uint64_t word)
{
    return word & ~(uint64_t)SK_QUEUE_BITS;
}

static bool admits(uint64_t state, uint64_t share)
{
    return (share & WRITER) != 0 ? state == 0 : (state & WRITER) == 0;
}

/* Nobody may overtake those who wait. */
static bool is_open(uint64_t word, uint64_t share)
{
    return (word & SK_QUEUE_WAITERS) == 0 && admits(state_of(word), share);
}

static bool try_lock(struct rwlock *lock, uint64_t share)
{
    uint64_t word;
    do {
        word = sk_queue_settled(&lock->x_word);
        if (!is_open(word, share))
            return false;
    } while (!sk_solo_cas(&lock->x_word, &word, word + share)); /* RW2 */
    return true;
}

/* Holder of the word: the last access. Lets in whom the state admits, from the front. */
static void let_go(struct rwlock *lock, uint64_t state)
{
    struct sk_queue_woken woken = {.first = NULL};
    struct sk_waiter *first;
    while ((first = sk_queue_first(&lock->queue)) != NULL) {
        uint64_t share = place_of(first)->share;
        if (!admits(state, share))
            break;
        if (sk_queue_claim_first(&lock->queue, &woken))
            state += share;
    }
    uint64_t waiters = first != NULL ? SK_QUEUE_WAITERS : 0;
    sk_queue_let_go(&lock->x_word, state | waiters); /* RW1 */
    sk_queue_finish(&woken);
}

/* Into the queue; false: the lock was had. */
static bool enqueue(struct rwlock *lock, struct place *place)
{
    uint64_t word = sk_queue_hold(&lock->x_word); /* RW2 */
    bool must_wait = !is_open(word, place->share);
    if (must_wait)
        sk_queue_push(&lock->queue, &place->waiter);
    sk_queue_let_go(&lock->x_word, must_wait ? word | SK_QUEUE_WAITERS : word + place->share);
    return must_wait;
}

static void leave(struct rwlock *lock, struct place *place)
{
    uint64_t word = sk_queue_hold(&lock->x_word);
    sk_list_remove(&place->waiter.link);
    let_go(lock, state_of(word));
}

static int lock_slow(struct rwlock *lock, uint64_t me, uint64_t share, skua_time dl)
{
    struct sk_wait wait;
    struct place place = {.waiter = {.wait = &wait}, .share = share};
    if (state_of(sk_load_relaxed(&lock->x_word)) == (me | WRITER))
        return -EDEADLK;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return try_lock(lock, share) ? 0 : rc;
    if (!enqueue(lock, &place)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&lock->x_word, &wait); /* RW2 */
    if (rc < 0)
        leave(lock, &place);
    return rc;
}

int skua_rwlock_rdlock(skua_rwlock *l, skua_time dl)
{
    struct rwlock *lock = rwlock_of(l);
    int rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0))
        return rc;
    sk_sched_spend();
    if (sk_likely(try_lock(lock, READER)))
        return tell_had(lock, READER, 0);
    uint64_t me = sk_owner_self();
    return me != 0 ? tell_had(lock, READER, lock_slow(lock, me, READER, dl)) : -ENOMEM;
}

int skua_rwlock_wrlock(skua_rwlock *l, skua_time dl)
{
    struct rwlock *lock = rwlock_of(l);
    int rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0))
        return rc;
    sk_sched_spend();
    uint64_t me = sk_owner_self();
    if (sk_unlikely(me == 0))
        return -ENOMEM;
    if (sk_likely(try_lock(lock, me | WRITER)))
        return tell_had(lock, WRITER, 0);
    return tell_had(lock, WRITER, lock_slow(lock, me, me | WRITER, dl));
}

/* What the caller holds of a lock in this state; 0: nothing. Who reads is not known: a reader's
 * share is anybody's. */
static uint64_t share_of_caller(uint64_t state)
{
    if ((state & WRITER) == 0)
        return state != 0 ? READER : 0;
    return state == (sk_owner_self() | WRITER) ? state : 0;
}

int skua_rwlock_unlock(skua_rwlock *l)
{
    struct rwlock *lock = rwlock_of(l);
    uint64_t word, share;
    bool passes_on;
    tell_given_back(lock, state_of(sk_load_relaxed(&lock->x_word)));
    do {
        word = sk_queue_settled(&lock->x_word);
        share = share_of_caller(state_of(word));
        if (share == 0)
            return -EPERM;
        passes_on = (word & SK_QUEUE_WAITERS) != 0 && state_of(word) == share;
    } while (!sk_solo_cas(&lock->x_word, &word, /* RW1 */
                          passes_on ? word | SK_QUEUE_LOCKED : word - share));
    if (passes_on)
        let_go(lock, 0);
    return 0;
}
