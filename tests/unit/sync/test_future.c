/* tests/unit/sync/test_future.c - values that are to come. */
#include <string.h>

#include "runtime/base/mem.h"
#include "tests/unit/sync/future_test.h"

/* ---- One future. */

static void check_final(skua_future *f, int want, int state, uint64_t value)
{
    uint64_t zero = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t got = 77;
        skua_time dl = i == 0 ? SKUA_NOW : i == 1 ? SKUA_NEVER : rt_past();
        SKT_EQ(skua_future_get(f, &got, dl), want);
        SKT_EQ(got, want == 0 ? value : 77); /* on success only */
        SKT_EQ(skua_future_get(f, NULL, dl), want);
    }
    SKT_EQ(skua_future_state(f), state);
    SKT_EQ(skua_future_set(f, &zero), -EINVAL);
    SKT_EQ(skua_future_fail(f, -EBUSY), -EINVAL);
    SKT_EQ(skua_future_cancel(f), -EINVAL);
    SKT_EQ(skua_future_get(f, NULL, SKUA_NOW), want);
    SKT_EQ(skua_future_get(f, NULL, -1), -EINVAL); /* a mistake is one all the same */
    skua_future_unref(f);
}

static void check_one(void)
{
    uint64_t got = 77, value = UINT64_C(0x1122334455667788);
    skua_future *f = ft_make(sizeof(value));
    SKT_EQ(skua_future_state(f), SKUA_PENDING);
    SKT_EQ(skua_future_get(f, &got, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_future_get(f, &got, rt_past()), -ETIMEDOUT);
    skua_time dl = skua_in(SKUA_MS(2));
    SKT_EQ(skua_future_get(f, &got, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_future_get(f, &got, -1), -EINVAL);
    SKT_EQ(skua_future_get(f, &got, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_future_fail(f, 0), -EINVAL); /* no failure: and it is still to be settled */
    SKT_EQ(skua_future_fail(f, 1), -EINVAL);
    SKT_EQ(skua_future_state(f), SKUA_PENDING);
    SKT_EQ(got, 77);
    SKT_EQ(skua_future_set(f, &value), 0);
    value = 0; /* it was copied */
    check_final(f, 0, SKUA_DONE, UINT64_C(0x1122334455667788));
    f = ft_make(sizeof(value));
    SKT_EQ(skua_future_set(f, NULL), 0);
    check_final(f, 0, SKUA_DONE, 0);
    f = ft_make(sizeof(value));
    SKT_EQ(skua_future_fail(f, -EIO), 0);
    check_final(f, -EIO, SKUA_DONE, 0);
    f = ft_make(sizeof(value));
    SKT_EQ(skua_future_cancel(f), 0);
    check_final(f, -ECANCELED, SKUA_CANCELLED, 0);
}

/* Goal: the four ways in which it can stand, every deadline, and that the first to settle counts. */
RT_TEST(future, one)
{
    check_one();
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(future, one_in_thread)
{
    check_one();
    rt_start(workers);
    check_one();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    check_one();
}

/* Goal: values of 0 bytes to 64 KiB are copied whole, and nothing beside them. */
SKT_TEST(future, sizes)
{
    static const size_t sizes[] = {0, 1, 7, 8, 4096, 65535, 65536};
    static unsigned char in[65536], out[65538];
    skua_future *f = NULL;
    SKT_EQ(skua_future_new(&f, 65537), -EINVAL);
    SKT_EQ(skua_future_new(&f, SIZE_MAX), -EINVAL);
    SKT_EQ(skua_future_new(NULL, 1), -EINVAL);
    SKT_NULL(f);
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (unsigned char)(i * 7 + 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(out, 0xA5, sizeof(out));
        f = ft_make(sizes[i]);
        SKT_EQ(skua_future_set(f, in), 0);
        SKT_EQ(skua_future_get(f, out + 1, SKUA_NOW), 0);
        SKT_EQ(memcmp(out + 1, in, sizes[i]), 0);
        SKT_EQ(out[0], 0xA5);
        SKT_EQ(out[1 + sizes[i]], 0xA5);
        skua_future_unref(f);
    }
    sk_mem_fail_after(1);
    int rc = skua_future_new(&f, 8);
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    skua_future_unref(NULL);
}

/* ---- Those who wait for it. */

struct crowd {
    skua_future *future;
    int want;
    _Atomic(int) got, gave_up;
};

static int get_in_crowd(void *arg)
{
    struct crowd *c = arg;
    int value = 0;
    SKT_EQ(skua_future_get(c->future, &value, SKUA_NEVER), c->want);
    SKT_EQ(value, c->want == 0 ? 42 : 0);
    atomic_fetch_add(&c->got, 1);
    return 0;
}

static int gather_in_crowd(void *arg)
{
    struct crowd *c = arg;
    skua_future *v[] = {c->future, c->future};
    SKT_EQ(skua_gather(v, 2, SKUA_NEVER), c->want);
    return get_in_crowd(arg);
}

static int any_in_crowd(void *arg)
{
    struct crowd *c = arg;
    skua_future *v[] = {c->future, c->future};
    SKT_EQ(skua_wait_any(v, 2, SKUA_NEVER), 0);
    return get_in_crowd(arg);
}

static int give_up_in_crowd(void *arg)
{
    struct crowd *c = arg;
    SKT_EQ(skua_future_get(c->future, NULL, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    atomic_fetch_add(&c->gave_up, 1);
    return 0;
}

static int cancelled_in_crowd(void *arg)
{
    struct crowd *c = arg;
    skua_scope s;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_future_get(c->future, NULL, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_future_get(c->future, NULL, rt_past()), -ECANCELED);
    SKT_EQ(skua_future_get(c->future, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
    SKT_LE(skua_scope_close(&s, SKUA_NEVER), 0);
    atomic_fetch_add(&c->gave_up, 1);
    return 0;
}

static int late_in_crowd(void *arg)
{
    struct crowd *c = arg;
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, 0, skua_in(SKUA_MS(1))), 0);
    SKT_EQ(skua_future_get(c->future, NULL, SKUA_NEVER), -ETIMEDOUT);
    (void)skua_scope_close(&s, SKUA_NEVER);
    atomic_fetch_add(&c->gave_up, 1);
    return 0;
}

static void *get_in_thread(void *arg)
{
    (void)get_in_crowd(arg);
    return NULL;
}

static void wake_crowd(int want)
{
    static int (*const give_up[])(void *) = {give_up_in_crowd, cancelled_in_crowd, late_in_crowd};
    static int (*const stay[])(void *) = {get_in_crowd, gather_in_crowd, any_in_crowd};
    enum { THREADS = 3, MANY = 300 };
    skua_scope s;
    struct crowd c = {.future = ft_make(sizeof(int)), .want = want};
    pthread_t threads[THREADS];
    sy_open(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(get_in_thread, &c);
    for (int i = 0; i < MANY; i++)
        SKT_EQ(skua_spawn(&s, (i % 4 ? stay : give_up)[i / 4 % 3], &c), 0);
    RT_UNTIL(atomic_load(&c.gave_up) == MANY / 4);
    SKT_EQ(atomic_load(&c.got), 0);
    int value = 42;
    SKT_EQ(want == 0            ? skua_future_set(c.future, &value)
           : want == -ECANCELED ? skua_future_cancel(c.future)
                                : skua_future_fail(c.future, want),
           0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    RT_UNTIL(atomic_load(&c.got) == MANY - MANY / 4 + THREADS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    skua_future_unref(c.future);
}

/* Goal: all who wait get it, in whatever way, however it is settled, coroutines and threads; others had given up, for
 * their own deadline, a cancellation, their scope's deadline. */
RT_TEST(future, wakes_all)
{
    wake_crowd(0);
    wake_crowd(-EIO);
    wake_crowd(-ECANCELED);
}

static int set_and_forget(void *arg)
{
    int value = 42;
    SKT_EQ(skua_future_set(arg, &value), 0);
    return 0;
}

static void *set_in_thread(void *arg)
{
    (void)set_and_forget(arg);
    return NULL;
}

static void set_in_timer(void *arg)
{
    SKT_NULL(skua_self());
    SKT_EQ(skua_future_get(arg, NULL, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_future_get(arg, NULL, SKUA_NOW), -EAGAIN);
    (void)set_and_forget(arg);
}

/* Goal: set by a coroutine, a thread, a timer; who gets it gives the last reference back at once. */
RT_TEST(future, freed_by_waiter)
{
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        skua_scope s;
        skua_timer timer;
        skua_future *f = ft_make(sizeof(int));
        pthread_t thread = 0;
        int value = 0;
        sy_open(&s);
        if (i % 50 == 0)
            thread = rt_thread(set_in_thread, f);
        else if (i % 10 == 1)
            SKT_EQ(skua_timer_start(&timer, skua_now(), set_in_timer, f), 0);
        else
            SKT_EQ(skua_spawn(&s, set_and_forget, f), 0);
        for (uint64_t n = i % 4; n > 0; n--)
            skua_yield();
        SKT_EQ(skua_future_get(f, &value, SKUA_NEVER), 0);
        SKT_EQ(value, 42);
        skua_future_unref(f);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        if (thread != 0)
            rt_thread_join(thread);
    }
}

enum { RIVAL_BYTES = 4096 };

struct rival {
    skua_future *future;
    unsigned char value[RIVAL_BYTES];
    int how;
    _Atomic(int) *won;
    int rc;
};

static int rival(void *arg)
{
    struct rival *r = arg;
    r->rc = r->how == 0   ? skua_future_fail(r->future, -EIO)
            : r->how == 1 ? skua_future_cancel(r->future)
                          : skua_future_set(r->future, r->value);
    SKT_TRUE(r->rc == 0 || r->rc == -EINVAL);
    atomic_fetch_add(r->won, r->rc == 0);
    return 0;
}

static int watch_rivals(void *arg)
{
    unsigned char got[RIVAL_BYTES];
    int rc = skua_future_get(arg, got, SKUA_NEVER);
    SKT_TRUE(rc == 0 || rc == -EIO || rc == -ECANCELED);
    for (int i = 1; rc == 0 && i < RIVAL_BYTES; i++)
        SKT_EQ(got[i], got[0]); /* of one rival, whole */
    SKT_EQ(skua_future_get(arg, NULL, SKUA_NOW), rc);
    return 0;
}

/* Goal: of many who settle it at once one wins, and everybody sees that one's value whole. */
RT_TEST(future, one_winner)
{
    enum { RIVALS = 12 };
    static struct rival rivals[RIVALS];
    for (uint64_t round = 0; round < skt_scaled(200); round++) {
        skua_scope s;
        skua_future *f = ft_make(RIVAL_BYTES);
        _Atomic(int) won = 0;
        sy_open(&s);
        for (int i = 0; i < RIVALS; i++) {
            rivals[i].future = f;
            rivals[i].how = i;
            rivals[i].won = &won;
            memset(rivals[i].value, i, RIVAL_BYTES);
        }
        for (int i = 0; i < RIVALS; i++) {
            SKT_EQ(skua_spawn(&s, watch_rivals, f), 0);
            SKT_EQ(skua_spawn(&s, rival, &rivals[(i + (int)round) % RIVALS]), 0);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&won), 1);
        for (int i = 0; i < RIVALS; i++)
            if (rivals[i].rc == 0)
                SKT_EQ(skua_future_state(f), rivals[i].how == 1 ? SKUA_CANCELLED : SKUA_DONE);
        skua_future_unref(f);
    }
}

/* ---- Functions that are called when it is settled. */

struct calls {
    skua_future *future, *other;
    int order[8];
    int count;
};

static struct calls *the_calls;

static void note_call(skua_future *f, void *arg)
{
    struct calls *c = the_calls;
    skua_event never = SKUA_EVENT_INIT;
    int value = 0;
    SKT_PTR_EQ(f, c->future);
    SKT_NULL(skua_self());
    SKT_EQ(skua_id(), 0);
    SKT_EQ(skua_future_state(f), SKUA_DONE);
    SKT_EQ(skua_future_get(f, &value, SKUA_NEVER), 0); /* its state is final */
    SKT_EQ(value, 42);
    SKT_EQ(skua_event_wait(&never, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_event_wait(&never, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_sleep(SKUA_S(1)), -EPERM);
    SKT_EQ(skua_future_get(c->other, NULL, skua_in(SKUA_S(1))), -EPERM);
    SKT_EQ(skua_gather(&c->other, 1, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_wait_any(&c->other, 1, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_call(set_and_forget, NULL, SKUA_NEVER), -EPERM);
    c->order[c->count++] = (int)(intptr_t)arg;
}

static void note_more(skua_future *f, void *arg)
{
    note_call(f, arg);
    SKT_EQ(skua_future_on_done(f, note_call, (void *)(intptr_t)5), 0); /* at once */
    SKT_NULL(skua_self());
}

static void check_calls(void)
{
    struct calls c = {.future = ft_make(sizeof(int)), .other = ft_make(0)};
    skua_task *self = skua_self();
    int value = 42;
    the_calls = &c;
    SKT_EQ(skua_future_on_done(c.future, note_call, (void *)1), 0);
    SKT_EQ(skua_future_on_done(c.future, note_more, (void *)2), 0);
    SKT_EQ(skua_future_on_done(c.future, note_call, (void *)3), 0);
    SKT_EQ(skua_future_on_done(c.future, NULL, NULL), -EINVAL);
    SKT_EQ(c.count, 0);
    SKT_EQ(skua_future_set(c.future, &value), 0);
    SKT_EQ(c.count, 4);
    SKT_PTR_EQ(skua_self(), self);
    SKT_EQ(skua_future_on_done(c.future, note_call, (void *)4), 0);
    SKT_EQ(c.count, 5);
    SKT_PTR_EQ(skua_self(), self);
    static const int want[] = {1, 2, 5, 3, 4};
    for (int i = 0; i < 5; i++)
        SKT_EQ(c.order[i], want[i]);
    SKT_EQ(skua_sleep(SKUA_US(10)), 0); /* who set it may wait again */
    skua_future_unref(c.future);
    skua_future_unref(c.other);
}

/* Goal: in the setter, in order, once; as nobody, who must not wait; at once where it is settled. */
RT_TEST(future, on_done)
{
    check_calls();
}

RT_THREAD_TEST(future, on_done_in_thread)
{
    check_calls();
    rt_start(workers);
    check_calls();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static void pass_on(skua_future *f, void *arg)
{
    struct calls *c = the_calls;
    int value = 0;
    c->count++;
    SKT_EQ(skua_future_get(f, &value, SKUA_NOW), 0);
    value++;
    if (arg != NULL)
        SKT_EQ(skua_future_set(arg, &value), 0);
    skua_future_unref(f); /* the only one left */
}

static int get_number(void *arg)
{
    int value = 0;
    SKT_EQ(skua_future_get(arg, &value, SKUA_NEVER), 0);
    skua_future_unref(arg);
    return value;
}

/* Goal: a function settles the next future, and gives the last reference of its own back. */
RT_TEST(future, on_done_chain)
{
    enum { CHAIN = 40 };
    skua_future *f[CHAIN];
    skua_scope s;
    struct calls c = {.count = 0};
    int value = 1, result = 0;
    the_calls = &c;
    for (int i = 0; i < CHAIN; i++)
        f[i] = ft_make(sizeof(int));
    for (int i = 0; i < CHAIN; i++)
        SKT_EQ(skua_future_on_done(f[i], pass_on, i + 1 < CHAIN ? f[i + 1] : NULL), 0);
    sy_open(&s);
    skua_task *task = ft_spawn(&s, get_number, skua_future_ref(f[CHAIN - 1]));
    RT_UNTIL(rt_is_waiting(task));
    SKT_EQ(skua_future_set(f[0], &value), 0);
    SKT_EQ(c.count, CHAIN);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, CHAIN);
    skua_task_unref(task);
    (void)skua_scope_close(&s, SKUA_NEVER);
}

struct before {
    skua_future *future;
    _Atomic(int) called, woken;
    skua_future *vector[2];
};

static void linger(skua_future *f, void *arg)
{
    struct before *b = arg;
    (void)f;
    for (int i = 0; i < 100; i++)
        poll(NULL, 0, 0);
    SKT_EQ(atomic_load(&b->woken), 0);
    atomic_store(&b->called, 1);
}

static int get_after(void *arg)
{
    struct before *b = arg;
    SKT_EQ(skua_future_get(b->future, NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&b->called), 1);
    atomic_store(&b->woken, 1);
    return 0;
}

static int gather_after(void *arg)
{
    struct before *b = arg;
    SKT_EQ(skua_gather(b->vector, 2, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&b->called), 1);
    atomic_store(&b->woken, 1);
    return 0;
}

static int wait_any_after(void *arg)
{
    struct before *b = arg;
    SKT_EQ(skua_wait_any(b->vector, 2, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&b->called), 1);
    atomic_store(&b->woken, 1);
    return 0;
}

/* Goal: they are called before a waiting get, gather or wait_any returns. */
RT_TEST(future, on_done_before_get)
{
    static int (*const fns[])(void *) = {get_after, gather_after, wait_any_after};
    for (int i = 0; i < 3 * 10; i++) {
        skua_scope s;
        struct before b = {.future = ft_make(0)};
        b.vector[0] = b.vector[1] = b.future;
        SKT_EQ(skua_future_on_done(b.future, linger, &b), 0);
        sy_open(&s);
        skua_task *task = ft_spawn(&s, fns[i % 3], &b);
        RT_UNTIL(rt_is_waiting(task));
        SKT_EQ(skua_future_set(b.future, NULL), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&b.woken), 1);
        skua_task_unref(task);
        skua_future_unref(b.future);
    }
}

/* Goal: without memory nothing is set; one that is never settled takes its functions along. */
static void set_without_memory(void)
{
    skua_future *f = ft_make(0);
    struct calls c = {.future = f};
    the_calls = &c;
    sk_mem_fail_after(1);
    int rc = skua_future_on_done(f, note_call, NULL);
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_future_on_done(f, note_call, NULL), 0);
    SKT_PTR_EQ(skua_future_ref(f), f);
    skua_future_unref(f);
    skua_future_unref(f);
    SKT_EQ(c.count, 0);
}

RT_THREAD_TEST(future, on_done_no_memory)
{
    rt_run_quietly(workers, set_without_memory);
}
