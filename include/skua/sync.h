/* skua/sync.h - event, mutex and wait group for coroutines and plain threads alike.
 * All are caller-allocated, of fixed size, and ready for use when all bytes are zero, which is
 * what their INIT macros give. They hold no resources: nothing has to be destroyed, and the
 * memory may go once nobody uses it any more. */
#ifndef SKUA_SYNC_H
#define SKUA_SYNC_H

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

typedef struct skua_mutex {
    uint64_t opaque[4];
} skua_mutex;

typedef struct skua_event {
    uint64_t opaque[4];
} skua_event;

typedef struct skua_wg {
    uint64_t opaque[4];
} skua_wg;

#define SKUA_MUTEX_INIT { { 0 } }
#define SKUA_EVENT_INIT { { 0 } }
#define SKUA_WG_INIT    { { 0 } }

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
