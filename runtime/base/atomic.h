/* runtime/base/atomic.h - every atomic operation of skua, with its order in its name.
 * A reader of a protocol sees at each call which order it relies on; the label beside the call
 * names its partner. seq_cst appears only where two sides each store and then look at what the
 * other stored (Dekker). */
#ifndef SK_RUNTIME_BASE_ATOMIC_H
#define SK_RUNTIME_BASE_ATOMIC_H

#include <stdatomic.h>

#define SK_CACHELINE 64

#define sk_load_relaxed(p)     atomic_load_explicit((p), memory_order_relaxed)
#define sk_load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define sk_load_seq_cst(p)     atomic_load_explicit((p), memory_order_seq_cst)
#define sk_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define sk_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define sk_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

/* Each returns the value before. */
#define sk_xchg_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define sk_xchg_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define sk_xchg_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define sk_add_relaxed(p, v)  atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define sk_add_acq_rel(p, v)  atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define sk_add_seq_cst(p, v)  atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define sk_sub_acq_rel(p, v)  atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define sk_or_seq_cst(p, v)   atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define sk_or_acq_rel(p, v)   atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define sk_and_acq_rel(p, v)  atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* True when *p was *expected and is now v; otherwise *expected holds what *p was. */
#define sk_cas_relaxed(p, expected, v)                                                  \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, \
                                            memory_order_relaxed)
#define sk_cas_acquire(p, expected, v)                                                  \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, \
                                            memory_order_acquire)
#define sk_cas_acq_rel(p, expected, v)                                                  \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, \
                                            memory_order_acquire)
#define sk_cas_seq_cst(p, expected, v)                                                  \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, \
                                            memory_order_seq_cst)

/* Only at a Dekker point that names its model. */
#define sk_fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)
/* Keeps the compiler, not the processor, from moving memory accesses across. */
#define sk_fence_compiler() atomic_signal_fence(memory_order_seq_cst)

#endif
