/* tests/unit/runtime/rt_test.h - what the tests of runtime/ and sync/ share. */
#ifndef RT_TEST_H
#define RT_TEST_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <skua/skua.h>

#include "runtime/wait.h"
#include "tests/support/skt.h"

/* How long a test waits for what must happen, on a machine that may stop any thread for seconds; no
 * test is quick or slow by it unless it fails. */
#define RT_PATIENCE_NS SKUA_S(60)

struct rt_body {
    void (*fn)(void);
};

static inline int rt_call_body(void *arg)
{
    const struct rt_body *body = arg;
    body->fn();
    return 0;
}

/* Runs body as the first coroutine of a runtime with so many workers. */
static inline void rt_run(unsigned workers, void (*body)(void))
{
    struct rt_body arg = {body};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_run(rt_call_body, &arg, &config), 0);
}

static inline void rt_start(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
}

/* Stop with this deadline. Once that has passed it gives coroutines a second to end; a machine that
 * stops their worker for longer is asked again. */
static inline void rt_stop(skua_time dl)
{
    int64_t end = skt_now_ns() + RT_PATIENCE_NS;
    int rc;
    while ((rc = skua_stop(dl)) == -ETIMEDOUT && skt_now_ns() < end)
        continue;
    SKT_EQ(rc, 0);
}

/* A case whose body is a coroutine: three cases, with 1, 2 and 8 workers. */
#define RT_TEST(group, name)               \
    static void rt_##group##_##name(void); \
    SKT_TEST(group, name##_w1)             \
    {                                      \
        rt_run(1, rt_##group##_##name);    \
    }                                      \
    SKT_TEST(group, name##_w2)             \
    {                                      \
        rt_run(2, rt_##group##_##name);    \
    }                                      \
    SKT_TEST(group, name##_w8)             \
    {                                      \
        rt_run(8, rt_##group##_##name);    \
    }                                      \
    static void rt_##group##_##name(void)

/* A case whose body is the thread of main, which gets the number of workers to start. */
#define RT_THREAD_TEST(group, name)                    \
    static void rt_##group##_##name(unsigned workers); \
    SKT_TEST(group, name##_w1)                         \
    {                                                  \
        rt_##group##_##name(1);                        \
    }                                                  \
    SKT_TEST(group, name##_w2)                         \
    {                                                  \
        rt_##group##_##name(2);                        \
    }                                                  \
    SKT_TEST(group, name##_w8)                         \
    {                                                  \
        rt_##group##_##name(8);                        \
    }                                                  \
    static void rt_##group##_##name(unsigned workers)

/* Lets others run: a coroutine yields, a thread sleeps a little. */
static inline void rt_pause(void)
{
    if (skua_worker() != UINT32_MAX)
        (void)skua_yield();
    else
        poll(NULL, 0, 1);
}

/* Runs body as a coroutine of a runtime in which nobody allocates meanwhile: for
 * sk_mem_fail_after. */
static inline void rt_run_quietly(unsigned workers, void (*body)(void))
{
    struct rt_body nothing = {rt_pause}, arg = {body};
    rt_start(workers);
    SKT_EQ(skua_call(rt_call_body, &nothing, SKUA_NEVER), 0); /* this thread has its proxy now */
    SKT_EQ(skua_call(rt_call_body, &arg, SKUA_NEVER), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

#define RT_UNTIL(cond)                                      \
    do {                                                    \
        int64_t rt_end_ = skt_now_ns() + RT_PATIENCE_NS;    \
        while (!(cond)) {                                   \
            if (skt_now_ns() > rt_end_)                     \
                SKT_FAIL("waited in vain until %s", #cond); \
            rt_pause();                                     \
        }                                                   \
    } while (0)

/* Spins without ever giving way, as a coroutine that computes does. */
#define RT_SPIN_UNTIL(cond)                               \
    do {                                                  \
        int64_t rt_end_ = skt_now_ns() + RT_PATIENCE_NS;  \
        while (!(cond))                                   \
            if (skt_now_ns() > rt_end_)                   \
                SKT_FAIL("spun in vain until %s", #cond); \
    } while (0)

static inline pthread_t rt_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread = 0;
    SKT_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

static inline void *rt_thread_join(pthread_t thread)
{
    void *result = NULL;
    SKT_EQ(pthread_join(thread, &result), 0);
    return result;
}

/* Whether a task has gone to sleep in a wait. */
static inline bool rt_is_waiting(skua_task *task)
{
    return (atomic_load(&task->x_wait) & SK_WAIT_STATE_MASK) == SK_WAIT_WAITING;
}

/* A deadline that has passed, and is not a duration given by mistake. */
static inline skua_time rt_past(void)
{
    return skua_now();
}

/* Waits for an event of the caller's that nobody sets. */
static inline int rt_wait_forever(void *result)
{
    skua_event never = SKUA_EVENT_INIT;
    int rc = skua_event_wait(&never, SKUA_NEVER);
    if (result != NULL)
        *(int *)result = rc;
    return rc;
}

/* body(NULL) waits for ever, in a way of its own: a cancellation of its coroutine ends that, and so does
 * the deadline of a scope. */
static inline void rt_check_ends_early(int (*body)(void *))
{
    skua_scope s;
    skua_task *task;
    int result = 0;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, body, NULL, NULL, &task), 0);
    RT_UNTIL(rt_is_waiting(task));
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(task);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, skua_in(SKUA_MS(2))), 0);
    SKT_EQ(body(NULL), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

#endif
