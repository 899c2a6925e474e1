/* tests/model/abi.c - what gcc -fsanitize=thread calls for each access of the instrumented files,
 * and the library's functions that copy memory, which it does not instrument (they are wrapped by
 * the linker). */
#include <string.h>

#include "tests/model/engine.h"

/* Each of these functions is called from an instrumented frame, and says so. */
#define PC (engine_note_frame(__builtin_frame_address(0)), __builtin_return_address(0))

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
    engine_note_frame(__builtin_frame_address(0));
}

/* Called while the frame still stands: from its stack pointer to the return address over its frame
 * pointer. */
void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
    uintptr_t *hook = __builtin_frame_address(0);
    if (engine.current < 0 || !engine_is_on_stack(hook))
        return;
    uintptr_t end = hook[0] + 2 * sizeof(void *);
    races_end_frame((uintptr_t)(hook + 2), end, __builtin_return_address(0));
    self()->frame_sp = end;
}

/* What the runtime says of its switches; the explorer makes its own. */
void __tsan_acquire(void *p);
void __tsan_acquire(void *p)
{
    (void)p;
}

void __tsan_release(void *p);
void __tsan_release(void *p)
{
    (void)p;
}

#define PLAIN(n)                             \
    void __tsan_read##n(void *p);            \
    void __tsan_read##n(void *p)             \
    {                                        \
        memory_plain(p, n, false, PC);       \
    }                                        \
    void __tsan_write##n(void *p);           \
    void __tsan_write##n(void *p)            \
    {                                        \
        memory_plain(p, n, true, PC);        \
    }                                        \
    void __tsan_unaligned_read##n(void *p);  \
    void __tsan_unaligned_read##n(void *p)   \
    {                                        \
        memory_plain(p, n, false, PC);       \
    }                                        \
    void __tsan_unaligned_write##n(void *p); \
    void __tsan_unaligned_write##n(void *p)  \
    {                                        \
        memory_plain(p, n, true, PC);        \
    }

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t n);
void __tsan_read_range(void *p, size_t n)
{
    memory_plain(p, n, false, PC);
}

void __tsan_write_range(void *p, size_t n);
void __tsan_write_range(void *p, size_t n)
{
    memory_plain(p, n, true, PC);
}

#define CHANGE(n, type, name, op)                                                \
    type __tsan_atomic##n##_##name(volatile type *p, type v, int order);         \
    type __tsan_atomic##n##_##name(volatile type *p, type v, int order)          \
    {                                                                            \
        return (type)memory_access(op, (void *)p, n / 8, v, order, NULL, 0, PC); \
    }

#define COMPARE(n, type, name)                                                               \
    int __tsan_atomic##n##_compare_exchange_##name(volatile type *p, type *expected, type v, \
                                                   int order, int order_if_different);       \
    int __tsan_atomic##n##_compare_exchange_##name(volatile type *p, type *expected, type v, \
                                                   int order, int order_if_different)        \
    {                                                                                        \
        uint64_t wanted = *expected;                                                         \
        uint64_t before =                                                                    \
            memory_access(CAS, (void *)p, n / 8, v, order, &wanted, order_if_different, PC); \
        if (before == wanted)                                                                \
            return 1;                                                                        \
        *expected = (type)before;                                                            \
        return 0;                                                                            \
    }

/* clang's way of all of them: it returns what was there. */
#define COMPARE_VALUE(n, type)                                                                   \
    type __tsan_atomic##n##_compare_exchange_val(volatile type *p, type expected, type v,        \
                                                 int order, int order_if_different);             \
    type __tsan_atomic##n##_compare_exchange_val(volatile type *p, type expected, type v,        \
                                                 int order, int order_if_different)              \
    {                                                                                            \
        uint64_t wanted = expected;                                                              \
        return (type)memory_access(CAS, (void *)p, n / 8, v, order, &wanted, order_if_different, \
                                   PC);                                                          \
    }

#define ATOMIC(n, type)                                                                       \
    type __tsan_atomic##n##_load(const volatile type *p, int order);                          \
    type __tsan_atomic##n##_load(const volatile type *p, int order)                           \
    {                                                                                         \
        return (type)memory_access(LOAD, (void *)(uintptr_t)p, n / 8, 0, order, NULL, 0, PC); \
    }                                                                                         \
    void __tsan_atomic##n##_store(volatile type *p, type v, int order);                       \
    void __tsan_atomic##n##_store(volatile type *p, type v, int order)                        \
    {                                                                                         \
        memory_access(STORE, (void *)p, n / 8, v, order, NULL, 0, PC);                        \
    }                                                                                         \
    CHANGE(n, type, exchange, EXCHANGE)                                                       \
    CHANGE(n, type, fetch_add, ADD)                                                           \
    CHANGE(n, type, fetch_sub, SUB)                                                           \
    CHANGE(n, type, fetch_and, AND)                                                           \
    CHANGE(n, type, fetch_or, OR)                                                             \
    CHANGE(n, type, fetch_xor, XOR)                                                           \
    COMPARE(n, type, strong)                                                                  \
    COMPARE(n, type, weak)                                                                    \
    COMPARE_VALUE(n, type)

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
    memory_fence(order, PC);
}

/* The order of this one thread's code; model threads are run as written. */
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* Coroutines on a model thread: to the explorer they are that thread. */
void *__tsan_create_fiber(unsigned flags);
void *__tsan_create_fiber(unsigned flags)
{
    (void)flags;
    return NULL;
}

void *__tsan_get_current_fiber(void);
void *__tsan_get_current_fiber(void)
{
    return NULL;
}

void __tsan_destroy_fiber(void *fiber);
void __tsan_destroy_fiber(void *fiber)
{
    (void)fiber;
}

void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
    (void)fiber, (void)flags;
}

/* ---- in place of the library's, by -D ---- */

void *model_memcpy(void *to, const void *from, size_t n);
void *model_memmove(void *to, const void *from, size_t n);
void *model_memset(void *to, int byte, size_t n);

void *model_memcpy(void *to, const void *from, size_t n)
{
    memory_plain(from, n, false, PC);
    memory_plain(to, n, true, PC);
    return memcpy(to, from, n);
}

void *model_memmove(void *to, const void *from, size_t n)
{
    memory_plain(from, n, false, PC);
    memory_plain(to, n, true, PC);
    return memmove(to, from, n);
}

void *model_memset(void *to, int byte, size_t n)
{
    memory_plain(to, n, true, PC);
    return memset(to, byte, n);
}

/* clang calls these where it has made a call of its own, as for what sets a whole structure. */
void *__tsan_memcpy(void *to, const void *from, size_t n) __attribute__((alias("model_memcpy")));
void *__tsan_memmove(void *to, const void *from, size_t n) __attribute__((alias("model_memmove")));
void *__tsan_memset(void *to, int byte, size_t n) __attribute__((alias("model_memset")));
