/* runtime/join.h - who waits for a task's end, and what is called at it.
 * Owns:    the list `joiners` of a record, under its join_lock; the nodes are linked by their
 *          waiter, first to last, with NULL before and behind. Places of waits lie on their waiters'
 *          stacks and leave when the wait ends early; callbacks are on the heap and stay.
 * At the end: the state becomes final, callbacks run in the order in which they were set, then
 * those who wait are woken. Nothing enters the list of a task that has ended.
 * The record outlives the list: who is in it holds a reference, and whoever ends the task has the
 * runtime's until it has let go of the list. */
#ifndef SK_RUNTIME_JOIN_H
#define SK_RUNTIME_JOIN_H

#include <skua/time.h>

#include "runtime/task.h"
#include "runtime/wait.h"

/* A callback. */
struct sk_join {
    struct sk_waiter waiter; /* its wait is NULL */
    void (*fn)(struct skua_task *task, void *arg);
    void *arg;
};

/* Takes the callbacks out of the task's list, oldest first, linked by `next`. Holder of
 * join_lock. */
struct sk_list *sk_join_split_locked(struct skua_task *task);
/* Calls and frees them. */
void sk_join_call(struct skua_task *task, struct sk_list *callbacks);
/* Wakes those who wait, and empties the list. */
void sk_join_wake(struct skua_task *task);

/* The waiter, whose wait has begun; it holds a reference, and is not the task itself. Queues it; the
 * end of the task claims the wait. False: the task has ended, and nothing was queued. */
bool sk_join_enter(struct skua_task *task, struct sk_waiter *waiter);
/* The waiter, after it was queued: claimed or not, nobody touches it from here on. */
void sk_join_leave(struct skua_task *task, struct sk_waiter *waiter);

/* skua_join with the flags of a wait. */
int sk_join_wait(struct skua_task *task, int *result, skua_time dl, unsigned flags);

#endif
