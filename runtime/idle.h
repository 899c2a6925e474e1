/* runtime/idle.h - who sleeps, who searches, and whom to wake.
 * Owns:    struct sk_idle.
 * States of a worker: RUNNING -> SEARCHING (has nothing, tries to steal) -> ASLEEP (in its driver)
 *   sk_idle_search_begin  RUNNING -> SEARCHING          the worker; not if half of all search
 *   sk_idle_search_end    SEARCHING -> RUNNING          the worker, when it found something
 *   sk_idle_announce      SEARCHING|RUNNING -> ASLEEP   the worker; then it looks once more
 *   sk_idle_notify_slow   ASLEEP -> SEARCHING           a waker, which claims it: clears its bit
 *   sk_idle_leave         ASLEEP -> RUNNING|SEARCHING   the worker; SEARCHING if it was claimed
 * The last searcher that found something wakes another, if there is more.
 * x_word: searchers << 16 | sleepers, changed by RMW only; x_asleep: a bit per worker.
 *
 * No lost wakeup. A pusher publishes work, then reads x_word; a worker announces sleep in x_word,
 * then looks for work: one of the two must see the other (Dekker).
 *   IDL1 push (release store to a deque), light barrier, IDL2 load x_word (pusher)
 *   IDL3 RMW of x_word, heavy barrier, IDL4 look at all queues (sleeper)
 * The heavy barrier is membarrier(2): it makes every running thread of the process pass a full
 * barrier, so that the light one is for the compiler only and a push costs no fence. Without
 * membarrier both are seq_cst fences. Work that comes by a locked queue (inject, inbox, timers,
 * mail) is published by a seq_cst operation instead. With one worker nobody else pushes to its
 * deques, and no barrier is needed. */
#ifndef SK_RUNTIME_IDLE_H
#define SK_RUNTIME_IDLE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"

enum { SK_IDLE_WORKERS_MAX = 1024, SK_IDLE_SEARCHER = 1 << 16, SK_IDLE_SLEEPERS_MASK = 0xFFFF };

struct sk_idle {
    alignas(SK_CACHELINE) _Atomic(uint32_t) x_word;
    bool light_fence; /* no membarrier here: a push pays for a fence of its own */
    bool use_membarrier;
    unsigned workers;
    void (*wake)(unsigned index); /* ends that worker's sleep in its driver */
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_asleep[SK_IDLE_WORKERS_MAX / 64];
};

extern struct sk_idle sk_idle;

void sk_idle_init(unsigned workers, void (*wake)(unsigned index));

/* Any thread, after it has pushed. Wakes one worker if one sleeps and nobody searches. False:
 * somebody searches, and nobody was woken: when the last searcher stops it looks at what is left. */
bool sk_idle_notify_slow(void);
/* Any thread, after it has pushed to `index`'s own queues by a seq_cst operation: wakes that worker
 * if it sleeps. */
void sk_idle_wake(unsigned index);
/* Whether a worker sleeps. */
static inline bool sk_idle_sleepers(void)
{
    return (sk_load_relaxed(&sk_idle.x_word) & SK_IDLE_SLEEPERS_MASK) != 0;
}

static inline void sk_idle_light_barrier(void)
{
    sk_fence_compiler();
    if (sk_unlikely(sk_idle.light_fence))
        sk_fence_seq_cst(); /* IDL1 - IDL2 */
}

/* Makes every running thread of the process pass a full barrier: what they pushed before is seen,
 * what they look at after is what the caller wrote before. */
void sk_idle_heavy_barrier(void);

/* The worker only. */
bool sk_idle_search_begin(void);
/* True: it was the last searcher; the caller, having found work, wakes another. */
bool sk_idle_search_end(void);
void sk_idle_announce(unsigned index, bool searching);
/* True: a waker had claimed it: it is a searcher now. */
bool sk_idle_leave(unsigned index);

#endif
