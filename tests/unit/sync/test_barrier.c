/* tests/unit/sync/test_barrier.c - waits until n have arrived, again and again. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/sync_test.h"

static int arrive(void *b, skua_time dl)
{
    return skua_barrier_wait(b, dl);
}

static void check_alone(void)
{
    skua_barrier none = SKUA_BARRIER_INIT(0), one = SKUA_BARRIER_INIT(1),
                 two = SKUA_BARRIER_INIT(2);
    SKT_EQ(skua_barrier_wait(&none, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_barrier_wait(&none, SKUA_NOW), -EINVAL);
    for (int i = 0; i < 3; i++) {
        SKT_EQ(skua_barrier_wait(&one, SKUA_NEVER), 1);
        SKT_EQ(skua_barrier_wait(&one, SKUA_NOW), 1);
        SKT_EQ(skua_barrier_wait(&one, rt_past()), 1); /* what can be done at once is done */
        SKT_EQ(skua_barrier_wait(&one, -1), -EINVAL);
        sy_check_deadlines(arrive, &two); /* none of them counts, or a later one would get 1 */
    }
}

static int arrive_for_ever(void *b)
{
    return skua_barrier_wait(b, SKUA_NEVER);
}

/* The last one need not wait. */
static int arrive_cancelled(void *b)
{
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_barrier_wait(b, SKUA_NEVER), 1);
    SKT_EQ(skua_barrier_wait(b, SKUA_NEVER), -ECANCELED);
    return 0;
}

/* Goal: every end of a wait; who has left does not count. */
RT_TEST(barrier, alone)
{
    skua_barrier b = SKUA_BARRIER_INIT(2), many = SKUA_BARRIER_INIT(9);
    skua_scope s;
    check_alone();
    sy_check_ends(arrive, &many);
    SKT_EQ(skua_barrier_wait(&b, SKUA_NOW), -EAGAIN);
    sy_open(&s);
    skua_task *task = sy_spawn_waiting(&s, arrive_for_ever, &b);
    SKT_EQ(skua_barrier_wait(&b, SKUA_NOW), 1);
    SKT_EQ(sy_result(task), 0);
    task = sy_spawn_waiting(&s, arrive_for_ever, &b);
    SKT_EQ(skua_spawn(&s, arrive_cancelled, &b), 0);
    SKT_EQ(sy_result(task), 0);
    sy_close(&s);
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(barrier, thread)
{
    skua_barrier b = SKUA_BARRIER_INIT(2);
    check_alone();
    sy_check_stop(arrive, &b, workers);
    rt_start(workers);
    check_alone();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- rounds ---- */

enum { COROUTINES = 9, THREADS = 2, PARTIES = COROUTINES + THREADS };

struct rounds {
    skua_barrier barrier;
    uint64_t count;
    _Atomic(uint64_t) arrived, last, through;
};

/* In each round all have arrived before any goes on; so nobody is more than one round ahead. */
static int take_part(void *arg)
{
    struct rounds *r = arg;
    for (uint64_t i = 0; i < r->count; i++) {
        atomic_fetch_add(&r->arrived, 1);
        int rc = skua_barrier_wait(&r->barrier, i % 3 == 0 ? skua_in(RT_PATIENCE_NS) : SKUA_NEVER);
        SKT_TRUE(rc == 0 || rc == 1);
        atomic_fetch_add(&r->last, (uint64_t)rc);
        SKT_GE(atomic_load(&r->arrived), (i + 1) * PARTIES);
        SKT_LE(atomic_load(&r->arrived), (i + 2) * PARTIES);
    }
    atomic_fetch_add(&r->through, 1);
    return 0;
}

static void *take_part_in_thread(void *arg)
{
    (void)take_part(arg);
    return NULL;
}

/* Goal: cyclic, with rounds that begin while those of the last one have not run yet; one of each
 * round gets 1. Coroutines and threads. */
RT_TEST(barrier, rounds)
{
    struct rounds r = {.barrier = SKUA_BARRIER_INIT(PARTIES), .count = skt_scaled(200)};
    pthread_t threads[THREADS];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(take_part_in_thread, &r);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&s, take_part, &r), 0);
    sy_close(&s);
    RT_UNTIL(atomic_load(&r.through) == PARTIES);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(atomic_load(&r.last), r.count);
    SKT_EQ(atomic_load(&r.arrived), r.count * PARTIES);
    SKT_EQ(skua_barrier_wait(&r.barrier, SKUA_NOW), -EAGAIN);
}

struct race {
    skua_barrier barrier;
    _Atomic(uint64_t) passed, last, gave_up;
    uint64_t count;
};

static int arrive_for_a_moment(void *arg)
{
    struct race *r = arg;
    for (uint64_t i = 0; i < r->count; i++) {
        int rc = skua_barrier_wait(&r->barrier, skua_in((int64_t)(i % 30) * 1000));
        if (rc < 0) {
            SKT_EQ(rc, -ETIMEDOUT);
            atomic_fetch_add(&r->gave_up, 1);
        } else {
            atomic_fetch_add(&r->passed, 1);
            atomic_fetch_add(&r->last, (uint64_t)rc);
        }
    }
    return 0;
}

/* Goal: deadline against the last arrival: a round is passed by as many as it takes, by all of them
 * or by none. */
RT_TEST(barrier, deadline_race)
{
    enum { N = 4, TASKS = 14 };
    struct race r = {.barrier = SKUA_BARRIER_INIT(N), .count = skt_scaled(400)};
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < TASKS; i++)
        SKT_EQ(skua_spawn(&s, arrive_for_a_moment, &r), 0);
    sy_close(&s);
    SKT_EQ(atomic_load(&r.passed) + atomic_load(&r.gave_up), TASKS * r.count);
    SKT_EQ(atomic_load(&r.passed), N * atomic_load(&r.last));
    SKT_EQ(skua_barrier_wait(&r.barrier, SKUA_NOW), -EAGAIN);
}

/* Goal: cancelled after it was counted: the round is complete, and it has taken part. */
static void cancel_late(void)
{
    skua_barrier b = SKUA_BARRIER_INIT(2);
    skua_scope s;
    sy_open(&s);
    skua_task *task = sy_spawn_waiting(&s, arrive_for_ever, &b);
    SKT_EQ(skua_cancel(task), 1); /* it has not run yet, and cannot, on one worker */
    SKT_EQ(skua_barrier_wait(&b, SKUA_NOW), 1);
    SKT_EQ(sy_result(task), 0);
    sy_close(&s);
}

SKT_TEST(barrier, cancelled_when_complete)
{
    rt_run(1, cancel_late);
}

struct meeting {
    skua_barrier barrier;
    _Atomic(int) references;
};

static int meet(void *arg)
{
    struct meeting *m = arg;
    SKT_GE(skua_barrier_wait(&m->barrier, SKUA_NEVER), 0);
    if (atomic_fetch_sub(&m->references, 1) == 1) {
        memset(m, 0xA5, sizeof(*m));
        free(m);
    }
    return 0;
}

/* Goal: once all have returned it may be freed. */
RT_TEST(barrier, freed_by_last)
{
    for (uint64_t i = 0; i < skt_scaled(1000); i++) {
        skua_scope s;
        struct meeting *m = malloc(sizeof(*m));
        *m = (struct meeting){.barrier = SKUA_BARRIER_INIT(3), .references = 3};
        sy_open(&s);
        for (int n = 0; n < 3; n++)
            SKT_EQ(skua_spawn(&s, meet, m), 0);
        skua_yield();
        sy_close(&s);
    }
}
