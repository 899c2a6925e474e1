/* sync/owner.h - who holds a lock: the record of the coroutine or, of a plain thread, of its proxy.
 * Records stand at multiples of a cache line, so that the object's word has room for bits beside
 * it. */
#ifndef SK_SYNC_OWNER_H
#define SK_SYNC_OWNER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/current.h"
#include "runtime/task.h"
#include "runtime/worker.h"

/* Coroutine or thread. 0: a plain thread for whose proxy there is no memory. */
static inline uint64_t sk_owner_self(void)
{
    struct sk_worker *w = sk_current_worker();
    struct skua_task *task = w != NULL ? w->current : NULL;
    return (uintptr_t)(sk_likely(task != NULL) ? task : sk_task_proxy());
}

#endif
