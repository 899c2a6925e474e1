/* runtime/current.h - who runs here. */
#ifndef SK_RUNTIME_CURRENT_H
#define SK_RUNTIME_CURRENT_H

#include <stdbool.h>

#include "arch.h"

struct skua_task;
struct sk_worker;
struct sk_driver;
struct sk_timer_heap;

/* The worker of this thread, NULL in a plain thread. It never lives across a call that may
 * suspend. */
static inline struct sk_worker *sk_current_worker(void)
{
    return sk_arch_tls_worker();
}

/* The coroutine that runs; NULL in a plain thread and in a callback of the worker itself. */
struct skua_task *sk_current_task(void);
/* The driver of this thread's worker; NULL in a plain thread. */
struct sk_driver *sk_current_driver(void);
/* The timers of this thread's worker; NULL in a plain thread. */
struct sk_timer_heap *sk_current_timers(void);

/* Any thread. True while the runtime runs: then stop waits until sk_current_release, and ends the
 * thread's wait meanwhile. False without a runtime or while it stops. */
bool sk_current_acquire(void);
void sk_current_release(void);

/* Any thread. Wakes the worker that owns d if it sleeps, after mail for it was published by a seq_cst
 * operation. */
void sk_current_wake(struct sk_driver *d);

#endif
