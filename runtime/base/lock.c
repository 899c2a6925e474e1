#include "runtime/base/lock.h"

#include <sched.h>

/* How often the lock is looked at before the thread gives its core away: about two microseconds. */
enum { SPINS = 100 };

void sk_lock_relax(unsigned spins)
{
    if (spins < SPINS)
        sk_arch_pause();
    else
        sched_yield();
}

void sk_lock_slow(struct sk_lock *lock)
{
    for (unsigned spins = 0;; spins++) {
        if (sk_load_relaxed(&lock->x_held) == 0 &&
            sk_xchg_acquire(&lock->x_held, 1u) == 0) /* LK2 */
            return;
        sk_lock_relax(spins);
    }
}
