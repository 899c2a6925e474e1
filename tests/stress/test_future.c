/* Futures that everybody settles, waits for and lets go of at once: each is settled once, whoever is
 * told of it is told the same, every function is called once, and nobody is left waiting.
 * Method: in each round rivals settle all futures in orders of their own, with values that are a
 * function of place and rival. Others get them, gather them and wait for any of them meanwhile, with
 * deadlines that are about to pass or none at all, some of them cancelled. Each holds references of
 * its own, so that the last one goes anywhere. */
#include <pthread.h>

#include "tests/stress/stress.h"

enum {
    FUTURES = 24,
    RIVALS = 3,
    GETTERS = 4,
    GATHERERS = 3,
    CALLERS = 2,
    VECTOR = 40, /* more than lie on a stack */
    VALUE_WORDS = 32,
};

struct round {
    skua_future *v[FUTURES];
    _Atomic(uint64_t) x_settled[FUTURES]; /* by which rival: 1 ... */
    _Atomic(uint32_t) x_won, x_set, x_called;
    _Atomic(uint64_t) *x_random;
};

static struct {
    _Atomic(uint64_t) x_got, x_failed, x_cancelled, x_timed_out, x_ended_early;
} outcomes;

static uint64_t new_random(struct round *r)
{
    return st_seed(atomic_fetch_add(r->x_random, 1));
}

static void ref_all(struct round *r, skua_future **mine)
{
    for (int i = 0; i < FUTURES; i++)
        mine[i] = skua_future_ref(r->v[i]);
}

static void unref_all(skua_future **mine, uint64_t *random)
{
    uint32_t first = st_random(random);
    for (uint32_t i = 0; i < FUTURES; i++)
        skua_future_unref(mine[(first + i) % FUTURES]);
}

static void give_way(uint64_t *random)
{
    if (st_random(random) % 4 == 0)
        skua_yield();
}

/* What the rival makes of the future: a value, or one of two ends without. */
static int verdict(uint64_t rival, uint64_t at)
{
    uint64_t n = st_seed(rival * 1000 + at) >> 40;
    return n % 16 == 0 ? -ECANCELED : n % 16 == 1 ? -(int)(10 + rival) : 0;
}

static uint64_t word_of(uint64_t rival, uint64_t at, uint64_t i)
{
    return st_seed(rival << 32 | at << 16 | i);
}

static int settle(skua_future *f, uint64_t rival, uint64_t at)
{
    uint64_t value[VALUE_WORDS];
    int how = verdict(rival, at);
    if (how == -ECANCELED)
        return skua_future_cancel(f);
    if (how < 0)
        return skua_future_fail(f, how);
    for (uint64_t i = 0; i < VALUE_WORDS; i++)
        value[i] = word_of(rival, at, i);
    int rc = skua_future_set(f, value);
    memset(value, 0xA5, sizeof(value)); /* it was copied */
    return rc;
}

struct rival {
    struct round *round;
    uint64_t number; /* 1 ... */
};

static int run_rival(void *arg)
{
    const struct rival *rival = arg;
    struct round *r = rival->round;
    uint64_t random = new_random(r);
    skua_future *mine[FUTURES];
    ref_all(r, mine);
    uint32_t first = st_random(&random);
    for (uint32_t i = 0; i < FUTURES; i++) {
        uint32_t at = (first + i * 5) % FUTURES;
        give_way(&random);
        int rc = settle(mine[at], rival->number, at);
        SKT_TRUE(rc == 0 || rc == -EINVAL);
        if (rc != 0)
            continue;
        atomic_fetch_add(&r->x_won, 1);
        SKT_EQ(atomic_exchange(&r->x_settled[at], rival->number), 0);
    }
    unref_all(mine, &random);
    return 0;
}

/* ---- Those who wait. */

static skua_time pick_deadline(uint64_t *random)
{
    uint32_t r = st_random(random);
    return r % 4 == 0 ? SKUA_NOW : r % 4 == 1 ? skua_in((int64_t)(r / 4 % 20000)) : SKUA_NEVER;
}

/* The caller's own wait ended early; or, for -ECANCELED, the future was cancelled. */
static bool is_early(int rc)
{
    return rc == -EAGAIN || rc == -ETIMEDOUT || (rc == -ECANCELED && skua_cancelled());
}

static void check_value(const uint64_t *value, uint64_t at)
{
    for (uint64_t rival = 1; rival <= RIVALS; rival++) {
        uint64_t same = 0;
        for (uint64_t i = 0; i < VALUE_WORDS; i++)
            same += value[i] == word_of(rival, at, i);
        if (same == VALUE_WORDS && verdict(rival, at) == 0)
            return;
        SKT_EQ(same, 0); /* of one rival, or of another, never of two */
    }
    SKT_FAIL("future %lu has a value that nobody gave it", (unsigned long)at);
}

static void count_outcome(int rc)
{
    atomic_fetch_add(rc >= 0            ? &outcomes.x_got
                     : rc == -ECANCELED ? &outcomes.x_cancelled
                     : rc == -ETIMEDOUT ? &outcomes.x_timed_out
                     : rc == -EAGAIN    ? &outcomes.x_ended_early
                                        : &outcomes.x_failed,
                     1);
}

static int run_getter(void *arg)
{
    struct round *r = arg;
    uint64_t random = new_random(r), value[VALUE_WORDS];
    skua_future *mine[FUTURES];
    ref_all(r, mine);
    for (uint32_t left = 2 * FUTURES; left > 0 && !skua_cancelled(); left--) {
        uint32_t at = st_random(&random) % FUTURES;
        int rc = skua_future_get(mine[at], value, pick_deadline(&random));
        count_outcome(rc);
        if (rc == 0)
            check_value(value, at);
        else if (!is_early(rc))
            SKT_EQ(skua_future_get(mine[at], value, SKUA_NOW), rc); /* it is so for ever */
    }
    unref_all(mine, &random);
    return 0;
}

static void check_gathered(int rc, skua_future *const *v, size_t n)
{
    if (rc == 0) {
        for (size_t i = 0; i < n; i++)
            SKT_EQ(skua_future_get(v[i], NULL, SKUA_NOW), 0);
    } else if (!is_early(rc)) {
        size_t i = 0;
        while (i < n && skua_future_get(v[i], NULL, SKUA_NOW) != rc)
            i++;
        SKT_LT(i, n); /* one of them says so */
    }
}

static int run_gatherer(void *arg)
{
    struct round *r = arg;
    uint64_t random = new_random(r);
    skua_future *mine[FUTURES], *v[VECTOR];
    ref_all(r, mine);
    for (int left = 6; left > 0 && !skua_cancelled(); left--) {
        size_t n = 1 + st_random(&random) % VECTOR;
        for (size_t i = 0; i < n; i++)
            v[i] = mine[st_random(&random) % FUTURES];
        int rc = skua_gather(v, n, pick_deadline(&random));
        count_outcome(rc);
        check_gathered(rc, v, n);
        rc = skua_wait_any(v, n, pick_deadline(&random));
        count_outcome(rc);
        if (rc >= 0)
            SKT_GE(skua_future_state(v[rc]), SKUA_DONE);
        else
            SKT_TRUE(is_early(rc));
    }
    unref_all(mine, &random);
    return 0;
}

static void note_call(skua_future *f, void *arg)
{
    struct round *r = arg;
    SKT_NULL(skua_self());
    SKT_GE(skua_future_state(f), SKUA_DONE);
    atomic_fetch_add(&r->x_called, 1);
    skua_future_unref(f); /* the caller's */
}

static int run_caller(void *arg)
{
    struct round *r = arg;
    uint64_t random = new_random(r);
    skua_future *mine[FUTURES];
    ref_all(r, mine);
    for (int i = 0; i < FUTURES; i++) {
        skua_future *f = mine[st_random(&random) % FUTURES];
        give_way(&random);
        SKT_EQ(skua_future_on_done(skua_future_ref(f), note_call, r), 0);
        atomic_fetch_add(&r->x_set, 1);
    }
    unref_all(mine, &random);
    return 0;
}

/* ---- Rounds. */

static void *rival_in_thread(void *arg)
{
    run_rival(arg);
    return NULL;
}

static void *getter_in_thread(void *arg)
{
    run_getter(arg);
    return NULL;
}

static void run_round(_Atomic(uint64_t) *x_random, bool has_threads)
{
    struct round r = {.x_random = x_random};
    struct rival rivals[RIVALS];
    skua_scope s, hurried;
    skua_task *task;
    pthread_t threads[2];
    uint64_t random = new_random(&r);
    for (int i = 0; i < FUTURES; i++)
        SKT_EQ(skua_future_new(&r.v[i], sizeof(uint64_t) * VALUE_WORDS), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (uint64_t i = 0; i < RIVALS; i++)
        rivals[i] = (struct rival){&r, i + 1};
    if (has_threads) {
        SKT_EQ(pthread_create(&threads[0], NULL, rival_in_thread, &rivals[0]), 0);
        SKT_EQ(pthread_create(&threads[1], NULL, getter_in_thread, &r), 0);
    }
    for (int i = 0; i < CALLERS; i++)
        SKT_EQ(skua_spawn(&s, run_caller, &r), 0);
    for (int i = 0; i < GETTERS; i++)
        SKT_EQ(skua_spawn(&s, run_getter, &r), 0);
    for (int i = has_threads; i < RIVALS; i++)
        SKT_EQ(skua_spawn(&s, run_rival, &rivals[i]), 0);
    SKT_EQ(skua_scope_open(&hurried, SKUA_COLLECT, skua_in(st_random(&random) % 50000)), 0);
    for (int i = 0; i < GATHERERS; i++) {
        SKT_EQ(skua_spawn_opts(&hurried, i ? run_gatherer : run_getter, &r, NULL, &task), 0);
        give_way(&random);
        if (st_random(&random) % 4 == 0)
            skua_cancel(task);
        skua_task_unref(task);
    }
    SKT_EQ(skua_spawn(&s, run_gatherer, &r), 0);
    SKT_EQ(skua_scope_close(&hurried, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; has_threads && i < 2; i++)
        pthread_join(threads[i], NULL);
    SKT_EQ(atomic_load(&r.x_won), FUTURES);
    SKT_EQ(atomic_load(&r.x_called), atomic_load(&r.x_set));
    SKT_EQ(atomic_load(&r.x_set), CALLERS * FUTURES);
    for (uint64_t i = 0; i < FUTURES; i++) {
        int how = verdict(atomic_load(&r.x_settled[i]), i);
        SKT_EQ(skua_future_get(r.v[i], NULL, SKUA_NOW), how);
        skua_future_unref(r.v[i]);
    }
}

static int run_rounds(void *arg)
{
    uint64_t rounds = *(uint64_t *)arg;
    _Atomic(uint64_t) random = 0;
    for (uint64_t i = 0; i < rounds; i++)
        run_round(&random, i % 16 == 0);
    return 0;
}

static bool is_race(uint64_t rounds)
{
    return atomic_load(&outcomes.x_got) > rounds && atomic_load(&outcomes.x_failed) > rounds / 10 &&
           atomic_load(&outcomes.x_cancelled) > rounds / 10 &&
           atomic_load(&outcomes.x_ended_early) > 0;
}

/* Until enough waits have had each end. */
static void race(unsigned workers, uint64_t rounds)
{
    memset(&outcomes, 0, sizeof(outcomes));
    for (skua_time end = st_patience(); !is_race(rounds) && skua_now() < end;)
        st_run(run_rounds, &rounds, workers);
    SKT_TRUE(is_race(rounds));
}

SKT_TEST(stress, futures_on_one_worker)
{
    race(1, skt_scaled(10000));
}

SKT_TEST(stress, futures_on_two_workers)
{
    race(2, skt_scaled(15000));
}

SKT_TEST(stress, futures_on_eight_workers)
{
    race(8, skt_scaled(10000));
}
