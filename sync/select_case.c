/* sync/select_case.c - what the kinds of cases of a select have in common, one switch per verb. */
#include <errno.h>

#include <skua/task.h>

#include "runtime/base/assert.h"
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

int sk_select_case_enter(struct sk_select_slot *slot)
{
    skua_case *k = slot->which;
    switch (k->op) {
    case SKUA_SEND:
    case SKUA_RECV:
        return sk_chan_wait_enter(k->obj, &slot->waiter.base, is_send(k), slot->comes_back);
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
