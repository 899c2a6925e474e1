/* tests/unit/sync/test_event.c - a flag that coroutines and threads wait for. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

static void check_waits(void)
{
    skua_event e = SKUA_EVENT_INIT;
    SKT_EQ(skua_event_wait(&e, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_event_wait(&e, rt_past()), -ETIMEDOUT);
    skua_time dl = skua_in(SKUA_MS(2));
    SKT_EQ(skua_event_wait(&e, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_event_wait(&e, -1), -EINVAL);
    SKT_EQ(skua_event_wait(&e, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_event_set(&e), 0);
    SKT_EQ(skua_event_set(&e), 0);
    for (int i = 0; i < 2; i++) { /* it stays set */
        SKT_EQ(skua_event_wait(&e, SKUA_NOW), 0);
        SKT_EQ(skua_event_wait(&e, rt_past()), 0);
        SKT_EQ(skua_event_wait(&e, SKUA_NEVER), 0);
        SKT_EQ(skua_event_wait(&e, -1), -EINVAL); /* a mistake is one all the same */
    }
    SKT_EQ(skua_event_clear(&e), 0);
    SKT_EQ(skua_event_clear(&e), 0);
    SKT_EQ(skua_event_wait(&e, SKUA_NOW), -EAGAIN);
    memset(&e, 0, sizeof(e)); /* all zero is the initial state */
    SKT_EQ(skua_event_wait(&e, skua_in(1000)), -ETIMEDOUT);
}

/* Goal: every deadline, set and unset. */
RT_TEST(event, deadlines)
{
    check_waits();
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(event, thread)
{
    check_waits();
    rt_start(workers);
    check_waits();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    check_waits();
}

struct crowd {
    skua_event event;
    _Atomic(int) woken, gave_up;
};

static int wait_in_crowd(void *arg)
{
    struct crowd *c = arg;
    SKT_EQ(skua_event_wait(&c->event, SKUA_NEVER), 0);
    atomic_fetch_add(&c->woken, 1);
    return 0;
}

static int give_up_in_crowd(void *arg)
{
    struct crowd *c = arg;
    int rc = skua_event_wait(&c->event, skua_in(SKUA_MS(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
    atomic_fetch_add(&c->gave_up, 1);
    return 0;
}

static void *wait_in_thread(void *arg)
{
    (void)wait_in_crowd(arg);
    return NULL;
}

/* Goal: a set wakes all who wait, many of them, coroutines and threads; others had given up. */
RT_TEST(event, wakes_all)
{
    enum { THREADS = 3, MANY = 300 };
    skua_scope s;
    struct crowd c = {.event = SKUA_EVENT_INIT};
    pthread_t threads[THREADS];
    open_scope(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(wait_in_thread, &c);
    for (int i = 0; i < MANY; i++)
        SKT_EQ(skua_spawn(&s, i % 3 ? wait_in_crowd : give_up_in_crowd, &c), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(3))), -EBUSY);
    RT_UNTIL(atomic_load(&c.gave_up) == MANY / 3);
    SKT_EQ(atomic_load(&c.woken), 0);
    SKT_EQ(skua_event_set(&c.event), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    RT_UNTIL(atomic_load(&c.woken) == MANY - MANY / 3 + THREADS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
}

/* Goal: who waited is woken though the event is cleared at once; who comes after waits. */
RT_TEST(event, rounds)
{
    for (int round = 0; round < 20; round++) {
        skua_scope s;
        struct crowd c = {.event = SKUA_EVENT_INIT};
        open_scope(&s);
        for (int i = 0; i < 70; i++)
            SKT_EQ(skua_spawn(&s, wait_in_crowd, &c), 0);
        SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(2))), -EBUSY);
        SKT_EQ(skua_event_set(&c.event), 0);
        SKT_EQ(skua_event_clear(&c.event), 0);
        SKT_EQ(skua_event_wait(&c.event, skua_in(SKUA_US(100))), -ETIMEDOUT);
        if (round == 0) /* where all have waited by then; else some came too late */
            SKT_EQ(skua_event_set(&c.event), 0);
        RT_UNTIL(skua_event_set(&c.event) == 0 && atomic_load(&c.woken) == 70);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

struct exact {
    skua_event event;
    _Atomic(int) woken;
};

static int wait_exactly(void *arg)
{
    struct exact *x = arg;
    SKT_EQ(skua_event_wait(&x->event, SKUA_NEVER), 0);
    atomic_fetch_add(&x->woken, 1);
    SKT_EQ(skua_event_wait(&x->event, SKUA_NEVER), 0); /* the next round */
    atomic_fetch_add(&x->woken, 1000);
    return 0;
}

static void two_rounds(void)
{
    skua_scope s;
    struct exact x = {.woken = 0};
    skua_task *tasks[100];
    open_scope(&s);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_spawn_opts(&s, wait_exactly, &x, NULL, &tasks[i]), 0);
    for (int i = 0; i < 100; i++) {
        RT_UNTIL(rt_is_waiting(tasks[i]));
        skua_task_unref(tasks[i]);
    }
    SKT_EQ(skua_event_set(&x.event), 0);
    SKT_EQ(skua_event_clear(&x.event), 0);
    RT_UNTIL(atomic_load(&x.woken) == 100); /* each once: none was woken into the second round */
    for (int i = 0; i < 20; i++)
        skua_yield();
    SKT_EQ(atomic_load(&x.woken), 100);
    SKT_EQ(skua_event_set(&x.event), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x.woken), 100 + 100 * 1000);
}

SKT_TEST(event, round_is_exact)
{
    rt_run(1, two_rounds);
}

static int wait_cancelled(void *arg)
{
    SKT_EQ(skua_event_wait(arg, SKUA_NEVER), -ECANCELED);
    return -ECANCELED;
}

/* Goal: a cancelled waiter leaves; those who stay are woken. */
RT_TEST(event, cancelled)
{
    skua_scope s, stay;
    struct crowd c = {.event = SKUA_EVENT_INIT};
    open_scope(&stay);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&stay, wait_in_crowd, &c), 0);
    open_scope(&s);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&s, wait_cancelled, &c.event), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(1))), -EBUSY);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_event_set(&c.event), 0);
    SKT_EQ(skua_scope_close(&stay, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&c.woken), 20);
}

static int set_it(void *event)
{
    SKT_EQ(skua_event_set(event), 0);
    return 0;
}

static void *set_in_thread(void *event)
{
    SKT_EQ(skua_event_set(event), 0);
    return NULL;
}

/* Goal: once a wait has returned the event may be freed, though the setter is still in its call. */
RT_TEST(event, freed_by_waiter)
{
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        skua_scope s;
        skua_event *e = calloc(1, sizeof(*e));
        pthread_t thread = 0;
        bool by_thread = i % 50 == 0;
        open_scope(&s);
        if (by_thread)
            thread = rt_thread(set_in_thread, e);
        else
            SKT_EQ(skua_spawn(&s, set_it, e), 0);
        for (uint64_t n = i % 4; n > 0; n--)
            skua_yield();
        SKT_EQ(skua_event_wait(e, SKUA_NEVER), 0);
        memset(e, 0xA5, sizeof(*e));
        free(e);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        if (by_thread)
            rt_thread_join(thread);
    }
}

static int hand_over(void *arg)
{
    skua_event *pair = arg;
    for (uint64_t i = skt_scaled(2000); i > 0; i--) {
        SKT_EQ(skua_event_wait(&pair[0], SKUA_NEVER), 0);
        SKT_EQ(skua_event_clear(&pair[0]), 0);
        SKT_EQ(skua_event_set(&pair[1]), 0);
    }
    return 0;
}

static void *ping_in_thread(void *arg)
{
    skua_event *pair = arg;
    for (uint64_t i = skt_scaled(2000); i > 0; i--) {
        SKT_EQ(skua_event_set(&pair[0]), 0);
        SKT_EQ(skua_event_wait(&pair[1], skua_in(RT_PATIENCE_NS)), 0);
        SKT_EQ(skua_event_clear(&pair[1]), 0);
    }
    return NULL;
}

/* Goal: a coroutine and a plain thread wake each other, and no wake is lost. */
RT_THREAD_TEST(event, thread_and_coroutine)
{
    skua_event pair[2] = {SKUA_EVENT_INIT, SKUA_EVENT_INIT};
    rt_start(workers);
    pthread_t thread = rt_thread(ping_in_thread, pair);
    SKT_EQ(skua_call(hand_over, pair, SKUA_NEVER), 0);
    rt_thread_join(thread);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: what the setter wrote before is seen after. */
static int published;

static int publish(void *event)
{
    published = 42;
    SKT_EQ(skua_event_set(event), 0);
    return 0;
}

RT_TEST(event, publishes)
{
    for (int i = 0; i < 200; i++) {
        skua_scope s;
        skua_event e = SKUA_EVENT_INIT;
        published = 0;
        open_scope(&s);
        SKT_EQ(skua_spawn(&s, publish, &e), 0);
        SKT_EQ(skua_event_wait(&e, SKUA_NEVER), 0);
        SKT_EQ(published, 42);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}
