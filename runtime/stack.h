/* runtime/stack.h - the stacks of coroutines, fibers and generators: address space with a guard
 * below, memory by touch.
 * A slot holds, from the top: the promise; room for children that run on their closer's stack
 * (docs/adr/0001); the guard, of SK_STACK_GUARD_BYTES (docs/adr/0020). The promise counts as the next
 * power of two. From 128 KiB promised on a slot is twice that, and guard and room share the lower half.
 * Below, the room is as large as the promise, and the guard comes on top. The header lies in the page
 * that every coroutine touches anyway.
 * A fiber or a generator may outlive the runtime in which it was made, and may live before one is
 * started: so a start and a stop take away only what nobody holds. A slab of which a stack is out
 * then stays until that one comes back; what comes back with another size than the present one goes
 * back to the system.
 * Owns:    struct sk_stack, the slabs, the shared cache. A worker's own cache is a list in struct
 * sk_worker.
 * Threads: every function: any thread, but for those on a struct sk_stack_cache, which belongs to
 * one worker. A fork finds the shared cache at rest. */
#ifndef SK_RUNTIME_STACK_H
#define SK_RUNTIME_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct skua_gen;
struct sk_stack_slab;

struct sk_stack {
    union {
        struct sk_stack *next; /* in a cache */
        struct skua_gen *gen;  /* a generator's: whose body stands on it */
    };
    char *low; /* lowest byte above the guard */
    char *top; /* where the first frame begins; 16-byte aligned */
    uint32_t promised_bytes;
    uint32_t slot_bytes;
    char *slot;
    struct sk_stack_slab *slab; /* NULL: a mapping of its own */
    void *tsan_fiber;
    unsigned worker; /* on which its task last parked, for SKUA_CHAOS=migrate */
};

/* Free stacks of the default size, of one worker. */
struct sk_stack_cache {
    struct sk_stack *head;
    unsigned count;
};

/* Once per runtime, before any worker: the default promise, how guards are made here, and a first
 * slab, so that somebody has a stack that may come free. 0, or -ENOMEM after a line. */
int sk_stack_start(size_t promised_bytes);
/* When no coroutine is left and all workers' caches were drained: unmaps what nobody holds. */
void sk_stack_stop(void);

/* In a plain thread. Without a runtime the promise is SKUA_STACK_SIZE's, which is read once: 0, or
 * -EINVAL after a line if it says nonsense. */
int sk_stack_prepare(void);
/* Any thread, after sk_stack_prepare has said 0, or on a worker. From and to the shared cache. */
struct sk_stack *sk_stack_take_shared(size_t promised_bytes);
void sk_stack_give_shared(struct sk_stack *stack);
/* Nobody stands on it any more: wipes it if a LeakSanitizer was found, to which what ended coroutines
 * have left there would hide leaks. */
void sk_stack_forget(struct sk_stack *stack);
/* What stood on it will never go on: before it is given back. */
void sk_stack_forsake(struct sk_stack *stack);

/* Owner of the cache. promised_bytes 0: the default. NULL: no memory, or no guard to be had; said
 * once a minute. */
struct sk_stack *sk_stack_take_slow(struct sk_stack_cache *cache, size_t promised_bytes);
void sk_stack_give_slow(struct sk_stack_cache *cache, struct sk_stack *stack);
/* Owner of the cache. Gives everything to the shared cache. */
void sk_stack_drain(struct sk_stack_cache *cache);

/* The promise of a stack of the default size; while a runtime runs. */
size_t sk_stack_default_bytes(void);
/* The lowest address that was ever touched, for the high-water mark. */
const char *sk_stack_high_water(const struct sk_stack *stack);
/* Whether who touched addr, with the stack pointer at sp, has run out of this stack: addr is in its guard,
 * or below it in a frame that has jumped over the guard. Async-signal-safe, for the fault report. */
bool sk_stack_overran(const struct sk_stack *stack, const void *addr, uintptr_t sp);

enum {
    /* A frame of up to so many bytes cannot jump over the guard. Code that does not touch each page of
     * its frames in turn (libraries that are not built with -fstack-clash-protection, the C library
     * among them) has no frame as large as this. */
    SK_STACK_GUARD_BYTES = 64 << 10,
    SK_STACK_CACHE_MAX = 1024,       /* a worker keeps this many before it shares half */
    SK_STACK_PROMISE_MAX = 32 << 20, /* bytes that may be promised */
};

static inline struct sk_stack *sk_stack_take(struct sk_stack_cache *cache, size_t promised_bytes)
{
    struct sk_stack *stack = cache->head;
    if (stack == NULL || promised_bytes != 0)
        return sk_stack_take_slow(cache, promised_bytes);
    cache->head = stack->next;
    cache->count--;
    return stack;
}

bool sk_stack_is_default(const struct sk_stack *stack);

static inline void sk_stack_give(struct sk_stack_cache *cache, struct sk_stack *stack)
{
    if (cache->count >= SK_STACK_CACHE_MAX || !sk_stack_is_default(stack)) {
        sk_stack_give_slow(cache, stack);
        return;
    }
    stack->next = cache->head;
    cache->head = stack;
    cache->count++;
}

#endif
