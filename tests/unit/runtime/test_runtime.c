/* tests/unit/runtime/test_runtime.c - starting, entering, stopping; what is refused when. */
#include <skua/skua.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "runtime/base/sys.h"
#include "runtime/solo.h"
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

/* Goal: it starts again and again, and leaves nothing (the harness counts threads and
 * descriptors). */
RT_THREAD_TEST(runtime, again)
{
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(1000) / workers; i > 0 && skt_has_time(begin); i--) {
        rt_start(workers);
        if (i % 2)
            SKT_EQ(skua_call(give, RESULT(3), SKUA_NEVER), 3);
        rt_stop(SKUA_NOW);
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

/* Goal: skua_call gives the function's result; after dl it is cancelled, and waited for all the
 * same. */
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

static void run_and_stop(skua_future *f, void *stopped)
{
    (void)f;
    SKT_EQ(skua_run(give, RESULT(1), NULL), -EPERM);
    *(int *)stopped = skua_stop(SKUA_NEVER);
}

/* Goal: in a callback, which must not wait, neither starts or ends anything. */
RT_THREAD_TEST(runtime, in_callback)
{
    skua_future *f;
    int stopped = 0;
    SKT_EQ(skua_future_new(&f, 0), 0);
    SKT_EQ(skua_future_on_done(f, run_and_stop, &stopped), 0);
    SKT_EQ(skua_future_set(f, NULL), 0);
    SKT_EQ(stopped, -EPERM);
    rt_start(workers);
    SKT_EQ(skua_future_on_done(f, run_and_stop, &stopped), 0);
    SKT_EQ(stopped, -EPERM);
    SKT_EQ(skua_call(give, RESULT(2), SKUA_NEVER), 2);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    skua_future_unref(f);
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
            SKT_EQ(atomic_load(&sk_solo.x_state), (unsigned)SK_SOLO_SHARED);
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
    int rc = -ENOMEM;
    real = sk_sys;
    sk_sys.thread_create = create_few;
    for (int n = 0; n < 20 && rc != 0; n++) {
        threads_left = n;
        rc = skua_start(&config);
        if (rc != 0 && rc != -ENOMEM)
            _exit(2);
    }
    if (rc != 0 || skua_call(give, RESULT(1), SKUA_NEVER) != 1 || skua_stop(SKUA_NEVER) != 0)
        _exit(3);
    SKT_THREADS(1);
    _exit(0);
}

/* Goal: nor does a thread that cannot be created; the line names it, the cause and what to do. */
RT_THREAD_TEST(runtime, start_without_threads)
{
    char out[4096];
    int status = skt_in_child(start_without_threads, &workers, out, sizeof(out));
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 0);
    SKT_STR_HAS(out, "the thread of worker 0 of");
    SKT_STR_HAS(out, "(EAGAIN): raise RLIMIT_NPROC");
    SKT_STR_HAS(out, "SKUA_WORKERS");
    if (workers > 1)
        SKT_STR_HAS(out, "the monitor's thread (EAGAIN)");
}

/* ---- fork ---- */

static void never_called(void *arg)
{
    SKT_FAIL("a timer that was refused fired: %p", arg);
}

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

/* Goal: after fork the child's runtime is dead and says so, forked by a thread or by a
 * coroutine; the parent's goes on. */
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
