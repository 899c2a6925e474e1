/* tests/unit/runtime/test_block_ends.c - skua_block: what is withdrawn, what is refused at once, and plain
 * threads. */
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/runtime/block_test.h"

/* ---- work not begun is withdrawn ---- */

/* The only thread is held by g until the caller opens it. */
static void hold_thread(skua_scope *s, struct gate *g)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(s, block_in_gate, g), 0);
    RT_UNTIL(atomic_load(&g->entered) == 1);
}

static void let_go(skua_scope *s, struct gate *g)
{
    atomic_store(&g->open, 1);
    SKT_EQ(skua_scope_close(s, SKUA_NEVER), 0);
}

/* Goal: by dl, by skua_cancel, by the scope, by the scope's deadline: fn is never called, and who
 * stands before and behind in the queue is served. */
BLOCK_TEST(withdrawn, 1)
{
    struct gate g = {0};
    skua_scope s, cancelled, timed;
    struct call calls[] = {
        {.dl = SKUA_NEVER}, {.dl = skua_in(SKUA_MS(20))}, {.dl = SKUA_NEVER}, {.dl = SKUA_NEVER},
        {.dl = SKUA_NEVER}, {.dl = SKUA_NEVER},           {.dl = SKUA_NEVER},
    };
    skua_task *tasks[7];
    hold_thread(&s, &g);
    for (int i = 0; i < 4; i++)
        tasks[i] = spawn_call(&s, &calls[i]);
    SKT_EQ(skua_scope_open(&cancelled, SKUA_COLLECT, SKUA_NEVER), 0);
    tasks[4] = spawn_call(&cancelled, &calls[4]);
    SKT_EQ(skua_scope_open(&timed, SKUA_COLLECT, skua_in(SKUA_MS(20))), 0);
    tasks[5] = spawn_call(&timed, &calls[5]);
    SKT_EQ(skua_scope_close(&timed, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[5].rc), -ETIMEDOUT);
    skua_scope_cancel(&cancelled);
    SKT_EQ(skua_scope_close(&cancelled, SKUA_NEVER), -ECANCELED);
    SKT_EQ(atomic_load(&calls[4].rc), -ECANCELED);
    tasks[6] = spawn_call(&s, &calls[6]);
    SKT_EQ(skua_cancel(tasks[2]), 1);
    SKT_EQ(skua_join(tasks[2], NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[2].rc), -ECANCELED);
    SKT_EQ(skua_join(tasks[1], NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[1].rc), -ETIMEDOUT);
    for (int i = 0; i < 7; i++)
        SKT_EQ(atomic_load(&calls[i].called), 0);
    let_go(&s, &g);
    for (int i = 0; i < 7; i++) {
        bool served = i == 0 || i == 3 || i == 6;
        SKT_EQ(atomic_load(&calls[i].called), served);
        if (served)
            SKT_EQ(atomic_load(&calls[i].rc), 7);
        skua_task_unref(tasks[i]);
    }
}

/* A call that runs until its deadline, or its scope's, has passed; false if it came too late even to
 * begin. */
static bool runs_past(int64_t ns, bool by_scope)
{
    struct gate g = {0};
    skua_time dl = skua_in(ns);
    struct call c = {.fn = pass_gate, .arg = &g, .dl = by_scope ? SKUA_NEVER : dl};
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, by_scope ? dl : SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, make_call, &c, NULL, &task), 0);
    RT_UNTIL(atomic_load(&g.entered) == 1 || skua_task_state(task) == SKUA_DONE);
    bool begun = atomic_load(&g.entered) == 1;
    RT_UNTIL(skua_now() > dl + SKUA_MS(5));
    SKT_EQ(skua_task_state(task), begun ? SKUA_RUNNING : SKUA_DONE);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&c.rc), begun ? 7 : -ETIMEDOUT);
    SKT_EQ(atomic_load(&c.called), begun);
    skua_task_unref(task);
    return begun;
}

/* Goal: what runs when its time comes is waited for, and its result is what is returned. */
BLOCK_TEST(outlasts_deadline, 1)
{
    for (int64_t ns = SKUA_MS(10); !runs_past(ns, false); ns *= 2)
        SKT_LT(ns, RT_PATIENCE_NS);
    for (int64_t ns = SKUA_MS(10); !runs_past(ns, true); ns *= 2)
        SKT_LT(ns, RT_PATIENCE_NS);
}

/* Goal: so is what runs when it is cancelled, however often. */
BLOCK_TEST(outlasts_cancel, 2)
{
    struct gate g = {0};
    struct call calls[2] = {{.fn = pass_gate, .arg = &g, .dl = SKUA_NEVER},
                            {.fn = pass_gate, .arg = &g, .dl = skua_in(SKUA_MS(100))}};
    skua_scope s;
    skua_task *tasks[2];
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 2; i++)
        tasks[i] = spawn_call(&s, &calls[i]);
    RT_UNTIL(atomic_load(&calls[0].called) == 1);
    RT_UNTIL(atomic_load(&calls[1].called) == 1 || skua_task_state(tasks[1]) == SKUA_DONE);
    for (int i = 0; i < 5; i++) {
        SKT_EQ(skua_cancel(tasks[0]), 1);
        skua_scope_cancel(&s);
        (void)skua_yield();
    }
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(5))), -EBUSY);
    SKT_EQ(skua_task_state(tasks[0]), SKUA_RUNNING);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(atomic_load(&calls[i].rc), atomic_load(&calls[i].called) ? 7 : -ETIMEDOUT);
        skua_task_unref(tasks[i]);
    }
    SKT_EQ(atomic_load(&calls[0].called), 1);
}

/* Goal: a shield hides the cancellation: the call stays in the queue, and is made. */
BLOCK_TEST(shielded, 1)
{
    struct gate g = {0};
    struct call c = {.dl = SKUA_NEVER, .shield = true};
    skua_scope s;
    hold_thread(&s, &g);
    skua_task *task = spawn_call(&s, &c);
    SKT_EQ(skua_cancel(task), 1);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_task_state(task), SKUA_RUNNING);
    let_go(&s, &g);
    SKT_EQ(atomic_load(&c.rc), 7);
    SKT_EQ(atomic_load(&c.called), 1);
    skua_task_unref(task);
}

/* ---- what is refused at once ---- */

static int never_called(void *arg)
{
    (void)arg;
    SKT_FAIL("a call that was refused was made");
    return 0;
}

static int refuse_cancelled(void *arg)
{
    (void)arg;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_block(never_called, NULL, rt_past()), -ECANCELED);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_block(give, number(4), SKUA_NEVER), 4);
    SKT_EQ(skua_shield(0), 1);
    return skua_block(never_called, NULL, SKUA_NEVER);
}

static _Atomic(int) x_refused;

static void refuse_in_callback(void *arg)
{
    (void)arg;
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_block(NULL, NULL, SKUA_NEVER), -EINVAL);
    atomic_fetch_add(&x_refused, 1);
}

static void refuse_when_done(skua_task *task, void *arg)
{
    (void)task;
    refuse_in_callback(arg);
}

static void refuse_misuse(void)
{
    SKT_EQ(skua_block(NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, -1), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, SKUA_MS(5)), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_block(never_called, NULL, rt_past()), -ETIMEDOUT);
}

BLOCK_TEST(refused, 2)
{
    skua_scope s;
    skua_timer timer;
    skua_task *task;
    int result = 0;
    refuse_misuse();
    atomic_store(&x_refused, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, refuse_cancelled, NULL, NULL, &task), 0);
    SKT_EQ(skua_on_done(task, refuse_when_done, NULL), 0);
    SKT_EQ(skua_timer_start(&timer, skua_now(), refuse_in_callback, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_join(task, &result, SKUA_NOW), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(task);
    RT_UNTIL(atomic_load(&x_refused) == 2);
    /* A scope whose deadline has passed. */
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, rt_past()), 0);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: no loop of calls that fail at once starves others. */
static int fail_until(void *arg)
{
    RT_SPIN_UNTIL(skua_block(never_called, NULL, SKUA_NOW) != -EAGAIN ||
                  atomic_load((_Atomic(int) *)arg));
    return 0;
}

static int set(void *arg)
{
    atomic_store((_Atomic(int) *)arg, 1);
    return 0;
}

/* Goal: a call that was cancelled while it queued is not begun, though its caller had no time to
 * withdraw it. */
BLOCK_TEST(cancelled_beside_a_hog, 1)
{
    struct gate gate = {.open = 0};
    struct call c = {.dl = SKUA_NEVER};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, block_in_gate, &gate), 0);
    RT_UNTIL(atomic_load(&gate.entered) == 1);
    skua_task *task = spawn_call(&s, &c);
    SKT_EQ(skua_cancel(task), 1);
    atomic_store(&gate.open, 1);
    for (skua_time until = skua_in(SKUA_MS(20)); skua_now() < until;)
        continue; /* where there is one worker, nobody else runs */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&c.called), 0);
    SKT_EQ(atomic_load(&c.rc), -ECANCELED);
    skua_task_unref(task);
}

BLOCK_TEST(no_starving, 1)
{
    _Atomic(int) x = 0;
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, set, (void *)&x), 0);
    SKT_EQ(fail_until((void *)&x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* ---- plain threads ---- */

static int own_thread(void *arg)
{
    return *(pid_t *)arg == gettid();
}

static void *block_as_thread(void *arg)
{
    pid_t me = gettid();
    refuse_misuse();
    SKT_EQ(skua_block(own_thread, &me, SKUA_NEVER), 1);
    SKT_EQ(skua_block(own_thread, &me, skua_in(RT_PATIENCE_NS)), 1);
    SKT_EQ(skua_block(give, number(-3), SKUA_NEVER), -3);
    return arg;
}

/* Goal: a plain thread makes the call itself, with a runtime and without. */
SKT_TEST(block, plain_thread)
{
    (void)block_as_thread(NULL);
    rt_start(2);
    int before = skt_thread_count();
    (void)block_as_thread(NULL);
    (void)rt_thread_join(rt_thread(block_as_thread, NULL));
    SKT_THREADS(before);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    (void)block_as_thread(NULL);
}

static void refuse_for_future(skua_future *f, void *arg)
{
    (void)f;
    refuse_in_callback(arg);
}

/* Goal: in a callback it is refused there too. */
SKT_TEST(block, plain_callback)
{
    skua_future *f;
    atomic_store(&x_refused, 0);
    SKT_EQ(skua_future_new(&f, 0), 0);
    SKT_EQ(skua_future_on_done(f, refuse_for_future, NULL), 0);
    SKT_EQ(skua_future_set(f, NULL), 0);
    SKT_EQ(atomic_load(&x_refused), 1);
    skua_future_unref(f);
}
