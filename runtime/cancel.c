#include "runtime/cancel.h"

#include <errno.h>

#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/current.h"
#include "runtime/scope.h"
#include "runtime/task.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

/* ---- linking ---- */

/* The linker of a task's scope asks it of the task's home, and then looks at the task's x_cancel. */
static bool is_linked(const struct sk_scope *s)
{
    return (sk_load_seq_cst(&s->x_flags) & SK_SCOPE_LINKED) != 0; /* CL1 */
}

/* What of the parent's state reaches s, and what its opener's own cancellation adds. Under the
 * parent's lock. */
static uint32_t inherited_locked(const struct sk_scope *s, const struct sk_scope *parent)
{
    uint32_t flags = sk_load_relaxed(&parent->x_flags) & (SK_SCOPE_CANCELLED | SK_SCOPE_STOPPED);
    if (s->outer == NULL && (sk_load_seq_cst(&s->opener->x_cancel) & SK_CANCEL_SELF) != 0) /* CL2 */
        flags |= SK_SCOPE_CANCELLED;
    return s->barrier && (flags & SK_SCOPE_STOPPED) == 0 ? 0 : flags;
}

/* Parents first: the flags of a scope that is linked are up to date. */
void sk_cancel_link_scope(struct sk_scope *s)
{
    if (is_linked(s))
        return;
    struct sk_scope *parent = sk_scope_parent(s);
    sk_cancel_link_scope(parent);
    sk_lock(&parent->lock);
    if (!is_linked(s)) {
        sk_list_init(&s->tasks);
        sk_list_init(&s->scopes);
        sk_list_push_back(&parent->scopes, &s->link);
        uint32_t inherited = inherited_locked(s, parent);
        sk_or_seq_cst(&s->x_flags, inherited | SK_SCOPE_LINKED);
        if (inherited != 0)
            sk_or_seq_cst(&s->opener->x_cancel, (uint8_t)SK_CANCEL_OWN);
    }
    sk_unlock(&parent->lock);
}

static void link_task(struct skua_task *task)
{
    struct sk_scope *s = sk_load_relaxed(&task->x_scope);
    sk_cancel_link_scope(s);
    sk_lock(&s->lock);
    sk_list_push_back(&s->tasks, &task->link);
    uint32_t flags = sk_load_relaxed(&s->x_flags);
    if ((flags & SK_SCOPE_STOPPED) != 0)
        sk_or_seq_cst(&task->x_cancel, (uint8_t)(SK_CANCEL_OUTER | SK_CANCEL_STOP));
    else if ((flags & SK_SCOPE_CANCELLED) != 0)
        sk_or_seq_cst(&task->x_cancel, (uint8_t)SK_CANCEL_OUTER);
    sk_unlock(&s->lock);
    task->flags |= SK_TASK_LINKED;
}

void sk_cancel_link_slow(struct skua_task *task)
{
    if ((task->flags & SK_TASK_LINKED) == 0)
        link_task(task);
    if (task->scopes != NULL)
        sk_cancel_link_scope(task->scopes);
}

void sk_cancel_unlink(struct skua_task *task)
{
    struct sk_scope *s = sk_load_relaxed(&task->x_scope);
    sk_lock(&s->lock);
    sk_list_remove(&task->link);
    sk_unlock(&s->lock);
}

void sk_cancel_unlink_scope(struct sk_scope *s)
{
    if (!is_linked(s))
        return;
    struct sk_scope *parent = sk_scope_parent(s);
    sk_lock(&parent->lock);
    sk_list_remove(&s->link);
    sk_unlock(&parent->lock);
}

/* ---- what a task sees ---- */

bool sk_cancel_seen(const struct skua_task *task)
{
    uint8_t bits = sk_load_seq_cst(&task->x_cancel);
    int shield = sk_load_relaxed(&task->x_shield);
    if ((bits & SK_CANCEL_STOP) != 0)
        return true;
    if (shield == SK_TASK_UNSHIELDED && (bits & (SK_CANCEL_SELF | SK_CANCEL_OUTER)) != 0)
        return true;
    if ((bits & SK_CANCEL_OWN) == 0)
        return false;
    for (const struct sk_scope *s = task->scopes; s != NULL && s->depth > shield; s = s->outer)
        if (sk_scope_is_cancelled(s))
            return true;
    return false;
}

bool sk_cancel_seen_exactly(struct skua_task *task)
{
    sk_cancel_link(task);
    return sk_cancel_seen(task);
}

skua_time sk_cancel_deadline_slow(const struct skua_task *task)
{
    int shield = sk_load_relaxed(&task->x_shield);
    skua_time earliest = SKUA_NEVER;
    for (const struct sk_scope *s = task->scopes; s != NULL && s->depth > shield; s = s->outer) {
        if (s->deadline < earliest)
            earliest = s->deadline;
        if (!s->barrier)
            return earliest; /* it holds those outside of it already */
    }
    if (shield == SK_TASK_UNSHIELDED) {
        const struct sk_scope *home = sk_load_relaxed(&task->x_scope);
        if (home->deadline < earliest)
            earliest = home->deadline;
    }
    return earliest;
}

int skua_cancelled(void)
{
    struct sk_worker *w = sk_current_worker();
    if (w == NULL || w->current == NULL)
        return 0;
    struct skua_task *task = w->current;
    if (sk_cancel_hinted(task) && sk_cancel_seen_exactly(task))
        return 1;
    skua_time deadline = sk_cancel_deadline(task);
    return deadline != SKUA_NEVER && deadline <= sk_clock_now();
}

static int16_t depth_of(const struct skua_task *task)
{
    return task->scopes != NULL ? task->scopes->depth : 0;
}

int skua_shield(int on)
{
    struct sk_worker *w = sk_current_worker();
    if (w == NULL || w->current == NULL)
        return -EPERM;
    struct skua_task *task = w->current;
    task->flags |= SK_TASK_TOUCHED;
    int before = sk_load_relaxed(&task->x_shield) != SK_TASK_UNSHIELDED;
    if (on != 0 && !before)
        sk_store_relaxed(&task->x_shield, depth_of(task));
    else if (on == 0 && (task->flags & SK_TASK_UNWINDING) == 0)
        sk_store_relaxed(&task->x_shield, (int16_t)SK_TASK_UNSHIELDED);
    return before;
}

struct sk_cancel_shield sk_cancel_hold_shield(struct skua_task *task)
{
    struct sk_cancel_shield before = {
        .depth = sk_load_relaxed(&task->x_shield),
        .unwinding = (task->flags & SK_TASK_UNWINDING) != 0,
    };
    task->flags |= SK_TASK_TOUCHED | SK_TASK_UNWINDING;
    sk_store_relaxed(&task->x_shield, depth_of(task));
    return before;
}

void sk_cancel_give_shield_back(struct skua_task *task, struct sk_cancel_shield before)
{
    int16_t depth = depth_of(task); /* a scope may have been closed meanwhile */
    if (before.unwinding && (task->flags & SK_TASK_UNWINDING) == 0)
        return; /* fibers: the one that began before has ended before */
    sk_store_relaxed(&task->x_shield, before.depth < depth ? before.depth : depth);
    if (!before.unwinding)
        task->flags &= (uint8_t)~SK_TASK_UNWINDING;
}

/* ---- cancelling ---- */

/* Under s's lock. */
static void mark_locked(struct sk_scope *s, bool stop)
{
    uint8_t stop_bit = stop ? SK_CANCEL_STOP : 0;
    sk_or_seq_cst(&s->x_flags, stop ? SK_SCOPE_CANCELLED | SK_SCOPE_STOPPED : SK_SCOPE_CANCELLED);
    for (struct sk_list *l = s->tasks.next; l != &s->tasks; l = l->next) {
        struct skua_task *task = sk_container_of(l, struct skua_task, link);
        sk_or_seq_cst(&task->x_cancel, (uint8_t)(SK_CANCEL_OUTER | stop_bit)); /* WT4 */
        sk_wait_kick(task, 0, stop);
    }
    if (s->opener != NULL) {
        sk_or_seq_cst(&s->opener->x_cancel, (uint8_t)(SK_CANCEL_OWN | stop_bit));
        sk_wait_kick(s->opener, s->depth, stop);
    }
}

static bool to_be_entered(const struct sk_scope *s, bool stop)
{
    return stop || (!s->barrier && !sk_scope_is_cancelled(s));
}

/* Depth first, with the locks of the whole path from s down held, so that every list on it stands
 * still. Not recursive: scopes nest deeper than stacks. */
static void cancel_tree(struct sk_scope *s, bool stop)
{
    struct sk_scope *at = s;
    sk_lock(&at->lock);
    mark_locked(at, stop);
    struct sk_list *next = at->scopes.next;
    for (;;) {
        if (next == &at->scopes) {
            struct sk_scope *done = at;
            if (done != s) {
                at = sk_scope_parent(done);
                next = done->link.next;
            }
            sk_unlock(&done->lock);
            if (done == s)
                return;
            continue;
        }
        struct sk_scope *child = sk_container_of(next, struct sk_scope, link);
        if (!to_be_entered(child, stop)) {
            next = next->next;
            continue;
        }
        at = child;
        sk_lock(&at->lock);
        mark_locked(at, stop);
        next = at->scopes.next;
    }
}

void sk_cancel_scope(struct sk_scope *s, bool stop)
{
    sk_cancel_link_scope(s);
    cancel_tree(s, stop);
}

void sk_cancel_task(struct skua_task *task)
{
    struct sk_scope *home = sk_load_relaxed(&task->x_scope);
    sk_or_seq_cst(&task->x_cancel, (uint8_t)SK_CANCEL_SELF); /* WT4, CL3 */
    sk_wait_kick(task, 0, false);
    if ((sk_load_seq_cst(&home->x_flags) & SK_SCOPE_LINKED) == 0)
        return; /* CL4: what it opens, or has opened, links later and finds the bit */
    sk_lock(&home->lock);
    for (struct sk_list *l = home->scopes.next; l != &home->scopes; l = l->next) {
        struct sk_scope *s = sk_container_of(l, struct sk_scope, link);
        if (s->opener == task && to_be_entered(s, false))
            cancel_tree(s, false);
    }
    sk_unlock(&home->lock);
}
