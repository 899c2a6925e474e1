#include "runtime/join.h"

#include <errno.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/cancel.h"
#include "runtime/current.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

static bool has_ended(const struct skua_task *task)
{
    return sk_load_acquire(&task->x_state) >= SK_TASK_DONE;
}

static struct sk_waiter *waiter_of(struct sk_list *node)
{
    return sk_container_of(node, struct sk_waiter, link);
}

static struct sk_join *callback_of(struct sk_list *node)
{
    return sk_container_of(node, struct sk_join, waiter.link);
}

/* ---- the list; all under join_lock ---- */

static void push_locked(struct skua_task *task, struct sk_list *node)
{
    node->prev = NULL;
    node->next = task->joiners;
    if (node->next != NULL)
        node->next->prev = node;
    task->joiners = node;
}

static void remove_locked(struct skua_task *task, struct sk_list *node)
{
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        task->joiners = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
}

struct sk_list *sk_join_split_locked(struct skua_task *task)
{
    struct sk_list *callbacks = NULL, *next;
    for (struct sk_list *node = task->joiners; node != NULL; node = next) {
        next = node->next;
        if (waiter_of(node)->wait != NULL)
            continue;
        remove_locked(task, node);
        node->next = callbacks; /* the list is newest first: this turns it round */
        callbacks = node;
    }
    return callbacks;
}

/* ---- the end ---- */

void sk_join_call(struct skua_task *task, struct sk_list *callbacks)
{
    while (callbacks != NULL) {
        struct sk_join *callback = callback_of(callbacks);
        callbacks = callbacks->next;
        sk_san_acquire(callback);
        callback->fn(task, callback->arg);
        sk_mem_free(callback);
    }
}

void sk_join_wake(struct skua_task *task)
{
    sk_lock(&task->join_lock);
    for (struct sk_list *node = task->joiners, *next; node != NULL; node = next) {
        struct sk_wait *wait = waiter_of(node)->wait;
        next = node->next;
        sk_list_init(node); /* out of the list; once it is woken the place may be gone */
        sk_wait_wake(wait->task, wait->ticket, SK_WAIT_WOKEN);
    }
    task->joiners = NULL;
    sk_unlock(&task->join_lock);
}

/* ---- waiting ---- */

bool sk_join_enter(struct skua_task *task, struct sk_waiter *waiter)
{
    sk_lock(&task->join_lock);
    bool alive = !has_ended(task);
    if (alive)
        push_locked(task, &waiter->link);
    sk_unlock(&task->join_lock);
    return alive;
}

void sk_join_leave(struct skua_task *task, struct sk_waiter *waiter)
{
    sk_lock(&task->join_lock);
    if (waiter->link.next != &waiter->link)
        remove_locked(task, &waiter->link);
    sk_unlock(&task->join_lock);
}

static int give_result(struct skua_task *task, int *result)
{
    sk_san_acquire(task);
    if (result != NULL)
        *result = task->result;
    return 0;
}

int sk_join_wait(struct skua_task *task, int *result, skua_time dl, unsigned flags)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    if (task == sk_current_task())
        return -EDEADLK;
    sk_sched_spend();
    if (has_ended(task))
        return give_result(task, result);
    rc = sk_wait_begin(&wait, dl, flags);
    if (rc < 0)
        return has_ended(task) ? give_result(task, result) : rc;
    if (!sk_join_enter(task, &waiter)) {
        (void)sk_wait_abandon(
            &wait); /* a cancellation that came in between is seen at the next wait */
        return give_result(task, result);
    }
    rc = sk_wait_park(&wait);
    if (rc < 0)
        sk_join_leave(task, &waiter);
    return has_ended(task) && rc >= 0 ? give_result(task, result) : rc;
}

int skua_join(skua_task *task, int *result, skua_time dl)
{
    return sk_join_wait(task, result, dl, 0);
}

/* The task has ended: the callback runs in the caller, who is nobody meanwhile. */
static void call_here(struct skua_task *task, struct sk_join *callback)
{
    sk_san_acquire(task);
    struct skua_task *self = sk_wait_forbid();
    callback->waiter.link.next = NULL;
    sk_join_call(task, &callback->waiter.link);
    sk_wait_permit(self);
}

int skua_on_done(skua_task *task, void (*fn)(skua_task *, void *), void *arg)
{
    struct sk_join *callback = fn != NULL ? sk_mem_alloc(sizeof(*callback)) : NULL;
    if (callback == NULL)
        return fn == NULL ? -EINVAL : -ENOMEM;
    *callback = (struct sk_join){.fn = fn, .arg = arg};
    if (task == sk_current_task())
        task->flags |= SK_TASK_TOUCHED;
    sk_san_release(callback);
    if (!sk_join_enter(task, &callback->waiter))
        call_here(task, callback);
    return 0;
}

int skua_cancel(skua_task *task)
{
    if (task == sk_current_task())
        task->flags |= SK_TASK_TOUCHED;
    sk_san_release(&sk_san_cancel);
    sk_lock(&task->join_lock);
    bool alive = !has_ended(task);
    if (alive)
        sk_cancel_task(task);
    sk_unlock(&task->join_lock);
    return alive;
}

int skua_task_state(const skua_task *task)
{
    unsigned state = sk_load_acquire(&task->x_state);
    sk_san_acquire(task);
    switch (state) {
    case SK_TASK_NEW:
        return SKUA_PENDING;
    case SK_TASK_RUNNING:
        return SKUA_RUNNING;
    case SK_TASK_DONE:
        return SKUA_DONE;
    default:
        return SKUA_CANCELLED;
    }
}
