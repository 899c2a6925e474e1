/* tests/unit/sync/test_sem.c - a counting semaphore. */
#include <skua/sync.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/sync_test.h"

static int take_one(void *s, skua_time dl)
{
    return skua_sem_wait(s, 1, dl);
}

static void check_counts(void)
{
    skua_sem s = SKUA_SEM_INIT(3);
    SKT_EQ(skua_sem_wait(&s, 4, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_wait(&s, 2, SKUA_NOW), 0);
    SKT_EQ(skua_sem_wait(&s, 2, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_wait(&s, 1, rt_past()), 0); /* what can be done at once is done */
    sy_check_deadlines(take_one, &s);
    SKT_EQ(skua_sem_wait(&s, 0, SKUA_NOW), 0);
    SKT_EQ(skua_sem_wait(&s, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_sem_wait(&s, 0, -1), -EINVAL);
    SKT_EQ(skua_sem_post(&s, 0), 0);
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_wait(&s, UINT_MAX, skua_in(SKUA_US(100))), -ETIMEDOUT);
    SKT_EQ(skua_sem_post(&s, 5), 0);
    SKT_EQ(skua_sem_wait(&s, 5, SKUA_NEVER), 0);
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), -EAGAIN);
}

static void check_misuse(void)
{
    skua_sem s = SKUA_SEM_INIT(UINT_MAX);
    SKT_EQ(skua_sem_post(&s, 1), -EINVAL);
    SKT_EQ(skua_sem_post(&s, UINT_MAX), -EINVAL);
    SKT_EQ(skua_sem_post(&s, 0), 0);
    SKT_EQ(skua_sem_wait(&s, UINT_MAX, SKUA_NOW), 0); /* it was unchanged */
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_post(&s, UINT_MAX - 1), 0);
    SKT_EQ(skua_sem_post(&s, 2), -EINVAL);
    SKT_EQ(skua_sem_post(&s, 1), 0);
    SKT_EQ(skua_sem_wait(&s, UINT_MAX, SKUA_NOW), 0);
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), -EAGAIN);
}

/* Goal: counts within their bounds, and every end of a wait. */
RT_TEST(sem, alone)
{
    skua_sem s = SKUA_SEM_INIT(0);
    check_counts();
    check_misuse();
    sy_check_ends(take_one, &s);
    SKT_EQ(skua_sem_post(&s, 1), 0);
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), 0); /* none of them has taken it */
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(sem, thread)
{
    skua_sem s = SKUA_SEM_INIT(0);
    check_counts();
    check_misuse();
    sy_check_stop(take_one, &s, workers);
    rt_start(workers);
    check_counts();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- order ---- */

struct line {
    skua_sem sem;
    _Atomic(int) served;
};

struct wish {
    struct line *line;
    unsigned n;
    int turn; /* negative: any */
    skua_time dl;
};

static int take_and_count(void *arg)
{
    const struct wish *w = arg;
    int rc = skua_sem_wait(&w->line->sem, w->n, w->dl);
    int turn = rc == 0 ? atomic_fetch_add(&w->line->served, 1) : -1;
    if (rc == 0 && w->turn >= 0)
        SKT_EQ(turn, w->turn);
    return rc;
}

/* Goal: in order of arrival: little does not overtake much, also not by a call that comes now. */
RT_TEST(sem, order_of_arrival)
{
    static const unsigned wants[] = {2, 7, 1, 3};
    struct line line = {.sem = SKUA_SEM_INIT(1)};
    struct wish wishes[4];
    skua_task *tasks[4];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < 4; i++) {
        wishes[i] = (struct wish){&line, wants[i], i, SKUA_NEVER};
        tasks[i] = sy_spawn_waiting(&s, take_and_count, &wishes[i]);
    }
    SKT_EQ(skua_sem_wait(&line.sem, 1, SKUA_NOW), -EAGAIN); /* there is one, but some wait */
    SKT_EQ(skua_sem_post(&line.sem, 1), 0);
    RT_UNTIL(atomic_load(&line.served) == 1);
    for (int i = 0; i < 6; i++) {
        SKT_EQ(skua_sem_post(&line.sem, 1), 0);
        SKT_EQ(skua_sem_wait(&line.sem, 1, SKUA_NOW), -EAGAIN);
        skua_yield();
        SKT_EQ(atomic_load(&line.served), 1);
    }
    SKT_EQ(skua_sem_post(&line.sem, 1), 0);
    SKT_EQ(sy_result(tasks[1]), 0);
    SKT_EQ(atomic_load(&line.served), 2);
    SKT_EQ(skua_sem_post(&line.sem, 1), 0);
    SKT_EQ(sy_result(tasks[2]), 0);
    SKT_EQ(skua_sem_post(&line.sem, 3 + 2), 0);
    sy_close(&s);
    skua_task_unref(tasks[0]);
    skua_task_unref(tasks[3]);
    SKT_EQ(skua_sem_wait(&line.sem, 3, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_wait(&line.sem, 2, SKUA_NOW), 0);
}

/* Goal: one post serves many, in order. */
static void serve_many(void)
{
    enum { MANY = 30 };
    struct line line = {.sem = SKUA_SEM_INIT(0)};
    struct wish wishes[MANY];
    skua_task *tasks[MANY];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < MANY; i++) {
        wishes[i] = (struct wish){&line, 2, i, SKUA_NEVER};
        tasks[i] = sy_spawn_waiting(&s, take_and_count, &wishes[i]);
    }
    SKT_EQ(skua_sem_post(&line.sem, 2 * MANY), 0);
    sy_close(&s);
    for (int i = 0; i < MANY; i++)
        skua_task_unref(tasks[i]);
}

SKT_TEST(sem, serves_many)
{
    rt_run(1, serve_many);
}

/* Goal: who wants much and gives up lets those behind it go, if there is enough for them. */
RT_TEST(sem, big_one_leaves)
{
    for (int cancels = 0; cancels < 2; cancels++) {
        struct line line = {.sem = SKUA_SEM_INIT(3)};
        struct wish big = {&line, 9, -1, cancels ? SKUA_NEVER : skua_in(SKUA_MS(20))};
        struct wish small[3];
        skua_task *tasks[3];
        skua_scope s;
        sy_open(&s);
        skua_task *task = sy_spawn_waiting(&s, take_and_count, &big);
        for (int i = 0; i < 3; i++) {
            small[i] = (struct wish){&line, 1 + (unsigned)i, -1, SKUA_NEVER};
            tasks[i] = sy_spawn_waiting(&s, take_and_count, &small[i]);
        }
        if (cancels) {
            SKT_EQ(atomic_load(&line.served), 0);
            SKT_EQ(skua_cancel(task), 1);
        }
        SKT_EQ(sy_result(task), cancels ? -ECANCELED : -ETIMEDOUT);
        RT_UNTIL(atomic_load(&line.served) == 2); /* 1 + 2 of 3 */
        SKT_EQ(skua_sem_post(&line.sem, 3), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), cancels ? 0 : -ETIMEDOUT);
        for (int i = 0; i < 3; i++)
            skua_task_unref(tasks[i]);
        SKT_EQ(skua_sem_wait(&line.sem, 1, SKUA_NOW), -EAGAIN);
    }
}

/* ---- many ---- */

enum { ROOM = 5 };

struct room {
    skua_sem sem;
    _Atomic(int) inside, through;
    uint64_t rounds;
};

static int enter_often(void *arg)
{
    struct room *r = arg;
    for (uint64_t i = 0; i < r->rounds; i++) {
        int n = 1 + (int)(i % ROOM);
        SKT_EQ(skua_sem_wait(&r->sem, (unsigned)n, SKUA_NEVER), 0);
        SKT_LE(atomic_fetch_add(&r->inside, n) + n, ROOM);
        if (i % 8 == 0)
            rt_pause();
        atomic_fetch_sub(&r->inside, n);
        SKT_EQ(skua_sem_post(&r->sem, (unsigned)n), 0);
    }
    atomic_fetch_add(&r->through, 1);
    return 0;
}

static void *enter_often_in_thread(void *arg)
{
    (void)enter_often(arg);
    return NULL;
}

/* Goal: never more than there is, coroutines and threads. */
RT_TEST(sem, bounds)
{
    enum { COROUTINES = 20, THREADS = 2 };
    struct room r = {.sem = SKUA_SEM_INIT(ROOM), .rounds = skt_scaled(200)};
    pthread_t threads[THREADS];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(enter_often_in_thread, &r);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&s, enter_often, &r), 0);
    sy_close(&s);
    RT_UNTIL(atomic_load(&r.through) == COROUTINES + THREADS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(skua_sem_wait(&r.sem, ROOM, SKUA_NOW), 0);
    SKT_EQ(skua_sem_wait(&r.sem, 1, SKUA_NOW), -EAGAIN);
}

static int post_one(void *s)
{
    return skua_sem_post(s, 1);
}

/* Goal: once the last wait has returned it may be freed, though the one who posted is still in its
 * call. */
RT_TEST(sem, freed_by_waiter)
{
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        skua_scope s;
        skua_sem *sem = calloc(1, sizeof(*sem));
        sy_open(&s);
        SKT_EQ(skua_spawn(&s, post_one, sem), 0);
        for (uint64_t n = i % 4; n > 0; n--)
            skua_yield();
        SKT_EQ(skua_sem_wait(sem, 1, SKUA_NEVER), 0);
        memset(sem, 0xA5, sizeof(*sem));
        free(sem);
        sy_close(&s);
    }
}

static void post_from_callback(void *s)
{
    SKT_EQ(skua_sem_wait(s, 1, SKUA_NEVER), -EPERM); /* it would wait */
    SKT_EQ(skua_sem_wait(s, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sem_post(s, 2), 0);
    SKT_EQ(skua_sem_wait(s, 1, SKUA_NEVER), 0);
}

/* Goal: a timer's function may post, and take what is there, but not wait. */
RT_TEST(sem, callback)
{
    skua_sem s = SKUA_SEM_INIT(0);
    skua_timer timer;
    SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_US(10)), post_from_callback, &s), 0);
    RT_UNTIL(skua_sem_wait(&s, 1, SKUA_NOW) == 0);
    SKT_EQ(skua_sem_wait(&s, 1, SKUA_NOW), -EAGAIN);
}
