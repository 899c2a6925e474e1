#include "runtime/solo.h"

#include <linux/membarrier.h>

#include "runtime/base/sys.h"

struct sk_solo sk_solo;

void sk_solo_start(unsigned workers)
{
    if (workers > 1 || sk_sys.membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) != 0)
        return;
    sk_store_seq_cst(&sk_solo.x_state, (uint32_t)SK_SOLO_ALONE); /* SO7 */
    uint32_t alone = SK_SOLO_ALONE;
    if (sk_load_seq_cst(&sk_solo.x_inside) != 0) /* SO8 */
        (void)sk_cas_seq_cst(&sk_solo.x_state, &alone, (uint32_t)SK_SOLO_SHARED);
}

void sk_solo_stop(void)
{
    sk_store_release(&sk_solo.x_state, (uint32_t)SK_SOLO_SHARED);
}

void sk_solo_after_fork(void)
{
    sk_store_relaxed(&sk_solo.x_busy, false);
    sk_store_relaxed(&sk_solo.x_inside, 0u);
    sk_store_relaxed(&sk_solo.x_state, (uint32_t)SK_SOLO_SHARED);
}

void sk_solo_end(void)
{
    uint32_t state = SK_SOLO_ALONE;
    if (sk_cas_seq_cst(&sk_solo.x_state, &state, (uint32_t)SK_SOLO_ENDING)) { /* SO3 */
        SK_CHECK(sk_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0);
        for (unsigned spins = 0; sk_load_acquire(&sk_solo.x_busy); spins++) /* SO4 */
            sk_lock_relax(spins);
        state = SK_SOLO_ENDING;
        (void)sk_cas_acq_rel(&sk_solo.x_state, &state, (uint32_t)SK_SOLO_SHARED);
    }
    for (unsigned spins = 0; sk_load_acquire(&sk_solo.x_state) == SK_SOLO_ENDING; spins++)
        sk_lock_relax(spins);
}

static void enter_as_stranger(void)
{
    sk_add_seq_cst(&sk_solo.x_inside, 1u);                                /* SO5 */
    if (sk_unlikely(sk_load_seq_cst(&sk_solo.x_state) != SK_SOLO_SHARED)) /* SO6 */
        sk_solo_end();
}

static void leave_as_stranger(void)
{
    sk_sub_acq_rel(&sk_solo.x_inside, 1u);
}

bool sk_solo_cas_as_stranger(_Atomic(uint64_t) *word, uint64_t *expected, uint64_t value)
{
    enter_as_stranger();
    bool same = sk_cas_seq_cst(word, expected, value);
    leave_as_stranger();
    return same;
}

uint64_t sk_solo_or_as_stranger(_Atomic(uint64_t) *word, uint64_t bits)
{
    enter_as_stranger();
    uint64_t before = sk_or_acq_rel(word, bits);
    leave_as_stranger();
    return before;
}

uint64_t sk_solo_and_as_stranger(_Atomic(uint64_t) *word, uint64_t bits)
{
    enter_as_stranger();
    uint64_t before = sk_and_acq_rel(word, bits);
    leave_as_stranger();
    return before;
}

void sk_solo_lock_as_stranger(struct sk_lock *lock)
{
    enter_as_stranger();
    sk_lock(lock);
    leave_as_stranger();
}
