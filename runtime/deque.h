/* runtime/deque.h - a worker's run queue: Chase and Lev's deque with a fixed array.
 * Owns:    struct sk_deque; no other file touches its fields.
 * Threads: push and take_child: the owner, at the bottom. steal: any thread, the owner too, at the
 * top. So what is pushed
 *          is dispatched first in, first out, and a closer finds its newest child at the bottom.
 * I1: 0 <= bottom - top <= capacity, both free-running, but for the moment in which a take finds
 * the deque empty.
 * I2: the entry at position p belongs to who moves top from p to p + 1, or, when bottom > p + 1 is
 * not yet seen by a thief,
 *     to the owner that moves bottom from p + 1 to p.
 * Order: DQ1 store-release bottom (push) -> DQ2 load bottom (steal): the entry and the task are
 * visible.
 *        DQ3 seq_cst exchange of bottom, then load of top (take); DQ4 seq_cst load of top, then
 *        load of bottom (steal): Dekker. A thief that takes position b read top = b, which was
 *        stored after the owner's load of top, if the owner saw less than b; so the thief's load of
 *        bottom comes after the owner's exchange, sees b, and finds nothing. Every store to bottom
 *        is at least a release: a relaxed one would end the release sequence that DQ2 reads
 *        (nim-taskpools#52). DQ5 seq_cst CAS of top: one winner for each position.
 * Source: Chase and Lev 2005; orders after Le, Pop, Cohen, Zappa Nardelli 2013, with accesses in
 * place of fences. */
#ifndef SK_RUNTIME_DEQUE_H
#define SK_RUNTIME_DEQUE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"

struct skua_task;

struct sk_deque {
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_top; /* next to dispatch or steal; CAS, any thread */
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_bottom; /* next free; written by the owner */
    uint64_t mask;                                    /* capacity - 1; never changes */
    bool alone; /* there are no thieves: one worker; never changes */
    _Atomic(struct skua_task *) *slots;
};

/* Any thread; exact only for the owner while nobody steals. */
static inline uint64_t sk_deque_len(struct sk_deque *q)
{
    uint64_t top = sk_load_relaxed(&q->x_top);
    uint64_t bottom = sk_load_relaxed(&q->x_bottom);
    return (int64_t)(bottom - top) > 0 ? bottom - top : 0;
}

/* Owner only. False when full: the caller takes the task to the global queue. */
static inline bool sk_deque_push(struct sk_deque *q, struct skua_task *task)
{
    uint64_t bottom = sk_load_relaxed(&q->x_bottom);
    uint64_t top = sk_load_acquire(&q->x_top);
    if (sk_unlikely(bottom - top > q->mask))
        return false;
    sk_store_relaxed(&q->slots[bottom & q->mask], task);
    sk_store_release(&q->x_bottom, bottom + 1); /* DQ1 */
    return true;
}

/* Any thread. NULL when empty, or when another took the entry in the same moment (*contended). */
static inline struct skua_task *sk_deque_steal(struct sk_deque *q, bool *contended)
{
    uint64_t top = sk_load_seq_cst(&q->x_top);       /* DQ4 */
    uint64_t bottom = sk_load_seq_cst(&q->x_bottom); /* DQ2, DQ4 */
    *contended = false;
    if ((int64_t)(bottom - top) <= 0)
        return NULL;
    struct skua_task *task = sk_load_relaxed(&q->slots[top & q->mask]);
    if (sk_likely(sk_cas_seq_cst(&q->x_top, &top, top + 1))) /* DQ5 */
        return task;
    *contended = true;
    return NULL;
}

/* Owner only. The oldest entry, NULL when there is none left. */
static inline struct skua_task *sk_deque_pop(struct sk_deque *q)
{
    uint64_t bottom = sk_load_relaxed(&q->x_bottom);
    uint64_t top = sk_load_relaxed(&q->x_top);
    while ((int64_t)(bottom - top) > 0) {
        struct skua_task *task = sk_load_relaxed(&q->slots[top & q->mask]);
        if (q->alone) {
            sk_store_relaxed(&q->x_top, top + 1);
            return task;
        }
        if (sk_cas_seq_cst(&q->x_top, &top, top + 1)) /* DQ5 */
            return task;
    }
    return NULL;
}

/* Owner only. The newest entry, not taken; NULL when there is none. It may be stolen at any
 * moment. */
static inline struct skua_task *sk_deque_peek(struct sk_deque *q)
{
    uint64_t bottom = sk_load_relaxed(&q->x_bottom);
    if ((int64_t)(bottom - sk_load_relaxed(&q->x_top)) <= 0)
        return NULL;
    return sk_load_relaxed(&q->slots[(bottom - 1) & q->mask]);
}

/* Owner only, after a peek that found one. Takes the newest entry; NULL when a thief was
 * quicker. */
static inline struct skua_task *sk_deque_take(struct sk_deque *q)
{
    uint64_t bottom = sk_load_relaxed(&q->x_bottom) - 1;
    struct skua_task *task = sk_load_relaxed(&q->slots[bottom & q->mask]);
    if (q->alone) {
        sk_store_release(&q->x_bottom, bottom);
        return task; /* what was peeked at is still there */
    }
    (void)sk_xchg_seq_cst(&q->x_bottom, bottom); /* DQ3 */
    uint64_t top = sk_load_seq_cst(&q->x_top);   /* DQ3 */
    if (sk_likely((int64_t)(bottom - top) > 0))
        return task;
    bool won = (int64_t)(bottom - top) == 0 && sk_cas_seq_cst(&q->x_top, &top, top + 1); /* DQ5 */
    sk_store_release(&q->x_bottom, bottom + 1);
    return won ? task : NULL;
}

#endif
