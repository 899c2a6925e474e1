/* tests/unit/sync/test_cond.c - waits for a condition under a mutex. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/sync_test.h"

struct pair {
    skua_mutex mutex;
    skua_cond cond;
};

/* The mutex is held again, whatever the wait returns. */
static int lock_and_wait(void *arg, skua_time dl)
{
    struct pair *p = arg;
    int shield = skua_shield(1);
    SKT_EQ(skua_mutex_lock(&p->mutex, SKUA_NEVER), 0);
    (void)skua_shield(shield > 0); /* as it was; in a plain thread there is none */
    int rc = skua_cond_wait(&p->cond, &p->mutex, dl);
    SKT_EQ(skua_mutex_trylock(&p->mutex), -EDEADLK);
    SKT_EQ(skua_mutex_unlock(&p->mutex), 0);
    return rc;
}

static int wait_for_ever(void *arg)
{
    return lock_and_wait(arg, SKUA_NEVER);
}

static void check_alone(void)
{
    struct pair p = {SKUA_MUTEX_INIT, SKUA_COND_INIT};
    SKT_EQ(skua_cond_wait(&p.cond, &p.mutex, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_cond_wait(&p.cond, &p.mutex, SKUA_NOW), -EPERM);
    SKT_EQ(skua_cond_wait(&p.cond, &p.mutex, -1), -EINVAL);
    SKT_EQ(skua_cond_signal(&p.cond), 0);
    SKT_EQ(skua_cond_broadcast(&p.cond), 0);
    sy_check_deadlines(lock_and_wait, &p); /* what was signalled before is gone */
    SKT_EQ(skua_mutex_lock(&p.mutex, SKUA_NOW), 0);
    SKT_EQ(skua_cond_signal(&p.cond), 0); /* nobody is left in the queue */
    SKT_EQ(skua_cond_wait(&p.cond, &p.mutex, skua_in(SKUA_US(100))), -ETIMEDOUT);
    SKT_EQ(skua_mutex_unlock(&p.mutex), 0);
}

static void *wait_with_anothers_mutex(void *arg)
{
    struct pair *p = arg;
    SKT_EQ(skua_cond_wait(&p->cond, &p->mutex, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_cond_wait(&p->cond, &p->mutex, rt_past()), -EPERM);
    return NULL;
}

static int wait_with_its_mutex(void *arg)
{
    (void)wait_with_anothers_mutex(arg);
    return 0;
}

/* Goal: every end of a wait; the mutex has to be the caller's. */
RT_TEST(cond, alone)
{
    struct pair p = {SKUA_MUTEX_INIT, SKUA_COND_INIT};
    skua_scope s;
    check_alone();
    sy_check_ends(lock_and_wait, &p);
    SKT_EQ(skua_mutex_lock(&p.mutex, SKUA_NEVER), 0);
    sy_open(&s);
    SKT_EQ(skua_spawn(&s, wait_with_its_mutex, &p), 0);
    sy_close(&s);
    rt_thread_join(rt_thread(wait_with_anothers_mutex, &p));
    SKT_EQ(skua_mutex_unlock(&p.mutex), 0);
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(cond, thread)
{
    struct pair p = {SKUA_MUTEX_INIT, SKUA_COND_INIT};
    check_alone();
    sy_check_stop(lock_and_wait, &p, workers);
    rt_start(workers);
    check_alone();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- signals ---- */

enum { WAITERS = 12 };

struct line {
    struct pair pair;
    _Atomic(int) woken;
};

struct place {
    struct line *line;
    int turn;
};

static int wait_for_turn(void *arg)
{
    struct place *p = arg;
    SKT_EQ(wait_for_ever(&p->line->pair), 0);
    SKT_EQ(atomic_fetch_add(&p->line->woken, 1), p->turn);
    return 0;
}

static void stand_in_line(struct line *line, struct place *places, skua_scope *s)
{
    for (int i = 0; i < WAITERS; i++) {
        places[i] = (struct place){line, i};
        skua_task_unref(sy_spawn_waiting(s, wait_for_turn, &places[i]));
    }
}

/* Goal: one signal wakes one, the first. */
RT_TEST(cond, signal_wakes_the_first)
{
    struct line line = {.woken = 0};
    struct place places[WAITERS];
    skua_scope s;
    sy_open(&s);
    stand_in_line(&line, places, &s);
    for (int i = 0; i < WAITERS; i++) {
        SKT_EQ(skua_cond_signal(&line.pair.cond), 0);
        RT_UNTIL(atomic_load(&line.woken) == i + 1);
        for (int n = 0; n < 3; n++)
            skua_yield();
        SKT_EQ(atomic_load(&line.woken), i + 1);
    }
    sy_close(&s);
}

/* Goal: a broadcast wakes all, in order of arrival. */
static void broadcast(void)
{
    for (int holds = 0; holds < 2; holds++) {
        struct line line = {.woken = 0};
        struct place places[WAITERS];
        skua_scope s;
        sy_open(&s);
        stand_in_line(&line, places, &s);
        if (holds)
            SKT_EQ(skua_mutex_lock(&line.pair.mutex, SKUA_NEVER), 0);
        SKT_EQ(skua_cond_broadcast(&line.pair.cond), 0);
        if (holds)
            SKT_EQ(skua_mutex_unlock(&line.pair.mutex), 0);
        sy_close(&s);
        SKT_EQ(atomic_load(&line.woken), WAITERS);
    }
}

SKT_TEST(cond, broadcast_in_order)
{
    rt_run(1, broadcast);
}

static int wait_cancelled_for_mutex(void *arg)
{
    return lock_and_wait(arg, skua_in(SKUA_MS(2)));
}

static bool waits_for_mutex(skua_task *task)
{
    enum { SEES_NOTHING = SK_WAIT_NOCANCEL | SK_WAIT_WAITING };
    return (atomic_load(&task->x_wait) & (SK_WAIT_NOCANCEL | SK_WAIT_STATE_MASK)) == SEES_NOTHING;
}

/* Goal: the mutex is waited for again in spite of the deadline and of cancellation. */
RT_TEST(cond, locks_again)
{
    for (int i = 0; i < 4; i++) {
        struct pair p = {SKUA_MUTEX_INIT, SKUA_COND_INIT};
        bool cancels = i % 2 == 0, signals = i / 2 == 0;
        skua_scope s;
        sy_open(&s);
        skua_task *task =
            sy_spawn_waiting(&s, cancels ? wait_for_ever : wait_cancelled_for_mutex, &p);
        SKT_EQ(skua_mutex_lock(&p.mutex, SKUA_NEVER), 0);
        if (signals)
            SKT_EQ(skua_cond_signal(&p.cond), 0);
        if (cancels)
            SKT_EQ(skua_cancel(task), 1);
        RT_UNTIL(waits_for_mutex(task));
        skua_time end = skua_in(SKUA_MS(3)); /* its deadline, too, has passed then */
        while (skua_now() < end)
            rt_pause();
        SKT_EQ(skua_cancel(task), 1);
        for (int n = 0; n < 3; n++)
            skua_yield();
        SKT_TRUE(waits_for_mutex(task));
        SKT_EQ(skua_mutex_unlock(&p.mutex), 0);
        int rc = sy_result(task);
        if (cancels)
            SKT_EQ(rc, signals ? 0 : -ECANCELED);
        else if (signals)
            SKT_TRUE(rc == 0 || rc == -ETIMEDOUT); /* the signal may have come too late */
        else
            SKT_TRUE(rc == -ETIMEDOUT || rc == -ECANCELED); /* so may the timer */
        (void)skua_scope_close(&s, SKUA_NEVER);
    }
}

struct loser {
    struct pair *pair;
    skua_time dl;
};

static int wait_until(void *arg)
{
    const struct loser *l = arg;
    return lock_and_wait(l->pair, l->dl);
}

/* One that waits until `delay`, or is cancelled then, and one that waits for ever, behind it. */
static void race_once(int64_t delay, bool cancels)
{
    struct pair p = {SKUA_MUTEX_INIT, SKUA_COND_INIT};
    struct loser l = {&p, skua_in(SKUA_US(50) + delay)};
    skua_scope s;
    skua_task *first, *second;
    sy_open(&s);
    if (cancels)
        l.dl = SKUA_NEVER;
    SKT_EQ(skua_spawn_opts(&s, wait_until, &l, NULL, &first), 0);
    while (cancels && !rt_is_waiting(first))
        skua_yield();
    SKT_EQ(skua_spawn_opts(&s, wait_for_ever, &p, NULL, &second), 0);
    RT_UNTIL(rt_is_waiting(second));
    while (!cancels && skua_now() < l.dl - delay)
        skua_yield();
    if (cancels)
        (void)skua_cancel(first);
    SKT_EQ(skua_cond_signal(&p.cond), 0);
    if (delay % 2 == 0)
        SKT_EQ(skua_cond_signal(&p.cond), 0);
    int rc = sy_result(first);
    SKT_TRUE(rc == 0 || rc == (cancels ? -ECANCELED : -ETIMEDOUT));
    if (rc == 0 && delay % 2 != 0) { /* it has used the one signal up */
        SKT_FALSE(skua_task_state(second) != SKUA_RUNNING);
        SKT_EQ(skua_cond_signal(&p.cond), 0);
    }
    SKT_EQ(sy_result(second), 0);
    (void)skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: a signal is not lost to a waiter that is leaving: it goes to the next; and it wakes one. */
RT_TEST(cond, signal_is_not_lost)
{
    for (uint64_t i = 0; i < skt_scaled(300); i++) {
        race_once((int64_t)(i % 60) * 1000 + (int64_t)(i % 2), false);
        race_once((int64_t)(i % 2), true);
    }
}

/* ---- a queue with two conditions, as in the books ---- */

enum { ROOM = 3, PRODUCERS = 6, CONSUMERS = 6 };

struct store {
    skua_mutex mutex;
    skua_cond filled, emptied;
    uint64_t items[ROOM];
    unsigned count;
    uint64_t sum_in, sum_out; /* under the mutex */
    uint64_t each;
    _Atomic(uint64_t) next;
    _Atomic(int) through;
};

static int produce(void *arg)
{
    struct store *x = arg;
    for (uint64_t i = 0; i < x->each; i++) {
        uint64_t item = atomic_fetch_add(&x->next, 1);
        SKT_EQ(skua_mutex_lock(&x->mutex, SKUA_NEVER), 0);
        while (x->count == ROOM)
            SKT_EQ(skua_cond_wait(&x->emptied, &x->mutex, SKUA_NEVER), 0);
        x->items[x->count++] = item;
        x->sum_in += item;
        SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
        SKT_EQ(skua_cond_signal(&x->filled), 0);
    }
    atomic_fetch_add(&x->through, 1);
    return 0;
}

static int consume(void *arg)
{
    struct store *x = arg;
    for (uint64_t i = 0; i < x->each; i++) {
        SKT_EQ(skua_mutex_lock(&x->mutex, SKUA_NEVER), 0);
        while (x->count == 0) {
            int rc = skua_cond_wait(&x->filled, &x->mutex, skua_in((int64_t)(i % 50) * 1000));
            SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
        }
        x->sum_out += x->items[--x->count];
        SKT_EQ(skua_cond_signal(&x->emptied), 0);
        SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
    }
    atomic_fetch_add(&x->through, 1);
    return 0;
}

static void *produce_in_thread(void *arg)
{
    (void)produce(arg);
    return NULL;
}

static void *consume_in_thread(void *arg)
{
    (void)consume(arg);
    return NULL;
}

/* Goal: no wake is lost, coroutines and threads, signals under the mutex and after it. */
RT_TEST(cond, bounded_buffer)
{
    struct store x = {.each = skt_scaled(150)};
    skua_scope s;
    sy_open(&s);
    pthread_t producer = rt_thread(produce_in_thread, &x);
    pthread_t consumer = rt_thread(consume_in_thread, &x);
    for (int i = 1; i < PRODUCERS; i++)
        SKT_EQ(skua_spawn(&s, produce, &x), 0);
    for (int i = 1; i < CONSUMERS; i++)
        SKT_EQ(skua_spawn(&s, consume, &x), 0);
    sy_close(&s);
    RT_UNTIL(atomic_load(&x.through) == PRODUCERS + CONSUMERS);
    rt_thread_join(producer);
    rt_thread_join(consumer);
    SKT_EQ(x.count, 0u);
    SKT_EQ(x.sum_in, x.sum_out);
}

struct answer {
    struct pair pair;
    bool is_there; /* under the mutex */
};

static int give_answer(void *arg)
{
    struct answer *a = arg;
    SKT_EQ(skua_mutex_lock(&a->pair.mutex, SKUA_NEVER), 0);
    a->is_there = true;
    SKT_EQ(skua_cond_signal(&a->pair.cond), 0);
    SKT_EQ(skua_mutex_unlock(&a->pair.mutex), 0);
    return 0;
}

/* Goal: who has seen the answer under the mutex may free all, though the other is still in its
 * unlock. */
RT_TEST(cond, freed_by_waiter)
{
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        skua_scope s;
        struct answer *a = calloc(1, sizeof(*a));
        sy_open(&s);
        SKT_EQ(skua_spawn(&s, give_answer, a), 0);
        for (uint64_t n = i % 4; n > 0; n--)
            skua_yield();
        SKT_EQ(skua_mutex_lock(&a->pair.mutex, SKUA_NEVER), 0);
        while (!a->is_there)
            SKT_EQ(skua_cond_wait(&a->pair.cond, &a->pair.mutex, SKUA_NEVER), 0);
        SKT_EQ(skua_mutex_unlock(&a->pair.mutex), 0);
        memset(a, 0xA5, sizeof(*a));
        free(a);
        sy_close(&s);
    }
}
