/* tests/unit/runtime/test_runtime.c - starting, entering, stopping; what is refused when. */
#include <skua/skua.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "runtime/base/sys.h"
#include "tests/unit/runtime/rt_test.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

#define RESULT(n) ((void *)(intptr_t)(n))

/* Goal: skua_run returns what fn did, success or failure. */
RT_THREAD_TEST(runtime, run_result)
{
    static const int results[] = {0, 1, INT32_MAX, -1, -EIO, -ECANCELED, INT32_MIN};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        SKT_EQ(skua_run(give, RESULT(results[i]), &config), results[i]);
        SKT_EQ(skua_workers(), 0);
    }
}

static int count_workers(void *arg)
{
    (void)arg;
    return (int)skua_workers();
}

/* Goal: all defaults work, and a configuration that is all zeroes but its size. */
SKT_TEST(runtime, defaults)
{
    skua_config config = SKUA_CONFIG_INIT;
    SKT_GE(skua_run(count_workers, NULL, NULL), 1);
    SKT_GE(skua_run(count_workers, NULL, &config), 1);
}

/* Goal: a bad configuration, and no function, are refused before anything starts. */
SKT_TEST(runtime, bad_config)
{
    skua_config bad[5] = {SKUA_CONFIG_INIT, SKUA_CONFIG_INIT, SKUA_CONFIG_INIT, SKUA_CONFIG_INIT,
                          SKUA_CONFIG_INIT};
    bad[0].workers = 1025;
    bad[1].stack_size = 1000;
    bad[2].stack_size = (size_t)64 << 20;
    bad[3].flags = 1;
    bad[4].slice_ns = -1;
    for (int i = 0; i < 5; i++) {
        if (i == 0 && getenv("SKUA_WORKERS") != NULL)
            continue;
        SKT_EQ(skua_start(&bad[i]), -EINVAL);
        SKT_EQ(skua_run(give, NULL, &bad[i]), -EINVAL);
    }
    SKT_EQ(skua_run(NULL, NULL, NULL), -EINVAL);
    SKT_EQ(skua_stop(SKUA_NEVER), -ESHUTDOWN);
}

static int use_inside(void *arg)
{
    (void)arg;
    SKT_EQ(skua_start(NULL), -EALREADY);
    SKT_EQ(skua_run(give, NULL, NULL), -EALREADY);
    SKT_EQ(skua_stop(SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_stop(SKUA_NOW), -EDEADLK);
    SKT_EQ(skua_cancelled(), 0);
    return 0;
}

/* Goal: one runtime in a process; it is not stopped from inside. */
RT_THREAD_TEST(runtime, already)
{
    rt_start(workers);
    SKT_EQ(skua_workers(), workers);
    SKT_EQ(skua_start(NULL), -EALREADY);
    SKT_EQ(skua_run(give, NULL, NULL), -EALREADY);
    SKT_EQ(skua_call(use_inside, NULL, SKUA_NEVER), 0);
    SKT_EQ(skua_stop(-1), -EINVAL);
    SKT_EQ(skua_stop(SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_workers(), workers);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), -ESHUTDOWN);
}

/* Goal: it starts again and again, and leaves nothing (the harness counts threads and descriptors). */
RT_THREAD_TEST(runtime, again)
{
    for (uint64_t i = skt_scaled(1000) / workers; i > 0; i--) {
        rt_start(workers);
        if (i % 2)
            SKT_EQ(skua_call(give, RESULT(3), SKUA_NEVER), 3);
        SKT_EQ(skua_stop(SKUA_NOW), 0);
    }
}

static int nap(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S(1000));
}

static int ignore_cancellation(void *arg)
{
    RT_UNTIL(skua_cancelled() == 1);
    for (int i = 0; i < 100; i++)
        skua_yield();
    *(int *)arg = 1;
    return 6;
}

/* Goal: skua_call gives the function's result; after dl it is cancelled, and waited for all the same. */
RT_THREAD_TEST(runtime, call)
{
    int finished = 0;
    SKT_EQ(skua_call(give, NULL, SKUA_NEVER), -ESHUTDOWN);
    rt_start(workers);
    SKT_EQ(skua_call(give, RESULT(5), SKUA_NEVER), 5);
    SKT_EQ(skua_call(give, RESULT(-EIO), skua_in(RT_PATIENCE_NS)), -EIO);
    SKT_EQ(skua_call(NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_call(give, NULL, -1), -EINVAL);
    SKT_EQ(skua_call(give, NULL, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_call(nap, NULL, SKUA_NOW), -ECANCELED);
    SKT_EQ(skua_call(nap, NULL, rt_past()), -ECANCELED);
    SKT_EQ(skua_call(nap, NULL, skua_in(SKUA_MS(2))), -ECANCELED);
    SKT_EQ(skua_call(ignore_cancellation, &finished, rt_past()), 6);
    SKT_EQ(finished, 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_call(give, NULL, SKUA_NEVER), -ESHUTDOWN);
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

static int leave_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wait_then_note, NULL), 0);
    return 9;
}

/* Goal: when fn has returned the root scope is cancelled and waited for. */
RT_THREAD_TEST(runtime, run_cancels_root)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    atomic_store(&x_ended, 0);
    SKT_EQ(skua_run(leave_some, NULL, &config), 9);
    SKT_EQ(atomic_load(&x_ended), 50);
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
        SKT_EQ(skua_stop(i == 0 ? SKUA_NOW : i == 1 ? rt_past() : skua_in(SKUA_MS(5))), 0);
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

/* ---- what the system refuses ---- */

/* Goal: whichever allocation of the start fails, it says -ENOMEM and leaves nothing behind. */
RT_THREAD_TEST(runtime, start_without_memory)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    int rc = -ENOMEM;
    for (long n = 1; n < 1000 && rc != 0; n++) {
        sk_mem_fail_after(n);
        rc = skua_start(&config);
        sk_mem_fail_after(0);
        if (rc != 0) {
            SKT_EQ(rc, -ENOMEM);
            SKT_EQ(skua_stop(SKUA_NEVER), -ESHUTDOWN);
        }
    }
    SKT_EQ(rc, 0);
    SKT_EQ(skua_call(give, RESULT(1), SKUA_NEVER), 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static int threads_left;
static struct sk_sys real;

static int create_few(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    return threads_left-- > 0 ? real.thread_create(thread, fn, arg) : -EAGAIN;
}

static void start_without_threads(void *workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = *(unsigned *)workers;
    int rc = -EAGAIN;
    real = sk_sys;
    sk_sys.thread_create = create_few;
    for (int n = 0; n < 20 && rc != 0; n++) {
        threads_left = n;
        rc = skua_start(&config);
        if (rc != 0 && rc != -EAGAIN)
            _exit(2);
    }
    if (rc != 0 || skua_call(give, RESULT(1), SKUA_NEVER) != 1 || skua_stop(SKUA_NEVER) != 0)
        _exit(3);
    _exit(skt_thread_count() == 1 ? 0 : 4);
}

/* Goal: nor does a thread that cannot be created; the line names what to do. */
RT_THREAD_TEST(runtime, start_without_threads)
{
    char out[4096];
    int status = skt_in_child(start_without_threads, &workers, out, sizeof(out));
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 0);
    SKT_STR_HAS(out, "SKUA_WORKERS");
}

/* ---- fork ---- */

static int try_all_in_child(void)
{
    skua_event e = SKUA_EVENT_INIT;
    skua_timer timer;
    if (skua_self() != NULL || skua_id() != 0 || skua_worker() != UINT32_MAX || skua_workers() != 0)
        return 2;
    if (skua_spawn(SKUA_SCOPE_ROOT, give, NULL) != -EOWNERDEAD)
        return 3;
    if (skua_call(give, NULL, SKUA_NEVER) != -EOWNERDEAD)
        return 4;
    if (skua_event_wait(&e, SKUA_NEVER) != -EOWNERDEAD)
        return 5;
    if (skua_stop(SKUA_NEVER) != -EOWNERDEAD || skua_start(NULL) != -EOWNERDEAD)
        return 6;
    if (skua_run(give, NULL, NULL) != -EOWNERDEAD)
        return 7;
    if (skua_timer_start(&timer, SKUA_NOW, never_called, NULL) != -EOWNERDEAD)
        return 8;
    return 0;
}

static int fork_and_look(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    SKT_GE(pid, 0);
    if (pid == 0)
        _exit(try_all_in_child());
    int status = 0;
    SKT_EQ(waitpid(pid, &status, 0), pid);
    SKT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Goal: after fork the child's runtime is dead and says so, forked by a thread or by a coroutine; the
 * parent's goes on. */
RT_THREAD_TEST(runtime, fork)
{
    rt_start(workers);
    SKT_EQ(fork_and_look(NULL), 0);
    SKT_EQ(skua_call(fork_and_look, NULL, SKUA_NEVER), 0);
    SKT_EQ(skua_call(give, RESULT(4), SKUA_NEVER), 4);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static void run_in_child(void *arg)
{
    (void)arg;
    _exit(skua_run(give, RESULT(4), NULL) == 4 ? 0 : 1);
}

/* Goal: a child that was forked without a runtime starts its own. */
SKT_TEST(runtime, fork_before)
{
    char out[512];
    SKT_EQ(skt_in_child(run_in_child, NULL, out, sizeof(out)), 0);
}
