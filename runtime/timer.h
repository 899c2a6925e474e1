/* runtime/timer.h - timers: a heap per worker under a lock.
 * Owns:    struct sk_timer_heap, and a timer's slot and heap fields while it is armed.
 * Threads: the owner fires; any thread arms and stops.
 * I1: heap[i].when >= heap[parent(i)].when; heap[i].timer->slot == i + 1; a timer that is not armed
 *     has slot 0, or SK_TIMER_DROPPED if the end of a runtime disarmed it.
 * I2: what a timer is to do is copied out under the lock before it fires: its memory is not touched
 *     after that. The stack on which a wait's timer lives may be gone as soon as the lock is. */
#ifndef SK_RUNTIME_TIMER_H
#define SK_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skua/time.h>

#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"

struct sk_timer_heap;

#define SK_TIMER_DROPPED UINT32_MAX

struct sk_timer {
    _Atomic(struct sk_timer_heap *) x_heap; /* where it was last armed; NULL: never */
    uint32_t
        slot; /* index in the heap + 1; 0: not armed; SK_TIMER_DROPPED; under the heap's lock */
    uint32_t reserved;
    void (*fn)(
        void *arg,
        uint64_t word); /* called by the owner, in the worker's own context: it must not wait */
    void *arg;
    uint64_t word;
};

struct sk_timer_entry {
    skua_time when;
    struct sk_timer *timer;
};

struct sk_timer_heap {
    struct sk_lock lock;
    uint32_t count;
    uint32_t capacity;
    bool closed; /* by sk_timer_drop_all; under the lock */
    struct sk_timer_entry *entries;
    _Atomic(skua_time)
        x_first; /* when of the root, SKUA_NEVER when empty; written under the lock */
};

void sk_timer_heap_init(struct sk_timer_heap *heap);
/* No timer is armed any more. */
void sk_timer_heap_free(struct sk_timer_heap *heap);

/* Any thread. 0, -ENOMEM, or -ESHUTDOWN after sk_timer_drop_all. timer must not be armed. */
int sk_timer_arm(struct sk_timer_heap *heap, struct sk_timer *timer, skua_time when);
/* Any thread. True: it was armed, or was dropped, and will not fire. False: it has fired, is firing, or never was
 * armed. */
bool sk_timer_disarm(struct sk_timer *timer);
/* Any thread. None of those that are armed will fire, and none is touched any more: sk_timer_disarm
 * and sk_timer_was_dropped tell, whether the heap is still there or not. None is armed from now on: a
 * callback that fires at this moment may have found the runtime running, and arms its timer again. */
void sk_timer_drop_all(struct sk_timer_heap *heap);
/* Any thread, where the heap in which it was armed has been dropped before. */
static inline bool sk_timer_was_dropped(const struct sk_timer *timer)
{
    return timer->slot == SK_TIMER_DROPPED;
}
/* Owner only. Fires what is due at now; returns how many. */
unsigned sk_timer_fire(struct sk_timer_heap *heap, skua_time now);

/* Any thread. When the earliest timer is due. */
static inline skua_time sk_timer_first(struct sk_timer_heap *heap)
{
    return sk_load_seq_cst(&heap->x_first); /* IDL4: after sleep was announced */
}

#endif
