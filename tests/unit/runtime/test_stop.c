/* tests/unit/runtime/test_stop.c - what goes on, what ends and what is refused while the runtime
 * stops. */
#include <skua/skua.h>

#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

static _Atomic(int) x_ended;

static int wait_then_note(void *arg)
{
    int rc = rt_wait_forever(NULL);
    SKT_EQ(rc, -ECANCELED);
    atomic_fetch_add(&x_ended, 1);
    (void)arg;
    return rc;
}

static int stay_shielded(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, wait_then_note, NULL), 0);
    atomic_store((_Atomic(int) *)arg, 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    (void)skua_scope_close(&s, SKUA_NEVER);
    atomic_fetch_add(&x_ended, 1);
    return 0;
}

/* Goal: stop pierces shields, and scopes opened inside them, once its dl has passed. */
RT_THREAD_TEST(runtime, stop_pierces_shields)
{
    for (int i = 0; i < 3; i++) {
        _Atomic(int) up = 0;
        atomic_store(&x_ended, 0);
        rt_start(workers);
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, stay_shielded, &up), 0);
        RT_UNTIL(atomic_load(&up) == 1);
        rt_stop(i == 0 ? SKUA_NOW : i == 1 ? rt_past() : skua_in(SKUA_MS(5)));
        SKT_EQ(atomic_load(&x_ended), 2);
    }
}

static _Atomic(int) x_hog; /* 1: it hogs, 2: it may end */

static int hog(void *arg)
{
    (void)arg;
    atomic_store(&x_hog, 1);
    RT_SPIN_UNTIL(atomic_load(&x_hog) == 2);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, give, NULL), -ECANCELED);
    return 0;
}

/* Goal: what does not end makes stop return -ETIMEDOUT; the runtime runs on, and stops later. */
RT_THREAD_TEST(runtime, stop_with_hog)
{
    rt_start(workers);
    atomic_store(&x_hog, 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, hog, NULL), 0);
    RT_UNTIL(atomic_load(&x_hog) == 1);
    SKT_EQ(skua_stop(SKUA_NOW), -ETIMEDOUT);
    SKT_EQ(skua_workers(), workers);
    SKT_EQ(skua_start(NULL), -EALREADY);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, give, NULL), -ECANCELED);
    atomic_store(&x_hog, 2);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_workers(), 0);
}

/* ---- plain threads while the runtime stops ---- */

struct thread_wait {
    int kind;
    skua_event event;
    skua_mutex mutex; /* held by main */
    skua_wg wg;
    skua_task *task;
    skua_event *back; /* told when the wait has ended */
    _Atomic(int) begun;
    int rc;
};

enum { EVENT, MUTEX, WG, JOIN, SLEEP, KINDS };

static void *wait_in_thread(void *arg)
{
    struct thread_wait *t = arg;
    atomic_store(&t->begun, 1);
    switch (t->kind) {
    case EVENT:
        t->rc = skua_event_wait(&t->event, SKUA_NEVER);
        break;
    case MUTEX:
        t->rc = skua_mutex_lock(&t->mutex, SKUA_NEVER);
        break;
    case WG:
        t->rc = skua_wg_wait(&t->wg, skua_in(SKUA_S(1000)));
        break;
    case JOIN:
        t->rc = skua_join(t->task, NULL, SKUA_NEVER);
        break;
    default:
        t->rc = skua_sleep(SKUA_S(1000));
    }
    SKT_EQ(skua_event_set(t->back), 0);
    return NULL;
}

struct guard {
    skua_event back[KINDS];
    _Atomic(int) shielded;
};

/* Holds the stop until every thread has come back: until then no wait may begin. */
static int hold_stop(void *arg)
{
    struct guard *g = arg;
    SKT_EQ(skua_shield(1), 0);
    atomic_store(&g->shielded, 1);
    for (int i = 0; i < KINDS; i++)
        SKT_EQ(skua_event_wait(&g->back[i], SKUA_NEVER), 0);
    return 0;
}

/* Goal: stop ends the waits of plain threads with -ESHUTDOWN, whatever they wait for. */
RT_THREAD_TEST(runtime, stop_sends_threads_away)
{
    static struct guard g;
    static struct thread_wait waits[KINDS];
    pthread_t threads[KINDS];
    skua_task *task;
    memset(&g, 0, sizeof(g));
    memset(waits, 0, sizeof(waits));
    rt_start(workers);
    SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, hold_stop, &g, NULL, &task), 0);
    RT_UNTIL(atomic_load(&g.shielded) == 1);
    for (int i = 0; i < KINDS; i++) {
        waits[i].kind = i;
        waits[i].task = task;
        waits[i].back = &g.back[i];
        SKT_EQ(skua_mutex_lock(&waits[i].mutex, SKUA_NEVER), 0);
        SKT_EQ(skua_wg_add(&waits[i].wg, 1), 0);
        threads[i] = rt_thread(wait_in_thread, &waits[i]);
        RT_UNTIL(atomic_load(&waits[i].begun) == 1);
    }
    poll(NULL, 0, 5);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    for (int i = 0; i < KINDS; i++) {
        rt_thread_join(threads[i]);
        SKT_EQ(waits[i].rc, -ESHUTDOWN);
        SKT_EQ(skua_mutex_unlock(&waits[i].mutex), 0);
    }
    skua_task_unref(task);
}

struct thread_call {
    _Atomic(int) inside;
    int rc;
};

static int wait_inside(void *arg)
{
    atomic_store(&((struct thread_call *)arg)->inside, 1);
    SKT_EQ(rt_wait_forever(NULL), -ECANCELED);
    for (int i = 0; i < 100; i++)
        skua_yield();
    return 42;
}

static void *call_in_thread(void *arg)
{
    struct thread_call *c = arg;
    c->rc = skua_call(wait_inside, c, SKUA_NEVER);
    return NULL;
}

/* Goal: but skua_call, which stop cancels, returns its coroutine's result. */
RT_THREAD_TEST(runtime, stop_cancels_calls)
{
    struct thread_call calls[3] = {{0}};
    pthread_t threads[3];
    rt_start(workers);
    for (int i = 0; i < 3; i++) {
        threads[i] = rt_thread(call_in_thread, &calls[i]);
        RT_UNTIL(atomic_load(&calls[i].inside) == 1);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    for (int i = 0; i < 3; i++) {
        rt_thread_join(threads[i]);
        SKT_EQ(calls[i].rc, 42);
    }
}

struct inside_stop {
    _Atomic(int) begun, done;
    skua_timer timer;
};

static void never_called(void *arg)
{
    SKT_FAIL("a timer that was refused fired: %p", arg);
}

/* In a coroutine that a shield keeps alive while the runtime stops. */
static int act_while_stopping(void *arg)
{
    struct inside_stop *x = arg;
    skua_scope s;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    SKT_EQ(skua_shield(1), 0);
    atomic_store(&x->begun, 1);
    RT_UNTIL(skua_spawn(SKUA_SCOPE_ROOT, give, NULL) != 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, give, NULL), 0); /* its own scope is out of reach */
    o.worker = skua_workers() + 1;
    SKT_EQ(skua_spawn_opts(&s, give, NULL, &o, NULL), -EINVAL);
    o.worker = skua_workers();
    SKT_EQ(skua_spawn_opts(&s, give, NULL, &o, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_timer_start(&x->timer, skua_in(SKUA_S(1)), never_called, x), -ESHUTDOWN);
    SKT_EQ(skua_start(NULL), -EALREADY);
    atomic_store(&x->done, 1);
    return 0;
}

static void *stop_in_thread(void *arg)
{
    *(int *)arg = skua_stop(SKUA_NEVER);
    return NULL;
}

/* Goal: what goes on and what is refused while the runtime stops. */
RT_THREAD_TEST(runtime, while_stopping)
{
    struct inside_stop x = {.begun = 0};
    int rc = 1, second;
    rt_start(workers);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, act_while_stopping, &x), 0);
    RT_UNTIL(atomic_load(&x.begun) == 1);
    pthread_t thread = rt_thread(stop_in_thread, &rc);
    RT_UNTIL((second = skua_spawn(SKUA_SCOPE_ROOT, give, NULL)) != 0);
    SKT_EQ(second, -ESHUTDOWN);
    SKT_EQ(skua_stop(SKUA_NEVER), -ESHUTDOWN);
    SKT_EQ(skua_call(give, NULL, SKUA_NEVER), -ESHUTDOWN);
    rt_thread_join(thread);
    SKT_EQ(rc, 0);
    SKT_EQ(atomic_load(&x.done), 1);
}
