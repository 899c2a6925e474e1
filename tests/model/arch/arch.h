/* tests/model/arch/arch.h - the machine on which models run: what runtime/arch/ says of a real one.
 * A pause is the place where a loop waits for another thread; the worker is the model thread's. */
#ifndef SK_RUNTIME_ARCH_ARCH_H
#define SK_RUNTIME_ARCH_ARCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "tests/model/explore.h"

struct sk_worker;

struct sk_worker *sk_switch(void **save, void *to, struct sk_worker *worker);
noreturn void sk_switch_away(void *to, struct sk_worker *worker);
int sk_arch_call(int (*fn)(void *), void *arg);

/* The worker of the calling model thread, NULL for a plain one; world.c. */
struct sk_worker *model_worker(void);

static inline void sk_arch_pause(void)
{
    model_spin();
}

static inline uint64_t sk_arch_ticks(void)
{
    return 0;
}

static inline uintptr_t sk_arch_sp(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

static inline struct sk_worker *sk_arch_tls_worker(void)
{
    return model_worker();
}

#endif
