/* tests/unit/sync/test_rwlock.c - many readers, or one writer. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/sync_test.h"

static int read_lock(void *l, skua_time dl)
{
    return skua_rwlock_rdlock(l, dl);
}

static int write_lock(void *l, skua_time dl)
{
    return skua_rwlock_wrlock(l, dl);
}

static void check_misuse(void)
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    SKT_EQ(skua_rwlock_unlock(&l), -EPERM); /* nobody holds it */
    SKT_EQ(skua_rwlock_wrlock(&l, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_rwlock_rdlock(&l, -1), -EINVAL);
    SKT_EQ(skua_rwlock_unlock(&l), -EPERM);
    SKT_EQ(skua_rwlock_wrlock(&l, rt_past()), 0); /* what can be done at once is done */
    sy_wait *const locks[] = {read_lock, write_lock};
    for (int i = 0; i < 2; i++) {
        SKT_EQ(locks[i](&l, SKUA_NEVER), -EDEADLK);
        SKT_EQ(locks[i](&l, SKUA_NOW), -EDEADLK);
        SKT_EQ(locks[i](&l, rt_past()), -EDEADLK);
    }
    SKT_EQ(skua_rwlock_unlock(&l), 0);
    SKT_EQ(skua_rwlock_unlock(&l), -EPERM);
    SKT_EQ(skua_rwlock_rdlock(&l, rt_past()), 0);
    SKT_EQ(skua_rwlock_rdlock(&l, SKUA_NOW), 0);
    SKT_EQ(skua_rwlock_wrlock(&l, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
    SKT_EQ(skua_rwlock_wrlock(&l, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
    SKT_EQ(skua_rwlock_unlock(&l), -EPERM);
    SKT_EQ(skua_rwlock_wrlock(&l, SKUA_NOW), 0);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
}

static void *unlock_a_strangers(void *l)
{
    SKT_EQ(skua_rwlock_unlock(l), -EPERM);
    return NULL;
}

static int unlock_another(void *l)
{
    SKT_EQ(skua_rwlock_unlock(l), -EPERM);
    return 0;
}

/* Goal: misuse is an error, and changes nothing; every end of a wait. */
RT_TEST(rwlock, alone)
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    skua_scope s;
    check_misuse();
    SKT_EQ(skua_rwlock_wrlock(&l, SKUA_NEVER), 0);
    sy_open(&s);
    SKT_EQ(skua_spawn(&s, unlock_another, &l), 0);
    sy_close(&s);
    rt_thread_join(rt_thread(unlock_a_strangers, &l));
    sy_check_ends(read_lock, &l);
    sy_check_ends(write_lock, &l);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
    SKT_EQ(skua_rwlock_rdlock(&l, SKUA_NEVER), 0);
    sy_check_ends(write_lock, &l);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
    SKT_EQ(skua_rwlock_unlock(&l), -EPERM);
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(rwlock, thread)
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    struct sy_call call = {write_lock, &l};
    check_misuse();
    SKT_EQ(skua_rwlock_rdlock(&l, SKUA_NEVER), 0);
    rt_thread_join(rt_thread(sy_call_deadlines_in_thread, &call));
    sy_check_stop(write_lock, &l, workers);
    rt_start(workers);
    SKT_EQ(skua_call(sy_call_deadlines, &call, SKUA_NEVER), 0);
    check_misuse();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_rwlock_unlock(&l), 0);
}

/* ---- who gets in, and when ---- */

struct order {
    skua_rwlock lock;
    _Atomic(int) inside, met, step;
};

struct turn {
    struct order *order;
    bool writes;
    int step;  /* how many have had their turn before */
    int peers; /* of a reader: with how many others it is let in */
};

static int take_turn(void *arg)
{
    const struct turn *t = arg;
    struct order *o = t->order;
    SKT_EQ((t->writes ? write_lock : read_lock)(&o->lock, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&o->step), t->step);
    atomic_fetch_add(&o->inside, 1);
    RT_UNTIL(atomic_load(&o->inside) >= t->peers); /* all of the batch are inside at once */
    SKT_EQ(atomic_load(&o->inside), t->peers);
    atomic_fetch_add(&o->met, 1);
    RT_UNTIL(atomic_load(&o->met) == t->peers);
    skua_yield();
    if (atomic_fetch_sub(&o->inside, 1) == 1) {
        atomic_store(&o->met, 0);
        atomic_fetch_add(&o->step, 1);
    } else {
        RT_UNTIL(atomic_load(&o->inside) == 0);
    }
    SKT_EQ(skua_rwlock_unlock(&o->lock), 0);
    return 0;
}

static void *take_turn_in_thread(void *arg)
{
    (void)take_turn(arg);
    return NULL;
}

/* Goal: in order of arrival; readers that stand together are let in together; a reader does not
 * overtake a writer that waits. */
RT_TEST(rwlock, order_of_arrival)
{
    struct order o = {.lock = SKUA_RWLOCK_INIT};
    struct turn turns[] = {
        {&o, true, 0, 1}, {&o, false, 1, 3}, {&o, false, 1, 3}, {&o, false, 1, 3},
        {&o, true, 2, 1}, {&o, true, 3, 1},  {&o, false, 4, 2}, {&o, false, 4, 2},
    };
    enum { TURNS = sizeof(turns) / sizeof(turns[0]) };
    skua_scope s;
    skua_task *tasks[TURNS];
    SKT_EQ(skua_rwlock_rdlock(&o.lock, SKUA_NEVER), 0);
    sy_open(&s);
    for (int i = 0; i < TURNS; i++)
        tasks[i] = sy_spawn_waiting(&s, take_turn, &turns[i]);
    SKT_EQ(skua_rwlock_rdlock(&o.lock, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_rwlock_rdlock(&o.lock, rt_past()), -ETIMEDOUT);
    struct turn last = {&o, true, 5, 1};
    pthread_t thread = rt_thread(take_turn_in_thread, &last);
    RT_UNTIL(sy_a_thread_waits());
    SKT_EQ(skua_rwlock_unlock(&o.lock), 0);
    sy_close(&s);
    rt_thread_join(thread);
    for (int i = 0; i < TURNS; i++)
        skua_task_unref(tasks[i]);
    SKT_EQ(atomic_load(&o.step), 6);
    SKT_EQ(skua_rwlock_unlock(&o.lock), -EPERM);
}

static int write_until_soon(void *l)
{
    return skua_rwlock_wrlock(l, skua_in(SKUA_MS(3)));
}

static int write_for_ever(void *l)
{
    return skua_rwlock_wrlock(l, SKUA_NEVER);
}

static int read_and_unlock(void *l)
{
    SKT_EQ(skua_rwlock_rdlock(l, skua_in(RT_PATIENCE_NS)), 0);
    return skua_rwlock_unlock(l);
}

/* Goal: a writer that gives up lets the readers behind it go, though nobody unlocks. */
RT_TEST(rwlock, writer_leaves)
{
    for (int cancels = 0; cancels < 2; cancels++) {
        skua_rwlock l = SKUA_RWLOCK_INIT;
        skua_scope s;
        SKT_EQ(skua_rwlock_rdlock(&l, SKUA_NEVER), 0);
        sy_open(&s);
        skua_task *writer = sy_spawn_waiting(&s, cancels ? write_for_ever : write_until_soon, &l);
        SKT_EQ(skua_spawn(&s, read_and_unlock, &l), 0);
        SKT_EQ(skua_spawn(&s, read_and_unlock, &l), 0);
        if (cancels) {
            skua_yield();
            SKT_EQ(skua_cancel(writer), 1);
        }
        SKT_EQ(sy_result(writer), cancels ? -ECANCELED : -ETIMEDOUT);
        int rc = skua_scope_close(&s, SKUA_NEVER);
        SKT_EQ(rc, cancels ? 0 : -ETIMEDOUT);
        SKT_EQ(skua_rwlock_unlock(&l), 0);
        SKT_EQ(skua_rwlock_wrlock(&l, SKUA_NOW), 0);
        SKT_EQ(skua_rwlock_unlock(&l), 0);
    }
}

/* ---- exclusion ---- */

struct shared {
    skua_rwlock lock;
    _Atomic(int) readers, writers, through;
    uint64_t count; /* under it */
    uint64_t rounds;
};

static void write_once(struct shared *x, uint64_t round)
{
    SKT_EQ(skua_rwlock_wrlock(&x->lock, SKUA_NEVER), 0);
    SKT_EQ(atomic_fetch_add(&x->writers, 1), 0);
    SKT_EQ(atomic_load(&x->readers), 0);
    x->count++;
    if (round % 16 == 0)
        rt_pause();
    SKT_EQ(atomic_fetch_sub(&x->writers, 1), 1);
    SKT_EQ(skua_rwlock_unlock(&x->lock), 0);
}

static void read_once(struct shared *x, uint64_t round)
{
    SKT_EQ(skua_rwlock_rdlock(&x->lock, SKUA_NEVER), 0);
    atomic_fetch_add(&x->readers, 1);
    uint64_t count = x->count;
    if (round % 8 == 0)
        rt_pause();
    SKT_EQ(atomic_load(&x->writers), 0);
    SKT_EQ(x->count, count);
    atomic_fetch_sub(&x->readers, 1);
    SKT_EQ(skua_rwlock_unlock(&x->lock), 0);
}

static int use_often(void *arg)
{
    struct shared *x = arg;
    for (uint64_t i = 0; i < x->rounds; i++) {
        if (i % 4 == 0)
            write_once(x, i);
        else
            read_once(x, i);
    }
    atomic_fetch_add(&x->through, 1);
    return 0;
}

static void *use_often_in_thread(void *arg)
{
    (void)use_often(arg);
    return NULL;
}

/* Goal: a writer is alone, coroutines and threads. */
RT_TEST(rwlock, excludes)
{
    enum { COROUTINES = 20, THREADS = 2 };
    struct shared x = {.lock = SKUA_RWLOCK_INIT, .rounds = 4 * skt_scaled(60)};
    pthread_t threads[THREADS];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(use_often_in_thread, &x);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&s, use_often, &x), 0);
    sy_close(&s);
    RT_UNTIL(atomic_load(&x.through) == COROUTINES + THREADS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(x.count, x.rounds / 4 * (COROUTINES + THREADS));
    SKT_EQ(skua_rwlock_unlock(&x.lock), -EPERM);
}

struct counted {
    skua_rwlock lock;
    _Atomic(int) references; /* who takes the last, after its unlock, frees the object */
};

static int drop(struct counted *c, bool writes)
{
    SKT_EQ((writes ? write_lock : read_lock)(&c->lock, SKUA_NEVER), 0);
    bool last = atomic_fetch_sub(&c->references, 1) == 1;
    if (last && !writes) { /* alone: those before may still be in their unlock */
        SKT_EQ(skua_rwlock_unlock(&c->lock), 0);
        SKT_EQ(skua_rwlock_wrlock(&c->lock, SKUA_NEVER), 0);
    }
    SKT_EQ(skua_rwlock_unlock(&c->lock), 0);
    if (last) {
        memset(c, 0xA5, sizeof(*c));
        free(c);
    }
    return 0;
}

static int drop_reading(void *c)
{
    return drop(c, false);
}

static int drop_writing(void *c)
{
    return drop(c, true);
}

/* Goal: who has it alone and last may free it, though the one before is still in its unlock. */
RT_TEST(rwlock, freed_by_last)
{
    for (uint64_t i = skt_scaled(1000); i > 0; i--) {
        skua_scope s;
        struct counted *c = calloc(1, sizeof(*c));
        atomic_store(&c->references, 4);
        sy_open(&s);
        for (int n = 0; n < 4; n++)
            SKT_EQ(skua_spawn(&s, n % 2 == 0 ? drop_reading : drop_writing, c), 0);
        skua_yield();
        sy_close(&s);
    }
}
