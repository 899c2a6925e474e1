/* tests/unit/runtime/test_join.c - handles: joining, callbacks at the end, states, references. */
#include <skua/task.h>

#include <string.h>

#include "runtime/base/mem.h"
#include "runtime/join.h"
#include "tests/unit/runtime/rt_test.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

#define RESULT(n) ((void *)(intptr_t)(n))

static int wait_for(void *event)
{
    return skua_event_wait(event, SKUA_NEVER);
}

static skua_task *spawn_task(skua_scope *s, int (*fn)(void *), void *arg)
{
    skua_task *task = NULL;
    SKT_EQ(skua_spawn_opts(s, fn, arg, NULL, &task), 0);
    return task;
}

static void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

/* Goal: 0 and the result, however it ended; before, after, and once the scope is closed. */
RT_TEST(join, results)
{
    static const int results[] = {0, 5, INT32_MAX, -EIO, -ECANCELED, INT32_MIN};
    enum { N = sizeof(results) / sizeof(results[0]) };
    skua_task *tasks[N];
    skua_scope s;
    open_scope(&s);
    for (int i = 0; i < N; i++)
        tasks[i] = spawn_task(&s, give, RESULT(results[i]));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            int result = 1;
            SKT_EQ(skua_join(tasks[i], &result, SKUA_NEVER), 0);
            SKT_EQ(result, results[i]);
            SKT_EQ(skua_join(tasks[i], NULL, SKUA_NOW), 0);
            SKT_EQ(skua_join(tasks[i], &result, rt_past()), 0);
            SKT_EQ(skua_task_state(tasks[i]), SKUA_DONE); /* nobody cancelled it */
        }
        if (round == 0)
            (void)skua_scope_close(&s, SKUA_NEVER);
    }
    for (int i = 0; i < N; i++)
        skua_task_unref(tasks[i]);
}

static int cancel_and_join(void *arg)
{
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_join(arg, NULL, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_join(arg, NULL, rt_past()), -ECANCELED);
    SKT_EQ(skua_join(arg, NULL, SKUA_NOW), -EAGAIN);
    return 0;
}

/* Goal: what can go wrong with the wait; *result is written on success only. */
RT_TEST(join, errors)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    int result = 77;
    SKT_EQ(skua_join(skua_self(), &result, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_join(skua_self(), &result, SKUA_NOW), -EDEADLK);
    open_scope(&s);
    skua_task *task = spawn_task(&s, wait_for, &go);
    SKT_EQ(skua_join(task, &result, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_join(task, &result, rt_past()), -ETIMEDOUT);
    SKT_EQ(skua_join(task, &result, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_join(task, &result, -1), -EINVAL);
    SKT_EQ(skua_join(task, &result, SKUA_MS(1)), -EINVAL);
    skua_task *other = spawn_task(&s, cancel_and_join, task);
    SKT_EQ(skua_join(other, NULL, SKUA_NEVER), 0);
    skua_task_unref(other);
    SKT_EQ(result, 77);
    SKT_LE(skua_task_state(task), SKUA_RUNNING);
    skua_event_set(&go);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_join(task, &result, -1), -EINVAL); /* also when it has ended */
    skua_task_unref(task);
}

struct crowd {
    skua_task *task;
    _Atomic(int) joined, gave_up;
};

static int join_in_crowd(void *arg)
{
    struct crowd *c = arg;
    int result = 0;
    SKT_EQ(skua_join(c->task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, 0);
    atomic_fetch_add(&c->joined, 1);
    return 0;
}

static int give_up_in_crowd(void *arg)
{
    struct crowd *c = arg;
    int rc = skua_join(c->task, NULL, skua_in(SKUA_US(200)));
    SKT_TRUE(rc == -ETIMEDOUT || rc == 0);
    return 0;
}

static void *join_in_thread(void *arg)
{
    struct crowd *c = arg;
    SKT_EQ(skua_join(c->task, NULL, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    atomic_store(&c->gave_up, 1);
    (void)join_in_crowd(arg);
    return NULL;
}

/* Goal: many wait for one, coroutines and threads; some give up meanwhile. */
RT_TEST(join, crowd)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    open_scope(&s);
    struct crowd c = {.task = spawn_task(&s, wait_for, &go)};
    pthread_t thread = rt_thread(join_in_thread, &c);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_spawn(&s, i % 2 ? join_in_crowd : give_up_in_crowd, &c), 0);
    RT_UNTIL(atomic_load(&c.gave_up) == 1);
    SKT_EQ(skua_join(c.task, NULL, skua_in(SKUA_MS(5))), -ETIMEDOUT);
    SKT_EQ(atomic_load(&c.joined), 0);
    skua_event_set(&go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    RT_UNTIL(atomic_load(&c.joined) == 51);
    rt_thread_join(thread);
    skua_task_unref(c.task);
}

struct order {
    int calls[8];
    _Atomic(int) count;
    skua_task *task;
    skua_event other;
};

static struct order *the_order;

static void note_call(skua_task *task, void *arg)
{
    struct order *o = the_order;
    SKT_PTR_EQ(task, o->task);
    SKT_NULL(skua_self());
    SKT_EQ(skua_id(), 0);
    SKT_EQ(skua_task_state(task), SKUA_DONE);
    int result = 1;
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0); /* its state is final */
    SKT_EQ(skua_event_wait(&o->other, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_event_wait(&o->other, skua_in(SKUA_S(1))), -EPERM);
    SKT_EQ(skua_sleep(SKUA_S(1)), -EPERM);
    SKT_EQ(skua_scope_open(&(skua_scope){0}, 0, SKUA_NEVER), -EPERM);
    o->calls[atomic_fetch_add(&o->count, 1)] = (int)(intptr_t)arg;
}

/* Goal: callbacks run in the order in which they were set, when the state is final, before a
 * join or a close returns, as nobody, and must not wait; after the end they run in the caller at
 * once. */
RT_TEST(join, on_done)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    struct order o = {.count = 0};
    the_order = &o;
    open_scope(&s);
    o.task = spawn_task(&s, wait_for, &go);
    for (int i = 0; i < 4; i++)
        SKT_EQ(skua_on_done(o.task, note_call, RESULT(i)), 0);
    SKT_EQ(skua_on_done(o.task, NULL, NULL), -EINVAL);
    SKT_EQ(atomic_load(&o.count), 0);
    skua_event_set(&go);
    SKT_EQ(skua_join(o.task, NULL, SKUA_NEVER), 0);
    if (skua_workers() ==
        1) /* only then the join surely waits; one that comes after the end returns at once */
        SKT_EQ(atomic_load(&o.count), 4);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&o.count), 4);
    skua_task *self = skua_self();
    SKT_EQ(skua_on_done(o.task, note_call, RESULT(4)), 0);
    SKT_EQ(atomic_load(&o.count), 5);
    SKT_PTR_EQ(skua_self(), self);
    for (int i = 0; i < 5; i++)
        SKT_EQ(o.calls[i], i);
    skua_task_unref(o.task);
}

static void count_call(skua_task *task, void *arg)
{
    (void)task;
    SKT_NULL(skua_self());
    atomic_fetch_add((_Atomic(int) *)arg, 1);
}

static int count_own_end(void *arg)
{
    SKT_EQ(skua_on_done(skua_self(), count_call, arg), 0);
    return 0;
}

/* Goal: before close returns for it; also set by the task itself, whose handle nobody has. */
RT_TEST(join, on_done_before_close)
{
    for (int round = 0; round < 50; round++) {
        skua_scope s;
        _Atomic(int) calls = 0;
        open_scope(&s);
        for (int i = 0; i < 20; i++) {
            if (i % 2) {
                SKT_EQ(skua_spawn(&s, count_own_end, &calls), 0);
                continue;
            }
            skua_task *task = spawn_task(&s, give, NULL);
            SKT_EQ(skua_on_done(task, count_call, &calls), 0);
            skua_task_unref(task);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&calls), 20);
    }
}

static void wake(skua_task *task, void *event)
{
    (void)task;
    SKT_EQ(skua_event_set(event), 0);
}

/* Goal: a callback may set an event, and spawn into the root. */
static _Atomic(int) x_root_ran;

static int run_in_root(void *arg)
{
    (void)arg;
    atomic_store(&x_root_ran, 1);
    return 0;
}

static void spawn_root(skua_task *task, void *arg)
{
    (void)task, (void)arg;
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, run_in_root, NULL), 0);
}

RT_TEST(join, on_done_acts)
{
    skua_scope s;
    skua_event done = SKUA_EVENT_INIT;
    atomic_store(&x_root_ran, 0);
    open_scope(&s);
    skua_task *task = spawn_task(&s, give, NULL);
    SKT_EQ(skua_on_done(task, wake, &done), 0);
    SKT_EQ(skua_on_done(task, spawn_root, NULL), 0);
    SKT_EQ(skua_event_wait(&done, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    RT_UNTIL(atomic_load(&x_root_ran) == 1);
    skua_task_unref(task);
}

/* Goal: without memory for a callback nothing is set. */
static void set_without_memory(void)
{
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    _Atomic(int) calls = 0;
    open_scope(&s);
    skua_task *task = spawn_task(&s, wait_for, &go);
    RT_UNTIL(rt_is_waiting(task)); /* it needs no memory any more */
    sk_mem_fail_after(1);
    int rc = skua_on_done(task, count_call, &calls);
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    skua_event_set(&go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls), 0);
    skua_task_unref(task);
}

RT_THREAD_TEST(join, on_done_no_memory)
{
    rt_run_quietly(workers, set_without_memory);
}

static int look_at_self(void *arg)
{
    SKT_EQ(skua_task_state(skua_self()), SKUA_RUNNING);
    SKT_EQ(skua_event_wait(arg, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_task_state(skua_self()), SKUA_RUNNING);
    return -ECANCELED;
}

/* Goal: pending, running (waiting or not), then DONE or CANCELLED for ever. */
RT_TEST(join, states)
{
    skua_scope s;
    skua_event never = SKUA_EVENT_INIT;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    skua_task *task;
    open_scope(&s);
    skua_pin();
    o.worker = skua_worker() + 1;
    SKT_EQ(skua_spawn_opts(&s, look_at_self, &never, &o, &task), 0);
    SKT_EQ(skua_task_state(task), SKUA_PENDING);
    RT_UNTIL(skua_task_state(task) == SKUA_RUNNING);
    skua_unpin();
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0);
    SKT_EQ(skua_task_state(task), SKUA_CANCELLED);
    SKT_EQ(skua_cancel(task), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_task_state(task), SKUA_CANCELLED);
    skua_task_unref(task);
}

enum { PLACES = 6 };

/* One wait in all tasks at once, twice in the first. What sk_wait_park gave; -1: it need not wait. */
static int wait_in_all(skua_task *const *tasks, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiters[PLACES + 1];
    int entered = 0, rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return rc;
    for (; entered <= PLACES; entered++) {
        waiters[entered].wait = &wait;
        if (!sk_join_enter(tasks[entered % PLACES], &waiters[entered]))
            break;
    }
    if (entered > PLACES) {
        rc = sk_wait_park(&wait);
    } else {
        (void)sk_wait_abandon(&wait);
        rc = -1;
    }
    while (entered-- > 0)
        sk_join_leave(tasks[entered % PLACES], &waiters[entered]);
    memset(waiters, 0xA5, sizeof(waiters)); /* nobody comes back to them */
    return rc;
}

static int count_ended(skua_task *const *tasks)
{
    int n = 0;
    for (int i = 0; i < PLACES; i++)
        n += skua_task_state(tasks[i]) >= SKUA_DONE;
    return n;
}

static int wait_in_all_until_cancelled(void *arg)
{
    SKT_EQ(wait_in_all(arg, SKUA_NEVER), -ECANCELED);
    return 0;
}

static int join_beside(void *arg)
{
    SKT_EQ(skua_join(arg, NULL, SKUA_NEVER), 0);
    return 0;
}

static _Atomic(int) x_timed_out;

static void *wait_in_all_as_thread(void *arg)
{
    SKT_EQ(wait_in_all(arg, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    atomic_store(&x_timed_out, 1);
    SKT_LE(wait_in_all(arg, SKUA_NEVER), 0);
    SKT_GE(count_ended(arg), 1);
    return NULL;
}

/* Goal: one wait stands in many tasks; the first that ends claims it, and it leaves them all,
 * whoever ends it. */
RT_TEST(join, places)
{
    for (uint64_t round = 0; round < skt_scaled(200) + 1; round++) {
        skua_scope s;
        skua_event go[PLACES] = {SKUA_EVENT_INIT};
        skua_task *tasks[PLACES];
        pthread_t thread = 0;
        open_scope(&s);
        for (int i = 0; i < PLACES; i++)
            tasks[i] = spawn_task(&s, wait_for, &go[i]);
        skua_task *other = spawn_task(&s, wait_in_all_until_cancelled, tasks);
        for (int i = 0; i < PLACES; i++)
            SKT_EQ(skua_spawn(&s, join_beside, tasks[i]), 0);
        SKT_EQ(wait_in_all(tasks, skua_in(SKUA_US(100))), -ETIMEDOUT);
        RT_UNTIL(rt_is_waiting(other));
        SKT_EQ(skua_cancel(other), 1);
        SKT_EQ(skua_join(other, NULL, SKUA_NEVER), 0);
        skua_task_unref(other);
        if (round % 20 == 0) {
            atomic_store(&x_timed_out, 0);
            thread = rt_thread(wait_in_all_as_thread, tasks);
            RT_UNTIL(atomic_load(&x_timed_out) == 1);
        }
        SKT_EQ(count_ended(tasks), 0);
        skua_event_set(&go[round % PLACES]);
        int rc = wait_in_all(tasks, SKUA_NEVER);
        SKT_TRUE(rc == 0 || rc == -1);
        SKT_EQ(count_ended(tasks), 1);
        SKT_EQ(wait_in_all(tasks, SKUA_NEVER), -1);
        if (thread != 0)
            rt_thread_join(thread);
        for (int i = 0; i < PLACES; i++)
            skua_event_set(&go[i]);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        for (int i = 0; i < PLACES; i++) {
            SKT_NULL(tasks[i]->joiners);
            skua_task_unref(tasks[i]);
        }
    }
}

static void wait_in_vain(skua_task *task, void *arg)
{
    skua_event never = SKUA_EVENT_INIT;
    SKT_NULL(skua_self());
    SKT_EQ(skua_event_wait(&never, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_event_wait(&never, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sleep(SKUA_MS(1)), -EPERM);
    SKT_EQ(skua_call(give, NULL, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0);
    ++*(int *)arg;
}

/* Goal: a callback that runs in a plain thread must not wait either; the thread may again. */
RT_THREAD_TEST(join, on_done_in_thread)
{
    skua_task *task = NULL;
    int calls = 0;
    rt_start(workers);
    SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, give, NULL, NULL, &task), 0);
    SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0);
    SKT_EQ(skua_on_done(task, wait_in_vain, &calls), 0);
    SKT_EQ(calls, 1);
    SKT_EQ(skua_sleep(SKUA_US(1)), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    skua_task_unref(task);
}

static skua_task *kept[3];

static void keep_some(void)
{
    skua_scope s;
    open_scope(&s);
    kept[0] = spawn_task(&s, give, RESULT(4));
    kept[1] = skua_task_ref(skua_self());
    SKT_PTR_EQ(kept[1], skua_self());
    SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, rt_wait_forever, NULL, NULL, &kept[2]), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int callbacks_after;

static void note_after(skua_task *task, void *arg)
{
    (void)task, (void)arg;
    callbacks_after++;
}

/* Goal: a reference outlives scope and runtime; join, state, callbacks work on it in a plain
 * thread. */
RT_THREAD_TEST(join, outlives_runtime)
{
    static const int want[] = {4, 0, -ECANCELED};
    static const int state[] = {SKUA_DONE, SKUA_DONE, SKUA_CANCELLED};
    rt_run(workers, keep_some);
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 3; i++) {
            int result = 1;
            SKT_EQ(skua_join(kept[i], &result, SKUA_NEVER), 0);
            SKT_EQ(result, want[i]);
            SKT_EQ(skua_task_state(kept[i]), state[i]);
            SKT_EQ(skua_cancel(kept[i]), 0);
            callbacks_after = 0;
            SKT_EQ(skua_on_done(kept[i], note_after, NULL), 0);
            SKT_EQ(callbacks_after, 1);
        }
        rt_start(workers); /* and of another runtime meanwhile */
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
    }
    for (int i = 0; i < 3; i++) {
        skua_task_ref(kept[i]);
        skua_task_unref(kept[i]);
        skua_task_unref(kept[i]);
    }
    skua_task_unref(NULL);
}
