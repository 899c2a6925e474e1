/* skua/sync.h - locks and other ways to wait for each other, for coroutines and plain threads alike.
 * All are caller-allocated, of fixed size, and made ready by their INIT macros; those without an
 * argument set all bytes to zero. They hold no resources: nothing has to be destroyed, and the
 * memory may go once every call on it has returned but the one that woke or released the last
 * user, which does not touch it any more.
 * Who waits is served in order of arrival. Every wait can be cancelled and ends at its deadline and
 * at those of the scopes that it is in; a call that was served returns 0 even if it was cancelled
 * at the same moment. */
#ifndef SKUA_SYNC_H
#define SKUA_SYNC_H

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

typedef struct skua_mutex {
    uint64_t opaque[4];
} skua_mutex;

typedef struct skua_rwlock {
    uint64_t opaque[4];
} skua_rwlock;

typedef struct skua_cond {
    uint64_t opaque[4];
} skua_cond;

typedef struct skua_sem {
    uint64_t opaque[4];
} skua_sem;

typedef struct skua_barrier {
    uint64_t opaque[4];
} skua_barrier;

typedef struct skua_once_flag {
    uint64_t opaque[4];
} skua_once_flag;

typedef struct skua_event {
    uint64_t opaque[4];
} skua_event;

typedef struct skua_wg {
    uint64_t opaque[4];
} skua_wg;

#define SKUA_MUTEX_INIT  { { 0 } }
#define SKUA_RWLOCK_INIT { { 0 } }
#define SKUA_COND_INIT   { { 0 } }
#define SKUA_EVENT_INIT  { { 0 } }
#define SKUA_WG_INIT     { { 0 } }
#define SKUA_ONCE_INIT   { { 0 } }
/* n of 0 .. UINT32_MAX: what can be taken before anything was posted. */
#define SKUA_SEM_INIT(n) { { ((n) & UINT64_C(0xffffffff)) << 2, 0, 0, 0 } }
/* n of 1 .. UINT32_MAX: how many have to arrive. */
#define SKUA_BARRIER_INIT(n) { { 0, 0, 0, (n) & UINT64_C(0xffffffff) } }

/** Locks a mutex. It belongs to the coroutine (or thread) that locked it, on whatever worker that
 * runs.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: held; -EDEADLK (the caller holds it); -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN:
 *           not held.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_mutex_lock(skua_mutex *m, skua_time dl);

/** Locks a mutex if it is free.
 * returns   0: held; -EAGAIN: another holds it; -EDEADLK: the caller holds it.
 * suspends  never, and does not yield.   from  coroutine or plain thread. */
SKUA_API int skua_mutex_trylock(skua_mutex *m);

/** Unlocks a mutex.
 * returns   0; -EPERM: the caller does not hold it.
 * suspends  never.   from  coroutine or plain thread, the one that holds it. */
SKUA_API int skua_mutex_unlock(skua_mutex *m);

/** Locks for reading, beside other readers. Readers that come while a writer waits queue behind it:
 * a second rdlock by one that reads already may so wait for ever, and a wrlock by a reader does.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: held; -EDEADLK (the caller holds it for writing); -EAGAIN, -ETIMEDOUT, -ECANCELED,
 *           -ESHUTDOWN: not held.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_rwlock_rdlock(skua_rwlock *l, skua_time dl);

/** Locks for writing, alone. The lock belongs to the coroutine (or thread) that locked it.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: held; -EDEADLK (the caller holds it for writing); -EAGAIN, -ETIMEDOUT, -ECANCELED,
 *           -ESHUTDOWN: not held.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_rwlock_wrlock(skua_rwlock *l, skua_time dl);

/** Unlocks what the caller locked, whichever it was. The next are let in: a writer, or all readers
 * up to the next writer.
 * returns   0; -EPERM: another holds it for writing, or nobody holds it. Which readers hold it is not
 *           recorded: an unlock by one that does not read takes another's away.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_rwlock_unlock(skua_rwlock *l);

/** Unlocks m and waits for a signal, in one step: a signal given under m after that is not missed.
 * m is held again when it returns, whatever it returns; that part of the wait sees neither the
 * deadline nor cancellation. What is waited for may have changed meanwhile: look again, in a loop.
 * m         held by the caller; not unlocked for -EAGAIN, -EINVAL and -EPERM.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: signalled, for this waiter alone; -EPERM: the caller does not hold m; -EAGAIN,
 *           -ETIMEDOUT, -ECANCELED, -ESHUTDOWN: no signal was used up.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_cond_wait(skua_cond *c, skua_mutex *m, skua_time dl);

/** Wakes the one that has waited longest, if any waits.
 * returns   0.
 * suspends  never.   from  coroutine or plain thread, with the mutex held or not; a timer's or
 *           skua_on_done function too. */
SKUA_API int skua_cond_signal(skua_cond *c);

/** Wakes all who wait, in order of arrival.
 * returns   0.
 * suspends  never.   from  as skua_cond_signal. */
SKUA_API int skua_cond_broadcast(skua_cond *c);

/** Takes n from a semaphore's count, all at once, when it is its turn: who wants little does not
 * overtake who wants much.
 * n         0 is had at once.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: taken; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN: nothing was taken.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_sem_wait(skua_sem *s, unsigned n, skua_time dl);

/** Adds n to a semaphore's count, and serves those who wait.
 * returns   0; -EINVAL: the count would exceed UINT32_MAX, and is unchanged.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_sem_post(skua_sem *s, unsigned n);

/** Waits until as many have arrived as the barrier was made for. Then it begins anew: the next round
 * may start while those of the last one have not run yet.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   1: to the last who arrived, and to no other of that round; 0: to the others; -EINVAL:
 *           made for 0; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN: the caller has left and does
 *           not count: the round still lacks it.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_barrier_wait(skua_barrier *b, skua_time dl);

/** Calls fn(arg), unless a call has succeeded before. Others who come meanwhile wait for it.
 * fn        0 or positive: success, never called again; negative: a failure, and the next who waits
 *           or comes calls its own fn. It may suspend.
 * dl        bounds the wait, not fn: absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: it is done; what the caller's fn returned if it failed; -EDEADLK: called by fn
 *           itself; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN: another is still at it; -EINVAL:
 *           fn is NULL.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_once(skua_once_flag *f, int (*fn)(void *), void *arg, skua_time dl);

/** Adds to a wait group's count.
 * n         may be negative; reaching 0 wakes all who wait.
 * returns   0; -EINVAL: the count would leave 0 .. INT32_MAX, and is unchanged.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_wg_add(skua_wg *g, int n);

/** The same as skua_wg_add(g, -1).
 * returns   as skua_wg_add.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_wg_done(skua_wg *g);

/** Waits until a wait group's count is 0.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: it was 0; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_wg_wait(skua_wg *g, skua_time dl);

/** Sets an event, which stays set until it is cleared, and wakes all who wait for it.
 * returns   0.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_event_set(skua_event *e);

/** Clears an event.
 * returns   0.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_event_clear(skua_event *e);

/** Waits until an event is set.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: it was set; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_event_wait(skua_event *e, skua_time dl);

SKUA_EXTERN_C_END

#endif
