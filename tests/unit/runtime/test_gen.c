/* tests/unit/runtime/test_gen.c - generators: each sentence of gen.h. What they do without a runtime
 * stands in test_plain.c. */
#include <skua/skua.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "runtime/base/mem.h"
#include "tests/unit/runtime/rt_test.h"

static skua_gen *make(int (*fn)(skua_gen *, void *), void *arg, size_t out_size, size_t in_size)
{
    skua_gen *g = NULL;
    SKT_EQ(skua_gen_new(&g, fn, arg, out_size, in_size), 0);
    SKT_NOT_NULL(g);
    return g;
}

/* Yields 0 .. n-1. */
static int count(skua_gen *g, void *n)
{
    int rc = 0;
    for (int64_t i = 0; i < (intptr_t)n && rc == 0; i++)
        rc = skua_gen_yield(g, &i, NULL);
    return rc;
}

/* ---- values ---- */

/* Goal: what makes no generator says so, and leaves *g alone. */
RT_TEST(gen, bad_arguments)
{
    char here;
    skua_gen *g = (skua_gen *)(void *)&here;
    SKT_EQ(skua_gen_new(NULL, count, NULL, 0, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, NULL, NULL, 0, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, count, NULL, SKUA_GEN_VALUE_MAX + 1, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, count, NULL, 0, (size_t)-8), -EINVAL);
    SKT_PTR_EQ(g, &here);
    SKT_EQ(skua_gen_next(NULL, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(NULL, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(NULL, NULL, NULL), -EINVAL);
    skua_gen_free(NULL);
}

static void run_out_of_memory(void)
{
    skua_gen *g = NULL;
    SKT_EQ(skua_gen_new(&g, count, NULL, 8, 0), 0); /* there is a stack now */
    skua_gen_free(g);
    g = NULL;
    sk_mem_fail_after(1);
    SKT_EQ(skua_gen_new(&g, count, NULL, 8, 0), -ENOMEM);
    SKT_NULL(g);
}

/* Goal: -ENOMEM. */
RT_THREAD_TEST(gen, no_memory)
{
    rt_run_quietly(workers, run_out_of_memory);
}

/* Goal: 1 and a value for each yield, then 0 for ever, and out left alone. */
RT_TEST(gen, values_then_end)
{
    skua_gen *g = make(count, (void *)5, sizeof(int64_t), 0);
    int64_t value = -1;
    for (int64_t i = 0; i < 5; i++) {
        SKT_EQ(skua_gen_next(g, NULL, &value), 1);
        SKT_EQ(value, i);
    }
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_gen_next(g, &value, &value), 0);
    SKT_EQ(value, 4);
    SKT_EQ(skua_gen_throw(g, -EIO, &value), 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int end_with(skua_gen *g, void *result)
{
    int64_t value = 1;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    return (int)(intptr_t)result;
}

/* Goal: a positive result counts as 0; a failure is what next says, now and later. */
RT_TEST(gen, results)
{
    static const struct {
        int result, seen;
    } cases[] = {{7, 0}, {0, 0}, {-EIO, -EIO}, {-ECANCELED, -ECANCELED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;
        skua_gen *g = make(end_with, (void *)(intptr_t)cases[i].result, 8, 0);
        SKT_EQ(skua_gen_next(g, NULL, &value), 1);
        for (int n = 0; n < 3; n++)
            SKT_EQ(skua_gen_next(g, NULL, &value), cases[i].seen);
        SKT_EQ(skua_gen_throw(g, -EINTR, &value), cases[i].seen);
        SKT_EQ(value, 1);
        skua_gen_free(g);
    }
}

/* Yields the sum of all that was sent. */
static int add_up(skua_gen *g, void *arg)
{
    int64_t sum = 0, in = 0;
    (void)arg;
    for (;;) {
        int rc = skua_gen_yield(g, &sum, &in);
        if (rc < 0)
            return rc;
        sum += in;
        in = 1000; /* zeroes must be written */
    }
}

/* Goal: send() of Python: the first is ignored, NULL is zeroes. */
RT_TEST(gen, values_both_ways)
{
    skua_gen *g = make(add_up, NULL, sizeof(int64_t), sizeof(int64_t));
    int64_t sum = -1, n = 77;
    SKT_EQ(skua_gen_next(g, &n, &sum), 1);
    SKT_EQ(sum, 0);
    for (n = 1; n <= 10; n++)
        SKT_EQ(skua_gen_next(g, &n, &sum), 1);
    SKT_EQ(sum, 55);
    SKT_EQ(skua_gen_next(g, NULL, &sum), 1);
    SKT_EQ(sum, 55);
    n = 5;
    SKT_EQ(skua_gen_next(g, &n, NULL), 1); /* nobody wants the value */
    SKT_EQ(skua_gen_next(g, NULL, &sum), 1);
    SKT_EQ(sum, 60);
    skua_gen_free(g);
}

static int take_and_discard(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

/* Goal: NULL yields zeroes, and takes nothing in. */
RT_TEST(gen, nothing_yielded)
{
    skua_gen *g = make(take_and_discard, NULL, sizeof(int64_t), sizeof(int64_t));
    int64_t value = 9;
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 0);
    SKT_EQ(skua_gen_next(g, &value, NULL), 0);
    skua_gen_free(g);
}

struct sizes {
    size_t out, in;
};

static unsigned char pattern(size_t i, size_t size)
{
    return (unsigned char)(i * 7 + size + 1);
}

static int echo_bytes(skua_gen *g, void *arg)
{
    const struct sizes *s = arg;
    static unsigned char out[SKUA_GEN_VALUE_MAX + 1], in[SKUA_GEN_VALUE_MAX + 1];
    for (size_t i = 0; i < s->out; i++)
        out[i] = pattern(i, s->out);
    in[s->in] = 0xee;
    SKT_EQ(skua_gen_yield(g, out, in), 0);
    for (size_t i = 0; i < s->in; i++)
        SKT_EQ(in[i], pattern(i, s->in));
    SKT_EQ(in[s->in], 0xee);
    return 0;
}

/* Goal: values of any size up to the greatest, each way its own; 0 is allowed. */
RT_TEST(gen, sizes)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 7, 8, 9, 16, 24, 4096, SKUA_GEN_VALUE_MAX};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    static unsigned char out[SKUA_GEN_VALUE_MAX + 1], in[SKUA_GEN_VALUE_MAX];
    for (size_t i = 0; i < SIZES; i++) {
        struct sizes s = {sizes[i], sizes[SIZES - 1 - i]};
        skua_gen *g = make(echo_bytes, &s, s.out, s.in);
        out[s.out] = 0xdd;
        SKT_EQ(skua_gen_next(g, NULL, out), 1);
        for (size_t n = 0; n < s.out; n++)
            SKT_EQ(out[n], pattern(n, s.out));
        SKT_EQ(out[s.out], 0xdd);
        for (size_t n = 0; n < s.in; n++)
            in[n] = pattern(n, s.in);
        SKT_EQ(skua_gen_next(g, in, out), 0);
        skua_gen_free(g);
    }
}

/* ---- throw ---- */

static int survive(skua_gen *g, void *arg)
{
    int64_t in = 5, out = 1;
    SKT_EQ(skua_gen_yield(g, &out, &in), -EIO);
    SKT_EQ(in, 5); /* nothing came in */
    out = 2;
    SKT_EQ(skua_gen_yield(g, &out, &in), 0);
    SKT_EQ(in, 6);
    int rc = skua_gen_yield(g, &out, &in);
    *(int *)arg = rc;
    return rc;
}

/* Goal: the pending yield returns the error; the body may go on, or end with it. */
RT_TEST(gen, throw_in)
{
    int seen = 0;
    int64_t value = 0, in = 6;
    skua_gen *g = make(survive, &seen, sizeof(int64_t), sizeof(int64_t));
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(skua_gen_throw(g, 0, &value), -EINVAL);
    SKT_EQ(skua_gen_throw(g, EIO, &value), -EINVAL);
    SKT_EQ(value, 1);
    SKT_EQ(skua_gen_throw(g, -EIO, &value), 1);
    SKT_EQ(value, 2);
    SKT_EQ(skua_gen_next(g, &in, &value), 1);
    SKT_EQ(skua_gen_throw(g, -EPIPE, &value), -EPIPE);
    SKT_EQ(seen, -EPIPE);
    SKT_EQ(skua_gen_next(g, NULL, &value), -EPIPE);
    skua_gen_free(g);
}

static int never(skua_gen *g, void *arg)
{
    (void)g, (void)arg;
    SKT_FAIL("it must not run");
}

/* Goal: one that has not started ends with the error, or is freed, and its body never runs. */
RT_TEST(gen, not_started)
{
    skua_gen *g = make(never, NULL, 0, 0);
    SKT_EQ(skua_gen_throw(g, 1, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(g, -EIO, NULL), -EIO);
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EIO);
    SKT_EQ(skua_gen_throw(g, -EPIPE, NULL), -EIO);
    skua_gen_free(g);
    skua_gen_free(make(never, NULL, 0, 0));
}

/* ---- misuse ---- */

static int call_oneself(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(g, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

/* Goal: a running one gives -EINVAL, and goes on. */
RT_TEST(gen, running)
{
    skua_gen *g = make(call_oneself, NULL, 0, 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL); /* not its body */
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    skua_gen_free(g);
}

static int yield_outer(skua_gen *g, void *outer)
{
    SKT_EQ(skua_gen_yield(outer, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_yield(outer, NULL, NULL), -EINVAL);
    return 0;
}

static int call_inner(skua_gen *g, void *arg)
{
    (void)arg;
    skua_gen *in = make(yield_outer, g, 0, 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 0);
    skua_gen_free(in);
    return 0;
}

/* Goal: the body of an inner generator is not that of the outer one. */
RT_TEST(gen, yield_of_the_outer)
{
    skua_gen *g = make(call_inner, NULL, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int yield_as_child(void *g)
{
    return skua_gen_yield(g, NULL, NULL) == -EINVAL ? 0 : -EIO;
}

static void *yield_as_fiber(void *g)
{
    return (void *)(intptr_t)skua_gen_yield(g, NULL, NULL);
}

static int spawn_in_body(skua_gen *g, void *arg)
{
    skua_scope s;
    skua_fiber *f = NULL;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_spawn(&s, yield_as_child, g), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_fiber_new(&f, yield_as_fiber, g, 0), 0);
    SKT_EQ((intptr_t)skua_fiber_switch(f, NULL), -EINVAL);
    skua_fiber_free(f);
    SKT_EQ(skua_gen_yield(g, arg, NULL), 0);
    return 0;
}

/* Goal: nor is a child of the body, also where it runs on the body's stack, nor a fiber. */
RT_TEST(gen, yield_in_a_child)
{
    skua_gen *g = make(spawn_in_body, NULL, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int yield_with_scope(skua_gen *g, void *arg)
{
    skua_scope s, t;
    int64_t value = 1;
    (void)arg;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_open(&t, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    value = 2;
    SKT_EQ(skua_gen_yield(g, &value, NULL), -EINVAL);
    SKT_EQ(skua_scope_close(&t, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, &value, NULL), -EINVAL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    value = 3;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    return 0;
}

/* Goal: no yield, and nothing handed out, while a scope opened in the body is open; those of the
 * caller do not matter, and may differ from call to call. */
RT_TEST(gen, scopes)
{
    skua_scope s, t;
    int64_t value = 0;
    skua_gen *g = make(yield_with_scope, NULL, 8, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(skua_scope_open(&t, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 3);
    SKT_EQ(skua_scope_close(&t, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 0);
    skua_gen_free(g);
}

static int close_scope(skua_gen *g, void *scope)
{
    skua_scope s;
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: the body may close a scope of its caller's, as any function might. */
RT_TEST(gen, closes_the_callers_scope)
{
    skua_scope s;
    skua_gen *g = make(close_scope, &s, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

/* ---- freeing ---- */

static char trace[16];
static unsigned traced;

static int unwind_slowly(skua_gen *g, void *arg)
{
    (void)arg;
    int64_t in = 3, out = 1;
    SKT_EQ(skua_gen_yield(g, &out, &in), -ECANCELED);
    SKT_EQ(in, 3);
    trace[traced++] = 'a';
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_gen_yield(g, &out, &in), -ECANCELED);
    trace[traced++] = 'b';
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EINVAL);
    return -EIO; /* nobody sees it */
}

/* Goal: a suspended one is unwound: its yield says -ECANCELED, and every further one at once. */
RT_TEST(gen, free_suspended)
{
    traced = 0;
    skua_gen *g = make(unwind_slowly, NULL, 8, 8);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(traced, 0u);
    skua_gen_free(g);
    SKT_EQ(traced, 2u);
    SKT_MEM_EQ(trace, "ab", 2);
}

struct shielded {
    skua_mutex mutex;
    int waited, cancelled, after_shield;
};

static int clean_up_waiting(skua_gen *g, void *arg)
{
    struct shielded *x = arg;
    skua_scope s;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    x->waited = skua_sleep(SKUA_US(200));
    x->cancelled = skua_cancelled();
    int before = skua_shield(1);
    SKT_EQ(before, 1);
    SKT_EQ(skua_shield(before), 1);
    SKT_EQ(skua_shield(0), 1); /* it stays up */
    x->after_shield = skua_sleep(SKUA_US(200));
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_sleep(0), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static int free_while_cancelled(void *arg)
{
    struct shielded *x = arg;
    skua_gen *g = make(clean_up_waiting, x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    skua_gen_free(g);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_sleep(0), -ECANCELED); /* as before */
    SKT_EQ(skua_shield(0), 0);
    return 0;
}

static void check_shielded(const struct shielded *x)
{
    SKT_EQ(x->waited, 0);
    SKT_EQ(x->cancelled, 0);
    SKT_EQ(x->after_shield, 0);
}

/* Goal: while it is freed neither cancellation nor a deadline reaches its body, whatever it does to
 * its shield; afterwards all is as it was. */
RT_TEST(gen, free_is_shielded)
{
    skua_scope s;
    struct shielded x = {.mutex = SKUA_MUTEX_INIT, .waited = 1};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, free_while_cancelled, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);

    x = (struct shielded){.waited = 1};
    skua_gen *g = make(clean_up_waiting, &x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, skua_in(SKUA_US(100))), 0);
    SKT_EQ(skua_sleep(SKUA_S(10)), -ETIMEDOUT);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(SKUA_US(1)), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);
}

/* Goal: the same with a shield up, and a scope opened behind it, whose cancellation the caller sees. */
RT_TEST(gen, free_inside_a_shield)
{
    skua_scope s;
    struct shielded x = {.waited = 1};
    skua_gen *g = make(clean_up_waiting, &x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    skua_scope_cancel(&s);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(0), 1);
    check_shielded(&x);
}

static int free_inner(skua_gen *g, void *arg)
{
    struct shielded *x = arg;
    skua_gen *in = make(clean_up_waiting, x, 0, 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_gen_free(in);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_sleep(SKUA_US(100)), 0); /* this one is still being freed */
    return 0;
}

static int free_nested(void *arg)
{
    struct shielded *x = arg;
    skua_gen *g = make(free_inner, x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_cancel(skua_self()), 1);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    return 0;
}

/* Goal: a body that is unwound frees another. */
RT_TEST(gen, free_nested)
{
    skua_scope s;
    struct shielded x = {.waited = 1};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, free_nested, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);
}

/* Goal: many at once, again and again, ended or freed in all states. */
RT_TEST(gen, many)
{
    enum { ROUNDS = 30, MANY = 100 };
    static skua_gen *g[MANY];
    for (int round = 0; round < ROUNDS; round++) {
        int64_t value = 0;
        for (int i = 0; i < MANY; i++)
            g[i] = make(count, (void *)(intptr_t)(i % 3), 8, 0);
        for (int i = 0; i < MANY; i++)
            SKT_EQ(skua_gen_next(g[i], NULL, &value), i % 3 != 0);
        for (int i = 0; i < MANY; i++) {
            int left = i % 2 == 0 ? 0 : i % 3; /* every other one is freed as it stands */
            for (; left > 0; left--)
                SKT_EQ(skua_gen_next(g[i], NULL, &value), left > 1);
            skua_gen_free(g[i]);
        }
    }
}

static int where(skua_gen *g, void *arg)
{
    void *frame = __builtin_frame_address(0);
    int rc = skua_gen_yield(g, &frame, NULL);
    return rc < 0 ? rc : arg != NULL;
}

/* Goal: the stack of one that has ended, by itself or by an error before it began, goes back at once,
 * before it is freed: the next one gets it. */
RT_TEST(gen, stack_goes_back)
{
    skua_gen *first = make(where, NULL, sizeof(void *), 0), *second;
    void *frame, *again = NULL;
    SKT_EQ(skua_gen_next(first, NULL, &frame), 1);
    SKT_EQ(skua_gen_next(first, NULL, NULL), 0);
    second = make(where, NULL, sizeof(void *), 0);
    SKT_EQ(skua_gen_throw(second, -EIO, NULL), -EIO);
    for (int i = 0; i < 3; i++) {
        skua_gen *third = make(where, NULL, sizeof(void *), 0);
        SKT_EQ(skua_gen_next(third, NULL, &again), 1);
        SKT_PTR_EQ(again, frame);
        skua_gen_free(third);
        skua_gen_free(make(where, NULL, sizeof(void *), 0));
    }
    skua_gen_free(second);
    skua_gen_free(first);
}

/* ---- it runs as its caller ---- */

static skua_local key;

static int say_who(skua_gen *g, void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t id = skua_id();
        void *value = skua_local_get(key);
        SKT_PTR_EQ(value, skua_self());
        int rc = skua_gen_yield(g, &id, NULL);
        if (rc < 0)
            return rc;
        SKT_EQ(skua_yield(), 0); /* the caller waits here, and may change its worker */
        SKT_GE(skua_stack_left(), (size_t)64 << 10);
    }
}

static int ask_who(void *g)
{
    uint64_t id = 0;
    SKT_EQ(skua_local_set(key, skua_self()), 0);
    SKT_EQ(skua_gen_next(g, NULL, &id), 1);
    SKT_EQ(id, skua_id());
    SKT_GE(skua_stack_left(), (size_t)64 << 10);
    return 0;
}

/* Goal: self, id and locals are those of who calls next, also when that is another each time. */
RT_TEST(gen, runs_as_its_caller)
{
    static _Atomic(bool) x_made;
    if (!atomic_exchange(&x_made, true))
        SKT_EQ(skua_local_key(&key, NULL), 0);
    skua_gen *g = make(say_who, NULL, sizeof(uint64_t), 0);
    for (int i = 0; i < 30; i++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, ask_who, g), 0);
        if (i % 2 != 0) /* not on this stack */
            SKT_EQ(skua_sleep(SKUA_US(50)), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(ask_who(g), 0);
    }
    skua_gen_free(g);
}

struct waiter {
    skua_gen *g;
    skua_event inside, go_on;
    _Atomic(bool) x_ended;
};

static int wait_in_body(skua_gen *g, void *arg)
{
    struct waiter *x = arg;
    (void)g;
    SKT_EQ(skua_event_set(&x->inside), 0);
    return skua_event_wait(&x->go_on, SKUA_NEVER);
}

static int call_waiter(void *arg)
{
    struct waiter *x = arg;
    int rc = skua_gen_next(x->g, NULL, NULL);
    atomic_store(&x->x_ended, true);
    return rc;
}

/* Goal: a body that waits suspends its caller; others get -EINVAL meanwhile, and cannot yield for
 * it. */
RT_TEST(gen, suspends_its_caller)
{
    skua_scope s;
    struct waiter x = {.inside = SKUA_EVENT_INIT, .go_on = SKUA_EVENT_INIT};
    x.g = make(wait_in_body, &x, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, call_waiter, &x), 0);
    SKT_EQ(skua_event_wait(&x.inside, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(x.g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(x.g, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(x.g, NULL, NULL), -EINVAL);
    SKT_FALSE(atomic_load(&x.x_ended));
    SKT_EQ(skua_event_set(&x.go_on), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_TRUE(atomic_load(&x.x_ended));
    SKT_EQ(skua_gen_next(x.g, NULL, NULL), 0);
    skua_gen_free(x.g);
}

static int wait_long(skua_gen *g, void *arg)
{
    (void)g, (void)arg;
    return rt_wait_forever(NULL);
}

static int call_wait_long(void *arg)
{
    skua_gen *g = make(wait_long, arg, 0, 0);
    int rc = skua_gen_next(g, NULL, NULL);
    skua_gen_free(g);
    return rc;
}

/* Goal: cancellation and deadlines are the caller's. */
RT_TEST(gen, cancelled_and_timed_out)
{
    skua_scope s;
    skua_task *task;
    int result = 0;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, call_wait_long, NULL, NULL, &task), 0);
    RT_UNTIL(rt_is_waiting(task));
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(task);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, skua_in(SKUA_MS(2))), 0);
    SKT_EQ(call_wait_long(NULL), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: a generator calls itself anew, as one that walks a tree does. */
static int walk(skua_gen *g, void *depth)
{
    intptr_t d = (intptr_t)depth;
    int64_t value = d;
    if (d == 0)
        return 0;
    for (int i = 0; i < 2; i++) {
        skua_gen *below = make(walk, (void *)(d - 1), sizeof(int64_t), 0);
        int64_t from_below;
        while (skua_gen_next(below, NULL, &from_below) == 1)
            SKT_EQ(skua_gen_yield(g, &from_below, NULL), 0);
        skua_gen_free(below);
        if (i == 0)
            SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    }
    return 0;
}

RT_TEST(gen, recursive)
{
    skua_gen *g = make(walk, (void *)6, sizeof(int64_t), 0);
    int64_t value = 0, sum = 0;
    unsigned n = 0;
    for (; skua_gen_next(g, NULL, &value) == 1; n++)
        sum += value;
    SKT_EQ(n, 63u);
    SKT_EQ(sum, 1 * 32 + 2 * 16 + 3 * 8 + 4 * 4 + 5 * 2 + 6);
    skua_gen_free(g);
}

/* ---- with fibers ---- */

struct stuck {
    skua_gen *outer, *inner;
    skua_fiber *root;
};

static int switch_out(skua_gen *g, void *arg)
{
    struct stuck *x = arg;
    SKT_NULL(skua_fiber_switch(x->root, g));
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    skua_fiber_switch(x->root, g);
    SKT_FAIL("it was freed");
}

static int call_switch_out(skua_gen *g, void *arg)
{
    struct stuck *x = arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_next(x->inner, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(x->inner, NULL, NULL), 1);
    SKT_FAIL("it was freed");
}

static void *call_outer(void *arg)
{
    struct stuck *x = arg;
    SKT_EQ(skua_gen_next(x->outer, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(x->outer, NULL, NULL), 1);
    SKT_FAIL("it was freed");
}

/* Goal: a fiber that switches away from the body of a generator goes on there; if it is freed there,
 * the generators in whose bodies it stands have ended with -ECANCELED. */
RT_TEST(gen, fiber_in_a_body)
{
    struct stuck x = {.root = skua_fiber_self()};
    skua_fiber *f = NULL;
    x.outer = make(call_switch_out, &x, 0, 0);
    x.inner = make(switch_out, &x, 0, 0);
    SKT_EQ(skua_fiber_new(&f, call_outer, &x, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &x), x.inner);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -EINVAL); /* it is running, there */
    SKT_PTR_EQ(skua_fiber_switch(f, NULL), x.inner);
    skua_fiber_free(f);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -ECANCELED);
    SKT_EQ(skua_gen_next(x.outer, NULL, NULL), -ECANCELED);
    skua_gen_free(x.inner);
    skua_gen_free(x.outer);
}

static int leave_stuck(void *arg)
{
    struct stuck *x = arg;
    skua_fiber *f = NULL;
    x->root = skua_fiber_self();
    SKT_EQ(skua_fiber_new(&f, call_outer, x, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, x), x->inner);
    SKT_PTR_EQ(skua_fiber_switch(f, NULL), x->inner);
    return 0;
}

/* Goal: so they have when their fiber's coroutine ends. */
RT_TEST(gen, fiber_ends_in_a_body)
{
    struct stuck x;
    skua_scope s;
    x.outer = make(call_switch_out, &x, 0, 0);
    x.inner = make(switch_out, &x, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, leave_stuck, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -ECANCELED);
    SKT_EQ(skua_gen_next(x.outer, NULL, NULL), -ECANCELED);
    skua_gen_free(x.inner);
    skua_gen_free(x.outer);
}

/* ---- freed, and its body switches to another fiber ---- */

struct detour {
    skua_gen *g;
    skua_fiber *to;
};

static int clean_up_by_switching(skua_gen *g, void *arg)
{
    const struct detour *d = arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_fiber_switch(d->to, NULL);
    return 0;
}

static void *free_it(void *arg)
{
    const struct detour *d = arg;
    skua_gen_free(d->g);
    return NULL;
}

static void make_detour(struct detour *d)
{
    d->g = make(clean_up_by_switching, d, 0, 0);
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 1);
}

/* Nothing is left of the shield that held while a body was unwound. */
static void check_unshielded(void)
{
    SKT_EQ(skua_shield(0), 0);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_sleep(SKUA_MS(1)), -ECANCELED);
}

/* Goal: a fiber that is freed while it frees a generator leaves neither a shield nor the generator. */
RT_TEST(gen, freer_is_freed)
{
    struct detour d = {.to = skua_fiber_self()};
    skua_fiber *f = NULL;
    make_detour(&d);
    SKT_EQ(skua_fiber_new(&f, free_it, &d, 0), 0);
    skua_fiber_switch(f, NULL);
    skua_fiber_free(f);
    check_unshielded();
}

/* Goal: two bodies that are unwound in two fibers, and end in the order in which they began. */
RT_TEST(gen, freed_crosswise)
{
    struct detour first = {.to = skua_fiber_self()}, second;
    skua_fiber *f = NULL;
    make_detour(&first);
    SKT_EQ(skua_fiber_new(&f, free_it, &first, 0), 0);
    second.to = f;
    make_detour(&second);
    skua_fiber_switch(f, NULL);
    skua_gen_free(second.g); /* its body lets the first one end, and f */
    skua_fiber_free(f);
    check_unshielded();
}

static int switch_and_yield(skua_gen *g, void *arg)
{
    const struct detour *d = arg;
    skua_scope s;
    SKT_NULL(skua_fiber_switch(d->to, NULL));
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL); /* this one it has opened */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void *call_twice(void *arg)
{
    struct detour *d = arg;
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 0);
    return NULL;
}

/* Goal: what the coroutine's own function opens while a fiber stands in a body was not opened in
 * it. */
RT_TEST(gen, scope_of_another_fiber)
{
    struct detour d = {.to = skua_fiber_self()};
    skua_fiber *f = NULL;
    skua_scope s;
    d.g = make(switch_and_yield, &d, 0, 0);
    SKT_EQ(skua_fiber_new(&f, call_twice, &d, 0), 0);
    skua_fiber_switch(f, NULL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    skua_fiber_switch(f, NULL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(d.g, NULL, NULL), 0);
    skua_fiber_free(f);
    skua_gen_free(d.g);
}

/* ---- in callbacks ---- */

static int wait_where_forbidden(skua_gen *g, void *arg)
{
    int64_t value = 4;
    (void)arg;
    SKT_NULL(skua_self());
    SKT_EQ(skua_sleep(SKUA_US(1)), -EPERM);
    SKT_EQ(skua_gen_yield(g, &value, NULL), -ECANCELED);
    return 0;
}

static void use_in_callback(skua_task *task, void *arg)
{
    int64_t value = 0;
    (void)task;
    skua_gen *g = make(wait_where_forbidden, NULL, 8, 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 4);
    skua_gen_free(g);
    SKT_EQ(skua_gen_yield(*(skua_gen **)arg, NULL, NULL), -EINVAL); /* it is not its body */
    *(skua_gen **)arg = NULL;
}

static int be_called_back(skua_gen *g, void *task)
{
    skua_gen *mine = g;
    SKT_EQ(skua_on_done(task, use_in_callback, &mine), 0);
    SKT_NULL(mine);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Goal: a callback uses generators as anybody does, but as nobody; it is not the body that it
 * interrupts. */
RT_TEST(gen, in_a_callback)
{
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, nothing, NULL, NULL, &task), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_gen *g = make(be_called_back, task, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
    skua_task_unref(task);
}

/* ---- what ends the process ---- */

struct fatal {
    int (*fn)(void *);
    unsigned workers;
};

static void run_fatal(void *arg)
{
    const struct fatal *x = arg;
    skua_config config = SKUA_CONFIG_INIT;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    config.workers = x->workers;
    (void)skua_run(x->fn, NULL, &config);
}

/* The child dies by the signal, after a line with all of the parts. */
static void check_fatal(unsigned workers, int (*fn)(void *), int signo, const char *const *parts)
{
    char out[4096];
    struct fatal x = {fn, workers};
    int status = skt_in_child(run_fatal, &x, out, sizeof(out));
    for (; *parts != NULL; parts++)
        SKT_STR_HAS(out, *parts);
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), signo);
}

#define CHECK_FATAL(workers, fn, signo, ...) \
    check_fatal(workers, fn, signo, (const char *const[]){__VA_ARGS__, NULL})

static int free_oneself(skua_gen *g, void *arg)
{
    (void)arg;
    skua_gen_free(g);
    return 0;
}

static int frees_running(void *arg)
{
    return skua_gen_next(make(free_oneself, arg, 0, 0), NULL, NULL);
}

static int free_oneself_again(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_gen_free(g);
    return 0;
}

static int frees_freed(void *arg)
{
    skua_gen *g = make(free_oneself_again, arg, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    skua_gen_free(g);
    return 0;
}

static int return_with_scope(skua_gen *g, void *arg)
{
    static skua_scope s;
    (void)g, (void)arg;
    return skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER);
}

static int returns_with_scope(void *arg)
{
    skua_set_name("careless");
    return skua_gen_next(make(return_with_scope, arg, 0, 0), NULL, NULL);
}

/* Writes its way down, a page at a time at most. */
__attribute__((noinline)) static int overflow(volatile char *above, size_t left)
{
    volatile char here[512];
    here[0] = above[0];
    here[511] = (char)left;
    return left == 0 ? 0 : overflow(here, left - 1) + here[511];
}

static int run_out_of_stack(skua_gen *g, void *arg)
{
    volatile char first = 1;
    (void)g, (void)arg;
    return overflow(&first, SIZE_MAX);
}

static int overflows(void *arg)
{
    skua_set_name("greedy");
    return skua_gen_next(make(run_out_of_stack, arg, 0, 0), NULL, NULL);
}

/* Goal: freeing a running one, a scope left open, and an overflow, each with its names and remedy. */
RT_THREAD_TEST(gen, fatal)
{
    CHECK_FATAL(workers, frees_running, SIGABRT, "skua_gen_free: the generator at 0x", "is running",
                "once its skua_gen_next has returned");
    CHECK_FATAL(workers, frees_freed, SIGABRT, "skua_gen_free: the generator at 0x", "is running");
    CHECK_FATAL(workers, returns_with_scope, SIGABRT, "(careless)", "its generator at 0x",
                "returned with the scope at 0x");
    CHECK_FATAL(workers, overflows, SIGSEGV, "stack overflow", "(greedy)", "131072 bytes promised",
                "a generator has SKUA_STACK_SIZE alone");
}
