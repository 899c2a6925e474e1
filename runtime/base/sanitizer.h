/* runtime/base/sanitizer.h - tells AddressSanitizer and ThreadSanitizer when a thread changes its
 * stack. In other builds every function is empty. Call them right around the switch, from
 * always-inlined code: a function of its own would be entered on one stack and left on the
 * other. */
#ifndef SK_RUNTIME_BASE_SANITIZER_H
#define SK_RUNTIME_BASE_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SK_TSAN 1
#endif
#endif

#define SK_ALWAYS_INLINE inline __attribute__((always_inline))

/* A function that is left for good by a switch: ThreadSanitizer would keep its frame for ever on the
 * shadow of a stack that is used again. */
#if defined(SK_TSAN) && defined(__clang__)
#define SK_SAN_NO_FRAME __attribute__((disable_sanitizer_instrumentation))
#else
#define SK_SAN_NO_FRAME
#endif

#ifdef SK_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                     size_t *size_old);
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#endif
#ifdef SK_TSAN
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void *__tsan_get_current_fiber(void);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *p);
void __tsan_release(void *p);
enum { SK_TSAN_NO_SYNC = 1 };
#endif

/* To ThreadSanitizer each stack is a thread of its own, and a switch by itself orders nothing. What
 * is ordered is what the worker's thread does: its fields, its ring and what was left to be
 * published go from each stack that runs there to the next, so `worker` is released before a switch
 * and acquired after it. Two coroutines of different workers are ordered by what the runtime does
 * for them alone. */

/* Before the switch. bottom and size: the stack that is entered; dying: the one that is left is
 * given back. */
static SK_ALWAYS_INLINE void sk_san_leave(void **fake, bool dying, const void *bottom, size_t size,
                                          void *fiber, void *worker)
{
    (void)fake, (void)dying, (void)bottom, (void)size, (void)fiber, (void)worker;
#ifdef SK_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : fake, bottom, size);
#endif
#ifdef SK_TSAN
    __tsan_release(worker);
    __tsan_switch_to_fiber(fiber, SK_TSAN_NO_SYNC);
#endif
}

/* After the switch, on the stack that was entered; fake: what leave saved there, NULL on a fresh
 * one. */
static SK_ALWAYS_INLINE void sk_san_arrive(void *fake, void *worker)
{
    (void)fake, (void)worker;
#ifdef SK_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
#ifdef SK_TSAN
    __tsan_acquire(worker);
#endif
}

/* Where somebody stands who switches away without going through the scheduler, from whatever stack
 * that is: for the way back. */
struct sk_san_spot {
    void *fake;
    const void *low;
    size_t bytes;
    void *fiber;
};

/* Notes where the caller stands. AddressSanitizer says where a stack ends only to who has left it: so
 * it is told of a switch to nowhere and back. */
static SK_ALWAYS_INLINE void sk_san_here(struct sk_san_spot *spot)
{
    (void)spot;
#ifdef SK_ASAN
    void *fake;
    __sanitizer_start_switch_fiber(&fake, NULL, 1);
    __sanitizer_finish_switch_fiber(fake, &spot->low, &spot->bytes);
    __sanitizer_start_switch_fiber(&fake, spot->low, spot->bytes);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
#ifdef SK_TSAN
    spot->fiber = __tsan_get_current_fiber();
#endif
}

/* Between leave, which has said fake, and the switch: nothing but this may touch memory there, for to
 * ThreadSanitizer it is the other side that runs already. */
static SK_ALWAYS_INLINE void sk_san_keep(struct sk_san_spot *spot, void *fake)
{
    (void)spot, (void)fake;
#ifdef SK_ASAN
    spot->fake = fake;
#endif
}

/* Who stood there will never go on. */
static inline void sk_san_forsake(const struct sk_san_spot *spot)
{
    (void)spot;
#ifdef SK_ASAN
    struct sk_san_spot here;
    sk_san_here(&here);
    __sanitizer_start_switch_fiber(&here.fake, spot->low, spot->bytes);
    __sanitizer_finish_switch_fiber(spot->fake, NULL, NULL);
    __sanitizer_start_switch_fiber(NULL, here.low, here.bytes);
    __sanitizer_finish_switch_fiber(here.fake, NULL, NULL);
#endif
}

/* On a stack whose owner has not arrived yet, by a function that is called there first. */
static SK_ALWAYS_INLINE void sk_san_catch_up(void *sync)
{
    (void)sync;
#ifdef SK_TSAN
    __tsan_acquire(sync);
#endif
}

static inline void *sk_san_fiber_new(void)
{
#ifdef SK_TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void sk_san_fiber_free(void *fiber)
{
    (void)fiber;
#ifdef SK_TSAN
    if (fiber != NULL)
        __tsan_destroy_fiber(fiber);
#endif
}

static inline void *sk_san_fiber_self(void)
{
#ifdef SK_TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

/* Memory that only a parked stack holds is no leak. */
static inline void sk_san_root(const void *p, size_t size, bool on)
{
    (void)p, (void)size, (void)on;
#ifdef SK_ASAN
    if (on)
        __lsan_register_root_region(p, size);
    else
        __lsan_unregister_root_region(p, size);
#endif
}

/* A stack that is given back keeps the red zones of frames that never returned. */
static inline void sk_san_unpoison(void *p, size_t size)
{
    (void)p, (void)size;
#ifdef SK_ASAN
    __asan_unpoison_memory_region(p, size);
#endif
}

#endif
