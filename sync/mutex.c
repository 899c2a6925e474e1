/* sync/mutex.c - a mutex for coroutines and threads.
 * x_word: the owner's record (a plain thread's: its proxy) | LOCKED | WAITERS (sync/queue.h); 0:
 * free. The word is the owner's identity, so that an unlock by a stranger and a second lock by the
 * owner are errors and not corruption.
 *   lock    0 -> self, by CAS; else it holds the word and queues, or finds the mutex free
 *   unlock  self -> 0, by CAS; else it holds the word, claims the first who waits, and lets go with
 *           that one as the owner (in order of arrival: nobody starves; docs/adr/0009), or with 0
 * A waiter that was claimed before it slept may go on before the word names it: it waits until the
 * word is settled.
 * Order: MX1 release of the unlocking CAS, or QL1 -> MX2 acquire of the locking CAS, or QL2: the
 * last owner's writes. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "runtime/task.h"
#include "sync/mutex.h"
#include "sync/owner.h"
#include "sync/queue.h"

struct mutex {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct mutex) <= sizeof(skua_mutex), "skua_mutex holds it");

static struct mutex *mutex_of(skua_mutex *m)
{
    return (struct mutex *)(void *)m;
}

static uint64_t owner_of(uint64_t word)
{
    return word & ~(uint64_t)SK_QUEUE_BITS;
}

static bool try_lock(struct mutex *mutex, uint64_t me)
{
    uint64_t word = 0;
    return sk_solo_cas(&mutex->x_word, &word, me); /* MX2 */
}

int skua_mutex_trylock(skua_mutex *m)
{
    struct mutex *mutex = mutex_of(m);
    uint64_t me = sk_owner_self();
    if (sk_unlikely(me == 0))
        return -ENOMEM;
    if (try_lock(mutex, me))
        return sk_san_acquired(mutex, 0);
    return owner_of(sk_load_relaxed(&mutex->x_word)) == me ? -EDEADLK : -EAGAIN;
}

/* Into the queue; false: the mutex came free and is the caller's. */
static bool enqueue(struct mutex *mutex, uint64_t me, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&mutex->x_word); /* MX2 */
    bool must_wait = word != 0;
    if (must_wait)
        sk_queue_push(&mutex->queue, waiter);
    sk_queue_let_go(&mutex->x_word, must_wait ? word | SK_QUEUE_WAITERS : me);
    return must_wait;
}

static int lock_slow(struct mutex *mutex, uint64_t me, skua_time dl, unsigned flags)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    if (owner_of(sk_load_relaxed(&mutex->x_word)) == me)
        return -EDEADLK;
    int rc = sk_wait_begin(&wait, dl, flags);
    if (rc < 0)
        return try_lock(mutex, me) ? 0 : rc;
    if (!enqueue(mutex, me, &waiter)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&mutex->x_word, &wait); /* MX2 */
    if (rc < 0)
        sk_queue_leave(&mutex->queue, &mutex->x_word, &waiter);
    return rc;
}

static __attribute__((noinline)) int lock_fully(struct mutex *mutex, skua_time dl)
{
    int rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0))
        return rc;
    sk_sched_spend();
    uint64_t me = sk_owner_self();
    if (sk_unlikely(me == 0))
        return -ENOMEM;
    return sk_san_acquired(mutex, try_lock(mutex, me) ? 0 : lock_slow(mutex, me, dl, 0));
}

/* A coroutine that finds the mutex free calls nothing on its way: what lock and unlock cost is
 * little more than their two locked instructions. */
int skua_mutex_lock(skua_mutex *m, skua_time dl)
{
    struct mutex *mutex = mutex_of(m);
    struct sk_worker *w = sk_current_worker();
    if (sk_likely(dl == SKUA_NEVER && w != NULL && w->current != NULL && w->calls > 1) &&
        sk_likely(try_lock(mutex, (uintptr_t)w->current))) {
        w->calls--; /* as sk_sched_spend does */
        return sk_san_acquired(mutex, 0);
    }
    return lock_fully(mutex, dl);
}

static __attribute__((noinline)) int unlock_fully(struct mutex *mutex)
{
    uint64_t me = sk_owner_self();
    uint64_t word = sk_load_relaxed(&mutex->x_word);
    struct sk_queue_woken woken = {.first = NULL};
    if (me == 0 || owner_of(word) != me)
        return -EPERM;
    if (word == me && sk_solo_cas(&mutex->x_word, &word, 0)) /* MX1 */
        return 0;
    (void)sk_queue_hold(&mutex->x_word);
    uint64_t owner = (uintptr_t)sk_queue_claim(&mutex->queue, &woken); /* NULL: 0 */
    uint64_t waiters = sk_queue_is_empty(&mutex->queue) ? 0 : SK_QUEUE_WAITERS;
    sk_queue_let_go(&mutex->x_word, owner | waiters); /* MX1 */
    sk_queue_finish(&woken);
    return 0;
}

int skua_mutex_unlock(skua_mutex *m)
{
    struct mutex *mutex = mutex_of(m);
    struct sk_worker *w = sk_current_worker();
    sk_san_release(mutex);
    if (sk_likely(w != NULL && w->current != NULL)) {
        uint64_t word = (uintptr_t)w->current;
        if (sk_likely(sk_solo_cas(&mutex->x_word, &word, 0))) /* MX1 */
            return 0;
    }
    return unlock_fully(mutex);
}

bool sk_mutex_is_mine(skua_mutex *m)
{
    uint64_t me = sk_owner_self();
    return me != 0 && owner_of(sk_load_relaxed(&mutex_of(m)->x_word)) == me;
}

void sk_mutex_lock_again(skua_mutex *m)
{
    struct mutex *mutex = mutex_of(m);
    uint64_t me = sk_owner_self();
    if (!try_lock(mutex, me))
        SK_CHECK(lock_slow(mutex, me, SKUA_NEVER, SK_WAIT_NOCANCEL) == 0);
    sk_san_acquire(mutex);
}
