/* tests/unit/sync/test_once.c - a function that is run until it has once succeeded. */
#include <skua/sync.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/sync_test.h"

static int never_run(void *arg)
{
    (void)arg;
    SKT_FAIL("run again");
}

struct count {
    _Atomic(int) calls;
    int fails; /* so many calls fail first, each with another error */
};

static int count_call(void *arg)
{
    struct count *c = arg;
    int call = atomic_fetch_add(&c->calls, 1);
    return call < c->fails ? -1000 - call : 7;
}

struct recursion {
    skua_once_flag flag;
    int calls;
};

static int call_itself(void *arg)
{
    struct recursion *r = arg;
    SKT_EQ(skua_once(&r->flag, never_run, NULL, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_once(&r->flag, never_run, NULL, SKUA_NOW), -EDEADLK);
    r->calls++;
    return 0;
}

static void check_alone(void)
{
    skua_once_flag f = SKUA_ONCE_INIT;
    struct count c = {.fails = 2};
    SKT_EQ(skua_once(&f, NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_once(&f, never_run, NULL, -1), -EINVAL);
    SKT_EQ(skua_once(&f, never_run, NULL, SKUA_MS(1)), -EINVAL);
    SKT_EQ(skua_once(&f, count_call, &c, SKUA_NEVER), -1000);
    SKT_EQ(skua_once(&f, count_call, &c, rt_past()), -1001); /* it need not wait */
    SKT_EQ(skua_once(&f, count_call, &c, SKUA_NOW), 0);
    SKT_EQ(skua_once(&f, never_run, NULL, SKUA_NOW), 0);
    SKT_EQ(skua_once(&f, never_run, NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&c.calls), 3);
    struct recursion r = {.flag = SKUA_ONCE_INIT};
    SKT_EQ(skua_once(&r.flag, call_itself, &r, SKUA_NEVER), 0);
    SKT_EQ(skua_once(&r.flag, call_itself, &r, SKUA_NEVER), 0);
    SKT_EQ(r.calls, 1);
}

static int run_never(void *f, skua_time dl)
{
    return skua_once(f, never_run, NULL, dl);
}

static int check_ends(void *f)
{
    sy_check_ends(run_never, f);
    return 0;
}

/* Goal: what each call returns; every end of a wait while another runs it. */
RT_TEST(once, alone)
{
    skua_once_flag f = SKUA_ONCE_INIT;
    check_alone();
    SKT_EQ(skua_once(&f, check_ends, &f, SKUA_NEVER), 0);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_once(&f, never_run, NULL, SKUA_NEVER), 0);
}

struct stop {
    skua_once_flag flag;
    unsigned workers;
};

static int stop_meanwhile(void *arg)
{
    struct stop *s = arg;
    sy_check_stop(run_never, &s->flag, s->workers);
    return 0;
}

/* Goal: the same in a plain thread, with a runtime and without. */
RT_THREAD_TEST(once, thread)
{
    struct stop s = {.workers = workers};
    check_alone();
    SKT_EQ(skua_once(&s.flag, stop_meanwhile, &s, SKUA_NEVER), 0);
    rt_start(workers);
    check_alone();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- many ---- */

enum { COROUTINES = 30, THREADS = 3, CALLERS = COROUTINES + THREADS };

struct crowd {
    skua_once_flag flag;
    _Atomic(int) running, calls, ok, failed, through;
    int fails;
    int published; /* by the call that succeeds */
};

static int run_slowly(void *arg)
{
    struct crowd *c = arg;
    SKT_EQ(atomic_fetch_add(&c->running, 1), 0); /* one at a time */
    for (int i = 0; i < 3; i++)
        rt_pause();
    bool fails = atomic_fetch_add(&c->calls, 1) < c->fails;
    if (!fails)
        c->published = 42;
    SKT_EQ(atomic_fetch_sub(&c->running, 1), 1);
    return fails ? -ENOENT : 0;
}

static int call_once(void *arg)
{
    struct crowd *c = arg;
    int rc = skua_once(&c->flag, run_slowly, c, SKUA_NEVER);
    if (rc == 0) {
        SKT_EQ(c->published, 42);
        atomic_fetch_add(&c->ok, 1);
    } else {
        SKT_EQ(rc, -ENOENT);
        atomic_fetch_add(&c->failed, 1);
    }
    atomic_fetch_add(&c->through, 1);
    return 0;
}

static void *call_in_thread(void *arg)
{
    (void)call_once(arg);
    return NULL;
}

static void call_by_many(int fails)
{
    struct crowd c = {.flag = SKUA_ONCE_INIT, .fails = fails};
    pthread_t threads[THREADS];
    skua_scope s;
    sy_open(&s);
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(call_in_thread, &c);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&s, call_once, &c), 0);
    sy_close(&s);
    RT_UNTIL(atomic_load(&c.through) == CALLERS);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(atomic_load(&c.failed), fails);
    SKT_EQ(atomic_load(&c.ok), CALLERS - fails);
    SKT_EQ(atomic_load(&c.calls), fails < CALLERS ? fails + 1 : CALLERS);
}

/* Goal: once among many; a failure is its caller's alone, and the next one tries, up to all. */
RT_TEST(once, many)
{
    for (int i = 0; i < 10; i++)
        call_by_many(0);
    call_by_many(1);
    call_by_many(5);
    call_by_many(CALLERS - 1);
    call_by_many(CALLERS);
}

struct chain {
    skua_once_flag flag;
    skua_event go;
    _Atomic(int) tried;
};

static int fail_when_told(void *arg)
{
    struct chain *c = arg;
    SKT_EQ(skua_event_wait(&c->go, SKUA_NEVER), 0);
    return -EIO;
}

static int run_first(void *arg)
{
    struct chain *c = arg;
    return skua_once(&c->flag, fail_when_told, c, SKUA_NEVER);
}

static int try_it(void *arg)
{
    atomic_fetch_add(&((struct chain *)arg)->tried, 1);
    return -EBADF;
}

static int run_next(void *arg)
{
    struct chain *c = arg;
    return skua_once(&c->flag, try_it, c, SKUA_NEVER);
}

/* Goal: a waiter that was cancelled, or is, when its turn comes is passed over or takes it: the turn
 * is not lost. */
RT_TEST(once, turn_is_not_lost)
{
    for (int i = 0; i < 50; i++) {
        struct chain c = {.flag = SKUA_ONCE_INIT, .go = SKUA_EVENT_INIT};
        skua_scope s;
        sy_open(&s);
        skua_task *first = sy_spawn_waiting(&s, run_first, &c);
        skua_task *second = sy_spawn_waiting(&s, run_next, &c);
        skua_task *third = sy_spawn_waiting(&s, run_next, &c);
        SKT_EQ(skua_event_set(&c.go), 0);
        for (int n = i % 3; n > 0; n--)
            skua_yield();
        (void)skua_cancel(second);
        SKT_EQ(sy_result(first), -EIO);
        int rc = sy_result(second);
        SKT_TRUE(rc == -ECANCELED || rc == -EBADF);
        SKT_EQ(sy_result(third), -EBADF);
        SKT_EQ(atomic_load(&c.tried), rc == -EBADF ? 2 : 1);
        SKT_LT(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(skua_once(&c.flag, run_first, &c, SKUA_NOW), -EDEADLK);
    }
}
