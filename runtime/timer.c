#include "runtime/timer.h"

#include <errno.h>
#include <string.h>

#include <skua/time.h>

#include "runtime/base/assert.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"

enum { ARITY = 4, FIRST_CAPACITY = 64 };

void sk_timer_heap_init(struct sk_timer_heap *heap)
{
    *heap = (struct sk_timer_heap){.entries = NULL};
    sk_store_relaxed(&heap->x_first, SKUA_NEVER);
}

void sk_timer_heap_free(struct sk_timer_heap *heap)
{
    sk_assert(heap->count == 0); /* their memory may be gone by now */
    sk_mem_free(heap->entries);
    sk_timer_heap_init(heap);
}

/* ---- the heap; all under its lock ---- */

static void put_locked(struct sk_timer_heap *heap, uint32_t at, struct sk_timer_entry entry)
{
    heap->entries[at] = entry;
    entry.timer->slot = at + 1;
}

static void sift_up_locked(struct sk_timer_heap *heap, uint32_t at, struct sk_timer_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (heap->entries[parent].when <= entry.when)
            break;
        put_locked(heap, at, heap->entries[parent]);
        at = parent;
    }
    put_locked(heap, at, entry);
}

static void sift_down_locked(struct sk_timer_heap *heap, uint32_t at, struct sk_timer_entry entry)
{
    for (;;) {
        uint32_t first = at * ARITY + 1, least = first;
        if (first >= heap->count)
            break;
        for (uint32_t i = first + 1; i < first + ARITY && i < heap->count; i++)
            if (heap->entries[i].when < heap->entries[least].when)
                least = i;
        if (entry.when <= heap->entries[least].when)
            break;
        put_locked(heap, at, heap->entries[least]);
        at = least;
    }
    put_locked(heap, at, entry);
}

static void note_first_locked(struct sk_timer_heap *heap)
{
    /* seq_cst: the owner announces sleep, then looks here (IDL in idle.h). */
    sk_store_seq_cst(&heap->x_first, heap->count > 0 ? heap->entries[0].when : SKUA_NEVER);
}

static void remove_locked(struct sk_timer_heap *heap, uint32_t at)
{
    struct sk_timer_entry last = heap->entries[--heap->count];
    heap->entries[at].timer->slot = 0;
    if (at == heap->count)
        return;
    if (at > 0 && heap->entries[(at - 1) / ARITY].when > last.when)
        sift_up_locked(heap, at, last);
    else
        sift_down_locked(heap, at, last);
}

/* Another thread may have been faster. Returns what is to be freed. */
static struct sk_timer_entry *replace_locked(struct sk_timer_heap *heap,
                                             struct sk_timer_entry *entries, uint32_t capacity)
{
    struct sk_timer_entry *old = heap->entries;
    if (capacity <= heap->capacity)
        return entries;
    if (heap->count > 0)
        memcpy(entries, old, heap->count * sizeof(*entries));
    heap->entries = entries;
    heap->capacity = capacity;
    return old;
}

/* Returns with the lock, and room for one more. False: no memory, and no lock. Memory is allocated
 * without it: the system may take its time, and the heap's worker would wait. */
static bool lock_with_room(struct sk_timer_heap *heap)
{
    sk_lock(&heap->lock);
    while (sk_unlikely(heap->count == heap->capacity)) {
        uint32_t capacity = heap->capacity == 0 ? FIRST_CAPACITY : 2 * heap->capacity;
        sk_unlock(&heap->lock);
        struct sk_timer_entry *entries = sk_mem_alloc(capacity * sizeof(*entries));
        if (entries == NULL)
            return false;
        sk_lock(&heap->lock);
        struct sk_timer_entry *spare = replace_locked(heap, entries, capacity);
        sk_unlock(&heap->lock);
        sk_mem_free(spare);
        sk_lock(&heap->lock);
    }
    return true;
}

/* ---- arming and firing ---- */

int sk_timer_arm(struct sk_timer_heap *heap, struct sk_timer *timer, skua_time when)
{
    sk_san_release(timer);
    if (!lock_with_room(heap))
        return -ENOMEM;
    if (sk_unlikely(heap->closed)) {
        sk_unlock(&heap->lock);
        return -ESHUTDOWN;
    }
    sk_store_relaxed(&timer->x_heap, heap);
    heap->count++;
    sift_up_locked(heap, heap->count - 1, (struct sk_timer_entry){.when = when, .timer = timer});
    if (timer->slot == 1)
        note_first_locked(heap);
    sk_unlock(&heap->lock);
    return 0;
}

bool sk_timer_disarm(struct sk_timer *timer)
{
    struct sk_timer_heap *heap = sk_load_relaxed(&timer->x_heap);
    if (heap == NULL)
        return false;
    sk_lock(&heap->lock);
    bool dropped = timer->slot == SK_TIMER_DROPPED, armed = timer->slot != 0 && !dropped;
    if (armed) {
        bool first = timer->slot == 1;
        remove_locked(heap, timer->slot - 1);
        if (first)
            note_first_locked(heap);
    }
    sk_unlock(&heap->lock);
    return armed || dropped;
}

void sk_timer_drop_all(struct sk_timer_heap *heap)
{
    sk_lock(&heap->lock);
    for (uint32_t i = 0; i < heap->count; i++)
        heap->entries[i].timer->slot = SK_TIMER_DROPPED;
    heap->count = 0;
    heap->closed = true;
    note_first_locked(heap);
    sk_unlock(&heap->lock);
}

unsigned sk_timer_fire(struct sk_timer_heap *heap, skua_time now)
{
    unsigned fired = 0;
    while (sk_timer_first(heap) <= now) {
        sk_lock(&heap->lock);
        if (heap->count == 0 || heap->entries[0].when > now) {
            sk_unlock(&heap->lock);
            break;
        }
        const struct sk_timer *timer = heap->entries[0].timer;
        struct sk_timer copy = *timer; /* I2 */
        remove_locked(heap, 0);
        note_first_locked(heap);
        sk_unlock(&heap->lock);
        fired++;
        sk_san_acquire(timer);
        copy.fn(copy.arg, copy.word);
    }
    return fired;
}
