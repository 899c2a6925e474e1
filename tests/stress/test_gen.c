/* Suspended generators that wander through a channel between coroutines on all workers, fibers of
 * these, and plain threads: each hands out its values in order, takes in what was sent for just that
 * place, and is unwound once, wherever it is freed.
 * Method: whoever holds a generator knows how many values have come, and so what comes next. Bodies
 * wait between their yields, have children, fibers and generators of their own, and keep what they
 * know on their stacks. Drivers are cancelled meanwhile, in the body too. */
#include <pthread.h>

#include "tests/stress/lives.h"

enum {
    GENERATORS = 48,
    DRIVERS = 12,
    THREADS = 2,
    BALLAST = 64,
};

struct walker {
    skua_gen *g;
    uint64_t seed, yields, at; /* the next value's place */
    bool inner;
    _Atomic(uint32_t) x_ends;
};

struct value {
    uint64_t words[3];
};

static struct {
    struct walker walkers[GENERATORS];
    skua_chan *ready;
    _Atomic(int64_t) x_left; /* lives of generators to go */
    _Atomic(uint64_t) x_random, x_ended, x_freed, x_cancelled;
} all;

static struct value value_of(uint64_t seed, uint64_t at)
{
    return (struct value){{seed ^ at, at * 3, st_seed(seed + at)}};
}

static uint64_t answer_to(uint64_t seed, uint64_t at)
{
    return st_seed(seed * 7 + at);
}

static int nothing(void *arg)
{
    atomic_fetch_add((_Atomic(uint32_t) *)arg, 1);
    return 0;
}

static void have_children(void)
{
    skua_scope s;
    _Atomic(uint32_t) x_ran = 0;
    unsigned spawned = 0;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 4; i++)
        spawned += skua_spawn(&s, nothing, &x_ran) == 0;
    int rc = skua_scope_close(&s, SKUA_NEVER);
    SKT_TRUE(rc == 0 || rc == -ECANCELED);
    SKT_EQ(atomic_load(&x_ran), spawned);
}

static void *wait_a_little(void *arg)
{
    skua_yield();
    return arg;
}

static void use_fiber(void)
{
    skua_fiber *f = NULL;
    char here;
    SKT_EQ(skua_fiber_new(&f, wait_a_little, NULL, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &here), &here);
    skua_fiber_free(f);
}

/* Whatever a body may do between two yields. */
static void be_busy(uint64_t *random)
{
    bool in_coroutine = skua_self() != NULL;
    switch (st_random(random) % 8) {
    case 0:
        skua_yield();
        break;
    case 1:
        skua_sleep(st_random(random) % 20000);
        break;
    case 2:
        if (in_coroutine)
            have_children();
        break;
    case 3:
        use_fiber();
        break;
    default:
        break;
    }
}

static int hand_out(skua_gen *g, struct walker *w, uint64_t at)
{
    struct value value = value_of(w->seed, at);
    uint64_t in = 0;
    int rc = skua_gen_yield(g, &value, &in);
    if (rc == 0)
        SKT_EQ(in, answer_to(w->seed, at));
    return rc;
}

static int count_up(skua_gen *g, void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    for (uint64_t i = 0; i < n; i++) {
        if (skua_gen_yield(g, &i, NULL) < 0)
            return -ECANCELED;
        skua_yield();
    }
    return 0;
}

/* The places come from a generator of its own. */
static int walk_by_inner(skua_gen *g, struct walker *w)
{
    skua_gen *places = NULL;
    uint64_t at;
    int rc = skua_gen_new(&places, count_up, &w->yields, sizeof(at), 0);
    SKT_EQ(rc, 0);
    while (rc == 0 && skua_gen_next(places, NULL, &at) == 1)
        rc = hand_out(g, w, at);
    skua_gen_free(places);
    return rc;
}

static int walk(skua_gen *g, void *arg)
{
    struct walker *w = arg;
    uint64_t ballast[BALLAST], random = w->seed;
    int rc = 0;
    for (uint64_t i = 0; i < BALLAST; i++)
        ballast[i] = w->seed + i;
    if (w->inner)
        rc = walk_by_inner(g, w);
    for (uint64_t at = 0; !w->inner && at < w->yields && rc == 0; at++) {
        be_busy(&random);
        rc = hand_out(g, w, at);
    }
    be_busy(&random);
    for (uint64_t i = 0; i < BALLAST; i++)
        SKT_EQ(ballast[i], w->seed + i);
    atomic_fetch_add(&w->x_ends, 1);
    return rc;
}

/* ---- drivers ---- */

static void begin(struct walker *w, uint64_t *random)
{
    w->seed = st_seed(st_random(random));
    w->yields = st_random(random) % 40;
    w->inner = st_random(random) % 4 == 0;
    w->at = 0;
    atomic_store(&w->x_ends, 0);
    SKT_EQ(skua_gen_new(&w->g, walk, w, sizeof(struct value), sizeof(uint64_t)), 0);
}

static void end(struct walker *w, bool has_begun)
{
    skua_gen_free(w->g);
    SKT_EQ(atomic_load(&w->x_ends), has_begun);
    atomic_fetch_sub(&all.x_left, 1);
}

/* One step; false: it has ended. */
static bool step(struct walker *w)
{
    struct value value, expected = value_of(w->seed, w->at);
    uint64_t answer = w->at > 0 ? answer_to(w->seed, w->at - 1) : 0;
    int rc = skua_gen_next(w->g, &answer, &value);
    if (rc != 1) {
        SKT_EQ(rc, 0);
        SKT_EQ(w->at, w->yields);
        SKT_EQ(skua_gen_next(w->g, &answer, &value), 0);
        return false;
    }
    SKT_MEM_EQ(&value, &expected, sizeof(value));
    w->at++;
    return true;
}

static void *some_steps(void *arg)
{
    struct walker *w = arg;
    bool goes_on = true;
    for (int i = 0; i < 3 && goes_on; i++)
        goes_on = step(w);
    return goes_on ? w : NULL;
}

static void drive(struct walker *w, uint64_t *random)
{
    uint32_t how = st_random(random) % 16;
    bool has_begun = w->at > 0 || how >= 2, goes_on = how >= 2;
    skua_fiber *f = NULL;
    if (how == 0) {
        atomic_fetch_add(&all.x_freed, 1);
    } else if (how == 1) {
        /* Thrown in, and the body is done. */
        SKT_EQ(skua_gen_throw(w->g, -EPIPE, NULL), -EPIPE);
    } else if (how < 6) {
        SKT_EQ(skua_fiber_new(&f, some_steps, w, 0), 0);
        goes_on = skua_fiber_switch(f, NULL) != NULL;
        skua_fiber_free(f);
    } else {
        goes_on = some_steps(w) != NULL;
    }
    if (goes_on)
        return;
    atomic_fetch_add(&all.x_ended, 1);
    end(w, has_begun);
    begin(w, random);
}

/* Gives back what it takes, also when it is cancelled. */
static int life(void *arg)
{
    uint64_t random = st_seed(atomic_fetch_add(&all.x_random, 1));
    struct walker *w;
    (void)arg;
    while (atomic_load(&all.x_left) > 0) {
        int rc = skua_chan_recv(all.ready, &w, lives_deadline(&random));
        if (rc == 0) {
            drive(w, &random);
            SKT_EQ(skua_chan_send(all.ready, &w, SKUA_NOW), 0); /* there is room for all */
        }
        if (skua_cancelled()) {
            atomic_fetch_add(&all.x_cancelled, 1);
            return LIVES_GO_ON;
        }
        if (rc < 0)
            skua_yield();
    }
    return LIVES_OVER;
}

static int driver(void *arg)
{
    uint64_t random = st_seed(atomic_fetch_add(&all.x_random, 1));
    return lives_run(life, arg, &random);
}

static void *thread_driver(void *arg)
{
    uint64_t random = st_seed(atomic_fetch_add(&all.x_random, 1));
    struct walker *w;
    while (atomic_load(&all.x_left) > 0) {
        if (skua_chan_recv(all.ready, &w, skua_in(SKUA_MS(1))) < 0)
            continue;
        drive(w, &random);
        SKT_EQ(skua_chan_send(all.ready, &w, SKUA_NOW), 0);
    }
    return arg;
}

static int wander(void *arg)
{
    pthread_t threads[THREADS];
    skua_scope s;
    uint64_t random = st_seed(42);
    (void)arg;
    SKT_EQ(skua_chan_new(&all.ready, sizeof(struct walker *), GENERATORS, 0), 0);
    for (int i = 0; i < GENERATORS; i++) {
        struct walker *w = &all.walkers[i];
        begin(w, &random);
        SKT_EQ(skua_chan_send(all.ready, &w, SKUA_NOW), 0);
    }
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < DRIVERS; i++)
        SKT_EQ(skua_spawn(&s, driver, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        SKT_EQ(pthread_create(&threads[i], NULL, thread_driver, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    SKT_EQ(skua_chan_len(all.ready), (size_t)GENERATORS);
    for (int i = 0; i < GENERATORS; i++)
        end(&all.walkers[i], all.walkers[i].at > 0);
    skua_chan_unref(all.ready);
    return 0;
}

static bool is_race(void)
{
    return atomic_load(&all.x_freed) > 0 && atomic_load(&all.x_cancelled) > 0;
}

static void run(unsigned workers)
{
    atomic_store(&all.x_freed, 0);
    atomic_store(&all.x_cancelled, 0);
    for (skua_time end = st_patience(); !is_race() && skua_now() < end;) {
        atomic_store(&all.x_left, (int64_t)skt_scaled(60000));
        st_run(wander, NULL, workers);
    }
    SKT_TRUE(is_race());
}

/* Goal: none is lost, none runs twice, none forgets where it was. */
SKT_TEST(gen, wander_w1)
{
    run(1);
}

SKT_TEST(gen, wander_w2)
{
    run(2);
}

SKT_TEST(gen, wander_w8)
{
    run(8);
}
