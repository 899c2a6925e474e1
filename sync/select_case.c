/* sync/select_case.c - what the kinds of cases of a select have in common, one switch per verb. */
#include <errno.h>

#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/join.h"
#include "sync/future.h"
#include "sync/select.h"

static bool is_send(const skua_case *k)
{
    return k->op == SKUA_SEND;
}

int sk_select_case_check(const skua_case *k)
{
    switch (k->op) {
    case SKUA_SEND: {
        const struct skua_chan *c = k->obj;
        return c == NULL || (k->val == NULL && c->elem_bytes != 0) ? -EINVAL : 0;
    }
    case SKUA_RECV:
    case SKUA_FUTURE:
        return k->obj == NULL ? -EINVAL : 0;
    case SKUA_TASK:
        if (k->obj == NULL)
            return -EINVAL;
        return k->obj == (void *)skua_self() ? -EDEADLK : 0;
    case SKUA_FD:
        return k->fd < 0 ? -EINVAL : 0;
    default:
        return k->op == SKUA_SKIP ? 0 : -EINVAL;
    }
}

/* Whether it is settled is asked first: a future may have failed with -EAGAIN. */
static bool try_future(skua_case *k)
{
    if (skua_future_state(k->obj) < SKUA_DONE)
        return false;
    k->res = sk_future_result(k->obj, k->val);
    return true;
}

static bool try_task(skua_case *k)
{
    if (skua_task_state(k->obj) < SKUA_DONE)
        return false;
    k->res = skua_join(k->obj, k->val, SKUA_NOW);
    return true;
}

bool sk_select_case_try(skua_case *k)
{
    int rc = -EAGAIN;
    switch (k->op) {
    case SKUA_SEND:
        rc = sk_chan_try_send(k->obj, k->val);
        break;
    case SKUA_RECV:
        rc = sk_chan_try_recv(k->obj, k->val);
        break;
    case SKUA_FUTURE:
        return try_future(k);
    case SKUA_TASK:
        return try_task(k);
    case SKUA_FD:
        k->res = sk_driver_poll_now(k->fd, k->events);
        return k->res != 0;
    default:
        break;
    }
    if (rc == -EAGAIN)
        return false;
    k->res = rc;
    return true;
}

struct skua_chan *sk_select_case_locked(const skua_case *k)
{
    struct skua_chan *c = k->obj;
    return (k->op == SKUA_SEND || k->op == SKUA_RECV) && !sk_chan_is_ring(c) ? c : NULL;
}

/* A descriptor that is no more is ready, and the next look says so. */
static int arm(struct sk_select_slot *slot)
{
    int rc =
        sk_driver_poll_arm(slot->poll, slot->which->fd, slot->which->events, &slot->waiter.base);
    if (rc == 0)
        return 1;
    return rc == -EBADF ? 0 : rc;
}

int sk_select_case_enter(struct sk_select_slot *slot)
{
    skua_case *k = slot->which;
    switch (k->op) {
    case SKUA_SEND:
    case SKUA_RECV:
        return sk_chan_wait_enter(k->obj, &slot->waiter.base, is_send(k), slot->comes_back);
    case SKUA_FUTURE:
        return sk_future_enter(k->obj, &slot->waiter.base);
    case SKUA_TASK:
        return sk_join_enter(k->obj, &slot->waiter.base);
    case SKUA_FD:
        return arm(slot);
    default:
        return -EINVAL;
    }
}

bool sk_select_case_leave(struct sk_select_slot *slot)
{
    const skua_case *k = slot->which;
    switch (k->op) {
    case SKUA_SEND:
    case SKUA_RECV:
        if (slot->home != NULL)
            return sk_chan_locked_leave(k->obj, &slot->waiter, is_send(k));
        return sk_chan_wait_leave(k->obj, &slot->waiter.base, is_send(k));
    case SKUA_FUTURE:
        sk_future_leave(k->obj, &slot->waiter.base);
        return false;
    case SKUA_TASK:
        sk_join_leave(k->obj, &slot->waiter.base);
        return false;
    case SKUA_FD:
        slot->seen = sk_driver_poll_disarm(slot->poll);
        return slot->seen != 0;
    default:
        return false;
    }
}

void sk_select_case_pass(struct sk_select_slot *slot)
{
    const skua_case *k = slot->which;
    if ((k->op == SKUA_SEND || k->op == SKUA_RECV) && slot->home == NULL)
        sk_chan_wait_pass(k->obj, is_send(k));
}
