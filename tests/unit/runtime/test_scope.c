/* tests/unit/runtime/test_scope.c - opening and closing: what close waits for and returns. */
#include <skua/scope.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/runtime/rt_test.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

#define RESULT(n) ((void *)(intptr_t)(n))

static int count(void *arg)
{
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

static void open_scope(skua_scope *s, unsigned flags)
{
    SKT_EQ(skua_scope_open(s, flags, SKUA_NEVER), 0);
}

static void spawn(skua_scope *s, int (*fn)(void *), void *arg)
{
    SKT_EQ(skua_spawn(s, fn, arg), 0);
}

static skua_task *spawn_task(skua_scope *s, int (*fn)(void *), void *arg)
{
    skua_task *task = NULL;
    SKT_EQ(skua_spawn_opts(s, fn, arg, NULL, &task), 0);
    SKT_NOT_NULL(task);
    return task;
}

/* Returns after `before` has ended. */
struct after {
    skua_task *before;
    int result;
};

static int end_after(void *arg)
{
    struct after *after = arg;
    SKT_EQ(skua_join(after->before, NULL, SKUA_NEVER), 0);
    return after->result;
}

/* Goal: close waits for every child, for few and for more than a queue holds; success is 0. */
RT_TEST(scope, waits_for_all)
{
    static const int counts[] = {0, 1, 2, 1000, 10000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        _Atomic(int) ran = 0;
        skua_scope s;
        open_scope(&s, SKUA_FAIL_FAST);
        for (int n = 0; n < counts[i]; n++)
            spawn(&s, count, &ran);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&ran), counts[i]);
    }
}

/* Goal: a positive result is success, in every mode. */
RT_TEST(scope, positive_is_success)
{
    for (unsigned mode = SKUA_FAIL_FAST; mode <= SKUA_RACE; mode++) {
        skua_scope s;
        open_scope(&s, mode);
        spawn(&s, give, RESULT(7));
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

/* Goal: the first failure by time is what close returns, not the first child's; in COLLECT it
 * cancels nobody. */
RT_TEST(scope, collect)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    open_scope(&s, SKUA_COLLECT);
    skua_task *first = spawn_task(&s, give, RESULT(-ENOENT));
    struct after second = {first, -EIO};
    spawn(&s, end_after, &second);
    skua_task *third = spawn_task(&s, end_after, &(struct after){first, 3});
    int result = 0;
    SKT_EQ(skua_join(third, &result, SKUA_NEVER), 0);
    SKT_EQ(result, 3);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_event_wait(&go, skua_in(1)), -ETIMEDOUT); /* the opener neither */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ENOENT);
    SKT_EQ(skua_task_state(third), SKUA_DONE);
    skua_task_unref(first);
    skua_task_unref(third);
}

/* Goal: FAIL_FAST: the first failure cancels the siblings and the opener's waits until close. */
RT_TEST(scope, fail_fast)
{
    skua_scope s;
    int waited = 0;
    open_scope(&s, SKUA_FAIL_FAST);
    skua_task *waiter = spawn_task(&s, rt_wait_forever, &waited);
    spawn(&s, give, RESULT(-EIO));
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EIO);
    SKT_EQ(waited, -ECANCELED);
    SKT_EQ(skua_task_state(waiter), SKUA_CANCELLED);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_yield(), 0);
    skua_task_unref(waiter);
}

/* Goal: a child that returns -ECANCELED though nobody cancelled it has failed with that. */
RT_TEST(scope, uncalled_for_ecanceled)
{
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    spawn(&s, rt_wait_forever, NULL);
    skua_task *child = spawn_task(&s, give, RESULT(-ECANCELED));
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_task_state(child), SKUA_DONE);
    skua_task_unref(child);
}

/* Goal: RACE: the first to succeed cancels the rest, and close returns 0, whatever failed
 * before. */
RT_TEST(scope, race)
{
    skua_scope s;
    int waited = 0;
    open_scope(&s, SKUA_RACE);
    skua_task *failed = spawn_task(&s, give, RESULT(-EIO));
    spawn(&s, rt_wait_forever, &waited);
    spawn(&s, end_after, &(struct after){failed, 5});
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(waited, -ECANCELED);
    skua_task_unref(failed);
}

/* Goal: RACE without a winner: the first failure by time. */
RT_TEST(scope, race_lost_by_all)
{
    skua_scope s;
    open_scope(&s, SKUA_RACE);
    skua_task *first = spawn_task(&s, give, RESULT(-EIO));
    spawn(&s, end_after, &(struct after){first, -ENOENT});
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EIO);
    skua_task_unref(first);
}

static int succeed_though_cancelled(void *arg)
{
    (void)rt_wait_forever(arg);
    return 0;
}

static int fail_though_cancelled(void *arg)
{
    (void)rt_wait_forever(arg);
    return -EIO;
}

/* Goal: -ECANCELED when the scope was cancelled before all had succeeded; a failure of a child's
 * own goes first; success of all before the cancellation is success. */
RT_TEST(scope, cancelled)
{
    skua_scope s;
    for (int cancelled_first = 0; cancelled_first < 2; cancelled_first++) {
        open_scope(&s, SKUA_FAIL_FAST);
        spawn(&s, rt_wait_forever, NULL);
        if (cancelled_first == 0)
            skua_yield();
        skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    }
    open_scope(&s, SKUA_COLLECT);
    spawn(&s, succeed_though_cancelled, NULL);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);

    open_scope(&s, SKUA_FAIL_FAST);
    spawn(&s, fail_though_cancelled, NULL);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EIO);

    open_scope(&s, SKUA_FAIL_FAST);
    skua_task *done = spawn_task(&s, give, RESULT(0));
    SKT_EQ(skua_join(done, NULL, SKUA_NEVER), 0);
    poll(NULL, 0, 1); /* it leaves the scope a moment after its joiners are told */
    skua_scope_cancel(&s);
    int rc = skua_scope_close(&s, SKUA_NEVER);
    SKT_TRUE(rc == 0 || (rc == -ECANCELED && skua_workers() > 1));
    skua_task_unref(done);
    open_scope(&s, SKUA_FAIL_FAST);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: what open refuses. A deadline that has passed is one. */
RT_TEST(scope, open_errors)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_RACE + 1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_scope_open(&s, ~0u, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, 0), -EINVAL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, -1), -EINVAL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, INT64_MIN), -EINVAL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_MS(5)), -EINVAL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EPERM); /* it never was opened */
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, rt_past()), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static void *use_in_thread(void *scope)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_spawn(scope, give, NULL), -EPERM);
    skua_scope_cancel(scope); /* this one works from any thread */
    return NULL;
}

/* Goal: a plain thread opens, closes and spawns into nothing but the root; it may cancel. */
RT_TEST(scope, plain_thread)
{
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    pthread_t thread = rt_thread(use_in_thread, &s);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(skua_spawn(&s, give, NULL), -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    rt_thread_join(thread);
}

static int close_from_inside(void *scope)
{
    skua_scope own;
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_scope_close(scope, SKUA_NOW), -EDEADLK);
    open_scope(&own, SKUA_FAIL_FAST);
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_scope_close(&own, SKUA_NEVER), 0);
    return 0;
}

static int nest_and_close(void *scope)
{
    skua_scope own;
    open_scope(&own, SKUA_FAIL_FAST);
    spawn(&own, close_from_inside, scope);
    return skua_scope_close(&own, SKUA_NEVER);
}

struct stranger {
    skua_scope *scope;
    skua_event opened, tried;
};

static int open_for_stranger(void *arg)
{
    struct stranger *x = arg;
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    x->scope = &s;
    SKT_EQ(skua_event_set(&x->opened), 0);
    SKT_EQ(skua_event_wait(&x->tried, SKUA_NEVER), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

static int try_as_stranger(void *arg)
{
    struct stranger *x = arg;
    _Atomic(int) ran = 0;
    skua_task *task = (skua_task *)1;
    SKT_EQ(skua_event_wait(&x->opened, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(x->scope, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_spawn(x->scope, count, &ran), -EPERM);
    SKT_EQ(skua_spawn_copy(x->scope, count, &ran, 1), -EPERM);
    SKT_EQ(skua_spawn_opts(x->scope, count, &ran, NULL, &task), -EPERM);
    SKT_PTR_EQ(task, (skua_task *)1);
    SKT_EQ(skua_event_set(&x->tried), 0);
    SKT_EQ(atomic_load(&ran), 0);
    return 0;
}

/* Goal: close: -EINVAL for one that is not the innermost, -EDEADLK from inside at any depth,
 * -EPERM for another's; after each the scope is as it was. */
RT_TEST(scope, close_errors)
{
    skua_scope outer, inner;
    open_scope(&outer, SKUA_FAIL_FAST);
    open_scope(&inner, SKUA_FAIL_FAST);
    SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_scope_close(&outer, SKUA_NOW), -EINVAL);
    SKT_EQ(skua_scope_close(&inner, -1), -EINVAL);
    SKT_EQ(skua_scope_close(&inner, SKUA_MS(1)), -EINVAL);
    spawn(&inner, close_from_inside, &outer);
    spawn(&inner, nest_and_close, &inner);
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), 0);
    spawn(&outer, nest_and_close, &outer);
    struct stranger x = {NULL, SKUA_EVENT_INIT, SKUA_EVENT_INIT};
    spawn(&outer, open_for_stranger, &x);
    spawn(&outer, try_as_stranger, &x);
    SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
}

static int wait_for(void *event)
{
    return skua_event_wait(event, SKUA_NEVER);
}

/* Goal: close gives up at its deadline with -EBUSY, for every kind of deadline, and the scope
 * goes on: children, spawns, close. */
RT_TEST(scope, busy)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    _Atomic(int) ran = 0;
    open_scope(&s, SKUA_FAIL_FAST);
    for (int round = 0; round < 3; round++) {
        spawn(&s, wait_for, &go);
        SKT_EQ(skua_scope_close(&s, SKUA_NOW), -EBUSY);
        SKT_EQ(skua_scope_close(&s, rt_past()), -EBUSY);
        SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(1))), -EBUSY);
        SKT_EQ(skua_cancelled(), 0);
        spawn(&s, count, &ran);
    }
    SKT_EQ(skua_event_set(&go), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(atomic_load(&ran), 3);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EPERM); /* it is closed */
}

/* Goal: a scope whose children have all ended closes by any deadline, with their result. */
RT_TEST(scope, close_at_once)
{
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_scope_close(&s, SKUA_NOW), 0);
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_scope_close(&s, rt_past()), 0);
    open_scope(&s, SKUA_COLLECT);
    spawn(&s, give, RESULT(-EIO));
    int rc;
    RT_UNTIL((rc = skua_scope_close(&s, SKUA_NOW)) != -EBUSY);
    SKT_EQ(rc, -EIO);
}

struct slow {
    _Atomic(int) turns;
    int seen;
};

/* Ends in its own time: it sees the end of waits, and works on. */
static int work_on(void *arg)
{
    struct slow *slow = arg;
    slow->seen = rt_wait_forever(NULL);
    for (int i = 0; i < 200; i++) {
        skua_yield();
        atomic_fetch_add(&slow->turns, 1);
    }
    return 0;
}

static int cancel_self_and_close(void *arg)
{
    skua_scope s;
    open_scope(&s, SKUA_COLLECT);
    spawn(&s, work_on, arg);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: close is ended neither by a cancellation of the closer nor by a scope's deadline. */
RT_TEST(scope, close_waits_on)
{
    skua_scope s;
    struct slow slow = {0};
    open_scope(&s, SKUA_FAIL_FAST);
    skua_task *task = spawn_task(&s, cancel_self_and_close, &slow);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0); /* its own skua_cancel is no failure */
    int result = 0;
    SKT_EQ(skua_join(task, &result, SKUA_NOW), 0);
    SKT_EQ(result, -ECANCELED);
    SKT_EQ(skua_task_state(task), SKUA_CANCELLED);
    SKT_EQ(atomic_load(&slow.turns), 200);
    SKT_EQ(slow.seen, -ECANCELED);
    skua_task_unref(task);

    slow = (struct slow){0};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, skua_in(SKUA_MS(2))), 0);
    spawn(&s, work_on, &slow);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0); /* it cancels nobody either */
    SKT_EQ(slow.seen, -ETIMEDOUT);
    SKT_EQ(atomic_load(&slow.turns), 200);
}

static int leave_open(void *arg)
{
    static skua_scope s; /* it must outlive the function, to be reported */
    (void)arg;
    SKT_EQ(skua_set_name("leaky"), 0);
    open_scope(&s, SKUA_FAIL_FAST);
    fprintf(stderr, "%p\n", (void *)&s);
    return 0;
}

static int spawn_leaky(void *arg)
{
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    spawn(&s, leave_open, arg);
    return skua_scope_close(&s, SKUA_NEVER);
}

static void run_leaky(void *fn)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 1;
    (void)skua_run(*(int (**)(void *))fn, NULL, &config);
}

/* Goal: a function that returns with a scope open ends the process, and the message names both;
 * on a stack of its own and on its closer's. */
SKT_TEST(scope, left_open)
{
    int (*fns[])(void *) = {leave_open, spawn_leaky};
    for (int i = 0; i < 2; i++) {
        char out[2048], address[64];
        int status = skt_in_child(run_leaky, &fns[i], out, sizeof(out));
        SKT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        SKT_EQ(sscanf(out, "%60s", address), 1);
        SKT_NOT_NULL(strstr(out + strlen(address), address));
        SKT_STR_HAS(out, "leaky");
    }
}
