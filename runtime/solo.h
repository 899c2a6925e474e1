/* runtime/solo.h - read-modify-write operations that take no locked instruction while one worker is
 * the only thread that makes them.
 * A locked instruction costs 5 ns even where nobody else is near, and handing a message over takes
 * eight of them. A runtime with one worker shares its objects with nobody, until a plain thread
 * comes. So its worker moves their words by plain loads and stores, in sections that a plain thread
 * can see; and the first plain thread puts an end to that.
 * Owns:    struct sk_solo.
 * Threads: any. Each read-modify-write of a word that is changed by these functions goes through
 *          them; a plain store by who alone may change the word (it holds its LOCKED bit) does not.
 *
 * x_state:
 *   ALONE    the worker of a runtime with one worker uses plain sections
 *   ENDING   a plain thread has come, and waits until the worker is in no section
 *   SHARED   everybody uses locked instructions; so it is with several workers, and without a
 *            runtime
 *   sk_solo_start  SHARED -> ALONE            skua_start, if no plain thread is inside an operation
 *   sk_solo_end    ALONE -> ENDING -> SHARED  the first plain thread
 *   sk_solo_stop   any -> SHARED              the worker has ended
 *   sk_solo_after_fork  any -> SHARED         in a forked child, where no worker is
 * Order: SO1 store x_busy, compiler barrier, SO2 load x_state (the worker); SO3 store ENDING,
 *        membarrier(2), SO4 load x_busy (the plain thread): a section that has not seen ENDING is
 *        seen to be busy (Dekker), and is over before the plain thread goes on.
 *        SO5 seq_cst add to x_inside, SO6 load x_state (a plain thread); SO7 seq_cst store ALONE,
 *        SO8 load x_inside (skua_start): a thread that has seen SHARED is seen to be inside.
 *        SO9 release store that ends a section, and of what it wrote -> SO4: the words. */
#ifndef SK_RUNTIME_SOLO_H
#define SK_RUNTIME_SOLO_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "runtime/current.h"

enum { SK_SOLO_SHARED, SK_SOLO_ALONE, SK_SOLO_ENDING };

struct sk_solo {
    alignas(SK_CACHELINE) _Atomic(uint32_t) x_state;
    alignas(SK_CACHELINE) _Atomic(uint32_t) x_inside; /* plain threads inside an operation */
    alignas(SK_CACHELINE) _Atomic(bool) x_busy;
};

extern struct sk_solo sk_solo;

/* Before the workers' threads begin, and after they have ended. */
void sk_solo_start(unsigned workers);
void sk_solo_stop(void);
/* In a forked child: whoever was in a section, or inside an operation, is not here to leave it. */
void sk_solo_after_fork(void);

/* A plain thread, before it looks at a word without changing it, where that look is half of a
 * Dekker. */
void sk_solo_end(void);

/* A plain thread's ways: they end the worker's solitude. */
bool sk_solo_cas_as_stranger(_Atomic(uint64_t) *word, uint64_t *expected, uint64_t value);
uint64_t sk_solo_or_as_stranger(_Atomic(uint64_t) *word, uint64_t bits);
uint64_t sk_solo_and_as_stranger(_Atomic(uint64_t) *word, uint64_t bits);
void sk_solo_lock_as_stranger(struct sk_lock *lock);

/* Workers only. True: in a section, which the caller leaves after a few instructions. */
static inline bool sk_solo_enter(void)
{
    if (sk_load_relaxed(&sk_solo.x_state) != SK_SOLO_ALONE)
        return false;
    sk_store_relaxed(&sk_solo.x_busy, true); /* SO1 */
    sk_fence_compiler();
    if (sk_likely(sk_load_acquire(&sk_solo.x_state) == SK_SOLO_ALONE)) /* SO2 */
        return true;
    sk_store_release(&sk_solo.x_busy, false);
    return false;
}

static inline void sk_solo_leave(void)
{
    sk_store_release(&sk_solo.x_busy, false); /* SO9 */
}

/* Any thread. Enters a section if it may: what follows then calls the `_in` forms, and
 * sk_solo_leave. */
static inline bool sk_solo_try_enter(void)
{
    return sk_likely(sk_current_worker() != NULL) && sk_solo_enter();
}

/* In a section. Compare and swap. */
static inline bool sk_solo_cas_in(_Atomic(uint64_t) *word, uint64_t *expected, uint64_t value)
{
    uint64_t is = sk_load_acquire(word);
    bool same = is == *expected;
    if (sk_likely(same))
        sk_store_release(word, value);
    else
        *expected = is;
    return same;
}

/* Any thread. Compare and swap, acquire and release. */
static inline bool sk_solo_cas(_Atomic(uint64_t) *word, uint64_t *expected, uint64_t value)
{
    if (sk_unlikely(sk_current_worker() == NULL))
        return sk_solo_cas_as_stranger(word, expected, value);
    if (!sk_solo_enter())
        return sk_cas_seq_cst(word, expected, value);
    bool same = sk_solo_cas_in(word, expected, value);
    sk_solo_leave();
    return same;
}

/* Any thread. Sets bits; returns the word before. Acquire and release. */
static inline uint64_t sk_solo_or(_Atomic(uint64_t) *word, uint64_t bits)
{
    if (sk_unlikely(sk_current_worker() == NULL))
        return sk_solo_or_as_stranger(word, bits);
    if (!sk_solo_enter())
        return sk_or_acq_rel(word, bits);
    uint64_t before = sk_load_acquire(word);
    sk_store_release(word, before | bits);
    sk_solo_leave();
    return before;
}

/* Any thread. Keeps only bits; returns the word before. Acquire and release. */
static inline uint64_t sk_solo_and(_Atomic(uint64_t) *word, uint64_t bits)
{
    if (sk_unlikely(sk_current_worker() == NULL))
        return sk_solo_and_as_stranger(word, bits);
    if (!sk_solo_enter())
        return sk_and_acq_rel(word, bits);
    uint64_t before = sk_load_acquire(word);
    sk_store_release(word, before & bits);
    sk_solo_leave();
    return before;
}

/* Any thread. Takes a lock that is taken by this alone; sk_unlock gives it back. */
static inline void sk_solo_lock(struct sk_lock *lock)
{
    if (sk_unlikely(sk_current_worker() == NULL)) {
        sk_solo_lock_as_stranger(lock);
        return;
    }
    if (!sk_solo_enter()) {
        sk_lock(lock);
        return;
    }
    bool is_free = sk_load_acquire(&lock->x_held) == 0; /* LK2 */
    if (sk_likely(is_free))
        sk_store_relaxed(&lock->x_held, 1u);
    sk_solo_leave();
    if (sk_unlikely(!is_free))
        sk_lock(lock);
}

#endif
