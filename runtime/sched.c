#include "runtime/sched.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>

#include <skua/task.h>

#include "arch.h"
#include "runtime/base/assert.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/cancel.h"
#include "runtime/monitor.h"
#include "runtime/runtime.h"
#include "runtime/wait.h"

enum {
    STEAL_TRIES = 4,   /* on one deque, when others take from it too */
    INJECT_SHARE = 32, /* tasks moved from the global queue at a time */
};

/* ---- publishing what was left ---- */

static void push_elsewhere(struct sk_worker *w, struct skua_task *task, unsigned index)
{
    sk_inject_push(&sk_runtime.workers[index].inbox, task);
    if (index != w->index)
        sk_idle_wake(index);
}

/* SKUA_CHAOS=migrate: every suspension ends on another worker than it began; unless that one does not
 * come for the task, and the monitor gives it to all. */
static void push_migrating(struct sk_worker *w, struct skua_task *task)
{
    unsigned last = task->stack != NULL ? task->stack->worker : w->index;
    push_elsewhere(w, task, (last + 1) % sk_runtime.worker_count);
    sk_idle_light_barrier(); /* the monitor disarms, then looks: it sees the task, or is armed */
    sk_monitor_arm();
}

/* A task that runs on one worker only, or one under chaos. */
static SK_ALWAYS_INLINE bool push_special(struct sk_worker *w, struct skua_task *task)
{
    if (sk_likely(task->affinity == 0 && !w->chaos_migrate))
        return false;
    if (task->affinity != 0)
        push_elsewhere(w, task, task->affinity - 1u);
    else
        push_migrating(w, task);
    return true;
}

static void push_global(struct skua_task *task)
{
    sk_inject_push(&sk_runtime.inject, task);
    if (!sk_idle_notify_slow())
        sk_monitor_arm();
}

void sk_sched_spill(struct sk_worker *w, struct skua_task *task)
{
    sk_count(w->counts.x_spills);
    push_global(task);
}

void sk_sched_tell(struct sk_deque *q)
{
    /* The only entry is most likely reached by its pusher sooner than by a sleeper. */
    if (sk_deque_len(q) <= 1 || !sk_idle_notify_slow())
        sk_monitor_arm();
}

void sk_sched_publish_special(struct sk_worker *w, struct skua_task *left)
{
    if (!push_special(w, left))
        sk_sched_push(w, &w->queue, left);
}

/* ---- ready ---- */

static __attribute__((noinline)) void ready_in_slot(struct sk_worker *w, struct skua_task *task)
{
    struct skua_task *displaced = sk_slot_swap(&w->slot, task);
    if (displaced != NULL) {
        sk_sched_push(w, &w->woken, displaced);
        return;
    }
    sk_idle_light_barrier();
    if (sk_unlikely(sk_idle_sleepers()))
        sk_monitor_arm();
}

static void submit(const struct sk_worker *w, struct skua_task *task)
{
    if (task->affinity == 0) {
        push_global(task);
        return;
    }
    unsigned index = task->affinity - 1u;
    sk_inject_push(&sk_runtime.workers[index].inbox, task);
    if (w == NULL || w->index != index)
        sk_idle_wake(index);
}

void sk_sched_submit(struct skua_task *task)
{
    struct sk_worker *w = sk_current_worker();
    if (w != NULL) {
        submit(w, task);
        return;
    }
    /* The task cannot end before it is pushed, so the runtime is there now; it must be until the
     * last line of this. */
    SK_CHECK(sk_runtime_hold());
    submit(NULL, task);
    sk_current_release();
}

/* A plain thread's proxy; by a plain thread, or in a callback; of a task that may not run here. */
static __attribute__((noinline)) void ready_specially(struct sk_worker *w, struct skua_task *task)
{
    if ((task->flags & SK_TASK_PROXY) != 0)
        sk_wait_wake_proxy(task);
    else if (w == NULL)
        sk_sched_submit(task);
    else if (!push_special(w, task))
        sk_sched_push(w, &w->woken, task);
}

void sk_ready(struct skua_task *task)
{
    struct sk_worker *w = sk_current_worker();
    if (sk_unlikely(w == NULL || w->current == NULL || w->chaos_migrate || task->affinity != 0 ||
                    (task->flags & SK_TASK_PROXY) != 0))
        ready_specially(w, task);
    else if (!sk_slot_try_fill(&w->slot, task))
        ready_in_slot(w, task);
}

/* ---- choosing ---- */

struct skua_task *sk_sched_turn(struct sk_worker *w, uint64_t turn)
{
    if (sk_worker_slice_is_over(w)) {
        w->budget = -1;
        return NULL;
    }
    if (turn % SK_SCHED_QUEUE_TURN != 0)
        return NULL;
    /* The inbox every other time: it must not keep the queue waiting, nor wait for it. */
    struct skua_task *task =
        turn % (2 * SK_SCHED_QUEUE_TURN) == 0 ? sk_inject_pop(&w->inbox) : NULL;
    return task != NULL ? task : sk_deque_pop(&w->queue);
}

/* False: it has not begun and there is no stack for it. */
static bool has_context(struct sk_worker *w, struct skua_task *task)
{
    return sk_likely(sk_load_relaxed(&task->x_state) != SK_TASK_NEW) || sk_task_place(w, task);
}

/* ---- switching ---- */

/* next, which has a stack, runs after this. Returns where it goes on; *fake is what a sanitizer wants
 * back when the caller is resumed. told: sanitizers are to be told. */
static SK_ALWAYS_INLINE void *enter(struct sk_worker *w, struct skua_task *next, void **fake,
                                    bool dying, bool told)
{
    void *to = next->sp; /* to ThreadSanitizer it is next that runs after sk_san_leave */
    w->current = next;
    if (told)
        sk_san_leave(fake, dying, next->stack->low, (size_t)(next->stack->top - next->stack->low),
                     next->stack->tsan_fiber, w, false);
    return to;
}

/* Like enter, but `next` may find no stack, or be NULL: then another one, or the worker's own context,
 * goes on. */
static SK_ALWAYS_INLINE void *enter_next(struct sk_worker *w, struct skua_task *next, void **fake,
                                         bool dying, bool told)
{
    while (next != NULL && !has_context(w, next))
        next = sk_sched_next(w);
    if (next != NULL)
        return enter(w, next, fake, dying, told);
    void *to = w->sp;
    w->current = NULL;
    if (told)
        sk_san_leave(fake, dying, w->thread_low, w->thread_bytes, w->tsan_fiber, w, false);
    return to;
}

/* Leaves the caller, whose context goes to *save, for next, which has begun. Returns when it is
 * resumed. */
static SK_ALWAYS_INLINE void jump_to_begun(struct sk_worker *w, void **save, struct skua_task *next)
{
    void *fake = NULL;
    void *to = enter(w, next, &fake, false, SK_SAN_BUILT_IN);
    w = sk_switch(save, to, w);
    if (SK_SAN_BUILT_IN)
        sk_san_arrive(fake, w);
    sk_sched_arrive(w);
}

/* Like jump_to_begun, but `next` may have no stack yet, or be NULL: then the worker's own context goes
 * on. */
static SK_ALWAYS_INLINE void jump(struct sk_worker *w, void **save, struct skua_task *next)
{
    void *fake = NULL;
    void *to = enter_next(w, next, &fake, false, SK_SAN_BUILT_IN);
    w = sk_switch(save, to, w);
    if (SK_SAN_BUILT_IN)
        sk_san_arrive(fake, w);
    sk_sched_arrive(w);
}

/* Like jump, where a sanitizer may have been found. The caller has tested sk_worker.detour. */
static __attribute__((noinline)) void jump_told(struct sk_worker *w, void **save,
                                                struct skua_task *next)
{
    void *fake = NULL;
    void *to = enter_next(w, next, &fake, false, true);
    w = sk_switch(save, to, w);
    sk_san_arrive(fake, w);
    sk_sched_arrive(w);
}

/* SKUA_CHAOS=migrate wants to know where the coroutine was left. */
static void note_worker(const struct sk_worker *w, struct skua_task *self)
{
    self->stack->worker = w->index;
}

/* Leaves the caller for who comes next, whoever that is. */
static __attribute__((noinline)) void park_for_any(struct sk_worker *w)
{
    struct skua_task *self = w->current;
    struct skua_task *next;
    if (sk_unlikely(w->detour)) {
        note_worker(w, self);
        next = sk_sched_next(w);
        if (next != self)
            jump_told(w, &self->sp, next);
        return;
    }
    next = sk_sched_next(w);
    if (sk_likely(next != self))
        jump(w, &self->sp, next);
}

/* Who has woken another and waits for the answer goes straight to that one: a handful of moves, with
 * nothing to be kept over the switch but the caller's own registers. */
void sk_park(void (*commit)(struct skua_task *task, void *arg), void *arg)
{
    struct sk_worker *w = sk_current_worker();
    sk_count(w->counts.x_parks);
    w->left = w->current;
    w->left_commit = commit;
    w->left_arg = arg;
    struct skua_task *next = sk_sched_take_quickly(w);
    if (sk_likely(next != NULL))
        jump_to_begun(w, &w->current->sp, next);
    else
        park_for_any(w);
}

void sk_park_committed(void)
{
    struct sk_worker *w = sk_current_worker();
    sk_count(w->counts.x_parks);
    struct skua_task *next = sk_sched_take_quickly(w);
    sk_assert(next != w->current); /* a stranger does not come to the slot */
    if (sk_likely(next != NULL))
        jump_to_begun(w, &w->current->sp, next);
    else
        park_for_any(w);
}

static void commit_woken(struct skua_task *task, void *arg)
{
    (void)arg;
    struct sk_worker *w = sk_current_worker();
    if (!push_special(w, task))
        sk_sched_push(w, &w->woken, task);
}

void sk_sched_give_way(void)
{
    struct sk_worker *w = sk_current_worker();
    w->budget = 0;
    sk_park(commit_woken, NULL);
}

int skua_yield(void)
{
    struct sk_worker *w = sk_current_worker();
    if (sk_unlikely(w == NULL || w->current == NULL)) {
        sched_yield();
        return 0;
    }
    struct skua_task *self = w->current;
    struct skua_task *next = sk_sched_next(w);
    if (next != NULL || w->budget <= 0 || sk_load_relaxed(&w->inbox.x_count) != 0 ||
        sk_unlikely(w->chaos_migrate)) {
        w->left = self;
        w->left_commit = NULL;
        if (sk_unlikely(w->detour)) {
            note_worker(w, self);
            jump_told(w, &self->sp, next);
        } else {
            jump(w, &self->sp, next);
        }
    }
    return sk_unlikely(sk_cancel_hinted(self)) && sk_cancel_seen_exactly(self) ? -ECANCELED : 0;
}

void sk_sched_spend_slow(struct sk_worker *w)
{
    struct skua_task *self = w->current;
    w->calls = SK_SCHED_CALLS_TURN;
    if (self == NULL || !sk_worker_slice_is_over(w))
        return;
    w->left = self;
    w->left_commit = NULL;
    if (sk_unlikely(w->detour)) {
        note_worker(w, self);
        jump_told(w, &self->sp, NULL);
    } else {
        jump(w, &self->sp, NULL);
    }
}

void sk_sched_dispatch(struct sk_worker *w, struct skua_task *task)
{
    if (!has_context(w, task))
        return; /* it waits for a stack */
    if (sk_unlikely(w->detour))
        jump_told(w, &w->sp, task);
    else
        jump(w, &w->sp, task);
    w->current = NULL;
}

void sk_sched_give_stack(struct sk_worker *w, struct sk_stack *stack)
{
    if (sk_unlikely(w->detour))
        sk_stack_forget(stack);
    sk_stack_give(&w->stacks, stack);
    struct skua_task *starved = sk_inject_pop(&sk_runtime.starved);
    if (sk_unlikely(starved != NULL))
        sk_sched_submit(starved);
}

/* On the stack that was switched to. */
static void commit_give_stack(struct skua_task *task, void *arg)
{
    (void)task;
    sk_sched_give_stack(sk_current_worker(), arg);
}

SK_SAN_NO_FRAME noreturn void sk_sched_leave(struct sk_worker *w, struct skua_task *next,
                                             struct sk_stack *stack)
{
    w->left =
        (struct skua_task *)(void *)stack; /* only to say that there is something to publish */
    w->left_commit = commit_give_stack;
    w->left_arg = stack;
    void *to = sk_unlikely(w->detour) ? enter_next(w, next, NULL, true, true)
                                      : enter_next(w, next, NULL, true, SK_SAN_BUILT_IN);
    sk_switch_away(to, w);
}

/* ---- finding work ---- */

/* Takes one task and moves up to half of the rest to the thief's own deque of the same kind. */
static struct skua_task *steal_half(struct sk_worker *w, struct sk_deque *from, struct sk_deque *to)
{
    uint64_t share = sk_deque_len(from) / 2;
    bool contended = true;
    struct skua_task *first = NULL;
    for (unsigned i = 0; i < STEAL_TRIES && contended; i++) {
        first = sk_deque_steal(from, &contended);
        if (first != NULL)
            break;
    }
    if (first == NULL)
        return NULL;
    sk_count(w->counts.x_steals);
    while (share-- > 1) {
        struct skua_task *more = sk_deque_steal(from, &contended);
        if (more == NULL)
            break;
        sk_count(w->counts.x_steals);
        sk_sched_push(w, to, more);
    }
    return first;
}

static struct skua_task *steal_from(struct sk_worker *w, struct sk_worker *victim)
{
    struct skua_task *task = steal_half(w, &victim->woken, &w->woken);
    /* SKUA_CHAOS=inline: children are left to the closer on whose worker they were spawned. */
    if (task == NULL && (sk_runtime.settings.chaos & SK_CHAOS_INLINE) == 0)
        task = steal_half(w, &victim->queue, &w->queue);
    if (task == NULL && (task = sk_slot_steal(&victim->slot)) != NULL)
        sk_count(w->counts.x_steals);
    return task;
}

static struct skua_task *steal(struct sk_worker *w)
{
    unsigned n = sk_runtime.worker_count;
    unsigned start = sk_rand_next(&w->rand) % n;
    for (unsigned i = 0; i < n; i++) {
        struct sk_worker *victim = &sk_runtime.workers[(start + i) % n];
        if (victim == w)
            continue;
        struct skua_task *task = steal_from(w, victim);
        if (task != NULL) {
            sk_count(w->counts.x_dispatches);
            return task;
        }
    }
    return NULL;
}

static struct skua_task *take_injected(struct sk_worker *w)
{
    struct skua_task *task = sk_inject_pop(&w->inbox);
    if (task == NULL)
        task = sk_inject_pop(&sk_runtime.inject);
    if (task != NULL)
        sk_count(w->counts.x_dispatches);
    return task;
}

void sk_sched_share_injected(struct sk_worker *w)
{
    for (unsigned i = 0; i < INJECT_SHARE && sk_load_relaxed(&sk_runtime.inject.x_count) != 0;
         i++) {
        struct skua_task *task = sk_inject_pop(&sk_runtime.inject);
        if (task == NULL)
            return;
        sk_sched_push(w, &w->queue, task);
    }
}

struct skua_task *sk_find_work(struct sk_worker *w)
{
    struct skua_task *task = sk_sched_next(w);
    if (task == NULL)
        task = take_injected(w);
    /* A worker that is alone submits and sleeps by one system call; among others a look first is
     * cheaper than announcing sleep. */
    if (task != NULL || sk_runtime.worker_count == 1)
        return task;
    if (sk_worker_serve(w) > 0)
        task = sk_sched_next(w);
    return task != NULL ? task : steal(w);
}
