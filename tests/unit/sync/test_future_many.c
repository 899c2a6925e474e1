/* tests/unit/sync/test_future_many.c - gather and wait_any: many futures that are to come. */
#include <string.h>

#include "runtime/base/mem.h"
#include "tests/unit/sync/future_test.h"

enum { MANY = 3000 };

static void make_many(skua_future **v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = ft_make(sizeof(int));
}

static void free_many(skua_future **v, int n)
{
    for (int i = 0; i < n; i++)
        skua_future_unref(v[i]);
}

static void check_gather(void)
{
    skua_future *v[20];
    make_many(v, 20);
    SKT_EQ(skua_gather(NULL, 0, SKUA_NOW), 0);
    SKT_EQ(skua_gather(v, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_gather(v, 1, -1), -EINVAL);
    for (size_t n = 1; n <= 20; n += 19) {
        SKT_EQ(skua_gather(v, n, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_gather(v, n, rt_past()), -ETIMEDOUT);
        SKT_EQ(skua_gather(v, n, skua_in(SKUA_US(200))), -ETIMEDOUT);
    }
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_future_set(v[i], NULL), 0);
    SKT_EQ(skua_gather(v, 10, SKUA_NOW), 0);
    SKT_EQ(skua_gather(v, 10, rt_past()), 0);
    SKT_EQ(skua_gather(v, 11, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_future_fail(v[19], -EIO), 0);
    SKT_EQ(skua_future_cancel(v[15]), 0);
    SKT_EQ(skua_future_fail(v[12], -EPIPE), 0);
    SKT_EQ(skua_gather(v, 20, SKUA_NOW), -EIO); /* by time, not by place */
    SKT_EQ(skua_gather(v, 19, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_gather(v, 15, rt_past()), -EPIPE); /* though others are pending */
    SKT_EQ(skua_gather(v, 12, skua_in(SKUA_US(100))), -ETIMEDOUT);
    free_many(v, 20);
}

static void check_wait_any(void)
{
    skua_future *v[20];
    make_many(v, 20);
    SKT_EQ(skua_wait_any(NULL, 0, SKUA_NOW), -EINVAL);
    SKT_EQ(skua_wait_any(v, 0, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_wait_any(v, SIZE_MAX, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_wait_any(v, 1, -1), -EINVAL);
    for (size_t n = 1; n <= 20; n += 19) {
        SKT_EQ(skua_wait_any(v, n, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_wait_any(v, n, rt_past()), -ETIMEDOUT);
        SKT_EQ(skua_wait_any(v, n, skua_in(SKUA_US(200))), -ETIMEDOUT);
    }
    SKT_EQ(skua_future_fail(v[19], -EIO), 0);
    SKT_EQ(skua_wait_any(v, 20, SKUA_NEVER), 19);
    SKT_EQ(skua_future_cancel(v[5]), 0);
    SKT_EQ(skua_wait_any(v, 20, SKUA_NOW), 5);
    SKT_EQ(skua_future_set(v[2], NULL), 0);
    SKT_EQ(skua_wait_any(v, 20, rt_past()), 2);
    SKT_EQ(skua_wait_any(v, 2, SKUA_NOW), -EAGAIN);
    free_many(v, 20);
}

/* Goal: what is known at once, every deadline. */
RT_TEST(future, gather_at_once)
{
    check_gather();
    check_wait_any();
}

RT_THREAD_TEST(future, gather_in_thread)
{
    check_gather();
    check_wait_any();
    rt_start(workers);
    check_gather();
    check_wait_any();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

struct work {
    skua_future **v;
    int from, to, step;
};

static int settle_some(void *arg)
{
    const struct work *w = arg;
    for (int i = w->from; i < w->to; i += w->step) {
        SKT_EQ(skua_future_set(w->v[i], &i), 0);
        if (i % 7 == 0)
            skua_yield();
    }
    return 0;
}

/* Goal: thousands, some several times, settled by several coroutines while it registers and
 * sleeps. */
RT_TEST(future, gather_many)
{
    static skua_future *v[MANY], *twice[2 * MANY];
    enum { HANDS = 4 };
    for (int round = 0; round < 5; round++) {
        skua_scope s;
        struct work work[HANDS];
        make_many(v, MANY);
        for (int i = 0; i < 2 * MANY; i++)
            twice[i] = v[i * 7 % MANY];
        sy_open(&s);
        for (int i = 0; i < HANDS; i++) {
            work[i] = (struct work){v, i, MANY, HANDS};
            SKT_EQ(skua_spawn(&s, settle_some, &work[i]), 0);
        }
        SKT_EQ(skua_gather(twice, 2 * MANY, SKUA_NEVER), 0);
        for (int i = 0; i < MANY; i++) {
            int value = -1;
            SKT_EQ(skua_future_get(v[i], &value, SKUA_NOW), 0);
            SKT_EQ(value, i);
            skua_future_unref(v[i]); /* nobody is in it any more, the setter neither */
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

static int gather_failing(void *arg)
{
    const struct work *w = arg;
    SKT_EQ(skua_gather(w->v, (size_t)w->to, SKUA_NEVER), w->from);
    return 0;
}

/* Goal: the first failure ends it while others are pending, and it has left them then. */
RT_TEST(future, gather_fails)
{
    for (int round = 0; round < 20; round++) {
        skua_scope s;
        skua_future *v[100];
        bool is_cancel = round % 2;
        struct work work = {v, is_cancel ? -ECANCELED : -EIO, round % 3 ? 100 : 10, 0};
        make_many(v, 100);
        sy_open(&s);
        skua_task *task = ft_spawn(&s, gather_failing, &work);
        if (round < 10)
            RT_UNTIL(rt_is_waiting(task));
        SKT_EQ(skua_future_set(v[round % 5], NULL), 0);
        int at = 5 + round % 5;
        SKT_EQ(is_cancel ? skua_future_cancel(v[at]) : skua_future_fail(v[at], -EIO), 0);
        SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        skua_task_unref(task);
        for (int i = 0; i < 100; i++)
            (void)skua_future_set(v[i], NULL); /* finds nobody */
        free_many(v, 100);
    }
}

static int gather_cancelled(void *arg)
{
    const struct work *w = arg;
    SKT_EQ(skua_gather(w->v, (size_t)w->to, SKUA_NEVER), -ECANCELED);
    return 0;
}

static int wait_any_cancelled(void *arg)
{
    const struct work *w = arg;
    SKT_EQ(skua_wait_any(w->v, (size_t)w->to, SKUA_NEVER), -ECANCELED);
    return 0;
}

/* Goal: a cancellation while it sleeps ends it, and those who settle later find nobody. */
RT_TEST(future, gather_cancelled)
{
    skua_scope s;
    skua_future *v[100];
    struct work many = {v, 0, 100, 0}, few = {v + 90, 0, 10, 0};
    skua_task *tasks[4];
    make_many(v, 100);
    sy_open(&s);
    for (int i = 0; i < 4; i++)
        tasks[i] =
            ft_spawn(&s, i % 2 ? wait_any_cancelled : gather_cancelled, i < 2 ? &many : &few);
    for (int i = 0; i < 4; i++)
        RT_UNTIL(rt_is_waiting(tasks[i]));
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_future_set(v[i], NULL), 0);
    for (int i = 0; i < 4; i++)
        skua_task_unref(tasks[i]);
    free_many(v, 100);
}

static int take_in_turn(void *arg)
{
    const struct work *w = arg;
    static skua_future *left[MANY];
    int count = w->to, sum = 0;
    memcpy(left, w->v, (size_t)count * sizeof(*left));
    while (count > 0) {
        int at = skua_wait_any(left, (size_t)count, SKUA_NEVER), value = -1;
        SKT_TRUE(at >= 0 && at < count);
        SKT_EQ(skua_future_get(left[at], &value, SKUA_NOW), 0);
        sum += value;
        skua_future_unref(left[at]);
        left[at] = left[--count];
    }
    return sum;
}

/* Goal: each of many is found once, as they are settled one by one. */
RT_TEST(future, wait_any_takes_all)
{
    enum { N = 300 };
    skua_future *v[N];
    skua_scope s;
    struct work work = {v, 0, N, 0}, hands[2] = {{v, 0, N, 2}, {v, 1, N, 2}};
    int sum = 0;
    make_many(v, N);
    sy_open(&s);
    skua_task *task = ft_spawn(&s, take_in_turn, &work);
    RT_UNTIL(rt_is_waiting(task));
    for (int i = 0; i < N; i++)
        skua_future_ref(v[i]);
    for (int i = 0; i < 2; i++)
        SKT_EQ(skua_spawn(&s, settle_some, &hands[i]), 0);
    SKT_EQ(skua_join(task, &sum, SKUA_NEVER), 0);
    SKT_EQ(sum, N * (N - 1) / 2);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_task_unref(task);
    free_many(v, N);
}

/* Goal: more than fit on the stack, and no memory: an error, and nobody is registered. */
static void never_called(void *arg)
{
    SKT_FAIL("called though stopped: %p", arg);
}

static void gather_without_memory(void)
{
    skua_future *v[40];
    skua_timer timer;
    make_many(v, 40);
    skua_pin();
    SKT_EQ(skua_timer_start(&timer, SKUA_NEVER, never_called, NULL), 0);
    SKT_EQ(skua_timer_stop(&timer), 1); /* there is room for a timer on this worker */
    sk_mem_fail_after(1);
    int rc = skua_gather(v, 17, SKUA_NEVER);
    sk_mem_fail_after(1);
    int index = skua_wait_any(v, 17, SKUA_NEVER);
    sk_mem_fail_after(1);
    int few = skua_gather(v, 16, skua_in(SKUA_US(100)));
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    SKT_EQ(index, -ENOMEM);
    SKT_EQ(few, -ETIMEDOUT);
    skua_unpin();
    for (int i = 0; i < 40; i++)
        SKT_EQ(skua_future_set(v[i], NULL), 0);
    free_many(v, 40);
}

RT_THREAD_TEST(future, gather_no_memory)
{
    rt_run_quietly(workers, gather_without_memory);
}

static skua_future *kept[2];

static void keep_futures(void)
{
    int value = 42;
    kept[0] = ft_make(sizeof(int));
    kept[1] = ft_make(sizeof(int));
    SKT_EQ(skua_future_set(kept[0], &value), 0);
}

/* Goal: futures outlive the runtime, settled or not. */
RT_THREAD_TEST(future, outlives_runtime)
{
    int value = 0;
    rt_run(workers, keep_futures);
    SKT_EQ(skua_future_get(kept[0], &value, SKUA_NEVER), 0);
    SKT_EQ(value, 42);
    SKT_EQ(skua_future_get(kept[1], &value, skua_in(SKUA_US(100))), -ETIMEDOUT);
    SKT_EQ(skua_future_set(kept[1], &value), 0);
    SKT_EQ(skua_gather(kept, 2, SKUA_NEVER), 0);
    free_many(kept, 2);
}
