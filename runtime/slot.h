/* runtime/slot.h - the place in front of a worker's deques: the task that the running coroutine
 * readied last, which runs next.
 * Owns:    struct sk_slot.
 * Threads: swap, take: the worker. open: the monitor. steal: other workers, after it was opened.
 *
 * The owner moves tasks in and out by plain loads and stores, a thousand times for each time that
 * anybody else looks. Who may touch x_task (x_state):
 *   CLOSED   the owner alone
 *   OPENING  the monitor has found the task aged, and waits until the owner is in no section
 *   OPEN     whoever moves on to TAKING (a thief) or back to CLOSED (the owner)
 *   TAKING   the thief that got there, until it says CLOSED
 *   sk_slot_open   CLOSED -> OPENING -> OPEN     the monitor
 *   sk_slot_steal  OPEN -> TAKING -> CLOSED      a thief
 *   sk_slot_swap   OPENING, OPEN -> CLOSED       the owner, in a section
 * A section of the owner: x_busy is set, x_state is looked at, x_task is moved, x_busy is cleared.
 * Order: SL1 store x_busy, light barrier, SL2 load x_state (owner); SL3 store OPENING, heavy
 *        barrier, SL4 load x_busy (monitor): a section that has not seen OPENING is seen to be busy
 *        (Dekker, runtime/idle.h).
 *        SL5 release store of x_task -> SL6 acquire load by who takes it: the task's record.
 *        SL7 release of CLOSED by a thief -> SL2: that x_task is empty. */
#ifndef SK_RUNTIME_SLOT_H
#define SK_RUNTIME_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "runtime/idle.h"

struct skua_task;

enum { SK_SLOT_CLOSED, SK_SLOT_OPENING, SK_SLOT_OPEN, SK_SLOT_TAKING };

struct sk_slot {
    _Atomic(struct skua_task *) x_task;
    _Atomic(uint32_t) x_state;
    _Atomic(bool) x_busy;
    bool alone; /* there is one worker: nobody else ever looks */
};

/* Any thread. What is in it at this moment, to look at only. */
static inline struct skua_task *sk_slot_peek(const struct sk_slot *slot)
{
    return sk_load_relaxed(&slot->x_task);
}

/* Owner only, in a section. */
static inline void sk_slot_close(struct sk_slot *slot)
{
    for (unsigned spins = 0;; spins++) {
        uint32_t state = sk_load_acquire(&slot->x_state); /* SL7 */
        if (state == SK_SLOT_CLOSED)
            return;
        if (state != SK_SLOT_TAKING &&
            sk_cas_acq_rel(&slot->x_state, &state, (uint32_t)SK_SLOT_CLOSED))
            return;
        sk_lock_relax(spins);
    }
}

/* Owner only. Puts task (NULL: nothing) in; returns what was there. */
static inline struct skua_task *sk_slot_swap(struct sk_slot *slot, struct skua_task *task)
{
    if (slot->alone) {
        struct skua_task *only = sk_slot_peek(slot);
        sk_store_relaxed(&slot->x_task, task);
        return only;
    }
    sk_store_relaxed(&slot->x_busy, true); /* SL1 */
    sk_idle_light_barrier();
    if (sk_unlikely(sk_load_acquire(&slot->x_state) != SK_SLOT_CLOSED)) /* SL2, SL7 */
        sk_slot_close(slot);
    struct skua_task *before = sk_load_relaxed(&slot->x_task);
    sk_store_release(&slot->x_task, task); /* SL5 */
    sk_store_release(&slot->x_busy, false);
    return before;
}

/* Owner only. False: something is in it, or others may look; nothing was done. */
static inline bool sk_slot_try_fill(struct sk_slot *slot, struct skua_task *task)
{
    if (!slot->alone || sk_slot_peek(slot) != NULL)
        return false;
    sk_store_relaxed(&slot->x_task, task);
    return true;
}

/* The monitor only. Lets thieves take what is in it, unless the owner comes first. */
static inline void sk_slot_open(struct sk_slot *slot)
{
    uint32_t state = SK_SLOT_CLOSED;
    if (!sk_cas_seq_cst(&slot->x_state, &state, (uint32_t)SK_SLOT_OPENING)) /* SL3 */
        return;
    sk_idle_heavy_barrier();
    for (unsigned spins = 0; sk_load_acquire(&slot->x_busy); spins++) /* SL4 */
        sk_lock_relax(spins);
    state = SK_SLOT_OPENING;
    (void)sk_cas_acq_rel(&slot->x_state, &state, (uint32_t)SK_SLOT_OPEN);
}

/* Another worker. NULL: it is not open, or empty. */
static inline struct skua_task *sk_slot_steal(struct sk_slot *slot)
{
    uint32_t state = SK_SLOT_OPEN;
    if (sk_likely(sk_load_relaxed(&slot->x_state) != SK_SLOT_OPEN) ||
        !sk_cas_acq_rel(&slot->x_state, &state, (uint32_t)SK_SLOT_TAKING))
        return NULL;
    struct skua_task *task = sk_load_acquire(&slot->x_task); /* SL6 */
    sk_store_relaxed(&slot->x_task, NULL);
    sk_store_release(&slot->x_state, (uint32_t)SK_SLOT_CLOSED); /* SL7 */
    return task;
}

#endif
