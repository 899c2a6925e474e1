/* runtime/inject.h - a run queue that anybody may push to: the global one, and one per worker for
 * tasks that may run nowhere else. An intrusive list under a lock, without a bound: spawn
 * never waits, and the records are there anyway.
 * Order: the lock; x_count is a hint that is read without it. */
#ifndef SK_RUNTIME_INJECT_H
#define SK_RUNTIME_INJECT_H

#include <stdint.h>

#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "runtime/task.h"

struct sk_inject {
    struct sk_lock lock;
    _Atomic(uint32_t) x_count;
    struct skua_task *head;
    struct skua_task *tail;
};

/* Any thread. */
static inline void sk_inject_push(struct sk_inject *q, struct skua_task *task)
{
    task->next = NULL;
    sk_lock(&q->lock);
    if (q->head == NULL)
        q->head = task;
    else
        q->tail->next = task;
    q->tail = task;
    /* seq_cst: a worker that announces sleep looks here after its announcement (IDL in idle.h). */
    sk_store_seq_cst(&q->x_count, sk_load_relaxed(&q->x_count) + 1);
    sk_unlock(&q->lock);
}

/* Any thread. The oldest, NULL when empty. */
static inline struct skua_task *sk_inject_pop(struct sk_inject *q)
{
    if (sk_load_relaxed(&q->x_count) == 0)
        return NULL;
    sk_lock(&q->lock);
    struct skua_task *task = q->head;
    if (task != NULL) {
        q->head = task->next;
        sk_store_relaxed(&q->x_count, sk_load_relaxed(&q->x_count) - 1);
    }
    sk_unlock(&q->lock);
    return task;
}

/* Any thread. */
static inline uint32_t sk_inject_len(struct sk_inject *q)
{
    return sk_load_seq_cst(&q->x_count);
}

#endif
