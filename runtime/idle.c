#include "runtime/idle.h"

#include <linux/membarrier.h>

#include "runtime/base/assert.h"
#include "runtime/base/lock.h"
#include "runtime/base/sys.h"

struct sk_idle sk_idle;

void sk_idle_init(unsigned workers, void (*wake)(unsigned index))
{
    sk_idle.wake = wake;
    sk_store_relaxed(&sk_idle.x_word, 0u);
    for (unsigned i = 0; i < SK_IDLE_WORKERS_MAX / 64; i++)
        sk_store_relaxed(&sk_idle.x_asleep[i], UINT64_C(0));
    sk_idle.workers = workers;
    sk_idle.use_membarrier =
        workers > 1 && sk_sys.membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0;
    sk_idle.light_fence = workers > 1 && !sk_idle.use_membarrier;
}

void sk_idle_heavy_barrier(void)
{
    if (sk_idle.use_membarrier)
        SK_CHECK(sk_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0);
    else
        sk_fence_seq_cst(); /* IDL3 - IDL4 */
}

/* Clears the bit of the worker: true for the one who does. */
static bool claim_bit(unsigned index)
{
    uint64_t bit = UINT64_C(1) << (index % 64);
    return (sk_and_acq_rel(&sk_idle.x_asleep[index / 64], ~bit) & bit) != 0;
}

/* -1: none. */
static int claim_any(void)
{
    for (unsigned i = 0; i * 64 < sk_idle.workers; i++) {
        uint64_t asleep = sk_load_acquire(&sk_idle.x_asleep[i]);
        while (asleep != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(asleep);
            if (claim_bit(i * 64 + bit))
                return (int)(i * 64 + bit);
            asleep &= asleep - 1;
        }
    }
    return -1;
}

/* Takes a seat for a sleeper that is to be woken. */
static bool take_seat(bool *nobody_sleeps)
{
    uint32_t word = sk_load_seq_cst(&sk_idle.x_word); /* IDL2 */
    do {
        *nobody_sleeps = (word & SK_IDLE_SLEEPERS_MASK) == 0;
        if (*nobody_sleeps || word >= SK_IDLE_SEARCHER)
            return false;
    } while (!sk_cas_seq_cst(&sk_idle.x_word, &word, word - 1 + SK_IDLE_SEARCHER));
    return true;
}

bool sk_idle_notify_slow(void)
{
    bool nobody_sleeps;
    for (unsigned spins = 0; take_seat(&nobody_sleeps); spins++) {
        int index = claim_any();
        if (index >= 0) {
            sk_idle.wake((unsigned)index);
            return true;
        }
        /* Those who slept are leaving by themselves. While the seat was taken others may have
         * relied on it: look again. */
        sk_add_seq_cst(&sk_idle.x_word, 1u - SK_IDLE_SEARCHER);
        sk_lock_relax(spins);
    }
    return nobody_sleeps;
}

void sk_idle_wake(unsigned index)
{
    uint64_t bit = UINT64_C(1) << (index % 64);
    if ((sk_load_seq_cst(&sk_idle.x_asleep[index / 64]) & bit) == 0)
        return;
    /* The seat first: the woken one gives it back when it stops searching. */
    sk_add_seq_cst(&sk_idle.x_word, (uint32_t)SK_IDLE_SEARCHER - 1);
    if (claim_bit(index)) {
        sk_idle.wake(index);
        return;
    }
    sk_add_seq_cst(&sk_idle.x_word, 1u - SK_IDLE_SEARCHER);
    (void)sk_idle_notify_slow(); /* for who relied on the seat */
}

bool sk_idle_search_begin(void)
{
    uint32_t word = sk_load_relaxed(&sk_idle.x_word);
    do {
        if (word / SK_IDLE_SEARCHER * 2 >= sk_idle.workers)
            return false;
    } while (!sk_cas_seq_cst(&sk_idle.x_word, &word, word + SK_IDLE_SEARCHER));
    return true;
}

bool sk_idle_search_end(void)
{
    return sk_add_seq_cst(&sk_idle.x_word, 0u - SK_IDLE_SEARCHER) / SK_IDLE_SEARCHER == 1;
}

void sk_idle_announce(unsigned index, bool searching)
{
    sk_or_seq_cst(&sk_idle.x_asleep[index / 64], UINT64_C(1) << (index % 64));
    uint32_t before =
        sk_add_seq_cst(&sk_idle.x_word, searching ? 1u - SK_IDLE_SEARCHER : 1u); /* IDL3 */
    /* Where all the others sleep nobody pushes: who leaves later changes x_word, or is woken by who
     * did, after us. */
    if ((before & SK_IDLE_SLEEPERS_MASK) + 1 != sk_idle.workers)
        sk_idle_heavy_barrier();
}

bool sk_idle_leave(unsigned index)
{
    if (!claim_bit(index))
        return true;
    sk_add_seq_cst(&sk_idle.x_word, 0u - 1u);
    return false;
}
