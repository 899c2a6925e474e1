/* tests/unit/runtime/test_cancel.c - cancellation, deadlines of scopes, shields. */
#include <skua/task.h>

#include "tests/unit/runtime/rt_test.h"

static void open_scope(skua_scope *s, skua_time deadline)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, deadline), 0);
}

static skua_task *spawn_task(skua_scope *s, int (*fn)(void *), void *arg)
{
    skua_task *task = NULL;
    SKT_EQ(skua_spawn_opts(s, fn, arg, NULL, &task), 0);
    return task;
}

static int ended(skua_task *task)
{
    int result = 12345;
    SKT_EQ(skua_join(task, &result, skua_in(RT_PATIENCE_NS)), 0);
    skua_task_unref(task);
    return result;
}

/* Each wait there is, one after the other, by a deadline. */
static int wait_everywhere(skua_time dl, int want)
{
    skua_event e = SKUA_EVENT_INIT;
    skua_wg g = SKUA_WG_INIT;
    SKT_EQ(skua_wg_add(&g, 1), 0);
    SKT_EQ(skua_event_wait(&e, dl), want);
    SKT_EQ(skua_wg_wait(&g, dl), want);
    SKT_EQ(skua_sleep(SKUA_S(100)), want);
    SKT_EQ(skua_sleep_until(SKUA_NEVER), want);
    return want;
}

/* Goal: level-triggered: every wait of a cancelled coroutine ends so, until it ends; SKUA_NOW is
 * -EAGAIN all the same; what need not wait does not look. */
static int cancelled_waits(void *arg)
{
    skua_event set = SKUA_EVENT_INIT, unset = SKUA_EVENT_INIT;
    skua_mutex m = SKUA_MUTEX_INIT;
    skua_wg none = SKUA_WG_INIT;
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_event_set(arg), 0);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_cancelled(), 1);
    for (int i = 0; i < 3; i++)
        wait_everywhere(SKUA_NEVER, -ECANCELED);
    wait_everywhere(rt_past(), -ECANCELED); /* it is looked for before the deadline */
    wait_everywhere(skua_in(SKUA_S(50)), -ECANCELED);
    SKT_EQ(skua_yield(), -ECANCELED);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    SKT_EQ(skua_event_wait(&unset, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_event_wait(&unset, -1), -EINVAL);
    SKT_EQ(skua_event_set(&set), 0);
    SKT_EQ(skua_event_wait(&set, SKUA_NEVER), 0);
    SKT_EQ(skua_event_wait(&set, rt_past()), 0);
    SKT_EQ(skua_wg_wait(&none, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_unlock(&m), 0);
    return -ECANCELED;
}

RT_TEST(cancel, level_triggered)
{
    skua_scope s;
    open_scope(&s, SKUA_NEVER);
    skua_event started = SKUA_EVENT_INIT;
    skua_task *task = spawn_task(&s, cancelled_waits, &started);
    SKT_EQ(skua_event_wait(&started, SKUA_NEVER), 0);
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_task_state(task), SKUA_CANCELLED);
    SKT_EQ(skua_cancel(task), 0);
    SKT_EQ(ended(task), -ECANCELED);
}

static int run_though_cancelled(void *arg)
{
    *(int *)arg = 1;
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    *(int *)arg = 2;
    return -ECANCELED;
}

/* Goal: one that is cancelled before it started still runs; its first wait ends. */
RT_TEST(cancel, before_start)
{
    skua_scope s;
    int ran[2] = {0, 0};
    open_scope(&s, SKUA_NEVER);
    skua_pin(); /* so that a child that is bound here cannot start meanwhile */
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    o.worker = skua_worker() + 1;
    skua_task *task;
    SKT_EQ(skua_spawn_opts(&s, run_though_cancelled, &ran[0], &o, &task), 0);
    SKT_EQ(skua_task_state(task), SKUA_PENDING);
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_task_state(task), SKUA_PENDING);
    SKT_EQ(ran[0], 0);
    SKT_EQ(ended(task), -ECANCELED);
    SKT_EQ(ran[0], 2);
    SKT_EQ(skua_spawn_opts(&s, run_though_cancelled, &ran[1], &o, NULL), 0);
    skua_scope_cancel(&s);
    SKT_EQ(ran[1], 0);
    skua_unpin();
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(ran[1], 2);
}

static int cancel_self(void *arg)
{
    (void)arg;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    return -ECANCELED;
}

static int cancel_self_and_fail(void *arg)
{
    (void)cancel_self(arg);
    return -EIO;
}

static int cancel_self_and_succeed(void *arg)
{
    (void)arg;
    SKT_EQ(skua_cancel(skua_self()), 1);
    return 0;
}

static int not_cancelled(void *arg)
{
    (void)arg;
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_sleep(1000), 0);
    return 0;
}

/* Goal: its own skua_cancel is no failure for the scope and cancels nobody else; another failure
 * is; and nothing of it sticks to those that come after. */
RT_TEST(cancel, own)
{
    static int (*const fns[])(void *) = {cancel_self, cancel_self_and_succeed,
                                         cancel_self_and_fail};
    static const int want[] = {0, 0, -EIO};
    for (int i = 0; i < 3; i++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        int rc = 0;
        for (int n = 0; n < 20 && rc == 0; n++)
            rc = skua_spawn(&s, fns[i], NULL);
        SKT_TRUE(rc == 0 || (rc == -ECANCELED && want[i] < 0)); /* the first one may have failed */
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), want[i]);
        open_scope(&s, SKUA_NEVER);
        for (int n = 0; n < 20; n++)
            SKT_EQ(skua_spawn(&s, not_cancelled, NULL), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

struct family {
    skua_event ready;
    int depth;
    _Atomic(int) cancelled;
};

/* A chain of scopes, each with a waiter beside the next link. */
static int descend(void *arg)
{
    struct family *f = arg;
    skua_scope s;
    int result = 0;
    if (f->depth-- == 0) {
        skua_event_set(&f->ready);
        atomic_fetch_add(&f->cancelled, rt_wait_forever(NULL) == -ECANCELED);
        return -ECANCELED;
    }
    open_scope(&s, SKUA_NEVER);
    skua_task *waiter = spawn_task(&s, rt_wait_forever, &result);
    skua_task *next = spawn_task(&s, descend, f);
    atomic_fetch_add(&f->cancelled, rt_wait_forever(NULL) == -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_task_state(waiter), SKUA_CANCELLED);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(waiter);
    skua_task_unref(next);
    return -ECANCELED;
}

/* Goal: a cancellation reaches children, their scopes, and so on; by scope and by task. */
RT_TEST(cancel, walks_down)
{
    for (int by_task = 0; by_task < 2; by_task++) {
        skua_scope s;
        struct family f = {.ready = SKUA_EVENT_INIT, .depth = 30};
        open_scope(&s, SKUA_NEVER);
        skua_task *top = spawn_task(&s, descend, &f);
        SKT_EQ(skua_event_wait(&f.ready, SKUA_NEVER), 0);
        if (by_task != 0)
            SKT_EQ(skua_cancel(top), 1);
        else
            skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), by_task != 0 ? 0 : -ECANCELED);
        SKT_EQ(atomic_load(&f.cancelled), 31);
        SKT_EQ(ended(top), -ECANCELED);
    }
}

static int wait_into(void *arg)
{
    *(int *)arg = wait_everywhere(SKUA_NEVER, -ETIMEDOUT);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_yield(), 0); /* it is not cancelled */
    return -ETIMEDOUT;
}

static int wait_nested(void *arg)
{
    int *result = arg;
    skua_scope s;
    open_scope(&s, skua_in(SKUA_S(1000))); /* the earlier of the two counts */
    skua_task *task = spawn_task(&s, wait_into, &result[1]);
    wait_everywhere(skua_in(SKUA_S(500)), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ETIMEDOUT);
    SKT_EQ(skua_task_state(task), SKUA_DONE);
    skua_task_unref(task);
    *result = -ETIMEDOUT;
    return 0;
}

/* Goal: a scope's deadline bounds every wait inside, the opener's too, and cancels nobody; those
 * that waited when it came and those that begin after it. */
RT_TEST(cancel, deadline_of_scope)
{
    static const int64_t delays[] = {-1, 0, SKUA_MS(3)};
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        skua_scope s, inner;
        int result[3] = {0};
        open_scope(&s, skua_in(delays[i]));
        skua_task *task = spawn_task(&s, wait_nested, result);
        skua_task *other = spawn_task(&s, wait_into, &result[2]);
        open_scope(&inner, SKUA_NEVER);
        wait_everywhere(SKUA_NEVER, -ETIMEDOUT);
        SKT_EQ(skua_cancelled(), 1);
        SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ETIMEDOUT);
        SKT_EQ(skua_cancelled(), 0);
        SKT_EQ(skua_sleep(1000), 0);
        SKT_EQ(ended(task), 0);
        SKT_EQ(skua_task_state(other), SKUA_DONE);
        skua_task_unref(other);
        for (int n = 0; n < 3; n++)
            SKT_EQ(result[n], -ETIMEDOUT);
    }
}

/* Goal: the wait's own deadline counts where it is the earlier one. */
RT_TEST(cancel, deadline_of_wait)
{
    skua_scope s;
    skua_event e = SKUA_EVENT_INIT;
    open_scope(&s, skua_in(SKUA_S(1000)));
    skua_time dl = skua_in(SKUA_MS(2));
    SKT_EQ(skua_event_wait(&e, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

struct shielded {
    skua_event up, go, inner_ready;
    _Atomic(int) inner_result;
};

static int wait_go(void *arg)
{
    struct shielded *x = arg;
    skua_event_set(&x->inner_ready);
    SKT_EQ(skua_cancelled(), 0);
    atomic_store(&x->inner_result, skua_event_wait(&x->go, SKUA_NEVER));
    return 0;
}

static int stand_shielded(void *arg)
{
    struct shielded *x = arg;
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_shield(1), 1); /* a flag, not a count */
    skua_event_set(&x->up);
    SKT_EQ(skua_event_wait(&x->go, SKUA_NEVER), 0);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_shield(0), 0);
    SKT_EQ(skua_cancelled(), 1);
    return rt_wait_forever(NULL);
}

/* Goal: a shield hides cancellation by scope and by task while it is up, and only then. */
RT_TEST(cancel, shield)
{
    for (int by_task = 0; by_task < 2; by_task++) {
        skua_scope s;
        struct shielded x = {.inner_result = 1};
        open_scope(&s, SKUA_NEVER);
        skua_task *task = spawn_task(&s, stand_shielded, &x);
        SKT_EQ(skua_event_wait(&x.up, SKUA_NEVER), 0);
        if (by_task != 0)
            SKT_EQ(skua_cancel(task), 1);
        else
            skua_scope_cancel(&s);
        for (int i = 0; i < 10; i++)
            skua_yield();
        SKT_EQ(skua_task_state(task), SKUA_RUNNING);
        skua_event_set(&x.go);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), by_task != 0 ? 0 : -ECANCELED);
        SKT_EQ(ended(task), -ECANCELED);
    }
}

/* Goal: a shield hides the deadlines of scopes outside, not of those opened inside it. */
RT_TEST(cancel, shield_and_deadlines)
{
    skua_scope s, inner;
    skua_event e = SKUA_EVENT_INIT;
    open_scope(&s, skua_in(0));
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_event_wait(&e, skua_in(1000)), -ETIMEDOUT); /* its own one counts */
    open_scope(&inner, SKUA_NEVER);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
    open_scope(&inner, skua_in(0));
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(rt_wait_forever(NULL), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_sleep(1000), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: a cancelled scope opened inside the shield is seen. */
RT_TEST(cancel, shield_shows_inner)
{
    skua_scope s;
    SKT_EQ(skua_shield(1), 0);
    open_scope(&s, SKUA_NEVER);
    skua_scope_cancel(&s);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_shield(0), 1);
}

static int open_in_shield(void *arg)
{
    struct shielded *x = arg;
    skua_scope s;
    SKT_EQ(skua_shield(1), 0);
    open_scope(&s, SKUA_NEVER);
    SKT_EQ(skua_shield(0),
           1); /* the scope stays out of reach for its whole life, not so its opener */
    SKT_EQ(skua_spawn(&s, wait_go, x), 0);
    skua_event_set(&x->up);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_spawn(&s, wait_go, x), 0);
    skua_event_set(&x->go);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: a scope opened inside a shield, and its children, are not reached from outside, even
 * when the shield is down again. */
RT_TEST(cancel, scope_in_shield)
{
    for (int by_task = 0; by_task < 2; by_task++) {
        skua_scope s;
        struct shielded x = {.inner_result = 1};
        open_scope(&s, by_task != 0 ? SKUA_NEVER : skua_in(SKUA_S(1000)));
        skua_task *task = spawn_task(&s, open_in_shield, &x);
        SKT_EQ(skua_event_wait(&x.up, SKUA_NEVER), 0);
        SKT_EQ(skua_event_wait(&x.inner_ready, SKUA_NEVER), 0);
        if (by_task != 0)
            SKT_EQ(skua_cancel(task), 1);
        else
            skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), by_task != 0 ? 0 : -ECANCELED);
        SKT_EQ(atomic_load(&x.inner_result), 0);
        SKT_EQ(ended(task), 0);
    }
}

static int wait_a_little(void *arg)
{
    *(int *)arg = skua_sleep(SKUA_MS(2));
    return 0;
}

/* Goal: nor does a deadline from outside reach into it. */
RT_TEST(cancel, deadline_and_scope_in_shield)
{
    skua_scope s, inner;
    int result = 1;
    open_scope(&s, skua_in(0));
    SKT_EQ(skua_shield(1), 0);
    open_scope(&inner, SKUA_NEVER);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_spawn(&inner, wait_a_little, &result), 0);
    SKT_EQ(skua_sleep(1000), -ETIMEDOUT); /* the opener sees it */
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
    SKT_EQ(result, 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int shield_and_leave(void *arg)
{
    (void)arg;
    SKT_EQ(skua_shield(1), 0);
    return 0;
}

/* Goal: a shield ends with its coroutine, and is nobody else's. */
RT_TEST(cancel, shield_is_ones_own)
{
    skua_scope s;
    open_scope(&s, SKUA_NEVER);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&s, shield_and_leave, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(0), 0);
    open_scope(&s, SKUA_NEVER);
    SKT_EQ(skua_shield(1), 0);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&s, shield_and_leave, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(0), 1);
}

/* Goal: the shield outlives the scope inside which it was put up. */
RT_TEST(cancel, shield_outlives_scope)
{
    skua_scope outer, inner;
    open_scope(&outer, SKUA_NEVER);
    open_scope(&inner, SKUA_NEVER);
    SKT_EQ(skua_shield(1), 0);
    skua_scope_cancel(&outer);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_sleep(1000), -ECANCELED);
    SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
}

/* Goal: in a plain thread. */
SKT_TEST(cancel, plain_thread)
{
    SKT_EQ(skua_shield(1), -EPERM);
    SKT_EQ(skua_shield(0), -EPERM);
    SKT_EQ(skua_cancelled(), 0);
}
