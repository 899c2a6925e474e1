#include "runtime/base/sanitizer.h"

#include "runtime/base/valgrind.h"

char sk_san_io, sk_san_cancel;
uint8_t sk_san_found;

#if defined(SK_ASAN) || !defined(SK_TSAN)
#define HAS_ASAN 1
#endif
#if defined(SK_TSAN) || !defined(SK_ASAN)
#define HAS_TSAN 1
#endif

/* A runtime that is built in is there; one of the program's may be. */
#if defined(SK_ASAN) || defined(SK_TSAN)
#define IN_RUNTIME
#define is_there(entry) true
#else
#define IN_RUNTIME      __attribute__((weak, visibility("default")))
#define is_there(entry) ((entry) != NULL)
#endif

#ifdef HAS_ASAN
IN_RUNTIME void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom,
                                               size_t size);
IN_RUNTIME void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                                size_t *size_old);
IN_RUNTIME void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
IN_RUNTIME void __lsan_register_root_region(const void *p, size_t size);
IN_RUNTIME void __lsan_unregister_root_region(const void *p, size_t size);
#endif
#ifdef HAS_TSAN
IN_RUNTIME void *__tsan_create_fiber(unsigned flags);
IN_RUNTIME void __tsan_destroy_fiber(void *fiber);
IN_RUNTIME void *__tsan_get_current_fiber(void);
IN_RUNTIME void __tsan_switch_to_fiber(void *fiber, unsigned flags);
IN_RUNTIME void __tsan_acquire(void *p);
IN_RUNTIME void __tsan_release(void *p);
#endif

enum { TSAN_NO_SYNC = 1 };

#if defined(HAS_ASAN) && defined(HAS_TSAN)
/* ThreadSanitizer's and MemorySanitizer's runtimes know some of AddressSanitizer's names: what is
 * asked for is what only one of them has. Early: a program's own constructors may start a runtime. */
__attribute__((constructor(101))) static void find(void)
{
    if (is_there(__asan_unpoison_memory_region) && is_there(__sanitizer_start_switch_fiber) &&
        is_there(__sanitizer_finish_switch_fiber))
        sk_san_found |= SK_SAN_STACKS;
    if (is_there(__lsan_register_root_region) && is_there(__lsan_unregister_root_region))
        sk_san_found |= SK_SAN_ROOTS;
    if (is_there(__tsan_create_fiber) && is_there(__tsan_destroy_fiber) &&
        is_there(__tsan_get_current_fiber) && is_there(__tsan_switch_to_fiber) &&
        is_there(__tsan_acquire) && is_there(__tsan_release))
        sk_san_found |= SK_SAN_ORDER;
    if (sk_valgrind_request(SK_VALGRIND_RUNNING, 0, 0) != 0)
        sk_san_found |= SK_SAN_VALGRIND;
}
#endif

static bool tells(unsigned what)
{
#if defined(SK_ASAN)
    return (what & (SK_SAN_STACKS | SK_SAN_ROOTS)) != 0;
#elif defined(SK_TSAN)
    return what == SK_SAN_ORDER;
#else
    return (sk_san_found & what) != 0;
#endif
}

/* ---- switches ---- */

#ifdef HAS_ASAN
/* Where AddressSanitizer looks for uses after return, it keeps a stack's locals apart from it: in a
 * mapping of a known layout, which LeakSanitizer reads only while that stack runs. So a parked
 * coroutine's is told to be a root; by its first words, if they say its size as they always have. */
static void tell_locals(void *fake, bool parked)
{
    enum { HINTS = 11, LOG_LEAST = 16, LOG_MOST = 24, FLAGS_AT = 4096, FRAME_LOG = 6 };
    if (SK_SAN_BUILT_IN || fake == NULL || !tells(SK_SAN_ROOTS))
        return;
    uint64_t log = ((const uint64_t *)fake)[HINTS];
    if (log >= LOG_LEAST && log <= LOG_MOST)
        sk_san_root(fake, FLAGS_AT + ((size_t)1 << (log + 1 - FRAME_LOG)) + ((size_t)HINTS << log),
                    parked);
}
#endif

void sk_san_tell_leave(void **fake, const void *bottom, size_t size, void *fiber, bool ordered)
{
    (void)fake, (void)bottom, (void)size, (void)fiber, (void)ordered;
#ifdef HAS_ASAN
    if (tells(SK_SAN_STACKS))
        __sanitizer_start_switch_fiber(fake, bottom, size);
    if (fake != NULL)
        tell_locals(*fake, true);
#endif
#ifdef HAS_TSAN
    if (tells(SK_SAN_ORDER))
        __tsan_switch_to_fiber(fiber, ordered ? 0 : TSAN_NO_SYNC);
#endif
}

void sk_san_tell_arrive(void *fake)
{
    (void)fake;
#ifdef HAS_ASAN
    tell_locals(fake, false);
    if (tells(SK_SAN_STACKS))
        __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

void sk_san_here(struct sk_san_spot *spot)
{
    (void)spot;
#ifdef HAS_ASAN
    if (tells(SK_SAN_STACKS)) {
        void *fake;
        __sanitizer_start_switch_fiber(&fake, NULL, 1);
        __sanitizer_finish_switch_fiber(fake, &spot->low, &spot->bytes);
        __sanitizer_start_switch_fiber(&fake, spot->low, spot->bytes);
        __sanitizer_finish_switch_fiber(fake, NULL, NULL);
    }
#endif
    if (tells(SK_SAN_ORDER))
        spot->fiber = sk_san_fiber_self();
}

void sk_san_forsake(const struct sk_san_spot *spot)
{
    (void)spot;
#ifdef HAS_ASAN
    if (tells(SK_SAN_STACKS)) {
        struct sk_san_spot here;
        tell_locals(spot->fake, false);
        sk_san_here(&here);
        __sanitizer_start_switch_fiber(&here.fake, spot->low, spot->bytes);
        __sanitizer_finish_switch_fiber(spot->fake, NULL, NULL);
        __sanitizer_start_switch_fiber(NULL, here.low, here.bytes);
        __sanitizer_finish_switch_fiber(here.fake, NULL, NULL);
    }
#endif
}

void *sk_san_fiber_new(const void *low, size_t bytes)
{
    if (sk_san_valgrind())
        return (void *)(uintptr_t)(1 + sk_valgrind_request(SK_VALGRIND_STACK_REGISTER,
                                                           (uintptr_t)low,
                                                           (uintptr_t)low + bytes - 1));
#ifdef HAS_TSAN
    if (tells(SK_SAN_ORDER))
        return __tsan_create_fiber(0);
#endif
    return NULL;
}

void sk_san_fiber_free(void *fiber)
{
    if (fiber == NULL)
        return;
    if (sk_san_valgrind()) {
        (void)sk_valgrind_request(SK_VALGRIND_STACK_DEREGISTER, (uintptr_t)fiber - 1, 0);
        return;
    }
#ifdef HAS_TSAN
    __tsan_destroy_fiber(fiber);
#endif
}

void sk_san_written(const void *p, size_t bytes)
{
    (void)sk_valgrind_request(SK_VALGRIND_MAKE_DEFINED, (uintptr_t)p, bytes);
}

void *sk_san_fiber_self(void)
{
#ifdef HAS_TSAN
    if (tells(SK_SAN_ORDER))
        return __tsan_get_current_fiber();
#endif
    return NULL;
}

/* ---- order ---- */

void sk_san_tell_acquire(const void *p)
{
    (void)p;
#ifdef HAS_TSAN
    __tsan_acquire((void *)(uintptr_t)p);
#endif
}

void sk_san_tell_release(const void *p)
{
    (void)p;
#ifdef HAS_TSAN
    __tsan_release((void *)(uintptr_t)p);
#endif
}

/* ---- memory ---- */

void sk_san_root(const void *p, size_t size, bool on)
{
    (void)p, (void)size, (void)on;
#ifdef HAS_ASAN
    if (!tells(SK_SAN_ROOTS))
        return;
    if (on)
        __lsan_register_root_region(p, size);
    else
        __lsan_unregister_root_region(p, size);
#endif
}

void sk_san_unpoison(void *p, size_t size)
{
    (void)p, (void)size;
#ifdef HAS_ASAN
    if (tells(SK_SAN_STACKS))
        __asan_unpoison_memory_region(p, size);
#endif
}
