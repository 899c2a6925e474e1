/* tests/unit/sync/sync_test.h - what holds for every call that waits, checked for any of them. */
#ifndef SYNC_TEST_H
#define SYNC_TEST_H

#include "runtime/task.h"
#include "tests/unit/runtime/rt_test.h"

/* A call on obj that has to wait for as long as a check lasts. */
typedef int sy_wait(void *obj, skua_time dl);

struct sy_call {
    sy_wait *wait;
    void *obj;
};

static inline void sy_open(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

static inline void sy_close(skua_scope *s)
{
    SKT_EQ(skua_scope_close(s, SKUA_NEVER), 0);
}

static inline bool sy_has_ended(skua_task *task)
{
    int state = skua_task_state(task);
    return state == SKUA_DONE || state == SKUA_CANCELLED;
}

/* Spawns fn(arg), and returns when it sleeps in a wait, or has ended: its deadline may have passed
 * before anybody looked. */
static inline skua_task *sy_spawn_waiting(skua_scope *s, int (*fn)(void *), void *arg)
{
    skua_task *task;
    SKT_EQ(skua_spawn_opts(s, fn, arg, NULL, &task), 0);
    RT_UNTIL(rt_is_waiting(task) || sy_has_ended(task));
    return task;
}

/* Joins, and gives the reference back. */
static inline int sy_result(skua_task *task)
{
    int result = 0;
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    skua_task_unref(task);
    return result;
}

/* Coroutine or plain thread: every deadline. */
static inline void sy_check_deadlines(sy_wait *wait, void *obj)
{
    SKT_EQ(wait(obj, SKUA_NOW), -EAGAIN);
    SKT_EQ(wait(obj, rt_past()), -ETIMEDOUT);
    skua_time dl = skua_in(SKUA_MS(1));
    SKT_EQ(wait(obj, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(wait(obj, -1), -EINVAL);
    SKT_EQ(wait(obj, SKUA_MS(1)), -EINVAL);
}

static inline int sy_call_for_ever(void *arg)
{
    const struct sy_call *call = arg;
    return call->wait(call->obj, SKUA_NEVER);
}

static inline int sy_call_cancelled(void *arg)
{
    const struct sy_call *call = arg;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(call->wait(call->obj, SKUA_NEVER), -ECANCELED);
    SKT_EQ(call->wait(call->obj, rt_past()), -ECANCELED);
    SKT_EQ(call->wait(call->obj, SKUA_NOW), -EAGAIN);
    SKT_EQ(call->wait(call->obj, -1), -EINVAL);
    (void)skua_shield(1);
    SKT_EQ(call->wait(call->obj, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    (void)skua_shield(0);
    return -ECANCELED;
}

static inline int sy_call_deadlines(void *arg)
{
    const struct sy_call *call = arg;
    sy_check_deadlines(call->wait, call->obj);
    return 0;
}

static inline void *sy_call_deadlines_in_thread(void *arg)
{
    (void)sy_call_deadlines(arg);
    return NULL;
}

static inline void sy_check_scope_deadline(struct sy_call *call)
{
    skua_scope s;
    skua_time dl = skua_in(SKUA_MS(2));
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, dl), 0);
    SKT_EQ(skua_spawn(&s, sy_call_for_ever, call), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
}

/* Coroutine only. Everything that ends a wait, in coroutines and in a plain thread; not in the
 * caller, who may hold obj. */
static inline void sy_check_ends(sy_wait *wait, void *obj)
{
    struct sy_call call = {wait, obj};
    skua_scope s;
    sy_open(&s);
    skua_task *task = sy_spawn_waiting(&s, sy_call_for_ever, &call);
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(sy_result(task), -ECANCELED);
    SKT_EQ(skua_spawn(&s, sy_call_cancelled, &call), 0);
    SKT_EQ(skua_spawn(&s, sy_call_deadlines, &call), 0);
    sy_close(&s);
    sy_check_scope_deadline(&call);
    rt_thread_join(rt_thread(sy_call_deadlines_in_thread, &call));
}

/* ---- stop ---- */

static _Atomic(int) sy_waiting;

static inline void sy_count_waiting(skua_task *proxy)
{
    if (rt_is_waiting(proxy))
        atomic_fetch_add(&sy_waiting, 1);
}

static inline bool sy_a_thread_waits(void)
{
    atomic_store(&sy_waiting, 0);
    sk_task_each_proxy(sy_count_waiting);
    return atomic_load(&sy_waiting) > 0;
}

static inline void *sy_wait_for_stop(void *arg)
{
    SKT_EQ(sy_call_for_ever(arg), -ESHUTDOWN);
    return NULL;
}

/* Plain thread, without a runtime. Stop ends the wait of a thread. */
static inline void sy_check_stop(sy_wait *wait, void *obj, unsigned workers)
{
    struct sy_call call = {wait, obj};
    rt_start(workers);
    pthread_t thread = rt_thread(sy_wait_for_stop, &call);
    RT_UNTIL(sy_a_thread_waits());
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    rt_thread_join(thread);
}

#endif
