/* sync/chan_ring.h - the ring of a bounded channel: Vyukov's, for elements of any one size.
 * Owns:    struct sk_chan_ring. No other file touches its fields.
 * Threads: push, pop, close, len: any thread. announce_*, forget_*: the holder of the channel's
 *          waiters' lock (sync/chan.h).
 *
 * The element at position p lies in slot p mod slots. A word of the ring is a position << 2 | bits,
 * free-running; positions are compared as such words with the bits off, so that all of them wrap
 * together.
 *   x_tail  the next position to be written, CLOSED, WAITING (a receiver sleeps, or is about to)
 *   x_head  the next position to be read, WAITING (a sender sleeps, or is about to)
 *   stamp   of a slot, with p = position << 2: free while it is p, full while it is p | FULL, free
 *           for the next lap at p + (slots << 2). It is kept less the slot's index << 2, so that
 *           zeroed memory is an empty ring and a large one is not touched before it is used.
 * I1: x_tail - x_head <= capacity. Slots are a power of two; a capacity between two of them is held
 *     by comparing with x_head as well. What is read of x_head is never ahead of it, so the capacity
 *     is exact.
 * I2: who moves x_tail (x_head) over positions owns their slots until it stamps them. A run of slots
 *     that were seen free (full) stays so until somebody moves over it: one CAS claims them all.
 * I3: once CLOSED is in x_tail the position there never changes: the CAS decides whether a push came
 *     before the close or after it.
 *
 * No wakeup is lost, and the data path has neither a fence nor a second locked instruction, because
 * WAITING stands in the word that the other side's CAS changes. A receiver announces itself: by one
 * RMW it sets WAITING in x_tail and learns the tail t. Positions before t that are claimed by
 * receivers are not its business: with x_head >= t there is nothing for it. Whatever is pushed at t
 * or behind comes later in the order of changes of x_tail: that CAS reads WAITING, unless the bit was
 * taken away meanwhile, which only the holder of the lock does who finds no receiver in the queue.
 * The sender whose CAS read the bit takes the lock after it has published its element, and finds the
 * receiver: the bit was set under the lock, in the same section in which the receiver entered the
 * queue. With x_tail and x_head exchanged the same holds for a sender that finds the ring full.
 *
 * Lock-free means here: no path takes a lock. A sender that is preempted between its CAS and its
 * stamp holds up those who want that element or one behind it: they get AGAIN, not EMPTY, for it is
 * on its way and nothing would announce it.
 * Order: CR1 store-release of the stamp (push) -> CR2 load-acquire (pop): the element is visible.
 *        CR3 store-release of the stamp (pop) -> CR4 load-acquire (push): the slot may be reused.
 *        CR5 acq_rel RMW that sets WAITING or CLOSED: in the order of changes of its word. The CASes
 *        could be relaxed: what they claim is published by stamps.
 * Source:  Vyukov's bounded MPMC queue; the run claimed by one CAS as in DPDK's ring. */
#ifndef SK_SYNC_CHAN_RING_H
#define SK_SYNC_CHAN_RING_H

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arch.h"
#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/solo.h"

enum {
    SK_CHAN_RING_WAITING = 1,
    SK_CHAN_RING_CLOSED = 2, /* in x_tail only */
    SK_CHAN_RING_BITS = 3,
    SK_CHAN_RING_SHIFT = 2,
    SK_CHAN_RING_FULL = 1, /* in a stamp */
    SK_CHAN_RING_STAMP_BYTES = 8,
    SK_CHAN_RING_RUN_MAX = 64, /* slots claimed by one CAS: others wait for what is in the middle */
};

/* What became of a call. DONE and WAKE: as much as it says was done. */
enum sk_chan_ring_result {
    SK_CHAN_RING_DONE,
    SK_CHAN_RING_WAKE,  /* done, and somebody on the other side waits, or did */
    SK_CHAN_RING_NONE,  /* full, or empty, and not closed */
    SK_CHAN_RING_ENDED, /* closed (push), closed and empty (pop) */
    SK_CHAN_RING_AGAIN, /* another thread is about to publish what would be next: in a moment */
};

struct sk_chan_ring {
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_head; /* CAS, any thread */
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_tail; /* CAS, any thread */
    alignas(SK_CACHELINE) uint64_t mask;            /* slots - 1; from here on nothing changes */
    uint64_t limit;                                 /* capacity << SHIFT */
    bool is_tight;                                  /* fewer elements than slots */
    size_t elem_bytes;
    size_t stride;
    char *slots;
};

/* ---- slots ---- */

static inline char *sk_chan_ring_slot(const struct sk_chan_ring *r, uint64_t pos)
{
    return r->slots + (size_t)((pos >> SK_CHAN_RING_SHIFT) & r->mask) * r->stride;
}

static inline _Atomic(uint64_t) *sk_chan_ring_stamp(const struct sk_chan_ring *r, uint64_t pos)
{
    return (_Atomic(uint64_t) *)(void *)sk_chan_ring_slot(r, pos);
}

/* What the slot of pos is stamped with when it is free for pos. */
static inline uint64_t sk_chan_ring_lap(const struct sk_chan_ring *r, uint64_t pos)
{
    return pos & ~(r->mask << SK_CHAN_RING_SHIFT);
}

static inline uint64_t sk_chan_ring_pos(uint64_t word)
{
    return word & ~(uint64_t)SK_CHAN_RING_BITS;
}

/* By far the most are of few bytes: a call of memcpy would cost more than all the rest. */
static inline __attribute__((always_inline)) void sk_chan_ring_copy(void *to, const void *from,
                                                                    size_t bytes)
{
    if (sk_likely(bytes == 8))
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else if (bytes == 16)
        memcpy(to, from, 16);
    else if (bytes == 1)
        memcpy(to, from, 1);
    else if (bytes == 2)
        memcpy(to, from, 2);
    else if (bytes != 0)
        sk_san_copy(to, from, bytes);
}

/* ---- set-up ---- */

/* 0; -ENOMEM, also for what cannot be addressed. first: the position to begin at, for tests. */
static inline int sk_chan_ring_init_at(struct sk_chan_ring *r, size_t elem_bytes, uint64_t capacity,
                                       uint64_t first)
{
    const uint64_t too_many = (uint64_t)1 << 48; /* elements; more than memory can hold */
    size_t bytes;
    if (capacity > too_many)
        return -ENOMEM;
    uint64_t slots = 1;
    while (slots < capacity)
        slots *= 2;
    *r = (struct sk_chan_ring){.mask = slots - 1, .limit = capacity << SK_CHAN_RING_SHIFT};
    r->is_tight = capacity < slots;
    r->elem_bytes = elem_bytes;
    r->stride = (SK_CHAN_RING_STAMP_BYTES + elem_bytes + 7) & ~(size_t)7;
    if (__builtin_mul_overflow(r->stride, slots, &bytes))
        return -ENOMEM;
    r->slots = sk_mem_zalloc_aligned(SK_CACHELINE, bytes);
    if (r->slots == NULL)
        return -ENOMEM;
    uint64_t pos = first << SK_CHAN_RING_SHIFT;
    sk_store_relaxed(&r->x_head, pos);
    sk_store_relaxed(&r->x_tail, pos);
    for (uint64_t i = 0; first != 0 && i < slots; i++, pos += 1u << SK_CHAN_RING_SHIFT)
        sk_store_relaxed(sk_chan_ring_stamp(r, pos), sk_chan_ring_lap(r, pos));
    return 0;
}

static inline int sk_chan_ring_init(struct sk_chan_ring *r, size_t elem_bytes, uint64_t capacity)
{
    return sk_chan_ring_init_at(r, elem_bytes, capacity, 0);
}

static inline void sk_chan_ring_free(struct sk_chan_ring *r)
{
    sk_mem_free(r->slots);
}

/* ---- claiming ---- */

/* Of n slots from pos on, those that lie one behind the other. */
static inline uint64_t sk_chan_ring_straight(const struct sk_chan_ring *r, uint64_t pos, uint64_t n)
{
    uint64_t left = r->mask + 1 - ((pos >> SK_CHAN_RING_SHIFT) & r->mask);
    return n < left ? n : left;
}

/* How many slots from pos on, at most n, are stamped with their lap | full. */
static inline __attribute__((always_inline)) uint64_t
sk_chan_ring_run(const struct sk_chan_ring *r, uint64_t pos, uint64_t n, uint64_t full)
{
    uint64_t done = 0;
    while (done < n) {
        uint64_t k = n == 1 ? 1 : sk_chan_ring_straight(r, pos, n - done), i = 0;
        uint64_t wanted = sk_chan_ring_lap(r, pos) | full;
        for (const char *slot = sk_chan_ring_slot(r, pos); i < k; i++, slot += r->stride)
            if (sk_load_acquire((const _Atomic(uint64_t) *)(const void *)slot) != wanted)
                return done + i; /* CR2, CR4 */
        done += k;
        pos += k << SK_CHAN_RING_SHIFT;
    }
    return done;
}

/* I1, where there are more slots than elements. */
static inline uint64_t sk_chan_ring_room(struct sk_chan_ring *r, uint64_t tail, uint64_t n)
{
    uint64_t used = tail - sk_chan_ring_pos(sk_load_relaxed(&r->x_head));
    if ((int64_t)(r->limit - used) <= 0)
        return 0;
    uint64_t room = (r->limit - used) >> SK_CHAN_RING_SHIFT;
    return room < n ? room : n;
}

/* Claims up to n free slots: how many, and *word: x_tail as it was. 0: *why. */
static inline __attribute__((always_inline)) uint64_t
sk_chan_ring_claim_free(struct sk_chan_ring *r, uint64_t n, uint64_t *word,
                        enum sk_chan_ring_result *why)
{
    uint64_t tail = sk_load_relaxed(&r->x_tail);
    for (;;) {
        if (sk_unlikely((tail & SK_CHAN_RING_CLOSED) != 0)) {
            *why = SK_CHAN_RING_ENDED; /* I3 */
            return 0;
        }
        uint64_t pos = sk_chan_ring_pos(tail);
        uint64_t k = r->is_tight ? sk_chan_ring_room(r, pos, n) : n;
        k = sk_chan_ring_run(r, pos, k, 0);
        if (sk_unlikely(k == 0))
            break;
        if (sk_likely(sk_solo_cas(&r->x_tail, &tail, tail + (k << SK_CHAN_RING_SHIFT)))) {
            *word = tail; /* CR5: with WAITING, if somebody waits */
            return k;
        }
        sk_arch_back_off(); /* 11 ns per message of four senders and receivers, 42 without */
        tail = sk_load_relaxed(&r->x_tail);
    }
    uint64_t used = sk_chan_ring_pos(tail) - sk_chan_ring_pos(sk_load_acquire(&r->x_head));
    *why = (int64_t)(used - r->limit) >= 0 ? SK_CHAN_RING_NONE : SK_CHAN_RING_AGAIN;
    return 0;
}

/* Claims up to n full slots: how many, and *word: x_head as it was. 0: *why. */
static inline __attribute__((always_inline)) uint64_t
sk_chan_ring_claim_full(struct sk_chan_ring *r, uint64_t n, uint64_t *word,
                        enum sk_chan_ring_result *why)
{
    uint64_t head = sk_load_relaxed(&r->x_head);
    for (;;) {
        uint64_t k = sk_chan_ring_run(r, sk_chan_ring_pos(head), n, SK_CHAN_RING_FULL);
        if (sk_unlikely(k == 0))
            break;
        if (sk_likely(sk_solo_cas(&r->x_head, &head, head + (k << SK_CHAN_RING_SHIFT)))) {
            *word = head; /* CR5 */
            return k;
        }
        sk_arch_back_off();
        head = sk_load_relaxed(&r->x_head);
    }
    uint64_t tail = sk_load_acquire(&r->x_tail);
    if (sk_chan_ring_pos(tail) != sk_chan_ring_pos(head))
        *why = SK_CHAN_RING_AGAIN;
    else
        *why = (tail & SK_CHAN_RING_CLOSED) != 0 ? SK_CHAN_RING_ENDED : SK_CHAN_RING_NONE;
    return 0;
}

/* ---- push and pop ---- */

static inline enum sk_chan_ring_result sk_chan_ring_done(uint64_t word)
{
    return sk_unlikely((word & SK_CHAN_RING_WAITING) != 0) ? SK_CHAN_RING_WAKE : SK_CHAN_RING_DONE;
}

/* Any thread. v may be NULL if elements have no bytes. */
static inline enum sk_chan_ring_result sk_chan_ring_push(struct sk_chan_ring *r, const void *v)
{
    uint64_t word;
    enum sk_chan_ring_result why;
    if (sk_unlikely(sk_chan_ring_claim_free(r, 1, &word, &why) == 0))
        return why;
    uint64_t pos = sk_chan_ring_pos(word);
    char *slot = sk_chan_ring_slot(r, pos);
    sk_chan_ring_copy(slot + SK_CHAN_RING_STAMP_BYTES, v, r->elem_bytes);
    sk_store_release((_Atomic(uint64_t) *)(void *)slot,
                     sk_chan_ring_lap(r, pos) | SK_CHAN_RING_FULL); /* CR1 */
    return sk_chan_ring_done(word);
}

/* Any thread. v may be NULL: the element is dropped. */
static inline enum sk_chan_ring_result sk_chan_ring_pop(struct sk_chan_ring *r, void *v)
{
    uint64_t word;
    enum sk_chan_ring_result why;
    if (sk_unlikely(sk_chan_ring_claim_full(r, 1, &word, &why) == 0))
        return why;
    uint64_t pos = sk_chan_ring_pos(word);
    char *slot = sk_chan_ring_slot(r, pos);
    if (sk_likely(v != NULL))
        sk_chan_ring_copy(v, slot + SK_CHAN_RING_STAMP_BYTES, r->elem_bytes);
    sk_store_release((_Atomic(uint64_t) *)(void *)slot,
                     sk_chan_ring_lap(r, pos) + ((r->mask + 1) << SK_CHAN_RING_SHIFT)); /* CR3 */
    return sk_chan_ring_done(word);
}

/* Elements of `bytes` to k slots that lie one behind the other, each published as it is there: CR1. */
static inline __attribute__((always_inline)) const char *
sk_chan_ring_fill_sized(char *slot, size_t stride, uint64_t stamp, uint64_t k, const char *from,
                        size_t bytes)
{
    for (; k > 0; k--, slot += stride) {
        sk_chan_ring_copy(slot + SK_CHAN_RING_STAMP_BYTES, from, bytes);
        from = bytes != 0 ? from + bytes : from;
        sk_store_release((_Atomic(uint64_t) *)(void *)slot, stamp);
    }
    return from;
}

static inline const char *sk_chan_ring_fill(struct sk_chan_ring *r, uint64_t pos, uint64_t k,
                                            const char *from)
{
    char *slot = sk_chan_ring_slot(r, pos);
    uint64_t stamp = sk_chan_ring_lap(r, pos) | SK_CHAN_RING_FULL;
    if (sk_likely(r->elem_bytes == 8)) /* with its loop unswitched */
        return sk_chan_ring_fill_sized(slot, r->stride, stamp, k, from, 8);
    return sk_chan_ring_fill_sized(slot, r->stride, stamp, k, from, r->elem_bytes);
}

/* The other way; to NULL: they are dropped. CR3. */
static inline __attribute__((always_inline)) char *
sk_chan_ring_drain_sized(char *slot, size_t stride, uint64_t stamp, uint64_t k, char *to,
                         size_t bytes)
{
    for (; k > 0; k--, slot += stride) {
        if (to != NULL) {
            sk_chan_ring_copy(to, slot + SK_CHAN_RING_STAMP_BYTES, bytes);
            to += bytes;
        }
        sk_store_release((_Atomic(uint64_t) *)(void *)slot, stamp);
    }
    return to;
}

static inline char *sk_chan_ring_drain(struct sk_chan_ring *r, uint64_t pos, uint64_t k, char *to)
{
    char *slot = sk_chan_ring_slot(r, pos);
    uint64_t stamp = sk_chan_ring_lap(r, pos) + ((r->mask + 1) << SK_CHAN_RING_SHIFT);
    if (sk_likely(r->elem_bytes == 8))
        return sk_chan_ring_drain_sized(slot, r->stride, stamp, k, to, 8);
    return sk_chan_ring_drain_sized(slot, r->stride, stamp, k, to, r->elem_bytes);
}

/* Any thread. The first *n of the elements at v, *n at most RUN_MAX; *n becomes how many went. */
static inline enum sk_chan_ring_result sk_chan_ring_push_n(struct sk_chan_ring *r, const void *v,
                                                           uint64_t *n)
{
    uint64_t word;
    enum sk_chan_ring_result why;
    const char *from = v;
    *n = sk_chan_ring_claim_free(r, *n, &word, &why);
    if (*n == 0)
        return why;
    uint64_t pos = sk_chan_ring_pos(word);
    for (uint64_t left = *n, k; left > 0; left -= k, pos += k << SK_CHAN_RING_SHIFT) {
        k = sk_chan_ring_straight(r, pos, left);
        from = sk_chan_ring_fill(r, pos, k, from);
    }
    return sk_chan_ring_done(word);
}

/* Any thread. Up to *n elements to v, *n at most RUN_MAX; *n becomes how many came. */
static inline enum sk_chan_ring_result sk_chan_ring_pop_n(struct sk_chan_ring *r, void *v,
                                                          uint64_t *n)
{
    uint64_t word;
    enum sk_chan_ring_result why;
    char *to = v;
    *n = sk_chan_ring_claim_full(r, *n, &word, &why);
    if (*n == 0)
        return why;
    uint64_t pos = sk_chan_ring_pos(word);
    for (uint64_t left = *n, k; left > 0; left -= k, pos += k << SK_CHAN_RING_SHIFT) {
        k = sk_chan_ring_straight(r, pos, left);
        to = sk_chan_ring_drain(r, pos, k, to);
    }
    return sk_chan_ring_done(word);
}

/* Any thread. False: it was closed before. */
static inline bool sk_chan_ring_close(struct sk_chan_ring *r)
{
    return (sk_solo_or(&r->x_tail, (uint64_t)SK_CHAN_RING_CLOSED) & SK_CHAN_RING_CLOSED) == 0;
}

/* Any thread. */
static inline bool sk_chan_ring_is_closed(const struct sk_chan_ring *r)
{
    return (sk_load_acquire(&r->x_tail) & SK_CHAN_RING_CLOSED) != 0;
}

/* Any thread. How many elements there are, claimed ones and such as are on their way too. */
static inline uint64_t sk_chan_ring_len(const struct sk_chan_ring *r)
{
    uint64_t head = sk_chan_ring_pos(sk_load_acquire(&r->x_head));
    uint64_t tail = sk_chan_ring_pos(sk_load_acquire(&r->x_tail));
    uint64_t used = tail - head;
    return (used < r->limit ? used : r->limit) >> SK_CHAN_RING_SHIFT;
}

static inline uint64_t sk_chan_ring_cap(const struct sk_chan_ring *r)
{
    return r->limit >> SK_CHAN_RING_SHIFT;
}

/* ---- waiting ---- */

/* Holder of the waiters' lock, who then enters the queue if this says NONE. From here on who pushes
 * takes the slow path. AGAIN: there is something, or it is on its way. */
static inline enum sk_chan_ring_result sk_chan_ring_announce_receiver(struct sk_chan_ring *r)
{
    uint64_t tail = sk_solo_or(&r->x_tail, (uint64_t)SK_CHAN_RING_WAITING); /* CR5 */
    uint64_t head = sk_chan_ring_pos(sk_load_acquire(&r->x_head));
    if ((int64_t)(head - sk_chan_ring_pos(tail)) < 0)
        return SK_CHAN_RING_AGAIN;
    return (tail & SK_CHAN_RING_CLOSED) != 0 ? SK_CHAN_RING_ENDED : SK_CHAN_RING_NONE;
}

/* The same for who wants to push. */
static inline enum sk_chan_ring_result sk_chan_ring_announce_sender(struct sk_chan_ring *r)
{
    uint64_t head = sk_solo_or(&r->x_head, (uint64_t)SK_CHAN_RING_WAITING); /* CR5 */
    uint64_t tail = sk_load_acquire(&r->x_tail);
    if ((tail & SK_CHAN_RING_CLOSED) != 0)
        return SK_CHAN_RING_ENDED;
    uint64_t used = sk_chan_ring_pos(tail) - sk_chan_ring_pos(head);
    return (int64_t)(used - r->limit) < 0 ? SK_CHAN_RING_AGAIN : SK_CHAN_RING_NONE;
}

/* Holder of the waiters' lock: no receiver is in the queue. */
static inline void sk_chan_ring_forget_receivers(struct sk_chan_ring *r)
{
    (void)sk_solo_and(&r->x_tail, ~(uint64_t)SK_CHAN_RING_WAITING);
}

/* Holder of the waiters' lock: no sender is in the queue. */
static inline void sk_chan_ring_forget_senders(struct sk_chan_ring *r)
{
    (void)sk_solo_and(&r->x_head, ~(uint64_t)SK_CHAN_RING_WAITING);
}

#endif
