/* runtime/cancel.h - the tree of scopes: linking, deadlines seen, cancellation walking down.
 * Scopes form a tree: around a scope stands the opener's next outer one, or the scope that the
 * opener lives in. Tasks and scopes enter their parent's lists late: when a task first waits or
 * asks whether it is cancelled, parents before children; most children of a fork-join program never
 * do. Cancelling sets the flag of a scope under its lock and walks down what is linked; what links
 * later finds the flag. Locks are taken from parent to child only.
 * Order: CL1 seq_cst load that finds the home LINKED, then CL2 seq_cst load of the opener's x_cancel;
 *        CL3 seq_cst or of x_cancel, then CL4 seq_cst load of the home's flags: the linker sees the
 *        bit, or the canceller sees LINKED and walks the home's list (docs/MEMORY_MODEL.md). */
#ifndef SK_RUNTIME_CANCEL_H
#define SK_RUNTIME_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include <skua/time.h>

#include "runtime/scope.h"
#include "runtime/task.h"

void sk_cancel_link_slow(struct skua_task *task);
/* The task itself (or who starts it). Links it, and its open scopes, where they are not yet. */
static inline void sk_cancel_link(struct skua_task *task)
{
    if (sk_likely((task->flags & SK_TASK_LINKED) != 0) &&
        (task->scopes == NULL ||
         sk_likely((sk_load_acquire(&task->scopes->x_flags) & SK_SCOPE_LINKED) != 0)))
        return;
    sk_cancel_link_slow(task);
}

/* The task itself, when it ends. */
void sk_cancel_unlink(struct skua_task *task);
/* Any task inside. Links s, so that its flags tell whether a scope around it was cancelled. */
void sk_cancel_link_scope(struct sk_scope *s);
/* The closer. */
void sk_cancel_unlink_scope(struct sk_scope *s);

/* The task itself. Whether a cancellation that it can see has come. Its records must be linked for
 * an exact answer. */
bool sk_cancel_seen(const struct skua_task *task);
/* The same for a task that may not be linked: links it first. */
bool sk_cancel_seen_exactly(struct skua_task *task);

/* The task itself. Whether there is anything to look at: false only if no cancellation can have
 * reached it. A task that never waited is in no list, and looks up its scopes until one that is. */
static inline bool sk_cancel_hinted(const struct skua_task *task)
{
    if (sk_load_relaxed(&task->x_cancel) != 0)
        return true;
    if ((task->flags & SK_TASK_LINKED) != 0)
        return false;
    const struct sk_scope *home = sk_load_relaxed(&task->x_scope);
    uint32_t flags = sk_load_relaxed(&home->x_flags);
    return (flags & (SK_SCOPE_LINKED | SK_SCOPE_CANCELLED)) != SK_SCOPE_LINKED;
}

/* The task itself. The earliest deadline of a scope that it can see; SKUA_NEVER: none. */
skua_time sk_cancel_deadline_slow(const struct skua_task *task);
static inline skua_time sk_cancel_deadline(const struct skua_task *task)
{
    if (sk_load_relaxed(&task->x_shield) != SK_TASK_UNSHIELDED)
        return sk_cancel_deadline_slow(task);
    const struct sk_scope *s = task->scopes;
    if (s == NULL)
        return sk_load_relaxed(&task->x_scope)->deadline;
    return sk_likely(!s->barrier) ? s->deadline : sk_cancel_deadline_slow(task);
}

/* The task itself. Nothing bounds its waits: it is linked, sees no deadline of a scope, and no
 * cancellation has come. False: perhaps something does. */
static inline bool sk_cancel_is_far(const struct skua_task *task)
{
    const struct sk_scope *s = task->scopes;
    if ((task->flags & SK_TASK_LINKED) == 0 || sk_load_relaxed(&task->x_cancel) != 0 ||
        sk_load_relaxed(&task->x_shield) != SK_TASK_UNSHIELDED)
        return false;
    if (s == NULL)
        return sk_load_relaxed(&task->x_scope)->deadline == SKUA_NEVER;
    return (sk_load_acquire(&s->x_flags) & SK_SCOPE_LINKED) != 0 && !s->barrier &&
           s->deadline == SKUA_NEVER;
}

/* The task itself. Between the two nothing but stop reaches it, whatever shields are set and taken
 * down meanwhile: neither from outside nor from the scopes that it has open. Nestable. */
struct sk_cancel_shield {
    int16_t depth;
    bool unwinding;
};
struct sk_cancel_shield sk_cancel_hold_shield(struct skua_task *task);
void sk_cancel_give_shield_back(struct skua_task *task, struct sk_cancel_shield before);

/* Any thread; s stays open. stop: pierce every shield. */
void sk_cancel_scope(struct sk_scope *s, bool stop);
/* Any thread. The task has not ended and cannot meanwhile (join_lock). */
void sk_cancel_task(struct skua_task *task);

#endif
