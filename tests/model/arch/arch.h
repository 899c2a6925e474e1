/* tests/model/arch/arch.h - the machine on which models run: the real one, but for a pause, which is
 * the place where a loop waits for another thread, for backing off, which waits for nobody, for time,
 * which stands still, and for the worker, which is the model thread's. */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#define sk_arch_pause      sk_arch_real_pause
#define sk_arch_back_off   sk_arch_real_back_off
#define sk_arch_ticks      sk_arch_real_ticks
#define sk_arch_tls_worker sk_arch_real_tls_worker
#include "runtime/arch/x86_64/arch.h"
#undef sk_arch_pause
#undef sk_arch_back_off
#undef sk_arch_ticks
#undef sk_arch_tls_worker

#include "tests/model/explore.h"

/* The worker of the calling model thread, NULL for a plain one; world.c. */
struct sk_worker *model_worker(void);

static inline void sk_arch_pause(void)
{
    model_spin();
}

static inline void sk_arch_back_off(void)
{
}

static inline uint64_t sk_arch_ticks(void)
{
    return 0;
}

static inline struct sk_worker *sk_arch_tls_worker(void)
{
    return model_worker();
}

#endif
