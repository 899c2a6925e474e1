/* sync/mutex.c - a mutex for coroutines and threads.
 * x_word: the owner's record (a plain thread's: its proxy) | WAITERS; 0: free. The word is the owner's identity, so that an
 * unlock by a stranger and a second lock by the owner are errors and not corruption.
 *   lock    0 -> self, by CAS; else under the queue's lock: WAITERS is set and the caller queues, or the mutex came free
 *   unlock  self -> 0, by CAS; else under the queue's lock: to the first waiter that can be claimed (hand-off, in order of
 *           arrival: nobody starves), or to 0
 * A claimed waiter may run before the word names it; whoever finds the word strange looks again under the queue's lock,
 * which the one who hands over still holds.
 * Order: MX1 release of the unlocking CAS, or of the claim -> MX2 acquire of the locking CAS, or of the wait. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/current.h"
#include "runtime/task.h"
#include "sync/queue.h"

enum { WAITERS = 1 };

struct mutex {
    _Atomic(uintptr_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct mutex) <= sizeof(skua_mutex), "skua_mutex holds it");

static struct mutex *mutex_of(skua_mutex *m)
{
    return (struct mutex *)(void *)m;
}

/* 0: a plain thread for whose proxy there is no memory. */
static uintptr_t self(void)
{
    struct skua_task *task = sk_current_task();
    return (uintptr_t)(task != NULL ? task : sk_task_proxy());
}

static bool try_lock(struct mutex *mutex, uintptr_t me)
{
    uintptr_t word = 0;
    return sk_cas_acquire(&mutex->x_word, &word, me); /* MX2 */
}

int skua_mutex_trylock(skua_mutex *m)
{
    struct mutex *mutex = mutex_of(m);
    uintptr_t me = self();
    if (sk_unlikely(me == 0))
        return -ENOMEM;
    if (try_lock(mutex, me))
        return 0;
    return (sk_load_relaxed(&mutex->x_word) & ~(uintptr_t)WAITERS) == me ? -EDEADLK : -EAGAIN;
}

/* Into the queue; false: the mutex came free and is the caller's. */
static bool enqueue(struct mutex *mutex, uintptr_t me, struct sk_queue_node *node)
{
    bool must_wait = true;
    sk_lock(&mutex->queue.lock);
    uintptr_t word = sk_load_relaxed(&mutex->x_word);
    do {
        must_wait = word != 0;
    } while (!sk_cas_acquire(&mutex->x_word, &word, must_wait ? word | WAITERS : me)); /* MX2 */
    if (must_wait)
        sk_queue_push_locked(&mutex->queue, node, 0);
    sk_unlock(&mutex->queue.lock);
    return must_wait;
}

static int lock_slow(struct mutex *mutex, uintptr_t me, skua_time dl)
{
    struct sk_queue_node node;
    if ((sk_load_relaxed(&mutex->x_word) & ~(uintptr_t)WAITERS) == me)
        return -EDEADLK;
    int rc = sk_wait_begin(&node.wait, dl, 0);
    if (rc < 0)
        return try_lock(mutex, me) ? 0 : rc;
    if (!enqueue(mutex, me, &node)) {
        (void)sk_wait_abandon(&node.wait);
        return 0;
    }
    rc = sk_wait_park(&node.wait); /* MX2 */
    if (rc < 0) {
        sk_lock(&mutex->queue.lock);
        sk_queue_drop_locked(&node);
        sk_unlock(&mutex->queue.lock);
    }
    return rc;
}

int skua_mutex_lock(skua_mutex *m, skua_time dl)
{
    struct mutex *mutex = mutex_of(m);
    uintptr_t me = self();
    if (sk_likely(me != 0 && (dl == SKUA_NEVER || dl == SKUA_NOW) && try_lock(mutex, me)))
        return 0;
    int rc = sk_wait_check_deadline(dl);
    if (rc < 0 || me == 0)
        return rc < 0 ? rc : -ENOMEM;
    return try_lock(mutex, me) ? 0 : lock_slow(mutex, me, dl);
}

static int unlock_slow(struct mutex *mutex, uintptr_t me)
{
    enum sk_wait_claim claim = SK_WAIT_LOST;
    struct skua_task *next = NULL;
    int rc = -EPERM;
    sk_lock(&mutex->queue.lock);
    if ((sk_load_relaxed(&mutex->x_word) & ~(uintptr_t)WAITERS) == me) {
        rc = 0;
        next = sk_queue_claim_locked(&mutex->queue, &claim); /* MX1 */
        uintptr_t waiters = sk_queue_empty_locked(&mutex->queue) ? 0 : WAITERS;
        sk_store_release(&mutex->x_word, next != NULL ? (uintptr_t)next | waiters : 0); /* MX1 */
    }
    sk_unlock(&mutex->queue.lock);
    if (next != NULL)
        sk_wait_finish(next, claim);
    return rc;
}

int skua_mutex_unlock(skua_mutex *m)
{
    struct mutex *mutex = mutex_of(m);
    uintptr_t me = self();
    uintptr_t word = me;
    if (sk_likely(sk_cas_acq_rel(&mutex->x_word, &word, 0))) /* MX1 */
        return me != 0 ? 0 : -EPERM;
    return unlock_slow(mutex, me);
}
