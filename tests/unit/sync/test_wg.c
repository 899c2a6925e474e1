/* tests/unit/sync/test_wg.c - a wait group. */
#include <skua/sync.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

static void check_waits(void)
{
    skua_wg g = SKUA_WG_INIT;
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), 0);
    SKT_EQ(skua_wg_wait(&g, rt_past()), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NEVER), 0);
    SKT_EQ(skua_wg_wait(&g, -1), -EINVAL);
    SKT_EQ(skua_wg_add(&g, 2), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_wg_wait(&g, rt_past()), -ETIMEDOUT);
    skua_time dl = skua_in(SKUA_MS(1));
    SKT_EQ(skua_wg_wait(&g, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_wg_wait(&g, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_wg_done(&g), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_wg_done(&g), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NEVER), 0);
}

static void check_misuse(void)
{
    skua_wg g = SKUA_WG_INIT;
    SKT_EQ(skua_wg_done(&g), -EINVAL);
    SKT_EQ(skua_wg_add(&g, -1), -EINVAL);
    SKT_EQ(skua_wg_add(&g, INT_MIN), -EINVAL);
    SKT_EQ(skua_wg_add(&g, 0), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), 0);
    SKT_EQ(skua_wg_add(&g, INT_MAX), 0);
    SKT_EQ(skua_wg_add(&g, 1), -EINVAL);
    SKT_EQ(skua_wg_add(&g, INT_MAX), -EINVAL);
    SKT_EQ(skua_wg_add(&g, 0), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_wg_add(&g, -INT_MAX), 0); /* it was unchanged */
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), 0);
    SKT_EQ(skua_wg_add(&g, 3), 0);
    SKT_EQ(skua_wg_add(&g, -4), -EINVAL);
    SKT_EQ(skua_wg_add(&g, -3), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), 0);
}

/* Goal: every deadline; and the count stays within its bounds. */
RT_TEST(wg, alone)
{
    check_waits();
    check_misuse();
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(wg, thread)
{
    check_waits();
    check_misuse();
    rt_start(workers);
    check_waits();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

struct group {
    skua_wg wg;
    _Atomic(int) work, woken;
    int all;
};

static int work_and_done(void *arg)
{
    struct group *g = arg;
    for (int i = 0; i < 3; i++)
        skua_yield();
    atomic_fetch_add(&g->work, 1);
    SKT_EQ(skua_wg_done(&g->wg), 0);
    return 0;
}

static int wait_for_all(void *arg)
{
    struct group *g = arg;
    SKT_EQ(skua_wg_wait(&g->wg, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&g->work), g->all);
    atomic_fetch_add(&g->woken, 1);
    return 0;
}

static void *wait_in_thread(void *arg)
{
    (void)wait_for_all(arg);
    return NULL;
}

/* Goal: all who wait are woken when the last one is done, and not before. */
RT_TEST(wg, wakes_all)
{
    for (int round = 0; round < 5; round++) {
        skua_scope s;
        struct group g = {.all = 100};
        open_scope(&s);
        SKT_EQ(skua_wg_add(&g.wg, g.all), 0);
        pthread_t thread = rt_thread(wait_in_thread, &g);
        for (int i = 0; i < 100; i++) {
            SKT_EQ(skua_spawn(&s, wait_for_all, &g), 0);
            SKT_EQ(skua_spawn(&s, work_and_done, &g), 0);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        RT_UNTIL(atomic_load(&g.woken) == 101);
        rt_thread_join(thread);
    }
}

/* Goal: it is used again and again; the memory may go as soon as the wait has returned. */
RT_TEST(wg, again)
{
    skua_scope s;
    open_scope(&s);
    for (uint64_t i = skt_scaled(1000); i > 0; i--) {
        struct group *g = calloc(1, sizeof(*g));
        for (int round = 1; round <= 2; round++) {
            g->all = 3 * round;
            SKT_EQ(skua_wg_add(&g->wg, 3), 0);
            for (int n = 0; n < 3; n++)
                SKT_EQ(skua_spawn(&s, work_and_done, g), 0);
            SKT_EQ(skua_wg_wait(&g->wg, SKUA_NEVER), 0);
            SKT_EQ(atomic_load(&g->work), g->all);
        }
        memset(g, 0xA5, sizeof(*g));
        free(g);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

struct exact {
    skua_wg wg;
    _Atomic(int) woken;
};

static int wait_twice(void *arg)
{
    struct exact *x = arg;
    SKT_EQ(skua_wg_wait(&x->wg, SKUA_NEVER), 0);
    atomic_fetch_add(&x->woken, 1);
    SKT_EQ(skua_wg_wait(&x->wg, SKUA_NEVER), 0);
    atomic_fetch_add(&x->woken, 1000);
    return 0;
}

/* Goal: who waited for the first zero is woken though the count grows at once; who comes after that
 * waits for the next one. */
static void two_rounds(void)
{
    skua_scope s;
    struct exact x = {.woken = 0};
    skua_task *tasks[70];
    open_scope(&s);
    SKT_EQ(skua_wg_add(&x.wg, 1), 0);
    for (int i = 0; i < 70; i++)
        SKT_EQ(skua_spawn_opts(&s, wait_twice, &x, NULL, &tasks[i]), 0);
    for (int i = 0; i < 70; i++) {
        RT_UNTIL(rt_is_waiting(tasks[i]));
        skua_task_unref(tasks[i]);
    }
    SKT_EQ(skua_wg_done(&x.wg), 0);
    SKT_EQ(skua_wg_add(&x.wg, 5), 0);
    RT_UNTIL(atomic_load(&x.woken) == 70);
    for (int i = 0; i < 20; i++)
        skua_yield();
    SKT_EQ(atomic_load(&x.woken), 70);
    SKT_EQ(skua_wg_add(&x.wg, -5), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x.woken), 70 + 70 * 1000);
}

SKT_TEST(wg, rounds)
{
    rt_run(1, two_rounds);
}

static int wait_cancelled(void *g)
{
    SKT_EQ(skua_wg_wait(g, SKUA_NEVER), -ECANCELED);
    return -ECANCELED;
}

static int wait_and_give_up(void *g)
{
    SKT_EQ(skua_wg_wait(g, skua_in(SKUA_US(300))), -ETIMEDOUT);
    return 0;
}

/* Goal: waiters that leave early. */
RT_TEST(wg, left_waits)
{
    skua_scope s;
    skua_wg g = SKUA_WG_INIT;
    SKT_EQ(skua_wg_add(&g, 1), 0);
    open_scope(&s);
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_spawn(&s, wait_cancelled, &g), 0);
        SKT_EQ(skua_sleep(SKUA_US(10)), 0);
    }
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    open_scope(&s);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, wait_and_give_up, &g), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_wg_done(&g), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NOW), 0);
}

static void *count_down(void *arg)
{
    for (uint64_t i = skt_scaled(2000); i > 0; i--) {
        SKT_EQ(skua_wg_add(arg, 2), 0);
        SKT_EQ(skua_wg_done(arg), 0);
        SKT_EQ(skua_wg_done(arg), 0);
    }
    SKT_EQ(skua_wg_done(arg), 0);
    return NULL;
}

/* Goal: many threads count, one coroutine waits. */
RT_THREAD_TEST(wg, counted_by_threads)
{
    struct group g = {.all = 0};
    pthread_t threads[3];
    rt_start(workers);
    SKT_EQ(skua_wg_add(&g.wg, 3), 0);
    for (int i = 0; i < 3; i++)
        threads[i] = rt_thread(count_down, &g.wg);
    SKT_EQ(skua_call(wait_for_all, &g, SKUA_NEVER), 0);
    for (int i = 0; i < 3; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_wg_wait(&g.wg, SKUA_NOW), 0);
}
