/* runtime/base/lock.h - a lock of four bytes for sections of a few instructions, and the turn that
 * every wait for another thread's next step takes.
 * Threads: any. All-zero is unlocked.
 *
 * A holder never suspends and makes no system call that may wait. But the kernel may preempt it, for
 * as long as it likes: a thread of a real-time class that spins for a lock of a thread of an ordinary
 * class on the same core keeps the holder from running, and sched_yield gives way only to its own
 * class. So a waiter pauses, then yields, then sleeps, for 20 to 160 us at a time: while it sleeps
 * the holder runs. The waiter wakes by the clock, not by the holder (docs/adr/0019). An unlock
 * therefore stays one store, which is the holder's last access to the lock's memory: the next holder
 * may free it.
 *
 * Whatever waits for another thread in a loop takes sk_lock_relax for its turns, and counts them;
 * ci/floors refuses any other way to wait in a loop.
 * Order: LK1 store-release in unlock -> LK2 acquire in lock: what the last holder wrote is
 * visible. */
#ifndef SK_RUNTIME_BASE_LOCK_H
#define SK_RUNTIME_BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"

struct sk_lock {
    _Atomic(uint32_t) x_held;
};

/* Any thread. One turn of a wait for a step of another thread that is due in a moment. tries: how many
 * turns this wait has taken. The first hundred pause the core, the next few yield the thread, all others
 * put the thread to sleep, for 20 us at first and for 160 us at most. */
void sk_lock_relax(unsigned tries);

/* Any thread. Waits by sk_lock_relax until it has the lock. */
void sk_lock_slow(struct sk_lock *lock);

/* Any thread. */
static inline void sk_lock(struct sk_lock *lock)
{
    if (sk_unlikely(sk_xchg_acquire(&lock->x_held, 1u) != 0)) /* LK2 */
        sk_lock_slow(lock);
}

/* Holder only. */
static inline void sk_unlock(struct sk_lock *lock)
{
    sk_store_release(&lock->x_held, 0u); /* LK1 */
}

#endif
