/* runtime/sched.h - the two verbs, park and ready, and how a worker chooses what runs next.
 * The way of a task here: spawned or readied -> a queue of the worker (or the slot, the inbox, the
 * global queue) -> sk_sched_next -> sk_switch -> runs until it parks, yields or ends, and there the
 * next one is chosen. While the batch lasts coroutines switch to each other directly; then the
 * worker's own context serves I/O and timers (runtime/worker.c). */
#ifndef SK_RUNTIME_SCHED_H
#define SK_RUNTIME_SCHED_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sanitizer.h"
#include "runtime/deque.h"
#include "runtime/idle.h"
#include "runtime/worker.h"

struct skua_task;

/* Coroutine only. Leaves the running coroutine; commit(task, arg) runs after the switch, on the
 * stack that was switched to: what publishes the task can so be seen by nobody while it still
 * stands on its stack. Returns when it was readied, perhaps on another worker. */
void sk_park(void (*commit)(struct skua_task *task, void *arg), void *arg);

/* The same for a task that is published already, of the only worker: nobody else could run it. It may
 * have been readied meanwhile, and then goes on. */
void sk_park_committed(void);

/* Any thread. Makes a task that is parked runnable, or wakes the plain thread behind a proxy. The
 * caller has won the right to (runtime/wait.h). */
void sk_ready(struct skua_task *task);

/* Any thread. Makes a new task runnable that may not go to the caller's own queue: it has a worker
 * of its own, or the caller is a plain thread. */
void sk_sched_submit(struct skua_task *task);

/* Coroutine only. Gives way to the loop, and goes on after what is woken now: a closer whose batch
 * is spent. */
void sk_sched_give_way(void);

/* Looks whether the slice is over: then the caller, if it is a coroutine, goes to the back of the
 * queue, and the loop runs. */
void sk_sched_spend_slow(struct sk_worker *w);

/* Every n-th call that need not wait looks at the clock. A prime: a loop of two calls, which takes
 * and gives back, would else be interrupted at the same one each time, and who waits for what it
 * takes would look only while it has it. */
enum { SK_SCHED_CALLS_TURN = 61 };

/* Coroutine or thread. One call that may wait, but need not: calls count against the slice, so that
 * no loop of them starves the rest. May suspend. */
static inline void sk_sched_spend(void)
{
    struct sk_worker *w = sk_current_worker();
    if (w != NULL && sk_unlikely(--w->calls <= 0))
        sk_sched_spend_slow(w);
}

/* Worker's context. Something to run: from its own queues, the global one, other workers; NULL:
 * nothing to be had. */
struct skua_task *sk_find_work(struct sk_worker *w);
/* Worker's context. Runs task until the worker's context is switched to again. */
void sk_sched_dispatch(struct sk_worker *w, struct skua_task *task);
/* Owner only. A stack on which nobody stands goes back; who waits for one is tried again. */
void sk_sched_give_stack(struct sk_worker *w, struct sk_stack *stack);
/* Owner only, from a coroutine that has ended: leaves its stack, which then goes back. */
noreturn void sk_sched_leave(struct sk_worker *w, struct skua_task *next, struct sk_stack *stack);
/* Owner only. Moves a share of the global queue to the worker's own. */
void sk_sched_share_injected(struct sk_worker *w);
/* Owner only, every SK_SCHED_CLOCK_TURN-th dispatch. Ends the batch when the slice is over; else,
 * on their turn, what stands in the queue or the inbox. */
struct skua_task *sk_sched_turn(struct sk_worker *w, uint64_t turn);
/* Owner only. Publishes one that has yielded and may not go to the worker's own queue. */
void sk_sched_publish_special(struct sk_worker *w, struct skua_task *left);

/* The deque was full. */
void sk_sched_spill(struct sk_worker *w, struct skua_task *task);
/* A worker sleeps and something was pushed: wake it, or see to it that the monitor does when it
 * gets old. */
void sk_sched_tell(struct sk_deque *q);

/* Owner only. At the back of one of its deques. */
static inline void sk_sched_push(struct sk_worker *w, struct sk_deque *q, struct skua_task *task)
{
    if (sk_unlikely(!sk_deque_push(q, task))) {
        sk_sched_spill(w, task);
        return;
    }
    sk_idle_light_barrier();
    if (sk_unlikely(sk_idle_sleepers()))
        sk_sched_tell(q);
}

enum {
    /* Tasks from the slot in a row: two that wake each other must not starve the rest. */
    SK_SCHED_SLOT_RUN_MAX = 16,
    SK_SCHED_CLOCK_TURN = 16, /* every n-th dispatch looks whether the slice is over */
    SK_SCHED_QUEUE_TURN =
        32, /* every n-th looks at the queue and the inbox before what was woken */
};

/* Owner only. Takes the slot, unless too many in a row came from there. */
static inline struct skua_task *sk_sched_take_slot(struct sk_worker *w)
{
    struct skua_task *task = sk_slot_swap(&w->slot, NULL);
    if (task == NULL || sk_likely(++w->slot_run <= SK_SCHED_SLOT_RUN_MAX))
        return task;
    w->slot_run = 0;
    sk_sched_push(w, &w->woken, task);
    return NULL;
}

/* Owner only. What the running coroutine has woken, where nothing else is to be looked at: no other
 * worker, no turn of the clock, the batch and the run of the slot not spent. It has begun. NULL: look
 * properly. */
static SK_ALWAYS_INLINE struct skua_task *sk_sched_take_quickly(struct sk_worker *w)
{
    uint64_t turn = sk_load_relaxed(&w->counts.x_dispatches) + 1;
    struct skua_task *task = sk_slot_peek(&w->slot);
    if (!w->slot.alone || task == NULL || w->budget <= 0 || turn % SK_SCHED_CLOCK_TURN == 0 ||
        w->slot_run >= SK_SCHED_SLOT_RUN_MAX)
        return NULL;
    w->budget--;
    w->slot_run++;
    (void)sk_slot_swap(&w->slot, NULL);
    sk_store_relaxed(&w->counts.x_dispatches, turn);
    return task;
}

/* Owner only. The next task of the worker's own queues. NULL: none, or the batch is spent. */
static SK_ALWAYS_INLINE struct skua_task *sk_sched_next(struct sk_worker *w)
{
    struct skua_task *task;
    if (w->budget <= 0)
        return NULL;
    w->budget--;
    uint64_t turn = sk_load_relaxed(&w->counts.x_dispatches) + 1;
    if (sk_unlikely(turn % SK_SCHED_CLOCK_TURN == 0)) {
        task = sk_sched_turn(w, turn);
        if (task != NULL)
            goto found;
        if (w->budget < 0)
            return NULL;
    }
    if (sk_slot_peek(&w->slot) == NULL)
        w->slot_run = 0;
    else if ((task = sk_sched_take_slot(w)) != NULL)
        goto found;
    task = sk_deque_pop(&w->woken);
    if (task == NULL)
        task = sk_deque_pop(&w->queue);
    if (task == NULL)
        return NULL;
found:
    sk_store_relaxed(&w->counts.x_dispatches, turn);
    return task;
}

/* Owner only, first thing after any switch: publishes what was left. */
static inline void sk_sched_arrive(struct sk_worker *w)
{
    struct skua_task *left = w->left;
    if (left == NULL)
        return;
    w->left = NULL;
    if (w->left_commit != NULL)
        w->left_commit(left, w->left_arg);
    else if (sk_likely(left->affinity == 0 && !w->chaos_migrate))
        sk_sched_push(w, &w->queue, left); /* it has yielded */
    else
        sk_sched_publish_special(w, left);
}

#endif
