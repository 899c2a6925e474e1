#include "runtime/join.h"

#include <errno.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
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

struct sk_join *sk_join_split_locked(struct skua_task *task)
{
    struct sk_join *callbacks = NULL, *next;
    struct sk_join **tail = &task->joiners, *list = task->joiners;
    for (; list != NULL; list = next) {
        next = list->next;
        if (list->wait != NULL) {
            *tail = list;
            tail = &list->next;
        } else {
            list->next = callbacks; /* the list is newest first: this turns it round */
            callbacks = list;
        }
    }
    *tail = NULL;
    return callbacks;
}

void sk_join_call(struct skua_task *task, struct sk_join *callbacks)
{
    while (callbacks != NULL) {
        struct sk_join *next = callbacks->next;
        callbacks->fn(task, callbacks->arg);
        sk_mem_free(callbacks);
        callbacks = next;
    }
}

void sk_join_wake(struct skua_task *task)
{
    sk_lock(&task->join_lock);
    for (struct sk_join *join = task->joiners, *next; join != NULL; join = next) {
        next = join->next; /* once it is woken the join may be gone */
        sk_wait_wake(join->wait->task, join->wait->ticket, SK_WAIT_WOKEN);
    }
    task->joiners = NULL;
    sk_unlock(&task->join_lock);
}

/* False: the task has ended. */
static bool add(struct skua_task *task, struct sk_join *join)
{
    sk_lock(&task->join_lock);
    bool alive = !has_ended(task);
    if (alive) {
        join->next = task->joiners;
        task->joiners = join;
        if (task == sk_current_task())
            task->flags |= SK_TASK_TOUCHED;
    }
    sk_unlock(&task->join_lock);
    return alive;
}

static void drop(struct skua_task *task, struct sk_join *join)
{
    sk_lock(&task->join_lock);
    for (struct sk_join **at = &task->joiners; *at != NULL; at = &(*at)->next) {
        if (*at == join) {
            *at = join->next;
            break;
        }
    }
    sk_unlock(&task->join_lock);
}

static int give_result(struct skua_task *task, int *result)
{
    if (result != NULL)
        *result = task->result;
    return 0;
}

int sk_join_wait(struct skua_task *task, int *result, skua_time dl, unsigned flags)
{
    struct sk_wait wait;
    struct sk_join join = {.wait = &wait};
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
    if (!add(task, &join)) {
        (void)sk_wait_abandon(
            &wait); /* a cancellation that came in between is seen at the next wait */
        return give_result(task, result);
    }
    rc = sk_wait_park(&wait);
    if (rc < 0)
        drop(task, &join);
    return has_ended(task) && rc >= 0 ? give_result(task, result) : rc;
}

int skua_join(skua_task *task, int *result, skua_time dl)
{
    return sk_join_wait(task, result, dl, 0);
}

/* The task has ended: the callback runs in the caller, who is nobody meanwhile. */
static void call_here(struct skua_task *task, struct sk_join *callback)
{
    struct sk_worker *w = sk_current_worker();
    struct skua_task *self = NULL;
    if (w != NULL) {
        self = w->current;
        w->current = NULL;
    }
    sk_join_call(task, callback);
    if (w != NULL)
        w->current = self;
}

int skua_on_done(skua_task *task, void (*fn)(skua_task *, void *), void *arg)
{
    struct sk_join *join = sk_mem_alloc(sizeof(*join));
    if (fn == NULL || join == NULL) {
        sk_mem_free(join);
        return fn == NULL ? -EINVAL : -ENOMEM;
    }
    *join = (struct sk_join){.fn = fn, .arg = arg};
    if (!add(task, join))
        call_here(task, join);
    return 0;
}

int skua_cancel(skua_task *task)
{
    if (task == sk_current_task())
        task->flags |= SK_TASK_TOUCHED;
    sk_lock(&task->join_lock);
    bool alive = !has_ended(task);
    if (alive)
        sk_cancel_task(task);
    sk_unlock(&task->join_lock);
    return alive;
}

int skua_task_state(const skua_task *task)
{
    switch (sk_load_acquire(&task->x_state)) {
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
