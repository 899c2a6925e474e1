/* tests/unit/sync/test_mutex.c - a mutex that belongs to a coroutine or a thread. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

static void check_owner(void)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    SKT_EQ(skua_mutex_unlock(&m), -EPERM); /* nobody holds it */
    SKT_EQ(skua_mutex_lock(&m, -1), -EINVAL);
    SKT_EQ(skua_mutex_lock(&m, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_mutex_unlock(&m), -EPERM);
    SKT_EQ(skua_mutex_lock(&m, rt_past()), 0); /* what can be done at once is done */
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NOW), -EDEADLK);
    SKT_EQ(skua_mutex_lock(&m, rt_past()), -EDEADLK);
    SKT_EQ(skua_mutex_trylock(&m), -EDEADLK);
    SKT_EQ(skua_mutex_unlock(&m), 0);
    SKT_EQ(skua_mutex_unlock(&m), -EPERM);
    SKT_EQ(skua_mutex_trylock(&m), 0);
    SKT_EQ(skua_mutex_unlock(&m), 0);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NOW), 0);
    SKT_EQ(skua_mutex_unlock(&m), 0);
}

static int try_all(void *arg)
{
    skua_mutex *m = arg;
    SKT_EQ(skua_mutex_trylock(m), -EAGAIN);
    SKT_EQ(skua_mutex_lock(m, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_mutex_lock(m, rt_past()), -ETIMEDOUT);
    SKT_EQ(skua_mutex_lock(m, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_mutex_lock(m, -1), -EINVAL);
    SKT_EQ(skua_mutex_unlock(m), -EPERM);
    return 0;
}

static void *try_all_in_thread(void *m)
{
    (void)try_all(m);
    return NULL;
}

/* Goal: what the owner gets, and what all others get meanwhile. */
RT_TEST(mutex, owner)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    skua_scope s;
    check_owner();
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), 0);
    open_scope(&s);
    SKT_EQ(skua_spawn(&s, try_all, &m), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    rt_thread_join(rt_thread(try_all_in_thread, &m));
    SKT_EQ(skua_mutex_unlock(&m), 0);
}

/* Goal: in a plain thread, without a runtime too. */
RT_THREAD_TEST(mutex, thread)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    check_owner();
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), 0);
    rt_thread_join(rt_thread(try_all_in_thread, &m));
    rt_start(workers);
    SKT_EQ(skua_call(try_all, &m, SKUA_NEVER), 0);
    check_owner();
    SKT_EQ(skua_mutex_unlock(&m), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

struct shared {
    skua_mutex mutex;
    uint64_t count; /* under it */
    int inside;     /* likewise */
    uint64_t rounds;
    _Atomic(int) through;
};

static void lock_once(struct shared *x, uint64_t round)
{
    skua_time dl = round % 5 == 0 ? skua_in(SKUA_S(100)) : SKUA_NEVER;
    if (round % 7 != 0 || skua_mutex_trylock(&x->mutex) != 0)
        SKT_EQ(skua_mutex_lock(&x->mutex, dl), 0);
    SKT_EQ(x->inside++, 0);
    x->count++;
    if (round % 16 == 0)
        rt_pause(); /* it moves, and is the owner all the same */
    SKT_EQ(--x->inside, 0);
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
}

static int lock_often(void *arg)
{
    struct shared *x = arg;
    for (uint64_t i = 0; i < x->rounds; i++)
        lock_once(x, i);
    atomic_fetch_add(&x->through, 1);
    return 0;
}

static void *lock_often_in_thread(void *arg)
{
    (void)lock_often(arg);
    return NULL;
}

/* Goal: one at a time, coroutines and threads. */
RT_TEST(mutex, excludes)
{
    enum { COROUTINES = 30, THREADS = 2 };
    struct shared x = {.rounds = skt_scaled(300)};
    pthread_t threads[THREADS];
    skua_scope s;
    open_scope(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(lock_often_in_thread, &x);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&s, lock_often, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    RT_UNTIL(atomic_load(&x.through) == COROUTINES + THREADS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(x.count, x.rounds * (COROUTINES + THREADS));
}

struct order {
    skua_mutex mutex;
    int got[20];
    int count;
};

struct turn {
    struct order *order;
    int number;
};

static int note_turn(void *arg)
{
    const struct turn *turn = arg;
    struct order *o = turn->order;
    SKT_EQ(skua_mutex_lock(&o->mutex, SKUA_NEVER), 0);
    o->got[o->count++] = turn->number;
    SKT_EQ(skua_mutex_unlock(&o->mutex), 0);
    return 0;
}

/* Goal: it is handed over in order of arrival: nobody starves. */
static void hand_over(void)
{
    struct order o = {.count = 0};
    struct turn turns[20];
    skua_scope s;
    SKT_EQ(skua_mutex_lock(&o.mutex, SKUA_NEVER), 0);
    open_scope(&s);
    for (int i = 0; i < 20; i++) {
        skua_task *task;
        turns[i] = (struct turn){&o, i};
        SKT_EQ(skua_spawn_opts(&s, note_turn, &turns[i], NULL, &task), 0);
        RT_UNTIL(rt_is_waiting(task));
        skua_task_unref(task);
    }
    SKT_EQ(skua_mutex_unlock(&o.mutex), 0);
    SKT_EQ(skua_mutex_trylock(&o.mutex), -EAGAIN); /* the first one has it */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(o.count, 20);
    for (int i = 0; i < 20; i++)
        SKT_EQ(o.got[i], i);
}

SKT_TEST(mutex, order_of_arrival)
{
    rt_run(1, hand_over);
}

static int lock_cancelled(void *m)
{
    SKT_EQ(skua_mutex_lock(m, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_mutex_unlock(m), -EPERM);
    return -ECANCELED;
}

static _Atomic(int) x_gave_up;

static int lock_and_give_up(void *m)
{
    SKT_EQ(skua_mutex_lock(m, skua_in(SKUA_US(300))), -ETIMEDOUT);
    SKT_EQ(skua_mutex_unlock(m), -EPERM);
    atomic_fetch_add(&x_gave_up, 1);
    return 0;
}

static int lock_and_unlock(void *m)
{
    SKT_EQ(skua_mutex_lock(m, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_unlock(m), 0);
    return 0;
}

/* Goal: waiters that are cancelled or give up do not hold it, and are passed over. */
RT_TEST(mutex, left_waits)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    skua_scope cancelled, stay;
    atomic_store(&x_gave_up, 0);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), 0);
    open_scope(&stay);
    open_scope(&cancelled);
    for (int i = 0; i < 10; i++) {
        SKT_EQ(skua_spawn(&cancelled, lock_cancelled, &m), 0);
        SKT_EQ(skua_spawn(&stay, lock_and_give_up, &m), 0);
        SKT_EQ(skua_spawn(&stay, lock_and_unlock, &m), 0);
    }
    SKT_EQ(skua_sleep(SKUA_MS(2)), 0);
    skua_scope_cancel(&cancelled);
    SKT_EQ(skua_scope_close(&cancelled, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_scope_close(&stay, skua_in(SKUA_MS(1))), -EBUSY);
    RT_UNTIL(atomic_load(&x_gave_up) == 10);
    SKT_EQ(skua_mutex_unlock(&m), 0);
    SKT_EQ(skua_scope_close(&stay, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_trylock(&m), 0);
    SKT_EQ(skua_mutex_unlock(&m), 0);
}

struct race {
    skua_mutex mutex;
    _Atomic(int) held, lost;
};

static int lock_for_a_moment(void *arg)
{
    struct race *r = arg;
    for (uint64_t i = skt_scaled(200); i > 0; i--) {
        int rc = skua_mutex_lock(&r->mutex, skua_in((int64_t)(i % 30) * 1000));
        if (rc == 0) {
            atomic_fetch_add(&r->held, 1);
            if (i % 4 == 0)
                skua_yield();
            SKT_EQ(skua_mutex_unlock(&r->mutex), 0);
        } else {
            SKT_EQ(rc, -ETIMEDOUT);
            SKT_EQ(skua_mutex_unlock(&r->mutex), -EPERM);
            atomic_fetch_add(&r->lost, 1);
        }
    }
    return 0;
}

/* Goal: deadline against hand-over: never lost, never held by one who was told that he does not. */
RT_TEST(mutex, deadline_race)
{
    struct race r = {.held = 0};
    skua_scope s;
    open_scope(&s);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, lock_for_a_moment, &r), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&r.held) + atomic_load(&r.lost), 20 * (int)skt_scaled(200));
    SKT_EQ(skua_mutex_trylock(&r.mutex), 0);
    SKT_EQ(skua_mutex_unlock(&r.mutex), 0);
}

struct counted {
    skua_mutex mutex;
    int references; /* under it; who takes the last frees the object */
};

static int drop(void *arg)
{
    struct counted *c = arg;
    SKT_EQ(skua_mutex_lock(&c->mutex, SKUA_NEVER), 0);
    bool last = --c->references == 0;
    SKT_EQ(skua_mutex_unlock(&c->mutex), 0);
    if (last) {
        memset(c, 0xA5, sizeof(*c));
        free(c);
    }
    return 0;
}

/* Goal: who holds it last may free it, though the one before is still in its unlock. */
RT_TEST(mutex, freed_by_last)
{
    for (uint64_t i = skt_scaled(1000); i > 0; i--) {
        skua_scope s;
        struct counted *c = calloc(1, sizeof(*c));
        c->references = 4;
        open_scope(&s);
        for (int n = 0; n < 4; n++)
            SKT_EQ(skua_spawn(&s, drop, c), 0);
        skua_yield();
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

static void *lock_and_leave(void *m)
{
    SKT_EQ(skua_mutex_lock(m, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_unlock(m), 0);
    return NULL;
}

/* Goal: cancelled, and free: it is locked at once. */
RT_TEST(mutex, free_while_cancelled)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_lock(&m, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_mutex_unlock(&m), 0);
    rt_thread_join(rt_thread(lock_and_leave, &m));
}
