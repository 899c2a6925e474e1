/* runtime/base/sanitizer.h - tells sanitizers when a thread changes its stack, and what orders what.
 * A sanitizer comes in one of two ways:
 *   built in  skua itself is built with it (SK_ASAN, SK_TSAN): each switch is told, and
 *             ThreadSanitizer sees the library's own atomics.
 *   found     the program that has loaded this library brings its runtime along. Its entry points
 *             are weak here; sk_san_found says which are there. ThreadSanitizer then sees nothing of
 *             what the library does: each call tells what it orders (sk_san_release before it
 *             publishes, sk_san_acquire after it has learned), and nothing else (docs/adr/0018).
 * Without either a hot path pays nothing for switches: it takes its way past them by a test that it
 * makes anyway (sk_worker.detour, x_starving), or one of sk_san_found.
 * Where a sanitizer is built in, call leave and arrive right around the switch, from always-inlined
 * code: a function of its own would be entered on one stack and left on the other. */
#ifndef SK_RUNTIME_BASE_SANITIZER_H
#define SK_RUNTIME_BASE_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

#if defined(SK_ASAN) || defined(SK_TSAN)
#define SK_SAN_BUILT_IN true
#define SK_SAN_FOUND    0u
#else
#define SK_SAN_BUILT_IN false
#define SK_SAN_FOUND    sk_san_found
#endif

/* In sk_san_found. */
enum {
    SK_SAN_STACKS = 1,   /* AddressSanitizer: which stack runs */
    SK_SAN_ORDER = 2,    /* ThreadSanitizer: which stack runs, and what orders what */
    SK_SAN_VALGRIND = 8, /* the program runs under it */
    SK_SAN_ROOTS = 4,    /* LeakSanitizer, alone or in AddressSanitizer: where pointers may lie */
};

/* Written before main by this library's constructor alone. */
extern uint8_t sk_san_found __attribute__((visibility("hidden")));

/* Are switches to be told? */
static SK_ALWAYS_INLINE bool sk_san_switches(void)
{
    return SK_SAN_BUILT_IN ||
           __builtin_expect((SK_SAN_FOUND & (SK_SAN_STACKS | SK_SAN_ORDER)) != 0, 0);
}

/* Is a ThreadSanitizer to be told what orders what? One that is built in sees it by itself. */
static SK_ALWAYS_INLINE bool sk_san_orders(void)
{
    return __builtin_expect((SK_SAN_FOUND & SK_SAN_ORDER) != 0, 0);
}

/* Below, sk_san_tell_... are in sanitizer.c: what is told to a runtime that was found, or built in.
 * They do nothing for those that are not there. */
void sk_san_tell_leave(void **fake, const void *bottom, size_t size, void *fiber, bool ordered);
void sk_san_tell_arrive(void *fake);
void sk_san_tell_acquire(const void *p);
void sk_san_tell_release(const void *p);

/* What was published by a release of p before is visible to the caller, or to the callback that
 * it is about to call. */
static SK_ALWAYS_INLINE void sk_san_acquire(const void *p)
{
    if (sk_san_orders())
        sk_san_tell_acquire(p);
}

static SK_ALWAYS_INLINE void sk_san_release(const void *p)
{
    if (sk_san_orders())
        sk_san_tell_release(p);
}

/* As sk_san_acquire, and passes a result through, so that a call can end in it. */
static SK_ALWAYS_INLINE int sk_san_acquired(const void *p, int rc)
{
    sk_san_acquire(p);
    return rc;
}

/* What stands for all descriptors, and for all cancellations: a write to one end of a connection is
 * ordered before the read from the other, which is another descriptor, perhaps behind another
 * process. ThreadSanitizer has one such thing for all sockets too. */
extern char sk_san_io __attribute__((visibility("hidden")));
extern char sk_san_cancel __attribute__((visibility("hidden")));

/* memcpy, of which ThreadSanitizer is not told: the caller that is named as the one who copies may be
 * another than the one who waits for it, and their order is told only by the object that they share. */
static inline void sk_san_copy(void *to, const void *from, size_t bytes)
{
#if defined(__x86_64__)
    if (sk_san_orders()) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
        return;
    }
#endif
    memcpy(to, from, bytes);
}

#ifdef SK_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                     size_t *size_old);
#endif
#ifdef SK_TSAN
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *p);
void __tsan_release(void *p);
enum { SK_TSAN_NO_SYNC = 1 };
#endif

/* To ThreadSanitizer each stack is a thread of its own, and a switch by itself orders nothing. If it
 * is built in, what is ordered is what the worker's thread does: its fields, its ring and what was
 * left to be published go from each stack that runs there to the next, so `sync` (the worker; a
 * generator or the home of fibers, where those change stacks) is released before a switch and
 * acquired after it. Two coroutines of different workers are ordered by what the runtime does for
 * them alone. If it was found, `ordered` says whether the switch itself orders: it does within one
 * coroutine, which runs on in a generator or a fiber. */

/* Before the switch. bottom and size: the stack that is entered; dying: the one that is left is
 * given back. */
static SK_ALWAYS_INLINE void sk_san_leave(void **fake, bool dying, const void *bottom, size_t size,
                                          void *fiber, void *sync, bool ordered)
{
    (void)fake, (void)dying, (void)bottom, (void)size, (void)fiber, (void)sync, (void)ordered;
#ifdef SK_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : fake, bottom, size);
#endif
#ifdef SK_TSAN
    __tsan_release(sync);
    __tsan_switch_to_fiber(fiber, SK_TSAN_NO_SYNC);
#endif
    if (!SK_SAN_BUILT_IN && sk_san_switches())
        sk_san_tell_leave(dying ? NULL : fake, bottom, size, fiber, ordered);
}

/* After the switch, on the stack that was entered; fake: what leave saved there, NULL on a fresh
 * one. */
static SK_ALWAYS_INLINE void sk_san_arrive(void *fake, void *sync)
{
    (void)fake, (void)sync;
#ifdef SK_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
#ifdef SK_TSAN
    __tsan_acquire(sync);
#endif
    if (!SK_SAN_BUILT_IN && sk_san_switches())
        sk_san_tell_arrive(fake);
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
void sk_san_here(struct sk_san_spot *spot);

/* Between leave, which has said fake, and the switch: nothing but this may touch memory there, for to
 * ThreadSanitizer it is the other side that runs already. */
static SK_ALWAYS_INLINE void sk_san_keep(struct sk_san_spot *spot, void *fake)
{
    (void)spot, (void)fake;
#ifndef SK_TSAN
    spot->fake = fake;
#endif
}

/* Who stood there will never go on. */
void sk_san_forsake(const struct sk_san_spot *spot);

/* On a stack whose owner has not arrived yet, by a function that is called there first. */
static SK_ALWAYS_INLINE void sk_san_catch_up(void *sync)
{
    (void)sync;
#ifdef SK_TSAN
    __tsan_acquire(sync);
#endif
}

/* Does the program run under Valgrind? Then a worker sleeps in ppoll(2): it takes io_uring_enter(2) for a
 * call that never waits, and lets no other thread run meanwhile. */
static SK_ALWAYS_INLINE bool sk_san_valgrind(void)
{
    return __builtin_expect((SK_SAN_FOUND & SK_SAN_VALGRIND) != 0, 0);
}

/* The kernel has written there, by a ring. */
void sk_san_written(const void *p, size_t bytes);

/* The name of a stack, of [low, low + bytes): ThreadSanitizer's, or Valgrind's; NULL without one. */
void *sk_san_fiber_new(const void *low, size_t bytes);
void sk_san_fiber_free(void *fiber);
void *sk_san_fiber_self(void);

/* Memory that only a parked stack, or a record, holds is no leak. */
void sk_san_root(const void *p, size_t size, bool on);

/* A stack that is given back keeps the red zones of frames that never returned. */
void sk_san_unpoison(void *p, size_t size);

#endif
