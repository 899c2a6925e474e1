/* runtime/join.h - who waits for a task's end, and what is called at it.
 * A task's list of struct sk_join is under its join_lock: joins lie on their waiters' stacks and
 * leave it when the wait ends early; callbacks are on the heap and stay. At the end: the state
 * becomes final, callbacks run in the order in which they were set, then the joins are woken. */
#ifndef SK_RUNTIME_JOIN_H
#define SK_RUNTIME_JOIN_H

#include <skua/time.h>

#include "runtime/task.h"

struct sk_wait;

struct sk_join {
    struct sk_join *next;
    struct sk_wait *wait; /* a join; NULL: a callback */
    void (*fn)(struct skua_task *task, void *arg);
    void *arg;
};

/* Takes the callbacks out of the task's list, oldest first. Holder of join_lock. */
struct sk_join *sk_join_split_locked(struct skua_task *task);
/* Calls and frees them. */
void sk_join_call(struct skua_task *task, struct sk_join *callbacks);
/* Wakes the joins that are left in the list. */
void sk_join_wake(struct skua_task *task);

/* skua_join with the flags of a wait. */
int sk_join_wait(struct skua_task *task, int *result, skua_time dl, unsigned flags);

#endif
