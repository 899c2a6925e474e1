/* tests/unit/runtime/test_sleep.c - sleeping, and timers that call a function. */
#include <skua/skua.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static int sleep_for(void *arg)
{
    int64_t ns = *(int64_t *)arg;
    skua_time start = skua_now();
    SKT_EQ(skua_sleep(ns), 0);
    SKT_GE(skua_now(), start + ns);
    start = skua_now();
    SKT_EQ(skua_sleep_until(start + ns), 0);
    SKT_GE(skua_now(), start + ns);
    return 0;
}

/* Goal: 0 after the time, never before it; any time in the past, and nothing, is a yield. */
RT_TEST(sleep, lasts)
{
    static int64_t lengths[] = {1, 1000, SKUA_MS(1), SKUA_MS(5), 0, -1, INT64_MIN};
    static const skua_time past[] = {0, 1, -1, INT64_MIN};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int n = 0; n < 5; n++)
        for (int i = 0; i < 4; i++)
            SKT_EQ(skua_spawn(&s, sleep_for, &lengths[i]), 0);
    for (int i = 0; i < 7; i++) {
        SKT_EQ(skua_sleep(lengths[i]), 0);
        if (i < 4)
            SKT_EQ(skua_sleep_until(past[i]), 0);
    }
    SKT_EQ(skua_sleep_until(skua_now() - 1), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: the scope's deadline ends it with -ETIMEDOUT, and only where it comes first. */
RT_TEST(sleep, deadline)
{
    skua_scope s;
    skua_time dl = skua_in(SKUA_MS(3));
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, dl), 0);
    SKT_EQ(skua_sleep_until(dl - SKUA_MS(2)), 0);
    SKT_EQ(skua_sleep(SKUA_S(1000)), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_sleep(SKUA_S(1000)), -ETIMEDOUT);
    SKT_EQ(skua_sleep_until(SKUA_NEVER), -ETIMEDOUT);
    SKT_EQ(skua_sleep(INT64_MAX), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int sleep_long(void *arg)
{
    (void)arg;
    SKT_EQ(skua_sleep_until(SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_sleep(SKUA_S(1000)), -ECANCELED);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    return 0;
}

RT_TEST(sleep, cancelled)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, sleep_long, NULL), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(1))), -EBUSY);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
}

struct wakes {
    skua_time when;
    skua_time woke;
};

static int sleep_until_mine(void *arg)
{
    struct wakes *w = arg;
    SKT_EQ(skua_sleep_until(w->when), 0);
    w->woke = skua_now();
    SKT_GE(w->woke, w->when);
    return 0;
}

/* Goal: many sleepers with many ends. */
RT_TEST(sleep, many)
{
    enum { MANY = 2000 };
    static struct wakes wakes[MANY];
    skua_scope s;
    skua_time start = skua_now();
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < MANY; i++) {
        wakes[i].when = start + (i * 7919) % 20000 * 1000;
        SKT_EQ(skua_spawn(&s, sleep_until_mine, &wakes[i]), 0);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: a plain thread sleeps, without a runtime too. */
SKT_TEST(sleep, plain_thread)
{
    int64_t ns = SKUA_MS(2);
    sleep_for(&ns);
    SKT_EQ(skua_sleep(0), 0);
    SKT_EQ(skua_sleep_until(-5), 0);
    rt_start(1);
    sleep_for(&ns);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- timers ---- */

struct call {
    skua_timer timer;
    skua_time when, called;
    _Atomic(int) calls;
    skua_event done;
};

static void note(void *arg)
{
    struct call *c = arg;
    c->called = skua_now();
    SKT_NULL(skua_self());
    SKT_EQ(skua_id(), 0);
    SKT_LT(skua_worker(), skua_workers());
    atomic_fetch_add(&c->calls, 1);
    SKT_EQ(skua_event_set(&c->done), 0);
}

/* Goal: called once, not before its time; in the past, negative ones too, at once. */
RT_TEST(timer_call, at_its_time)
{
    static const int64_t from_now[] = {SKUA_MS(3), 0, -SKUA_S(1)};
    static const skua_time absolute[] = {0, -1, INT64_MIN};
    for (int i = 0; i < 6; i++) {
        struct call c = {.when = i < 3 ? skua_in(from_now[i]) : absolute[i - 3]};
        SKT_EQ(skua_timer_start(&c.timer, c.when, note, &c), 0);
        SKT_EQ(skua_event_wait(&c.done, SKUA_NEVER), 0);
        SKT_GE(c.called, c.when);
        SKT_EQ(skua_timer_stop(&c.timer), 0);
        SKT_EQ(skua_sleep(1000), 0);
        SKT_EQ(atomic_load(&c.calls), 1);
    }
    struct call c;
    SKT_EQ(skua_timer_start(&c.timer, SKUA_NOW, NULL, &c), -EINVAL);
}

/* Goal: stop gives 1 and the function does not run, or 0 and it has or does. */
RT_TEST(timer_call, stop)
{
    struct call c = {.when = 0};
    SKT_EQ(skua_timer_start(&c.timer, SKUA_NEVER, note, &c), 0);
    SKT_EQ(skua_timer_stop(&c.timer), 1);
    SKT_EQ(skua_timer_stop(&c.timer), 0);
    SKT_EQ(skua_timer_start(&c.timer, skua_in(SKUA_S(1000)), note, &c), 0); /* again */
    SKT_EQ(skua_timer_stop(&c.timer), 1);
    int stopped = 0;
    for (int i = 0; i < 300; i++) {
        SKT_EQ(skua_timer_start(&c.timer, skua_in(i * 500), note, &c), 0);
        for (int n = i % 5; n > 0; n--)
            skua_yield();
        if (skua_timer_stop(&c.timer) == 1)
            stopped++;
        else
            RT_UNTIL(atomic_load(&c.calls) == i + 1 - stopped); /* it may be running just now */
    }
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(atomic_load(&c.calls) + stopped, 300);
}

struct sequence {
    int calls[32];
    _Atomic(int) count;
};

static struct sequence seq;

static void note_number(void *arg)
{
    int at = atomic_load(&seq.count); /* one worker calls them all */
    seq.calls[at] = (int)(intptr_t)arg;
    atomic_store(&seq.count, at + 1);
}

/* Goal: those of one worker are called in the order of their times. */
RT_TEST(timer_call, order)
{
    skua_timer timers[32];
    skua_time start = skua_in(SKUA_MS(2));
    atomic_store(&seq.count, 0);
    skua_pin();
    for (int i = 0; i < 32; i++) {
        int n = i * 13 % 32;
        SKT_EQ(skua_timer_start(&timers[n], start + n * 1000, note_number, (void *)(intptr_t)n), 0);
    }
    skua_unpin();
    RT_UNTIL(atomic_load(&seq.count) == 32);
    for (int i = 0; i < 32; i++)
        SKT_EQ(seq.calls[i], i);
}

static int yield_long(void *arg)
{
    (void)arg;
    return 0;
}

/* Goal: a function that would wait gets -EPERM from everything; what need not wait works. */
static void try_to_wait(void *arg)
{
    struct call *c = arg;
    skua_event unset = SKUA_EVENT_INIT;
    skua_wg g = SKUA_WG_INIT;
    skua_scope s;
    SKT_EQ(skua_wg_add(&g, 1), 0);
    SKT_EQ(skua_event_wait(&unset, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_event_wait(&unset, skua_in(SKUA_MS(1))), -EPERM);
    SKT_EQ(skua_event_wait(&unset, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_wg_wait(&g, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_sleep(SKUA_MS(1)), -EPERM);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_shield(1), -EPERM);
    SKT_EQ(skua_set_name("timer"), -EPERM);
    SKT_EQ(skua_stop(SKUA_NEVER), -EPERM);
    SKT_EQ(skua_call(yield_long, NULL, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_event_set(&unset), 0);
    SKT_EQ(skua_event_wait(&unset, SKUA_NEVER), 0);
    SKT_EQ(skua_wg_done(&g), 0);
    SKT_EQ(skua_wg_wait(&g, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, yield_long, NULL), 0);
    note(c);
}

RT_TEST(timer_call, must_not_wait)
{
    struct call c = {.when = 0};
    SKT_EQ(skua_timer_start(&c.timer, skua_in(1000), try_to_wait, &c), 0);
    SKT_EQ(skua_event_wait(&c.done, SKUA_NEVER), 0);
}

struct restart {
    skua_timer timer, victim;
    int left;
    skua_event done;
};

static void never_called(void *arg)
{
    SKT_FAIL("called though stopped: %p", arg);
}

static void start_again(void *arg)
{
    struct restart *r = arg;
    memset(&r->timer, 0x5A, sizeof(r->timer)); /* it is fn's now */
    SKT_EQ(skua_timer_start(&r->victim, skua_in(SKUA_S(1000)), never_called, r), 0);
    SKT_EQ(skua_timer_stop(&r->victim), 1);
    if (r->left-- > 0)
        SKT_EQ(skua_timer_start(&r->timer, skua_in(r->left % 2 ? 1000 : -1), start_again, r), 0);
    else
        SKT_EQ(skua_event_set(&r->done), 0);
}

static void free_it(void *arg)
{
    struct call *c = arg;
    skua_event *done = (skua_event *)(void *)c->called;
    free(c);
    SKT_EQ(skua_event_set(done), 0);
}

/* Goal: fn may start its timer again, stop others, and free the timer's memory. */
RT_TEST(timer_call, owns_its_memory)
{
    struct restart r = {.left = 50};
    skua_event done = SKUA_EVENT_INIT;
    SKT_EQ(skua_timer_start(&r.timer, SKUA_NOW, start_again, &r), 0);
    SKT_EQ(skua_event_wait(&r.done, SKUA_NEVER), 0);
    struct call *c = calloc(1, sizeof(*c));
    c->called = (skua_time)(intptr_t)&done;
    SKT_EQ(skua_timer_start(&c->timer, skua_in(1000), free_it, c), 0);
    SKT_EQ(skua_event_wait(&done, SKUA_NEVER), 0);
}

static int yield_until_called(void *arg)
{
    struct call *c = arg;
    RT_UNTIL(atomic_load(&c->calls) != 0);
    return 0;
}

/* Goal: coroutines that do nothing but yield do not keep timers waiting. */
RT_TEST(timer_call, not_starved)
{
    skua_scope s;
    struct call c = {.when = 0};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, yield_until_called, &c), 0);
    SKT_EQ(skua_timer_start(&c.timer, skua_in(SKUA_MS(2)), note, &c), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static void count(void *calls)
{
    atomic_fetch_add((_Atomic(int) *)calls, 1);
}

/* A timer that is to come in so many nanoseconds is left to a stop. False: it came before. */
static bool is_dropped_by_stop(unsigned workers, int64_t ns)
{
    skua_timer timer;
    _Atomic(int) calls = 0;
    rt_start(workers);
    skua_time when = skua_in(ns);
    SKT_EQ(skua_timer_start(&timer, when, count, (void *)&calls), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    int before = atomic_load(&calls);
    SKT_EQ(skua_timer_stop(&timer), before == 0);
    rt_start(workers);
    SKT_EQ(skua_timer_stop(&timer), before == 0);
    RT_UNTIL(skua_now() > when + SKUA_MS(10));
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls), before);
    return before == 0;
}

/* Goal: a plain thread starts and stops timers; stop and restart of the runtime drop them. */
RT_THREAD_TEST(timer_call, plain_thread)
{
    struct call c = {.when = skua_in(SKUA_MS(1))};
    SKT_EQ(skua_timer_start(&c.timer, c.when, note, &c), -ESHUTDOWN);
    rt_start(workers);
    SKT_EQ(skua_timer_start(&c.timer, c.when, note, &c), 0);
    SKT_EQ(skua_event_wait(&c.done, SKUA_NEVER), 0);
    SKT_EQ(skua_timer_stop(&c.timer), 0);
    SKT_EQ(skua_timer_start(&c.timer, skua_in(SKUA_S(1000)), never_called, &c), 0);
    SKT_EQ(skua_timer_stop(&c.timer), 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_timer_start(&c.timer, SKUA_NOW, note, &c), -ESHUTDOWN);
    for (int64_t ns = SKUA_MS(50); !is_dropped_by_stop(workers, ns); ns *= 2)
        SKT_LT(ns, RT_PATIENCE_NS);
}
