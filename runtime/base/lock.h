/* runtime/base/lock.h - a spin lock of four bytes for sections of a few instructions.
 * A holder never suspends and makes no system call. A waiter that spins for long gives its time
 * slice away: with more threads than cores the holder may be the one that does not run. All-zero is
 * unlocked.
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

/* One turn of a wait that is over in a moment: pauses the core, after the first hundred gives the
 * time slice away. */
void sk_lock_relax(unsigned spins);

/* Spins a while, then yields the thread, until the lock is had. */
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
